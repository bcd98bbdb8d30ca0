//! Paints where the pointer is: `mouse [--display ADDR]`. Without a display it opens its own, and paints until its
//! window is closed or Ctrl-C. Without a screen it moves the pointer itself, along a circle, and checks the result.

use clap::Parser;
use display_server::{Handle, Options, Position, with_display};
use draw_client::{Color, Pixel, Size, blocking::Display};
use draw_examples::{Interrupt, disc, finish, unreachable};
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Pixels across the brush.
const BRUSH: u32 = 7;
/// The time between two `get_mouse`: shorter than a frame of a monitor.
const PAUSE: Duration = Duration::from_millis(8);

/// Paints where the pointer is.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The display to paint on: host, host:port, [ipv6]:port, or a port alone (of this machine) [default: one of our own]
    #[arg(long, value_name = "ADDR")]
    display: Option<String>,
    /// Colour: rrggbb, rrggbbaa, with or without #, or a name
    #[arg(long, default_value = "orange")]
    color: Color,
}

fn main() -> ExitCode {
    finish("mouse", run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let interrupt = Interrupt::listen_and_end("mouse")?;
    if let Some(address) = &args.display {
        let mut painter = Painter::new(address, args.color, &interrupt)?;
        println!("painting where the pointer is, until Ctrl-C");
        return painter.follow(&interrupt);
    }
    let options = Options { listen: "127.0.0.1:0".into(), ..Options::default() };
    with_display(options, |own| {
        let mut painter = Painter::new(&own.address().to_string(), args.color, &interrupt)?;
        if !own.has_window() {
            return move_it_ourselves(own, &mut painter);
        }
        interrupt.closes(own);
        println!("painting where the pointer is, until the window is closed or Ctrl-C");
        let followed = painter.follow(&interrupt);
        interrupt.is_closing();
        match followed {
            Err(_) if own.is_closed() => Ok(()),
            ended => ended,
        }
    })?
}

struct Painter {
    display: Display,
    size: Size,
    color: Color,
    last: Option<Position>,
}

impl Painter {
    fn new(address: &str, color: Color, interrupt: &Interrupt) -> Result<Painter> {
        let to = address.to_owned();
        interrupt.is_doing(move || format!("{to} did not answer as a display, and nothing was painted"));
        let display = Display::connect(address).map_err(|error| unreachable(address, error))?;
        let to = address.to_owned();
        interrupt.is_doing(move || format!("{to} had not answered the last call; what was painted stays"));
        Ok(Painter { size: display.size(), display, color, last: None })
    }

    /// Paints until Ctrl-C, or until the display ends, which is an error.
    fn follow(&mut self, interrupt: &Interrupt) -> Result<()> {
        while !interrupt.is_pressed() {
            match self.paint() {
                // Ctrl-C may have closed the display during the call.
                Err(_) if interrupt.is_pressed() => {}
                painted => painted?,
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Reads the pointer's position, and paints from its last position to there.
    fn paint(&mut self) -> Result<()> {
        let Some(to) = self.display.get_mouse()? else { return Ok(()) };
        let from = self.last.replace(to);
        if from == Some(to) {
            return Ok(());
        }
        let mut pixels: Vec<Pixel> = stroke(from.unwrap_or(to), to)
            .flat_map(|place| disc(BRUSH, place))
            // The pointer may be outside the picture.
            .filter(|&(x, y)| self.size.contains(x, y, 1, 1))
            .map(|(x, y)| Pixel::at(x, y, self.color))
            .collect();
        pixels.sort_unstable_by_key(|pixel| (pixel.y, pixel.x));
        pixels.dedup();
        Ok(self.display.draw_pixels(&pixels)?)
    }
}

/// Returns the pixels from one position to the other, each next to the one before.
fn stroke(from: Position, to: Position) -> impl Iterator<Item = (i32, i32)> {
    let (dx, dy) = (i64::from(to.x) - i64::from(from.x), i64::from(to.y) - i64::from(from.y));
    let steps = dx.abs().max(dy.abs()).max(1);
    (0..=steps).map(move |n| {
        // The result is between two `i32` values, so it fits.
        ((i64::from(from.x) + dx * n / steps) as i32, (i64::from(from.y) + dy * n / steps) as i32)
    })
}

fn move_it_ourselves(own: &Handle, painter: &mut Painter) -> Result<()> {
    let places: Vec<Position> = (0..=36)
        .map(|n| f64::from(n) * std::f64::consts::TAU / 36.0)
        .map(|angle| Position {
            x: 320 + (150.0 * angle.cos()) as i32,
            y: 240 + (150.0 * angle.sin()) as i32,
        })
        .collect();
    painter.paint()?;
    for &place in &places {
        own.display().set_mouse(Some(place));
        painter.paint()?;
    }
    let framebuffer = own.display().framebuffer();
    for Position { x, y } in places {
        for (x, y) in disc(BRUSH, (x, y)) {
            assert_eq!(framebuffer.get_pixel(x, y), Some(painter.color), "({x}, {y}) is not painted");
        }
    }
    assert_eq!(framebuffer.get_pixel(320, 240), Some(Color::BLACK), "the pointer was never in the middle");
    println!("no screen: moved the pointer along a circle, and painted where it was");
    Ok(())
}
