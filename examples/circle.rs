//! Draws the lecture's circle on a display, pixel by pixel with synchronous calls, with asynchronous calls, and in
//! batches, and prints what each costs.
//!
//! `cargo run --release --example circle` needs nothing else: if no display runs, it opens its own, in a window if
//! there is a screen.

use clap::{Parser, ValueEnum};
use display_server::arg_parsers::number;
use display_server::{Handle, Options, snapshot, with_display};
use draw_client::{Color, ConnectOptions, Pixel, Size, blocking};
use draw_examples::figures::{seconds, thousands};
use draw_examples::timeline::{Recorder, Run, Target, Timeline};
use draw_examples::{
    DelayLine, Interrupt, Interrupted, disc, finish, parse_duration, parse_output, progress, save,
    unreachable,
};
use std::error::Error;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Draws a filled circle over the network, by synchronous calls, asynchronous calls, and batches, and compares them.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Without --display it uses DRAW_DISPLAY, else a display on localhost:3729 if one is \
    running, else it opens one of its own in this process, in a window where there is a screen, and leaves the picture \
    in circle.png.\n\nStatus: 0 if the circle was drawn and checked, and its picture is saved; 1 if anything of that failed, \
    which standard error says; 128 and the number of the signal that stopped it, so 130 after Ctrl-C."
)]
struct Args {
    /// The display to draw on: host, host:port, [ipv6]:port, or a port alone (of this machine);
    /// /NAME behind it is the display of that name of a server that has several
    #[arg(long, value_name = "ADDR")]
    display: Option<String>,
    /// How to draw
    #[arg(long, value_enum, default_value_t = Mode::All)]
    mode: Mode,
    /// Put a network of this round-trip time between program and display: 50ms, 1.5s
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "0s", hide_default_value = true,
          allow_hyphen_values = true)]
    rtt: Duration,
    /// Pixels across
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = number::<u32>(1, 10_000),
          allow_negative_numbers = true)]
    diameter: u32,
    /// Colour: rrggbb, rrggbbaa, with or without #, or a name
    #[arg(long, default_value = "orange")]
    color: Color,
    /// Draw the messages of the run as arrows between client and server, to FILE.svg or FILE.html. They pass a relay
    /// in this process, which adds latency of its own to every call
    #[arg(long, value_name = "FILE")]
    timeline: Option<Target>,
    /// Where the picture goes that a display of our own leaves [default: circle.png]
    #[arg(long, value_name = "FILE.png", value_parser = parse_output, conflicts_with = "display")]
    output: Option<PathBuf>,
    /// Leave when the circle is drawn, also where it is shown in a window
    #[arg(long)]
    exit: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// One call per pixel, each waits for its answer
    Sync,
    /// One call per pixel, none waits
    Async,
    /// One call for all pixels
    Batch,
    /// One after the other, to compare
    All,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}").to_lowercase())
    }
}

impl Mode {
    /// Returns the calls of the library that it makes, in words.
    fn calls(self, pixels: &str) -> String {
        match self {
            Mode::Sync => format!("{pixels} draw_pixel"),
            Mode::Batch => format!("1 draw_pixels of {pixels} pixels"),
            Mode::Async | Mode::All => format!("{pixels} draw_pixel, then sync"),
        }
    }
}

/// The round trip of the comparison's last column.
const FAR: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    finish("circle", run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let interrupt = Interrupt::listen_and_end("circle")?;
    if let Some(timeline) = &args.timeline {
        timeline.check()?;
    }
    // Asked for by name: if it cannot be had, that is said before anything is drawn.
    if let Some(output) = &args.output {
        snapshot::check_writable(output)?;
    }
    let is_set = std::env::var_os(draw_client::DRAW_DISPLAY).is_some();
    let given = args.display.clone().or_else(|| is_set.then(draw_client::default_address));
    if let Some(address) = given {
        // Asked for by name: if it does not answer, or is none, that is an error.
        connecting(&interrupt, &address);
        blocking::Display::connect(&address).map_err(|error| unreachable(&address, error))?.close()?;
        return draw(args, &interrupt, &address, &format!("on {address}"));
    }
    let default = draw_client::default_address();
    connecting(&interrupt, &default);
    if let Ok(display) = blocking::Display::connect(&default) {
        display.close()?;
        return draw(args, &interrupt, &default, &format!("on the display at {default}"));
    }
    let side = args.diameter + 20;
    let size = Size { width: side.max(640), height: side.max(480) };
    let options = Options { size, or_any_port: true, ..Options::default() };
    with_display(options, |own| draw_on_own(args, &interrupt, own))?
}

fn connecting(interrupt: &Interrupt, address: &str) {
    let address = address.to_owned();
    interrupt.is_doing(move || format!("{address} did not answer as a display, and nothing was drawn"));
}

