//! For plain programs, with no runtime: the synchronous [`Display`], whose calls wait for their answer in the caller's
//! own thread, and the [`Pipeline`], whose drawing calls do not wait.

mod pipeline;
mod thread;
mod wait;

pub use pipeline::{Pipeline, PipelineBuilder, Reply};

use crate::address;
use crate::builder::{LONGEST, hello};
use crate::debug;
use crate::doctor::{self, Client, Diagnosis, Doctor};
use crate::error::{Error, Lost, Outcome, Result};
use crate::shared::Stats;
use draw_protocol::client::{Connection, Event, Place};
use draw_protocol::trace::{Direction, Printer};
use draw_protocol::{Answer, Color, Position, Request, Size, Welcome, limits};
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A display on another machine, drawn on by real synchronous remote procedure calls: each returns when the display has
/// answered, which costs a round trip. It has no late errors.
///
/// The names are those of the asynchronous [`Display`](crate::Display). Clones share the connection and take turns.
/// [`pipelined`](Display::pipelined) makes a [`Pipeline`] of it.
///
/// ```no_run
/// use draw_client::{Color, Pixel, blocking::Display};
///
/// let display = Display::connect("localhost:3729")?;
/// display.draw_pixel(10, 20, Color::RED)?;                                  // one round trip
/// let row: Vec<Pixel> = (0..100).map(|x| Pixel::new(x, 30, Color::BLUE)).collect();
/// display.draw_pixels(&row)?;                                               // one round trip for all of them
/// # Ok::<(), draw_client::Error>(())
/// ```
#[derive(Clone)]
pub struct Display {
    inner: Arc<Mutex<Inner>>,
    size: Size,
}

struct Inner {
    /// The connection, or why no further call can succeed.
    link: Result<Link, Lost>,
    stats: Stats,
    /// Who accounts for the waits, if somebody asked for it.
    doctor: Option<Box<Doctor>>,
}

struct Link {
    stream: TcpStream,
    machine: Connection,
    buffer: Vec<u8>,
    timeout: Duration,
    /// When the last call was made, and when anything was heard last: the doctor reads no clock of its own, since two more
    /// readings cost more than all that it does.
    called_at: Instant,
    heard_at: Instant,
    /// The socket's timeout for reads is less than `timeout` for the moment.
    is_shortened: bool,
    trace: Printer,
}

/// Sets up a [`Display`].
#[derive(Debug, Clone)]
pub struct Builder {
    timeout: Duration,
    connect_timeout: Duration,
    doctor: Option<bool>,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder { timeout: limits::ANSWER_TIMEOUT, connect_timeout: limits::CONNECT_TIMEOUT, doctor: None }
    }
}

/// A write that takes longer looks whether there is something to read: else both sides could wait for the other to
/// read first, for ever.
const WRITE_SLICE: Duration = Duration::from_millis(100);

impl Builder {
    /// How long a call waits for its answer. 30 seconds unless set.
    pub fn timeout(mut self, timeout: Duration) -> Builder {
        // The system takes a timeout of zero for none.
        self.timeout = timeout.clamp(Duration::from_millis(1), LONGEST);
        self
    }

    /// How long connecting may take, with all addresses of the name and the greeting. 5 seconds unless set. Looking the
    /// name up counts, but only the system can cut that short.
    pub fn connect_timeout(mut self, timeout: Duration) -> Builder {
        self.connect_timeout = timeout.clamp(Duration::from_millis(1), LONGEST);
        self
    }

    /// Whether the round-trip doctor says, when the connection ends, which lines of the program waited for the display
    /// and what would cure that: see [`Diagnosis`]. It is printed on standard error, once. Unless set, the environment
    /// variable [`DRAW_DOCTOR`](crate::DRAW_DOCTOR) decides. It costs some nanoseconds a call, beside microseconds.
    pub fn doctor(mut self, doctor: bool) -> Builder {
        self.doctor = Some(doctor);
        self
    }

