//! Kills a display with `kill -9`, repeatedly, while four clients draw on it, and compares it with the same drawing on
//! an undisturbed display.
//!
//! `cargo run --release --example unkillable` needs nothing else: the killed display is this same program, started as a
//! separate process, with a journal in a temporary directory.

mod course;
mod drawing;
mod picture;
mod server;

use clap::Parser;
use course::{Course, TICK, nothing_left};
use display_server::arg_parsers::number;
use display_server::{Framebuffer, Size, snapshot};
use draw_client::blocking::Display;
use draw_client::{Color, Digest, digest_of_image};
use draw_examples::figures::{seconds, thousands};
use draw_examples::{Interrupt, finish, parse_output};
use server::{Directory, Server};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Kills a display with `kill -9` while it is drawn on, again and again, and shows that the picture is exact.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "The display is a process of its own with a journal in a temporary directory. Four clients draw on it, \
    and come back by themselves. The same calls are made on a picture in memory; if the two differ in one byte, the \
    program says so and ends with status 1."
)]
struct Args {
    /// How often the display is killed
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = number::<u64>(0, 1_000),
          allow_negative_numbers = true)]
    kills: u64,
    /// How many calls the clients make together
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = number::<u64>(10_000, 2_000_000),
          allow_negative_numbers = true)]
    calls: u64,
    /// Where both pictures go, side by side: the display that was killed is on the left
    #[arg(long, value_name = "FILE.png", default_value = "unkillable.png", value_parser = parse_output)]
    output: PathBuf,
    /// Be the display: serve the journal in this directory until standard input ends
    #[arg(long, value_name = "DIR", hide = true, requires = "listen")]
    serve: Option<PathBuf>,
    /// Where that display listens
    #[arg(long, value_name = "ADDR", hide = true, requires = "serve")]
    listen: Option<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match (&args.serve, &args.listen) {
        (Some(directory), Some(address)) => server::serve(directory, address),
        _ => run(&args),
    };
    finish("unkillable", outcome)
}

fn run(args: &Args) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    snapshot::check_writable(&args.output)?;
    // Dropped after the server, which has files in it.
    let directory = Directory::new()?;
    let address = server::free_address()?;
    let mut server = Server::start(directory.path(), address, &interrupt)?;
    let model = Arc::new(Framebuffer::new(drawing::SIZE, Color::BLACK)?);
    let began = Instant::now();
    let course = Course::new(args.calls, args.kills, drawing::CLIENTS);
    // These threads end with the program if this function returns early.
    let clients: Vec<_> = (0..drawing::CLIENTS)
        .map(|client| {
            let (course, model) = (Arc::clone(&course), Arc::clone(&model));
            std::thread::spawn(move || drawing::client(client, address, &course, &model))
        })
        .collect();

    println!(
        "{} calls by {} clients on a display at {address}, process {}",
        thousands(args.calls),
        drawing::CLIENTS,
        server.id()
    );
    if args.kills > 0 {
        println!("kill  calls made   clients lost it   it runs again   all draw again");
    }
    // A client that was never connected does not reconnect.
    course.wait_for_clients(&interrupt)?;
    for kill in 1..=args.kills {
        course.wait_for_moment(kill, &interrupt)?;
        let killed = Instant::now();
        let calls = course.expect_loss();
        server.kill()?;
        course.killed(kill);
        server = Server::start(directory.path(), address, &interrupt)?;
        let up = killed.elapsed();
        let (lost, back) = course.wait_for_clients(&interrupt)?;
        println!(
            "{kill:>4} {:>11} {lost:>17} {:>15} {:>16}",
            thousands(calls),
            seconds(up),
            seconds(back.saturating_duration_since(killed)),
        );
    }
    let connections = course.wait_for_end(&interrupt)?;
    for client in clients {
        client.join().map_err(|_| "a client has panicked")?;
    }
    println!(
        "{} calls over {connections} connections, {} kill{}, in {}",
        thousands(args.calls),
        args.kills,
        if args.kills == 1 { "" } else { "s" },
        seconds(began.elapsed())
    );
    // Another thread reads the digest, so that a signal is noticed meanwhile.
    let asking = std::thread::spawn(move || shown(&address.to_string()));
    while !asking.is_finished() {
        interrupt.check(nothing_left)?;
        std::thread::sleep(TICK);
    }
    let (digest, shown) = asking.join().map_err(|_| "asking for the picture has panicked")??;
    compare(digest, &shown, &model, &args.output)
}

/// Returns the digest and the pixels of the display's picture.
fn shown(address: &str) -> draw_client::Result<(Digest, Vec<u8>)> {
    let Size { width, height } = drawing::SIZE;
    let display = Display::connect(address)?;
    let digest = display.get_digest(0, 0, width, height)?;
    let shown = display.get_image(0, 0, width, height)?;
    display.close()?;
    Ok((digest, shown))
}

/// Compares the display's picture with the model, and saves both as a picture.
fn compare(digest: Digest, shown: &[u8], model: &Framebuffer, output: &Path) -> Result<()> {
    let Size { width, height } = drawing::SIZE;
    let mut meant = Vec::new();
    model.read(drawing::SIZE.clip(0, 0, width, height), &mut meant);
    let expected = digest_of_image(&meant);
    println!("display that was killed   SHA-256 {digest}");
    println!("picture left undisturbed  SHA-256 {expected}");
    picture::write(shown, &meant, drawing::SIZE, output)?;
    println!("both are in {}, the killed one on the left", output.display());
    if digest != expected {
        let wrong = shown.chunks(4).zip(meant.chunks(4)).filter(|(a, b)| a != b).count();
        return Err(format!(
            "the pictures differ in {} of {} pixels: calls were lost, executed twice, or out of order",
            thousands(wrong as u64),
            thousands(meant.len() as u64 / 4)
        )
        .into());
    }
    println!("executed twice: none; lost: none");
    Ok(())
}
