#!/usr/bin/env bash
# README shows the Python client as it is.
source "$(dirname "$0")/../lib.sh"

"$python" - <<'PYTHON'
import sys
with open("README.md") as readme, open("examples/python/circle.py") as program:
    if program.read().strip() not in readme.read():
        sys.exit("README.md does not show examples/python/circle.py as it is")
PYTHON
