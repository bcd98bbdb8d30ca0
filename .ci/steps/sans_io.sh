#!/usr/bin/env bash
# Checks that the protocol does no I/O.
source "$(dirname "$0")/../lib.sh"

# If this check did not find these, the absence of others would prove nothing.
needs draw-protocol rmp || fail "draw-protocol is known to need rmp, and this check does not see it"
needs display-server tokio || fail "display-server is known to need tokio, and this check does not see it"
for crate in tokio mio socket2; do
    if needs draw-protocol "$crate"; then
        fail "draw-protocol needs $crate: the protocol is to do no I/O"
    fi
done
echo "draw-protocol needs neither tokio nor mio nor socket2"
if [[ -d $(rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown/lib ]]; then
    cargo build --locked -p draw-protocol --target wasm32-unknown-unknown
else
    echo "NOT CHECKED: whether draw-protocol builds for wasm32-unknown-unknown; that target is not installed here"
fi
