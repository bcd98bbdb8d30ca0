//! What client and server tell each other first, when they say `hello` at all.

use crate::geometry::Size;
use crate::limits;
use serde::{Deserialize, Serialize};

/// The name of the greeting on the wire.
pub const HELLO: &str = "hello";
/// The notification with which a server acknowledges, cumulatively: `[applied]`.
pub const PROGRESS: &str = "progress";
/// The notification with which a server says why it closes: `[fault]`.
pub const GOODBYE: &str = "goodbye";

/// The parameter of `hello`, a map. Unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Hello {
    /// The wire version that the client speaks.
    pub version: u32,
    /// What the client calls itself; only for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

impl Hello {
    /// A greeting in this crate's version.
    pub fn new(client: impl Into<String>) -> Hello {
        Hello { version: limits::VERSION, client: Some(client.into()) }
    }
}

/// The answer to `hello`, a map: the display, and what it grants. Unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Welcome {
    /// The wire version that will be spoken.
    pub version: u32,
    /// What the server calls itself; only for people.
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
    /// Pixels that one `draw_pixels` may have.
    pub batch: u32,
}

impl Welcome {
    /// What a server grants by default.
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
        }
    }

    /// Width and height of the display.
    pub fn size(&self) -> Size {
        Size { width: self.width, height: self.height }
    }
}
