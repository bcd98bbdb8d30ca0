//! The command line: what it says, and what a process adds to the library: signals, standard output, the log.

mod journal;
pub(crate) mod log;
mod progress;
mod saving;
mod signals;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand, ValueEnum};
use display_server::Journal;
use display_server::arg_parsers::{number, parse_added, parse_size};
use display_server::displays::{check_new, journal_directory, journals_in};
use display_server::doors::pixelflut;
use display_server::journal::{self as journaling, DEFAULT_SIZE};
use display_server::window::{End, Event, Windows};
use display_server::{
    Color, Display, DisplayName, Door, Error, Present, Server, ServerOptions, Size, bind, bind_or, output,
    snapshot,
};
use saving::Snapshots;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tracing::level_filters::LevelFilter;
use tracing::{error, info, warn};

/// A display that programs draw on over TCP.
///
/// Its first line on standard output says where it listens. Logs go to standard error.
///
/// SIGINT, SIGTERM and SIGHUP end it with status 0, and so does closing its last window: clients are told, and the snapshot is
/// written. A SIGINT after that ends it at once. A SIGHUP that was ignored when it was started, as by nohup, stays ignored.
/// SIGUSR1 writes the snapshot.
///
/// With DRAW_DEBUG=1 in the environment it prints what its clients say and hear on standard error, one line per message, with
/// DRAW_DEBUG=full the bytes too. With NO_COLOR=1 it writes without colours.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// Address to listen on: host:port, a host alone (port 3729) or a port alone (host 127.0.0.1). Port 0 is any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3729")]
    listen: String,

    /// Listen for Pixelflut on this address too, with port 1234 where none is named [default: not at all]
    ///
    /// Its lines are PX x y rrggbb, PX x y rrggbbaa (aa is the opacity with which it is blended), PX x y gg, PX x y, SIZE, OFFSET x y and HELP.
    /// Pixels outside and other lines are ignored. Its clients share all limits with the others.
    #[arg(long, value_name = "ADDR")]
    pixelflut: Option<String>,

    /// Width and height in pixels [default: that of the journal, or 640x480]
    #[arg(long, value_name = "WxH", allow_hyphen_values = true, value_parser = parse_size)]
    size: Option<Size>,

    /// Add a display of this name and size, which clients ask for as host:port/NAME. May be given several times
    ///
    /// The first display, of --size, is named main; clients that name none get it. NAME has 1 to 32 characters, each of a-z, 0-9 or -.
    #[arg(long, value_name = "NAME=WxH", value_parser = parse_added)]
    add: Vec<(DisplayName, Size)>,

    /// Show it in a window: with a GPU or by software, whichever suits; or not at all
    #[arg(long, value_name = "HOW", default_value_t, value_parser = present())]
    present: Present,

    /// Open so many windows of it, each with the whole picture. Closing the last one ends the display
    #[arg(long, value_name = "N", default_value = "1", value_parser = number::<u8>(1, 8), allow_negative_numbers = true,
          conflicts_with = "headless")]
    windows: u8,

    /// Serve without a window: the same as --present none
    #[arg(long, conflicts_with = "present")]
    headless: bool,

    /// Write the display to this PNG file on exit and on SIGUSR1; `-` is standard output
    ///
    /// The snapshot of an added display goes to FILE-NAME.png beside it; there is none if FILE is not a regular file.
    /// With `-` the first line goes to standard error. The reader of a pipe has until 2 s after the display began to end: what it has
    /// not taken by then is lost, and the status is 1. A regular file has no limit.
    #[arg(long, value_name = "FILE.png")]
    snapshot: Option<PathBuf>,

    /// Colour of a new display: rrggbb or rrggbbaa, with or without #, or a name. One that a journal has keeps its picture
    #[arg(long, value_name = "COLOR", default_value = "black")]
    background: Color,

    /// Keep what is drawn in this directory, so that it is there again after `kill -9` and, as far as it was synced, after a loss of
    /// power
    ///
    /// An added display keeps its journal in DIR/displays/NAME. Clients may wait for its disk. While that is full, also at the start, what is there is shown and nothing is drawn.
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,

    /// MiB of journal after which a snapshot replaces it
    #[arg(long, value_name = "MIB", default_value = "256", value_parser = number::<u64>(1, u32::MAX.into()),
          allow_negative_numbers = true, requires = "journal")]
    journal_size: u64,

    /// Use a damaged journal as far as it is whole, as a new instance
    #[arg(long, requires = "journal")]
    accept_loss: bool,

    /// How much is logged
    ///
    /// Up to info, the first 10 lines of a kind in 10 s are written and the others counted. A line has at most 1,000 characters.
    /// Lines that come faster than standard error is read are left out and counted.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log: Level,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look at a journal
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

/// Accepts the words that there are, and lists them.
fn present() -> impl TypedValueParser<Value = Present> {
    PossibleValuesParser::new(Present::WORDS.map(|(word, _)| word)).try_map(|word| word.parse::<Present>())
}

/// Does what the command line says.
pub(crate) fn execute(mut args: Args) -> Result<ExitCode, Error> {
    log::start(args.log.into());
    if let Some(Command::Journal(args)) = args.command.take() {
        return journal::execute(args);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Two connections that draw at once use both; idle, they cost nothing but their stacks.
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Error::Start)?;
    open(args, runtime).map(|()| ExitCode::SUCCESS)
}

