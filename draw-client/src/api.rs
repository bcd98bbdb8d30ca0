//! What a program uses: the handles of the three clients, their options, and replies.
//!
//! This folder contains no rules of its own: a handle passes a call to [`shared`](crate::shared) or to [`link`](crate::link), and returns
//! what comes of it. It may use everything; nothing may use it.

#[macro_use]
mod methods;

pub mod blocking;
mod connect;
mod digest;
mod display;
mod durability;
mod options;
mod pipeline;
mod reply;

pub use digest::digest_of_image;
pub use display::Display;
pub use durability::Durability;
pub use options::ConnectOptions;
pub use reply::{Draw, Reply};
