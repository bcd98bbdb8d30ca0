//! How a driver comes by another connection when it has lost one.

use crate::checksums::may_greet_again;
use crate::error::Lost;
use crate::reconnect::{Before, Halves, Outage};
use crate::status::Status;
use draw_protocol::Code;
use draw_protocol::client::{Connection, Ended};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

type Dialing = Pin<Box<dyn Future<Output = io::Result<Halves>> + Send>>;

/// Makes connections, one at a time, with pauses between them, until one is greeted on or it is given up.
pub(crate) struct Returning {
    connect: Box<dyn FnMut() -> Dialing + Send>,
    /// For how long it is tried.
    within: Duration,
    /// How long one try may take, and how long a display may then take to greet back.
    patience: Duration,
    /// The connection is lost, or the one after it has not been greeted on.
    outage: Option<Outage>,
    before: Before,
    dialing: Option<Dialing>,
    /// There is a connection; until when it is to be greeted on.
    greeting: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    spread: u64,
    /// A display that has lost an end of what it had executed will do.
    accepts_loss: bool,
    /// How often the first greeting was tried.
    greetings: u32,
    /// What is to be told.
    news: Option<Status>,
}

impl Returning {
    pub(crate) fn new<C, F>(mut connect: C, within: Duration, patience: Duration) -> Returning
    where
        C: FnMut() -> F + Send + 'static,
        F: Future<Output = io::Result<Halves>> + Send + 'static,
    {
        let mut spread = [0; 8];
        // Without chance, clients that come back at the same moment are the worst that happens.
        _ = getrandom::fill(&mut spread);
        Returning {
            connect: Box::new(move || {
                let dialed = tokio::time::timeout(patience, connect());
                Box::pin(async { dialed.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) })
            }),
            within,
            patience,
            outage: None,
            before: Before::default(),
            dialing: None,
            greeting: None,
            timer: Box::pin(tokio::time::sleep(patience)),
            spread: u64::from_ne_bytes(spread),
            accepts_loss: false,
            greetings: 0,
            news: None,
        }
    }

    /// A display that has lost an end of what it had executed will do.
    pub(crate) fn accept_loss(self, accepts_loss: bool) -> Returning {
        Returning { accepts_loss, ..self }
    }

    /// Whether the display may be told so.
    pub(crate) fn accepts_loss(&self) -> bool {
        self.accepts_loss
    }

    /// Whether the display has said that it has, and it will do.
    pub(crate) fn may_accept(&self, lost: &Lost) -> bool {
        let has_regressed =
            matches!(lost, Lost::Protocol(Ended::Refused(fault)) if fault.code == Code::StateRegressed);
        has_regressed && self.accepts_loss
    }

    /// Whether the first greeting may be tried once more.
    pub(crate) fn may_greet_again(&mut self, machine: &Connection, lost: &Lost) -> bool {
        self.greetings += 1;
        may_greet_again(machine, lost, self.greetings)
    }

    /// What is to be told.
    pub(crate) fn take_news(&mut self) -> Option<Status> {
        self.news.take()
    }

    /// Whether it is tried at all.
    pub(crate) fn is_possible(&self) -> bool {
        !self.within.is_zero()
    }

    /// Whether there is no connection.
    pub(crate) fn is_away(&self) -> bool {
        self.outage.is_some() && self.greeting.is_none()
    }

    /// Until when the display is to have greeted back, if that is awaited.
    pub(crate) fn greeting(&self) -> Option<Instant> {
        self.greeting
    }

    /// A connection is lost, or what seemed to become one. So many requests are done, and others are under way or not.
    pub(crate) fn lose(&mut self, reason: Lost, applied: u64, is_busy: bool, now: Instant) {
        self.greeting = None;
        match &mut self.outage {
            Some(outage) => outage.failed(reason, now),
            None => {
                let new = Outage::new(reason, now, self.within, self.spread);
                self.outage = Some(self.before.begin(new, applied, is_busy, now));
            }
        }
        self.news = self.outage.as_ref().map(|outage| outage.status(now));
    }

    /// The display has greeted back, when so many requests were done. `is_restarted`: it was restarted meanwhile.
    pub(crate) fn resumed(&mut self, applied: u64, is_restarted: bool, now: Instant) {
        self.before.end(self.outage.take(), applied, is_restarted, now);
        self.greeting = None;
    }

    /// Ready with another connection, or with why it is given up. `now` is the runtime's clock.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        now: impl Fn() -> Instant,
    ) -> Poll<Result<Halves, Lost>> {
        while let Some(outage) = &mut self.outage {
            let at = now();
            if at >= outage.until() {
                self.dialing = None;
                return Poll::Ready(Err(outage.give_up(at)));
            }
            let wake = match &mut self.dialing {
                Some(dialing) => match dialing.as_mut().poll(cx) {
                    Poll::Ready(Ok(halves)) => {
                        self.dialing = None;
                        self.greeting = Some(now() + self.patience);
                        return Poll::Ready(Ok(halves));
                    }
                    Poll::Ready(Err(error)) => {
                        self.dialing = None;
                        outage.failed(Lost::Io(Arc::new(error)), now());
                        self.news = Some(outage.status(now()));
                        continue;
                    }
                    Poll::Pending => outage.until(),
                },
                None if at >= outage.next => {
                    self.dialing = Some((self.connect)());
                    continue;
                }
                None => outage.next.min(outage.until()),
            };
            self.timer.as_mut().reset(wake.into());
            ready!(self.timer.as_mut().poll(cx));
        }
        // Nothing is lost: whoever asks has asked too early.
        Poll::Pending
    }
}
