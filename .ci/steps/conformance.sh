#!/usr/bin/env bash
# Judges our three clients at every level, and README's Python client at level plain.
source "$(dirname "$0")/../lib.sh"

examples=$(metadata target)/release/examples
for client in blocking pipeline async; do
    echo "$client"
    timeout 120 "$examples/conformance" --level checks --json "$scratch/$client.json" -- \
        "$examples/conformance_client" --client "$client" | tee "$scratch/report" | sed 's/^/  /'
    grep -q "the highest level reached is checks" "$scratch/report" || fail "$client did not reach the level checks"
    "$python" -c 'import json, sys; assert json.load(open(sys.argv[1]))["reached"] == "checks"' "$scratch/$client.json"
done
echo "Python, plain"
timeout 120 "$examples/conformance" --level plain -- "$python" .ci/foreign/conformance.py | sed 's/^/  /'
# A program that is not a client: the judge must report this, also by its status.
if timeout 60 "$examples/conformance" --level plain --timeout 2s -- true >"$scratch/report"; then
    fail "the judge accepts a program that does nothing"
fi
grep -q "no level is reached" "$scratch/report" || fail "the judge does not say that no level is reached"
