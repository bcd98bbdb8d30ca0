//! breakwater, a Pixelflut server, with its binary command PB: ten bytes per pixel, without answers.

use super::{Program, opaque};
use crate::drawings::BATCH;
use crate::failure::{Context, Failure, Result};
use crate::measure::{Ends, Load, Unit, Wire};
use crate::ours::Drawn;
use crate::placement::Place;
use crate::row::Row;
use crate::socket::{BLOCK, TIMEOUT, prepared};
use crate::threads::{self, Side};
use crate::wire::SIZE;
use draw_client::{Color, Pixel};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

/// The environment variable that names its program, if that is not in PATH.
const VARIABLE: &str = "BREAKWATER";

/// Size of a command in bytes.
const COMMAND: usize = 10;

/// Number of pixels that are checked after each section, and how many of them may be missing: commands that arrive in
/// two parts sometimes get lost.
const SAMPLES: usize = 100;
const MAY_MISS: usize = 5;

/// The running server.
pub(crate) struct Breakwater {
    program: Program,
    address: SocketAddr,
}

impl Breakwater {
    pub(super) fn start(place: Place) -> Result<Breakwater, String> {
        let program = std::env::var_os(VARIABLE).unwrap_or_else(|| OsString::from("breakwater"));
        let known = Command::new(&program).arg("--version").stdin(Stdio::null()).output();
        if known.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return Err(format!("breakwater is not in PATH, and {VARIABLE} names no program"));
        }
        start(place, &program).map_err(|failure| failure.to_string())
    }

    pub(super) fn batches(
        &self,
        name: &str,
        pixels: &Rc<[Pixel]>,
        passes: usize,
        connections: usize,
    ) -> Result<Row> {
        let pixels = Rc::clone(pixels);
        let mut clients =
            (0..connections).map(|_| Client::connect(self.address)).collect::<Result<Vec<_>>>()?;
        let ends = Ends {
            near: Side::of_threads(threads::current()),
            far: Side::of_process(self.program.0.id() as threads::Id),
            wire: Wire::Each(COMMAND as f64),
        };
        // The same number of calls as in the other rows.
        let load = Load { calls: passes * pixels.len() / BATCH, pixels: passes * pixels.len() };
        Ok(Row::new(name, Unit::Pixels, load, ends, move |watch, salt| {
            let pixels = opaque(&pixels, salt);
            let commands: Vec<_> = pixels.iter().flat_map(command).collect();
            let share = commands.len() / COMMAND / connections * COMMAND;
            for client in &mut clients {
                client.wait()?;
            }
            watch.whole(|| {
                for _ in 0..passes {
                    // The connections take turns, block by block.
                    for at in (0..share).step_by(BLOCK / COMMAND * COMMAND) {
                        let end = share.min(at + BLOCK / COMMAND * COMMAND);
                        for (i, client) in clients.iter_mut().enumerate() {
                            client.send(&commands[i * share..][at..end])?;
                        }
                    }
                }
                clients.iter_mut().try_for_each(Client::wait)
            })?;
            check(&mut clients[0], &pixels[..share / COMMAND * connections])
        }))
    }
}

/// Checks that most of a sample of the pixels are shown.
fn check(client: &mut Client, pixels: &[Pixel]) -> Result<()> {
    let (drawn, mut missed) = (Drawn::new(pixels), 0);
    for &Pixel { x, y, .. } in pixels.iter().step_by((pixels.len() / SAMPLES).max(1)) {
        let is_there = client.color(x, y)?.is_some_and(|shown| drawn.has(x, y, shown));
        missed += usize::from(!is_there);
    }
    if missed <= MAY_MISS {
        return Ok(());
    }
    Err(Failure::new(format!("breakwater lacks {missed} of {SAMPLES} pixels that were looked for")))
}

fn start(place: Place, program: &OsString) -> Result<Breakwater> {
    // Another process is unlikely to take the port before breakwater does.
    let listener = TcpListener::bind("127.0.0.1:0").context("looking for a free port")?;
    let address = listener.local_addr().context("looking for a free port")?;
    drop(listener);
    let mut command = Command::new(program);
    command.args(["--listener-address", &address.to_string(), "--disable-statistics-save-file"]);
    command.args(["--width", &SIZE.width.to_string(), "--height", &SIZE.height.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let program = Program::start(place, &mut command)?;
    let deadline = Instant::now() + TIMEOUT;
    while let Err(error) = TcpStream::connect(address) {
        if Instant::now() > deadline {
            return Err(Failure::new(format!("breakwater does not listen: {error}")));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(Breakwater { program, address })
}

struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn connect(address: SocketAddr) -> Result<Client> {
        Ok(Client { stream: BufReader::new(prepared(TcpStream::connect(address))?) })
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.get_mut().write_all(bytes).context("writing to breakwater")
    }

    /// Waits for an answer: everything before it has been executed.
    fn wait(&mut self) -> Result<()> {
        self.color(0, 0).map(drop)
    }

    fn color(&mut self, x: u16, y: u16) -> Result<Option<Color>> {
        self.send(format!("PX {x} {y}\n").as_bytes())?;
        let mut answer = String::new();
        self.stream.read_line(&mut answer).context("reading from breakwater")?;
        let color = answer.trim().rsplit(' ').next().and_then(|color| u32::from_str_radix(color, 16).ok());
        Ok(color.map(|rgb| Color::from_u32(rgb << 8 | 0xff)))
    }
}

fn command(pixel: &Pixel) -> [u8; COMMAND] {
    let ([x0, x1], [y0, y1]) = (pixel.x.to_le_bytes(), pixel.y.to_le_bytes());
    let [r, g, b, _] = pixel.color.to_bytes();
    [b'P', b'B', x0, x1, y0, y1, r, g, b, 0]
}
