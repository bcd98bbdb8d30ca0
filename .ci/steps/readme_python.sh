#!/usr/bin/env bash
# Checks that the book shows the larger Python client unchanged.
source "$(dirname "$0")/../lib.sh"

"$python" - <<'PYTHON'
import sys
with open("docs/languages.md") as chapter, open("examples/python/circle.py") as program:
    if program.read().strip() not in chapter.read():
        sys.exit("docs/languages.md does not show examples/python/circle.py as it is")
PYTHON
