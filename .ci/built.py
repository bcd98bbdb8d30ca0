"""Checks which crates a build has built, from the messages that `cargo build --message-format json` printed.

    python3 built.py MESSAGES --with CRATE... --without CRATE...
"""
import argparse
import json
import sys


def built(path):
    with open(path, encoding="utf-8") as file:
        messages = [json.loads(line) for line in file if line.startswith("{")]
    if messages[-1].get("reason") != "build-finished" or not messages[-1]["success"]:
        sys.exit(f"built.py: {path} is not of a build that succeeded")
    # `registry+https://...#name@version` or, of a package whose folder has its name, `path+file:///.../name#version`.
    ids = {message["package_id"] for message in messages if message["reason"] == "compiler-artifact"}
    names = [id.rpartition("#") for id in ids]
    return {name.partition("@")[0] if "@" in name else place.rpartition("/")[2] for place, _, name in names}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("messages")
    parser.add_argument("--with", nargs="+", default=[], dest="wanted")
    parser.add_argument("--without", nargs="+", default=[], dest="unwanted")
    arguments = parser.parse_args()
    crates = built(arguments.messages)
    missing = sorted(set(arguments.wanted) - crates)
    surplus = sorted(set(arguments.unwanted) & crates)
    if missing:
        sys.exit(f"built.py: the build lacks {', '.join(missing)}, so its messages are not those expected")
    if surplus:
        sys.exit(f"built.py: the build includes {', '.join(surplus)}")
    print(f"{len(crates)} crates, without {', '.join(arguments.unwanted)}")


if __name__ == "__main__":
    main()
