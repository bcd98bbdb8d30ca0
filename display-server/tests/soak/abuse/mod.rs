//! Tests that hostile clients do not keep an honest one from its answers, and do not make the display exceed its memory
//! limit.
//!
//! `crowd` mixes many clients in one process. `attacks` are individual attacks, each made by a separate process at idle
//! priority, so that the measurements show only what the display does for the attackers. The long run, with all pairs
//! of attacks, is `ABUSE=60 SOAK=60 cargo test --release -p display-server --test soak abuse -- --nocapture`.

mod attacker;
mod attacks;
mod crowd;
mod honest;
mod measured;

use serde::Serialize;

/// Returns a MessagePack-RPC request, written by an encoder that is not the display's.
fn request(msgid: u32, method: &str, params: impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec(&(0, msgid, method, params)).unwrap()
}

/// Returns a notification, which is not answered.
fn notification(method: &str, params: impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec(&(2, method, params)).unwrap()
}

/// Returns the `share`th percentile of the sorted times.
fn quantile(sorted: &[std::time::Duration], share: usize) -> std::time::Duration {
    sorted.get(sorted.len() * share / 100).copied().unwrap_or_default()
}
