//! `DRAW_DEBUG`: prints the messages of each connection on standard error.

use crate::clock::now;
use draw_printer::Printer;

/// Opens the trace that the environment asks for, of a connection `whom`. Without one, it costs a branch for each read
/// and each write.
pub(crate) fn open(whom: &str) -> Printer {
    let printer = Printer::from_environment(now);
    printer.note(|| whom.to_owned());
    printer
}
