#!/usr/bin/env bash
# Runs README's first command and checks its picture.
source "$(dirname "$0")/../lib.sh"

command=$(readme_command 'cargo run --release --example circle')
if (exec 3<>/dev/tcp/127.0.0.1/3729) 2>/dev/null; then
    fail "something listens on 127.0.0.1:3729: the example would draw there and leave no picture"
fi
rm -f circle.png
timeout 900 bash -c "$command"
[[ -s circle.png ]] || fail "'$command' left no circle.png"
"$python" .ci/png_check.py disc 100 circle.png
