//! The native protocol: MessagePack-RPC, as `protocol/spec` describes it.
//!
//! Each connection is a task, which carries bytes between a stream and the protocol's state machine
//! ([`server::Connection`]), and executes the requests that the machine decodes.
//!
//! A turn executes what was read, publishes the damage once, and then waits for the first event that lets the connection
//! continue: room in the stream for unsent bytes, input, memory, a deadline, the shutdown of the server. None of these waits blocks
//! another. A turn is bounded by one read buffer of [`limits::STREAM_READ`] bytes and by what
//! [`Work`] allows. An answer that takes longer than a turn, or has to wait for memory, is kept as [`Pending`]; the connection executes
//! no other request before it is sent.

mod durable;
mod execute;
mod memory;
mod pending;
mod receive;
mod session;
#[cfg(test)]
mod tests;
mod transmit;
mod turn_loop;

use crate::canvas::Caller;
use crate::canvas::display::Display;
use crate::canvas::hasher::Hasher;
use crate::clock;
use crate::displays::{DisplaySelector, NamedDisplay};
use crate::limits;
use crate::resources::admission::Slot;
use crate::resources::budget::Share;
use crate::resources::buffers::ReadBuffer;
use crate::resources::fairness::Work;
use crate::sessions::Holder;
use crate::transport::lingering_close::{self, LINGER, SHUTDOWN_LINGER};
use crate::transport::peer_state::Probe;
use draw_printer::Printer;
use draw_protocol::Code;
use draw_protocol::server::{self, Stats};
use draw_protocol::session::{Id, Resume};
use draw_protocol::text::Printable;
use pending::Pending;
use std::future::{Future, poll_fn};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::{debug, info};

/// Serves one client until either side ends the connection, or `shutdown` is ready.
pub(crate) async fn serve<S>(
    (stream, probe): (S, Probe<S>),
    peer: &str,
    machine: impl FnOnce() -> server::Connection,
    selector: DisplaySelector<'_>,
    (share, work, hasher, slot): (Share, Work, &Hasher, &Slot),
    shutdown: impl Future<Output = ()>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    // The connection is counted at the first display until its first message selects another.
    let display = selector.displays.first();
    display.display().count_connection(true);
    debug!(peer, "connected");
    let trace = Printer::from_environment(clock::now);
    trace.note(|| format!("a client at {peer}"));
    let mut connection = Connection {
        link: Link { stream, probe, peer, trace, needs_flush: false },
        input: Input::default(),
        target: Target { selector, display, caller: Caller::new(display.canvas()) },
        machine: machine(),
        grants: Grants { share, work, hasher, slot, is_cut: false },
        pending: None,
        session: SessionClaim::default(),
        reported: Reported::default(),
    };
    let mut result = connection.run(shutdown).await;
    connection.grants.work.leave();
    let closing = connection.machine.closing().cloned();
    // The client may resume the session on a new connection before this one is closed.
    connection.give_session_back();
    if let Some(fault) = closing {
        let is_shutdown = matches!(fault.code, Code::ShuttingDown | Code::WindowClosed);
        let client = connection.machine.client().unwrap_or("unnamed client");
        if is_shutdown {
            debug!(peer, client, "notified the client of the shutdown");
        } else {
            connection.display().counters().closed_for_fault.fetch_add(1, Relaxed);
            info!(
                peer,
                client,
                display = connection.label(),
                code = fault.code.as_str(),
                "closing the connection: {}",
                Printable(&fault.message)
            );
        }
        // Frees the receive buffer: nothing more is executed.
        connection.input.buffer = None;
        _ = connection.machine.poll_transmit(clock::now());
        connection.settle();
        let limit = if is_shutdown { SHUTDOWN_LINGER } else { LINGER };
        // Answers that are not durable by then are not sent.
        let until = tokio::time::Instant::now() + limit;
        let is_journaled = poll_fn(|cx| {
            let (written, durable) = (connection.target.caller.poll_written(cx), connection.poll_durable(cx));
            if written.is_pending() { written } else { durable }
        });
        _ = tokio::time::timeout_at(until, is_journaled).await;
        let limit = until.duration_since(tokio::time::Instant::now());
        let Connection { link, machine, target, grants, .. } = &mut connection;
        grants.slot.leave();
        // A connection that was cut because its client does not read is closed without sending a large answer.
        let is_worth_it = !grants.is_cut || machine.unsent() <= limits::IDLE_BUFFER;
        if !target.caller.is_unwritten() && is_worth_it {
            result = lingering_close::close(&mut link.stream, machine, &link.trace, limit).await;
        }
    }
    connection.log_end(&result);
}

