//! Prints what a client or a display has to say beside its work: the trace of a connection, a diagnosis, a log.
//!
//! Standard error may be a pipe that its owner does not read, or a terminal that is stopped with Ctrl-S. A program that writes
//! there itself then stops as well, and with it all its peers. So everything is written by a thread of its own, through an
//! [`Output`]: a bounded queue that never holds up the caller for long, and that tells how much it had to leave out.
//!
//! [`draw_protocol::trace`] makes lines of a conversation; a [`Printer`] puts the clock and the output to that, and is what the
//! environment variable [`DRAW_DEBUG`] turns on in every client and every display.

mod output;
mod printer;

pub use output::{Output, PATIENCE, Rank, stderr, stdout};
pub use printer::{DRAW_DEBUG, Detail, Printer};
