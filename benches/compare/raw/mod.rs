//! The unit of everything: a TCP connection with nothing on top, std::net and blocking at both ends.

use crate::measure::{Clock, Timed, Used, each};
use crate::placement::{Place, processor_time};
use crate::wire::{Messages, SIZE};
use crate::{Context, Failure, Result};
use draw_protocol::{Color, Pixel};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// Bytes of one write of a stream, and of one read: what our client and server use.
const BLOCK: usize = 64 << 10;

/// Bytes that may be unacknowledged: about what our 65,536 single pixels are, and enough for any loopback.
const WINDOW: usize = 2 << 20;

/// A peer that says nothing for so long is broken.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Messages that are exchanged one by one before the time is taken.
const WARM: usize = 20;

/// What the far end is to take in.
struct Job {
    messages: usize,
    size: usize,
    head: Option<usize>,
    acknowledgement: usize,
}

/// What became of it.
struct Report {
    used: Option<Duration>,
    /// The pixel that was stored last, as the framebuffer has it.
    last: Option<u32>,
}

/// The near end, and the way to tell the far end what comes.
pub(crate) struct Raw {
    stream: TcpStream,
    jobs: Sender<Job>,
    reports: Receiver<Result<Report>>,
    buffer: Vec<u8>,
}

impl Raw {
    pub(crate) fn start(place: Place) -> Result<Raw> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listening for a raw connection")?;
        let address = listener.local_addr().context("listening for a raw connection")?;
        let stream = prepared(TcpStream::connect(address))?;
        let far = prepared(listener.accept().map(|(stream, _)| stream))?;
        let (jobs, inbox) = channel();
        let (outbox, reports) = channel();
        thread::Builder::new()
            .name("raw".into())
            .spawn(move || {
                let mut far = Far { stream: far, buffer: Vec::new(), filled: 0, framebuffer: Vec::new() };
                let entered = place.enter_far().map(|()| Report { used: None, last: None });
                if outbox.send(entered).is_err() {
                    return;
                }
                for job in inbox {
                    let report = far.run(&job);
                    let is_broken = report.is_err();
                    // Going away closes the stream, which the near end may be waiting for.
                    if outbox.send(report).is_err() || is_broken {
                        return;
                    }
                }
            })
            .context("starting the thread of a raw connection")?;
        let raw = Raw { stream, jobs, reports, buffer: vec![0; BLOCK] };
        raw.report()?;
        Ok(raw)
    }

    /// The congestion control of its socket.
    #[cfg(target_os = "linux")]
    pub(crate) fn congestion(&self) -> Option<String> {
        rustix::net::sockopt::tcp_congestion(&self.stream).ok()
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn congestion(&self) -> Option<String> {
        None
    }

    /// One message at a time, each acknowledged before the next.
    pub(crate) fn ping(&mut self, messages: &Messages, count: usize) -> Result<Timed> {
        self.begin(messages, count)?;
        let (laps, near) = each(0..count, |_| self.exchange(messages))?;
        Ok((laps, Used { near, far: self.end(messages)? }))
    }

    /// All messages, over and over until there were `count`, many to a write, acknowledged many at a time.
    pub(crate) fn stream(&mut self, messages: &Messages, count: usize) -> Result<Timed> {
        let Messages { size, acknowledgement, .. } = *messages;
        // As many whole messages as a write has.
        let block = (BLOCK / size).max(1);
        let whole = messages.bytes.len() / size;
        let bytes =
            if whole < block { &messages.bytes.repeat(block.div_ceil(whole)) } else { &messages.bytes };
        let different = bytes.len() / size;
        self.begin(messages, count)?;
        let mut clock = Clock::start(1);
        let (mut sent, mut done) = (0, 0);
        while sent < count {
            let at = sent % different;
            let next = block.min(different - at).min(count - sent);
            self.stream.write_all(&bytes[at * size..][..next * size]).context("writing raw messages")?;
            sent += next;
            while (sent - done) * size > WINDOW {
                done = self.acknowledged(acknowledgement)?;
            }
        }
        while done < count {
            done = self.acknowledged(acknowledgement)?;
        }
        clock.lap();
        let (laps, near) = clock.stop();
        Ok((laps, Used { near, far: self.end(messages)? }))
    }

    /// Tells the far end what comes, and warms both ends up.
    fn begin(&mut self, messages: &Messages, count: usize) -> Result<()> {
        let Messages { size, head, acknowledgement, .. } = *messages;
        for messages in [WARM, count] {
            let job = Job { messages, size, head, acknowledgement };
            self.jobs.send(job).context("the raw far end is gone")?;
        }
        for _ in 0..WARM {
            self.exchange(messages)?;
        }
        self.report().map(drop)
    }

    fn exchange(&mut self, messages: &Messages) -> Result<()> {
        self.stream.write_all(&messages.bytes[..messages.size]).context("writing a raw message")?;
        let acknowledgement = &mut self.buffer[..messages.acknowledgement];
        self.stream.read_exact(acknowledgement).context("reading a raw acknowledgement")
    }

    /// Waits for acknowledgements, and answers how many messages the last of them covers.
    fn acknowledged(&mut self, size: usize) -> Result<usize> {
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
        Ok(u64::from_be_bytes(count) as usize)
    }

    fn report(&self) -> Result<Report> {
        self.reports.recv_timeout(TIMEOUT).context("the raw far end does not report")?
    }

    /// What processor time the far end took; checks that it stored what it was sent.
    fn end(&mut self, messages: &Messages) -> Result<Option<Duration>> {
        let report = self.report()?;
        match report.last {
            // The stream ends with the last message of a repetition, or the bytes would not be the same.
            Some(stored) if messages.bytes[messages.bytes.len() - 4..] != stored.to_be_bytes() => {
                Err(Failure::new("the raw far end has not stored the pixel that it was sent last"))
            }
            _ => Ok(report.used),
        }
    }
}

