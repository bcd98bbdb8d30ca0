//! The log: lines on standard error that never block the program, are bounded in number and length, and contain no
//! control characters for a terminal.

mod limit;
#[cfg(test)]
mod tests;

use display_server::Error;
use draw_printer::{PATIENCE, Rank, stderr, stdout};
use draw_protocol::text::{Printable, excerpt};
use limit::Kinds;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::OnceLock;
use std::thread;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// Characters of one line, without its time and level. Usual lines about peers have some 300; only a hostile peer
/// causes longer ones.
const LONGEST: usize = 1_000;

/// The lines that were left out and not reported yet.
static KINDS: OnceLock<Arc<Kinds>> = OnceLock::new();

/// Starts the log, which also writes panics of any thread.
pub(super) fn start(level: LevelFilter) {
    // Warnings of libraries do not concern the user, such as a monitor that does not report its size.
    let others = if level >= LevelFilter::DEBUG { level } else { level.min(LevelFilter::ERROR) };
    let wanted = Targets::new().with_default(others).with_target("display_server", level);
    let kinds = Arc::clone(KINDS.get_or_init(Arc::default));
    let lines = tracing_subscriber::fmt::layer()
        .event_format(Lines(kinds))
        .with_writer(Log)
        .with_ansi(io::stderr().is_terminal() && is_colour_wanted(|name| std::env::var_os(name)))
        .log_internal_errors(false);
    // Not `init`, which may also install a bridge for the `log` crate, if another package enables that feature.
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(wanted));
    tracing::subscriber::set_global_default(subscriber).expect("the log is started once");
    std::panic::set_hook(Box::new(|panic| {
        let (thread, trace) = (thread::current(), Backtrace::capture());
        let mut text = format!("thread '{}' {panic}\n", thread.name().unwrap_or("<unnamed>"));
        if trace.status() == BacktraceStatus::Captured {
            text = format!("{text}{trace}\n");
        }
        let lines: String = text.lines().map(|line| format!("{}\n", Printable(line))).collect();
        stderr().push(lines.as_bytes(), Rank::Important);
    }));
}

/// When dropped, also by a panic of the main thread: reports the lines that were left out, and waits a short time for
/// the readers of standard error and standard output. After that, the rest is lost.
pub(crate) struct Finish;

impl Drop for Finish {
    fn drop(&mut self) {
        if let Some(kinds) = KINDS.get() {
            kinds.tell_all();
        }
        stderr().finish(PATIENCE);
        stdout().finish(PATIENCE);
    }
}

/// Writes the error that ends the program: one line for each error that it consists of.
pub(crate) fn fail(error: &Error) {
    for error in error.each() {
        let line = format!("display-server: {}\n", Printable(&error.to_string()));
        stderr().push(line.as_bytes(), Rank::Important);
    }
}

/// Writes the line that scripts wait for, to standard error if standard output is for pictures. Neither waits for a
/// reader nor fails without one.
pub(super) fn announce(line: &str, is_for_pictures: bool) {
    let output = if is_for_pictures { stderr() } else { stdout() };
    output.push(format!("{line}\n").as_bytes(), Rank::Important);
}

/// Returns whether to write to a terminal in colour, by the rule of no-color.org and by the type of the terminal.
fn is_colour_wanted(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> bool {
    variable("NO_COLOR").is_none_or(|value| value.is_empty()) && !is_dumb(variable)
}

/// Returns whether a terminal supports plain text only.
pub(super) fn is_dumb(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> bool {
    variable("TERM").is_some_and(|term| term == "dumb")
}

/// Formats an event: `2026-01-31T12:00:00.000000Z  INFO what happened peer="127.0.0.1:5000"`, on one line, or as
/// nothing if the limit of its kind is reached. A filter of the layer would be the usual way, but if a filter rejects
/// an event whose callsite is always enabled, tracing-subscriber 0.3 does not pass on the next one.
struct Lines(Arc<Kinds>);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if !Kinds::admit(&self.0, event) {
            return Ok(());
        }
        let mut text = String::new();
        context.format_fields(Writer::new(&mut text), event)?;
        let text = excerpt(&text, LONGEST);
        let level = *event.metadata().level();
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        if to.has_ansi_escapes() {
            writeln!(to, "\u{1b}[2m{time}\u{1b}[0m \u{1b}[{}m{level:>5}\u{1b}[0m {text}", colour(level))
        } else {
            writeln!(to, "{time} {level:>5} {text}")
        }
    }
}

fn colour(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

/// Creates writers for lines.
struct Log;

/// Writes one line.
struct Line(Rank);

impl MakeWriter<'_> for Log {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line(Rank::Common)
    }

    fn make_writer_for(&self, of: &Metadata<'_>) -> Line {
        Line(if *of.level() <= Level::WARN { Rank::Important } else { Rank::Common })
    }
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        stderr().push(line, self.0);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
