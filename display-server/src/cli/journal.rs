//! `display-server journal`: inspects a journal, also while a server writes to it.

use super::progress::Bar;
use clap::{Args, Subcommand};
use display_server::arg_parsers::parse_moment;
use display_server::journal::inspect::{self, FileInfo, Info, Moment, Report};
use display_server::snapshot;
use display_server::{Error, Journal};
use draw_protocol::text::count;
use humantime::format_rfc3339_millis;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The status of a check that found a part because of which a server does not start.
const DAMAGED: u8 = 1;

/// Inspects a journal, also while a server writes to it, and changes nothing.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct JournalArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read the whole journal and report whether it is whole (status 0) or damaged or newer (status 1)
    ///
    /// A server refuses to start with a damaged journal. "newer" means that a later program has written a part of it: use
    /// that program. "whole, with a warning" means that a server starts, since it
    /// does not need the damaged part, such as an older snapshot; the status is 0 then. A journal that cannot be read
    /// has status 1 too.
    Check {
        /// The directory of --journal
        dir: PathBuf,
    },
    /// Show the instance of the display, how often it was started, its size, and the files
    Info {
        /// The directory of --journal
        dir: PathBuf,
    },
    /// Write the picture as of a given time to a PNG file
    Export {
        /// The directory of --journal
        dir: PathBuf,
        /// The time: RFC 3339 (2026-01-31T12:00:00Z), seconds since 1970, or -10s for 10 s before the last call
        /// [default: after the last call]
        #[arg(long, value_name = "TIME", allow_hyphen_values = true, default_value = "-0s", hide_default_value = true,
              value_parser = parse_moment)]
        at: Moment,
        /// The file to write; `-` is standard output
        #[arg(short, long, value_name = "FILE.png")]
        output: PathBuf,
    },
}

/// Executes the command, and returns the status of the process.
pub(crate) fn execute(args: JournalArgs) -> Result<ExitCode, Error> {
    match args.command {
        Command::Check { dir } => {
            let mut bar = Bar::new("reading");
            let report = inspect::check(&dir, &mut |done, total| bar.set(done, total))?;
            drop(bar);
            say(&told(&report));
            Ok(if report.damage.is_none() { ExitCode::SUCCESS } else { ExitCode::from(DAMAGED) })
        }
        Command::Info { dir } => {
            say(&described(&inspect::info(&dir)?));
            Ok(ExitCode::SUCCESS)
        }
        Command::Export { dir, at, output } => {
            snapshot::check_writable(&output)?;
            export(&dir, at, &output)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn export(dir: &Path, at: Moment, output: &Path) -> Result<(), Error> {
    let mut bar = Bar::new("drawing");
    let display = Journal::export(dir, at, &mut |done, total| bar.set(done, total))?;
    drop(bar);
    snapshot::write(display.framebuffer(), output)
}

/// Prints the text. A closed standard output is no error.
fn say(text: &str) {
    _ = io::stdout().write_all(text.as_bytes());
}

fn told(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a `String` never fails.
    let mut line = |name: &str, what: String| _ = writeln!(out, "{name:10}{what}");
    let warnings = match report.warnings.len() {
        1 => "a warning".to_owned(),
        n => count(n as u64, "warning"),
    };
    match &report.damage {
        Some(place) if report.is_newer => line("newer", place.to_string()),
        Some(damage) => line("damaged", damage.to_string()),
        None if report.warnings.is_empty() => line("whole", "yes".into()),
        None => {
            line(
                "whole",
                format!(
                    "yes, with {warnings}: a server can start, because it does not need the damaged parts"
                ),
            );
        }
    }
    for warning in &report.warnings {
        line("warning", warning.to_string());
    }
    if let Some((damage, bytes)) = &report.torn {
        line(
            "torn",
            format!(
                "{} at the end, which the server removes when it starts: {damage}",
                count(*bytes, "byte")
            ),
        );
    }
    let numbers = report.numbers.map_or(String::new(), |(first, last)| format!(", {first} to {last}"));
    line("records", format!("{}{numbers}", report.records));
    if let Some((first, last)) = report.times {
        line("first", format_rfc3339_millis(first).to_string());
        line("last", format_rfc3339_millis(last).to_string());
    }
    line("sessions", report.sessions.to_string());
    let (snapshots, journals) = report.files;
    line(
        "files",
        format!(
            "{}, {}, {}",
            count(snapshots, "intact snapshot"),
            count(journals, "journal"),
            count(report.bytes, "byte")
        ),
    );
    out
}

fn described(info: &Info) -> String {
    let mut out = String::new();
    let instance: String = info.instance.iter().map(|byte| format!("{byte:02x}")).collect();
    _ = writeln!(out, "instance  {instance}\nboot      {}\nsize      {}", info.boot, info.size);
    let mut list = |files: &[FileInfo], what: &str| {
        for FileInfo { name, bytes, record, begun, damage, .. } in files {
            if let Some(damage) = damage {
                _ = writeln!(out, "{name:27}{bytes:>14} bytes  damaged, but not needed: {damage}");
                continue;
            }
            _ = writeln!(
                out,
                "{name:27}{bytes:>14} bytes  {}  {what} {record}",
                format_rfc3339_millis(*begun)
            );
        }
    };
    list(&info.snapshots, "up to record");
    list(&info.journals, "from record");
    out
}
