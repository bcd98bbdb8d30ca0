//! Computes digests on a thread of its own, which other threads of the machine go before: no connection waits while another's digest
//! is computed, in whatever number they are asked for.

use crate::apply::Hashing;
use crate::display::Display;
use draw_protocol::Digest;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use tokio::sync::oneshot;
use tracing::{debug, error};

/// How nice the thread is to others: it gets a quarter of a processor that somebody else wants as well.
const NICE: i32 = 5;

/// Work that is done for a large digest before a small one has its turn, and what a small one takes at most: some milliseconds. Large
/// ones are computed one after the other: in turns, all of a hundred would be there only at the end.
const PIECE: u64 = 5_000_000;

/// Where connections have their digests computed. Clones are the same. The thread ends with the last of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hasher {
    /// None if there could be no thread.
    jobs: Arc<OnceLock<Option<Sender<Job>>>>,
}

#[derive(Debug)]
struct Job {
    hashing: Hashing,
    display: Display,
    done: oneshot::Sender<Digest>,
}

impl Hasher {
    /// Begins one. A connection has one at a time.
    pub(crate) fn start(&self, hashing: Hashing, display: &Display) -> oneshot::Receiver<Digest> {
        let (done, digest) = oneshot::channel();
        let job = Job { hashing, display: display.clone(), done };
        let refused = match self.jobs.get_or_init(start_thread) {
            Some(jobs) => jobs.send(job).err().map(|refused| refused.0),
            None => Some(job),
        };
        if let Some(job) = refused {
            // Better late than never.
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
            error!("no thread for digests, others wait for them: {error}");
            None
        }
    }
}

fn serve(jobs: &Receiver<Job>) {
    // Of the calling thread alone, as Linux has it. Elsewhere it would be the whole process.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        debug!("digests are computed at the usual priority: {error}");
    }
    let mut queue = Queue::default();
    while let Ok(job) = jobs.recv() {
        queue.push(job);
        while queue.run() {
            jobs.try_iter().for_each(|job| queue.push(job));
        }
    }
}

/// What is to be computed, in the order in which it came.
#[derive(Debug, Default)]
struct Queue {
    small: VecDeque<Job>,
    large: VecDeque<Job>,
}

impl Queue {
    fn push(&mut self, job: Job) {
        let is_small = job.hashing.work() <= PIECE;
        if is_small { self.small.push_back(job) } else { self.large.push_back(job) }
    }

    /// Computes a small one, and a piece of a large one. Answers whether there was any.
    fn run(&mut self) -> bool {
        let is_any = !(self.small.is_empty() && self.large.is_empty());
        for queue in [&mut self.small, &mut self.large] {
            let Some(mut job) = queue.pop_front() else { continue };
            if job.done.is_closed() {
                // Its connection is gone.
                continue;
            }
            match job.hashing.advance(job.display.framebuffer(), PIECE) {
                (_, Some(digest)) => _ = job.done.send(digest),
                (_, None) => queue.push_front(job),
            }
        }
        is_any
    }

    fn run_all(&mut self) {
        while self.run() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use draw_protocol::{Color, Size};

    #[test]
    fn a_small_digest_does_not_wait_for_a_large_one_and_nobody_s_is_not_computed() {
        let size = Size { width: 1024, height: 512 };
        let display = Display::new(size, Color::BLACK).expect("it is small");
        let job = |width, height| {
            let (done, digest) = oneshot::channel();
            let hashing = Hashing::new((0, 0, width, height), size).expect("it is inside");
            (Job { hashing, display: display.clone(), done }, digest)
        };
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
        let size = Size { width: 1024, height: 512 };
        let display = Display::new(size, Color::BLACK).expect("it is small");
        let mut queue = Queue::default();
        let mut digests = Vec::new();
        for _ in 0..4 {
            let (done, digest) = oneshot::channel();
            let hashing = Hashing::new((0, 0, 1024, 512), size).expect("it is inside");
            queue.push(Job { hashing, display: display.clone(), done });
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
}
