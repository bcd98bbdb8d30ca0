//! The protocols that clients speak, each in a folder of its own.
//!
//! A door turns bytes into calls on a canvas: a parser or state machine without I/O, and one task for each connection. It
//! draws through a `Caller`, asks the `budget` before its buffers grow, does as much
//! in a turn as `fairness` allows, and closes by way of the `transport`. A door uses
//! nothing of another door. [`Server`](crate::Server) accepts the clients of all doors and counts them together.

pub(crate) mod native;
pub mod pixelflut;

/// The protocol that clients of a listener speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Door {
    /// MessagePack-RPC, as `protocol/spec` describes it.
    Native,
    /// Pixelflut: see [`pixelflut`].
    Pixelflut,
}

/// Why a connection stopped executing, for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TurnEnd {
    /// Nothing more can be executed until an event: input, memory, room for answers.
    Idle,
    /// There is more to execute, after other tasks have run.
    Yield,
    /// There is more to execute, once the connection has a place in the lane: see
    /// [`Work::poll_turn`](crate::resources::fairness::Work::poll_turn).
    Queue,
}
