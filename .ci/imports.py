"""Checks that no folder of a crate, and no file of the protocol and of the display server, is part of an import cycle,
and that files are small.

    python3 .ci/imports.py          prints each cycle and exits with status 1 if there is one that is not listed below

Imports are: `use`, and paths that begin with `crate::`, `super::` or `self::` or with the name of a child module, in
all code except tests (`#[cfg(test)]`). A path is followed through `pub use` to the file that defines the item.
Declaring a module (`mod x;`) is not an import.

- Folders: the folder of a file is its top-level module and all modules below it. There must be no cycle between
  folders.
- Files: a module and the modules below it may import each other. The children of a module, each with all modules below
  it, must not form an import cycle.
"""
import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CRATES = ["protocol", "protocol/printer", "draw-client", "draw-client/forks", "display-server", "display-server/trim", "examples"]
BETWEEN_FILES = {"protocol", "display-server"}
MEDIAN, LONGEST = 200, 600

# Known cycles by crate, each as its modules. A listed cycle that no longer exists fails this check, so that it is
# removed here.
KNOWN: dict[str, list[str]] = {}


def strip(text):
    """Returns the code with comments, strings and characters replaced by blanks, line by line."""
    out, at, n = [], 0, len(text)
    blank = lambda piece: re.sub(r"[^\n]", " ", piece)
    token = re.compile(
        r'//[^\n]*|/\*|\bb?r(#*)"|b?"(?:\\.|[^"\\])*"|b?\'(?:\\(?:x..|u\{[^}]*\}|.)|[^\\\'\n])\'', re.S)
    while at < n:
        found = token.search(text, at)
        if not found:
            out.append(text[at:])
            break
        out.append(text[at:found.start()])
        end = found.end()
        if found[0] == "/*":
            depth = 1
            while depth and end < n:
                two = text[end:end + 2]
                depth += {"/*": 1, "*/": -1}.get(two, 0)
                end += 2 if two in ("/*", "*/") else 1
        elif found[1] is not None:
            close = text.find('"' + found[1], end)
            end = n if close < 0 else close + 1 + len(found[1])
        out.append(blank(text[found.start():end]))
        at = end
    return "".join(out)


def block_end(text, at):
    """Returns the index after the brace that closes the one at `at`."""
    depth = 0
    for i in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return i + 1
    return len(text)


TEST = re.compile(r"#\[cfg\((?:test|all\(test\b[^\]]*)\)\]\s*(?:#\[[^\]]*\]\s*)*")


def without_tests(text):
    """Returns the code without items that exist only for tests."""
    while found := TEST.search(text):
        stop = re.compile(r"[{;]").search(text, found.end())
        end = len(text) if not stop else stop.end() if stop[0] == ";" else block_end(text, stop.start())
        text = text[:found.start()] + re.sub(r"[^\n]", " ", text[found.start():end]) + text[end:]
    return text


class Module:
    def __init__(self, path, file):
        self.path, self.file = path, file
        self.children, self.uses, self.reexports = set(), {}, {}
        self.globs = []
        self.code = ""

    def __repr__(self):
        return "::".join(self.path) or "the crate's root"


def tree(use):
    """Yields the paths of a use tree, each with the name that it is bound to."""
    use = use.strip()
    if "{" not in use:
        path, _, name = (part.strip() for part in use.partition(" as "))
        words = [word.strip() for word in path.split("::")]
        if words[-1] == "self" and len(words) > 1:
            words.pop()
        return [(words, name or words[-1])]
    head, rest = use.split("{", 1)
    head = [word.strip() for word in head.split("::") if word.strip()]
    rest = rest.rsplit("}", 1)[0]
    parts, depth, start = [], 0, 0
    for i, c in enumerate(rest + ","):
        depth += {"{": 1, "}": -1}.get(c, 0)
        if c == "," and depth == 0:
            parts.append(rest[start:i])
            start = i + 1
    found = []
    for part in parts:
        for words, name in tree(part) if part.strip() else []:
            if words == ["self"]:
                found.append((head, head[-1] if name == "self" else name))
            else:
                found.append((head + words, name))
    return found


MOD = re.compile(r"(?:#\[path = \"[^\"]*\"\]\s*)?\bmod\s+(\w+)\s*(;|\{)")
USE = re.compile(r"(\bpub(?:\([^)]*\))?\s+)?\buse\s+([^;]+);")
PATH = re.compile(r"(?<![\w:$])\$?((?:crate|super|self)(?:\s*::\s*\w+)+)|(?<![\w:$.])(\w+(?:\s*::\s*\w+)+)")


