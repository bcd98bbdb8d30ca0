//! Connects the asynchronous client.

#[cfg(test)]
mod tests;

use super::ConnectOptions;
use super::Display;
use crate::clock::now;
use crate::doctor::{self, Client};
use crate::error::{Error, Lost, Outcome, Result};
use crate::link::{Callers, Driver, debug};
use crate::reconnect::{self, NEVER, hello};
use crate::shared::Shared;
use crate::transport::address::{self, Address};
use crate::transport::{Dialer, Halves, Writer, checksums, tcp};
use draw_printer::Printer;
use draw_protocol::client::Connection;
use draw_protocol::reconnect::{End, Policy};
use draw_protocol::{DisplayName, Size};
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite};

/// What errors say in place of the address of a stream.
const STREAM: &str = "the other end of the stream";

impl ConnectOptions {
    /// Connects a [`Display`] to `host`, `host:port`, `[ipv6]:port` or a port of this machine; the port is 3729 unless given.
    /// Every address of the name is tried. `/NAME` behind it names a display of a server that has several; without it, the first is
    /// used. A task of the current tokio runtime drives the connection.
    ///
    /// # Errors
    /// [`Error::Address`] if the text is not an address, [`Error::Connect`] if nothing listens there or it closes the connection,
    /// [`Error::Timeout`] if it does
    /// not complete the handshake in time, [`Error::Disconnected`] if it is not a display, or keeps no journal
    /// ([`Code::NoJournal`](crate::Code::NoJournal)) and [`Durability::Durable`](crate::Durability::Durable) is set, or if the server has
    /// no display of that name ([`Code::UnknownDisplay`](crate::Code::UnknownDisplay)) or is too old to have names.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and I/O enabled.
    pub async fn connect(self, address: &str) -> Result<Display> {
        let deadline = now() + self.connect_timeout;
        let parsed = address::parse(address)?;
        let shown = parsed.to_string();
        let Address { host, port, display } = parsed;
        let stream =
            tcp::dial(&host, port, deadline).await.map_err(|error| address::unreachable(&shown, error))?;
        let checks = checksums::are_wanted(self.checksums, stream.peer_addr());
        let trace = debug::open(&format!("to {address}"));
        let dialer = tcp::dialer(host, port, self.connect_timeout);
        let greeting = (checks, display);
        let (display, driver) =
            self.handshake(&shown, stream.into(), Some(dialer), greeting, trace, deadline).await?;
        tokio::spawn(driver);
        Ok(display)
    }

    /// Connects a [`Display`] over a stream that is connected already: TLS, a Unix socket, a simulated network.
    ///
    /// # Errors
    /// [`Error::Timeout`] if the handshake is not complete in time, [`Error::Connect`] if the other side closes the stream before,
    /// [`Error::Disconnected`] if the other side is not a display.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time enabled.
    pub async fn over<S>(self, stream: S) -> Result<Display>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (display, driver) = self.over_with_driver(stream).await?;
        tokio::spawn(driver);
        Ok(display)
    }

    /// Connects as [`over`](ConnectOptions::over) does, and returns the driver, which the caller polls. The connection makes
    /// progress only then.
    ///
    /// # Errors
    /// Those of [`over`](ConnectOptions::over).
    ///
    /// # Panics
    /// Outside of a tokio runtime with time enabled.
    pub async fn over_with_driver<S>(self, stream: S) -> Result<(Display, Driver)>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let deadline = now() + self.connect_timeout;
        let (trace, checks) = (debug::open("over a stream"), self.checksums.unwrap_or(false));
        self.handshake(STREAM, Halves::split(stream), None, (checks, None), trace, deadline).await
    }

    /// Connects a [`Display`] over streams that `connect` opens: the first, and another when one is lost. With it the client
    /// reconnects over streams that are not TCP.
    ///
    /// # Errors
    /// [`Error::Connect`] with the error of `connect`, and those of [`over`](ConnectOptions::over).
    ///
    /// # Panics
    /// Outside of a tokio runtime with time enabled.
    pub async fn through<C, F, S>(self, mut connect: C) -> Result<Display>
    where
        C: FnMut() -> F + Send + 'static,
        F: Future<Output = std::io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let deadline = now() + self.connect_timeout;
        let first = tokio::time::timeout_at(deadline.into(), connect()).await;
        let first = first.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        let stream = first.map_err(|error| address::unreachable(STREAM, Some(error)))?;
        let trace = debug::open("over a stream");
        let again = move || {
            let dialing = connect();
            async { dialing.await.map(Halves::split) }
        };
        let checks = self.checksums.unwrap_or(false);
        let (display, driver) = self
            .handshake(
                STREAM,
                Halves::split(stream),
                Some(Dialer::new(again)),
                (checks, None),
                trace,
                deadline,
            )
            .await?;
        tokio::spawn(driver);
        Ok(display)
    }

    async fn handshake(
        self,
        address: &str,
        stream: Halves,
        dialer: Option<Dialer>,
        (checks, name): (bool, Option<DisplayName>),
        trace: Printer,
        deadline: Instant,
    ) -> Result<(Display, Driver)> {
        let machine = Connection::new(&hello(self.durability.is_durable(), checks).with_display(name));
        let writer = Writer::new(stream.writer, trace.clone());
        let ConnectOptions { reconnect: window, connect_timeout: attempt, accepts_loss, .. } = self;
        let policy = if dialer.is_some() { Policy { window, attempt, accepts_loss } } else { NEVER };
        let reconnect = reconnect::dialed(policy, deadline, now());
        let shared = Arc::new(Shared::new(machine, writer, self.timeout, reconnect));
        shared.lock().offline.policy = self.while_offline;
        let mut driver = Driver::new(Arc::clone(&shared), stream.reader, Callers::Tasks, dialer, trace);
        let size = std::future::poll_fn(|cx| {
            let ended = std::pin::Pin::new(&mut driver).poll(cx).is_ready();
            let state = shared.lock();
            if let Some(welcome) = state.machine.welcome() {
                return Poll::Ready(Ok(welcome.size()));
            }
            if !ended {
                return Poll::Pending;
            }
            if let Some(End::NeverConnected) = state.reconnect.end() {
                let late = Error::Timeout { after: self.connect_timeout, outcome: Outcome::Rejected };
                return Poll::Ready(Err::<Size, _>(late));
            }
            let reason = state.lifetime.ended.clone().unwrap_or(Lost::Eof);
            Poll::Ready(Err(Error::never_connected(address, reason)))
        })
        .await?;
        shared.lock().account.doctor = doctor::open(self.doctor, Client::Asynchronous, now());
        shared.set_callbacks(self.on_error, self.on_status).map_err(|error| Error::Disconnected {
            reason: Lost::Io(Arc::new(error)).into(),
            outcome: Outcome::Rejected,
        })?;
        Ok((Display::new(shared, size), driver))
    }
}
