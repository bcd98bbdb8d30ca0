//! TCP: addresses, socket options, and how a connection is closed.
//!
//! Contains where a server [listens](listen), the [options of sockets](socket), the state of the [peer](peer_state) as a socket reports it
//! without being read, and the [lingering close](lingering_close). Uses the clock, the limits and the read buffers; nothing here knows what
//! the bytes mean, except for the lingering close, which sends what a protocol's state machine has left.

pub(crate) mod lingering_close;
pub(crate) mod listen;
pub(crate) mod peer_state;
pub(crate) mod socket;
