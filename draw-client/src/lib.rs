//! Draws on a display on another machine.
//!
//! ```no_run
//! use draw_client::{Color, Pixel, blocking::Display};
//!
//! fn main() -> draw_client::Result<()> {
//!     let display = Display::connect("localhost:3729")?;
//!     display.draw_pixel(10, 20, Color::RED)?;
//!     let line: Vec<_> = (0..100).map(|x| Pixel::at(x, 50, Color::BLUE)).collect();
//!     display.draw_pixels(&line)?;
//!     println!("the pointer is at {:?}", display.get_mouse()?);
//!     display.close()
//! }
//! ```
//!
//! The program `display-server` runs the display. Each call is a remote procedure call over TCP.
//!
//! # Choose a client
//!
//! | client | a drawing call | its errors | suits |
//! |---|---|---|---|
//! | [`blocking::Display`] | returns when it is drawn, after one round trip | returned by the call | few calls, or many pixels in each |
//! | [`blocking::Pipeline`] | returns when it is accepted | returned by its reply, else to the error callback | many calls, without a runtime |
//! | [`Display`] | is a future, ready when it is accepted | the same | many calls, on tokio |
//!
//! All three have the same calls. [`ConnectOptions`] sets callbacks, timeouts and the rest, and connects any of them. A round trip
//! takes microseconds on one machine and tens of milliseconds between cities. Two things avoid it: more pixels in a call, as in
//! [`draw_pixels`](Display::draw_pixels), or a client that does not wait.
//!
//! # Coordinates and colours
//!
//! `(0, 0)` is the top left corner. Coordinates are `i32`, widths and heights `u32`. What is outside of the display is an error,
//! and the part inside is drawn. [`Pixel::at`] takes coordinates of any integer type. A [`Color`] has the bytes red, green,
//! blue and alpha, and is stored as it is: opaque red is `0xff0000ff`. Images are bytes R, G, B, A, rows from the top.
//!
//! # Errors
//!
//! [`Error`] says what happened, and [`Error::outcome`] whether the call was certainly not executed or may have been. Clients that
//! do not wait learn of errors late. A late error goes to the [`Reply`] of its call; if that was dropped, to the error callback of
//! its [scope](Display::scope) or of the display; without one, to the next `sync` or `close`. When the last handle is dropped or the
//! runtime ends, errors that were not delivered are printed on standard error. A [`LateError`] has the line of the program that
//! made the call, the call itself, and what the display found wrong.
//!
//! # Lost connections
//!
//! The client reconnects for up to 30 seconds ([`ConnectOptions::reconnect`]) and resumes where it left off: every call is executed
//! once, in its order. Meanwhile calls wait, fail, or replace older ones ([`ConnectOptions::while_offline`]). If the display has
//! lost the session, because it was started anew or the client was away for more than two minutes, calls that were under way
//! fail with [`Error::SessionLost`]. If reconnecting does not succeed, calls fail with [`Error::Disconnected`].
//!
//! A display with a journal (`display-server --journal DIR`) keeps its picture when it is restarted.
//! [`sync_durable`](Display::sync_durable) returns when everything so far is on its disk, and with [`Durability::Durable`]
//! every call does.
//!
//! # Forks and signal handlers
//!
//! A connection belongs to the process that made it. After a `fork` every call in the child fails with
//! [`DisconnectReason::Forked`], and the parent's connection is not affected: connect again in the child. A daemon forks before
//! it connects.
//!
//! Do not draw in a signal handler or a `tracing` subscriber: it may have interrupted a call of the same thread. Such a call fails
//! with [`Error::WouldDeadlock`] where that can be detected. Set a flag, and draw where it is read.
//!
//! # Diagnosis
//!
//! | environment variable | prints on standard error |
//! |---|---|
//! | `DRAW_DEBUG=1` | every message, with its time; `full` adds the bytes. [`draw_protocol::trace`] describes the lines. |
//! | `DRAW_DOCTOR=1` | when a connection ends, the lines of the program that waited for the display, and what would avoid that: [`Diagnosis`] |

mod admission;
mod api;
mod block_on;
mod clock;
mod completion;
mod doctor;
mod error;
pub mod limits;
mod link;
mod process;
/// Compiles the program of the package's front page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
mod reconnect;
mod shared;
mod stderr;
mod sync;
mod transport;

pub use admission::WhileOffline;
pub use api::{ConnectOptions, Display, Draw, Durability, Reply, blocking, digest_of_image};
pub use doctor::{Cure, DRAW_DOCTOR, Diagnosis, Finding, Site};
pub use draw_protocol::{
    Call, Code, Color, Count, Digest, DisplayName, Fault, Method, ParseColorError, ParseDigestError, Pixel,
    Position, Range, Size,
};
pub use error::{DisconnectReason, Error, FailedCall, Late, LateError, Outcome, Picture, Result, Status};
pub use limits::PORT;
pub use link::Driver;
pub use shared::Stats;
/// Not part of the interface: a fuzz target reads and writes addresses without connecting to them.
#[doc(hidden)]
pub use transport::address::{Address, parse as parse_address};
pub use transport::address::{DRAW_DISPLAY, default_address};
