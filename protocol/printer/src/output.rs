//! A bounded queue in front of a writer that may block.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes that wait to be written, at most: some 10,000 lines, or a second of what a terminal takes.
const QUEUE: usize = 1 << 20;

/// Of these, those that are left for what matters: [`Rank::Important`].
const RESERVED: usize = QUEUE / 8;

/// How long [`Output::flush`](Write::flush) waits. Longer than a healthy disk or a busy machine takes for a line, and short
/// enough for a display that ends: it is to be gone within two seconds.
pub const PATIENCE: Duration = Duration::from_millis(250);

/// Bytes of one call of the writer, so that a slow one is seen to go on.
const PIECE: usize = 16 << 10;

/// The pause before the next try where the writer would block but does not: another process has made the terminal so.
const RETRY: Duration = Duration::from_millis(10);

/// Writes to something that may block, by a thread of its own.
///
/// [`write`](Write::write) puts all of the bytes into a bounded queue, or none where there is no room, and never waits.
/// [`flush`](Write::flush) waits until they are written, but at most [`PATIENCE`], and not at all while an earlier one has
/// waited in vain and the queue has not been empty since. Neither fails. Lines that were left out are counted, and told when
/// the rest is written. Errors of the writer are ignored: printing continues.
///
/// Clones are the same output. The thread is started with the first line, and ends with the process. A process that has forked
/// starts its own.
#[derive(Clone)]
pub struct Output(Arc<Shared>);

/// What there is room for when the queue is nearly full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// What there may be very much of, such as a trace, or what peers cause.
    Common,
    /// Warnings and errors: an eighth of the queue is left for them.
    Important,
}

struct Shared {
    open: Box<dyn Fn() -> Box<dyn Write + Send> + Send + Sync>,
    /// Held only to look and to set, never while something is written.
    state: Mutex<State>,
    /// There is something to write.
    wanted: Condvar,
    /// Something was written.
    written: Condvar,
}

#[derive(Default)]
struct State {
    queue: Vec<u8>,
    /// Bytes that were ever put into the queue, and that have left it for good.
    accepted: u64,
    done: u64,
    /// Lines that had no room and were not told yet.
    left_out: u64,
    /// Somebody has waited in vain, and the queue has not been empty since.
    is_stalled: bool,
    /// The process whose thread writes.
    process: Option<u32>,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output")
    }
}

/// Returns the output to standard error that all of this process shares.
pub fn stderr() -> &'static Output {
    static STDERR: OnceLock<Output> = OnceLock::new();
    STDERR.get_or_init(|| Output::new(io::stderr))
}

/// Returns the output to standard output that all of this process shares.
pub fn stdout() -> &'static Output {
    static STDOUT: OnceLock<Output> = OnceLock::new();
    STDOUT.get_or_init(|| Output::new(io::stdout))
}

impl Output {
    /// An output to what `open` returns. It is called by the thread that writes.
    pub fn new<W: Write + Send + 'static>(open: impl Fn() -> W + Send + Sync + 'static) -> Output {
        Output(Arc::new(Shared {
            open: Box::new(move || Box::new(open())),
            state: Mutex::default(),
            wanted: Condvar::new(),
            written: Condvar::new(),
        }))
    }

    /// Puts `text`, which is whole lines, into the queue, or counts it as left out. Never waits.
    pub fn push(&self, text: &[u8], rank: Rank) {
        let mut state = self.0.lock();
        let most = if rank == Rank::Important { QUEUE } else { QUEUE - RESERVED };
        if !self.is_running(&mut state) || state.queue.len().saturating_add(text.len()) > most {
            state.left_out += lines(text);
            return;
        }
        state.queue.extend_from_slice(text);
        state.accepted += text.len() as u64;
        self.0.wanted.notify_one();
    }

    /// Waits until everything is written that was pushed before, and what was left out is told. Returns whether it was within
    /// `limit`.
    pub fn finish(&self, limit: Duration) -> bool {
        let state = self.0.lock();
        let upto = state.accepted;
        let is_open = |state: &mut State| state.done < upto || state.left_out > 0;
        let waited = self.0.written.wait_timeout_while(state, limit, is_open);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Returns whether the writer thread runs. Starts it if it does not.
    fn is_running(&self, state: &mut State) -> bool {
        let process = std::process::id();
        if state.process == Some(process) {
            return true;
        }
        // What a parent has not written yet is the parent's.
        *state = State::default();
        let shared = Arc::clone(&self.0);
        let thread = thread::Builder::new().name("output".into()).stack_size(128 << 10);
        if thread.spawn(move || shared.run()).is_ok() {
            state.process = Some(process);
        }
        state.process.is_some()
    }
}

impl Write for Output {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.push(text, Rank::Common);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let state = self.0.lock();
        let upto = state.accepted;
        let is_open = |state: &mut State| state.done < upto && !state.is_stalled;
        let waited = self.0.written.wait_timeout_while(state, PATIENCE, is_open);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_stalled |= timeout.timed_out();
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body of the thread.
    fn run(&self) {
        let mut to = (self.open)();
        let mut batch = Vec::new();
        loop {
            let (accepted, told) = self.take(&mut batch);
            write(&mut *to, &batch);
            let mut state = self.lock();
            state.done = accepted;
            state.left_out -= told;
            state.is_stalled &= !state.queue.is_empty();
            drop(state);
            self.written.notify_all();
            batch.clear();
            batch.shrink_to(PIECE);
        }
    }

    /// Waits for something to write, and takes it: the queue, or when that is empty the count of what was left out. Returns how
    /// many bytes were accepted up to there, and how many lines left out are told.
    fn take(&self, batch: &mut Vec<u8>) -> (u64, u64) {
        let is_idle = |state: &mut State| state.queue.is_empty() && state.left_out == 0;
        let state = self.wanted.wait_while(self.lock(), is_idle);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        if !state.queue.is_empty() {
            std::mem::swap(batch, &mut state.queue);
            return (state.accepted, 0);
        }
        let lines = if state.left_out == 1 { "line was" } else { "lines were" };
        let note =
            format!("{} {lines} left out here: they came faster than they were read\n", state.left_out);
        batch.extend_from_slice(note.as_bytes());
        (state.accepted, state.left_out)
    }
}

fn lines(text: &[u8]) -> u64 {
    let ends = text.iter().filter(|&&byte| byte == b'\n').count();
    ends.max(1) as u64
}

/// Writes all of it, unless that fails.
fn write(to: &mut dyn Write, mut text: &[u8]) {
    while !text.is_empty() {
        match to.write(&text[..text.len().min(PIECE)]) {
            Ok(0) => return,
            Ok(n) => text = &text[n.min(text.len())..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(RETRY),
            Err(_) => return,
        }
    }
    _ = to.flush();
}
