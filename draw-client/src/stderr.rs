//! Prints on standard error within a bounded time.

use draw_printer::{Rank, stderr};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// How long the program waits for standard error. A stopped terminal, or a pipe that is not read, delays the end of the
/// program by no more.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Whether standard error was not written in time. The program does not wait for it again.
static IS_UNREAD: AtomicBool = AtomicBool::new(false);

/// Prints whole lines within a bounded time. If standard error cannot be written, they are lost.
pub(crate) fn print(text: &str) {
    stderr().push(text.as_bytes(), Rank::Important);
    if !IS_UNREAD.load(Relaxed) && !stderr().finish(FLUSH_TIMEOUT) {
        IS_UNREAD.store(true, Relaxed);
    }
}
