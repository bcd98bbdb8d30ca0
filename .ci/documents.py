"""Checks the documents, without a network:

    python3 .ci/documents.py

- Every relative link of every Markdown file leads to a file, and its anchor to a heading. A link to a folder requires a
  README.md in it.
- README.md has at most 150 lines, and its animated picture exists and is smaller than 1 MB.
- No sentence of README.md of more than eight words is repeated in docs/.
- Every Rust block of README.md and docs/ is compiled by the documentation tests of the examples.
- Every command of README.md is run by a step, and every listing is compiled, run or compared.
- Every package, example, test, benchmark and file that a command in README.md or docs/ names exists.

Before that it tests itself on documents with planted faults, each of which it must find. Exits with status 1 at the
first kind of fault.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib

LINES = 150
WORDS = 8
PICTURE = 1_000_000

# Folders of tools, which contain documents of other projects.
BUILT = {".git", "target", "node_modules", ".venv"}

FENCE = re.compile(r"^( *)(`{3,})([^`\n]*)\n(.*?)^ *\2`* *$", re.M | re.S)
CODE = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.S)
COMMENT = re.compile(r"<!--.*?-->", re.S)
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?(\S+?)>?(?:\s+\"[^\"]*\")?\s*$", re.M)
HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$", re.M)


def blocks(text):
    """Returns the fenced blocks: the language line and the content."""
    return [(found[3].strip(), found[4]) for found in FENCE.finditer(text)]


def without_code(text):
    """Returns the text without fenced blocks, comments and code spans."""
    return CODE.sub("", COMMENT.sub("", FENCE.sub("", text)))


def slug(heading):
    """Returns the anchor that a forge generates for a heading."""
    heading = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(text):
    found, seen = set(), {}
    for heading in HEADING.findall(COMMENT.sub("", FENCE.sub("", text))):
        name = slug(heading)
        count = seen.get(name, 0)
        seen[name] = count + 1
        found.add(f"{name}-{count}" if count else name)
    return found | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))


class Tree:
    """The documents of a folder."""

    def __init__(self, root):
        self.root = root
        self.files = []
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(set(folders) - BUILT)
            self.files += [os.path.normpath(os.path.relpath(os.path.join(folder, file), root)) for file in sorted(files)]
        self.documents = [file for file in self.files if file.endswith(".md")]

    def read(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            return file.read()

    def has(self, path):
        return os.path.exists(os.path.join(self.root, path))

    def book(self):
        return [path for path in self.documents if path.startswith("docs/")]

    def shown(self):
        """Returns README and the book."""
        return ["README.md", *self.book()]


def links(tree):
    for path in tree.documents:
        text = without_code(tree.read(path))
        for target in LINK.findall(text) + REFERENCE.findall(text):
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue
            name, _, anchor = target.partition("#")
            place = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
            if name.startswith("/") or place.startswith(".."):
                yield f"{path}: the link {target} leads out of the tree"
                continue
            if os.path.isdir(os.path.join(tree.root, place)):
                place = os.path.join(place, "README.md")
            if not tree.has(place):
                yield f"{path}: the link {target} leads to {place}, which does not exist"
            elif anchor and place.endswith(".md") and anchor not in anchors(tree.read(place)):
                yield f"{path}: the link {target}: {place} has no heading of that name"


def length(tree):
    count = len(tree.read("README.md").splitlines())
    if count > LINES:
        yield f"README.md has {count} lines, and may have {LINES}"


def picture(tree):
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", tree.read("README.md"))
    if len(pictures) != 1:
        yield f"README.md has {len(pictures)} pictures with a description, and should have one"
    for path in pictures:
        if not tree.has(path):
            continue
        size = os.path.getsize(os.path.join(tree.root, path))
        if size >= PICTURE:
            yield f"{path} has {size} bytes, and may have {PICTURE}"
        if "<animate" not in tree.read(path):
            yield f"{path} does not move: `cargo run --release --example race -- --output {path}` makes it"


def words(text):
    return re.findall(r"[\w']+", text.lower())


def sentences(text):
    """Yields the sentences of a document, including those in table cells and list items."""
    text = COMMENT.sub("", FENCE.sub("\n\n", text))
    text = re.sub(r"!?\[((?:[^\[\]]|\[[^\]]*\])*)\]\([^)]*\)", r"\1", text)
    for paragraph in re.split(r"\n\s*\n|\n(?=\s*(?:[-*|#]|\d+\.)\s?)", text):
        for cell in paragraph.split("|"):
            yield from re.split(r"(?<=[.!?:;])\s+", cell)


def repeated(tree):
    book = {path: " ".join(words(FENCE.sub(" ", tree.read(path)))) for path in tree.book()}
    for sentence in sentences(tree.read("README.md")):
        said = words(sentence)
        if len(said) <= WORDS:
            continue
        for path, text in book.items():
            if f" {' '.join(said)} " in f" {text} ":
                yield f"{path} repeats a sentence of README.md: {' '.join(sentence.split())}"


def compiled(tree):
    tested = re.findall(r'include_str!\("\.\./\.\./([^"]+)"\)', tree.read("examples/src/lib.rs"))
    for path in tree.shown():
        languages = [language for language, _ in blocks(tree.read(path)) if re.match(r"rust\b", language)]
        if languages and path not in tested:
            yield f"{path} shows Rust, and examples/src/lib.rs does not include it: add it there"
        for language in languages:
            if re.search(r"ignore|compile_fail|text", language):
                yield f"{path} has a block that is not compiled: {language}"


def tried(tree):
    steps = " ".join(tree.read(path) for path in tree.files if re.match(r"\.ci/steps/.*\.sh$", path))
    run = re.findall(r"readme_command '([^']+)'", steps)
    text = tree.read("README.md")
    for language, content in blocks(text):
        if language == "sh":
            for line in content.splitlines():
                command = re.sub(r"\s*(#.*)?$", "", line)
                if command and command not in run:
                    yield f"README.md: no step in .ci/steps/ runs `{command}`"
        elif language == "python":
            if content.rstrip() != tree.read("examples/python/hello.py").rstrip():
                yield "README.md does not show examples/python/hello.py as it is"
        elif language == "toml":
            for name, value in tomllib.loads(content).get("dependencies", {}).items():
                path = isinstance(value, dict) and value.get("path")
                manifest = path and os.path.join(os.path.basename(path), "Cargo.toml")
                if path and not (tree.has(manifest) and f'name = "{name}"' in tree.read(manifest)):
                    yield f"README.md: there is no package {name} at {path}"
        elif not language.startswith("rust"):
            yield f"README.md: nothing runs or compares a block of {language or 'no language'!r}"
    chapter = "docs/quick-start.md"
    if tree.read("examples/hello.rs").strip() not in tree.read(chapter):
        yield f"{chapter} does not show examples/hello.rs as it is"


def targets(tree):
    """Returns the names of all packages, with the examples, tests and benchmarks of each."""
    command = ["cargo", "metadata", "--locked", "--offline", "--no-deps", "--format-version", "1"]
    metadata = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=tree.root).stdout)
    return {package["name"]: {(kind, target["name"]) for target in package["targets"] for kind in target["kind"]}
            for package in metadata["packages"]}


def named(tree, packages):
    everywhere = set().union(*packages.values())
    for path in tree.shown():
        text = tree.read(path)
        code = [content for language, content in blocks(text) if language == "sh"]
        code += [span for _, span in CODE.findall(FENCE.sub("", text))]
        for command in " \n".join(code).splitlines():
            package = re.search(r"^\s*cargo .*?-p (\S+)", command)
            if package and package[1] not in packages:
                yield f"{path}: there is no package {package[1]}: {command.strip()}"
                continue
            known = packages[package[1]] if package else everywhere
            for kind, name in re.findall(r"--(example|test|bench) ([a-z]\w*)", command):
                if (kind, name) not in known:
                    yield f"{path}: there is no {kind} {name}: {command.strip()}"
        for span in code:
            for name in re.findall(r"(?<![\w./-])\.?(?:\w[\w.-]*/)+[\w.-]*\.(?:rs|py|svg|md)\b", span):
                if not tree.has(name):
                    yield f"{path}: there is no file {name}"


def faults(tree, packages):
    for check in links, length, picture, repeated, compiled, tried, lambda tree: named(tree, packages):
        found = list(check(tree))
        if found:
            return found
    return []


# A tree without faults, and changes that plant one fault each: file, old text, new text, a part of the expected
# message.
GOOD = {
    "README.md": "# One `two`\n![moves](docs/a.svg)\n```sh\ncargo run --example hello   # comment\n```\n"
                 "This is a sentence that has more than eight words. [There](docs/b.md#a-heading-1) [x](#one-two)\n"
                 "```rust,no_run\n```\n```python\nprint()\n```\n```toml\n[dependencies]\nlib = { path = \"../a/lib\" }\n```\n",
    "docs/a.svg": "<animate/>",
    "docs/b.md": "# A heading\n## A heading\n[back](../README.md) `[no](link)` `examples/hello.rs`\n```rust\n```\n",
    "docs/quick-start.md": "```rust\nfn main() {}\n```\n",
    "docs/README.md": "[folder](../docs/)\n```sh\ncargo test -p lib --test all\n```\n",
    "examples/src/lib.rs": 'include_str!("../../README.md") include_str!("../../docs/b.md") '
                           'include_str!("../../docs/quick-start.md")',
    "examples/hello.rs": "fn main() {}\n",
    "examples/python/hello.py": "print()\n",
    "lib/Cargo.toml": 'name = "lib"\n',
    ".ci/steps/a.sh": "readme_command 'cargo run --example hello'\n",
}
PLANTED = [
    ("README.md", "docs/b.md#a-heading-1", "docs/c.md", "docs/c.md, which does not exist"),
    ("README.md", "a-heading-1", "a-heading-2", "no heading of that name"),
    ("README.md", "#one-two", "#one", "no heading of that name"),
    ("docs/b.md", "../README.md", "../../README.md", "out of the tree"),
    ("docs/b.md", "[back](../README.md)", "[back]\n\n[back]: ../NOTHING.md", "NOTHING.md, which does not exist"),
    ("docs/README.md", "../docs/", "../lib/", "lib/README.md, which does not exist"),
    ("README.md", "# One", "\n" * 150 + "# One", "lines, and may have 150"),
    ("README.md", "![moves](docs/a.svg)", "", "has 0 pictures"),
    ("docs/a.svg", "<animate/>", "<path/>", "does not move"),
    ("docs/a.svg", "<animate/>", "<animate/>" + " " * PICTURE, "bytes, and may have"),
    ("docs/b.md", "[back]", "Here *this is a\nsentence* that has more than eight words! [back]", "repeats a sentence"),
    ("examples/src/lib.rs", "docs/b.md", "docs/c.md", "docs/b.md shows Rust"),
    ("docs/b.md", "```rust", "```rust,ignore", "not compiled"),
    ("README.md", "--example hello", "--example hell", "no step in .ci/steps/ runs"),
    ("README.md", "print()", "print(1)", "does not show examples/python/hello.py"),
    ("README.md", "../a/lib", "../a/bib", "no package lib at"),
    ("README.md", "```rust,no_run", "```lua", "nothing runs or compares"),
    ("docs/quick-start.md", "main", "nain", "does not show examples/hello.rs"),
    ("docs/README.md", "--test all", "--test none", "no test none"),
    ("docs/README.md", "-p lib", "-p bib", "no package bib"),
    ("docs/b.md", "examples/hello.rs", "examples/hell.rs", "no file examples/hell.rs"),
]


def prove():
    """Exits if a planted fault is not found, or if a fault is reported where there is none."""
    packages = {"lib": {("test", "all"), ("example", "hello")}}
    for file, part, other, said in [(None, None, None, None), *PLANTED]:
        with tempfile.TemporaryDirectory() as root:
            for path, text in GOOD.items():
                if path == file:
                    if part not in text:
                        sys.exit(f"documents.py: {path} of GOOD has no {part!r}")
                    text = text.replace(part, other)
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as out:
                    out.write(text)
            found = faults(Tree(root), packages)
            if (said is None and found) or (said and not any(said in fault for fault in found)):
                sys.exit(f"documents.py: with {other!r} in {file} it should say {said!r}, and says {found}")


def main():
    prove()
    tree = Tree(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    found = faults(tree, targets(tree))
    for fault in found:
        print(f"documents.py: {fault}", file=sys.stderr)
    if found:
        sys.exit(1)
    lines = len(tree.read("README.md").splitlines())
    print(f"{len(tree.documents)} documents; README.md has {lines} lines; {len(PLANTED)} planted faults were found")


if __name__ == "__main__":
    main()
