//! Blocks a plain thread on a future, without a runtime.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How long a thread sleeps at most before it checks its deadline itself, since the thread that would wake it may have
/// ended.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Blocks until the future is ready. A future that is ready at once, as those of nearly all drawing calls, costs one
/// poll.
#[inline]
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    // If it is pending, it is polled at once again with a waker that wakes this thread.
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => sleep(future),
    }
}

#[cold]
fn sleep<F: Future>(mut future: Pin<&mut F>) -> F::Output {
    let waker = waker();
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park_timeout(POLL_INTERVAL),
        }
    }
}

/// Blocks until the future is ready or the deadline has passed.
pub(crate) fn block_on_until<F: Future>(future: F, deadline: Instant) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = waker();
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Some(output);
        }
        let left = deadline.checked_duration_since(Instant::now())?;
        std::thread::park_timeout(left.min(POLL_INTERVAL));
    }
}

/// Returns a waker of this thread.
fn waker() -> Waker {
    Arc::new(Unpark(std::thread::current())).into()
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}
