//! Draws the lecture's circle on a display, pixel by pixel with synchronous calls, with asynchronous calls, and in
//! batches, and prints the cost of each.
//!
//! `cargo run --release --example circle` needs nothing else: if no display runs, it opens its own, in a window if
//! there is a screen.

use clap::{Parser, ValueEnum};
use display_server::arg_parsers::number;
use display_server::snapshot;
use draw_client::{Color, ConnectOptions, Pixel, Size, blocking};
use draw_examples::comparison::{Cost, Table};
use draw_examples::figures::thousands;
use draw_examples::place::Place;
use draw_examples::route::Route;
use draw_examples::timeline::{Run, Target, Timeline};
use draw_examples::{Interrupt, Interrupted, disc, finish, parse_duration, parse_output, progress};
use std::error::Error;
use std::fmt;
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
    in circle.png.\n\nExit status: 0 if the circle was drawn, checked and saved; 1 after an error, which standard error \
    names; 128 plus the signal's number after a signal (130 after Ctrl-C)."
)]
struct Args {
    /// The display to draw on: host, host:port, [ipv6]:port, or a port alone (of this machine);
    /// append /NAME to select one of several displays of a server
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
    /// File for the picture, if the program opens its own display [default: circle.png]
    #[arg(long, value_name = "FILE.png", value_parser = parse_output, conflicts_with = "display")]
    output: Option<PathBuf>,
    /// Exit when the circle is drawn, even if a window shows it
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
    /// Describes the library calls that the mode makes.
    fn calls(self, pixels: &str) -> String {
        match self {
            Mode::Sync => format!("{pixels} draw_pixel"),
            Mode::Batch => format!("1 draw_pixels of {pixels} pixels"),
            Mode::Async | Mode::All => format!("{pixels} draw_pixel, then sync"),
        }
    }
}

fn main() -> ExitCode {
    finish("circle", run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let interrupt = Interrupt::listen_and_end("circle")?;
    if let Some(timeline) = &args.timeline {
        timeline.check()?;
    }
    // The file was named explicitly: if it cannot be written, that is an error before anything is drawn.
    if let Some(output) = &args.output {
        snapshot::check_writable(output)?;
    }
    let side = args.diameter + 20;
    let place = Place {
        display: args.display.as_deref(),
        size: Size { width: side.max(640), height: side.max(480) },
        output: args.output.as_deref().unwrap_or(Path::new("circle.png")),
        exit: args.exit,
        done: "the circle was drawn",
        undone: "nothing was drawn",
    };
    place.draw(&interrupt, |address, whose| {
        place.connecting(&interrupt, address);
        draw(args, &interrupt, address, whose)
    })
}

/// Draws in the requested modes, compares the display's picture with the expected one, and reports.
fn draw(args: &Args, interrupt: &Interrupt, address: &str, place: &str) -> Result<()> {
    let route = Route::new(address, args.rtt, args.timeline.is_some())?;
    // Reads the picture without the delay.
    let near = blocking::Display::connect(address)?;
    let circle = Circle::new(args, near.size())?;
    let work = Work { interrupt: interrupt.clone(), drawn: Arc::default() };

    let behind = if args.rtt.is_zero() { String::new() } else { format!(", {:?} away", args.rtt) };
    let relay = if args.timeline.is_some() { ", through a relay" } else { "" };
    let pixels = thousands(circle.pixels.len() as u64);
    println!("a circle of {pixels} pixels {place}{behind}{relay}");
    let mut table = Table::begin(circle.pixels.len() as u64, args.rtt);
    let modes = match args.mode {
        Mode::All => vec![Mode::Sync, Mode::Async, Mode::Batch],
        mode => vec![mode],
    };
    let mut runs = Vec::new();
    for mode in modes {
        work.begins(mode, &circle);
        near.fill_rect(circle.corner.0, circle.corner.1, circle.side, circle.side, Color::BLACK)?;
        if let Some(recorder) = route.recorder() {
            recorder.begin(mode == Mode::Async);
        }
        let cost = work.measure(mode, &circle, route.address())?;
        if let Some(recorder) = route.recorder() {
            let Cost { began, time, waits } = cost;
            let calls = mode.calls(&pixels);
            runs.push(Run { name: mode.to_string(), calls, waits, time, recorded: recorder.take(began) });
        }
        table.row(&mode.to_string(), &cost);
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

/// The drawing and its position.
struct Circle {
    pixels: Vec<Pixel>,
    corner: (i32, i32),
    side: u32,
    /// The bounding box as bytes R, G, B, A.
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

struct Work {
    interrupt: Interrupt,
    /// For the progress bar.
    drawn: Arc<AtomicU64>,
}

impl Work {
    /// Makes a signal print the progress of this mode from now on.
    fn begins(&self, mode: Mode, circle: &Circle) {
        let (drawn, all) = (Arc::clone(&self.drawn), circle.pixels.len() as u64);
        drawn.store(0, Relaxed);
        self.interrupt.is_doing(move || how_far(mode, drawn.load(Relaxed), all));
    }

    fn stopped(&self, mode: Mode, circle: &Circle) -> std::result::Result<(), Interrupted> {
        self.interrupt.check(|| how_far(mode, self.drawn.load(Relaxed), circle.pixels.len() as u64))
    }

    fn measure(&self, mode: Mode, circle: &Circle, address: &str) -> Result<Cost> {
        let bar =
            progress::Bar::start(&mode.to_string(), circle.pixels.len() as u64, Arc::clone(&self.drawn));
        let cost = match mode {
            Mode::Sync => self.synchronous(circle, address),
            Mode::Batch => self.batch(circle, address),
            Mode::Async | Mode::All => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(self.asynchronous(circle, address))
            }
        };
        drop(bar);
        cost
    }

    /// Draws as the lecture's first program: every call waits for its answer.
    fn synchronous(&self, circle: &Circle, address: &str) -> Result<Cost> {
        let display = blocking::Display::connect(address)?;
        let began = Instant::now();
        for pixel in &circle.pixels {
            display.draw_pixel(pixel.x.into(), pixel.y.into(), pixel.color)?;
            self.drawn.fetch_add(1, Relaxed);
            self.stopped(Mode::Sync, circle)?;
        }
        Ok(Cost::since(began, display.stats().waits))
    }

    /// Draws with the general remedy: no call waits, and errors go to a callback.
    async fn asynchronous(&self, circle: &Circle, address: &str) -> Result<Cost> {
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
        let cost = Cost::since(began, display.stats().waits);
        display.close().await?;
        Ok(cost)
    }

    /// Draws with the specific remedy: one call draws all pixels.
    fn batch(&self, circle: &Circle, address: &str) -> Result<Cost> {
        let display = blocking::Display::connect(address)?;
        let began = Instant::now();
        display.draw_pixels(&circle.pixels)?;
        self.drawn.store(circle.pixels.len() as u64, Relaxed);
        self.stopped(Mode::Batch, circle)?;
        Ok(Cost::since(began, display.stats().waits))
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

/// Describes the certain part of an incomplete circle.
fn how_far(mode: Mode, drawn: u64, all: u64) -> String {
    let (drawn, all) = (thousands(drawn), thousands(all));
    match mode {
        Mode::Async => {
            format!("{drawn} of {all} draw_pixel were called, and no answer says how many of them are drawn")
        }
        _ => format!("{drawn} of {all} pixels are drawn for certain ({mode})"),
    }
}
