#!/usr/bin/env bash
# Runs what a person writes who has only the specification: a decoder of its vectors, and the pseudo-code of a session.
source "$(dirname "$0")/../lib.sh"

"$python" .ci/foreign/vectors.py
start_server --size 640x480
timeout 120 "$python" .ci/foreign/session.py "$address"
stop_server