/// Opens the display and serves it until a signal, or the end of its window, ends it.
///
/// The window has a thread of its own, since the screen may keep it waiting for ever.
fn open(args: Args, runtime: Runtime) -> Result<(), Error> {
    // All that can be refused is refused before anything starts.
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
                    warn!("no snapshot is written of the display {name}: --snapshot names no regular file");
                }
            }
        }
    }
    let mut listeners = vec![(bind(&args.listen, false)?, Door::Native)];
    if let Some(address) = &args.pixelflut {
        listeners.push((bind_or(address, pixelflut::PORT, false)?, Door::Pixelflut));
    }
    let server = server(&args)?;
    let address = listeners[0].0.local_addr().map_err(Error::Start)?;
    let (close, closed) = oneshot::channel();
    let mut close = Some(close);
    let present = if args.headless { Present::None } else { args.present };
    let window = server.show(args.windows, present, address, move |event| {
        // A window that failed says no more: then only signals count.
        if let Some(close) = close.take_if(|_| event == Event::Ended(End::Closed)) {
            _ = close.send(());
        }
    });
    let outcome = runtime.block_on(async {
        let listeners =
            listeners.into_iter().map(|(listener, door)| Ok((TcpListener::from_std(listener)?, door)));
        let listeners = listeners.collect::<io::Result<_>>().map_err(Error::Start)?;
        serve(listeners, &server, args.snapshot.as_deref(), (window.as_ref(), closed)).await
    });
    // A connection that was cut may still be in the middle of a long request.
    runtime.shutdown_background();
    // Whatever else went wrong, the picture is to be kept.
    let mut kept = Ok(());
    for journal in server.journals() {
        // One that fails keeps none of the others from being closed.
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

/// Returns the server of new displays, or of those that a journal has.
fn server(args: &Args) -> Result<Server, Error> {
    let options = ServerOptions::default();
    let of = |name: &DisplayName| {
        let name = name.to_string();
        |source| Error::Of { name, source: Box::new(source) }
    };
    let Some(directory) = &args.journal else {
        let first = Display::new(args.size.unwrap_or(DEFAULT_SIZE), args.background)?;
        return args.add.iter().try_fold(Server::new(first, options), |server, (name, size)| {
            let display = Display::new(*size, args.background).map_err(of(name))?;
            server.with_display(name.clone(), display)
        });
    };
    let what = if args.add.is_empty() { "recovering" } else { "recovering main" };
    let journal = recover(args, directory, args.size, what.into())?;
    let server = Server::new(journal.display().clone(), options).journaled(journal);
    let server = args.add.iter().try_fold(server, |server, (name, size)| {
        let directory = journal_directory(directory, name);
        let journal =
            recover(args, &directory, Some(*size), format!("recovering {name}")).map_err(of(name))?;
        server.with_journaled(name.clone(), journal)
    })?;
    for name in journals_in(directory) {
        let directory = journal_directory(directory, &name);
        if args.add.iter().any(|(added, _)| *added == name) {
            continue;
        }
        if let Ok(info) = journaling::inspect::info(&directory) {
            warn!(
                "the journal in {} is of the display {name}, which was not added and is not served: add it with --add \
                 {name}={}",
                directory.display(),
                info.size
            );
        }
    }
    Ok(server)
}

/// Brings a display back from its journal, and says how far that is as `what`.
fn recover(args: &Args, directory: &Path, size: Option<Size>, what: String) -> Result<Journal, Error> {
    let mut bar = progress::Bar::new(what);
    let options = journaling::Options {
        size,
        background: args.background,
        snapshot_after: args.journal_size << 20,
        accept_loss: args.accept_loss,
    };
    Ok(Journal::open(directory, &options, &mut |done, total| bar.set(done, total))?)
}

/// Serves until a signal says to end, or the window does. The window is closed as soon as the end begins.
async fn serve(
    listeners: Vec<(TcpListener, Door)>,
    server: &Server,
    path: Option<&Path>,
    (window, closed): (Option<&Windows>, oneshot::Receiver<()>),
) -> Result<(), Error> {
    let mut wanted = signals::snapshots().map_err(Error::Start)?;
    let signalled = signals::stop().map_err(Error::Start)?;
    let window = window.cloned();
    let ending = Arc::new(OnceLock::new());
    let ends = Arc::clone(&ending);
    let stopped = async move {
        tokio::select! {
            () = signalled => {}
            // A window that failed drops its end without a word: then only signals count.
            Ok(()) = closed => info!("the window was closed: the display ends"),
        }
        _ = ends.set(Instant::now());
        if let Some(window) = window {
            window.close();
        }
    };
    for (listener, door) in &listeners {
        let address = listener.local_addr().map_err(Error::Start)?;
        let what = if *door == Door::Pixelflut { "for Pixelflut " } else { "" };
        log::announce(&format!("listening {what}on {address}"), path.is_some_and(output::is_standard));
    }
    // A task of its own, as each snapshot has one: neither waits for the other.
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
            // One that comes while another is written is kept by the system.
            Some(()) = wanted.recv(), if is_idle => snapshots.begin(),
        }
    }
    snapshots.finish(ending.get().copied()).await
}
