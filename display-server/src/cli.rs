//! The command line: what it says, and what a process adds to the library: signals, standard output, the log.

mod journal;
mod progress;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand, ValueEnum};
use display_server::journal::{self as journaling, DEFAULT_SIZE, Journal};
use display_server::typed::parse_size;
use display_server::window::{End, Event, Window};
use display_server::{Color, Display, Error, Present, Server, ServerOptions, Size, bind, snapshot};
use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing::level_filters::LevelFilter;
use tracing::{error, info, warn};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};

/// What a shell reports for a program that SIGINT ended: 128 and the number of the signal.
const INTERRUPTED: i32 = 130;

/// A display that programs draw on over TCP.
///
/// Its first line on standard output says where it listens. Logs go to standard error. SIGINT and SIGTERM end it with
/// status 0, and so does closing its window; a second SIGINT ends it at once. With DRAW_DEBUG=1 in the environment it
/// prints what its clients say and hear on standard error, one line per message, with DRAW_DEBUG=full the bytes too.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// Address to listen on. Port 0 is any free one; without a port it is 3729
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3729")]
    listen: String,

    /// Width and height in pixels [default: that of the journal, or 640x480]
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    size: Option<Size>,

    /// Show it in a window: with a GPU or by software, whichever suits; or not at all
    #[arg(long, value_name = "HOW", default_value_t, value_parser = present())]
    present: Present,

    /// Serve without a window: the same as --present none
    #[arg(long, conflicts_with = "present")]
    headless: bool,

    /// Write the display to this PNG file on exit and on SIGUSR1
    #[arg(long, value_name = "FILE.png")]
    snapshot: Option<PathBuf>,

    /// Colour at the start: rrggbb or rrggbbaa, with or without #, or a name
    #[arg(long, value_name = "COLOR", default_value = "black")]
    background: Color,

    /// Keep what is drawn in this directory, so that it is there again after whatever happens; clients may wait for its disk.
    /// While that is full, also at the start, what is there is shown and nothing is drawn
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,

    /// MiB of journal after which a snapshot replaces it
    #[arg(long, value_name = "MIB", default_value = "256", value_parser = clap::value_parser!(u64).range(1..1 << 32),
          requires = "journal")]
    journal_size: u64,

    /// Use a damaged journal as far as it is whole, as a new instance
    #[arg(long, requires = "journal")]
    accept_loss: bool,

    /// How much is logged
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
    start_log(args.log.into());
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
    if let Some(path) = &args.snapshot {
        snapshot::check_writable(path)?;
    }
    let listener = bind(&args.listen, false)?;
    let server = server(&args)?;
    let address = listener.local_addr().map_err(Error::Start)?;
    let (close, closed) = oneshot::channel();
    let mut close = Some(close);
    let present = if args.headless { Present::None } else { args.present };
    let window = Window::open(server.display(), present, address, move |event| {
        // A window that failed says no more: then only signals count.
        if let Some(close) = close.take_if(|_| event == Event::Ended(End::Closed)) {
            _ = close.send(());
        }
    });
    let outcome = runtime.block_on(async {
        let listener = TcpListener::from_std(listener).map_err(Error::Start)?;
        serve(listener, &server, args.snapshot.as_deref(), (window.as_ref(), closed)).await
    });
    // A connection that was cut may still be in the middle of a long request.
    runtime.shutdown_background();
    // Whatever else went wrong, the picture is to be kept.
    let kept = server.journal().map_or(Ok(()), |journal| journal.close().map_err(Error::from));
    if let Some(window) = window {
        window.finish();
    }
    kept.and(outcome)
}

/// The server of a new display, or of the one that a journal has.
fn server(args: &Args) -> Result<Server, Error> {
    let options = ServerOptions::default();
    let Some(directory) = &args.journal else {
        return Ok(Server::new(Display::new(args.size.unwrap_or(DEFAULT_SIZE), args.background)?, options));
    };
    let mut bar = progress::Bar::new("recovering");
    let journal = Journal::open(
        directory,
        &journaling::Options {
            size: args.size,
            background: args.background,
            snapshot_after: args.journal_size << 20,
            accept_loss: args.accept_loss,
        },
        &mut |done, total| bar.set(done, total),
    )?;
    Ok(Server::new(journal.display().clone(), options).journaled(journal))
}

fn start_log(level: LevelFilter) {
    // Libraries warn of what is no concern of who runs this, such as a monitor that does not say how large it is.
    let others = if level >= LevelFilter::DEBUG { level } else { level.min(LevelFilter::ERROR) };
    let filter = Targets::new().with_default(others).with_target("display_server", level);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        // It would panic where standard error is closed.
        .log_internal_errors(false);
    // Not `init`: it would take in what libraries log by other means too, where another package wants that of it.
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter));
    tracing::subscriber::set_global_default(subscriber).expect("the log is started once");
}

/// Serves until a signal says to end, or the window does. The window is closed as soon as the end begins.
async fn serve(
    listener: TcpListener,
    server: &Server,
    path: Option<&Path>,
    (window, closed): (Option<&Window>, oneshot::Receiver<()>),
) -> Result<(), Error> {
    let mut snapshots = signal(SignalKind::user_defined1()).map_err(Error::Start)?;
    let signalled = stop_signals().map_err(Error::Start)?;
    let window = window.cloned();
    let stopped = async move {
        tokio::select! {
            () = signalled => {}
            // A window that failed drops its end without a word: then only signals count.
            Ok(()) = closed => info!("the window was closed: ending"),
        }
        if let Some(window) = window {
            window.close();
        }
    };
    let address = listener.local_addr().map_err(Error::Start)?;
    announce(&format!("listening on {address}"));
    // A task of its own, so that clients are let in while a snapshot is being written.
    let (display, running) = (server.display().clone(), server.clone());
    let mut running = tokio::spawn(async move { running.run(listener, stopped).await });
    let display = &display;
    loop {
        tokio::select! {
            ended = &mut running => {
                ended.map_err(io::Error::other).and_then(|served| served).map_err(Error::Start)?;
                break;
            }
            Some(()) = snapshots.recv() => match path {
                Some(path) => match save(display, path).await {
                    Ok(()) => info!("wrote {}", path.display()),
                    Err(error) => error!("{error}"),
                },
                None => warn!("SIGUSR1 asks for a snapshot, but no --snapshot FILE.png was given"),
            },
        }
    }
    match path {
        Some(path) => save(display, path).await,
        None => Ok(()),
    }
}

/// Writes the line that scripts wait for. That nobody reads it is no reason to stop.
fn announce(line: &str) {
    let mut out = io::stdout();
    _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Ready at the first SIGINT or SIGTERM. A SIGINT after that ends the process at once, wherever it is.
fn stop_signals() -> io::Result<impl Future<Output = ()>> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(async move {
        tokio::select! {
            () = received(&mut interrupts) => {}
            () = received(&mut terminations) => {}
        }
        info!("ending; interrupt again to end at once");
        _ = stop.send(());
        received(&mut interrupts).await;
        std::process::exit(INTERRUPTED);
    });
    Ok(async { _ = stopped.await })
}

/// Ready when the signal comes, and never if it cannot come any more.
async fn received(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}

/// Writes a snapshot on a thread that may block.
async fn save(display: &Display, path: &Path) -> Result<(), Error> {
    let (display, path) = (display.clone(), path.to_owned());
    let write = move || snapshot::write(display.framebuffer(), &path);
    match tokio::task::spawn_blocking(write).await {
        Ok(written) => written,
        Err(failure) => Err(Error::Start(io::Error::other(failure))),
    }
}
