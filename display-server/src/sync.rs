//! What threads share without a lock, imported from here by the files that `fuzz/interleavings/` runs in every order, with
//! loom's models in place of these.

pub(crate) use futures::task::AtomicWaker;
pub(crate) use std::sync::OnceLock;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64};
