//! The memory that the buffers of all connections may hold together.
//!
//! Each connection has a part of its own, set aside when the server starts: one read buffer, and what an idle machine
//! needs to take in one buffer full. With that any number of clients can draw and ask small things, whatever others do.
//! Everything beyond it, which is long messages on their way in, long answers on their way out, and the larger buffer
//! that a stream is read with while there is room for it, comes out of one shared [`Budget`]. A connection asks *before* its buffers grow, for the most that one step can make of them:
//! a `Vec` at most doubles, and one read adds [`limits::READ`] bytes. Before it sleeps it gives back what it does not
//! hold. When the budget is used up,
//!
//! - a connection neither reads nor executes until there is room. Those who wait are served in order, so a long message
//!   is not starved by short ones. A message that waits too long ends by its own deadline, which frees its memory:
//!   connections that wait for each other do not do so for ever;
//! - an image that is asked for is refused with `no_memory`, since its request is being executed and cannot wait.
//!
//! The fault of a batch is not asked for: it is smaller than the batch, for which twice its size was granted.

use draw_protocol::limits;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits of the semaphore are this many bytes, so that 32 bits count more than there is memory.
const UNIT: usize = 1 << 10;

/// What a session holds between two acknowledgements: a digest of 8 bytes for each request, in a queue that is at most half
/// empty, and what else there is of it. To ask for that would be a semaphore for each call of a client that draws pixel by pixel.
const SESSION: usize = 2 * 8 * limits::ACK_CALLS as usize + (1 << 10);

/// What the state machine of a connection may hold without asking: an idle one keeps a buffer of
/// [`limits::IDLE_BUFFER`] for each direction and a session, and may need [`growth`] of that.
const OWN: usize = growth(2 * limits::IDLE_BUFFER + SESSION);

/// The most that buffers of `held` bytes can become within one step, of one read of [`limits::READ`] bytes.
pub(crate) const fn growth(held: usize) -> usize {
    2 * held + limits::READ
}

/// What a large read buffer, and a step that takes in all of it, take beyond a usual one.
pub(crate) const LARGE: usize = 2 * (limits::STREAM_READ - limits::READ);

/// The shared part.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    shared: Arc<Semaphore>,
    units: usize,
}

impl Budget {
    /// `memory` bytes for `connections`, each of which gets a part of its own.
    pub(crate) fn new(memory: usize, connections: usize) -> Budget {
        let units = memory.saturating_sub(connections.saturating_mul(OWN + limits::READ)) / UNIT;
        let units = units.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Budget { shared: Arc::new(Semaphore::new(units)), units }
    }

    /// The share of one connection.
    pub(crate) fn share(&self) -> Share {
        Share { budget: self.clone(), granted: None, waiting: None }
    }
}

/// What one connection may hold.
pub(crate) struct Share {
    budget: Budget,
    granted: Option<OwnedSemaphorePermit>,
    waiting: Option<Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>>,
}

impl Share {
    fn units(&self) -> usize {
        self.granted.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }

    /// Units that are to be granted for the connection to hold `bytes`; never more than there are at all, since a
    /// connection that asked for that would wait for ever: alone, it goes on.
    fn missing(&self, bytes: usize) -> u32 {
        let wanted = bytes.saturating_sub(OWN).div_ceil(UNIT).min(self.budget.units);
        wanted.saturating_sub(self.units()) as u32
    }

    fn add(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.granted {
            Some(granted) => granted.merge(permit),
            None => self.granted = Some(permit),
        }
    }

    /// Whether the connection may hold `bytes`, now.
    pub(crate) fn try_cover(&mut self, bytes: usize) -> bool {
        let missing = self.missing(bytes);
        if missing == 0 || self.waiting.is_some() {
            // Who waits already gets it in turn.
            return missing == 0;
        }
        let permit = self.budget.shared.clone().try_acquire_many_owned(missing);
        permit.map(|permit| self.add(permit)).is_ok()
    }

    /// Like [`Share::try_cover`], but only if there is as much: for what can be refused.
    pub(crate) fn try_cover_all(&mut self, bytes: usize) -> bool {
        bytes.saturating_sub(OWN) <= self.budget.units * UNIT && self.try_cover(bytes)
    }

    /// Ready when the connection may hold `bytes`.
    pub(crate) fn poll_cover(&mut self, cx: &mut Context<'_>, bytes: usize) -> Poll<()> {
        loop {
            let missing = self.missing(bytes);
            if missing == 0 {
                self.waiting = None;
                return Poll::Ready(());
            }
            let waiting = self.waiting.get_or_insert_with(|| {
                let shared = self.budget.shared.clone();
                // The semaphore is never closed, so there is always a permit in the end.
                Box::pin(async move { shared.acquire_many_owned(missing).await.ok() })
            });
            let permit = ready!(waiting.as_mut().poll(cx));
            self.waiting = None;
            if let Some(permit) = permit {
                self.add(permit);
            }
        }
    }

    /// Whether the connection waits until it may hold more.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Leaves the queue: there is nothing to wait for at present.
    pub(crate) fn stop_waiting(&mut self) {
        self.waiting = None;
    }

    /// Gives back what is not needed to hold `bytes`.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let needed = bytes.saturating_sub(OWN).div_ceil(UNIT);
        let excess = self.units().saturating_sub(needed);
        if needed == 0 {
            self.granted = None;
        } else if let Some(granted) = &mut self.granted {
            drop(granted.split(excess));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::yield_now;

    const PART: usize = OWN + limits::READ;

    #[tokio::test]
    async fn what_is_small_never_waits_and_what_is_large_waits_in_order() {
        let budget = Budget::new(3 * PART + (100 << 10), 3);
        let [mut a, mut b, mut c] = [(); 3].map(|()| budget.share());
        assert!(a.try_cover(OWN + (60 << 10)) && !b.try_cover(OWN + (60 << 10)));
        assert!(c.try_cover(OWN), "its own part is always there");

        let mut waits = Box::pin(std::future::poll_fn(move |cx| b.poll_cover(cx, OWN + (60 << 10))));
        tokio::select! { biased; () = &mut waits => panic!("there was no room"), () = yield_now() => {} }
        assert!(!c.try_cover(OWN + (30 << 10)), "what is left is promised to the one who waits");
        a.shrink(OWN + (40 << 10));
        waits.await;
    }

    #[tokio::test]
    async fn more_than_there_is_is_granted_to_one_alone() {
        let budget = Budget::new(0, 2);
        let mut share = budget.share();
        std::future::poll_fn(|cx| share.poll_cover(cx, 1 << 40)).await;
        assert!(!share.try_cover_all(1 << 40));

        let budget = Budget::new(2 * PART + (10 << 10), 2);
        let (mut a, mut b) = (budget.share(), budget.share());
        assert!(a.try_cover(1 << 40) && !b.try_cover(1 << 40));
        a.shrink(0);
        assert!(b.try_cover(1 << 40) && !b.try_cover_all(1 << 40));
    }
}