    /// Connects to `host`, `host:port` or `[ipv6]:port`; the port is 3729 unless given. Every address of the name is
    /// tried.
    ///
    /// # Errors
    /// [`Error::Address`], [`Error::Connect`] when nothing listens there, [`Error::Timeout`] when it does not greet
    /// back in time, [`Error::Disconnected`] when it is no display.
    pub fn connect(&self, address: &str) -> Result<Display> {
        let (host, port) = address::parse(address)?;
        let shown = address::show(&host, port);
        let unreachable = |error| address::unreachable(&shown, Some(error));
        let deadline = Instant::now() + self.connect_timeout;
        let stream = dial(&host, port, deadline).map_err(|last| address::unreachable(&shown, last))?;
        // A call is a few bytes, and its answer is waited for: never hold it back to fill a packet.
        stream.set_nodelay(true).map_err(unreachable)?;
        stream.set_write_timeout(Some(WRITE_SLICE)).map_err(unreachable)?;
        let mut link = Link {
            stream,
            machine: Connection::new(&hello()),
            buffer: vec![0; limits::READ],
            timeout: self.connect_timeout,
            called_at: deadline,
            heard_at: deadline,
            is_shortened: false,
            trace: debug::open(&format!("to {shown}")),
        };
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        link.stream.set_read_timeout(Some(left)).map_err(unreachable)?;
        let size = link
            .run(deadline, |event, _| matches!(event, Some(Event::Welcome)).then_some(()))
            .and_then(|()| link.size().ok_or(Failed::Lost(Lost::Eof)));
        let size = size.map_err(|failed| link.fail(failed, Outcome::Rejected))?;
        link.timeout = self.timeout;
        link.stream.set_read_timeout(Some(self.timeout)).map_err(unreachable)?;
        let doctor = doctor::open(self.doctor, Client::Blocking, Instant::now());
        let inner = Inner { link: Ok(link), stats: Stats::default(), doctor };
        Ok(Display { inner: Arc::new(Mutex::new(inner)), size })
    }

    /// Connects to the display that `DRAW_DISPLAY` names, else to `localhost:3729`.
    ///
    /// # Errors
    /// See [`Builder::connect`].
    pub fn open(&self) -> Result<Display> {
        self.connect(&address::default_address())
    }
}

fn dial(host: &str, port: u16, deadline: Instant) -> Result<TcpStream, Option<std::io::Error>> {
    let found: Vec<_> = (host, port).to_socket_addrs().map_err(Some)?.collect();
    let mut last = None;
    for (i, one) in found.iter().enumerate() {
        let share = address::share(deadline, Instant::now(), found.len() - i);
        match TcpStream::connect_timeout(one, share) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last)
}

/// Why waiting for an event ended without it.
enum Failed {
    TimedOut,
    Lost(Lost),
}

impl Failed {
    fn into_error(self, outcome: Outcome, after: Duration) -> Error {
        match self {
            Failed::TimedOut => Error::Timeout { after, outcome },
            Failed::Lost(reason) => Error::Disconnected { reason, outcome },
        }
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Failed {
        Failed::Lost(Lost::Io(Arc::new(error)))
    }
}

fn would_block(error: &std::io::Error) -> bool {
    // Unix says the one, Windows the other.
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// A read that blocks ends after `left`.
fn limit_reads(stream: &TcpStream, left: Duration) -> std::io::Result<()> {
    // The system takes a timeout of zero for none.
    stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))
}

/// Reads that end by the deadline, however slowly the bytes trickle in.
struct Until<'a> {
    stream: &'a TcpStream,
    deadline: Instant,
}

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        limit_reads(self.stream, left)?;
        self.stream.read(buffer)
    }
}

impl Link {
    fn size(&self) -> Option<Size> {
        self.machine.welcome().map(Welcome::size)
    }

