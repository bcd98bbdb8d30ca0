//! The limits of a display, each with its reason. The limits of the wire and of the state machines, from
//! [`draw_protocol::limits`], are re-exported.

pub use draw_protocol::limits::*;
use std::time::Duration;

/// The longest side of a display: that of the largest wall of screens (TigerVNC has the same limit).
pub const SIDE: u32 = 16_384;

/// Displays of one server. Each may keep [`SESSION_MEMORY`] for its sessions, which makes 2 GiB in all; and the names of all displays
/// fit into one error.
pub const DISPLAYS: usize = 32;

/// Connections of one server.
pub const CONNECTIONS: usize = 1_024;

/// Clients that are accepted beyond [`CONNECTIONS`], to wait for a place or to be told that there is none. Refusing a
/// client takes milliseconds, so the next one finds room.
pub const WAITING: usize = 32;

/// How long a client waits for a place: less than [`CONNECT_TIMEOUT`], so that it receives the reason.
pub const WAITING_TIME: Duration = Duration::from_secs(3);

/// How long a waiting client may send nothing, while there is no room for more waiting clients. A client sends at once,
/// which takes as long as its network.
pub const WAITING_SILENT: Duration = Duration::from_millis(100);

/// How long a new connection may send nothing before it is evicted for a waiting client. A client of this project sends
/// at once; a person who types into `telnet` keeps the place while there are free ones.
pub const SILENT: Duration = Duration::from_secs(2);

/// How long a connection may be idle before it is evicted for a client from another address, if its own address has
/// more than half of all places, or more than twice as many as the other. It is less than [`WAITING_TIME`], so that
/// waiting clients benefit. A client with a session reconnects.
pub const IDLE: Duration = Duration::from_secs(2);

/// Connections that are accepted in a burst ...
pub const ACCEPT_BURST: u32 = 256;

/// ... and per second after that: fewer than the 5,900 that four clients make on two processors, and more than any
/// program needs.
pub const ACCEPT_PER_SECOND: u32 = 2_000;

/// File descriptors that the server leaves free for snapshots, logs and libraries.
pub const SPARE_DESCRIPTORS: u64 = 32;

/// The memory of the buffers of all connections together, in bytes.
pub const MEMORY: usize = 512 << 20;

/// One of this many parts of the shared memory is only for connections that are [`PROVEN`].
pub const RESERVED_PART: usize = 4;

/// Bytes of answers that a client must have taken, or of images that it must have sent completely, to be proven: more
/// than two systems buffer for a client that reads nothing (by Linux's defaults 4 MiB when sending and 6 MiB when
/// receiving).
pub const PROVEN: u64 = 10 << 20;

/// While others wait for memory, a connection that holds some must make progress: its client must read or send
/// [`MESSAGE_RATE`] bytes within this time, or the connection is closed. At least a tenth of [`CONNECT_TIMEOUT`], to
/// allow for pauses of the network.
pub const RECLAIM: Duration = Duration::from_secs(1);

/// How long an image for a client with `hello` may wait for memory before it is refused: several times [`RECLAIM`]. A
/// plain client is answered in pieces, which fit into the reserve of each connection.
pub const MEMORY_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a read while a client fills each read, if there is memory. Batches of pixels are 10 to 50 % faster than
/// with [`READ`]: there are fewer switches between the two sides, and fewer messages are split.
pub const STREAM_READ: usize = 256 << 10;

// Relations between these limits and those of the protocol.
const _: () = {
    assert!(SESSIONS == 4 * CONNECTIONS, "there are sessions for four times as many clients");
    assert!(WAITING_TIME.as_millis() < CONNECT_TIMEOUT.as_millis(), "a client that waits hears why");
    assert!(10 * RECLAIM.as_millis() >= CONNECT_TIMEOUT.as_millis(), "a network may pause");
    assert!(SIDE <= SIDE_HARDEST);
};
