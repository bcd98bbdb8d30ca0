//! Ways in to a display beside the native one: each has a folder here, and speaks a protocol of its own.
//!
//! A door uses what all doors share: it draws through a [`Caller`](crate::canvas::Caller) of the [`canvas`](crate::canvas), takes
//! memory from the [`budget`](crate::budget), and does its work in the turns of [`fairness`](crate::fairness). It uses nothing of
//! another door. [`Server`](crate::Server) accepts its clients and counts them among all others.

pub mod pixelflut;

/// The protocol that clients of a listener speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Door {
    /// MessagePack-RPC, as SPEC.md describes it.
    Native,
    /// Pixelflut: see [`pixelflut`].
    Pixelflut,
}
