#!/usr/bin/env bash
# Runs every example.
source "$(dirname "$0")/../lib.sh"

# The arguments of each example. A missing example, or an entry without an example, fails the step.
declare -A arguments=(
    [circle]="--exit --diameter 31 --rtt 4ms"
    [conformance]="--list"
    [conformance_client]="--client pipeline --checks"
    [density]=""
    [draw_wire]=""
    [film]="--seconds 1s"
    [hello]=""
    [late_errors]=""
    [mouse]=""
    [picture]=""
    [race]="--rtt 4ms --diameter 9"
    [unkillable]="--kills 5 --calls 200000"
)

names=$(metadata examples)
target=$(metadata target)
[[ -n $names ]] || fail "cargo metadata lists no example of draw-examples"
for name in $names; do
    [[ -v arguments[$name] ]] || fail "there is no known way to run the example $name: add it to the table in $0"
done
for name in "${!arguments[@]}"; do
    grep -qxF "$name" <<<"$names" || fail "the table in $0 has $name, which is no example"
done
# `hello` needs a running display.
start_server
for name in $names; do
    read -ra words <<<"${arguments[$name]}"
    echo "$name ${words[*]}"
    # In a separate directory: an example may leave files.
    directory=$scratch/examples/$name
    mkdir -p "$directory"
    status=0
    unset DRAW_DISPLAY
    [[ $name == hello ]] && export DRAW_DISPLAY=$address
    (cd "$directory" && timeout 60 "$target/release/examples/$name" "${words[@]}") >"$directory.out" || status=$?
    sed 's/^/  /' "$directory.out"
    ((status == 0)) || fail "the example $name ended with status $status"
    grep -q '[^[:space:]]' "$directory.out" || fail "the example $name printed nothing"
done
stop_server
grep -q '<animate ' "$scratch/examples/race/race.svg" || fail "race left no animated picture"
