//! The command line of the program, and what the program adds to the library: signals, standard output, the log.

mod displays;
mod journal;
pub(crate) mod log;
#[cfg(feature = "manual")]
pub(crate) mod manual;
mod progress;
mod saving;
mod service;
mod signals;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use display_server::arg_parsers::{number, parse_added, parse_size};
use display_server::displays::check_new;
use display_server::window::{End, Event, Windows};
use display_server::{Color, DisplayName, Door, Error, Present, Server, Size, output, snapshot};
use saving::Snapshots;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::Signal;
use tokio::sync::oneshot;
use tracing::level_filters::LevelFilter;
use tracing::{error, info, warn};

/// The end of `--help`, and a section of the man page.
const EXIT_STATUS: &str = "\
Exit status:
  0    ended by a signal or by closing the last window; `journal` succeeded
  1    an error, which standard error names; `journal check` found damage
  2    the command line is invalid
  130  ended by a second SIGINT";

/// A display that programs draw on over TCP.
///
/// The first line on standard output names the address it listens on. Logs go to standard error.
///
/// SIGINT, SIGTERM, SIGHUP and closing the last window end it with status 0, after clients are told and the snapshot is
/// written. A further SIGINT ends it at once. A SIGHUP that was ignored when it was started, as by nohup, stays
/// ignored. SIGUSR1 writes the snapshot.
///
/// With DRAW_DEBUG=1 in the environment it prints all messages from and to clients on standard error, one line per
/// message; with DRAW_DEBUG=full also their bytes. With NO_COLOR=1 it writes without colours.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = EXIT_STATUS)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// Listen on this address
    ///
    /// It is host:port, a host alone (port 3729) or a port alone (host 127.0.0.1). Port 0 is any free port.
    ///
    /// It is not used if a service manager passes sockets (LISTEN_FDS): a socket named pixelflut is for Pixelflut, any
    /// other for clients of this program's own protocol.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3729")]
    listen: String,

    /// Also listen for Pixelflut [default: no Pixelflut]
    ///
    /// The address is as for --listen; the default port is 1234. The lines are PX x y rrggbb, PX x y rrggbbaa (aa is the opacity for blending), PX x y gg, PX x y, SIZE, OFFSET x
    /// y and HELP. Pixels outside and other lines are ignored. Clients of both protocols share all limits.
    #[arg(long, value_name = "ADDR")]
    pixelflut: Option<String>,

    /// Size in pixels [default: the journal's, or 640x480]
    #[arg(long, value_name = "WxH", allow_hyphen_values = true, value_parser = parse_size)]
    size: Option<Size>,

    /// Add a display, which clients select as host:port/NAME
    ///
    /// May be given several times. The first display, with --size, is named main; clients that name none get it. NAME has 1 to 32 characters, each
    /// of a-z, 0-9 or -.
    #[arg(long, value_name = "NAME=WxH", value_parser = parse_added, allow_hyphen_values = true)]
    add: Vec<(DisplayName, Size)>,

    /// How to show the windows
    ///
    /// They are presented with a GPU, by software, or not at all; auto chooses.
    #[arg(long, value_name = "HOW", default_value_t, value_parser = present())]
    present: Present,

    /// Number of windows of each display [default: 1]
    ///
    /// Each has the whole picture. Closing the last one ends the display.
    #[arg(long, value_name = "N", value_parser = number::<u8>(1, 8), allow_negative_numbers = true,
          conflicts_with = "headless")]
    windows: Option<u8>,

    /// Serve without a window: the same as --present none
    #[arg(long, conflicts_with = "present")]
    headless: bool,

    /// Write the picture here on exit and on SIGUSR1
    ///
    /// The file is a PNG; `-` is standard output. The snapshot of an added display is written to FILE-NAME.png beside it; there is none if FILE is not a regular
    /// file. With `-` the first line goes to standard error. The reader of a pipe has until 2 s after the display began
    /// to end: the rest is lost then, and the status is 1. A regular file has no limit.
    #[arg(long, value_name = "FILE.png")]
    snapshot: Option<PathBuf>,

    /// Colour of a new display
    ///
    /// It is rrggbb or rrggbbaa, with or without #, or a name. A display from a journal keeps its picture.
    #[arg(long, value_name = "COLOR", default_value = "black")]
    background: Color,

    /// Keep a journal in this directory
    ///
    /// The picture survives `kill -9` and, up to the last sync, a loss of power. An added display keeps its journal in DIR/displays/NAME. No journal is changed before all are read. Clients may wait for the disk. While the disk is full,
    /// also at the start, the picture is shown and can be read, but not drawn on.
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,

    /// Replace a journal of this size by a snapshot
    ///
    /// The size is in MiB.
    #[arg(long, value_name = "MIB", default_value = "256", value_parser = number::<u64>(1, u32::MAX.into()),
          allow_negative_numbers = true, requires = "journal")]
    journal_size: u64,

    /// Use the intact part of each damaged journal, as a new instance
    ///
    /// Without it the server does not start, changes no journal, and names every one that is damaged. A journal that a
    /// later program has written is refused in any case.
    #[arg(long, requires = "journal")]
    accept_loss: bool,

    /// The level of detail of the log
    ///
    /// Up to info, the first 10 lines of a kind in 10 s are written and the others counted. A line has at most 1,000
    /// characters. Lines are left out and counted if standard error is not read fast enough.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log: Level,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Inspect a journal
    Journal(journal::JournalArgs),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> LevelFilter {
        match level {
            Level::Error => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
            Level::Trace => LevelFilter::TRACE,
        }
    }
}

