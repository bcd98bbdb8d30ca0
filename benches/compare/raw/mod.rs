//! The reference of all ratios: TCP connections with no protocol on top, std::net and blocking at both ends.

pub(crate) mod crowd;
mod far;
pub(crate) mod runtime;

use crate::failure::{Context, Failure, Result};
use crate::measure::{Ends, Watch, Wire};
use crate::placement::Place;
use crate::socket::{BLOCK, TIMEOUT, connect, listen, prepared};
use crate::threads::{self, Side};
use crate::wire::Messages;
use draw_examples::DelayLine;
use far::{Far, Job};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

pub(crate) use far::Work;

/// Bytes that may be unacknowledged on all connections together: about the size of our 65,536 single pixels, and enough
/// for any loopback.
const WINDOW: usize = 2 << 20;

/// Number of messages exchanged one by one before the measurement.
const WARM: usize = 20;

/// The near end of one or more connections.
pub(crate) struct Raw {
    links: Vec<Link>,
    far: Side,
    /// The line between the ends, if there is one.
    _line: Option<DelayLine>,
}

/// One connection, and the channel that announces the next messages to its far end.
struct Link {
    stream: TcpStream,
    jobs: Sender<Job>,
    /// The bytes that each job stored last.
    reports: Receiver<Result<Vec<u8>>>,
    buffer: Vec<u8>,
    sent: usize,
    done: usize,
}

impl Raw {
    pub(crate) fn start(place: Place, connections: usize) -> Result<Raw> {
        let connect = |_| Link::start(place, Ok);
        let (links, threads): (Vec<_>, Vec<_>) =
            (0..connections).map(connect).collect::<Result<Vec<_>>>()?.into_iter().unzip();
        Ok(Raw { links, far: Side::of_threads(threads.into_iter().flatten()), _line: None })
    }

    /// Starts one connection through the delay line that `line` makes between it and the far end.
    pub(crate) fn start_far_away(
        place: Place,
        line: impl FnOnce(SocketAddr) -> Result<DelayLine>,
    ) -> Result<Raw> {
        let mut between = None;
        let (link, thread) = Link::start(place, |address| {
            let line = between.insert(line(address)?);
            Ok(line.address())
        })?;
        Ok(Raw { links: vec![link], far: Side::of_threads(thread), _line: between })
    }

    /// Returns the far end and the calling thread as the ends of a row.
    pub(crate) fn ends(&self, wire: Wire) -> Ends {
        Ends { near: Side::of_threads(threads::current()), far: self.far.clone(), wire }
    }

    /// Returns the congestion control of its socket.
    #[cfg(target_os = "linux")]
    pub(crate) fn congestion(&self) -> Option<String> {
        rustix::net::sockopt::tcp_congestion(&self.links[0].stream).ok()
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn congestion(&self) -> Option<String> {
        None
    }

    /// Sends one message at a time, each acknowledged before the next.
    pub(crate) fn ping(&mut self, watch: &mut Watch<'_>, messages: &Messages, count: usize) -> Result<()> {
        let link = &mut self.links[0];
        link.begin(messages, count, &Work::Count)?;
        watch.each(0..count, |_| link.exchange(messages))?;
        link.end(messages, &Work::Count)
    }

    /// Sends the messages repeatedly up to `count`, many per write, acknowledged many at a time; the connections take
    /// turns, block by block.
    pub(crate) fn stream(
        &mut self,
        watch: &mut Watch<'_>,
        messages: &Messages,
        count: usize,
        work: &Work,
    ) -> Result<()> {
        let size = messages.size;
        // The number of whole messages in a write.
        let block = (BLOCK / size).max(1);
        let whole = messages.bytes.len() / size;
        let repeated = (whole < block).then(|| messages.bytes.repeat(block.div_ceil(whole)));
        let bytes = repeated.as_ref().unwrap_or(&messages.bytes);
        let share = count / self.links.len();
        for link in &mut self.links {
            link.begin(messages, share, work)?;
        }
        watch.whole(|| {
            while self.links.iter().any(|link| link.sent < share) {
                let window = WINDOW.max(2 * size) / self.links.len();
                for link in &mut self.links {
                    link.send_block(bytes, size, block, share)?;
                    while (link.sent - link.done) * size > window {
                        link.acknowledged(messages.acknowledgement)?;
                    }
                }
            }
            for link in &mut self.links {
                while link.done < share {
                    link.acknowledged(messages.acknowledgement)?;
                }
            }
            Ok(())
        })?;
        self.links.iter_mut().try_for_each(|link| link.end(messages, work))
    }

    /// Requests the stored image `count` times, one after the other, and reads it into `answer`.
    pub(crate) fn fetch(
        &mut self,
        watch: &mut Watch<'_>,
        messages: &Messages,
        count: usize,
        answer: &mut [u8],
    ) -> Result<()> {
        let link = &mut self.links[0];
        let work = Work::Send { bytes: answer.len() };
        let job = Job { messages: count, size: messages.acknowledgement, acknowledgement: 8, work };
        link.jobs.send(job).context("the raw far end is gone")?;
        let request = vec![0; messages.acknowledgement];
        watch.each(0..count, |_| {
            link.stream.write_all(&request).context("asking for raw bytes")?;
            link.stream.read_exact(answer).context("reading raw bytes")
        })?;
        link.report().map(drop)
    }
}

impl Link {
    /// Connects to the address that `detour` returns for the far end's address.
    fn start(
        place: Place,
        detour: impl FnOnce(SocketAddr) -> Result<SocketAddr>,
    ) -> Result<(Link, Option<threads::Id>)> {
        let listener = listen()?;
        let address = listener.local_addr().context("listening for a raw connection")?;
        let stream = connect(detour(address)?)?;
        let far = prepared(listener.accept().map(|(stream, _)| stream))?;
        let (jobs, inbox) = channel();
        let (outbox, reports) = channel();
        let serve = move || {
            let mut far = Far::new(far);
            for job in inbox {
                let report = far.run(&job);
                let is_broken = report.is_err();
                // Returning closes the stream, so a waiting near end sees the error.
                if outbox.send(report).is_err() || is_broken {
                    return;
                }
            }
        };
        let thread = threads::start("raw", move || place.enter_far(), serve)?;
        Ok((Link { stream, jobs, reports, buffer: vec![0; BLOCK], sent: 0, done: 0 }, thread))
    }

