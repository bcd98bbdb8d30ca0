//! Opens the streams of a driver.

use super::Halves;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

type Dialing = Pin<Box<dyn Future<Output = io::Result<Halves>> + Send>>;

/// Opens the connections of a driver, one at a time, when the reconnect machine says so.
pub(crate) struct Dialer {
    connect: Box<dyn FnMut() -> Dialing + Send>,
    dialing: Option<Dialing>,
}

impl Dialer {
    pub(crate) fn new<C, F>(mut connect: C) -> Dialer
    where
        C: FnMut() -> F + Send + 'static,
        F: Future<Output = io::Result<Halves>> + Send + 'static,
    {
        Dialer { connect: Box::new(move || Box::pin(connect())), dialing: None }
    }

    /// Drops the attempt under way, if there is one.
    pub(crate) fn stop(&mut self) {
        self.dialing = None;
    }

    /// Polls the attempt under way. Starts one if there is none.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Halves>> {
        let dialing = self.dialing.get_or_insert_with(&mut self.connect);
        let polled = dialing.as_mut().poll(cx);
        if polled.is_ready() {
            self.dialing = None;
        }
        polled
    }
}
