//! Prints the messages between any client and any display, one line each: `draw_wire --display ADDR` is a relay between
//! them and forwards every byte unchanged. Without a display it opens its own, draws a little on it through the relay,
//! and checks both the picture and the lines.

use clap::Parser;
use display_server::signals::Endings;
use display_server::{Options, Present, bind_or, with_display};
use draw_client::{Color, ConnectOptions, Pixel, limits};
use draw_examples::finish;
use draw_examples::wire::Wire;
use draw_printer::{Detail, PATIENCE, Rank, stderr, stdout};
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The port to listen on if only a host is given: the one after that of a display.
const PORT: u16 = limits::PORT + 1;

/// Prints what clients and a display say to each other.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where clients connect to instead of to the display: host:port, a host alone, or a port alone (host 127.0.0.1)
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3730")]
    listen: String,
    /// The display: host, host:port, [ipv6]:port, or a port alone (of this machine) [default: one of our own, drawn on by ourselves]
    #[arg(long, value_name = "ADDR")]
    display: Option<String>,
    /// Print the bytes of each message, too
    #[arg(long)]
    full: bool,
}

fn main() -> ExitCode {
    let outcome = run(&Args::parse());
    // Output that is not read by then is lost.
    stdout().finish(PATIENCE);
    finish("draw_wire", outcome)
}

fn run(args: &Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let detail = if args.full { Detail::Full } else { Detail::Line };
    if let Some(display) = &args.display {
        // An invalid address is reported at once, instead of when the first client connects.
        if let Some(name) = draw_client::parse_address(display)?.display {
            return Err(format!(
                "the wire goes to a server, and each client asks for its display itself: omit /{name} here, and let the \
                 clients connect to {}/{name}",
                args.listen
            )
            .into());
        }
        let relayed = runtime.block_on(relay(&args.listen, Wire::new(display, detail, Paper::default())));
        // A thread may still be resolving the name of the display.
        runtime.shutdown_background();
        return relayed;
    }
    let options = Options { listen: "127.0.0.1:0".into(), present: Present::None, ..Options::default() };
    with_display(options, |own| {
        let paper = Paper { copy: Some(Arc::default()) };
        let wire = Wire::new(&own.address().to_string(), detail, paper.clone());
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?.to_string();
            tokio::select! {
                drawn = draw(&address) => drawn?,
                never = wire.run(listener) => match never {},
            }
            Result::Ok(())
        })?;
        say(&wire.summary());
        let shown = |x, y| own.display().framebuffer().get_pixel(x, y);
        assert_eq!(
            [shown(1, 2), shown(8, 3), shown(9, 9)],
            [Color::RED, Color::GREEN, Color::BLUE].map(Some)
        );
        paper.check();
        Ok(())
    })?
}

/// Relays between clients and the display until Ctrl-C, SIGTERM or SIGHUP.
async fn relay(listen: &str, wire: Wire<Paper>) -> Result<()> {
    let listener = TcpListener::from_std(bind_or(listen, PORT, false)?)?;
    let mut endings = Endings::listen()?;
    let line = format!("listening on {}; Ctrl-C ends it\n", listener.local_addr()?);
    stderr().push(line.as_bytes(), Rank::Important);
    tokio::select! {
        never = wire.run(listener) => match never {},
        _ = endings.next() => {}
    }
    say(&wire.summary());
    Ok(())
}

/// Prints a line after those of the trace. Unread lines delay neither the relay nor its end.
fn say(line: &str) {
    stdout().push(format!("{line}\n").as_bytes(), Rank::Important);
}

/// Draws a little of everything, with the blocking client and with the asynchronous one.
async fn draw(address: &str) -> Result<()> {
    let to = address.to_owned();
    tokio::task::spawn_blocking(move || {
        let display = draw_client::blocking::Display::connect(&to)?;
        display.draw_pixel(1, 2, Color::RED)?;
        display.draw_pixel(700, 10, Color::RED).expect_err("it is outside");
        display.close()
    })
    .await??;
    let display = ConnectOptions::new().on_error(|_| ()).connect(address).await?;
    display.fill_rect(5, 3, 10, 10, Color::GREEN).await?;
    for x in 0..100 {
        display.draw_pixel(x, 400, Color::RED).await?;
    }
    display.draw_pixels(&[Pixel::new(9, 9, Color::BLUE), Pixel::new(640, 9, Color::BLUE)]).await?;
    display.get_pixel(9, 9).await?;
    display.get_image(0, 0, 64, 48).await?;
    display.close().await?;
    Ok(())
}

/// Standard output, and a copy of it if needed.
#[derive(Debug, Clone, Default)]
struct Paper {
    copy: Option<Arc<Mutex<Vec<u8>>>>,
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(copy) = &self.copy {
            copy.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        }
        stdout().clone().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        stdout().clone().flush()
    }
}

impl Paper {
    /// Checks that the printed lines name the calls that were drawn, in the same order.
    fn check(&self) {
        let copy =
            self.copy.iter().flat_map(|copy| copy.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let printed = String::from_utf8(copy.collect()).expect("lines are text");
        let mut lines = printed.lines();
        for part in [
            "-> 0 hello({version: 1, client: \"draw-client ",
            "<- 0 hello: {version: 1, server: \"display-server ",
            "-> 1 draw_pixel(1, 2, #ff0000ff)",
            "<- progress 1: 1 done, after ",
            "-> 2 draw_pixel(700, 10, #ff0000ff)",
            "<- 2 draw_pixel: out_of_bounds: (700, 10) is outside 640x480 (",
            "-> 1 fill_rect(5, 3, 10, 10, #00ff00ff)",
            " draw_pixels(2 pixels: (9, 9, #0000ffff), (640, 9, #0000ffff))",
            " draw_pixels: out_of_bounds: 1 of 2 pixels is outside 640x480: (640, 9); not drawn: [1] (",
            " get_pixel: #0000ffff (",
            " get_image: 64x48, 12288 bytes (",
        ] {
            assert!(lines.any(|line| line.contains(part)), "{part:?} was not printed, or not in its turn");
        }
    }
}
