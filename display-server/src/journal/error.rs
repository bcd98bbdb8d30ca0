//! The errors of a journal.

use draw_protocol::Size;
use std::io;
use std::path::PathBuf;

/// Why a journal cannot be used. Each message says what to do.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Reading or writing failed.
    #[error("the journal in {}: cannot {what} ({source}){}", directory.display(), hint(source))]
    Io {
        /// The directory of the journal.
        directory: PathBuf,
        /// The failed operation.
        what: String,
        /// What the system says.
        source: io::Error,
    },
    /// The path leads to something else than a directory.
    #[error("the journal in {} cannot be opened: {what}", directory.display())]
    NotDirectory {
        /// The directory of the journal.
        directory: PathBuf,
        /// What is there, and what to do.
        what: String,
    },
    /// Another server writes to the journal.
    #[error("another server uses the journal in {}: stop that server, or choose another directory", .0.display())]
    Locked(PathBuf),
    /// There is no journal.
    #[error("there is no journal in {}: name the directory that was given to --journal", .0.display())]
    Missing(PathBuf),
    /// A part of the journal was changed or is missing.
    #[error(
        "the journal in {dir} is damaged: {damage}. `display-server journal check {dir}` shows details; with `--accept-loss` \
         the server drops the damaged record and everything after it, and continues as a new instance",
        dir = directory.display()
    )]
    Damaged {
        /// The directory of the journal.
        directory: PathBuf,
        /// What is wrong, and where.
        damage: Damage,
    },
    /// The journal is of a display of another size.
    #[error(
        "the journal in {} belongs to a display of {found}, not {wanted}: omit --size (for a display of --add, give that size), or choose another directory",
        directory.display()
    )]
    Size {
        /// The directory of the journal.
        directory: PathBuf,
        /// The size asked for.
        wanted: Size,
        /// The size of the journal's display.
        found: Size,
    },
    /// The display cannot be created.
    #[error("the journal in {}: {source}", directory.display())]
    Display {
        /// The directory of the journal.
        directory: PathBuf,
        /// The error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A later program wrote something that this program does not know and must not skip or drop.
    #[error("the journal in {} cannot be used by this program: {place}", directory.display())]
    Newer {
        /// The directory of the journal.
        directory: PathBuf,
        /// What is unknown, where it is, and what to do.
        place: Damage,
    },
    /// The state in a snapshot cannot be read.
    #[error(
        "the journal in {dir}: the state in its snapshot cannot be restored: {why}. `display-server journal export {dir} \
         -o FILE.png` saves the picture; start the server with another directory",
        dir = directory.display()
    )]
    State {
        /// The directory of the journal.
        directory: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The moment is before the oldest picture in the journal.
    #[error("the journal in {} begins at {begin}: name a later time", directory.display())]
    TooEarly {
        /// The directory of the journal.
        directory: PathBuf,
        /// The time of the oldest picture in it, as RFC 3339.
        begin: String,
    },
    /// A sync failed, or an acknowledged call could not be written.
    #[error("the journal in {}: {why}", directory.display())]
    Failed {
        /// The directory of the journal.
        directory: PathBuf,
        /// The error, and its consequence.
        why: String,
    },
}

draw_protocol::debug_as_sentence!(
    JournalError {
        Io { directory, what, source }
        NotDirectory { directory, what }
        Damaged { directory, damage }
        Size { directory, wanted, found }
        Display { directory, source }
        Newer { directory, place }
        State { directory, why }
        TooEarly { directory, begin }
        Failed { directory, why }
    }
    (Locked Missing)
    []
);

/// Returns advice for an error of the system; empty if there is none.
fn hint(source: &io::Error) -> &'static str {
    use io::ErrorKind::*;
    match source.kind() {
        PermissionDenied => ": run the server as the owner of the directory, or name another directory",
        NotFound => ": name a directory whose parent exists",
        ReadOnlyFilesystem => {
            ": its file system is read-only. `display-server journal export` writes the picture; to draw, name another directory"
        }
        StorageFull => ": its disk is full; make room there, or name a directory on another disk",
        QuotaExceeded => {
            ": the disk quota of this user is used up; remove something, or name a directory on another disk"
        }
        FileTooLarge => ": the file would exceed the limit of file sizes; raise the limit (`ulimit -f`)",
        _ => "",
    }
}

/// A part of a journal that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}, offset {offset}, record {record}: {what}")]
pub struct Damage {
    /// The name of the file.
    pub file: String,
    /// The offset in the file, in bytes.
    pub offset: u64,
    /// The sequence number of the first record that cannot be read.
    pub record: u64,
    /// What is wrong.
    pub what: String,
}