    /// Sends what waits and reads until `wanted` finds what it wants in an event or in how far the calls are done.
    fn run<T>(
        &mut self,
        deadline: Instant,
        mut wanted: impl FnMut(Option<Event>, &Connection) -> Option<T>,
    ) -> Result<T, Failed> {
        // The socket's own timeout is the whole deadline, so the usual call, written at once and answered at once, sets
        // none.
        let mut is_usual = true;
        while !self.machine.poll_transmit().is_empty() {
            match self.stream.write(self.machine.poll_transmit()) {
                Ok(0) => return Err(std::io::Error::from(ErrorKind::WriteZero).into()),
                Ok(n) => {
                    self.trace.pass(Direction::ToDisplay, &self.machine.poll_transmit()[..n]);
                    self.machine.handle_transmitted(n);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if would_block(&error) => {
                    self.stream.set_nonblocking(true)?;
                    let read = self.stream.read(&mut self.buffer);
                    self.stream.set_nonblocking(false)?;
                    let n = match read {
                        Ok(0) => return Err(Failed::Lost(Lost::Eof)),
                        Err(error) if would_block(&error) => 0,
                        read => read?,
                    };
                    if let Some(found) = self.take_in(n, &mut wanted)? {
                        return Ok(found);
                    }
                }
                // The reason may be in what the other side said last.
                Err(error) => return self.read_goodbye(error),
            }
            is_usual &= self.machine.poll_transmit().is_empty();
            // A peer that takes a little now and then does not stop the clock.
            if !is_usual && Instant::now() >= deadline {
                return Err(Failed::TimedOut);
            }
        }
        let result = loop {
            if !std::mem::take(&mut is_usual) {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break Err(Failed::TimedOut);
                }
                self.is_shortened = true;
                limit_reads(&self.stream, left)?;
            }
            match self.read_some(deadline) {
                Ok(None) => {
                    self.trace.end(Direction::ToClient);
                    break Err(Failed::Lost(Lost::Eof));
                }
                Ok(Some(n)) => match self.take_in(n, &mut wanted) {
                    Ok(Some(found)) => break Ok(found),
                    Ok(None) => {}
                    Err(failed) => break Err(failed),
                },
                Err(error) if error.kind() == ErrorKind::Interrupted || would_block(&error) => {}
                Err(error) => break Err(error.into()),
            }
        };
        if std::mem::take(&mut self.is_shortened) {
            self.stream.set_read_timeout(Some(self.timeout))?;
        }
        result
    }

    /// Reads once, and answers how much of the buffer there is to take in; a long answer goes straight to where it
    /// belongs. `None`: the other side has closed.
    fn read_some(&mut self, deadline: Instant) -> std::io::Result<Option<usize>> {
        let Some((body, room)) = self.machine.body() else {
            let n = self.stream.read(&mut self.buffer)?;
            return Ok((n > 0).then_some(n));
        };
        self.is_shortened = true;
        let before = body.len();
        let read = Until { stream: &self.stream, deadline }.take(room as u64).read_to_end(body);
        self.trace.pass(Direction::ToClient, &body[before..]);
        let n = read?;
        Ok((n == room).then_some(0))
    }

    /// Takes in the first `n` bytes of the buffer.
    fn take_in<T>(
        &mut self,
        n: usize,
        wanted: &mut impl FnMut(Option<Event>, &Connection) -> Option<T>,
    ) -> Result<Option<T>, Failed> {
        let (mut input, now) = (&self.buffer[..n], Instant::now());
        self.heard_at = now;
        self.trace.pass(Direction::ToClient, input);
        let mut found = None;
        loop {
            let event = self
                .machine
                .handle_input(&mut input, now)
                .map_err(|ended| Failed::Lost(Lost::Protocol(ended)))?;
            let is_last = event.is_none();
            let this = wanted(event, &self.machine);
            found = found.or(this);
            if is_last {
                return Ok(found);
            }
        }
    }

    fn read_goodbye<T>(&mut self, error: std::io::Error) -> Result<T, Failed> {
        if let Ok(n @ 1..) = self.stream.read(&mut self.buffer) {
            self.take_in::<T>(n, &mut |_, _| None)?;
        }
        Err(error.into())
    }

