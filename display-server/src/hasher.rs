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

/// How nice the thread is to others: it gets a tenth of a processor that somebody else wants as well.
const NICE: i32 = 10;

/// Work that is done for one before the next has its turn: some milliseconds. A small digest does not wait for a large one.
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
            run(&mut VecDeque::from([job]), u64::MAX);
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
    let mut queue = VecDeque::new();
    while let Ok(job) = jobs.recv() {
        queue.push_back(job);
        while !queue.is_empty() {
            run(&mut queue, PIECE);
            queue.extend(jobs.try_iter());
        }
    }
}

/// Goes on with the first of the queue.
fn run(queue: &mut VecDeque<Job>, work: u64) {
    let Some(mut job) = queue.pop_front() else { return };
    if job.done.is_closed() {
        // Its connection is gone.
        return;
    }
    match job.hashing.advance(job.display.framebuffer(), work) {
        (_, Some(digest)) => _ = job.done.send(digest),
        (_, None) => queue.push_back(job),
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
        let mut queue = VecDeque::from([large, left, small]);
        (0..3).for_each(|_| run(&mut queue, PIECE));
        assert!(early.try_recv().is_ok() && late.try_recv().is_err());
        assert_eq!(queue.len(), 1, "one is nobody's");
        while !queue.is_empty() {
            run(&mut queue, PIECE);
        }
        assert!(late.try_recv().is_ok());
    }
}
