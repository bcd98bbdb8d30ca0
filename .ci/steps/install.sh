#!/usr/bin/env bash
# Installs the server with `cargo install`: without windows, and by README's command with all features.
source "$(dirname "$0")/../lib.sh"

# Uses the workspace's target directory, in which both have been built.
cargo install --quiet --locked --debug --no-default-features --path display-server --root "$scratch/headless"
command=$(readme_command 'cargo install --locked --path display-server')
$command --quiet --root "$scratch/window"
for kind in headless window; do
    version=$("$scratch/$kind/bin/display-server" --version)
    [[ $version =~ ^display-server\ [0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "$kind: --version prints '$version'"
    # Serves, and ends by SIGTERM with status 0.
    status=0
    rm -f "$scratch/out"
    timeout --preserve-status 10 "$scratch/$kind/bin/display-server" --headless --listen 127.0.0.1:0 >"$scratch/out" 2>"$scratch/log" &
    server=$!
    until [[ -s $scratch/out ]]; do
        kill -0 "$server" 2>/dev/null || fail "$kind: it does not serve: $(cat "$scratch/log")"
        sleep 0.05
    done
    kill -TERM "$server"
    wait "$server" || status=$?
    server=""
    ((status == 0)) || fail "$kind: it ended with status $status: $(cat "$scratch/log")"
    echo "$kind: $version, $(head -n 1 "$scratch/out")"
done
