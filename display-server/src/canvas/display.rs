//! A display: pixels, pointer and counters.

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

/// A display, which connections draw on and a presenter shows. Clones are the same display.
#[derive(Debug, Clone)]
pub struct Display {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    framebuffer: Framebuffer,
    pointer: Pointer,
    counters: Counters,
    /// Identifies the display: random bytes.
    instance: Id,
    reclaim: Reclaim,
    clients_changed: ClientsChanged,
    /// The window was closed.
    is_closed: AtomicBool,
}

/// The callback for when clients connect or disconnect.
#[derive(Default)]
struct ClientsChanged(OnceLock<Box<dyn Fn() + Send + Sync>>);

impl fmt::Debug for ClientsChanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.get().is_some() { "ClientsChanged(set)" } else { "ClientsChanged(not set)" })
    }
}

impl Display {
    /// Creates a display filled with `background`.
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

    /// Creates a display identified by `instance`, which is random except in tests.
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

    /// Returns width and height in pixels.
    pub fn size(&self) -> Size {
        self.framebuffer().size()
    }

    /// Returns the pixels.
    pub fn framebuffer(&self) -> &Framebuffer {
        &self.inner.framebuffer
    }

    /// Returns the pointer, whose position `get_mouse` returns.
    pub fn pointer(&self) -> &Pointer {
        &self.inner.pointer
    }

    /// Returns the position of the pointer, as `get_mouse` does.
    pub fn mouse(&self) -> Option<Position> {
        self.pointer().position()
    }

    /// Sets the position of the pointer, which `get_mouse` returns.
    pub fn set_mouse(&self, position: Option<Position>) {
        self.pointer().set(position);
    }

    /// Returns the counters of all connections so far.
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

    /// Sets the callback for when clients connect or disconnect. The task that serves the client calls it, so it must
    /// be quick. Only the first call has an effect.
    #[cfg(feature = "window")]
    pub(crate) fn on_clients(&self, changed: impl Fn() + Send + Sync + 'static) {
        _ = self.inner.clients_changed.0.set(Box::new(changed));
    }

    /// Records that the window was closed, so clients are told not to reconnect.
    #[cfg(any(test, feature = "window"))]
    pub(crate) fn window_closed(&self) {
        self.inner.is_closed.store(true, Relaxed);
    }

    /// Returns the reason that clients are told when the display ends.
    pub(crate) fn end(&self) -> Fault {
        match self.inner.is_closed.load(Relaxed) {
            true => Fault::new(Code::WindowClosed, "the window of the display was closed"),
            false => Fault::new(Code::ShuttingDown, "the display ends"),
        }
    }

    /// Calls the callback. Must be called after the number of connections has changed.
    pub(crate) fn clients_changed(&self) {
        if let Some(changed) = self.inner.clients_changed.0.get() {
            changed();
        }
    }

    /// Counts a connection that is opened or closed.
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

    /// Moves a connection with `buffered` bytes in buffers to the counters of another display.
    pub(crate) fn hand_connection(&self, to: &Display, buffered: u64) {
        self.count_buffered(buffered, 0);
        self.counters().accepted.fetch_sub(1, Relaxed);
        self.count_connection(false);
        to.count_connection(true);
        to.count_buffered(0, buffered);
    }

    /// Returns the random bytes that identify this display.
    pub(crate) fn instance(&self) -> Id {
        self.inner.instance
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// Updates the counters for a connection whose buffers grew or shrank from `before` to `now` bytes.
    pub(crate) fn count_buffered(&self, before: u64, now: u64) {
        if before != now {
            // The difference wraps if it is negative; the sum over all connections never does.
            self.counters().buffered.fetch_add(now.wrapping_sub(before), Relaxed);
            self.inner.reclaim.changed(before, now);
        }
    }

    /// Returns the memory of large buffers to the system, for ever.
    pub(crate) async fn reclaim(&self) -> Infallible {
        self.inner.reclaim.run().await
    }
}

/// The position of the pointer, shared by the windows that set it and the connections that read it.
#[derive(Debug, Default)]
pub struct Pointer {
    /// Held only to copy the position; nothing is called meanwhile.
    position: Mutex<Option<Position>>,
}

impl Pointer {
    /// Returns the position, if the pointer was ever set.
    pub fn position(&self) -> Option<Position> {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the position.
    pub fn set(&self, position: Option<Position>) {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner) = position;
    }
}

/// Counters of a display, summed over all its connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that are open.
    pub connections: u64,
    /// Connections that were ever opened.
    pub accepted: u64,
    /// Requests and notifications executed, and commands of Pixelflut.
    pub executed: u64,
    /// Requests that the display answered with a fault.
    pub faults: u64,
    /// Failed notifications, and lines of Pixelflut that were no command or named a pixel that could not be drawn:
    /// failures that the client was not told.
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
