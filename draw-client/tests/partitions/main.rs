//! The real client and the real server, over a simulated network that fails, in virtual time: hours take seconds, and
//! nothing depends on the speed of the machine.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod crowd;
mod dropping;
mod outages;
mod programs;
mod restarts;
mod takeover;
mod world;
