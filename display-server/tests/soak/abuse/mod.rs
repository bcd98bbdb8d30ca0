//! Clients that mean harm do not keep an honest one from its answers, and do not make the display use more than it may.
//!
//! `crowd` mixes many clients in one process. `attacks` are single ways of doing harm, each made by a process of its own
//! that takes only the processor time that nobody else wants, so that what is measured is what the display does for them.
//! `ABUSE=60 SOAK=60 cargo test --release -p display-server --test soak abuse -- --nocapture` is the long run, with any two
//! attacks together.

mod attacker;
mod attacks;
mod crowd;
mod honest;
mod measured;

use serde::Serialize;

/// A MessagePack-RPC request, written by an encoder that is not the display's.
fn request(msgid: u32, method: &str, params: impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec(&(0, msgid, method, params)).unwrap()
}

/// A notification, which is not answered.
fn notification(method: &str, params: impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec(&(2, method, params)).unwrap()
}

/// The value that this share of the times does not exceed.
fn quantile(sorted: &[std::time::Duration], share: usize) -> std::time::Duration {
    sorted.get(sorted.len() * share / 100).copied().unwrap_or_default()
}
