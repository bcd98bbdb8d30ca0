//! The thread that carries a pipeline's bytes: the asynchronous client's driver on a runtime of its own.

use super::{Link, Peer};
use crate::builder::returning;
use crate::display::Display;
use crate::doctor::Doctor;
use crate::driver::{Callers, Driver};
use crate::error::{Error, Lost, Outcome, Result};
use crate::late::Callback;
use crate::options::{ConnectOptions, WhileOffline};
use crate::reconnect::Halves;
use crate::shared::{Shared, Stats};
use crate::status::StatusCallback;
use crate::writer::Writer;
use std::fmt;
use std::io;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::net::TcpStream;

/// What a pipeline has that a synchronous display has not.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) error: Option<Callback>,
    pub(super) status: Option<StatusCallback>,
    pub(super) while_gone: WhileOffline,
    pub(super) accepts_loss: bool,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("has_callback", &self.error.is_some())
            .field("has_status_callback", &self.status.is_some())
            .field("while_gone", &self.while_gone)
            .field("accepts_loss", &self.accepts_loss)
            .finish()
    }
}

impl From<ConnectOptions> for Settings {
    fn from(options: ConnectOptions) -> Settings {
        let ConnectOptions { on_error, on_status, while_offline, accepts_loss, .. } = options;
        Settings { error: on_error, status: on_status, while_gone: while_offline, accepts_loss }
    }
}

/// Hands the connection to a thread of its own, which ends when the connection has.
pub(super) fn start(
    link: Link,
    stats: Stats,
    doctor: Option<Box<Doctor>>,
    timeout: Duration,
    settings: Settings,
) -> Result<Display> {
    let failed =
        |error| Error::Disconnected { reason: Lost::Io(Arc::new(error)).into(), outcome: Outcome::Rejected };
    let (tell, told) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name("draw-pipeline".into());
    // Started there and not here: a program that is itself on a runtime could not end another one.
    let body = move || match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(async {
            match take_over(link, stats, doctor, timeout, settings).await {
                Ok((display, driver)) => {
                    // Whoever waits for it gets it: there is nothing in between that could fail.
                    _ = tell.send(Ok(display));
                    driver.await;
                }
                Err(error) => _ = tell.send(Err(error)),
            }
        }),
        Err(error) => _ = tell.send(Err(error)),
    };
    thread.spawn(body).map_err(failed)?;
    told.recv().unwrap_or_else(|_| Err(io::Error::other("its thread has ended"))).map_err(failed)
}

async fn take_over(
    link: Link,
    stats: Stats,
    doctor: Option<Box<Doctor>>,
    timeout: Duration,
    settings: Settings,
) -> io::Result<(Display, Driver)> {
    let size = link.size();
    let Link { stream, machine, trace, peer, .. } = link;
    stream.set_nonblocking(true)?;
    let stream = TcpStream::from_std(stream)?;
    if machine.in_flight() == 0 {
        // The first call is to leave at once, which takes a stream that is known to have room. It has.
        stream.writable().await?;
    }
    let Peer { host, port, connect_timeout, reconnect, .. } = peer;
    let returning = returning(host, port, reconnect, connect_timeout).accept_loss(settings.accepts_loss);
    let Halves { reader, writer } = stream.into();
    let writer = Writer::new(writer, trace.clone());
    let shared = Arc::new(Shared::new(machine, writer, timeout));
    shared.lock().stats = stats;
    shared.lock().doctor = doctor;
    shared.lock().while_gone = settings.while_gone;
    shared.set_callbacks(settings.error, settings.status)?;
    let driver = Driver::new(Arc::clone(&shared), reader, Callers::Threads, Some(returning), trace);
    Ok((Display::new(shared, size), driver))
}
