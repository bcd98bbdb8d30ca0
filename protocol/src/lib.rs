//! The wire of the network framebuffer, with no I/O.
//!
//! A program on one machine draws on a display of another through remote procedure calls in
//! [MessagePack-RPC](https://github.com/msgpack-rpc/msgpack-rpc/blob/master/spec.md). This crate has everything about
//! that wire and nothing else: no socket, no thread, no clock, no random number. Bytes and instants go in, bytes and
//! events come out, so a whole conversation runs in one thread, at any speed, cut at any byte.
//!
//! ```
//! use draw_protocol::{client, server, Answer, Color, DisplayName, Hello, Request, Size, limits};
//! use std::time::Instant;
//!
//! let now = Instant::now();
//! let size = Size { width: 4, height: 4 };
//! let (message, has_journal) = (limits::MESSAGE, false);
//! let display = DisplayName::main();
//! let config =
//!     server::Config { display, server: "demo".into(), size, message, instance: None, has_journal, nonce: None };
//! let mut client = client::Connection::new(&Hello::new("demo"));
//! let mut server = server::Connection::open(message, now);
//!
//! // Carries what each side has to say to the other; the display here forgets what it is told to draw.
//! fn carry(
//!     client: &mut client::Connection,
//!     server: &mut server::Connection,
//!     config: &server::Config,
//!     now: Instant,
//! ) {
//!     let sent = client.poll_transmit().to_vec();
//!     client.handle_transmitted(sent.len());
//!     let mut input = &sent[..];
//!     loop {
//!         match server.handle_input(&mut input, now) {
//!             server::Step::Execute(_request, _) => server.answer(Ok(Answer::Done(()))),
//!             // A server of several displays looks the name up that the client asks for.
//!             server::Step::Greet(_) => server.choose(Ok(config.clone())),
//!             server::Step::Resume(_) => server.resume(&mut None),
//!             server::Step::Continue => {}
//!             server::Step::Wait => break,
//!         }
//!     }
//!     let answered = server.poll_transmit(now).to_vec();
//!     server.handle_transmitted(answered.len(), now);
//!     let mut input = &answered[..];
//!     while client.handle_input(&mut input, now).expect("an honest server").is_some() {}
//! }
//!
//! carry(&mut client, &mut server, &config, now);
//! assert_eq!(client.welcome().map(|w| w.size().to_string()), Some("4x4".into()));
//!
//! let number = client.call(&Request::DrawPixel { x: 1, y: 2, color: Color::RED }, now).expect("a valid call");
//! assert_eq!((number, client.done()), (1, 0));
//! carry(&mut client, &mut server, &config, now);
//! assert_eq!(client.done(), 1);
//! ```
//!
//! - [`calls!`] is the interface description: one table from which requests, client methods and SPEC.md come.
//! - [`client::Connection`] and [`server::Connection`] are the two state machines. Their methods come in four kinds,
//!   in this order: getters, `handle_*` (input), commands, `poll_*` (output).
//! - [`reconnect::Reconnect`] decides when a client connects, reconnects and gives up.
//! - [`session`] is what outlives a connection, so that a request is executed exactly once.
//! - [`limits`] has every number, with its reason. [`Fault`] is what can be wrong.
//! - [`trace`] makes a conversation readable: one line per message, from the bytes of either direction.
//! - [`text`] makes what a peer chose safe to print.
//! - SPEC.md, beside this crate's manifest, explains the wire to people who write clients in other languages.

mod calls;
mod check;
pub mod client;
mod color;
mod digest;
mod display_name;
mod envelope;
mod fault;
mod geometry;
mod hello;
mod inbox;
pub mod limits;
mod pixels;
mod reader;
pub mod reconnect;
mod scan;
mod sentence;
pub mod server;
pub mod session;
pub mod text;
pub mod trace;

pub use calls::{Answer, Call, Cost, Count, Effect, Join, JournalUse, Method, Request, Split};
pub use color::{Color, ParseColorError};
pub use digest::{Digest, ParseDigestError};
pub use display_name::{DisplayName, ParseDisplayNameError};
pub use fault::{Code, Fault, NAMED, Range};
pub use geometry::{Area, Position, Size};
pub use hello::{ACK, CHECK, CONFIRM, END, GOODBYE, HELLO, Hello, PROGRESS, Welcome};
pub use pixels::{Pixel, Pixels};
pub use scan::{Scan, ScanError};
#[doc(hidden)]
pub use sentence::sentence;
