//! Atomics that threads share without a lock. The files that `fuzz/interleavings/` runs in every order import them from
//! here; loom's models take their place there.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64};
