"""Checks the list in ARCHITECTURE.md of the functions that the colour of a pixel passes, from draw_pixel to the
framebuffer.

    python3 .ci/pixel_path.py

Each function must be in the file that the list names, and one marked `>` must be called in the body of the function
above it. The list may have at most 25 functions. Needs the standard library of Python 3.11.
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
MOST = 25


def fail(sentence):
    sys.exit(f"pixel_path.py: {sentence}")


def bodies(text, name):
    """Yields the body of each function of this name, without comments."""
    text = re.sub(r"//[^\n]*", "", text)
    for found in re.finditer(rf"\bfn {re.escape(name)}\b", text):
        start = text.find("{", text.find(")", found.end()))
        depth = 0
        for at in range(start, len(text)):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            if depth == 0:
                yield text[start:at]
                break


def listed(document):
    """Yields for each function of the list its file, whether the function above calls it, and its name."""
    block = re.search(r"`\.ci/pixel_path\.py`.*?```text\n(.*?)```", document, re.S)
    if not block:
        fail("ARCHITECTURE.md has no list of functions")
    for line in block[1].splitlines():
        found = re.fullmatch(r"(\S+\.rs) +(> )?(\$?\w+)(?: .*)?", line)
        if not found:
            fail(f"'{line}' is no line of the list: file, `>` if the function above calls it, name, what it does")
        yield found[1], bool(found[2]), found[3]


def check(document, read):
    """Checks the list and returns the number of its functions. `read` returns the text of a file."""
    functions, above = list(listed(document)), None
    if len(functions) > MOST:
        fail(f"the colour of a pixel passes {len(functions)} functions, and may pass {MOST}")
    for file, is_called, name in functions:
        found = list(bodies(read(file), name))
        if not found:
            fail(f"{file} has no function {name}")
        if is_called and not any(re.search(rf"\b{name}\(", body) for body in above):
            fail(f"{name} of {file} is not called by the function above it")
        above = found
    return len(functions)


def prove():
    """Tests this check on lists with errors."""
    files = {"a.rs": "fn f() { g(1) }", "b.rs": "fn g(x: u8) { h }"}
    right = "`.ci/pixel_path.py`\n```text\na.rs f\nb.rs > g\n```"
    if check(right, files.get) != 2:
        fail("this check is wrong about a list that is right")
    for wrong in (right.replace("> g", "> h"), right.replace("a.rs f\n", "b.rs g\n"), right.replace("a.rs f", "a.rs f\n" * MOST)):
        try:
            check(wrong, files.get)
        except SystemExit:
            continue
        fail(f"this check finds nothing wrong with {wrong!r}")


prove()
count = check((ROOT / "ARCHITECTURE.md").read_text(), lambda file: (ROOT / file).read_text())
print(f"the colour of a pixel passes {count} functions")
