//! Pixelflut: a line of text for each pixel, as many public drawing walls speak it.
//!
//! [`parser`] reads the lines. Each connection is a task that executes lines in turns, as a native connection does, and
//! draws neighbouring pixels as one batch. A connection holds at most `MOST` bytes and a read buffer, which fits into
//! what every connection may hold without a grant; only a larger read buffer is asked for.
//!
//! Pixelflut has no sessions and no errors: wrong lines and pixels outside are counted and ignored. While a client does
//! not read its replies, its lines are not read either.

mod batch;
mod execute;
pub mod parser;
mod replies;

use crate::canvas::display::Display;
use crate::canvas::{Caller, Canvas};
use crate::clock;
use crate::doors::TurnEnd;
use crate::resources::admission::Slot;
use crate::resources::budget::{LARGE, Share, WaitsFor};
use crate::resources::buffers::ReadBuffer;
use crate::resources::fairness::Work;
use crate::transport::lingering_close::{self, Outgoing, SHUTDOWN_LINGER};
use draw_printer::Printer;
use draw_protocol::text::count;
use draw_protocol::{Fault, limits};
use parser::Parser;
use replies::Replies;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tracing::{debug, info};

/// The default TCP port of Pixelflut, which is that of the server breakwater.
pub const PORT: u16 = 1234;

/// Bytes that a turn holds at most, apart from the read buffer.
const MOST: usize = batch::MOST + replies::MOST;

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client has closed its side, and has all its replies.
    Client,
    /// The server shuts down.
    Shutdown,
    /// Other connections wait for the memory that this one holds.
    Cut,
    /// The client has read none of its replies for [`limits::STALLED`].
    Stalled,
}

struct Connection<'a, S> {
    stream: S,
    peer: &'a str,
    caller: Caller<'a>,
    share: Share,
    work: Work,
    slot: &'a Slot,
    parser: Parser,
    /// Added to the coordinates of all commands.
    offset: (i32, i32),
    /// Input that was read and not executed yet. `None` if there is none, so that an idle connection has no buffer.
    input: Option<ReadBuffer>,
    /// The client has closed its side.
    is_at_end: bool,
    /// The last read was so long that the next may use a large buffer.
    is_large: bool,
    replies: Replies,
    needs_flush: bool,
    /// When the client last read a reply, or had none to read.
    progressed: Instant,
    /// Commands that were executed, and lines and pixels that were ignored.
    executed: u64,
    failed: u64,
    /// The memory that is already in the display's counters.
    buffered: u64,
}

/// Serves one client until either side ends the connection, or `shutdown` is ready.
pub(crate) async fn serve<S>(
    stream: S,
    peer: &str,
    canvas: &Canvas,
    (share, work, slot): (Share, Work, &Slot),
    shutdown: impl Future<Output = ()>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let counters = canvas.display().counters();
    counters.accepted.fetch_add(1, Relaxed);
    counters.connections.fetch_add(1, Relaxed);
    canvas.display().clients_changed();
    debug!(peer, "connected by Pixelflut");
    let mut connection = Connection {
        stream,
        peer,
        caller: Caller::new(canvas),
        share,
        work,
        slot,
        parser: Parser::default(),
        offset: (0, 0),
        input: None,
        is_at_end: false,
        is_large: false,
        replies: Replies::default(),
        needs_flush: false,
        progressed: clock::now(),
        executed: 0,
        failed: 0,
        buffered: 0,
    };
    let result = connection.run(shutdown).await;
    connection.end(result).await;
}

