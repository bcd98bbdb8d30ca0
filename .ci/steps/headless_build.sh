#!/usr/bin/env bash
# Builds, lints and tests the server without windows.
source "$(dirname "$0")/../lib.sh"

cargo clippy --locked -p display-server --no-default-features --all-targets -- -D warnings
cargo clippy --locked -p display-server --no-default-features --features window --all-targets -- -D warnings
cargo test --locked -p display-server --no-default-features --lib window
cargo build --locked -p display-server --no-default-features --message-format json >"$scratch/built"
"$python" .ci/built.py "$scratch/built" --with tokio --without pixels wgpu winit softbuffer x11rb
timeout 120 "$python" .ci/window/headless.py "$(metadata target)/debug/display-server"