fn draw_on_own(args: &Args, interrupt: &Interrupt, own: &Handle) -> Result<()> {
    let address = own.address().to_string();
    let place = if own.has_window() { "in a window" } else { "with no window" };
    match draw(args, interrupt, &address, &format!("on {address}, a display of our own, {place}")) {
        Err(_) if own.is_closed() => return Err("the window was closed before the circle was drawn".into()),
        drawn => drawn?,
    }
    let output = args.output.as_deref().unwrap_or(Path::new("circle.png"));
    interrupt.is_doing(|| "the circle was drawn and checked, and its picture was not saved".into());
    let saved = save(own.display().framebuffer(), output, "the circle was drawn and checked");
    if saved.is_ok() {
        interrupt.is_closing();
        println!("the picture is in {}", output.display());
    }
    if own.has_window() && !args.exit {
        println!("close the window, or press Ctrl-C, to end");
        interrupt.closes(own);
        own.wait_closed();
    }
    Ok(saved?)
}

/// Draws in the modes asked for, compares what is shown with what was meant, and reports.
fn draw(args: &Args, interrupt: &Interrupt, address: &str, place: &str) -> Result<()> {
    let recorder = args.timeline.as_ref().map(|_| Recorder::new());
    let far = match (&recorder, args.rtt) {
        (Some(recorder), rtt) => Some(DelayLine::start_tapped(resolve(address)?, rtt, recorder.clone())?),
        (None, Duration::ZERO) => None,
        (None, rtt) => Some(DelayLine::start(resolve(address)?, rtt)?),
    };
    let name = address.split_once('/').map_or(String::new(), |(_, name)| format!("/{name}"));
    let far_address =
        far.as_ref().map_or_else(|| address.to_owned(), |line| format!("{}{name}", line.address()));
    connecting(interrupt, address);
    // Looks at the picture without the delay.
    let near = blocking::Display::connect(address)?;
    let circle = Circle::new(args, near.size())?;
    let work = Work { interrupt: interrupt.clone(), drawn: Arc::default() };

    let behind = if args.rtt.is_zero() { String::new() } else { format!(", {:?} away", args.rtt) };
    let relay = if recorder.is_some() { ", through a relay" } else { "" };
    let pixels = thousands(circle.pixels.len() as u64);
    println!("a circle of {pixels} pixels {place}{behind}{relay}");
    println!("mode     pixels  round trips        time    ratio   at a round trip of 50 ms");
    let modes = match args.mode {
        Mode::All => vec![Mode::Sync, Mode::Async, Mode::Batch],
        mode => vec![mode],
    };
    let mut first = None;
    let mut runs = Vec::new();
    for mode in modes {
        work.begins(mode, &circle);
        near.fill_rect(circle.corner.0, circle.corner.1, circle.side, circle.side, Color::BLACK)?;
        if let Some(recorder) = &recorder {
            recorder.begin(mode == Mode::Async);
        }
        let done = work.measure(mode, &circle, &far_address)?;
        if let Some(recorder) = &recorder {
            let Done { began, time, waits } = done;
            let calls = mode.calls(&pixels);
            runs.push(Run { name: mode.to_string(), calls, waits, time, recorded: recorder.take(began) });
        }
        let slowest = *first.get_or_insert(done.time);
        println!(
            "{mode:<5} {pixels:>9} {:>12} {:>11} {:>8}   {}",
            thousands(done.waits),
            seconds(done.time),
            format!("{:.1}", slowest.as_secs_f64() / done.time.as_secs_f64()),
            seconds(done.at(FAR, args.rtt)),
        );
        circle.check(&near, mode)?;
    }
    if args.mode == Mode::All {
        println!("the three pictures are the same, pixel for pixel");
    }
    if let Some(target) = &args.timeline {
        let title = format!("A circle of {pixels} pixels, message by message");
        target.write(&Timeline { title, place: format!("Drawn {place}{behind}."), rtt: args.rtt, runs })?;
        println!("the timeline is in {}", target.path().display());
    }
    Ok(())
}

fn resolve(address: &str) -> Result<SocketAddr> {
    let (address, _) = address.split_once('/').unwrap_or((address, ""));
    let with_port = if address.contains("]:") || (!address.contains(']') && address.contains(':')) {
        address.to_owned()
    } else {
        format!("{address}:{}", draw_client::PORT)
    };
    // A name may stand for several addresses; the one that answers is the display's.
    let mut found = with_port.to_socket_addrs()?;
    let answering =
        found.find(|one| std::net::TcpStream::connect_timeout(one, Duration::from_secs(5)).is_ok());
    answering.ok_or_else(|| format!("nothing answers at {with_port}").into())
}

/// The drawing, and where it is.
struct Circle {
    pixels: Vec<Pixel>,
    corner: (i32, i32),
    side: u32,
    /// The box around it as bytes R, G, B, A.
    picture: Vec<u8>,
}

impl Circle {
    fn new(args: &Args, size: Size) -> Result<Circle> {
        let side = args.diameter;
        if side > size.width.min(size.height) {
            return Err(format!(
                "a circle {side} pixels across does not fit a display of {size}: name a smaller --diameter"
            )
            .into());
        }
        let center = ((size.width / 2) as i32, (size.height / 2) as i32);
        let corner = (center.0 - (side / 2) as i32, center.1 - (side / 2) as i32);
        let mut picture: Vec<u8> = Color::BLACK.to_bytes().repeat((side * side) as usize);
        let mut pixels = Vec::new();
        for (x, y) in disc(side, center) {
            let at = ((y - corner.1) as usize * side as usize + (x - corner.0) as usize) * 4;
            picture[at..at + 4].copy_from_slice(&args.color.to_bytes());
            pixels.push(Pixel::at(x, y, args.color));
        }
        Ok(Circle { pixels, corner, side, picture })
    }

