//! The displays of a server, by name.
//!
//! The first message of a connection selects one of them. Displays share the resources of the server (places, memory,
//! processor time, the thread for digests) and nothing else: each `Canvas` has its own framebuffer, pointer,
//! counters, sessions and journal. Uses the canvas and the windows.

use crate::canvas::display::Display;
use crate::canvas::{Canvas, Journal};
use crate::error::Error;
use crate::journal::{JournalError, inspect};
use crate::window::{self, Event, Present, Window, Windows};
use draw_protocol::session::Nonce;
use draw_protocol::{Code, DisplayName, Fault, server};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use crate::limits::DISPLAYS as MOST;

/// The folder for the journals of added displays, within the directory of the first display's journal.
pub const FOLDER: &str = "displays";

/// Returns the directory of an added display's journal, if that of the first display is `directory`.
pub fn journal_directory(directory: &Path, name: &DisplayName) -> PathBuf {
    directory.join(FOLDER).join(name.as_str())
}

/// Describes each journal of an added display that is not served, and what to do with it: one line each, in the order
/// of their paths. `directory` is that of the first display's journal, and `served` are all directories in use.
///
/// A journal that cannot be used is described too, as is a folder that cannot be read. What is not a journal is passed
/// over: plain files, and directories without one.
pub fn unserved_journals(directory: &Path, served: &[PathBuf]) -> Vec<String> {
    let folder = directory.join(FOLDER);
    let paths = std::fs::read_dir(&folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>());
    match paths {
        Ok(mut paths) => {
            paths.sort_unstable();
            paths.iter().filter_map(|path| unserved(path, served)).collect()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && folder.symlink_metadata().is_err() => {
            Vec::new()
        }
        Err(error) => vec![format!(
            "cannot look for journals of displays that are not served in {}: {}",
            folder.display(),
            inspect::obstacle(&folder).unwrap_or_else(|| error.to_string())
        )],
    }
}

/// Describes the journal in a directory, unless it is served or there is none.
fn unserved(path: &Path, served: &[PathBuf]) -> Option<String> {
    let is_journal = path.is_dir() || path.is_symlink();
    if !is_journal || served.iter().any(|served| is_same_directory(path, served)) {
        return None;
    }
    let (file, shown) = (path.file_name()?, path.display());
    let name = file.to_str().and_then(|name| name.parse::<DisplayName>().ok());
    let info = match inspect::info(path) {
        Err(JournalError::Missing(_)) => return None,
        info => info,
    };
    Some(match (name, info) {
        (Some(name), _) if name == DisplayName::main() => format!(
            "the journal in {shown} is not used, because the display {name} has its journal in {}",
            path.parent().and_then(Path::parent).unwrap_or(path).display()
        ),
        (Some(name), Ok(info)) => format!(
            "the journal in {shown} belongs to the display {name}, which is not served: serve it with --add {name}={}",
            info.size
        ),
        (Some(name), Err(error)) => format!("the display {name} is not served, and {error}"),
        (None, Ok(_)) => format!(
            "the journal in {shown} is not served, because no display can have this name: rename the directory (a name has 1 to \
             32 characters, each of a-z, 0-9 or -)"
        ),
        (None, Err(error)) => format!("no display can have the name {file:?}, and {error}"),
    })
}

/// Returns whether both paths lead to the same directory, which one journal only can use.
pub fn is_same_directory(a: &Path, b: &Path) -> bool {
    let identity = |path: &Path| path.metadata().map(|found| (found.dev(), found.ino())).ok();
    identity(a).is_some_and(|found| identity(b) == Some(found))
}

/// A display of a server.
#[derive(Debug)]
pub(crate) struct NamedDisplay {
    name: DisplayName,
    canvas: Canvas,
}

impl NamedDisplay {
    pub(crate) fn name(&self) -> &DisplayName {
        &self.name
    }

    pub(crate) fn canvas(&self) -> &Canvas {
        &self.canvas
    }

    pub(crate) fn display(&self) -> &Display {
        self.canvas.display()
    }
}

/// The displays of a server, of which there is at least one. Clones are the same displays.
#[derive(Debug, Clone)]
pub(crate) struct Displays {
    /// The first is that of clients that name none. There are few, so lookup is linear.
    list: Arc<Vec<Arc<NamedDisplay>>>,
}

impl Displays {
    /// Creates a list of one display, named `main`.
    pub(crate) fn new(first: Canvas) -> Displays {
        Displays { list: Arc::new(vec![Arc::new(NamedDisplay { name: DisplayName::main(), canvas: first })]) }
    }

    /// Replaces the first display, before any client uses it.
    pub(crate) fn set_first(&mut self, canvas: Canvas) {
        let name = self.list[0].name.clone();
        Arc::make_mut(&mut self.list)[0] = Arc::new(NamedDisplay { name, canvas });
    }

    /// Adds a display.
    ///
    /// # Errors
    /// [`Error::Name`] if there is a display of that name, [`Error::Displays`] if there are [`MOST`].
    pub(crate) fn add(&mut self, name: DisplayName, canvas: Canvas) -> Result<(), Error> {
        check_new(&name, self.all().map(NamedDisplay::name))?;
        Arc::make_mut(&mut self.list).push(Arc::new(NamedDisplay { name, canvas }));
        Ok(())
    }

    /// Returns the display of clients that name none.
    pub(crate) fn first(&self) -> &NamedDisplay {
        &self.list[0]
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &NamedDisplay> {
        self.list.iter().map(|named| &**named)
    }

    /// Returns the display of this name, or the first display for `None`.
    ///
    /// # Errors
    /// [`Code::UnknownDisplay`] with the names of all displays.
    pub(crate) fn find(&self, asked: Option<&str>) -> Result<&NamedDisplay, Fault> {
        let Some(asked) = asked else { return Ok(self.first()) };
        let found = self.all().find(|named| named.name.as_str() == asked);
        found.ok_or_else(|| Fault::unknown_display(asked, self.all().map(NamedDisplay::name)))
    }

    /// Returns whether there is more than one, so that messages have to name the display.
    pub(crate) fn are_several(&self) -> bool {
        self.list.len() > 1
    }

    pub(crate) fn journals(&self) -> impl Iterator<Item = &Journal> {
        self.all().filter_map(|named| named.canvas.journal())
    }

    /// Returns the reason that the clients of `canvas` are told when the server ends; `None` is for clients that have
    /// not selected a display. The state of their own display comes first. How far another display got in its journal
    /// is not told.
    pub(crate) fn end(&self, canvas: Option<&Canvas>) -> Fault {
        let only = if self.are_several() { None } else { Some(self.first().canvas()) };
        let canvas = canvas.or(only);
        if let Some(failure) = canvas.and_then(Canvas::journal).and_then(Journal::failure) {
            return Fault::new(Code::ShuttingDown, &*failure);
        }
        let has_failed = |named: &&NamedDisplay| named.canvas.journal().and_then(Journal::failure).is_some();
        if let Some(failed) = self.all().find(has_failed) {
            let text =
                format!("the server shuts down, because the journal of the display {} failed", failed.name);
            return Fault::new(Code::ShuttingDown, text);
        }
        let closed = self.all().map(|named| named.display().end()).find(|end| end.code == Code::WindowClosed);
        closed.unwrap_or_else(|| canvas.unwrap_or(self.first().canvas()).display().end())
    }
}

/// Checks that a new display may have this name.
///
/// # Errors
/// [`Error::Name`] if another has it, [`Error::Displays`] if there are [`MOST`].
pub fn check_new<'a>(name: &DisplayName, others: impl Iterator<Item = &'a DisplayName>) -> Result<(), Error> {
    let mut count = 0;
    for other in others {
        count += 1;
        if other == name {
            let is_main = *name == DisplayName::main();
            let problem =
                if is_main { "it is the first display's, whose size is --size" } else { "it is taken" };
            return Err(Error::Name { name: name.to_string(), problem });
        }
    }
    if count < MOST { Ok(()) } else { Err(Error::Displays) }
}

/// Shows each display in `each` windows, with different titles.
pub(crate) fn show(
    displays: &Displays,
    each: u8,
    present: Present,
    address: SocketAddr,
    on_event: impl FnMut(Event) + Send + 'static,
) -> Option<Windows> {
    let window = |named: &NamedDisplay, n| Window {
        title: title(address, displays.are_several().then_some(named.name()), n),
        display: named.display().clone(),
    };
    let windows = displays.all().flat_map(|named| (1..=each).map(move |n| window(named, n)));
    window::open(windows.collect(), present, on_event)
}

/// Returns the title of window `n` of a display.
fn title(address: SocketAddr, name: Option<&DisplayName>, n: u8) -> String {
    let name = name.map(|name| format!("/{name}")).unwrap_or_default();
    let which = if n == 1 { String::new() } else { format!(" ({n})") };
    format!("{address}{name}{which}")
}

/// Selects the display of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DisplaySelector<'a> {
    pub(crate) displays: &'a Displays,
    /// The name of the server that clients are told.
    pub(crate) server: &'static str,
    /// The size of the largest message, in bytes.
    pub(crate) message: usize,
    /// Confirms the sessions of this connection. Random, except in tests.
    pub(crate) nonce: Option<Nonce>,
}

impl<'a> DisplaySelector<'a> {
    /// Returns the display that a client asks for, and the configuration of its state machine.
    ///
    /// # Errors
    /// Those of [`Displays::find`].
    pub(crate) fn select(&self, asked: Option<&str>) -> Result<(&'a NamedDisplay, server::Config), Fault> {
        let named = self.displays.find(asked)?;
        let config = server::Config {
            display: named.name.clone(),
            server: self.server.to_owned(),
            size: named.display().size(),
            message: self.message,
            instance: Some(named.canvas.sessions().instance()),
            has_journal: named.canvas.journal().is_some(),
            nonce: self.nonce,
        };
        Ok((named, config))
    }

    /// Returns the name of a display for the log, if there are several.
    pub(crate) fn label(&self, named: &'a NamedDisplay) -> Option<&'a str> {
        self.displays.are_several().then(|| named.name.as_str())
    }
}
