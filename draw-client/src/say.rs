//! Prints on standard error what no callback and no call is left to be told.

use draw_printer::{Rank, stderr};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// How long the program waits for standard error to take it: a terminal that was stopped, or a pipe that nobody reads, holds up
/// the end of no program for longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// It was waited for in vain, which is not done twice.
static IS_UNREAD: AtomicBool = AtomicBool::new(false);

/// Prints `text`, which is whole lines, within a bounded time. It is no error if nobody can read it.
pub(crate) fn say(text: &str) {
    stderr().push(text.as_bytes(), Rank::Important);
    if !IS_UNREAD.load(Relaxed) && !stderr().finish(PATIENCE) {
        IS_UNREAD.store(true, Relaxed);
    }
}
