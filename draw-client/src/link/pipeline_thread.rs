//! The thread of a pipeline: the asynchronous client's driver on a runtime of its own.

use super::{Callers, Driver};
use crate::admission::WhileOffline;
use crate::completion::Callback;
use crate::doctor::Doctor;
use crate::error::{Error, Lost, Outcome, Result, StatusCallback};
use crate::link::blocking::{Link, Peer};
use crate::shared::{Shared, Stats};
use crate::transport::{Halves, Writer, tcp};
use draw_protocol::Size;
use std::fmt;
use std::io;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::net::TcpStream;

/// The settings of a pipeline that a blocking display does not have.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) error: Option<Callback>,
    pub(crate) status: Option<StatusCallback>,
    pub(crate) while_offline: WhileOffline,
    pub(crate) accepts_loss: bool,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("has_callback", &self.error.is_some())
            .field("has_status_callback", &self.status.is_some())
            .field("while_offline", &self.while_offline)
            .field("accepts_loss", &self.accepts_loss)
            .finish()
    }
}

/// Passes the connection to a thread of its own, which ends with the connection.
pub(crate) fn start(
    link: Link,
    stats: Stats,
    doctor: Option<Box<Doctor>>,
    timeout: Duration,
    settings: Settings,
) -> Result<(Arc<Shared>, Size)> {
    let failed =
        |error| Error::Disconnected { reason: Lost::Io(Arc::new(error)).into(), outcome: Outcome::Rejected };
    let (tell, told) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name("draw-pipeline".into());
    // The runtime is created there, since a program that is itself on a runtime could not drop another one.
    let body = move || match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(async {
            match take_over(link, stats, doctor, timeout, settings).await {
                Ok((shared, size, driver)) => {
                    // The receiver below waits for it, and nothing in between can fail.
                    _ = tell.send(Ok((shared, size)));
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
) -> io::Result<(Arc<Shared>, Size, Driver)> {
    let size = link.size();
    let Link { stream, machine, trace, peer, mut reconnect, .. } = link;
    stream.set_nonblocking(true)?;
    let stream = TcpStream::from_std(stream)?;
    if machine.in_flight() == 0 {
        // The first call is written at once only if the stream is known to be writable.
        stream.writable().await?;
    }
    let Peer { host, port, connect_timeout, .. } = peer;
    let dialer = tcp::dialer(host, port, connect_timeout);
    reconnect.set_accepts_loss(settings.accepts_loss);
    let Halves { reader, writer } = stream.into();
    let writer = Writer::new(writer, trace.clone());
    let shared = Arc::new(Shared::new(machine, writer, timeout, reconnect));
    shared.lock().account.stats = stats;
    shared.lock().account.doctor = doctor;
    shared.lock().offline.policy = settings.while_offline;
    shared.set_callbacks(settings.error, settings.status)?;
    let driver = Driver::new(Arc::clone(&shared), reader, Callers::Threads, Some(dialer), trace);
    Ok((shared, size, driver))
}
