//! What connections share and compete for.
//!
//! Places for connections ([`admission`]), memory for their buffers ([`budget`]), processor time ([`fairness`]), read buffers
//! ([`buffers`]), and unused memory that goes back to the system ([`reclaim`]). Uses the [`limits`](crate::limits) and the clock only:
//! nothing here knows a protocol, a socket or a display.

pub(crate) mod admission;
pub(crate) mod budget;
pub(crate) mod buffers;
pub(crate) mod fairness;
pub(crate) mod reclaim;
pub(crate) mod round_robin;
