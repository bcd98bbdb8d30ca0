//! Connects the asynchronous client.

#[cfg(test)]
mod tests;

use crate::address;
use crate::checksums;
use crate::debug;
use crate::display::Display;
use crate::doctor::{self, Client};
use crate::driver::{Callers, Driver};
use crate::error::{Error, Lost, Outcome, Result};
use crate::options::ConnectOptions;
use crate::reconnect::{Halves, hello};
use crate::returning::Returning;
use crate::shared::{Shared, now};
use crate::socket;
use crate::writer::Writer;
use draw_printer::Printer;
use draw_protocol::Size;
use draw_protocol::client::Connection;
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};

impl ConnectOptions {
    /// Connects a [`Display`] to `host`, `host:port`, `[ipv6]:port` or a port of this machine; the port is 3729 unless given.
    /// Every address of the name is tried. A task of the current tokio runtime drives the connection.
    ///
    /// # Errors
    /// [`Error::Address`] if the text is not an address, [`Error::Connect`] if nothing listens there, [`Error::Timeout`] if it does
    /// not complete the handshake in time, [`Error::Disconnected`] if it is not a display, or keeps no journal
    /// ([`Code::NoJournal`](crate::Code::NoJournal)) and [`Durability::Durable`](crate::Durability::Durable) is set.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and I/O enabled.
    pub async fn connect(self, address: &str) -> Result<Display> {
        let deadline = now() + self.connect_timeout;
        let (host, port) = address::parse(address)?;
        let shown = address::show(&host, port);
        let stream =
            dial(&host, port, deadline).await.map_err(|error| address::unreachable(&shown, error))?;
        let checks = checksums::are_wanted(self.checksums, stream.peer_addr());
        let trace = debug::open(&format!("to {address}"));
        let patience = self.connect_timeout;
        let returning = returning(host, port, self.reconnect, patience).accept_loss(self.accepts_loss);
        let (display, driver) = self.greet(stream.into(), Some(returning), checks, trace, deadline).await?;
        tokio::spawn(driver);
        Ok(display)
    }

    /// Connects a [`Display`] over a stream that is connected already: TLS, a Unix socket, a simulated network.
    ///
    /// # Errors
    /// [`Error::Timeout`] if the handshake is not complete in time, [`Error::Disconnected`] if the other side is not a display.
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
        self.greet(Halves::split(stream), None, checks, trace, deadline).await
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
        let stream =
            first.map_err(|error| address::unreachable("the other end of the stream", Some(error)))?;
        let trace = debug::open("over a stream");
        let again = move || {
            let dialing = connect();
            async { dialing.await.map(Halves::split) }
        };
        let returning =
            Returning::new(again, self.reconnect, self.connect_timeout).accept_loss(self.accepts_loss);
        let checks = self.checksums.unwrap_or(false);
        let (display, driver) =
            self.greet(Halves::split(stream), Some(returning), checks, trace, deadline).await?;
        tokio::spawn(driver);
        Ok(display)
    }

    async fn greet(
        self,
        stream: Halves,
        returning: Option<Returning>,
        checks: bool,
        trace: Printer,
        deadline: Instant,
    ) -> Result<(Display, Driver)> {
        let machine = Connection::new(&hello(self.durability, checks));
        let writer = Writer::new(stream.writer, trace.clone());
        let shared = Arc::new(Shared::new(machine, writer, self.timeout));
        shared.lock().while_gone = self.while_offline;
        let mut driver = Driver::new(Arc::clone(&shared), stream.reader, Callers::Tasks, returning, trace);
        let mut deadline = std::pin::pin!(tokio::time::sleep_until(deadline.into()));
        let size = std::future::poll_fn(|cx| {
            let ended = std::pin::Pin::new(&mut driver).poll(cx).is_ready();
            let state = shared.lock();
            if let Some(welcome) = state.machine.welcome() {
                return Poll::Ready(Ok(welcome.size()));
            }
            if ended {
                let reason = state.ended.clone().unwrap_or(Lost::Eof).into();
                return Poll::Ready(Err(Error::Disconnected { reason, outcome: Outcome::Rejected }));
            }
            drop(state);
            let late = Error::Timeout { after: self.connect_timeout, outcome: Outcome::Rejected };
            deadline.as_mut().poll(cx).map(|()| Err::<Size, _>(late))
        })
        .await?;
        shared.lock().doctor = doctor::open(self.doctor, Client::Asynchronous, now());
        shared.set_callbacks(self.on_error, self.on_status).map_err(|error| Error::Disconnected {
            reason: Lost::Io(Arc::new(error)).into(),
            outcome: Outcome::Rejected,
        })?;
        Ok((Display::new(shared, size), driver))
    }
}

/// How TCP connections to one address are made anew.
pub(crate) fn returning(host: String, port: u16, within: Duration, patience: Duration) -> Returning {
    let connect = move || {
        let host = host.clone();
        async move {
            let dialed = dial(&host, port, now() + patience).await;
            let stream = dialed
                .map_err(|error| error.unwrap_or_else(|| std::io::ErrorKind::AddrNotAvailable.into()))?;
            Ok(stream.into())
        }
    };
    Returning::new(connect, within, patience)
}

async fn dial(host: &str, port: u16, deadline: Instant) -> Result<TcpStream, Option<std::io::Error>> {
    let found = tokio::time::timeout_at(deadline.into(), tokio::net::lookup_host((host, port))).await;
    let late = || std::io::Error::from(std::io::ErrorKind::TimedOut);
    let found: Vec<_> = found.unwrap_or_else(|_| Err(late())).map_err(Some)?.collect();
    let mut last = None;
    for (i, one) in found.iter().enumerate() {
        let share = address::share(deadline, now(), found.len() - i);
        let connecting = async {
            let socket = socket::open(one)?;
            socket.set_nonblocking(true)?;
            TcpSocket::from_std_stream(socket.into()).connect(*one).await
        };
        match tokio::time::timeout(share, connecting).await.unwrap_or_else(|_| Err(late())) {
            Ok(stream) => {
                socket::set_up((&stream).into())?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last)
}
