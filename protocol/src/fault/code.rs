//! The kinds of faults and their names on the wire.

use crate::text::Printable;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// The kinds of faults. On the wire each is its name in lower case, as [`Code::as_str`] gives it.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
            /// A code that this version does not know.
            Other(String),
        }

        impl Code {
            /// Every code that this version knows, with what it means.
            pub const ALL: &[(Code, &'static str)] = &[$((Code::$name, concat!($($doc),+))),+];

            /// Returns the code as it is on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Code::$name => $text,)+
                    Code::Other(text) => text,
                }
            }
        }

        impl From<String> for Code {
            fn from(text: String) -> Code {
                match text.as_str() {
                    $($text => Code::$name,)+
                    _ => Code::Other(text),
                }
            }
        }
    };
}

codes! {
    /// Pixels outside the display. What lies inside was drawn.
    OutOfBounds = "out_of_bounds",
    /// A parameter of a wrong type, range or length, or a wrong number of them. Nothing was drawn.
    InvalidArgument = "invalid_argument",
    /// There is no such method.
    UnknownMethod = "unknown_method",
    /// More than a limit allows. The message names the limit.
    TooLarge = "too_large",
    /// `hello` asked for a version that this display does not speak.
    UnsupportedVersion = "unsupported_version",
    /// The bytes are not MessagePack-RPC, or violate its order. The connection closes.
    Malformed = "malformed",
    /// Too many malformed requests. The connection closes.
    TooManyErrors = "too_many_errors",
    /// A message was not finished, or answers were not read, in time; the time is shorter while others wait for memory. The
    /// connection closes.
    TooSlow = "too_slow",
    /// A message was corrupted in transit. Nothing of it was executed. The connection closes; a client with a session continues
    /// on another.
    Corrupted = "corrupted",
    /// The display has no memory to spare for this request.
    NoMemory = "no_memory",
    /// The display cannot write its journal, most likely because its disk is full. Nothing was drawn; reading calls still work.
    NoSpace = "no_space",
    /// The display keeps no journal, so nothing on it is durable.
    NoJournal = "no_journal",
    /// `hello` asked for a display that this server does not have. The message names those that exist.
    UnknownDisplay = "unknown_display",
    /// The display has reached its limit of connections. The connection closes.
    Busy = "busy",
    /// The display shuts down. The connection closes.
    ShuttingDown = "shutting_down",
    /// The window of the display was closed, so the display shuts down for good. The connection closes.
    WindowClosed = "window_closed",
    /// The client has already acknowledged the reply to this request. It was not executed again.
    Stale = "stale",
    /// The request was executed; its answer, or why it failed, was lost with the connection and is not kept.
    AnswerLost = "answer_lost",
    /// The display was restarted and has lost requests of the session that the client knows to be executed. The connection
    /// closes.
    StateRegressed = "state_regressed",
    /// The session continues on another connection. This one closes.
    Superseded = "superseded",
    /// The message after the welcome was not `confirm` with its nonce. It was not executed: it may be a late copy from another
    /// connection. This one closes.
    Unconfirmed = "unconfirmed",
}

impl From<Code> for String {
    fn from(code: Code) -> String {
        code.as_str().to_owned()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(self.as_str()).fmt(f)
    }
}
