#!/usr/bin/env bash
# Runs the Dockerfile's instructions, in a separate directory and namespaces. Needs root.
source "$(dirname "$0")/../lib.sh"

((EUID == 0)) || fail "not root: this step makes namespaces and changes its root directory"
grep -q '^RUN cargo build --locked --release -p display-server --no-default-features$' packaging/Dockerfile ||
    fail "the Dockerfile builds something else than this step"
cargo build --locked -p display-server --no-default-features
timeout 120 unshare --net "$python" .ci/container.py "$(metadata target)/debug/display-server"
