//! Computes digests on a thread of low priority, so that no connection waits while the digests of others are computed.

use crate::canvas::apply::Hashing;
use crate::canvas::display::Display;
use crate::resources::round_robin::RoundRobin;
use draw_protocol::Digest;
use draw_protocol::session::Peer;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use tokio::sync::oneshot;
use tracing::{debug, error};

/// The nice value of the thread: it gets a quarter of a processor that another thread competes for.
const NICE: i32 = 5;

/// The work on a large digest between two small ones, and the most that a small one takes: a few milliseconds. Large
/// digests are computed one after the other: if they alternated, a hundred of them would all be finished only at the
/// end.
const PIECE: u64 = 5_000_000;

/// A handle to the thread that computes digests. Clones share the thread, which ends when the last of them is dropped.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hasher {
    /// `None` if the thread could not be started.
    jobs: Arc<OnceLock<Option<Sender<Job>>>>,
}

struct Job {
    /// The address on whose behalf it is computed.
    peer: Peer,
    is_small: bool,
    /// Computes a piece. Returns the digest once it is complete.
    advance: Box<dyn FnMut() -> Option<Digest> + Send>,
    done: oneshot::Sender<Digest>,
}

impl Hasher {
    /// Begins a digest for a connection from `peer`. The receiver fails if the digest cannot be computed.
    pub(crate) fn start(&self, hashing: Hashing, display: &Display, peer: Peer) -> oneshot::Receiver<Digest> {
        let (job, digest) = Job::new(hashing, display, peer);
        let refused = match self.jobs.get_or_init(start_thread) {
            Some(jobs) => jobs.send(job).err().map(|refused| refused.0),
            None => Some(job),
        };
        if let Some(job) = refused {
            // Without the thread, the caller computes it.
            let mut queue = Queue::default();
            queue.push(job);
            queue.run_all();
        }
        digest
    }
}

fn start_thread() -> Option<Sender<Job>> {
    let (jobs, receiver) = channel();
    let started = thread::Builder::new().name("display-digest".into()).spawn(move || serve(&receiver));
    match started {
        Ok(_) => Some(jobs),
        Err(error) => {
            error!("cannot start a thread for digests, so computing them delays other connections: {error}");
            None
        }
    }
}

fn serve(jobs: &Receiver<Job>) {
    // On Linux this applies to the calling thread alone. Elsewhere it would apply to the whole process.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        debug!("cannot lower the priority of the digest thread: {error}");
    }
    let mut queue = Queue::default();
    while let Ok(job) = jobs.recv() {
        queue.push(job);
        while queue.run() {
            jobs.try_iter().for_each(|job| queue.push(job));
        }
    }
}

/// The digests that are to be computed.
#[derive(Default)]
struct Queue {
    small: RoundRobin<Job>,
    large: RoundRobin<Job>,
    /// The large digest that has been begun.
    begun: Option<Job>,
}

impl Queue {
    fn push(&mut self, job: Job) {
        let queue = if job.is_small { &mut self.small } else { &mut self.large };
        queue.push(job.peer, false, 0, job);
    }

    /// Computes a small digest, and a piece of a large one. Returns whether there was any.
    fn run(&mut self) -> bool {
        let (small, large) = (self.small.pop(), self.begun.take().or_else(|| self.large.pop()));
        let is_any = small.is_some() || large.is_some();
        // A small digest is complete after one piece.
        small.and_then(Job::advance).into_iter().for_each(|job| self.push(job));
        self.begun = large.and_then(Job::advance);
        is_any
    }

    fn run_all(&mut self) {
        while self.run() {}
    }
}

impl Job {
    fn new(mut hashing: Hashing, display: &Display, peer: Peer) -> (Job, oneshot::Receiver<Digest>) {
        let (done, digest) = oneshot::channel();
        let (display, is_small) = (display.clone(), hashing.work() <= PIECE);
        let advance = Box::new(move || hashing.advance(display.framebuffer(), PIECE).1);
        (Job { peer, is_small, advance, done }, digest)
    }

