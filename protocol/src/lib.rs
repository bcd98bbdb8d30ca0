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
//! - [`calls!`] is the interface description: one table from which requests, client methods and the specification come.
//! - [`client::Connection`] and [`server::Connection`] are the two state machines. Their methods come in four kinds,
//!   in this order: getters, `handle_*` (input), commands, `poll_*` (output).
//! - [`reconnect::Reconnect`] decides when a client connects, reconnects and gives up.
//! - [`session`] is what outlives a connection, so that a request is executed exactly once.
//! - [`limits`] has every number, with its reason. [`Fault`] is what can be wrong.
//! - [`trace`] makes a conversation readable: one line per message, from the bytes of either direction.
//! - [`text`] makes what a peer chose safe to print.
//! - `spec/`, beside this crate's manifest, specifies the wire for clients in other languages.

pub mod client;
mod codec;
mod fault;
mod hello;
pub mod limits;
pub mod reconnect;
mod sentence;
pub mod server;
pub mod session;
mod table;
pub mod text;
pub mod trace;
mod types;

pub use codec::checksum::{CHECK, CRC32, Checksum};
pub use codec::scan::{Scan, ScanError};
pub use fault::{Code, Fault, NAMED, Range};
pub use hello::{ACK, CONFIRM, END, GOODBYE, HELLO, Hello, PROGRESS, Welcome};
#[doc(hidden)]
pub use sentence::sentence;
pub use table::{Answer, Call, Cost, Count, Effect, Join, JournalUse, Method, Pixel, Pixels, Request, Split};
pub use types::{
    Area, Color, Digest, DisplayName, ParseColorError, ParseDigestError, ParseDisplayNameError, Position,
    Size,
};