struct Connection<'a, S> {
    link: Link<'a, S>,
    input: Input,
    target: Target<'a>,
    machine: server::Connection,
    grants: Grants<'a>,
    /// The answer that is being made, with the stamp of its request for the journal.
    pending: Option<Pending>,
    session: SessionClaim,
    reported: Reported,
}

/// The stream, and its other end.
struct Link<'a, S> {
    stream: S,
    /// Reports the state of the peer without reading.
    probe: Probe<S>,
    peer: &'a str,
    /// What [`DRAW_DEBUG`](draw_printer::DRAW_DEBUG) asks for. While it is off, it costs a branch for each read and each write.
    trace: Printer,
    /// Bytes were written since the last flush.
    needs_flush: bool,
}

/// What was received and not executed yet, and what is known of further input.
#[derive(Default)]
struct Input {
    /// `None` while all input is executed, so that an idle connection has no buffer.
    buffer: Option<ReadBuffer>,
    /// The client has closed its side.
    is_at_end: bool,
    /// The last read filled its buffer, so there is probably more to read.
    is_streaming: bool,
    /// The last read was so long that the next may use a large buffer.
    is_large: bool,
    /// Bytes received since the last write to the client.
    unanswered: usize,
}

/// The display that the connection draws on. `caller` draws on the canvas of `display`.
struct Target<'a> {
    selector: DisplaySelector<'a>,
    display: &'a NamedDisplay,
    caller: Caller<'a>,
}

/// What the connection has of the resources that all connections share.
struct Grants<'a> {
    share: Share,
    work: Work,
    hasher: &'a Hasher,
    slot: &'a Slot,
    /// Other connections took the memory of this one, which ends.
    is_cut: bool,
}

/// The session of the connection. At most one of `resuming` and `id` is set.
#[derive(Default)]
struct SessionClaim {
    /// The client has asked for this session, and waits until its previous connection gives it up.
    resuming: Option<Resume>,
    /// The session that this connection has.
    id: Option<Id>,
    /// Notified when another connection asks for the session.
    holder: Arc<Holder>,
}

/// The part of the machine's statistics and memory that is already in the display's counters.
#[derive(Default)]
struct Reported {
    stats: Stats,
    buffered: u64,
}

impl<S> Connection<'_, S> {
    fn display(&self) -> &Display {
        self.target.caller.canvas().display()
    }

    /// Returns the name of the display for the log, if the server has several.
    fn label(&self) -> Option<&str> {
        self.target.selector.label(self.target.display)
    }

    fn log_end(&self, result: &io::Result<()>) {
        let Connection { link: Link { peer, .. }, machine, .. } = self;
        let Stats { executed, faults, unheard_faults, ignored_questions, malformed, .. } = machine.stats();
        let how = match result {
            Ok(()) if machine.is_mid_message() && machine.closing().is_none() => {
                "the client closed the connection in the middle of a message".to_owned()
            }
            Ok(()) => "ended".to_owned(),
            Err(error) => error.to_string(),
        };
        debug!(peer, display = self.label(), executed, faults, malformed, "disconnected: {how}");
        if unheard_faults > 0 || ignored_questions > 0 {
            info!(
                peer,
                display = self.label(),
                "{unheard_faults} notifications of the client failed and {ignored_questions} asked for a reply; \
                 a notification has no reply, so the client was not notified: it should send requests"
            );
        }
    }
}

impl<S> Drop for Connection<'_, S> {
    /// Also runs when the task is aborted or panics.
    fn drop(&mut self) {
        self.give_session_back();
        self.display().count_buffered(self.reported.buffered, 0);
        self.display().count_connection(false);
    }
}
