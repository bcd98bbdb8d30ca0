//! Limits the memory of the buffers of all connections together.
//!
//! Each connection has a reserve of its own, set aside when the server starts: one read buffer, and the memory that an
//! idle state machine needs to process a full buffer. With that, any number of clients can draw and read small areas,
//! whatever other clients do. Everything beyond comes out of one shared [`Budget`]: long messages that are being
//! received, long answers that are being sent, and large read buffers. A connection asks *before* its buffers grow, for
//! the most memory that one step can use: a `Vec` at most doubles, and one read adds [`limits::READ`] bytes. Before it
//! sleeps, it gives back what it does not use. These rules keep connections with much memory from harming others:
//!
//! - a connection that is accepted while there is room adds a [`BAND`](limits::BAND) to its reserve. So a client that
//!   reads images by bands of rows, as the client library does, never waits for other connections;
//! - a quarter of the rest is only for [proven](limits::PROVEN) connections, which have read many answers, or sent many
//!   images. A client that does not read its answers, or does not complete its messages, never gets that part;
//! - when there is no room, a connection neither reads nor executes until there is. Waiting connections are served in
//!   order, except that small requests may overtake large ones for a short time. A plain client gets an image piece by
//!   piece, each within the reserve of its connection; a client with a session is refused with `no_memory` if there is
//!   no memory in time;
//! - one connection at a time that already holds memory may complete a message with a part that is reserved for this.
//!   So connections in the middle of long messages never all wait for each other;
//! - while any connection waits, a connection that holds memory and makes no progress, since its client neither reads
//!   nor sends, is [cut](Share::poll_cut) after [`limits::RECLAIM`], the largest first. If all connections that hold
//!   memory wait for memory, as many of them are cut as it takes for one to continue.
//!
//! The fault of a batch needs no grant: it is smaller than the batch, for which twice its size was granted.

mod pool;
#[cfg(test)]
mod tests;

use crate::clock;
use crate::limits;
use futures::task::AtomicWaker;
use pool::{Pool, Want};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// The unit of the budget, in bytes.
const UNIT: usize = 1 << 10;

/// The memory of a session between two acknowledgements: a digest of 8 bytes for each request, in a queue that is at
/// most half empty, and its other fields. Asking for it would take a lock for each call of a client that draws pixel by
/// pixel.
const SESSION: usize = 2 * 8 * limits::ACK_CALLS as usize + (1 << 10);

/// The memory that the state machine of a connection may hold without a grant: when idle, it keeps a buffer of
/// [`limits::IDLE_BUFFER`] for each direction and a session, and may need [`growth`] of that.
const OWN: usize = growth(2 * limits::IDLE_BUFFER + SESSION);

/// The memory that is added if there was room when the connection was accepted: an answer with a band of an image.
const OWN_BAND: usize = limits::BAND + (4 << 10);

/// The memory to complete a message that has begun: the longest message, and a read.
const FINISH: usize = limits::MESSAGE + OWN;

/// How often a waiting connection checks for connections that hold memory and make no progress ...
const CHECK: Duration = Duration::from_millis(100);

/// ... and the delay of its first check, which is short, so that it hardly waits if there is one already.
const FIRST_CHECK: Duration = Duration::from_millis(10);

/// Returns the most memory of buffers of `held` bytes after one step, with one read of [`limits::READ`] bytes.
pub(crate) const fn growth(held: usize) -> usize {
    2 * held + limits::READ
}

/// The memory of a large read buffer, and of a step that processes all of it, beyond those of a usual buffer.
pub(crate) const LARGE: usize = 2 * (limits::STREAM_READ - limits::READ);

/// The memory that connections share. Clones are the same budget.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    pool: Arc<Mutex<Pool>>,
    units: usize,
    created: Instant,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum WaitsFor {
    /// Its client, to read or to send.
    Client,
    /// Memory.
    Memory,
    /// A place in the lane, the disk, or another connection of its session, none of which its client can influence.
    Display,
}

/// The progress of a connection that holds memory, as waiting connections see it.
#[derive(Debug)]
pub(crate) struct Progress {
    /// When it last made progress, in milliseconds since the budget was created.
    since: AtomicU64,
    waits: AtomicU8,
    is_cut: AtomicBool,
    cut: AtomicWaker,
}

