#!/usr/bin/env bash
# Runs the clients that README, the book and the specification show, and interrupts them.
source "$(dirname "$0")/../lib.sh"

start_server --size 640x480
timeout 120 "$python" .ci/foreign/shown.py "$address"
stop_server
