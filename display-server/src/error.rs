//! What can keep a display from opening.

use crate::output::{hint, name};
use draw_protocol::Size;
use draw_protocol::limits::{PORT, SIDE_HARDEST};
use std::io;
use std::path::PathBuf;

/// Why a display cannot be opened or a snapshot not be written. Each says what to do.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A side of the display is 0 or longer than the wire can address.
    #[error("a display of {0} is not possible: each side has from 1 to {SIDE_HARDEST} pixels")]
    Size(Size),
    /// There is no memory for the pixels of the display.
    #[error("there is no memory for a display of {size}, which takes {bytes} bytes: choose a smaller size")]
    Memory {
        /// The size asked for.
        size: Size,
        /// What it would take.
        bytes: u64,
    },
    /// A name that a display of a server cannot have.
    #[error("there can be no display {name:?} ({problem}): choose another name")]
    Name {
        /// The name as it was given.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// More displays than one server has.
    #[error(
        "a server has at most {} displays: start another server on another port",
        crate::limits::DISPLAYS
    )]
    Displays,
    /// A display of several cannot be opened.
    #[error("the display {name}: {source}")]
    Of {
        /// The name of the display.
        name: String,
        /// What is wrong.
        source: Box<Error>,
    },
    /// A text that is no address to listen on.
    #[error(
        "{address:?} is no address to listen on ({problem}): write host:port, for example 127.0.0.1:{PORT}, or a port alone"
    )]
    Address {
        /// The address as it was given.
        address: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The host of an address to listen on is not known.
    #[error(
        "cannot listen on the host {host:?}: {source}; write an address of this machine, for example 127.0.0.1:{PORT}"
    )]
    Host {
        /// The host as it was given.
        host: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// The address is taken, or not of this machine.
    #[error("cannot listen on {address} ({source}): {hint}")]
    Listen {
        /// The address as it was given.
        address: String,
        /// What the system says.
        source: io::Error,
        /// What to do.
        hint: String,
    },
    /// A snapshot cannot be written there.
    #[error("cannot write the snapshot {} ({source}): {}", name(path), hint(source))]
    Snapshot {
        /// The file that was to be written.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system gives no random bytes, with which a display is told from every other.
    #[error("the system gives no random bytes: {0}")]
    Random(#[source] io::Error),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] crate::journal::JournalError),
    /// The system refuses threads, timers or signals.
    #[error("cannot start the server: {0}")]
    Start(#[source] io::Error),
}

draw_protocol::debug_as_sentence!(
    Error {
        Memory { size, bytes }
        Name { name, problem }
        Of { name, source }
        Address { address, problem }
        Host { host, source }
        Listen { address, source, hint }
        Snapshot { path, source }
    }
    (Size Random Journal Start)
    [Displays]
);