impl Budget {
    /// Creates a budget of `memory` bytes for `connections` connections, each with its own reserve.
    pub(crate) fn new(memory: usize, connections: usize) -> Budget {
        Budget::with(memory, connections, FINISH)
    }

    /// Creates a budget with `finish` bytes reserved for completing messages.
    fn with(memory: usize, connections: usize, finish: usize) -> Budget {
        let units = memory.saturating_sub(connections.saturating_mul(OWN + limits::READ)) / UNIT;
        Budget {
            pool: Arc::new(Mutex::new(Pool::new(units, finish.div_ceil(UNIT)))),
            units,
            created: clock::now(),
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.created).as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns the share of a new connection.
    pub(crate) fn share(&self) -> Share {
        let progress = Arc::new(Progress {
            since: AtomicU64::new(self.millis(clock::now())),
            waits: AtomicU8::new(WaitsFor::Client as u8),
            is_cut: AtomicBool::new(false),
            cut: AtomicWaker::new(),
        });
        let id = self.pool().enter(progress.clone());
        let budget = self.clone();
        let mut share = Share { budget, progress, id, own: OWN, units: 0, waiting: None, moved: 0, taken: 0 };
        share.take_band();
        share
    }
}

/// The memory that one connection may hold.
pub(crate) struct Share {
    budget: Budget,
    progress: Arc<Progress>,
    id: u64,
    /// Bytes that it may hold without a grant.
    own: usize,
    /// The units that were granted.
    units: usize,
    waiting: Option<Waiting>,
    /// Bytes received or sent since it last made progress, which takes [`limits::MESSAGE_RATE`] of them.
    moved: u64,
    /// Bytes of answers that the client has read, and of images that it has sent completely, in total.
    taken: u64,
}

struct Waiting {
    wants: usize,
    check: Pin<Box<Sleep>>,
}

impl Share {
    /// Returns the units that must be granted for the connection to hold `bytes`. It is limited to the whole budget,
    /// since a connection that asked for more would wait for ever; with the whole budget, it continues.
    #[inline]
    fn missing(&self, bytes: usize) -> usize {
        if bytes <= self.own {
            return 0;
        }
        let wanted = bytes.saturating_sub(self.own).div_ceil(UNIT).min(self.budget.units);
        wanted.saturating_sub(self.units)
    }

    /// Adds a band to the reserve, if it has none yet and there is room.
    fn take_band(&mut self) {
        if self.own == OWN && self.budget.pool().take_band(self.id, OWN_BAND.div_ceil(UNIT)) {
            self.own += OWN_BAND;
        }
    }

    fn want(&self, units: usize) -> Want {
        Want { id: self.id, units, is_proven: self.is_proven() }
    }

    /// Returns whether the client is [proven](limits::PROVEN).
    pub(crate) fn is_proven(&self) -> bool {
        self.taken >= limits::PROVEN
    }

    fn add(&mut self, units: usize) {
        if self.units == 0 {
            self.progress.waits.store(WaitsFor::Client as u8, Relaxed);
            self.progress.is_cut.store(false, Relaxed);
            self.made_progress(clock::now());
        }
        self.units += units;
    }

    /// Returns whether the connection may hold `bytes` now.
    pub(crate) fn try_cover(&mut self, bytes: usize) -> bool {
        let mut missing = self.missing(bytes);
        if missing > 0 && self.waiting.is_none() {
            self.take_band();
            missing = self.missing(bytes);
        }
        if missing == 0 || self.waiting.is_some() {
            // A connection that waits already is granted memory in turn.
            return missing == 0;
        }
        let is_granted = self.budget.pool().try_take(self.want(missing), clock::now());
        if is_granted {
            self.add(missing);
        }
        is_granted
    }

    /// Returns whether the connection could ever hold `bytes`, for requests that can be refused.
    pub(crate) fn can_cover(&self, bytes: usize) -> bool {
        bytes.saturating_sub(self.own) <= self.budget.units * UNIT
    }

    /// Does the same as [`Share::try_cover`], if [`Share::can_cover`] returns true.
    pub(crate) fn try_cover_all(&mut self, bytes: usize) -> bool {
        self.can_cover(bytes) && self.try_cover(bytes)
    }

