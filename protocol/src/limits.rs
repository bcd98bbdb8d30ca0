//! The numbers of the wire and of the two state machines, each with its reason. Nothing else in the project repeats one.
//!
//! What only the display decides, such as how many connections it serves, is in `display_server::limits`; what only the client library
//! decides is in `draw_client::limits`.
//!
//! A number that a peer may rely on is also in the answer to `hello` ([`Welcome`](crate::Welcome)), so a client
//! need not be built against these.

use std::time::Duration;

// The wire: what both sides know --------------------------------------------------------------------------------------

/// The wire version that this crate speaks. A change that an older peer would misread raises it.
pub const VERSION: u32 = 1;

/// TCP port of a display when none is named: 3729 spells DRAW on a telephone.
pub const PORT: u16 = 3729;

/// Bytes of a connection's first message until the name of a known method has been read (NATS allows the same): a peer with
/// another protocol is refused before it costs memory.
pub const FIRST_MESSAGE: usize = 4 << 10;

/// Bytes of one message, both directions. A 1920x1080 image is 8.3 MB; larger ones go as bands of rows.
pub const MESSAGE: usize = 16 << 20;

/// The most that [`MESSAGE`] may be configured to.
pub const MESSAGE_HARDEST: usize = 64 << 20;

/// Pixels in one `draw_pixels` or `add_pixels`: 512 KiB as a `bin`. The client library splits longer draws.
pub const BATCH: usize = 65_536;

/// Pixels of one `get_digest`: a screen of 3840x2160. These 32 MiB take 18 ms on a processor that has instructions for SHA-256, 60 ms
/// on one that has none; others run in between.
pub const DIGEST: u64 = 8 << 20;

/// MessagePack values in one message: a full [`BATCH`] in its widest form, an array of `[x, y, color]`, has four
/// values a pixel, and the envelope has few.
pub const VALUES: u32 = 4 * BATCH as u32 + 64;

/// Levels of arrays and maps inside each other. The deepest message that means anything has four.
pub const DEPTH: usize = 16;

/// Bytes of a method name, a map key or a text. (`str` in place of `bin` is data and has the message's limit.)
pub const STRING: usize = 4 << 10;

/// Longest side of a display in pixels that the wire can address: coordinates of a batch are `u16`.
pub const SIDE_HARDEST: u32 = 65_535;

/// Requests that a client may have unanswered. It must cover the wake-up latency times the rate: 70 us x 30 M/s
/// is 2,100 on one machine; a path of 50 ms needs as many more as it can carry.
pub const CREDIT_CALLS: u32 = 65_536;

/// Calls that a client may have unanswered, in however few requests they travel: each may become a late error of a few
/// hundred bytes. Single pixels at 5 M/s over a path of 50 ms are as many. No more of [`CREDIT_CALLS`] is believed.
pub const CALLS: u64 = 1 << 18;

/// Bytes of requests that a client may have unanswered: three images of 1920x1080, so that one is drawn while the next
/// travels; a gigabit over a path of 250 ms. It bounds memory; what is worth having under way is [`WINDOW_FIRST`] and on.
pub const CREDIT_BYTES: u32 = 32 << 20;

/// The most of [`CREDIT_BYTES`] that a client believes: one message of [`MESSAGE_HARDEST`].
pub const CREDIT_BYTES_HARDEST: u32 = MESSAGE_HARDEST as u32;

/// Bytes of an image in one request, about: a larger one goes as bands of rows. A band is still in the processor's
/// cache when it is drawn, and is drawn while the next one travels.
pub const BAND: usize = 256 << 10;

/// Requests that a client may have beyond those that it has acknowledged. It covers [`CREDIT_CALLS`], what a call of many parts
/// and an error callback may add, and what [`ACK_CALLS`] leaves unsaid.
pub const SESSION_WINDOW: u64 = 2 * CREDIT_CALLS as u64;

/// Requests reported, or bytes of answers received, after which a client acknowledges: seldom enough to cost nothing, and
/// small beside what a display keeps.
pub const ACK_CALLS: u64 = 1_024;

/// Bytes of answers after which it does, see [`ACK_CALLS`].
pub const ACK_BYTES: usize = 64 << 10;

/// Bytes asked of the system in one read: below 16 KiB the system calls dominate.
pub const READ: usize = 64 << 10;

/// Bytes of buffer that a connection may keep while nothing is under way.
pub const IDLE_BUFFER: usize = 4 << 10;

/// ... plus the time that its bytes so far take at this many bytes a second (Apache has 500; a picture is larger).
pub const MESSAGE_RATE: u64 = 64 << 10;

// Server policy that the state machine of a display and its sessions need ---------------------------------------------

/// Unsent answers of one connection, in bytes, at which the server stops executing its requests (one answer may exceed it).
/// Below it a slow reader does not affect others.
pub const UNSENT: usize = 1 << 20;

/// How long a peer may leave unsent answers unread, without a single byte of progress, before it is cut off.
pub const STALLED: Duration = Duration::from_secs(30);

/// What the first byte of a message grants until the last must be there ...
pub const MESSAGE_GRACE: Duration = Duration::from_secs(5);

