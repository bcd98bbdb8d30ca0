//! One connection: carries bytes between a stream and the protocol's state machine, and executes what comes out of it.
//!
//! A turn executes what was read, publishes the damage once, and then waits for whatever can go on: unsent bytes that
//! the stream takes, bytes to read, memory, a deadline, the end of the server. None of these ever waits for another.
//! What bounds a turn: one buffer of [`limits::STREAM_READ`] bytes, and what [`Work`] allows. A question that takes longer than a
//! turn, or waits for memory, is kept as [`Asked`], and nothing of the connection is executed before it is answered.

mod ahead;
mod converse;
mod durable;
mod execute;
mod memory;
mod receive;
mod session;
#[cfg(test)]
mod tests;
mod transmit;

use crate::admission::Seat;
use crate::budget::Share;
use crate::buffers::ReadBuffer;
use crate::canvas::Caller;
use crate::clock;
use crate::display::Display;
use crate::displays::{Named, Reception};
use crate::fairness::Work;
use crate::farewell;
use crate::hasher::Hasher;
use crate::limits;
use crate::question::Asked;
use crate::sessions::Holder;
pub(crate) use ahead::{Look, plain, socket};
use draw_printer::Printer;
use draw_protocol::Code;
use draw_protocol::server::{self, Stats};
use draw_protocol::session::{Id, Resume};
use draw_protocol::text::Printable;
use std::future::{Future, poll_fn};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::{debug, info};

/// How long a connection that is being closed may take to hand over what it still has to say, and why.
pub(crate) const FAREWELL: Duration = Duration::from_secs(2);
/// The same when the whole server ends: it is to be gone within two seconds.
pub(crate) const LAST_FAREWELL: Duration = Duration::from_secs(1);

/// Serves one client until either side ends the connection. `shutdown` says that the server does.
pub(crate) async fn serve<S>(
    (stream, ahead): (S, Look<S>),
    peer: &str,
    machine: impl FnOnce() -> server::Connection,
    reception: Reception<'_>,
    (share, work, hasher, seat): (Share, Work, &Hasher, &Seat),
    shutdown: impl Future<Output = ()>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    // It counts there until its first message chooses another.
    let named = reception.displays.first();
    named.display().count_connection(true);
    debug!(peer, "connected");
    let trace = Printer::from_environment(clock::now);
    trace.note(|| format!("a client at {peer}"));
    let mut connection = Connection {
        stream,
        ahead,
        caller: Caller::new(named.canvas()),
        reception,
        named,
        machine: machine(),
        share,
        work,
        hasher,
        seat,
        asked: None,
        is_cut: false,
        input: None,
        is_at_end: false,
        needs_flush: false,
        is_streaming: false,
        unheard: 0,
        resuming: None,
        session: None,
        holder: Arc::default(),
        is_large: false,
        counted: Stats::default(),
        buffered: 0,
        peer,
        trace,
    };
    let mut result = connection.converse(shutdown).await;
    connection.work.leave();
    let closing = connection.machine.closing().cloned();
    // Its client may be there again before this connection has said goodbye.
    connection.give_session_back();
    if let Some(fault) = closing {
        let is_shutdown = matches!(fault.code, Code::ShuttingDown | Code::WindowClosed);
        let client = connection.machine.client().unwrap_or("unnamed client");
        if is_shutdown {
            debug!(peer, client, "told the client that the display ends");
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
        // What was received is of no use any more: its memory is for others.
        connection.input = None;
        _ = connection.machine.poll_transmit(clock::now());
        connection.settle();
        let limit = if is_shutdown { LAST_FAREWELL } else { FAREWELL };
        // What the journal does not get on the disk by then is not said.
        let until = tokio::time::Instant::now() + limit;
        let has_it = poll_fn(|cx| {
            let (written, durable) = (connection.caller.poll_written(cx), connection.poll_durable(cx));
            if written.is_pending() { written } else { durable }
        });
        _ = tokio::time::timeout_at(until, has_it).await;
        let limit = until.duration_since(tokio::time::Instant::now());
        let Connection { stream, machine, trace, caller, seat, is_cut, .. } = &mut connection;
        seat.leave();
        // Who reads nothing hears nothing, and what was for him is what others need the memory of.
        let is_worth_it = !*is_cut || machine.unsent() <= limits::IDLE_BUFFER;
        if !caller.is_unwritten() && is_worth_it {
            result = farewell::take(stream, machine, trace, limit).await;
        }
    }
    connection.log_end(&result);
}

struct Connection<'a, S> {
    stream: S,
    /// Tells what may still come of it, without reading.
    ahead: Look<S>,
    caller: Caller<'a>,
    /// What the display is chosen from, and the one that is.
    reception: Reception<'a>,
    named: &'a Named,
    machine: server::Connection,
    share: Share,
    work: Work,
    hasher: &'a Hasher,
    seat: &'a Seat,
    /// What is being answered.
    asked: Option<Asked>,
    /// The memory that it held is for others.
    is_cut: bool,
    /// What was read and not executed yet. `None` while there is nothing, so that an idle connection has no buffer.
    input: Option<ReadBuffer>,
    /// The client will send nothing more.
    is_at_end: bool,
    needs_flush: bool,
    /// The last read brought all that was asked for, so there is likely more.
    is_streaming: bool,
    /// Bytes that were read since the client last heard of any.
    unheard: usize,
    /// The client has asked for this session, and waits.
    resuming: Option<Resume>,
    /// The session that this connection has, and how it hears that another wants it.
    session: Option<Id>,
    holder: Arc<Holder>,
    /// The last read brought so much that a larger buffer is worth having.
    is_large: bool,
    /// What of the machine's statistics and memory the display's counters have already.
    counted: Stats,
    buffered: u64,
    peer: &'a str,
    /// What [`DRAW_DEBUG`](draw_printer::DRAW_DEBUG) asks for; off, it costs a branch for each read and each write.
    trace: Printer,
}

impl<S> Connection<'_, S> {
    fn display(&self) -> &Display {
        self.caller.canvas().display()
    }

    /// The name of the display for the log, if the server has several.
    fn label(&self) -> Option<&str> {
        self.reception.label(self.named)
    }

    fn log_end(&self, result: &io::Result<()>) {
        let Connection { peer, machine, .. } = self;
        let Stats { executed, faults, unheard_faults, ignored_questions, malformed, .. } = machine.stats();
        let how = match result {
            Ok(()) if machine.is_mid_message() && machine.closing().is_none() => {
                "the client ended in the middle of a message".to_owned()
            }
            Ok(()) => "ended".to_owned(),
            Err(error) => error.to_string(),
        };
        debug!(peer, display = self.label(), executed, faults, malformed, "disconnected: {how}");
        if unheard_faults > 0 || ignored_questions > 0 {
            info!(
                peer,
                display = self.label(),
                "{unheard_faults} notifications of the client failed and {ignored_questions} asked a question; \
                 the client was not told, because a notification has no answer: it should send requests"
            );
        }
    }
}

impl<S> Drop for Connection<'_, S> {
    /// Also when the task is aborted or the display's code panics.
    fn drop(&mut self) {
        self.give_session_back();
        self.display().count_buffered(self.buffered, 0);
        self.display().count_connection(false);
    }
}
