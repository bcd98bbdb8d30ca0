//! Draws a circle three times at the same time over a distant network: by synchronous calls, by asynchronous calls, and
//! in one batch. Observes the display, and writes an animated picture: `race [--rtt 50ms] [--output race.svg]`.

use clap::Parser;
use display_server::arg_parsers::number;
use display_server::output::{self, Patience};
use display_server::{Framebuffer, Handle, Options, with_display};
use draw_client::{Color, Pixel, Size, blocking};
use draw_examples::animation::{Animation, Run};
use draw_examples::comparison::{Cost, Table};
use draw_examples::figures::{seconds, thousands};
use draw_examples::{DelayLine, Interrupt, disc, finish, parse_duration, parse_output};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const ORANGE: Color = Color::rgb(255, 165, 0);
/// The margin around each circle.
const MARGIN: u32 = 1;
/// The time between two observations of the display. A round trip of 50 ms takes ten.
const LOOK: Duration = Duration::from_millis(5);

/// Draws a circle three times at once over a distant network, and records what the display shows.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Round-trip time of the network between program and display: 50ms, 1.5s
    #[arg(long, value_name = "TIME", default_value = "50ms", value_parser = parse_duration, allow_hyphen_values = true)]
    rtt: Duration,
    /// Pixels across
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = number::<u32>(1, 64), allow_negative_numbers = true)]
    diameter: u32,
    /// Where the animated picture goes
    #[arg(long, value_name = "FILE.svg", default_value = "race.svg", value_parser = parse_output)]
    output: PathBuf,
}

fn main() -> ExitCode {
    finish("race", run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let interrupt = Interrupt::listen_and_end("race")?;
    output::check(&args.output).map_err(|error| unwritten(args, &error))?;
    let side = args.diameter + 2 * MARGIN;
    let size = Size { width: 3 * side, height: side };
    let options = Options { size, listen: "127.0.0.1:0".into(), ..Options::default() };
    interrupt.is_doing(|| "not all circles were drawn, and no picture was saved".into());
    let animation = with_display(options, |own| race(args, own, side))??;
    output::write(&args.output, Patience::default(), |out| out.write_all(animation.svg().as_bytes()))
        .map_err(|error| unwritten(args, &error))?;
    println!("the animated picture is in {}", args.output.display());
    Ok(())
}

fn unwritten(args: &Args, error: &std::io::Error) -> String {
    format!("cannot write {} ({error}): {}", args.output.display(), output::hint(error))
}

/// Returns the circle at the place of the `n`th run.
fn circle(args: &Args, side: u32, n: u32) -> Vec<Pixel> {
    let center = ((n * side + side / 2) as i32, (side / 2) as i32);
    disc(args.diameter, center).map(|(x, y)| Pixel::at(x, y, ORANGE)).collect()
}

/// Draws the three circles at the same time. Returns when each pixel appeared on the display.
fn race(args: &Args, own: &Handle, side: u32) -> Result<Animation> {
    let far = DelayLine::start(own.address(), args.rtt)?;
    let address = far.address().to_string();
    let circles = [0, 1, 2].map(|n| circle(args, side, n));
    // All connect before the first begins.
    let waiting = blocking::Display::connect(&address)?;
    let pipeline = blocking::Pipeline::connect(&address)?;
    let batch = blocking::Display::connect(&address)?;
    let began = Instant::now();
    let mut shown = circles.each_ref().map(|_| Vec::new());
    let [one, two, three] = &circles;
    let costs = std::thread::scope(|scope| {
        let runs = [
            scope.spawn(move || synchronous(&waiting, one, began)),
            scope.spawn(move || asynchronous(&pipeline, two, began)),
            scope.spawn(move || in_one_batch(&batch, three, began)),
        ];
        loop {
            let is_over = runs.iter().all(|run| run.is_finished());
            // Observes once more after the end, so that nothing is missed.
            for (circle, shown) in circles.iter().zip(&mut shown) {
                look(own.display().framebuffer(), circle, shown, began);
            }
            if is_over {
                break runs.map(|run| run.join().expect("a run returns its errors"));
            }
            std::thread::sleep(LOOK);
        }
    });
    let pixels = circles[0].len() as u64;
    println!("three circles of {} pixels at once, {:?} away", thousands(pixels), args.rtt);
    let mut table = Table::begin(pixels, args.rtt);
    let mut runs = Vec::new();
    let names = [
        ("sync", format!("{pixels} × draw_pixel; each waits")),
        ("async", format!("{pixels} × draw_pixel; none waits")),
        ("batch", format!("1 × draw_pixels with {pixels} pixels")),
    ];
    for (n, ((name, calls), (cost, shown))) in (0..).zip(names.into_iter().zip(costs.into_iter().zip(shown)))
    {
        let cost = cost?;
        table.row(name, &cost);
        if shown.len() as u64 != pixels {
            return Err(format!("{name}: the display shows {} of {pixels} pixels", shown.len()).into());
        }
        let trips = if cost.waits == 1 { "round trip" } else { "round trips" };
        let result = format!("{}, {} {trips}", seconds(cost.time), thousands(cost.waits));
        let pixels = shown.into_iter().map(|(x, y, at)| (x - n * side, y, at)).collect();
        runs.push(Run { name: name.into(), calls, result, time: cost.time, pixels });
    }
    let note = format!(
        "The same circle of {pixels} pixels over a network with a round trip of {}, in real time.",
        seconds(args.rtt)
    );
    let title = format!("{note} {}", list(&runs));
    Ok(Animation { title, note, side, color: ORANGE, runs })
}

fn list(runs: &[Run]) -> String {
    runs.iter().map(|run| format!("{}: {}.", run.name, run.result)).collect::<Vec<_>>().join(" ")
}

/// Records the pixels that have appeared on the display since the last call.
fn look(framebuffer: &Framebuffer, circle: &[Pixel], shown: &mut Vec<(u32, u32, Duration)>, began: Instant) {
    let at = began.elapsed();
    let places = circle.iter().map(|pixel| (u32::from(pixel.x), u32::from(pixel.y)));
    for (x, y) in places {
        let has = framebuffer.get_pixel(x as i32, y as i32) == Some(ORANGE);
        if has && !shown.iter().any(|&(a, b, _)| (a, b) == (x, y)) {
            shown.push((x, y, at));
        }
    }
}

fn synchronous(display: &blocking::Display, circle: &[Pixel], began: Instant) -> Result<Cost> {
    for pixel in circle {
        display.draw_pixel(pixel.x.into(), pixel.y.into(), pixel.color)?;
    }
    Ok(Cost::since(began, display.stats().waits))
}

fn asynchronous(display: &blocking::Pipeline, circle: &[Pixel], began: Instant) -> Result<Cost> {
    for pixel in circle {
        display.draw_pixel(pixel.x.into(), pixel.y.into(), pixel.color)?;
    }
    display.sync()?;
    Ok(Cost::since(began, display.stats().waits))
}

fn in_one_batch(display: &blocking::Display, circle: &[Pixel], began: Instant) -> Result<Cost> {
    display.draw_pixels(circle)?;
    Ok(Cost::since(began, display.stats().waits))
}
