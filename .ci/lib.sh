# Sourced by every step. A step is a separate program: `bash .ci/steps/NAME.sh`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

# The interpreter that the Debian packages belong to, regardless of PATH.
python=/usr/bin/python3

# No step may find a screen, or a display that another user runs.
unset DISPLAY WAYLAND_DISPLAY WAYLAND_SOCKET DRAW_DISPLAY
export CARGO_TERM_PROGRESS_WHEN=never
if [[ -n ${CI:-} ]]; then
    # Everything is built once: incremental builds and full debug information would only cost time.
    export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=line-tables-only
fi

scratch=$(mktemp -d)
server=""

clean_up() {
    if [[ -n $server ]]; then
        kill -KILL "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$scratch"
}
trap clean_up EXIT

fail() {
    echo "$*" >&2
    exit 1
}

# Prints a command if README.md has it on a separate line (a comment may follow), so that the tested command is the
# documented one.
readme_command() {
    # Not grep -q: it exits at the first match, and sed could then end by SIGPIPE.
    sed -e 's/^[[:space:]]*//' -e 's/[[:space:]]*\(#.*\)\{0,1\}$//' README.md | grep -xF -- "$1" >/dev/null ||
        fail "README.md has no line '$1'"
    echo "$1"
}

# Prints cargo's target directory or the names of the examples.
metadata() {
    cargo metadata --locked --no-deps --format-version 1 >"$scratch/metadata"
    "$python" - "$scratch/metadata" "$1" <<'PYTHON'
import json, sys
with open(sys.argv[1]) as file:
    metadata = json.load(file)
if sys.argv[2] == "target":
    print(metadata["target_directory"])
for package in metadata["packages"]:
    for target in package["targets"]:
        if sys.argv[2] == "examples" and package["name"] == "draw-examples" and target["kind"] == ["example"]:
            print(target["name"])
PYTHON
}

# Starts the server with these options. Sets `server` to its process and `address` to its listening address.
start_server() {
    local target line
    target=$(metadata target)
    rm -f "$scratch/stdout"
    mkfifo "$scratch/stdout"
    "$target/release/display-server" --listen 127.0.0.1:0 --headless "$@" >"$scratch/stdout" &
    server=$!
    exec 8<"$scratch/stdout"
    read -r -t 10 line <&8 || fail "the server did not print its first line within 10 s"
    [[ $line =~ ^listening\ on\ (127\.0\.0\.1:[0-9]+)$ ]] || fail "the server's first line is '$line'"
    address=${BASH_REMATCH[1]}
    echo "$line"
}

# Checks that SIGTERM ends the server with status 0 within 2 s.
stop_server() {
    local began ended status=0
    began=${EPOCHREALTIME/./}
    kill -TERM "$server"
    # The deadline makes a server that never ends a failure of this step.
    timeout 10 tail --pid="$server" -s 0.02 -f /dev/null || fail "the server did not end within 10 s of SIGTERM"
    wait "$server" || status=$?
    ended=${EPOCHREALTIME/./}
    server=""
    exec 8<&-
    ((status == 0)) || fail "the server ended with status $status on SIGTERM"
    ((ended - began < 2000000)) || fail "the server took $(((ended - began) / 1000)) ms to end on SIGTERM"
    echo "the server ended with status 0, $(((ended - began) / 1000)) ms after SIGTERM"
}

# Returns whether package $1 needs crate $2 at run time.
needs() {
    # Called where errexit is off, so errors need explicit handling.
    cargo tree --locked -p "$1" -e normal --prefix none >"$scratch/tree" || fail "cargo tree failed for $1"
    grep -q "^$2 v" "$scratch/tree"
}