    /// Computes a piece. Returns the job if there is more to do and its connection still waits.
    fn advance(mut self) -> Option<Job> {
        if self.done.is_closed() {
            // The connection has ended.
            return None;
        }
        // A panic must not end the thread. The state of this job is dropped.
        match catch_unwind(AssertUnwindSafe(&mut self.advance)) {
            Ok(None) => Some(self),
            Ok(Some(digest)) => {
                _ = self.done.send(digest);
                None
            }
            Err(_) => {
                error!("computing a digest failed; the client receives an error");
                None
            }
        }
    }
}

#[cfg(test)]
impl Hasher {
    /// Returns a hasher whose digests all fail.
    pub(crate) fn broken() -> Hasher {
        let (jobs, receiver) = channel::<Job>();
        thread::spawn(move || receiver.into_iter().for_each(drop));
        Hasher { jobs: Arc::new(OnceLock::from(Some(jobs))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use draw_protocol::{Color, Size};
    use std::net::IpAddr;

    const SIZE: Size = Size { width: 1024, height: 512 };

    fn display() -> Display {
        Display::new(SIZE, Color::BLACK).expect("it is small")
    }

    fn peer(last: u8) -> Peer {
        IpAddr::from([10, 0, 0, last]).into()
    }

    /// Returns a job for a part of [`SIZE`], on `display`.
    fn job(display: &Display, peer: Peer, (width, height): (u32, u32)) -> (Job, oneshot::Receiver<Digest>) {
        let hashing = Hashing::new(SIZE.clip(0, 0, width, height));
        Job::new(hashing, display, peer)
    }

    #[test]
    fn a_small_digest_does_not_wait_for_a_large_one_and_an_abandoned_one_is_not_computed() {
        let display = display();
        let job = |width, height| job(&display, peer(1), (width, height));
        let [(large, mut late), (small, mut early), (left, gone)] =
            [job(1024, 512), job(8, 8), job(1024, 512)];
        drop(gone);
        let mut queue = Queue::default();
        [large, left, small].into_iter().for_each(|job| queue.push(job));
        assert!(queue.run());
        assert!(early.try_recv().is_ok() && late.try_recv().is_err());
        queue.run_all();
        assert!(late.try_recv().is_ok());
    }

    #[test]
    fn large_digests_are_there_one_after_the_other() {
        let (display, mut queue, mut digests) = (display(), Queue::default(), Vec::new());
        for _ in 0..4 {
            let (job, digest) = job(&display, peer(1), (1024, 512));
            queue.push(job);
            digests.push(digest);
        }
        let mut come = 0;
        while queue.run() {
            let now = digests.iter_mut().skip(come).take_while(|digest| !digest.is_empty()).count();
            assert!(now <= 1);
            come += now;
        }
        assert_eq!(come, 4);
    }

    #[test]
    fn a_digest_does_not_wait_for_all_those_that_another_address_asks_for() {
        let display = display();
        for part in [(1024, 512), (8, 8)] {
            let mut queue = Queue::default();
            let many: Vec<_> = (0..20).map(|_| job(&display, peer(1), part)).collect();
            let (mut jobs, digests): (Vec<_>, Vec<_>) = many.into_iter().unzip();
            let (other, digest) = job(&display, peer(2), part);
            jobs.push(other);
            jobs.into_iter().for_each(|job| queue.push(job));
            while digest.is_empty() {
                assert!(queue.run());
            }
            let before = digests.iter().filter(|digest| !digest.is_empty()).count();
            assert!(before <= 1, "{before} were computed before it");
        }
    }

    #[test]
    fn a_digest_that_cannot_be_computed_keeps_no_other_from_it() {
        let display = display();
        let job = || job(&display, peer(1), (1024, 512));
        let ((mut failing, mut failed), (job, mut digest)) = (job(), job());
        failing.advance = Box::new(|| panic!("computing it fails"));
        let mut queue = Queue::default();
        [failing, job].into_iter().for_each(|job| queue.push(job));
        queue.run_all();
        assert_eq!(failed.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert!(digest.try_recv().is_ok());
    }
}