    /// Announces the messages to the far end, and warms both ends up.
    fn begin(&mut self, messages: &Messages, count: usize, work: &Work) -> Result<()> {
        let Messages { size, acknowledgement, .. } = *messages;
        // A message that is larger than a block warms up by itself.
        let warm = if size > BLOCK { 1 } else { WARM };
        for messages in [warm, count] {
            let job = Job { messages, size, acknowledgement, work: work.clone() };
            self.jobs.send(job).context("the raw far end is gone")?;
        }
        for _ in 0..warm {
            self.exchange(messages)?;
        }
        (self.sent, self.done) = (0, 0);
        self.report().map(drop)
    }

    fn exchange(&mut self, messages: &Messages) -> Result<()> {
        self.stream.write_all(&messages.bytes[..messages.size]).context("writing a raw message")?;
        let acknowledgement = &mut self.buffer[..messages.acknowledgement];
        self.stream.read_exact(acknowledgement).context("reading a raw acknowledgement")
    }

    /// Writes the next block of the remaining messages.
    fn send_block(&mut self, bytes: &[u8], size: usize, block: usize, count: usize) -> Result<()> {
        let different = bytes.len() / size;
        let at = self.sent % different;
        let next = block.min(different - at).min(count - self.sent);
        self.stream.write_all(&bytes[at * size..][..next * size]).context("writing raw messages")?;
        self.sent += next;
        Ok(())
    }

    /// Waits for acknowledgements. The last one contains the number of messages that it covers.
    fn acknowledged(&mut self, size: usize) -> Result<()> {
        let mut filled = self.stream.read(&mut self.buffer).context("reading raw acknowledgements")?;
        if filled == 0 {
            return Err(Failure::new("the raw far end closed the connection"));
        }
        let part = filled % size;
        if part > 0 {
            let rest = &mut self.buffer[filled..][..size - part];
            self.stream.read_exact(rest).context("reading raw acknowledgements")?;
            filled += size - part;
        }
        let mut count = [0; 8];
        count.copy_from_slice(&self.buffer[filled - size..][..8]);
        self.done = u64::from_be_bytes(count) as usize;
        Ok(())
    }

    fn report(&self) -> Result<Vec<u8>> {
        self.reports.recv_timeout(TIMEOUT).context("the raw far end does not report")?
    }

    /// Checks that the far end has stored what it was sent.
    fn end(&mut self, messages: &Messages, work: &Work) -> Result<()> {
        let stored = self.report()?;
        // The message sent last, also when the messages were repeated.
        let last = self.sent.checked_sub(1).map(|last| last % (messages.bytes.len() / messages.size));
        let Some(last) = last.filter(|_| !matches!(work, Work::Count)) else { return Ok(()) };
        let message = &messages.bytes[last * messages.size..][..messages.size];
        if message.ends_with(&stored) && !stored.is_empty() {
            return Ok(());
        }
        Err(Failure::new("the raw far end has not stored what it was sent last"))
    }
}
