#!/usr/bin/env bash
# Runs programs written from the specification alone: a decoder of its vectors, and the pseudo-code of a session.
source "$(dirname "$0")/../lib.sh"

"$python" .ci/foreign/vectors.py
start_server --size 640x480
timeout 120 "$python" .ci/foreign/session.py "$address"
stop_server
