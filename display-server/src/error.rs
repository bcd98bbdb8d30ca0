//! The errors of opening a display, and of writing a snapshot.

use crate::output::{hint, name};
use draw_protocol::Size;
use draw_protocol::limits::SIDE_HARDEST;
use std::io;
use std::path::PathBuf;

/// Why a display cannot be opened, or a snapshot cannot be written. Each message says what to do.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A side of the display is 0 or longer than the wire can address.
    #[error("a display of {0} is not possible: width and height must be from 1 to {SIDE_HARDEST} pixels")]
    Size(Size),
    /// There is no memory for the pixels of the display.
    #[error("not enough memory for a display of {size}, which needs {bytes} bytes: choose a smaller size")]
    Memory {
        /// The requested size.
        size: Size,
        /// The memory that it would take, in bytes.
        bytes: u64,
    },
    /// The name is not possible for a display of this server.
    #[error("invalid name {name:?} for a display ({problem}): choose another name")]
    Name {
        /// The given name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There are more displays than one server may have.
    #[error(
        "a server has at most {} displays: start another server on another port",
        crate::limits::DISPLAYS
    )]
    Displays,
    /// One of several displays cannot be opened.
    #[error("the display {name}: {source}")]
    Of {
        /// The name of the display.
        name: String,
        /// The error.
        source: Box<Error>,
    },
    /// Several displays cannot be opened. [`Error::each`] has the errors one by one.
    #[error("{}", .0.iter().map(Error::to_string).collect::<Vec<_>>().join("; "))]
    Several(Vec<Error>),
    /// Two displays would use the same journal.
    #[error(
        "the displays {first} and {name} of this server would use the same journal, because their directories are the same ({}): \
         remove the link or mount, so that each display has a directory of its own",
        directory.display()
    )]
    SameJournal {
        /// The name of the display.
        name: String,
        /// The name of the other display.
        first: String,
        /// The directory of the display.
        directory: PathBuf,
    },
    /// The address to listen on cannot be parsed.
    #[error(
        "{address:?} is not an address to listen on ({problem}): write host:port, for example 127.0.0.1:{port}, or a port alone"
    )]
    Address {
        /// The given address.
        address: String,
        /// What is wrong with it.
        problem: &'static str,
        /// The default port.
        port: u16,
    },
    /// The host of the address to listen on cannot be resolved.
    #[error(
        "cannot listen on the host {host:?}: {source}; write an address of this machine, for example 127.0.0.1:{port}"
    )]
    Host {
        /// The given host.
        host: String,
        /// The error of the resolver.
        source: io::Error,
        /// The default port of what listens there.
        port: u16,
    },
    /// The address cannot be listened on: it is taken, or not one of this machine.
    #[error("cannot listen on {address} ({source}): {hint}")]
    Listen {
        /// The given address.
        address: String,
        /// The error of the system.
        source: io::Error,
        /// What to do.
        hint: String,
    },
    /// The snapshot cannot be written.
    #[error("cannot write the snapshot {} ({source}): {}", name(path), hint(source))]
    Snapshot {
        /// The file to write.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The system gives no random bytes, which identify a display.
    #[error("cannot get random bytes from the system: {0}")]
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
        SameJournal { name, first, directory }
        Address { address, problem, port }
        Host { host, source, port }
        Listen { address, source, hint }
        Snapshot { path, source }
    }
    (Size Several Random Journal Start)
    [Displays]
);

impl Error {
    /// Combines errors into one; `None` if there are none.
    pub fn of_several(mut errors: Vec<Error>) -> Option<Error> {
        if errors.len() > 1 { Some(Error::Several(errors)) } else { errors.pop() }
    }

    /// Returns the errors that this one consists of: itself, unless it is [`Error::Several`].
    pub fn each(&self) -> &[Error] {
        match self {
            Error::Several(errors) => errors,
            error => std::slice::from_ref(error),
        }
    }
}
