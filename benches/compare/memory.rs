//! The memory of a server's connection that has drawn and is now idle. It is measured before anything else, since a
//! process returns little of its memory to the system.

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

/// Number of connections opened before the first measurement, so that one-time allocations are already made.
const FIRST: usize = 32;

/// Number of pixels that each connection draws, so that its buffers have been used.
const PIXELS: usize = 1_000;

/// The time that the server has to become idle, and the time during which nothing may change.
const TIMEOUT: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_millis(50);

/// Bytes of one connection, or the reason why they are unknown.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    /// Resident memory of the process. The client's end of a connection is a bare socket, which takes none.
    pub(crate) resident: Result<f64, String>,
    /// Bytes of the connection's buffers, as the server counts them.
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

/// Returns a connection that has exchanged greetings, drawn and been answered.
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

/// Waits until the server's buffers no longer change.
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

/// Returns the resident memory of this process in bytes.
fn resident() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}