/// Malformed requests (unknown method, wrong type) of one connection that are answered at once ...
pub const MALFORMED_BURST: u32 = 1_000;

/// ... and how many more every second: manual debugging never reaches it.
pub const MALFORMED_PER_SECOND: u32 = 33;

/// How long a session waits for its client, from when its connection ended.
pub const SESSION_LEASE: Duration = Duration::from_secs(120);

/// Sessions that wait for their clients, at most: four times as many clients as a display serves at a time. Beyond it the one has to go
/// for which the least was executed. Of a peer that has no more than half of its share, this limit divided by the number of peers,
/// none has to go ...
pub const SESSIONS: usize = 4_096;

/// ... and the bytes that they hold together. One that holds all of [`SESSION_WINDOW`] has 1 MiB. Beyond it, of the largest of each
/// peer that has more than half of its share, the one has to go for which the least was executed.
pub const SESSION_MEMORY: usize = 64 << 20;

/// Sessions that were read back from a journal and wait for their clients, at most, with bytes of their own as many as
/// [`SESSION_MEMORY`]. A journal has up to twice as many as there were when it was written, those that are in use among them.
pub const SESSIONS_RESTORED: usize = 4 * SESSIONS;

/// Sessions of which nothing is left but the number of the last `hello`, so that a late copy of an earlier one begins nothing: those
/// of clients that do not confirm. Each takes about 200 bytes ...
pub const SESSION_TOMBSTONES: usize = 16_384;

/// ... for so long: a few times as long as a packet may live in a network (RFC 9293 assumes two minutes).
pub const SESSION_TOMBSTONE: Duration = Duration::from_secs(600);

/// Bytes of answers that a session keeps until they are acknowledged. An answer beyond that is not kept: if it gets lost on
/// its way, it is asked for again, or the client is told so where it has drawn since. Bands of large images are such answers:
/// keeping them would be a copy of each.
pub const SESSION_ANSWERS: usize = 128 << 10;

/// Bytes of faults and answers together that a session keeps. Of a fault beyond that only that there was one is kept. As many
/// calls as may be in flight leave short faults of 6 MiB; a client that never acknowledges could pile up gigabytes.
pub const SESSION_RESPONSES: usize = 8 << 20;

// Client policy that the state machine of a client and its reconnecting need ------------------------------------------

/// Single pixels that travel together at most: 32 KiB. More in one message would only be drawn later.
pub const JOINED: usize = 4_096;

/// How long after the first another single pixel may still be joined to it: they share one time, from which ages and
/// deadlines are counted.
pub const JOIN_TIME: Duration = Duration::from_millis(1);

/// Bytes under way on a path that is not known yet: what a path of 20 ms holds at 100 Mbit/s.
pub const WINDOW_FIRST: usize = 256 << 10;

/// The least that is worth having under way on any path: one full write.
pub const WINDOW_LEAST: usize = 64 << 10;

/// What an answer may take beyond the shortest time before there is a queue, where that is shorter: a display that also
/// presents whole frames, on a machine of few cores, pauses for so long, and a client that then stops would stop for it.
pub const WINDOW_SLACK: Duration = Duration::from_millis(4);

/// The same for a client that waits for the display's disk. A sync of 0.2 ms takes some tens of milliseconds while other work
/// keeps the disk busy, which is no queue: whatever is under way shares it, and less would only be more syncs.
pub const WINDOW_SLACK_DURABLE: Duration = Duration::from_millis(50);

/// How long a shortest time is believed. A path changes seldom, and finding out costs a pause of one round trip.
pub const WINDOW_PERIOD: Duration = Duration::from_secs(10);

/// How long `connect` may take, for all addresses of the name together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a client sends `hello` with checks to a display whose answers fail verification, before it concludes that the
/// display does not support checks. On a path that corrupts one `hello` or answer in a hundred, it concludes so wrongly once in
/// a hundred million times.
pub const GREETINGS: u32 = 4;

/// Bytes of messages without effect that a client accepts from a display: `progress` that is known already, notifications of a
/// later version. A display sends a few of them now and then; this many are 80,000, read in some milliseconds. With more the
/// client ends the connection and waits before it makes another ...
pub const TALK: u64 = 1 << 20;

/// ... beyond so many bytes a second, which is negligible: a connection that lives for years may receive one now and then.
pub const TALK_PER_SECOND: u64 = 64 << 10;

/// How long a connection must last before its loss is a new outage although no call was executed on it: longer than the longest
/// pause between two tries, so a display that greets and then resets is not asked ever more often, while a client that had
/// nothing to draw starts anew.
pub const STEADY: Duration = Duration::from_secs(10);

/// For how long a client tries to come back to a display whose connection it has lost: as long as the client library waits for an answer.
pub const RECONNECT: Duration = Duration::from_secs(30);

/// How long what a client has sent may stay without acknowledgement by the other side's system (`TCP_USER_TIMEOUT`). Then
/// the network is dead, and another connection is tried: early enough that a call may still be answered within
/// the timeout of the client library (30 s), and later than a network of radio takes to find itself again. A display that takes no byte for so
/// long while there are more looks the same; nothing is executed twice, so coming back to it does no harm.
pub const DEAD_NETWORK: Duration = Duration::from_secs(20);
