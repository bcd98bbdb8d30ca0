//! The command line: what it says, and what a process adds to the library: signals, standard output, the log.

use clap::{Parser, ValueEnum};
use display_server::{Color, Display, Error, Size, bind, run, snapshot};
use draw_protocol::limits::SIDE;
use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing::level_filters::LevelFilter;
use tracing::{error, info, warn};

/// What a shell reports for a program that SIGINT ended: 128 and the number of the signal.
const INTERRUPTED: i32 = 130;

/// A display that programs draw on over TCP.
///
/// Its first line on standard output says where it listens. Logs go to standard error. SIGINT and SIGTERM end it with
/// status 0; a second SIGINT ends it at once.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// Address to listen on. Port 0 is any free one; without a port it is 3729
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3729")]
    listen: String,

    /// Width and height in pixels
    #[arg(long, value_name = "WxH", default_value = "640x480", value_parser = parse_size)]
    size: Size,

    /// Serve without a window
    #[arg(long)]
    headless: bool,

    /// Write the display to this PNG file on exit and on SIGUSR1
    #[arg(long, value_name = "FILE.png")]
    snapshot: Option<PathBuf>,

    /// Colour at the start: rrggbb or rrggbbaa, with or without #, or a name
    #[arg(long, value_name = "COLOR", default_value = "black")]
    background: Color,

    /// How much is logged
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log: Level,
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

fn parse_size(text: &str) -> Result<Size, String> {
    let side = |text: &str| {
        let is_number = text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u32>().ok().filter(|n| is_number && (1..=SIDE).contains(n))
    };
    text.split_once(['x', 'X'])
        .and_then(|(width, height)| Some(Size { width: side(width)?, height: side(height)? }))
        .ok_or_else(|| format!("write width x height, for example 640x480, each from 1 to {SIDE}"))
}

/// Opens the display and serves it until a signal ends it.
pub(crate) fn execute(args: Args, runtime: Runtime) -> Result<(), Error> {
    start_log(args.log.into());
    // All that can be refused is refused before anything starts.
    if let Some(path) = &args.snapshot {
        snapshot::check_writable(path)?;
    }
    let display = Display::new(args.size, args.background)?;
    let listener = bind(&args.listen, false)?;
    if !args.headless {
        warn!("this build has no window: serving without one, as with --headless");
    }
    let outcome = runtime.block_on(async {
        let listener = TcpListener::from_std(listener).map_err(Error::Start)?;
        serve(listener, &display, args.snapshot.as_deref()).await
    });
    // A connection that was cut may still be in the middle of a long request.
    runtime.shutdown_background();
    outcome
}

fn start_log(level: LevelFilter) {
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .with_max_level(level)
        // It would panic where standard error is closed.
        .log_internal_errors(false)
        .init();
}

async fn serve(listener: TcpListener, display: &Display, path: Option<&Path>) -> Result<(), Error> {
    let mut snapshots = signal(SignalKind::user_defined1()).map_err(Error::Start)?;
    let stopped = stop_signals().map_err(Error::Start)?;
    let address = listener.local_addr().map_err(Error::Start)?;
    announce(&format!("listening on {address}"));
    // A task of its own, so that clients are let in while a snapshot is being written.
    let mut server = tokio::spawn(run(listener, display.clone(), stopped));
    loop {
        tokio::select! {
            ended = &mut server => {
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