class Crate:
    """The modules of a library or of a program (`main.rs`)."""

    def __init__(self, source, root="lib.rs"):
        self.modules = {}
        self.load((), source / root, source)

    def load(self, path, file, folder):
        raw = file.read_text()
        code = without_tests(strip(raw))
        self.parse(path, file, folder, code)

    def parse(self, path, file, folder, code):
        module = self.modules[path] = Module(path, file)
        inner = []
        # Inline modules are separate modules in the same file.
        at = 0
        while found := MOD.search(code, at):
            name, how = found[1], found[2]
            if how == ";":
                module.children.add(name)
                file_ = folder / f"{name}.rs"
                file_ = file_ if file_.exists() else folder / name / "mod.rs"
                if file_.exists():
                    self.load(path + (name,), file_, folder / name)
                at = found.end()
            else:
                end = block_end(code, found.end() - 1)
                module.children.add(name)
                inner.append((name, code[found.end():end - 1]))
                code = code[:found.start()] + re.sub(r"[^\n]", " ", code[found.start():end]) + code[end:]
                at = end
        for name, body in inner:
            self.parse(path + (name,), file, folder / name, body)
        for found in USE.finditer(code):
            for words, name in tree(found[2]):
                target = module.reexports if found[1] else module.uses
                if words[-1] == "*":
                    module.globs.append((words[:-1], bool(found[1])))
                elif name != "_":
                    target[name] = words
                else:
                    module.uses["_ " + "::".join(words)] = words
        module.code = USE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), code)

    def absolute(self, module, words, through=()):
        """Returns the path from the crate's root that these words refer to, or None if they refer to something else."""
        words, base = list(words), list(module.path)
        if words[0] == "crate":
            return words[1:]
        if words[0] in ("self", "super"):
            while words and words[0] in ("self", "super"):
                if words.pop(0) == "super":
                    if not base:
                        return None
                    base.pop()
            return base + words
        if words[0] in module.children:
            return base + words
        # A name that the module has imported, such as `log` after `use super::log`.
        imported = module.uses.get(words[0]) or module.reexports.get(words[0])
        if imported and words[0] not in through:
            to = self.absolute(module, imported, (*through, words[0]))
            return None if to is None else to + words[1:]
        return None

    def owner(self, words, seen=()):
        """Returns the module that defines the item of an absolute path, following re-exports."""
        at = ()
        for i, word in enumerate(words):
            if at + (word,) in self.modules:
                at += (word,)
                continue
            module = self.modules[at]
            key = (at, word)
            if key in seen:
                return module
            named = module.reexports.get(word)
            if named:
                to = self.absolute(module, named)
                return self.owner(list(to) + list(words[i + 1:]), (*seen, key)) if to is not None else module
            for glob, is_public in module.globs:
                to = self.absolute(module, glob) if is_public else None
                if to is not None and self.defines(to, word):
                    return self.owner(list(to) + list(words[i:]), (*seen, key))
            return module
        return self.modules[at]

    def defines(self, path, word):
        module = self.modules.get(tuple(path))
        return module is not None and (word in module.children or word in module.reexports or re.search(
            rf"\b(?:fn|struct|enum|trait|type|const|static|union)\s+{word}\b|macro_rules!\s+{word}\b", module.code))

    def imports(self, module):
        """Returns the modules from which a module imports items, each with the imported path."""
        found = {}
        listed = [*module.uses.values(), *module.reexports.values(), *(words for words, _ in module.globs)]
        for match in PATH.finditer(module.code):
            listed.append(re.split(r"\s*::\s*", match[1] or match[2]))
        for words in listed:
            to = self.absolute(module, words)
            if to is not None:
                owner = self.owner(to)
                if owner.path != module.path:
                    found.setdefault(owner.path, "::".join(words))
        return found


def circles(graph):
    """Returns the strongly connected components of a graph that have more than one node (Tarjan's algorithm)."""
    index, low, stack, on, found = {}, {}, [], set(), []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        on.add(node)
        for other in graph.get(node, {}):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in on:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            part = set()
            while True:
                other = stack.pop()
                on.discard(other)
                part.add(other)
                if other == node:
                    break
            if len(part) > 1:
                found.append(part)

    for node in list(graph):
        if node not in index:
            visit(node)
    return found


def shortest(graph, part):
    """Returns a shortest cycle in such a component."""
    best = None
    for start in sorted(part):
        paths, seen = [[start]], {start}
        while paths:
            path = paths.pop(0)
            for other in graph.get(path[-1], {}):
                if other == start:
                    if best is None or len(path) < len(best):
                        best = path
                    paths = []
                    break
                if other in part and other not in seen:
                    seen.add(other)
                    paths.append(path + [other])
    return best


def name(node):
    return "::".join(node) or "(root)"


def graph_of(crate, parent):
    """Returns the imports between the children of a module, each with all modules below it, with one location for each
    import."""
    graph, depth = {}, len(parent)
    for module in crate.modules.values():
        if module.path[:depth] != parent or len(module.path) == depth:
            continue
        here = module.path[:depth + 1]
        graph.setdefault(here, {})
        for path, words in crate.imports(module).items():
            there = path[:depth + 1]
            if path[:depth] == parent and len(path) > depth and here != there:
                graph[here].setdefault(there, (module.file, words))
    return graph


