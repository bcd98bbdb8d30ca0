//! A display as its owner holds it: pixels, pointer, counters.

use crate::canvas::framebuffer::Framebuffer;
use crate::error::Error;
use crate::resources::reclaim::Reclaim;
use draw_protocol::session::Id;
use draw_protocol::{Code, Color, Fault, Position, Size};
use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A display: what connections draw on and a presenter shows. Clones are the same display.
#[derive(Debug, Clone)]
pub struct Display {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    framebuffer: Framebuffer,
    pointer: Pointer,
    counters: Counters,
    /// Tells it from every other display.
    instance: Id,
    reclaim: Reclaim,
    clients_changed: ClientsChanged,
    /// Somebody has closed its window.
    is_closed: AtomicBool,
}

/// What is to be called when clients come or go.
#[derive(Default)]
struct ClientsChanged(OnceLock<Box<dyn Fn() + Send + Sync>>);

impl fmt::Debug for ClientsChanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.get().is_some() { "ClientsChanged(set)" } else { "ClientsChanged(not set)" })
    }
}

impl Display {
    /// A display filled with `background`.
    ///
    /// # Errors
    /// [`Error::Size`] if a side is not from 1 to 65,535, [`Error::Memory`] if there is no memory for it,
    /// [`Error::Random`] if the system gives no random bytes.
    pub fn new(size: Size, background: Color) -> Result<Display, Error> {
        let framebuffer = Framebuffer::new(size, background)?;
        let mut instance = [0; 16];
        getrandom::fill(&mut instance).map_err(|error| Error::Random(error.into()))?;
        Ok(Display::of_instance(framebuffer, Id(instance)))
    }

    /// Returns the display that is told from every other by `instance`: random bytes, but for a test that knows them.
    pub(crate) fn of_instance(framebuffer: Framebuffer, instance: Id) -> Display {
        let inner = Inner {
            framebuffer,
            pointer: Pointer::default(),
            counters: Counters::default(),
            instance,
            reclaim: Reclaim::default(),
            clients_changed: ClientsChanged::default(),
            is_closed: AtomicBool::new(false),
        };
        Display { inner: Arc::new(inner) }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> Size {
        self.framebuffer().size()
    }

    /// The pixels.
    pub fn framebuffer(&self) -> &Framebuffer {
        &self.inner.framebuffer
    }

    /// The pointer that `get_mouse` asks for.
    pub fn pointer(&self) -> &Pointer {
        &self.inner.pointer
    }

    /// Where `get_mouse` finds the pointer.
    pub fn mouse(&self) -> Option<Position> {
        self.pointer().position()
    }

    /// Puts the pointer where `get_mouse` will find it.
    pub fn set_mouse(&self, position: Option<Position>) {
        self.pointer().set(position);
    }

    /// What connections have done so far.
    pub fn stats(&self) -> Stats {
        let Counters { connections, accepted, executed, faults, unheard_faults, closed_for_fault, buffered } =
            &self.inner.counters;
        Stats {
            connections: connections.load(Relaxed),
            accepted: accepted.load(Relaxed),
            executed: executed.load(Relaxed),
            faults: faults.load(Relaxed),
            unheard_faults: unheard_faults.load(Relaxed),
            closed_for_fault: closed_for_fault.load(Relaxed),
            buffered: buffered.load(Relaxed),
        }
    }

    /// Sets what is called when clients come or go, by the task that serves them, so it must be quick. Only the first
    /// call sets anything.
    #[cfg(feature = "window")]
    pub(crate) fn on_clients(&self, changed: impl Fn() + Send + Sync + 'static) {
        _ = self.inner.clients_changed.0.set(Box::new(changed));
    }

    /// Somebody has closed its window: clients need not come back.
    #[cfg(any(test, feature = "window"))]
    pub(crate) fn window_closed(&self) {
        self.inner.is_closed.store(true, Relaxed);
    }

    /// Why it ends, when it does.
    pub(crate) fn end(&self) -> Fault {
        match self.inner.is_closed.load(Relaxed) {
            true => Fault::new(Code::WindowClosed, "the window of the display was closed"),
            false => Fault::new(Code::ShuttingDown, "the display ends"),
        }
    }

    /// To be called after the number of connections has changed.
    pub(crate) fn clients_changed(&self) {
        if let Some(changed) = self.inner.clients_changed.0.get() {
            changed();
        }
    }

    /// Counts a connection that is opened here, or one that goes.
    pub(crate) fn count_connection(&self, is_opened: bool) {
        let counters = self.counters();
        if is_opened {
            counters.accepted.fetch_add(1, Relaxed);
            counters.connections.fetch_add(1, Relaxed);
        } else {
            counters.connections.fetch_sub(1, Relaxed);
        }
        self.clients_changed();
    }

    /// Has a connection with so many bytes in buffers, which has been counted here, count as opened on another display.
    pub(crate) fn hand_connection(&self, to: &Display, buffered: u64) {
        self.count_buffered(buffered, 0);
        self.counters().accepted.fetch_sub(1, Relaxed);
        self.count_connection(false);
        to.count_connection(true);
        to.count_buffered(0, buffered);
    }

    /// Returns what tells this display from every other.
    pub(crate) fn instance(&self) -> Id {
        self.inner.instance
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// A connection that had `before` bytes in buffers has `now`.
    pub(crate) fn count_buffered(&self, before: u64, now: u64) {
        if before != now {
            // Wraps where it shrinks; the sum over all connections never does.
            self.counters().buffered.fetch_add(now.wrapping_sub(before), Relaxed);
            self.inner.reclaim.changed(before, now);
        }
    }

    /// Gives memory of large buffers back to the system, for ever.
    pub(crate) async fn reclaim(&self) -> Infallible {
        self.inner.reclaim.run().await
    }
}

/// Where the pointer is, shared by whoever moves it and whoever asks.
#[derive(Debug, Default)]
pub struct Pointer {
    /// Held only to copy; nothing is called meanwhile.
    position: Mutex<Option<Position>>,
}

impl Pointer {
    /// Where it is, if it was ever seen.
    pub fn position(&self) -> Option<Position> {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves it.
    pub fn set(&self, position: Option<Position>) {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner) = position;
    }
}

/// Counters of a display, of all its connections together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that are open.
    pub connections: u64,
    /// Connections that were ever opened.
    pub accepted: u64,
    /// Requests and notifications executed, and commands of Pixelflut.
    pub executed: u64,
    /// Requests that were answered with a fault of the display's.
    pub faults: u64,
    /// Notifications that failed, and lines of Pixelflut that were no command or named a pixel that could not be drawn: the client
    /// was not told.
    pub unheard_faults: u64,
    /// Connections that the server closed because of what the client did.
    pub closed_for_fault: u64,
    /// Bytes that the buffers of open connections hold.
    pub buffered: u64,
}

/// The counters behind [`Stats`]. Each connection adds to them once a turn, not once a request.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) executed: AtomicU64,
    pub(crate) faults: AtomicU64,
    pub(crate) unheard_faults: AtomicU64,
    pub(crate) closed_for_fault: AtomicU64,
    pub(crate) buffered: AtomicU64,
}
