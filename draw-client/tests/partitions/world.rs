//! A display, programs that draw on it, and a network between them that fails, all in one thread and in virtual time.
//!
//! The network is turmoil's. It loses packets without sending them again, so a connection that has lost one is dead,
//! and neither end detects it: [`Network::give_up`] does what a system does then. Callbacks must not make calls: they
//! run on a thread of their own, where there is no such network.

use display_server::{Display as Screen, Server, ServerOptions};
use draw_client::{Color, Size};
use futures::task::AtomicWaker;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

/// The host of the display, and its port.
pub(crate) const DISPLAY: &str = "display";
const PORT: u16 = 3729;

/// The longest real time that a simulation may run.
const WALL: Duration = Duration::from_secs(50);

/// A failure between a program and the display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing arrives until it is over, and everything then: systems retransmit lost packets.
    Held,
    /// Packets are lost.
    Lost,
    /// Packets in one direction are lost.
    LostToDisplay,
    LostFromDisplay,
}

/// An end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Program,
    Display,
}

/// The state that all hosts share, and the means to make the network fail. Used by hosts.
#[derive(Clone, Default)]
pub(crate) struct Network(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    ends: Vec<(String, End, Arc<Switch>)>,
    /// The programs whose packets to the display are lost.
    down: HashSet<String>,
    log: Vec<String>,
    /// The first bytes that each connection carried to the display.
    greetings: Vec<Vec<u8>>,
    /// The numbers with which programs have confirmed welcomes.
    confirmed: Vec<u64>,
    /// For programs without a connection: the end of the last attempt, and the number of attempts that failed since the
    /// last connection.
    attempts: HashMap<String, (Duration, u32)>,
}

/// Ends a stream from outside.
#[derive(Default)]
struct Switch {
    is_off: AtomicBool,
    reader: AtomicWaker,
}

impl Network {
    /// Records an event with its time.
    pub(crate) fn note(&self, event: String) {
        let at = turmoil::sim_elapsed().unwrap_or_default().as_millis();
        self.0.lock().unwrap().log.push(format!("{at} {event}"));
    }

