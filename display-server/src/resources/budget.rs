//! The memory that the buffers of all connections may hold together.
//!
//! Each connection has a part of its own, set aside when the server starts: one read buffer, and what an idle machine
//! needs to take in one buffer full. With that any number of clients can draw and ask small things, whatever others do.
//! Everything beyond it, which is long messages on their way in, long answers on their way out, and the larger buffer
//! that a stream is read with while there is room for it, comes out of one shared [`Budget`]. A connection asks *before* its buffers grow, for the most that one step can make of them:
//! a `Vec` at most doubles, and one read adds [`limits::READ`] bytes. Before it sleeps it gives back what it does not
//! hold. What keeps those who hold much from harming others:
//!
//! - a connection that comes while there is room takes a [`BAND`](limits::BAND) more for its own. So a client that asks for images by bands of
//!   rows, as the client library does, never waits for anybody;
//! - a quarter of the rest is only for [proven](limits::PROVEN) connections, which have taken many answers, or sent many images. A client
//!   that asks and does not read, or begins messages and does not end them, never gets at it;
//! - when there is no room, a connection neither reads nor executes until there is. Those who wait are served in order, but that one
//!   that wants much lets those that want less go first for a moment. A plain client is answered
//!   with an image piece by piece, each in what its connection has of its own; one of a session, if it does not come to it in time,
//!   is refused with `no_memory`;
//! - one connection at a time that holds some already may have what it lacks for a whole message out of a part that is for nothing else.
//!   So those that are in the middle of long messages never all wait for each other;
//! - while anybody waits, a connection that holds memory and does not get on, since its client neither reads nor sends, is
//!   [cut](Share::poll_cut) after [`limits::RECLAIM`], the largest first; and if they all wait for memory only, as
//!   many of those as it takes for one to go on.
//!
//! The fault of a batch is not asked for: it is smaller than the batch, for which twice its size was granted.

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

/// What is counted: this many bytes.
const UNIT: usize = 1 << 10;

/// What a session holds between two acknowledgements: a digest of 8 bytes for each request, in a queue that is at most half
/// empty, and what else there is of it. To ask for that would be a lock for each call of a client that draws pixel by pixel.
const SESSION: usize = 2 * 8 * limits::ACK_CALLS as usize + (1 << 10);

/// What the state machine of a connection may hold without asking: an idle one keeps a buffer of
/// [`limits::IDLE_BUFFER`] for each direction and a session, and may need [`growth`] of that.
const OWN: usize = growth(2 * limits::IDLE_BUFFER + SESSION);

/// What it has beyond that if there was room when it came: the answer that a band of an image is, and what is around it.
const OWN_BAND: usize = limits::BAND + (4 << 10);

/// What one that has begun a message may need for the rest of it: all of the longest, and a read.
const FINISH: usize = limits::MESSAGE + OWN;

/// How often those who wait check for one that holds memory and does not get on ...
const CHECK: Duration = Duration::from_millis(100);

/// ... and how soon they do so first: where there is one already, they hardly wait.
const FIRST_CHECK: Duration = Duration::from_millis(10);

/// The most that buffers of `held` bytes can become within one step, of one read of [`limits::READ`] bytes.
pub(crate) const fn growth(held: usize) -> usize {
    2 * held + limits::READ
}

/// What a large read buffer, and a step that takes in all of it, take beyond a usual one.
pub(crate) const LARGE: usize = 2 * (limits::STREAM_READ - limits::READ);

/// The shared part.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    pool: Arc<Mutex<Pool>>,
    units: usize,
    created: Instant,
}

/// What a connection waits for at present, when it is not for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum WaitsFor {
    /// To read, or to send.
    Client,
    /// Memory.
    Memory,
    /// Its turn, the disk, or another connection of its session. Its client is not to blame.
    Display,
}

/// How a connection that holds memory gets on, for those who wait for some.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Milliseconds since the budget was made, when it last got on.
    since: AtomicU64,
    waits: AtomicU8,
    is_cut: AtomicBool,
    cut: AtomicWaker,
}

impl Budget {
    /// `memory` bytes for `connections`, each of which gets a part of its own.
    pub(crate) fn new(memory: usize, connections: usize) -> Budget {
        Budget::with(memory, connections, FINISH)
    }

    /// The same, with `finish` bytes for one at a time to end what it has begun.
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