    fn call(&mut self, request: &Request<'_>, stats: &mut Stats) -> Result<Answer> {
        let now = Instant::now();
        let deadline = now + self.timeout;
        // Calls that were given up after their deadline are still under way, and their bytes may wait here.
        if !self.machine.has_credit(request, 0) {
            let waited = self.run(deadline, |event, machine| {
                event.iter().for_each(report);
                machine.has_credit(request, 0).then_some(())
            });
            waited.map_err(|failed| self.fail(failed, Outcome::Rejected))?;
        }
        let number = self.machine.call(request, now)?;
        self.called_at = now;
        stats.calls += 1;
        stats.waits += 1;
        let done = self.run(deadline, |event, machine| match event {
            Some(Event::Fault(made, fault)) if made.number == number => Some(Err(Error::Fault(fault))),
            Some(Event::Answer(made, answer)) if made.number == number => Some(Ok(answer)),
            Some(event) => {
                report(&event);
                None
            }
            None => {
                (machine.done() >= number && !request.method().is_question()).then_some(Ok(Answer::Done(())))
            }
        });
        done.unwrap_or_else(|failed| Err(self.fail(failed, Outcome::Unknown)))
    }

    /// What the caller is told.
    fn fail(&self, failed: Failed, outcome: Outcome) -> Error {
        match (failed, self.machine.goodbye()) {
            (Failed::Lost(Lost::Eof | Lost::Io(_)), Some(fault)) => {
                Failed::Lost(Lost::Goodbye(fault.clone()))
            }
            (failed, _) => failed,
        }
        .into_error(outcome, self.timeout)
    }
}

impl Inner {
    fn call(&mut self, request: &Request<'_>, place: Place) -> Result<Answer> {
        let link = self.link.as_mut().map_err(|reason| unsent(reason))?;
        let before = self.stats.calls;
        let result = link.call(request, &mut self.stats);
        if let Some(doctor) = &mut self.doctor
            // What no display could execute was not sent.
            && self.stats.calls > before
        {
            let was_given_up = matches!(result, Err(Error::Timeout { .. } | Error::Disconnected { .. }));
            let ended_at = if was_given_up { Instant::now() } else { link.heard_at };
            doctor.called(request, place, link.called_at, ended_at);
        }
        if let Err(Error::Disconnected { reason, .. }) = &result {
            // It stays lost.
            self.link = Err(reason.clone());
        }
        result
    }

    fn say_last_words(&mut self) {
        if let Some(diagnosis) = self.doctor.as_mut().and_then(|doctor| doctor.last_words(Instant::now())) {
            doctor::print(&diagnosis);
        }
    }
}

/// The last diagnosis, where `close` has not printed it.
impl Drop for Inner {
    fn drop(&mut self) {
        self.say_last_words();
    }
}

/// What a call is told that comes after the end.
fn unsent(reason: &Lost) -> Error {
    match reason {
        Lost::Closed => Error::Closed,
        reason => Error::Disconnected { reason: reason.clone(), outcome: Outcome::Rejected },
    }
}

/// What came of a call that was given up after its deadline: nobody waits for it any more.
fn report(event: &Event) {
    if let Event::Fault(made, fault) = event {
        tracing::warn!(call = made.number, "{} failed after its deadline: {fault}", made.call);
    }
}

impl fmt::Debug for Display {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("blocking::Display").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Display {
    /// Sets up how to connect: deadlines.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Connects to the display at `host`, `host:port` or `[ipv6]:port`, and returns when it has greeted back.
    ///
    /// # Errors
    /// See [`Builder::connect`].
    pub fn connect(address: &str) -> Result<Display> {
        Builder::default().connect(address)
    }

    /// Connects to the display that the environment variable `DRAW_DISPLAY` names, else to `localhost:3729`.
    ///
    /// # Errors
    /// See [`Builder::connect`].
    pub fn open() -> Result<Display> {
        Builder::default().open()
    }

    /// Width and height, as the display told them when the connection was made.
    pub fn size(&self) -> Size {
        self.size
    }

    /// What this connection has done so far.
    pub fn stats(&self) -> Stats {
        self.lock().stats
    }