/// Returns a parser of the ways to present, which lists them in errors.
fn present() -> impl TypedValueParser<Value = Present> {
    PossibleValuesParser::new(Present::WORDS.map(|(word, _)| word)).try_map(|word| word.parse::<Present>())
}

impl Args {
    /// Parses the command line of the process. Ends the process if it is invalid.
    pub(crate) fn of_process() -> Args {
        let args = Args::parse();
        if args.windows.is_some() && args.present == Present::None {
            let conflict = "the argument '--windows <N>' cannot be used with '--present none'";
            Args::command().error(ErrorKind::ArgumentConflict, conflict).exit();
        }
        args
    }
}

/// Executes the command line.
pub(crate) fn execute(mut args: Args) -> Result<ExitCode, Error> {
    let passed = service::passed_sockets();
    log::start(args.log.into());
    if let Some(Command::Journal(args)) = args.command.take() {
        return journal::execute(args);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Two connections that draw at the same time use both. Idle threads only need their stacks.
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Error::Start)?;
    open(args, passed?, runtime).map(|()| ExitCode::SUCCESS)
}

/// Opens the display and serves it until a signal, or closing its window, ends it.
///
/// The window has a thread of its own, since the screen may never answer.
fn open(args: Args, passed: Vec<(std::net::TcpListener, Door)>, runtime: Runtime) -> Result<(), Error> {
    // All arguments are checked before anything starts.
    let main = DisplayName::main();
    for (i, (name, _)) in args.add.iter().enumerate() {
        check_new(name, std::iter::once(&main).chain(args.add[..i].iter().map(|(name, _)| name)))?;
    }
    if let Some(path) = &args.snapshot {
        snapshot::check_writable(path)?;
        for (name, _) in &args.add {
            match saving::beside(path, name) {
                Some(path) => snapshot::check_writable(&path)?,
                None => {
                    warn!(
                        "no snapshot of the display {name} is written, because --snapshot is not a regular file: name a regular file"
                    );
                }
            }
        }
    }
    let listeners = service::listeners(passed, &args.listen, args.pixelflut.as_deref())?;
    // Before a journal is read, which may take long: a signal that comes meanwhile is handled as soon as the display serves.
    let signals = {
        let _entered = runtime.enter();
        (signals::snapshots().map_err(Error::Start)?, signals::stop().map_err(Error::Start)?)
    };
    let server = displays::server(&args)?;
    let address = listeners[0].0.local_addr().map_err(Error::Start)?;
    let (close, closed) = oneshot::channel();
    let mut close = Some(close);
    let present = if args.headless { Present::None } else { args.present };
    let window = server.show(args.windows.unwrap_or(1), present, address, move |event| {
        // A window that failed is not closed: then only signals end the display.
        if let Some(close) = close.take_if(|_| event == Event::Ended(End::Closed)) {
            _ = close.send(());
        }
    });
    let outcome = runtime.block_on(async {
        let listeners =
            listeners.into_iter().map(|(listener, door)| Ok((TcpListener::from_std(listener)?, door)));
        let listeners = listeners.collect::<io::Result<_>>().map_err(Error::Start)?;
        serve(listeners, &server, args.snapshot.as_deref(), (window.as_ref(), closed), signals).await
    });
    // An aborted connection may still be executing a long request.
    runtime.shutdown_background();
    // The journals are closed whatever else has failed.
    let mut kept = Ok(());
    for journal in server.journals() {
        // All journals are closed, even if one of them fails.
        match (journal.close(), &kept) {
            (Err(another), Err(_)) => error!("{another}"),
            (closed, Ok(())) => kept = closed.map_err(Error::from),
            (Ok(()), Err(_)) => {}
        }
    }
    if let Some(window) = window {
        window.finish();
    }
    kept.and(outcome)
}

/// Serves until a signal comes or the window is closed. The window is closed as soon as the shutdown begins.
async fn serve(
    listeners: Vec<(TcpListener, Door)>,
    server: &Server,
    path: Option<&Path>,
    (window, closed): (Option<&Windows>, oneshot::Receiver<()>),
    (mut wanted, signalled): (Signal, impl Future<Output = ()> + Send + 'static),
) -> Result<(), Error> {
    let window = window.cloned();
    let ending = Arc::new(OnceLock::new());
    let ends = Arc::clone(&ending);
    let stopped = async move {
        tokio::select! {
            () = signalled => {}
            // A window that failed drops the sender without sending: then only signals end the display.
            Ok(()) = closed => info!("the last window was closed: shutting down"),
        }
        _ = ends.set(Instant::now());
        service::stopping();
        if let Some(window) = window {
            window.close();
        }
    };
    for (listener, door) in &listeners {
        let address = listener.local_addr().map_err(Error::Start)?;
        let what = if *door == Door::Pixelflut { "for Pixelflut " } else { "" };
        log::announce(&format!("listening {what}on {address}"), path.is_some_and(output::is_standard));
    }
    service::ready();
    // The server and each snapshot have a task of their own, so that neither waits for the other.
    let (mut snapshots, running) = (Snapshots::new(server, path), server.clone());
    let mut running = tokio::spawn(async move { running.run_doors(listeners, stopped).await });
    loop {
        let is_idle = !snapshots.is_writing();
        tokio::select! {
            ended = &mut running => {
                ended.map_err(io::Error::other).and_then(|served| served).map_err(Error::Start)?;
                break;
            }
            () = snapshots.written() => {}
            // A signal that comes while a snapshot is written stays pending.
            Some(()) = wanted.recv(), if is_idle => snapshots.begin(),
        }
    }
    snapshots.finish(ending.get().copied()).await
}