    /// Returns the events so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.0.lock().unwrap().log.clone()
    }

    /// Returns the first bytes that each connection carried to the display.
    pub(crate) fn greetings(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap().greetings.clone()
    }

    /// Returns the numbers with which programs have confirmed welcomes.
    pub(crate) fn confirmed(&self) -> Vec<u64> {
        self.0.lock().unwrap().confirmed.clone()
    }

    pub(crate) fn fail(&self, failure: Failure, program: &str) {
        self.note(format!("{failure:?} {program}"));
        match failure {
            Failure::Held => turmoil::hold(program, DISPLAY),
            Failure::Lost => turmoil::partition(program, DISPLAY),
            Failure::LostToDisplay => turmoil::partition_oneway(program, DISPLAY),
            Failure::LostFromDisplay => turmoil::partition_oneway(DISPLAY, program),
        }
        if matches!(failure, Failure::Lost | Failure::LostToDisplay) {
            self.0.lock().unwrap().down.insert(program.to_owned());
        }
    }

    pub(crate) fn heal(&self, failure: Failure, program: &str) {
        self.note(format!("healed {program}"));
        match failure {
            Failure::Held => turmoil::release(program, DISPLAY),
            _ => turmoil::repair(program, DISPLAY),
        }
        self.0.lock().unwrap().down.remove(program);
    }

    /// Breaks all connections of a program at one end, as its system does after a timeout. The other end detects it if
    /// the network allows.
    pub(crate) fn give_up(&self, end: End, program: &str) {
        self.note(format!("given up by the {end:?} of {program}"));
        let gone = {
            let ends = &mut self.0.lock().unwrap().ends;
            let (gone, rest): (Vec<_>, _) =
                ends.drain(..).partition(|(host, side, _)| host == program && *side == end);
            *ends = rest;
            gone
        };
        for (_, _, switch) in gone {
            switch.is_off.store(true, SeqCst);
            switch.reader.wake();
        }
    }

    /// Connects a program to the display. A system that gets no answer asks again, after 1/4 s, 1/2 s, 1 s, and gives
    /// up: before the client's patience ends, which began at a random time.
    pub(crate) async fn connect(self, program: String) -> io::Result<Stream> {
        self.steady(&program).await;
        let mut pause = Duration::from_millis(250);
        let attempt = Attempt { network: self.clone(), program: program.clone() };
        loop {
            match TcpStream::connect((DISPLAY, PORT)).await {
                Ok(stream) => return Ok(self.stream(stream, &program, End::Program, Some(attempt))),
                Err(error) => {
                    if !self.0.lock().unwrap().down.contains(&program) {
                        self.note(format!("{program} is refused"));
                        return Err(error);
                    }
                }
            }
            if pause > Duration::from_secs(1) {
                self.note(format!("{program} hears nothing"));
                return Err(io::ErrorKind::TimedOut.into());
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// Waits as long as the longest of the client's random pauses, 0.1 s, doubling up to 5 s, and a fifth, so the same
    /// seed gives the same simulation.
    async fn steady(&self, program: &str) {
        let last = self.0.lock().unwrap().attempts.get(program).copied();
        if let Some((ended, failed)) = last {
            let pause = Duration::from_millis(100 << failed.min(6)).min(Duration::from_secs(5));
            let rest = (ended + pause.mul_f64(1.25)).saturating_sub(turmoil::elapsed());
            tokio::time::sleep(rest).await;
        }
    }

    /// Returns a connector for `ConnectOptions::through`.
    pub(crate) fn connector(
        &self,
        program: &str,
    ) -> impl FnMut() -> Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>> + Send + use<> {
        let (network, program) = (self.clone(), program.to_owned());
        move || Box::pin(network.clone().connect(program.clone()))
    }

    fn stream(&self, stream: TcpStream, program: &str, end: End, attempt: Option<Attempt>) -> Stream {
        let switch = Arc::<Switch>::default();
        let ends = &mut self.0.lock().unwrap().ends;
        ends.push((program.to_owned(), end, Arc::clone(&switch)));
        let name = format!("{program} {end:?}");
        Stream { stream, switch, name, network: self.clone(), has_written: false, attempt }
    }
}

/// A connection of a program, or an attempt to make one.
struct Attempt {
    network: Network,
    program: String,
}

impl Attempt {
    /// Records that the display has answered.
    fn succeed(&self) {
        self.network.0.lock().unwrap().attempts.remove(&self.program);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if turmoil::in_simulation() {
            let now = turmoil::elapsed();
            let attempts = &mut self.network.0.lock().unwrap().attempts;
            let failed = attempts.get(&self.program).map_or(0, |(_, failed)| failed + 1);
            attempts.insert(self.program.clone(), (now, failed));
        }
    }
}

/// One end of a connection, which its system may give up.
pub(crate) struct Stream {
    stream: TcpStream,
    switch: Arc<Switch>,
    name: String,
    network: Network,
    has_written: bool,
    /// Present only at a program's end.
    attempt: Option<Attempt>,
}

impl Stream {
    fn check(&self) -> io::Result<()> {
        if self.switch.is_off.load(SeqCst) { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.switch.reader.register(cx.waker());
        self.check()?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() {
            let n = buffer.filled().len() - before;
            self.network.note(format!("{} reads {n}", self.name));
            self.attempt.iter().filter(|_| n > 0).for_each(Attempt::succeed);
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(n)) = written {
            self.network.note(format!("{} writes {n}", self.name));
            if let Some(nonce) = bytes[..n].strip_prefix(b"\x93\x02\xa7confirm\x91\xcf") {
                let nonce = nonce.first_chunk().copied().map_or(0, u64::from_be_bytes);
                self.network.0.lock().unwrap().confirmed.push(nonce);
            }
            if !std::mem::replace(&mut self.has_written, true) && self.attempt.is_some() {
                self.network.0.lock().unwrap().greetings.push(bytes[..n].to_vec());
            }
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A simulation: a display, which starts with it, and the added programs.
pub(crate) struct World {
    pub(crate) sim: turmoil::Sim<'static>,
    pub(crate) network: Network,
    screens: Arc<Mutex<Vec<Screen>>>,
    began: Instant,
}

/// The longest virtual time that a simulation may run.
const VIRTUAL: Duration = Duration::from_secs(1_000);

impl World {
    /// Creates a display of 64x48, a network of 5 to 20 ms in each direction, and a step of 5 ms.
    pub(crate) fn new() -> World {
        World::with(0, Size { width: 64, height: 48 }, [5, 20], 5)
    }

    /// Creates a world with latencies from `latency[0]` to `latency[1]` milliseconds, and steps of `step` milliseconds.
    pub(crate) fn with(seed: u64, size: Size, latency: [u64; 2], step: u64) -> World {
        let [least, most] = latency.map(Duration::from_millis);
        let mut sim = turmoil::Builder::new()
            .rng_seed(seed)
            .tick_duration(Duration::from_millis(step))
            .min_message_latency(least)
            .max_message_latency(most)
            .simulation_duration(VIRTUAL)
            .tcp_capacity(4_096)
            .build();
        let (network, screens) = (Network::default(), Arc::<Mutex<Vec<Screen>>>::default());
        let (shared, started) = (network.clone(), Arc::clone(&screens));
        sim.host(DISPLAY, move || {
            let (network, screens) = (shared.clone(), Arc::clone(&started));
            async move {
                // Without a journal: each start is another display.
                let screen = Screen::new(size, Color::BLACK)?;
                screens.lock().unwrap().push(screen.clone());
                serve(network, Server::new(screen, ServerOptions::default())).await?;
                Ok(())
            }
        });
        World { sim, network, screens, began: Instant::now() }
    }

    /// Adds a program on a host of its own. The simulation ends when all programs have ended.
    pub(crate) fn program(&mut self, host: &str, program: impl Future<Output = ()> + 'static) {
        self.sim.client(host, async move {
            program.await;
            Ok(())
        });
    }

    /// Runs one step. Returns whether all programs have ended.
    pub(crate) fn step(&mut self) -> bool {
        assert!(self.began.elapsed() < WALL, "simulated {:?} in {WALL:?}", self.sim.elapsed());
        self.sim.step().expect("every program ends within the virtual time")
    }

    pub(crate) fn run(&mut self) {
        while !self.step() {}
    }

    /// Runs until a time of the simulation. No program may end before.
    pub(crate) fn run_until(&mut self, at: Duration) {
        while self.sim.elapsed() < at {
            assert!(!self.step(), "the programs go on until {at:?}");
        }
    }

    /// Returns the display of the last start.
    pub(crate) fn screen(&self) -> Screen {
        self.screens.lock().unwrap().last().expect("it was started").clone()
    }

    /// Returns the displays of all starts.
    pub(crate) fn screens(&self) -> Vec<Screen> {
        self.screens.lock().unwrap().clone()
    }

    /// Returns the color of a pixel of the last display.
    pub(crate) fn shown(&self, x: i32, y: i32) -> Color {
        self.screen().framebuffer().get_pixel(x, y).unwrap()
    }
}

async fn serve(network: Network, server: Server) -> io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    loop {
        let (stream, peer) = listener.accept().await?;
        let program = turmoil::reverse_lookup(peer.ip()).expect("every host has a name");
        network.note(format!("{program} is accepted"));
        let (server, stream) = (server.clone(), network.stream(stream, &program, End::Display, None));
        tokio::spawn(async move { server.serve(stream, &program, std::future::pending()).await });
    }
}
