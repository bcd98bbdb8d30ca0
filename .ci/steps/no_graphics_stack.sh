#!/usr/bin/env bash
# Checks that README's first command builds no graphics stack, both in cargo's plan and in the build itself.
source "$(dirname "$0")/../lib.sh"

# If this check did not find these, the absence of others would prove nothing.
needs display-server wgpu || fail "display-server is known to need wgpu, and this check does not see it"
tree=$(cargo tree --locked --prefix none)
grep -q '^winit v' <<<"$tree" || fail "the examples are known to need winit, and this check does not see it"
for crate in pixels wgpu wgpu-core wgpu-hal naga listenfd clap_complete clap_mangen; do
    if grep "^$crate v" <<<"$tree"; then
        fail "README's first command builds $crate: see default-members and the features of display-server"
    fi
done
# The crates that the command really builds, from cargo's own messages.
cargo build --locked --release --example circle --message-format json >"$scratch/built"
"$python" .ci/built.py "$scratch/built" --with winit softbuffer --without pixels wgpu wgpu-core wgpu-hal naga listenfd
