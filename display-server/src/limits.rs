//! What a display allows, each number with its reason. Those of the wire and of the state machines are [`draw_protocol::limits`],
//! which are here as well.

pub use draw_protocol::limits::*;
use std::time::Duration;

/// Longest side of a display unless configured: what the largest wall of screens has (TigerVNC has the same).
pub const SIDE: u32 = 16_384;

/// Displays of one server. Each may keep [`SESSION_MEMORY`] for its sessions, which makes 2 GiB in all; and the names of all displays
/// fit into one error.
pub const DISPLAYS: usize = 32;

/// Connections of one server.
pub const CONNECTIONS: usize = 1_024;

/// Clients that are let in beyond [`CONNECTIONS`] to wait for a place, or to be told that there is none: enough that one that is told
/// within milliseconds is not in the way of the next.
pub const WAITING: usize = 32;

/// How long a client waits there: less than [`CONNECT_TIMEOUT`], so that it hears why.
pub const WAITING_TIME: Duration = Duration::from_secs(3);

/// How long one that waits there may say nothing, while others wait to wait: it speaks at once, and that takes as long as its network.
pub const WAITING_SILENT: Duration = Duration::from_millis(100);

/// How long a connection may say nothing before it gives its place to one that waits for one. A client of this project speaks at
/// once; a person who types into `telnet` has a place as long as there are others.
pub const SILENT: Duration = Duration::from_secs(2);

/// How long a connection may be idle before it gives its place to one from another address, where its own address has more than half
/// of all places, or more than twice as many as the other: those who wait for a place do so for little longer ([`WAITING_TIME`]). A
/// client with a session comes back.
pub const IDLE: Duration = Duration::from_secs(2);

/// Connections that are let in at once when there were none for a while ...
pub const ACCEPT_BURST: u32 = 256;

/// ... and each second after that: fewer than the 5,900 that four clients make on two processors, and more than any program needs.
pub const ACCEPT_PER_SECOND: u32 = 2_000;

/// File descriptors that the server leaves free for snapshots, logs and libraries.
pub const SPARE_DESCRIPTORS: u64 = 32;

/// Bytes that the buffers of all connections together may hold.
pub const MEMORY: usize = 512 << 20;

/// One part in so many of the memory that connections share is only for those that are [`PROVEN`].
pub const RESERVED_PART: usize = 4;

/// Bytes of answers that a client has to have taken, or of images that it has to have sent whole, before it counts as one that
/// gets on: as many as two systems hold of what nobody
/// reads (4 MiB that are sent and 6 MiB that have come, by Linux's defaults).
pub const PROVEN: u64 = 10 << 20;

/// While others wait for memory, a connection that has some is to get on: by [`MESSAGE_RATE`] bytes that its client reads or sends
/// within this time. Else it is closed. A tenth of [`CONNECT_TIMEOUT`] and more, so that a network may pause.
pub const RECLAIM: Duration = Duration::from_secs(1);

/// How long an image that a client asks for after `hello` may wait for memory before it is refused: several times [`RECLAIM`]. A
/// plain client is answered in pieces, which need no more than what each connection has.
pub const MEMORY_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a read while a client fills one read after the other, and there is memory for it. Batches of pixels are a tenth to a
/// half faster than with [`READ`]: the two ends take turns less often, and fewer messages are cut in two.
pub const STREAM_READ: usize = 256 << 10;

// What the numbers of the protocol and these say of each other.
const _: () = {
    assert!(SESSIONS == 4 * CONNECTIONS, "there are sessions for four times as many clients");
    assert!(WAITING_TIME.as_millis() < CONNECT_TIMEOUT.as_millis(), "a client that waits hears why");
    assert!(10 * RECLAIM.as_millis() >= CONNECT_TIMEOUT.as_millis(), "a network may pause");
    assert!(SIDE <= SIDE_HARDEST);
};
