//! The handshake messages: `hello` and its answer, the welcome.

use crate::codec::checksum::Checksum;
use crate::limits;
use crate::session::{Id, Resume, Standing};
use crate::types::DisplayName;
use crate::types::Size;
use serde::{Deserialize, Serialize};

/// The method of the handshake.
pub const HELLO: &str = "hello";
/// The notification with which a server acknowledges, cumulatively: `[applied]`.
pub const PROGRESS: &str = "progress";
/// The notification with the reason why a server closes the connection: `[fault]`.
pub const GOODBYE: &str = "goodbye";
/// The notification with which a client acknowledges the replies of its session: `[ack]`.
pub const ACK: &str = "ack";
/// The notification with which a client confirms the welcome, before anything else: `[nonce]`.
pub const CONFIRM: &str = "confirm";
/// The notification with which a client ends its session for good: `[]`.
pub const END: &str = "end";

/// The parameter of `hello`, a map. Unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Hello {
    /// The wire version that the client speaks.
    pub version: u32,
    /// A name of the client, for logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The display that the client asks for, by its [name](crate::DisplayName). Without it, the server's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
    /// The session that the client begins or continues: random bytes that the client chooses. Without it requests that a lost
    /// connection leaves unanswered stay unanswered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Id>,
    /// The display that the session was on: [`Welcome::instance`] as it was last answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Id>,
    /// Which `hello` of the session this is, from 1: one that arrives after a later one is refused.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub attempt: u64,
    /// Which `hello` the session began with, as far as the client knows: that to which it was last answered anything but
    /// [`Resumed`](Standing::Resumed) or [`Regressed`](Standing::Regressed). 0 if none was answered.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub born: u64,
    /// The [`Welcome::nonce`] of that answer, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<u64>,
    /// The client has received every reply of the session up to this number.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ack: u64,
    /// The last request up to `ack` that has drawn, if that is not the one of `ack` itself: later requests only read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drew: Option<u64>,
    /// Number of the first request of the session that was certainly not sent.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub next: u64,
    /// The client knows that the display has lost the last requests of the session
    /// ([`Code::StateRegressed`](crate::Code::StateRegressed)), and continues.
    #[serde(default, skip_serializing_if = "is_false")]
    pub accepts_loss: bool,
    /// The display reports a request on this connection only when it is on the disk.
    #[serde(default, skip_serializing_if = "is_false")]
    pub durable: bool,
    /// A check goes before each message of this connection, of either side, this one included. The name of the check in front of
    /// this `hello` states its kind.
    #[serde(default, skip_serializing_if = "is_false")]
    pub checks: bool,
    /// The kind of the checks that the client sends. It is not part of the map.
    #[serde(skip)]
    pub checksum: Checksum,
    /// The client answers the welcome with [`CONFIRM`] before it sends anything else: a copy of what it sends that arrives
    /// again later, on whatever connection, is never executed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub confirms: bool,
}

fn one() -> u64 {
    1
}

fn is_one(n: &u64) -> bool {
    *n == 1
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Hello {
    /// Creates a `hello` of this crate's version.
    pub fn new(client: impl Into<String>) -> Hello {
        Hello {
            version: limits::VERSION,
            client: Some(client.into()),
            display: None,
            session: None,
            instance: None,
            attempt: 1,
            born: 0,
            incarnation: None,
            ack: 0,
            drew: None,
            next: 1,
            accepts_loss: false,
            durable: false,
            checks: false,
            checksum: Checksum::Xxh3,
            confirms: false,
        }
    }

    /// Asks for a session: 16 random bytes that were never used before. The client confirms each welcome, see
    /// [`Hello::with_confirmation`].
    pub fn with_session(self, session: Id) -> Hello {
        Hello { session: Some(session), confirms: true, ..self }
    }

    /// Asks for the display of this name. A server that does not know names answers without one: see
    /// [`Ended::OneDisplay`](crate::client::Ended::OneDisplay).
    pub fn with_display(self, name: Option<DisplayName>) -> Hello {
        Hello { display: name.map(|name| name.to_string()), ..self }
    }

    /// Sets whether the client confirms each welcome of its session. A client that does not is protected against late copies of
    /// its own bytes only for as long as the display remembers its session.
    pub fn with_confirmation(self, confirms: bool) -> Hello {
        Hello { confirms, ..self }
    }

    /// Sets whether the display reports only what a crash cannot take back.
    pub fn with_durability(self, durable: bool) -> Hello {
        Hello { durable, ..self }
    }

    /// Sets whether each message has a checksum, so that corruption in transit is detected.
    pub fn with_checks(self, checks: bool) -> Hello {
        Hello { checks, ..self }
    }

    /// Gives each message a checksum of this kind: see [`Hello::with_checks`].
    pub fn with_checksum(self, checksum: Checksum) -> Hello {
        Hello { checks: true, checksum, ..self }
    }

    /// Returns the kind of the check in front of each message, if each has one.
    pub(crate) fn agreed_checksum(&self) -> Option<Checksum> {
        self.checks.then_some(self.checksum)
    }

    /// Returns the session that is asked for, if one is.
    pub fn resume(&self) -> Option<Resume> {
        let Hello { instance, attempt, born, incarnation, ack, next, accepts_loss, confirms, .. } = *self;
        let (session, drew) = (self.session?, self.drew.unwrap_or(ack));
        Some(Resume {
            session,
            instance,
            attempt,
            born,
            incarnation,
            ack,
            drew,
            next,
            accepts_loss,
            confirms,
        })
    }
}

/// The answer to `hello`, a map: the display, and what it grants. Unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Welcome {
    /// The wire version that will be spoken.
    pub version: u32,
    /// A name of the server, for logs.
    #[serde(default)]
    pub server: String,
    /// Columns of the display.
    pub width: u32,
    /// Rows of the display.
    pub height: u32,
    /// Requests that may be unanswered.
    pub calls: u32,
    /// Bytes of requests that may be unanswered. One request larger than that may go when nothing else is unanswered.
    pub bytes: u32,
    /// Bytes that one message may have.
    pub message: u32,
    /// Pixels that one `draw_pixels` or `add_pixels` may have.
    pub batch: u32,
    /// The id of the display: 16 random bytes that were drawn when it was empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Id>,
    /// How often this display has been started, from 1: a display that keeps a journal outlives its process. Two starts have the
    /// same number only if nothing was drawn between them, nor lost: those of a display that found its disk full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<u64>,
    /// How the session stands, if one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Standing>,
    /// The request of the session that was executed last, 0 for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<u64>,
    /// If the client confirms and has a session: a number that no other connection has, which the client returns in
    /// [`CONFIRM`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<u64>,
    /// The name of the display, if it was asked for by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
}

impl Welcome {
    /// Creates a welcome with the default limits.
    pub fn new(server: impl Into<String>, size: Size, message: usize) -> Welcome {
        Welcome {
            version: limits::VERSION,
            server: server.into(),
            width: size.width,
            height: size.height,
            calls: limits::CREDIT_CALLS,
            bytes: limits::CREDIT_BYTES,
            message: message as u32,
            batch: limits::BATCH as u32,
            instance: None,
            boot: None,
            session: None,
            applied: None,
            nonce: None,
            display: None,
        }
    }

    /// Returns width and height of the display in pixels.
    pub fn size(&self) -> Size {
        Size { width: self.width, height: self.height }
    }
}
