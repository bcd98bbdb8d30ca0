#!/usr/bin/env bash
# Runs the commands of the book.
source "$(dirname "$0")/../lib.sh"

((EUID == 0)) || fail "not root: this step makes networks"
timeout 600 "$python" .ci/book.py "$(metadata target)"