    fn check(&self, near: &blocking::Display, mode: Mode) -> Result<()> {
        let shown = near.get_image(self.corner.0, self.corner.1, self.side, self.side)?;
        if shown == self.picture {
            return Ok(());
        }
        let wrong = shown.chunks(4).zip(self.picture.chunks(4)).filter(|(a, b)| a != b).count();
        Err(format!("{mode}: {wrong} pixels differ from what was drawn; does another client draw there?")
            .into())
    }
}

/// The cost of one mode.
struct Done {
    began: Instant,
    time: Duration,
    waits: u64,
}

impl Done {
    /// Returns the time at a round trip of `far`, from the one measured at `near`.
    fn at(&self, far: Duration, near: Duration) -> Duration {
        let waits = u32::try_from(self.waits).unwrap_or(u32::MAX);
        self.time.saturating_sub(near.saturating_mul(waits)) + far.saturating_mul(waits)
    }
}

struct Work {
    interrupt: Interrupt,
    /// For the progress bar.
    drawn: Arc<AtomicU64>,
}

impl Work {
    /// From now on a signal prints the progress of this mode.
    fn begins(&self, mode: Mode, circle: &Circle) {
        let (drawn, all) = (Arc::clone(&self.drawn), circle.pixels.len() as u64);
        drawn.store(0, Relaxed);
        self.interrupt.is_doing(move || how_far(mode, drawn.load(Relaxed), all));
    }

    fn stopped(&self, mode: Mode, circle: &Circle) -> std::result::Result<(), Interrupted> {
        self.interrupt.check(|| how_far(mode, self.drawn.load(Relaxed), circle.pixels.len() as u64))
    }

    fn measure(&self, mode: Mode, circle: &Circle, address: &str) -> Result<Done> {
        let bar =
            progress::Bar::start(&mode.to_string(), circle.pixels.len() as u64, Arc::clone(&self.drawn));
        let done = match mode {
            Mode::Sync => self.synchronous(circle, address),
            Mode::Batch => self.batch(circle, address),
            Mode::Async | Mode::All => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(self.asynchronous(circle, address))
            }
        };
        drop(bar);
        done
    }

    /// Draws as the lecture's first program: every call waits for its answer.
    fn synchronous(&self, circle: &Circle, address: &str) -> Result<Done> {
        let display = blocking::Display::connect(address)?;
        let began = Instant::now();
        for pixel in &circle.pixels {
            display.draw_pixel(pixel.x.into(), pixel.y.into(), pixel.color)?;
            self.drawn.fetch_add(1, Relaxed);
            self.stopped(Mode::Sync, circle)?;
        }
        Ok(Done { began, time: began.elapsed(), waits: display.stats().waits })
    }

    /// Draws with the general remedy: no call waits, and errors go to a callback.
    async fn asynchronous(&self, circle: &Circle, address: &str) -> Result<Done> {
        let display =
            ConnectOptions::new().on_error(|late| eprintln!("circle: {late}")).connect(address).await?;
        let began = Instant::now();
        let drawing = async {
            for pixel in &circle.pixels {
                display.draw_pixel(pixel.x.into(), pixel.y.into(), pixel.color).await?;
                self.drawn.fetch_add(1, Relaxed);
            }
            display.sync().await
        };
        tokio::select! {
            drawn = drawing => drawn?,
            stopped = self.wait_for_stop(circle) => return Err(stopped.into()),
        }
        let done = Done { began, time: began.elapsed(), waits: display.stats().waits };
        display.close().await?;
        Ok(done)
    }

    /// Draws with the specific remedy: one call draws all pixels.
    fn batch(&self, circle: &Circle, address: &str) -> Result<Done> {
        let display = blocking::Display::connect(address)?;
        let began = Instant::now();
        display.draw_pixels(&circle.pixels)?;
        self.drawn.store(circle.pixels.len() as u64, Relaxed);
        self.stopped(Mode::Batch, circle)?;
        Ok(Done { began, time: began.elapsed(), waits: display.stats().waits })
    }

    async fn wait_for_stop(&self, circle: &Circle) -> Interrupted {
        loop {
            if let Err(stopped) = self.stopped(Mode::Async, circle) {
                return stopped;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Returns what is certain of a circle that is not complete.
fn how_far(mode: Mode, drawn: u64, all: u64) -> String {
    let (drawn, all) = (thousands(drawn), thousands(all));
    match mode {
        Mode::Async => {
            format!("{drawn} of {all} draw_pixel were called, and no answer says how many of them are drawn")
        }
        _ => format!("{drawn} of {all} pixels are drawn for certain ({mode})"),
    }
}
