//! Plays a film: whole pictures one after the other, as `film [--display ADDR] [--rate N] [--seconds S]`. Without a
//! display it opens its own, in a window if there is a screen. It prints how many pictures a second were drawn, and
//! compares the display's picture at the end with the last one.

use clap::Parser;
use display_server::{Options, with_display};
use draw_client::{Display, Size};
use draw_examples::{Interrupt, finish, parse_duration, unreachable};
use draw_protocol::text::count;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Number of pictures before the film repeats.
const LENGTH: usize = 12;

/// Plays a film on a display.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The display to play on: host, host:port, [ipv6]:port, or a port alone (of this machine) [default: one of our own, 1280x720]
    #[arg(long, value_name = "ADDR")]
    display: Option<String>,
    /// Pictures a second; 0 plays as fast as the display draws
    #[arg(long, value_name = "N", default_value_t = 60.0, value_parser = parse_rate, allow_hyphen_values = true)]
    rate: f64,
    /// How long the film is
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration, allow_hyphen_values = true)]
    seconds: Duration,
}

fn parse_rate(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.0..=1000.0).contains(&rate) => Ok(rate),
        _ => Err("write a number from 0 to 1000".to_owned()),
    }
}

fn main() -> ExitCode {
    finish("film", run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let interrupt = Interrupt::listen_and_end("film")?;
    if let Some(address) = &args.display {
        return play(args, address, &interrupt, || interrupt.is_pressed());
    }
    let size = Size { width: 1280, height: 720 };
    let options = Options { size, listen: "127.0.0.1:0".into(), ..Options::default() };
    with_display(options, |own| {
        interrupt.closes(own);
        let played =
            play(args, &own.address().to_string(), &interrupt, || interrupt.is_pressed() || own.is_closed());
        interrupt.is_closing();
        match played {
            // Closing the window ends the film.
            Err(_) if own.is_closed() => Ok(()),
            played => played,
        }
    })?
}

fn play(args: &Args, address: &str, interrupt: &Interrupt, is_over: impl Fn() -> bool) -> Result<()> {
    let to = address.to_owned();
    interrupt.is_doing(move || format!("{to} did not answer as a display, and nothing was drawn"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let display = Display::connect(address).await.map_err(|error| unreachable(address, error))?;
        let Size { width, height } = display.size();
        let pictures: Vec<_> = (0..LENGTH).map(|n| rings(width, height, n as f64 / LENGTH as f64)).collect();
        let sent = Arc::new(AtomicUsize::new(0));
        let (said, to) = (Arc::clone(&sent), address.to_owned());
        interrupt.is_doing(move || {
            let sent = said.load(Relaxed);
            if sent == 0 {
                return "no picture was sent".into();
            }
            format!("{to} had not answered that it shows the last of {}", count(sent as u64, "picture"))
        });
        let (began, mut drawn) = (Instant::now(), 0);
        while began.elapsed() < args.seconds && !is_over() {
            display.put_image(0, 0, width, height, &pictures[drawn % LENGTH]).await?;
            drawn += 1;
            sent.store(drawn, Relaxed);
            if args.rate > 0.0 {
                let due = began + Duration::from_secs_f64(drawn as f64 / args.rate);
                tokio::time::sleep_until(due.into()).await;
            }
        }
        display.sync().await?;
        let took = began.elapsed().as_secs_f64();
        if drawn > 0 && display.get_image(0, 0, width, height).await? != pictures[(drawn - 1) % LENGTH] {
            return Err("the display does not show the last picture; does another client draw there?".into());
        }
        if drawn == 0 {
            println!("no picture was drawn in {took:.1} s");
            return Ok(display.close().await?);
        }
        let (rate, bytes) = (drawn as f64 / took, (width * height * 4) as f64);
        println!(
            "{} of {width}x{height} in {took:.1} s: {rate:.1} a second, {:.2} GB/s; the last one is as it was sent",
            count(drawn as u64, "picture"),
            rate * bytes / 1e9
        );
        display.close().await?;
        Ok(())
    })
}

/// Returns rings around the centre that move outwards: each has moved by one ring when `phase` is 1.
fn rings(width: u32, height: u32, phase: f64) -> Vec<u8> {
    let (middle_x, middle_y) = (f64::from(width) / 2.0, f64::from(height) / 2.0);
    let wave = |turns: f64| (127.5 + 127.5 * (turns * std::f64::consts::TAU).cos()) as u8;
    let mut rgba = Vec::with_capacity(width as usize * height as usize * 4);
    for y in 0..height {
        for x in 0..width {
            let distance = (f64::from(x) - middle_x).hypot(f64::from(y) - middle_y);
            let turns = distance / 64.0 - phase;
            rgba.extend([wave(turns), wave(turns + 1.0 / 3.0), wave(turns + 2.0 / 3.0), 255]);
        }
    }
    rgba
}
