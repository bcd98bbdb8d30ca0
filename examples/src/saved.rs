//! The picture that an example leaves, and how an example ends.

use crate::Interrupted;
use display_server::{Framebuffer, snapshot};
use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Reads the name of the file that a picture goes to. Made for clap's `value_parser`.
///
/// # Errors
/// If it stands for standard output, which has what the example says.
pub fn parse_output(name: &str) -> Result<PathBuf, String> {
    match name {
        "-" => Err("standard output has what this program says: name a file".into()),
        "" => Err("name a file".into()),
        name => Ok(name.into()),
    }
}

/// Leaves the picture of a display in a file. `done` says what was achieved all the same if that fails.
///
/// # Errors
/// The file as an absolute path, why it could not be written, and how to choose another.
pub fn save(framebuffer: &Framebuffer, path: &Path, done: &str) -> Result<(), String> {
    let whole = std::path::absolute(path);
    snapshot::write(framebuffer, whole.as_deref().unwrap_or(path))
        .map_err(|error| format!("{done}, but the picture is not saved: {error}, with --output FILE.png"))
}

/// Names the display that did not greet, which the library's error for that does not.
pub fn unreachable(address: &str, error: draw_client::Error) -> Box<dyn Error + Send + Sync> {
    match error {
        draw_client::Error::Timeout { after, .. } => format!(
            "what listens at {address} has not answered as a display for {after:?}: check the address, and whether that \
             display is stopped or overloaded"
        )
        .into(),
        error => error.into(),
    }
}

/// Says on standard error what went wrong, if anything did, and returns the status of the process: that of a program that a signal
/// ended if the error is [`Interrupted`], else 1.
pub fn finish(name: &str, outcome: Result<(), Box<dyn Error + Send + Sync>>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    // Its terminal may be gone.
    _ = writeln!(io::stderr(), "{name}: {error}");
    error.downcast_ref::<Interrupted>().map_or(ExitCode::FAILURE, |stopped| ExitCode::from(stopped.status()))
}