fn prepared(stream: std::io::Result<TcpStream>) -> Result<TcpStream> {
    let prepare = |stream: TcpStream| {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(stream)
    };
    stream.and_then(prepare).context("opening a raw connection")
}

/// The far end.
struct Far {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    framebuffer: Vec<u32>,
}

impl Far {
    fn run(&mut self, job: &Job) -> Result<Report> {
        self.buffer.resize(BLOCK.max(job.size), 0);
        self.framebuffer.resize(SIZE.width as usize * SIZE.height as usize, 0);
        let mut answer = vec![0; job.acknowledgement];
        if answer.len() < 8 {
            return Err(Failure::new("an acknowledgement has no room for a number"));
        }
        let before = processor_time();
        let (mut done, mut last) = (0, None);
        while done < job.messages {
            let n = self.stream.read(&mut self.buffer[self.filled..]).context("reading raw messages")?;
            if n == 0 {
                return Err(Failure::new("the raw near end closed the connection"));
            }
            self.filled += n;
            let whole = self.filled / job.size;
            let (messages, rest) = (whole * job.size, self.filled - whole * job.size);
            if let Some(head) = job.head {
                for message in self.buffer[..messages].chunks_exact(job.size) {
                    last = store(&message[head..], &mut self.framebuffer).or(last);
                }
            }
            if whole > 0 {
                self.buffer.copy_within(messages..self.filled, 0);
                self.filled = rest;
                done += whole;
                answer[..8].copy_from_slice(&(done as u64).to_be_bytes());
                self.stream.write_all(&answer).context("writing a raw acknowledgement")?;
            }
        }
        let used = processor_time().zip(before).map(|(after, before)| after.saturating_sub(before));
        let last = last.map(|place| self.framebuffer[place]);
        Ok(Report { used, last })
    }
}

/// The plain loop: decodes each pixel, checks that it lies inside, stores it. Answers where the last one went.
fn store(records: &[u8], framebuffer: &mut [u32]) -> Option<usize> {
    let mut last = None;
    for record in records.chunks_exact(Pixel::SIZE) {
        let mut bytes = [0; Pixel::SIZE];
        bytes.copy_from_slice(record);
        let Pixel { x, y, color } = Pixel::from_bytes(bytes);
        if u32::from(x) < SIZE.width && u32::from(y) < SIZE.height {
            let place = usize::from(y) * SIZE.width as usize + usize::from(x);
            framebuffer[place] = Color::to_u32(color);
            last = Some(place);
        }
    }
    last
}
