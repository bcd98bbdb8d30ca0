#!/usr/bin/env bash
# Draws with Pixelflut through a plain socket.
source "$(dirname "$0")/../lib.sh"

timeout 120 "$python" .ci/foreign/pixelflut.py "$(metadata target)/release/display-server"
