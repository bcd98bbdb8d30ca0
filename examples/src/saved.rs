//! Saves the picture of an example, and ends the example.

use crate::Interrupted;
use display_server::{Framebuffer, snapshot};
use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Parses the name of the picture's file. For clap's `value_parser`.
///
/// # Errors
/// If it is standard output, which carries the text of the example.
pub fn parse_output(name: &str) -> Result<PathBuf, String> {
    match name {
        "-" => Err("standard output is used for the messages of this program: name a file".into()),
        "" => Err("name a file".into()),
        name => Ok(name.into()),
    }
}

/// Saves the picture of a display in a file. If that fails, the error begins with `done`, the completed work.
///
/// # Errors
/// The file as an absolute path, why it could not be written, and how to choose another.
pub fn save(framebuffer: &Framebuffer, path: &Path, done: &str) -> Result<(), String> {
    let whole = std::path::absolute(path);
    snapshot::write(framebuffer, whole.as_deref().unwrap_or(path))
        .map_err(|error| format!("{done}, but the picture is not saved: {error}, with --output FILE.png"))
}

/// Returns an error that names the display that did not answer `hello`, which the library's error does not.
pub fn unreachable(address: &str, error: draw_client::Error) -> Box<dyn Error + Send + Sync> {
    match error {
        draw_client::Error::Timeout { after, .. } => format!(
            "the program at {address} did not answer as a display within {after:?}: check the address, and whether that \
             display is stopped or overloaded"
        )
        .into(),
        error => error.into(),
    }
}

/// Prints an error on standard error, if there is one, and returns the status of the process: the status of a program
/// ended by a signal if the error is [`Interrupted`], otherwise 1.
pub fn finish(name: &str, outcome: Result<(), Box<dyn Error + Send + Sync>>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    // The terminal may be gone.
    _ = writeln!(io::stderr(), "{name}: {error}");
    error.downcast_ref::<Interrupted>().map_or(ExitCode::FAILURE, |stopped| ExitCode::from(stopped.status()))
}
