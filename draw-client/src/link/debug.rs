//! `DRAW_DEBUG`: the wire of each connection on standard error.

use crate::clock::now;
use draw_printer::Printer;

/// What the environment asks for, for a connection with `whom`. Off, it costs a branch for each read and each write.
pub(crate) fn open(whom: &str) -> Printer {
    let printer = Printer::from_environment(now);
    printer.note(|| whom.to_owned());
    printer
}
