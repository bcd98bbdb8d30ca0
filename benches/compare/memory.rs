//! The memory of a connection of a server that has drawn and is idle now: measured before anything else, since a
//! process gives back little of its memory.

use crate::descriptors;
use crate::failure::{Context, Failure, Result};
use crate::ours::Ours;
use crate::placement::Place;
use crate::socket::prepared;
use crate::wire::SIZE;
use draw_protocol::client::Connection;
use draw_protocol::{Color, Hello, Pixel, Request};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// Connections that are idle at the same time.
pub(crate) const CONNECTIONS: usize = 512;

/// Connections before the memory is looked at, so that what is needed once is there.
const FIRST: usize = 32;

/// Pixels that each draws, so that its buffers have been in use.
const PIXELS: usize = 1_000;

/// How long the server has to become idle, and how long nothing may change.
const TIMEOUT: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_millis(50);

/// Bytes of one connection, or why that is not known.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    /// By what the process has in memory. The client's end of a connection is a bare socket, which has nothing there.
    pub(crate) resident: Result<f64, String>,
    /// The bytes of its buffers, by the server's own count.
    pub(crate) accounted: Result<f64, String>,
}

impl Memory {
    pub(crate) fn measure(place: Place) -> Memory {
        let measured =
            descriptors::allow().and_then(|()| measure(place).map_err(|failure| failure.to_string()));
        measured.unwrap_or_else(|reason| Memory { resident: Err(reason.clone()), accounted: Err(reason) })
    }
}

fn measure(place: Place) -> Result<Memory> {
    let ours = Ours::start(place, SIZE)?;
    let mut idle = Vec::with_capacity(FIRST + CONNECTIONS);
    let mut connect = |count: usize| {
        for _ in 0..count {
            idle.push(used(&ours)?);
        }
        settle(&ours)
    };
    connect(FIRST)?;
    let before = (resident(), ours.display.stats());
    connect(CONNECTIONS)?;
    let after = (resident(), ours.display.stats());
    let open = after.1.connections - before.1.connections;
    if open != CONNECTIONS as u64 {
        return Err(Failure::new(format!("of {CONNECTIONS} connections {open} are open")));
    }
    let each = |bytes: u64| bytes as f64 / CONNECTIONS as f64;
    let resident = before.0.zip(after.0).map(|(before, after)| each(after.saturating_sub(before)));
    Ok(Memory {
        resident: resident.ok_or_else(|| "the system does not tell how much memory a process has".into()),
        accounted: Ok(each(after.1.buffered.saturating_sub(before.1.buffered))),
    })
}

/// A connection that has greeted, drawn and been answered.
fn used(ours: &Ours) -> Result<TcpStream> {
    let mut stream = prepared(TcpStream::connect(ours.address))?;
    let mut machine = Connection::new(&Hello::new("idle"));
    exchange(&mut stream, &mut machine, |machine| machine.welcome().is_some())?;
    let pixels: Vec<_> =
        (0..PIXELS).map(|i| Pixel::new(i as u16 % 640, i as u16 / 640, Color::RED)).collect();
    machine
        .call(&Request::DrawPixels { pixels: pixels[..].into() }, Instant::now())
        .context("draw_pixels")?;
    exchange(&mut stream, &mut machine, |machine| machine.in_flight() == 0)?;
    Ok(stream)
}

fn exchange(
    stream: &mut TcpStream,
    machine: &mut Connection,
    is_done: fn(&Connection) -> bool,
) -> Result<()> {
    let sent = machine.poll_transmit().to_vec();
    stream.write_all(&sent).context("writing to the display")?;
    machine.handle_transmitted(sent.len());
    let mut buffer = [0; 4096];
    while !is_done(machine) {
        let n = stream.read(&mut buffer).context("reading from the display")?;
        if n == 0 {
            return Err(Failure::new("the display closed a connection"));
        }
        let mut input = &buffer[..n];
        while machine.handle_input(&mut input, Instant::now()).context("reading from the display")?.is_some()
        {
        }
    }
    Ok(())
}

/// Until the server's buffers stay as they are.
fn settle(ours: &Ours) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    let mut last = None;
    while last != Some(ours.display.stats()) {
        if Instant::now() > deadline {
            return Err(Failure::new("the display does not become idle"));
        }
        last = Some(ours.display.stats());
        thread::sleep(QUIET);
    }
    Ok(())
}

/// Bytes of this process that are in memory.
fn resident() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}
