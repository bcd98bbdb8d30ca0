#!/usr/bin/env bash
# Checks that an idle server uses no processor time.
source "$(dirname "$0")/../lib.sh"

start_server
"$python" .ci/idle_check.py "$server" "$address"
stop_server
