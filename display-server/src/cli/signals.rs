//! The signals that end the program, and the one that asks for a snapshot.

use display_server::signals::may_handle_hangup;
use std::future::Future;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing::{debug, info};

/// What a shell reports for a program that SIGINT ended: 128 and the number of the signal.
const INTERRUPTED: i32 = 130;

/// Ready at the first SIGINT, SIGTERM or SIGHUP; the last only if it was not ignored when the program was started. A SIGINT
/// after that ends the process at once, wherever it is.
///
/// The others do what they do to every program: SIGQUIT ends it with a core, SIGTSTP stops it.
pub(super) fn stop() -> io::Result<impl Future<Output = ()>> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let mut hangups = may_handle_hangup().then(|| signal(SignalKind::hangup())).transpose()?;
    if hangups.is_none() {
        debug!("SIGHUP was ignored when the program was started, and is ignored further on");
    }
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(async move {
        let name = tokio::select! {
            () = received(Some(&mut interrupts)) => "SIGINT",
            () = received(Some(&mut terminations)) => "SIGTERM",
            () = received(hangups.as_mut()) => "SIGHUP",
        };
        info!("{name} ends the display; SIGINT (Ctrl-C) from now on ends it at once");
        _ = stop.send(());
        received(Some(&mut interrupts)).await;
        std::process::exit(INTERRUPTED);
    });
    Ok(async { _ = stopped.await })
}

/// SIGUSR1, which asks for a snapshot.
pub(super) fn snapshots() -> io::Result<Signal> {
    signal(SignalKind::user_defined1())
}

/// Ready when the signal comes, and never if it cannot come, or not any more.
async fn received(signal: Option<&mut Signal>) {
    let has_come = match signal {
        Some(signal) => signal.recv().await.is_some(),
        None => false,
    };
    if !has_come {
        std::future::pending::<()>().await;
    }
}