def check_crate(root, known):
    """Prints the errors in the imports of a crate. Returns whether there are any."""
    source = ROOT / root / "src"
    crates = [Crate(source, file) for file in ("lib.rs", "main.rs") if (source / file).exists()]
    is_wrong, seen, count = False, [], sum(len(crate.modules) for crate in crates)
    # The cycles between children of the crate's root are those between folders; below it, those between files.
    for graph in (
        graph_of(crate, parent) for crate in crates for parent in crate.modules if parent == () or root in BETWEEN_FILES
    ):
        for part in circles(graph):
            names = {name(node) for node in part}
            listed = names in known
            seen.append(names)
            is_wrong |= not listed
            print(f"{root}: {'known circle' if listed else 'circle'} of {len(part)}: {', '.join(sorted(names))}")
            path = shortest(graph, part)
            for here, there in zip(path, path[1:] + path[:1]):
                file, words = graph[here][there]
                print(f"    {name(here)} -> {name(there)}: {file.relative_to(ROOT)} has {words}")
    for names in known:
        if names not in seen:
            is_wrong = True
            print(f"{root}: no circle of {', '.join(sorted(names))} any more: remove it from KNOWN in .ci/imports.py")
    print(f"{root}: {count} modules, {len(seen)} circles")
    return is_wrong


def check_lengths():
    """Prints the errors in the lengths of files. Returns whether there are any."""
    files = [file for file in ROOT.rglob("*.rs") if file.relative_to(ROOT).parts[0] != "target"]
    lengths = sorted((len(file.read_text().splitlines()), file.relative_to(ROOT)) for file in files)
    median, too_long = lengths[len(lengths) // 2][0], [(n, file) for n, file in lengths if n > LONGEST]
    for n, file in too_long:
        print(f"{file} has {n} lines, and none may have more than {LONGEST}: split it")
    if median >= MEDIAN:
        print(f"the median of files has {median} lines, and is to have less than {MEDIAN}")
    print(f"{len(lengths)} files: the median has {median} lines, the longest {lengths[-1][0]}")
    return bool(too_long) or median >= MEDIAN


# Made-up crates, file by file, and the cycles that this check must find in them.
PLANTED = [
    ("use of a file", {"a.rs": "use crate::b::B;", "b.rs": "use super::a::A;"}, ["a b"]),
    ("a nested use", {"a.rs": "use crate::{c::C, b::{self, B}};", "b.rs": "use crate::a;", "c.rs": ""}, ["a b"]),
    ("a path", {"a.rs": "fn f() { crate::b::g() }", "b.rs": "fn g(_: super::a::A) {}"}, ["a b"]),
    ("a name that was imported", {"a.rs": "use crate::b; fn f() { b::c::g() }", "b.rs": "pub mod c;", "b/c.rs": "use crate::a::A;"}, ["a b"]),
    ("through the root", {"lib.rs": "pub use b::B;", "a.rs": "use crate::B;", "b.rs": "use crate::a::A;"}, ["a b"]),
    ("three files", {"a.rs": "use crate::b::B;", "b.rs": "use crate::c::C;", "c.rs": "use crate::a::A;"}, ["a b c"]),
    ("within a folder", {"a.rs": "mod x; mod y;", "a/x.rs": "use super::y::Y;", "a/y.rs": "fn f() { super::x::g() }"}, ["a::x a::y"]),
    ("a child in another folder", {"a.rs": "mod x;", "a/x.rs": "use crate::b::B;", "b.rs": "use crate::a::A;"}, ["a b"]),
    ("a parent and its child", {"a.rs": "mod x; use x::X;", "a/x.rs": "use super::A; fn f() { crate::a::g() }"}, []),
    ("one direction", {"a.rs": "use crate::b::B;", "b.rs": "use std::fmt;"}, []),
    ("tests", {"a.rs": "use crate::b::B;", "b.rs": "#[cfg(test)]\nmod tests { use crate::a::A; }\n#[cfg(test)]\nuse crate::a::A;"}, []),
    ("comments and strings", {"a.rs": "use crate::b::B;", "b.rs": '// crate::a\n/* crate::a::A */ const T: &str = "crate::a::A";'}, []),
]


def prove():
    """Tests this check on crates with planted cycles. Exits with status 1 if one result is wrong."""
    for what, files, due in PLANTED:
        with tempfile.TemporaryDirectory() as directory:
            source = Path(directory) / "src"
            roots = [file.removesuffix(".rs") for file in files if "/" not in file and file != "lib.rs"]
            files = files | {"lib.rs": files.get("lib.rs", "") + "".join(f" mod {root};" for root in roots)}
            for file, text in files.items():
                (source / file).parent.mkdir(parents=True, exist_ok=True)
                # Defines the imported item.
                (source / file).write_text(text + f" pub struct {Path(file).stem.upper()};")
            crate = Crate(source)
            parts = [part for parent in crate.modules for part in circles(graph_of(crate, parent))]
            found = sorted(" ".join(sorted(map(name, part))) for part in parts)
            if found != due:
                sys.exit(f"imports.py: {what}: found {found} and not {due}: this check is wrong")


def main():
    prove()
    wrong = [check_crate(crate, [set(names.split()) for names in KNOWN.get(crate, [])]) for crate in CRATES]
    wrong.append(check_lengths())
    sys.exit(1 if any(wrong) else 0)


if __name__ == "__main__":
    main()