    /// Is ready when the connection may hold `bytes`.
    #[inline]
    pub(crate) fn poll_cover(&mut self, cx: &mut Context<'_>, bytes: usize) -> Poll<()> {
        if self.waiting.is_none() && self.missing(bytes) == 0 {
            return Poll::Ready(());
        }
        self.poll_missing(cx, bytes)
    }

    fn poll_missing(&mut self, cx: &mut Context<'_>, bytes: usize) -> Poll<()> {
        loop {
            if self.take_granted() {
                continue;
            }
            let missing = self.missing(bytes);
            if missing == 0 {
                self.stop_waiting();
                return Poll::Ready(());
            }
            if self.waiting.as_ref().is_some_and(|waiting| waiting.wants != missing) {
                self.stop_waiting();
            }
            let now = clock::now();
            if self.waiting.is_none() {
                let want = self.want(missing);
                if self.budget.pool().take_or_wait(want, cx.waker(), now) {
                    self.add(missing);
                    continue;
                }
                let check = Box::pin(tokio::time::sleep(FIRST_CHECK));
                self.waiting = Some(Waiting { wants: missing, check });
            }
            let Some(waiting) = &mut self.waiting else { continue };
            self.budget.pool().set_waker(self.id, cx.waker());
            while waiting.check.as_mut().poll(cx).is_ready() {
                waiting.check.as_mut().reset(tokio::time::Instant::now() + CHECK);
                let millis = self.budget.millis(now);
                self.budget.pool().reclaim(self.id, millis);
            }
            return Poll::Pending;
        }
    }

    /// Takes over the memory that was granted while the connection waited. Returns whether any was.
    fn take_granted(&mut self) -> bool {
        let Some(waiting) = &self.waiting else { return false };
        if self.budget.pool().is_waiting(self.id) {
            return false;
        }
        let units = waiting.wants;
        self.waiting = None;
        self.add(units);
        true
    }

    /// Returns whether the connection holds memory that was granted.
    pub(crate) fn is_granted(&self) -> bool {
        self.units > 0
    }

    /// Returns whether the connection waits for memory.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Stops waiting for memory.
    #[inline]
    pub(crate) fn stop_waiting(&mut self) {
        if self.waiting.is_some() && !self.take_granted() {
            self.waiting = None;
            self.budget.pool().stop_waiting(self.id);
        }
    }

    /// Gives back memory that is not needed to hold `bytes`.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let needed = bytes.saturating_sub(self.own).div_ceil(UNIT);
        if self.units > needed {
            self.budget.pool().give_back(self.id, self.units - needed);
            self.units = needed;
        }
    }

    /// Records progress: the client read or sent enough, or the connection waits for something else.
    pub(crate) fn made_progress(&mut self, now: Instant) {
        self.moved = 0;
        self.progress.since.store(self.budget.millis(now), Relaxed);
    }

    /// Records that `bytes` were received from the client.
    pub(crate) fn received(&mut self, bytes: usize, now: Instant) {
        if self.units > 0 {
            self.moved += bytes as u64;
            if self.moved >= limits::MESSAGE_RATE {
                self.made_progress(now);
            }
        }
    }

    /// Records that the client took `bytes`.
    pub(crate) fn sent(&mut self, bytes: usize, now: Instant) {
        self.taken += bytes as u64;
        self.received(bytes, now);
    }

    /// Records that an image of `bytes` was received completely, and drawn.
    pub(crate) fn received_image(&mut self, bytes: usize) {
        self.taken += bytes as u64;
    }

    /// Sets what the connection waits for.
    pub(crate) fn set_waits_for(&mut self, waits: WaitsFor, now: Instant) {
        if self.units > 0 && self.progress.waits.swap(waits as u8, Relaxed) != waits as u8 {
            self.made_progress(now);
        }
    }

    /// Is ready when the connection has to end, because others wait for the memory that it holds without progress.
    pub(crate) fn poll_cut(&self, cx: &Context<'_>) -> Poll<()> {
        if self.units == 0 {
            return Poll::Pending;
        }
        self.progress.cut.register(cx.waker());
        if self.progress.is_cut.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.pool().leave(self.id);
    }
}