    /// The share of one connection.
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

/// What one connection may hold.
pub(crate) struct Share {
    budget: Budget,
    progress: Arc<Progress>,
    id: u64,
    /// Bytes that it need not ask for.
    own: usize,
    /// What it was granted.
    units: usize,
    waiting: Option<Waiting>,
    /// Bytes that came or went since it last got on, by [`limits::MESSAGE_RATE`].
    moved: u64,
    /// Bytes of answers that the client has taken, and of images that it has sent whole, in all.
    taken: u64,
}

struct Waiting {
    wants: usize,
    check: Pin<Box<Sleep>>,
}

impl Share {
    /// Units that are to be granted for the connection to hold `bytes`; never more than there are at all, since a
    /// connection that asked for that would wait for ever: alone, it goes on.
    fn missing(&self, bytes: usize) -> usize {
        let wanted = bytes.saturating_sub(self.own).div_ceil(UNIT).min(self.budget.units);
        wanted.saturating_sub(self.units)
    }

    /// Takes the band of its own, if it has none yet and there is room.
    fn take_band(&mut self) {
        if self.own == OWN && self.budget.pool().take_band(self.id, OWN_BAND.div_ceil(UNIT)) {
            self.own += OWN_BAND;
        }
    }

    fn want(&self, units: usize) -> Want {
        Want { id: self.id, units, is_proven: self.is_proven() }
    }

    /// Whether its client is one of those that take what they ask for.
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

    /// Whether the connection may hold `bytes`, now.
    pub(crate) fn try_cover(&mut self, bytes: usize) -> bool {
        let mut missing = self.missing(bytes);
        if missing > 0 && self.waiting.is_none() {
            self.take_band();
            missing = self.missing(bytes);
        }
        if missing == 0 || self.waiting.is_some() {
            // Who waits already gets it in turn.
            return missing == 0;
        }
        let is_granted = self.budget.pool().try_take(self.want(missing), clock::now());
        if is_granted {
            self.add(missing);
        }
        is_granted
    }

    /// Whether the connection could ever hold `bytes`: for what can be refused.
    pub(crate) fn can_cover(&self, bytes: usize) -> bool {
        bytes.saturating_sub(self.own) <= self.budget.units * UNIT
    }

    /// Like [`Share::try_cover`], but only if there is as much.
    pub(crate) fn try_cover_all(&mut self, bytes: usize) -> bool {
        self.can_cover(bytes) && self.try_cover(bytes)
    }

    /// Ready when the connection may hold `bytes`.
    pub(crate) fn poll_cover(&mut self, cx: &mut Context<'_>, bytes: usize) -> Poll<()> {
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

    /// Takes over what was granted while it waited. Answers whether that was so.
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

    /// Whether the connection waits until it may hold more.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Leaves the queue: there is nothing to wait for at present.
    pub(crate) fn stop_waiting(&mut self) {
        if self.waiting.is_some() && !self.take_granted() {
            self.waiting = None;
            self.budget.pool().stop_waiting(self.id);
        }
    }

    /// Gives back what is not needed to hold `bytes`.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let needed = bytes.saturating_sub(self.own).div_ceil(UNIT);
        if self.units > needed {
            self.budget.pool().give_back(self.id, self.units - needed);
            self.units = needed;
        }
    }

    /// The connection has got on, by something that its client did, or as it waits for something else.
    pub(crate) fn made_progress(&mut self, now: Instant) {
        self.moved = 0;
        self.progress.since.store(self.budget.millis(now), Relaxed);
    }

    /// So many bytes came from the client.
    pub(crate) fn received(&mut self, bytes: usize, now: Instant) {
        if self.units > 0 {
            self.moved += bytes as u64;
            if self.moved >= limits::MESSAGE_RATE {
                self.made_progress(now);
            }
        }
    }

    /// The client has taken so many.
    pub(crate) fn sent(&mut self, bytes: usize, now: Instant) {
        self.taken += bytes as u64;
        self.received(bytes, now);
    }

    /// An image of so many bytes came whole, and was drawn.
    pub(crate) fn received_image(&mut self, bytes: usize) {
        self.taken += bytes as u64;
    }

    /// What the connection waits for from now on.
    pub(crate) fn set_waits_for(&mut self, waits: WaitsFor, now: Instant) {
        if self.units > 0 && self.progress.waits.swap(waits as u8, Relaxed) != waits as u8 {
            self.made_progress(now);
        }
    }

    /// Ready when the connection is to end, since others wait for the memory that it holds and does nothing with.
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
