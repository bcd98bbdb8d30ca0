//! The display of the network framebuffer: programs draw on it, and read it, over TCP.
//!
//! A [`Display`] has pixels, a pointer and counters. A [`Server`] lets clients draw on it; [`run`] does so with default
//! limits, and the program `display-server` adds a command line. A program that needs a display in its own process
//! calls [`with_display`].
//!
//! ```
//! use display_server::{Options, Position, Present, with_display};
//!
//! let options = Options { listen: "127.0.0.1:0".into(), present: Present::None, ..Options::default() };
//! with_display(options, |handle| {
//!     println!("draw at {}", handle.address());
//!     handle.display().set_mouse(Some(Position { x: 3, y: 4 }));
//! })?;
//! # Ok::<(), display_server::Error>(())
//! ```
//!
//! # How a request becomes a picture
//!
//! ```text
//! transport -> door (protocol's state machine) -> canvas: apply() -> Framebuffer -> Damage -> presenter
//! ```
//!
//! - Each connection is a task. It reads a buffer, executes all requests in it, publishes the damage, and sends all
//!   answers.
//! - [`apply`](apply()) executes one request. It is a plain function.
//! - The [`Framebuffer`] has no lock. Its pixels are relaxed atomics, and any number of connections draw at the same
//!   time.
//! - [`Damage`] tells which rows have changed. Each [`Subscription`] is woken once, takes the damage, and copies those
//!   rows.
//! - `DRAW_DEBUG=1` in the environment prints all messages from and to clients: see [`draw_protocol::trace`].
//! - A [`journal`], if there is one, writes each drawing call to a file before it is drawn. If a client asks for
//!   durable answers, they are held back until the file is synced.
//! - Each [`window`] is such a presenter. All windows share a thread. Only windows need a screen.
//! - No client can make the server panic, exceed its memory budget, or delay its shutdown: see [`ServerOptions`] and
//!   [`limits`].
//!
//! # Features
//!
//! - `window`: windows, presented by software. Without it no window can be opened, and the display serves without one.
//! - `gpu`: windows presented with a GPU where there is one. Includes `window`.
//!
//! Both are on by default. The features `systemd` (on by default) and `manual` are for the program alone.

#[doc(hidden)]
pub mod arg_parsers;
mod canvas;
mod clock;
pub mod displays;
#[doc(hidden)]
pub mod doors;
mod error;
pub mod journal;
pub mod limits;
mod local;
pub mod output;
mod resources;
mod server;
mod sessions;
#[doc(hidden)]
pub mod signals;
pub mod snapshot;
mod sync;
mod transport;
pub mod window;

pub use canvas::apply::apply;
pub use canvas::damage::Damage;
pub use canvas::display::{Display, Pointer, Stats};
pub use canvas::framebuffer::{Framebuffer, Subscription};
pub use canvas::{Journal, RecoveredJournal};
pub use doors::Door;
pub use draw_protocol::Area;
pub use draw_protocol::{Color, DisplayName, Position, Size};
pub use error::Error;
pub use local::{Handle, Options, with_display};
pub use server::{Server, ServerOptions, run};
pub use transport::listen::{bind, bind_or};
pub use window::Present;
