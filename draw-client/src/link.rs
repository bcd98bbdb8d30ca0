//! What carries the bytes of a connection and makes another when it is lost: the driver of the asynchronous clients, and the exchange of
//! the blocking one.
//!
//! Both follow the machine of [`reconnect`](crate::reconnect). This folder may use `shared`, `transport` and everything below them, and
//! nothing of `api`.

pub(crate) mod blocking;
pub(crate) mod debug;
mod driver;
pub(crate) mod pipeline_thread;

pub(crate) use driver::Callers;
pub use driver::Driver;
