//! The limits of the client library, each with its reason. Those of the wire and of the state machines are
//! [`draw_protocol::limits`], which this module re-exports.

pub use draw_protocol::limits::*;
use std::time::Duration;

/// Late errors that are kept for `sync` and `close` if there is no callback. Further errors are only counted.
pub const KEPT_ERRORS: usize = 1_000;

/// Calls that an error callback may make although the credit is used up, before they fail with "busy". A callback that
/// waits for credit could wait for itself, since its end frees the credit.
pub const CALLBACK_CALLS: u32 = 1_024;

/// Bytes of the requests of [`CALLBACK_CALLS`].
pub const CALLBACK_BYTES: u32 = 8 << 20;

/// Time without a byte from the other side before the system sends a keep-alive probe.
pub const KEEP_ALIVE: Duration = Duration::from_secs(8);

/// Time between keep-alive probes.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(4);

/// Unanswered probes before the connection is lost. All together take [`DEAD_NETWORK`].
pub const KEEP_ALIVE_PROBES: u32 = 3;

/// How long a client waits for an answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a closing side continues to send what it has accepted.
pub const FAREWELL: Duration = Duration::from_secs(5);

// Relations between the numbers of the protocol and these.
const _: () = {
    assert!(
        RECONNECT.as_secs() == ANSWER_TIMEOUT.as_secs(),
        "a client comes back for as long as a call waits"
    );
    assert!(
        KEEP_ALIVE.as_secs() + KEEP_ALIVE_INTERVAL.as_secs() * KEEP_ALIVE_PROBES as u64
            == DEAD_NETWORK.as_secs(),
        "the system finds out that a network is dead"
    );
    assert!(
        DEAD_NETWORK.as_secs() < ANSWER_TIMEOUT.as_secs(),
        "a call may still be answered by another connection"
    );
};
