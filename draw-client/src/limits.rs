//! What the client library decides, each number with its reason. Those of the wire and of the state machines are
//! [`draw_protocol::limits`], which are here as well.

pub use draw_protocol::limits::*;
use std::time::Duration;

/// Late errors kept for `sync` and `close` when there is no callback; beyond it they are only counted.
pub const KEPT_ERRORS: usize = 1_000;

/// Calls that an error callback may make although the credit is used up, before they fail with "busy".
/// Waiting there could wait for itself: the callback is what frees the credit.
pub const CALLBACK_CALLS: u32 = 1_024;

/// Bytes of requests that go with [`CALLBACK_CALLS`].
pub const CALLBACK_BYTES: u32 = 8 << 20;

/// How long nothing comes before a client has its system ask the other side's whether it is still there ...
pub const KEEP_ALIVE: Duration = Duration::from_secs(8);

/// ... how long that may take before it is asked again ...
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(4);

/// ... and how often it is asked. All together is [`DEAD_NETWORK`].
pub const KEEP_ALIVE_PROBES: u32 = 3;

/// How long a client waits for an answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a closing side goes on sending what it had accepted.
pub const FAREWELL: Duration = Duration::from_secs(5);

// What the numbers of the protocol and these say of each other.
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
