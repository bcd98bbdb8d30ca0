//! Accepts clients at a bounded rate, and keeps those that wait for a place.

use crate::clock::now;
use crate::doors::Door;
use crate::limits;
use crate::resources::admission::{Admission, Decision, RECHECK, RateLimit};
use draw_protocol::text::count;
use draw_protocol::{Code, Fault};
use socket2::SockRef;
use std::collections::HashSet;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{Id, JoinError};
use tokio::time::Instant;
use tracing::{error, info, warn};

/// The first pause after an error of `accept`, and the longest. Without free descriptors, `accept` fails immediately
/// until one is closed.
const BACK_OFF: Duration = Duration::from_millis(10);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(1);

/// A new client, its address, and the protocol of its listener.
pub(super) type Incoming = (TcpStream, SocketAddr, Door);

/// The listeners of a server, and the places for its clients.
pub(super) struct Acceptor {
    listeners: Vec<(TcpListener, Door)>,
    /// The listener that is polled first.
    next: usize,
    pub(super) connections: usize,
    pub(super) admission: Admission<Incoming>,
    /// The tasks of clients that are being told that the display is busy.
    pub(super) turned_away: HashSet<Id>,
    rate_limit: RateLimit,
    /// The current pause after errors, and when it ends.
    back_off: Duration,
    pause: Option<Instant>,
    is_full: bool,
}

impl Acceptor {
    pub(super) fn new(listeners: Vec<(TcpListener, Door)>, connections: usize) -> Acceptor {
        Acceptor {
            listeners,
            next: 0,
            connections,
            admission: Admission::new(connections, now()),
            turned_away: HashSet::new(),
            rate_limit: RateLimit::new(now()),
            back_off: BACK_OFF,
            pause: None,
            is_full: false,
        }
    }

    /// Returns what to do next with a waiting client, if anything.
    pub(super) fn next_step(&mut self) -> Option<Decision<Incoming>> {
        let is_full = self.admission.is_full();
        if is_full && !self.is_full && self.admission.has_waiting() {
            let most = count(self.connections as u64, "connection");
            warn!("the limit of {most} is reached: further clients wait until one ends");
        }
        self.is_full = is_full && (self.is_full || self.admission.has_waiting());
        self.admission.next(now(), |(stream, ..)| has_spoken(stream))
    }

    /// Waits for a new client, or for a short time while clients wait for a place. The future may be dropped at any
    /// time; no client is lost.
    pub(super) async fn wait(&mut self) {
        if self.admission.has_waiting() {
            _ = tokio::time::timeout(RECHECK, self.accept_next()).await;
        } else {
            self.accept_next().await;
        }
    }

    async fn accept_next(&mut self) {
        if !self.admission.has_room_to_wait() {
            // The caller calls again once there is room.
            return std::future::pending().await;
        }
        if let Some(until) = self.pause {
            tokio::time::sleep_until(until).await;
            self.pause = None;
        }
        match self.accept().await {
            Ok(newcomer) => {
                self.back_off = BACK_OFF;
                let peer = newcomer.1.ip().into();
                self.admission.enqueue(newcomer, peer, now());
                if let Err(until) = self.rate_limit.take(now()) {
                    self.pause = Some(until.into());
                }
            }
            Err(error) => {
                warn!("cannot accept a client ({error}): trying again in {:?}", self.back_off);
                self.pause = Some(Instant::now() + self.back_off);
                self.back_off = (2 * self.back_off).min(LONGEST_BACK_OFF);
            }
        }
    }

    /// Accepts a client from one of the listeners, which take turns.
    async fn accept(&mut self) -> io::Result<Incoming> {
        poll_fn(|cx| {
            for _ in 0..self.listeners.len() {
                let (listener, door) = &self.listeners[self.next];
                self.next = (self.next + 1) % self.listeners.len();
                if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                    return Poll::Ready(accepted.map(|(stream, peer)| (stream, peer, *door)));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Closes the listeners. Returns the clients that wait for a place.
    pub(super) fn close(self) -> impl Iterator<Item = Incoming> {
        self.admission.into_waiting()
    }

    pub(super) fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
        self.turned_away.remove(&id);
        self.admission.free(id);
        report(ended.err());
    }
}

/// Returns whether a client has sent anything. Closing its side does not count.
fn has_spoken(stream: &TcpStream) -> bool {
    SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]).is_ok_and(|bytes| bytes > 0)
}

pub(super) fn busy(connections: usize) -> Fault {
    let text = format!(
        "this display takes at most {}, and none ended within {} s: try again later",
        count(connections as u64, "connection"),
        limits::WAITING_TIME.as_secs()
    );
    Fault::new(Code::Busy, text)
}

/// Returns the number of connections, at most `wanted`, that leaves [`limits::SPARE_DESCRIPTORS`] descriptors free
/// under this process's limit.
pub(super) fn allowed_connections(wanted: usize) -> usize {
    let Some(descriptors) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current else {
        return wanted;
    };
    let beside = limits::SPARE_DESCRIPTORS + 2 * limits::WAITING as u64;
    let allowed = descriptors.saturating_sub(beside).max(1);
    let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
    if allowed < wanted {
        info!(
            "serving at most {} at a time instead of {wanted}, because this process may open \
             only {}: raise the limit with `ulimit -n`",
            count(allowed as u64, "connection"),
            count(descriptors, "file")
        );
    }
    wanted.min(allowed)
}

pub(super) fn report(failure: Option<JoinError>) {
    // An evicted connection was cancelled.
    if let Some(failure) = failure.filter(|failure| !failure.is_cancelled()) {
        error!("a connection was closed because of an internal error: {failure}");
    }
}
