//! The signals of the program.

use display_server::signals::{Ending, Endings};
use std::future::Future;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing::{debug, info};

/// Returns a future that is ready at the first signal that asks the program to end. A later SIGINT ends the process at
/// once.
pub(super) fn stop() -> io::Result<impl Future<Output = ()>> {
    let mut endings = Endings::listen()?;
    if !endings.has_hangup() {
        debug!("SIGHUP was ignored when the program started and stays ignored");
    }
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(async move {
        let ending = endings.next().await;
        info!("received {ending}: shutting down; another SIGINT exits immediately");
        _ = stop.send(());
        endings.next_interrupt().await;
        std::process::exit(Ending::Interrupt.status().into());
    });
    Ok(async { _ = stopped.await })
}

/// Listens for SIGUSR1, which asks for a snapshot.
pub(super) fn snapshots() -> io::Result<Signal> {
    signal(SignalKind::user_defined1())
}
