#!/usr/bin/env bash
# Makes the server write to devices, to a full disk and to a directory of another user. Needs root.
source "$(dirname "$0")/../lib.sh"

target=$(metadata target)
if ((EUID != 0)); then
    fail "not root: this step makes device nodes, mounts a small file system, and runs the server as somebody else"
fi
timeout 300 "$python" .ci/files_check.py "$target/release/display-server"
