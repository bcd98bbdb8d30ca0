//! Draw in a window of another machine.
//!
//! A program here, a display there (the program `display-server` runs it), and remote
//! procedure calls in between: one line to connect, one line per drawing call.
//!
//! ```no_run
//! use draw_client::{Color, Display};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> draw_client::Result<()> {
//!     let display = Display::builder()
//!         .on_error(|late| eprintln!("{late}"))
//!         .connect("localhost:3729")
//!         .await?;
//!     for x in 0..100 {
//!         display.draw_pixel(x, 50, Color::RED).await?;  // does not wait for the display
//!     }
//!     println!("the pointer is at {:?}", display.get_mouse().await?);  // a question waits for its answer
//!     display.close().await
//! }
//! ```
//!
//! # What a call costs
//!
//! A synchronous call ([`blocking::Display`]) costs a round trip: on one machine some microseconds, between cities
//! tens of milliseconds, for each of the 7,860 pixels of a circle. Two things cure it. The specific one is to say more
//! per call: [`draw_pixels`](Display::draw_pixels) takes them all at once. The general one is not to wait: the
//! asynchronous [`Display`] sends the next call while the last is on its way, and only waits when the display falls
//! behind. It runs on tokio; for a plain program [`blocking::Pipeline`] does the same without a runtime.
//!
//! # What happens to an error
//!
//! The price of not waiting is that errors come later, so they have a rule: **an error goes to whoever is waiting for
//! it; if nobody is, to the error callback; if there is none, to the next `sync()` or `close()`. Never to nobody.**
//! Where even that comes to nothing, because the last handle is gone or the runtime has ended, they are printed on standard error:
//! how many, and the first with its line. A part of a program may have a callback of its own: see [`Display::scope`].
//!
//! | what you do with the [`Reply`] of a drawing call | it worked | it failed |
//! |---|---|---|
//! | drop it, or never name it | nothing | the error callback gets it |
//! | `reply.await?`, or `reply.wait()?` of a [`blocking::Reply`] | `Ok` | the error, here and only here |
//! | `reply.ignore()` | nothing | nothing |
//!
//! A [`LateError`] says which line of the program made the call, with its parameters, in which scope, how long ago, and
//! its [`Outcome`]: rejected, or unknown when the call was sent and the connection broke before an answer came. It is one line for a person,
//! fields for the program, and a `tracing` event inside the span that was current at the call.
//!
//! # What happens when the connection is lost
//!
//! Another one is made, for 30 seconds unless [`Builder::reconnect`] says otherwise, and everything goes on where it was:
//! every call is executed once, in its order. Calls wait meanwhile, or fail, or the oldest are dropped for newer ones
//! ([`Builder::while_gone`]); a live picture drops them also while the display does not keep up. [`Builder::on_status`] hears of it. Only if the display itself was started anew, or was out of reach for more than two minutes, is it unknown what became
//! of the calls that were under way: they fail with [`Error::Forgotten`], and those that follow draw on what there is. If
//! no other connection comes about in that time, calls fail with [`Error::Disconnected`]: those that were sent are unknown, those that never
//! were are rejected.
//!
//! # Forks and signal handlers
//!
//! A connection belongs to the process that made it. After a `fork` every call in the child fails at once with
//! [`Lost::Forked`], and nothing of the parent's connection is touched when the child lets go of its handles: call `connect` in
//! the child. A daemon forks before it connects.
//!
//! Do not draw in a signal handler: it may have interrupted a call of the same thread, or the system's allocator, which is not to
//! be entered twice. A second call within the first is refused with [`Error::Reentrant`] where it can be told, rather than
//! waiting for itself, also where a call of another display lies between; so is one of a `tracing` subscriber that
//! [`blocking::Display`] has called. Set a flag in the handler, and draw where it is read.
//!
//! # What survives a crash of the display
//!
//! A display with a journal (`display-server --journal DIR`) comes back with its picture. After a loss of power the last of it may be
//! missing, what was not on the disk yet. [`Display::sync_durable`] waits until everything so far is; a program that says
//! [`Durability::Durable`] is told of nothing before it is.
//!
//! # What crosses the wire
//!
//! `DRAW_DEBUG=1` in the environment prints every message of every connection on standard error, one line each, with
//! its time, direction, number, method and parameters; an answer has the time since its request. `DRAW_DEBUG=full` prints
//! the bytes too. [`draw_protocol::trace`] says how to read the lines. A trace that nobody reads does not stop the program: see
//! [`draw_printer`].
//!
//! # Which line waits
//!
//! `DRAW_DOCTOR=1` in the environment, or `doctor(true)` of a builder, prints on standard error, when a connection ends,
//! which lines of the program waited for the display, how long, and what would cure that, as far as the numbers say:
//!
//! ```text
//! doctor: 7,860 calls waited for their answer at examples/circle.rs:264:21 draw_pixel, 3.2 ms each, 25 s of the program's 25 s.
//!         One draw_pixels, or the asynchronous Display, would take about 7 ms.
//! ```
//!
//! [`Diagnosis`] says what is counted, and is the same as a value: [`Display::diagnosis`].
//!
//! # Colours, coordinates, sizes
//!
//! `(0, 0)` is the top left corner. Coordinates are pixels; those outside of the display are errors, not crashes, and
//! whatever lies inside is drawn. A [`Color`] has four bytes, red, green, blue and alpha; drawing stores them as they
//! are, so opaque red as a number is 0xff0000ff. Images are bytes R, G, B, A, rows from the top.

#[macro_use]
mod methods;

mod address;
pub mod blocking;
mod builder;
mod checksums;
mod debug;
mod digest;
mod display;
mod doctor;
mod driver;
mod durability;
mod error;
mod late;
pub mod limits;
mod pace;
mod process;
mod reconnect;
mod reply;
mod say;
mod scope;
mod shared;
mod socket;
mod status;
mod sync;
mod while_gone;
mod writer;

/// Not part of the interface: a fuzz target reads and writes addresses without connecting to them.
#[doc(hidden)]
pub use address::{Address, parse as parse_address};
pub use address::{DRAW_DISPLAY, default_address};
pub use builder::Builder;
pub use digest::digest_of_image;
pub use display::Display;
pub use doctor::{Cure, DRAW_DOCTOR, Diagnosis, Finding, Site};
pub use draw_protocol::{
    Call, Code, Color, Count, Digest, DisplayName, Fault, Method, ParseColorError, ParseDigestError, Pixel,
    Position, Range, Size,
};
pub use driver::Driver;
pub use durability::Durability;
pub use error::{Error, Late, Lost, Outcome, Result};
pub use late::{FailedCall, LateError};
pub use limits::PORT;
pub use reply::{Draw, Reply};
pub use shared::Stats;
pub use status::Status;
pub use while_gone::WhileGone;