/// Tells a client why it is not served, without waiting, and closes the connection.
pub(crate) fn refuse(stream: &TcpStream, peer: &SocketAddr, display: &Display, fault: &Fault) {
    let counters = display.counters();
    counters.accepted.fetch_add(1, Relaxed);
    counters.closed_for_fault.fetch_add(1, Relaxed);
    info!(%peer, code = fault.code.as_str(), "closing the connection: {}", fault.message);
    if let Err(error) =
        lingering_close::send_and_close_now(stream, format!("ERROR {}\n", fault.message).as_bytes())
    {
        debug!(%peer, "cannot notify a client that was turned away: {error}");
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<'_, S> {
    async fn run(&mut self, shutdown: impl Future<Output = ()>) -> io::Result<End> {
        let (mut shutdown, mut timer) = (pin!(shutdown), pin!(tokio::time::sleep(Duration::ZERO)));
        let mut now = clock::now();
        loop {
            let turn = self.execute(now);
            if self.is_at_end && self.input.is_none() && self.replies.is_empty() && !self.needs_flush {
                poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await?;
                return Ok(End::Client);
            }
            let end = poll_fn(|cx| {
                now = clock::now();
                let may_execute = match turn {
                    TurnEnd::Queue => self.work.poll_turn(cx, self.share.is_proven()).is_ready(),
                    TurnEnd::Idle | TurnEnd::Yield => self.poll_receive(cx, now)?,
                };
                let is_written = self.caller.poll_written(cx).is_ready();
                let may_go_on = is_written && self.poll_send(cx, now)?;
                self.slot.touch(self.executed > 0, now);
                if shutdown.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Ok(Some(End::Shutdown)));
                }
                if self.share.poll_cut(cx).is_ready() {
                    return Poll::Ready(Ok(Some(End::Cut)));
                }
                if may_execute || may_go_on || turn == TurnEnd::Yield {
                    return Poll::Ready(Ok::<_, io::Error>(None));
                }
                if self.replies.is_empty() || !is_written {
                    self.progressed = now;
                } else {
                    timer.as_mut().reset((self.progressed + limits::STALLED).into());
                    if timer.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Ok(Some(End::Stalled)));
                    }
                }
                self.work.wait();
                self.share.set_waits_for(self.waits(turn, is_written), now);
                Poll::Pending
            })
            .await?;
            if let Some(end) = end {
                return Ok(end);
            }
            if turn != TurnEnd::Idle {
                self.work.pause();
                tokio::task::yield_now().await;
                now = clock::now();
            }
        }
    }

    /// Reads, if there is room for the replies to it. Returns whether there is something to execute now.
    fn poll_receive(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<bool> {
        if self.replies.is_full() || (self.is_at_end && self.input.is_none()) {
            self.share.stop_waiting();
            return Ok(false);
        }
        if self.share.poll_cover(cx, self.step()).is_pending() {
            return Ok(false);
        }
        if self.input.is_some() {
            return Ok(true);
        }
        let is_large = self.is_large && self.share.try_cover_all(self.step() + LARGE);
        let mut buffer = ReadBuffer::take(is_large);
        let mut room = ReadBuf::new(buffer.room());
        if Pin::new(&mut self.stream).poll_read(cx, &mut room)?.is_pending() {
            // The buffer was given back, and others may use the memory of a large one.
            self.share.shrink(self.replies.memory());
            return Ok(false);
        }
        let bytes = room.filled().len();
        self.is_at_end = bytes == 0;
        self.is_large = bytes >= limits::READ;
        buffer.fill(bytes);
        self.input = (bytes > 0).then_some(buffer);
        if self.replies.is_empty() {
            self.share.received(bytes, now);
        }
        Ok(true)
    }

    /// Sends what the stream takes. Returns whether that lets the connection continue with something that waited for
    /// it.
    fn poll_send(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<bool> {
        let was_full = self.replies.is_full();
        let mut has_sent = false;
        while !self.replies.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, self.replies.unsent(now))? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(bytes) => {
                    self.replies.sent(bytes, now);
                    self.share.sent(bytes, now);
                    self.progressed = now;
                    (has_sent, self.needs_flush) = (true, true);
                }
                Poll::Pending => break,
            }
        }
        if self.needs_flush && Pin::new(&mut self.stream).poll_flush(cx)?.is_ready() {
            (has_sent, self.needs_flush) = (true, false);
        }
        if has_sent {
            self.settle();
        }
        Ok(has_sent && ((was_full && !self.replies.is_full()) || self.is_at_end))
    }

    /// Ends the connection. When the server shuts down, the client still gets its replies, if it reads them.
    async fn end(mut self, result: io::Result<End>) {
        self.work.leave();
        let Connection { peer, executed, failed, .. } = self;
        let how = match &result {
            Ok(End::Client) if self.parser.is_mid_line() => {
                "the client closed the connection in the middle of a line".to_owned()
            }
            Ok(End::Client) => "ended".to_owned(),
            Ok(End::Shutdown) => "the display ends".to_owned(),
            Ok(end @ (End::Cut | End::Stalled)) => {
                self.display().counters().closed_for_fault.fetch_add(1, Relaxed);
                let why = match end {
                    End::Cut => "others wait for the memory that its replies and unread input hold",
                    _ => "the client did not read its replies",
                };
                info!(peer, "closing the connection: {why}");
                why.to_owned()
            }
            Err(error) => error.to_string(),
        };
        if failed > 0 {
            info!(
                peer,
                "ignored {}: invalid, or of pixels outside the display; \
                 Pixelflut has no error replies, so the client was not notified",
                count(failed, "line")
            );
        }
        debug!(peer, executed, failed, "disconnected: {how}");
        if !matches!(result, Ok(End::Shutdown)) {
            return;
        }
        self.input = None;
        self.settle();
        let until = tokio::time::Instant::now() + SHUTDOWN_LINGER;
        let written = poll_fn(|cx| self.caller.poll_written(cx));
        if tokio::time::timeout_at(until, written).await.is_err() {
            return;
        }
        self.slot.leave();
        let limit = until.duration_since(tokio::time::Instant::now());
        // The connection ends whatever the result.
        _ = lingering_close::close(&mut self.stream, &mut self.replies, &Printer::default(), limit).await;
    }
}

impl<S> Connection<'_, S> {
    fn display(&self) -> &Display {
        self.caller.canvas().display()
    }

    /// Returns the most memory of the next turn, including the present read buffer.
    fn step(&self) -> usize {
        MOST + self.input.as_ref().map_or(0, extra)
    }

    /// Returns what the connection waits for after a turn that ended so.
    fn waits(&self, turn: TurnEnd, is_written: bool) -> WaitsFor {
        if !is_written || turn == TurnEnd::Queue {
            WaitsFor::Display
        } else if self.share.is_waiting() && self.replies.is_empty() {
            WaitsFor::Memory
        } else {
            WaitsFor::Client
        }
    }

    /// Updates the display's counters and the connection's share of the memory.
    fn settle(&mut self) {
        self.replies.shrink();
        let (replies, input) = (self.replies.memory(), self.input.as_ref());
        // The memory of a large buffer is kept until all of it is processed, so that it need not be waited for.
        let is_large = input.is_some_and(|input| extra(input) > 0);
        self.share.shrink(if is_large { self.step() } else { replies });
        let now = (replies + input.map_or(0, ReadBuffer::capacity)) as u64;
        let before = std::mem::replace(&mut self.buffered, now);
        self.display().count_buffered(before, now);
    }
}

/// Returns the memory of a buffer beyond that of a usual one.
fn extra(buffer: &ReadBuffer) -> usize {
    if buffer.capacity() > limits::READ { LARGE } else { 0 }
}

impl<S> Drop for Connection<'_, S> {
    /// Also runs when the task is aborted.
    fn drop(&mut self) {
        let display = self.caller.canvas().display();
        display.count_buffered(self.buffered, 0);
        display.counters().connections.fetch_sub(1, Relaxed);
        display.clients_changed();
    }
}
