//! `display-server manual DIR`: writes the man pages and the completions of shells, for packages of this program.
//!
//! Both come from the definition of the command line, as `--help` does. The command is no part of that definition, and is only there
//! with the feature `manual`.

use super::{Args, EXIT_STATUS};
use clap::builder::Resettable;
use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate_to};
use clap_mangen::{Man, roff};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// The date of the man pages: that of the release. Pages of one release are equal, whenever they are made.
const DATE: &str = "2026-12-01";

/// Writes the files if the command line says so, and returns the status of the process.
pub(crate) fn execute() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    if words.next()? != "manual" {
        return None;
    }
    let written = match (words.next(), words.next()) {
        (Some(directory), None) => write(&directory),
        _ => Err(io::Error::other("write `display-server manual DIR`")),
    };
    let failed = |error| eprintln!("display-server: cannot write the manual: {error}");
    Some(written.map_err(failed).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS))
}

/// Writes the files into the directory, which is created.
fn write(directory: &OsString) -> io::Result<()> {
    let directory = Path::new(directory);
    fs::create_dir_all(directory)?;
    let mut command = Args::command();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut command, "display-server", directory)?;
    }
    // `display-server help` has no page.
    let mut command = Args::command().disable_help_subcommand(true);
    command.build();
    write_pages(&command, directory)
}

/// Writes the page of a command, and those of its subcommands.
fn write_pages(command: &Command, directory: &Path) -> io::Result<()> {
    let page = Man::new(command.clone().after_help(Resettable::Reset))
        .date(DATE)
        .source(concat!("display-server ", env!("CARGO_PKG_VERSION")))
        .manual("User Commands");
    let mut bytes = Vec::new();
    page.render(&mut bytes)?;
    let status = EXIT_STATUS.split_once('\n').map_or(EXIT_STATUS, |(_, lines)| lines);
    let mut section = roff::Roff::new();
    section.control("SH", ["EXIT STATUS"]);
    section.control("nf", []);
    section.text([roff::roman(status)]);
    section.control("fi", []);
    section.to_writer(&mut bytes)?;
    fs::write(directory.join(page.get_filename()), bytes)?;
    command.get_subcommands().try_for_each(|command| write_pages(command, directory))
}