    /// Which lines have waited for the display so far, and what would cure that: see [`Diagnosis`]. Nothing where the
    /// doctor is not on ([`Builder::doctor`]), or a [`Pipeline`] has the connection.
    pub fn diagnosis(&self) -> Option<Diagnosis> {
        self.lock().doctor.as_ref().map(|doctor| doctor.diagnosis(0, Instant::now()))
    }

    /// Ends the connection, for all clones. Every call has been answered or given up, so there is nothing to wait for.
    ///
    /// # Errors
    /// [`Error::Disconnected`] if the connection was lost before.
    pub fn close(&self) -> Result<()> {
        let mut inner = self.lock();
        inner.say_last_words();
        match std::mem::replace(&mut inner.link, Err(Lost::Closed)) {
            Ok(link) => {
                link.trace.end(Direction::ToDisplay);
                Ok(())
            }
            Err(Lost::Closed) => Ok(()),
            Err(reason) => Err(Error::Disconnected { reason, outcome: Outcome::Unknown }),
        }
    }

    /// The asynchronous form: drawing calls that do not wait, over this same connection. [`Pipeline::builder`] does it
    /// with an error callback.
    ///
    /// Clones of this display can make no further call: they get [`Lost::Pipelined`]. A call of theirs that is being made
    /// is waited for. Calls that were given up after their deadline stay under way; should they fail after all, that is a
    /// late error. The numbers of calls and what [`stats`](Pipeline::stats) counts go on.
    ///
    /// # Errors
    /// [`Error::Closed`] and [`Error::Disconnected`] when the connection has ended before, or no thread can be had for it.
    pub fn pipelined(self) -> Result<Pipeline> {
        let (link, stats, doctor) = self.take()?;
        let timeout = link.timeout;
        thread::start(link, stats, doctor, timeout, None).map(Pipeline::new)
    }

    /// Takes the connection out, for a pipeline.
    fn take(&self) -> Result<(Link, Stats, Option<Box<Doctor>>)> {
        let mut inner = self.lock();
        match std::mem::replace(&mut inner.link, Err(Lost::Pipelined)) {
            Ok(link) => {
                let mut doctor = inner.doctor.take();
                doctor.iter_mut().for_each(|doctor| doctor.handed_to(Client::Pipeline));
                Ok((link, inner.stats, doctor))
            }
            Err(reason) => {
                let error = unsent(&reason);
                inner.link = Err(reason);
                Err(error)
            }
        }
    }

    /// Held for one call: clones take turns.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, request: Request<'_>, place: Place) -> Result<Answer> {
        self.lock().call(&request, place)
    }
}

macro_rules! methods {
    (
        draw { $($(#[doc = $draw_doc:literal])+ $Draw:ident: $draw:ident($($dp:ident: $dt:ident),*);)+ }
        ask { $($(#[doc = $ask_doc:literal])+ $Ask:ident: $ask:ident($($ap:ident: $at:ident),*) -> $Answer:ident($answer:ty);)+ }
    ) => {
        /// The calls. Each returns when the display has answered.
        impl Display {
            $(
                $(#[doc = $draw_doc])+
                ///
                /// # Errors
                /// What the display finds wrong with it, or that no answer came.
                #[track_caller]
                pub fn $draw(&self, $($dp: argument!($dt)),*) -> Result<()> {
                    self.ask(Request::$Draw { $($dp: $dp.into()),* }, Location::caller()).map(|_| ())
                }
            )+
            $(
                $(#[doc = $ask_doc])+
                ///
                /// # Errors
                /// What the display finds wrong with it, or that no answer came.
                #[track_caller]
                pub fn $ask(&self, $($ap: $at),*) -> Result<$answer> {
                    match self.ask(Request::$Ask { $($ap),* }, Location::caller())? {
                        Answer::$Answer(value) => Ok(value),
                        other => unreachable!("{} is decoded as its own answer, not {other:?}", stringify!($ask)),
                    }
                }
            )+
        }
    };
}

draw_protocol::calls!(methods);
