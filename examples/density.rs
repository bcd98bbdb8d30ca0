//! Counts where a strange attractor passes, with several clients at once: `density [--display ADDR] [--clients N]
//! [--points N]`. The digest of the display proves that no count is lost between them. Without a display it opens its
//! own, and writes density.png.

use clap::Parser;
use display_server::arg_parsers::number;
use display_server::{Options, Present, with_display};
use draw_client::blocking::{Display, Pipeline};
use draw_client::{Color, Pixel, Size, digest_of_image};
use draw_examples::{Interrupt, finish, parse_output, save, unreachable};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Columns and rows of the picture, unless the display is smaller.
const SIDE: u32 = 600;
/// The summand of one count: the lowest byte is alpha, which stays 255, so the counting is visible.
const ONE: u32 = 1 << 8;
/// The largest count above alpha.
const MOST: u64 = (1 << 24) - 1;
/// Number of points that a client sends at a time.
const BATCH: usize = 1000;

/// Counts where a strange attractor passes, by several clients at once.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The display to count on: host, host:port, [ipv6]:port, or a port alone (of this machine) [default: one of our own, 600x600]
    #[arg(long, value_name = "ADDR")]
    display: Option<String>,
    /// How many clients count at once; every second sends each point by itself, the others 1,000 at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = number::<usize>(1, 64), allow_negative_numbers = true)]
    clients: usize,
    /// How many points they count together
    #[arg(long, value_name = "N", default_value_t = 2_000_000, value_parser = number::<u64>(1, MOST), allow_negative_numbers = true)]
    points: u64,
    /// File for the picture, if the program opens its own display
    #[arg(long, value_name = "FILE.png", default_value = "density.png", value_parser = parse_output,
          conflicts_with = "display")]
    output: PathBuf,
}

fn main() -> ExitCode {
    finish("density", run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let interrupt = Interrupt::listen_and_end("density")?;
    if let Some(address) = &args.display {
        return draw(args, address, &interrupt);
    }
    let size = Size { width: SIDE, height: SIDE };
    let options =
        Options { size, listen: "127.0.0.1:0".into(), present: Present::None, ..Options::default() };
    with_display(options, |own| {
        draw(args, &own.address().to_string(), &interrupt)?;
        interrupt.is_doing(|| "every point was counted, and the picture was not saved".into());
        save(own.display().framebuffer(), &args.output, "every point was counted")?;
        println!("the picture is in {}", args.output.display());
        Ok(())
    })?
}

fn draw(args: &Args, address: &str, interrupt: &Interrupt) -> Result<()> {
    let to = address.to_owned();
    interrupt.is_doing(move || format!("{to} did not answer as a display, and nothing was counted"));
    let display = Display::connect(address).map_err(|error| unreachable(address, error))?;
    let Size { width, height } = display.size();
    let side = width.min(height).min(SIDE);
    display.fill_rect(0, 0, side, side, Color::BLACK)?;
    let began = Instant::now();
    let (to, points) = (address.to_owned(), args.points);
    interrupt.is_doing(move || format!("{to} had not answered that all of the {points} points are counted"));
    let counts = count(args, address, side)?;
    let s = |n: u64| if n == 1 { "" } else { "s" };
    let (clients, points) = (args.clients as u64, args.points);
    println!("{clients} client{} counted {points} point{} in {:.1?}", s(clients), s(points), began.elapsed());

    // Each client knows what it added. If the display has the sum everywhere, no client disturbed another.
    let sums: Vec<u8> = counts.iter().flat_map(|n| (Color::BLACK.to_u32() + n * ONE).to_be_bytes()).collect();
    let digest = display.get_digest(0, 0, side, side)?;
    if digest != digest_of_image(&sums) {
        return Err(
            "the counts on the display differ from what was added; does another client draw there?".into()
        );
    }
    println!("the display has every one of them: its digest is the one of our copy, {digest}");
    let image = display.get_image(0, 0, side, side)?;
    let numbers = image.as_chunks().0.iter().map(|&color| u32::from_be_bytes(color));
    let counted: u64 = numbers.map(|number| u64::from(number / ONE)).sum();
    assert_eq!(counted, args.points, "what the digest says of all, counted one by one");

    let picture = picture(&counts);
    display.put_image(0, 0, side, side, &picture)?;
    if display.get_digest(0, 0, side, side)? != digest_of_image(&picture) {
        return Err("the display shows another picture; does another client draw there?".into());
    }
    display.close()?;
    Ok(())
}

/// Runs all clients. Returns how often each pixel was hit, rows from the top.
fn count(args: &Args, address: &str, side: u32) -> Result<Vec<u32>> {
    let clients = args.clients as u64;
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..clients)
            .map(|i| {
                let points = args.points / clients + u64::from(i < args.points % clients);
                scope.spawn(move || client(i, points, address, side))
            })
            .collect();
        let mut counts = vec![0; (side * side) as usize];
        for client in started {
            let own = client.join().expect("a client panics only if this program is wrong")?;
            counts.iter_mut().zip(own).for_each(|(sum, n)| *sum += n);
        }
        Ok(counts)
    })
}

/// Adds `points` to the display without waiting, and counts them locally too.
fn client(index: u64, points: u64, address: &str, side: u32) -> Result<Vec<u32>> {
    let display = Pipeline::connect(address)?;
    let mut counts = vec![0; (side * side) as usize];
    let mut batch = Vec::with_capacity(BATCH);
    // Two paths with different starting points never meet, and soon pass the same places equally often.
    let mut point = (0.1 + index as f64 * 0.01, 0.1);
    for _ in 0..points {
        point = step(point);
        let (x, y) = place(point, side);
        counts[usize::from(y) * side as usize + usize::from(x)] += 1;
        if index % 2 == 1 {
            display.add_pixel(x.into(), y.into(), ONE)?;
            continue;
        }
        batch.push(Pixel::adding(x, y, ONE));
        if batch.len() == BATCH {
            display.add_pixels(&batch)?;
            batch.clear();
        }
    }
    display.add_pixels(&batch)?;
    // Returns when everything has been added, or with the error of what failed.
    display.close()?;
    Ok(counts)
}

/// Returns the next point of one of Clifford Pickover's attractors: it stays within 2 of the centre.
fn step((x, y): (f64, f64)) -> (f64, f64) {
    const A: f64 = -1.4;
    const B: f64 = 1.6;
    const C: f64 = 1.0;
    const D: f64 = 0.7;
    ((A * y).sin() + C * (A * x).cos(), (B * x).sin() + D * (B * y).cos())
}

/// Returns the pixel of a point.
fn place((x, y): (f64, f64), side: u32) -> (u16, u16) {
    // The edge at 2 belongs to the last pixel.
    let pixel = |n: f64| (((n + 2.0) / 4.0 * f64::from(side)) as u32).min(side - 1) as u16;
    (pixel(x), pixel(y))
}

/// Returns the counts as colours, from black through red to white, by their logarithm: a few places are hit a thousand
/// times as often as most.
fn picture(counts: &[u32]) -> Vec<u8> {
    let most = counts.iter().max().map_or(1.0, |&n| f64::from(n).ln_1p());
    let color = |n: u32| {
        let light = f64::from(n).ln_1p() / most;
        let channel = |power: f64| (255.0 * light.powf(power)) as u8;
        [channel(0.8), channel(1.6), channel(3.0), 255]
    };
    counts.iter().flat_map(|&n| color(n)).collect()
}
