//! Sends a PNG file to a display: `picture [--display ADDR] [FILE.png]`, where `-` is standard input. Without a file it
//! sends a built-in picture; without a display it opens its own, compares its picture with the file, and writes
//! picture.png.

use clap::Parser;
use display_server::{Options, Present, with_display};
use draw_client::{Size, blocking::Display};
use draw_examples::picture::Picture;
use draw_examples::{Interrupt, finish, parse_output, save, unreachable};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Sends a PNG picture to a display.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The display to draw on: host, host:port, [ipv6]:port, or a port alone (of this machine) [default: one of our own]
    #[arg(long, value_name = "ADDR")]
    display: Option<String>,
    /// Where its left edge goes
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    x: i32,
    /// Where its top edge goes
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    y: i32,
    /// File for the picture, if the program opens its own display
    #[arg(long, value_name = "FILE.png", default_value = "picture.png", value_parser = parse_output,
          conflicts_with = "display")]
    output: PathBuf,
    /// A PNG file, or `-` for standard input [default: a small picture of our own making]
    file: Option<PathBuf>,
}

fn main() -> ExitCode {
    finish("picture", run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let picture = match &args.file {
        Some(path) => Picture::open(path)?,
        None => Picture::read(&include_bytes!("data/rings.png")[..])?,
    };
    let interrupt = Interrupt::listen_and_end("picture")?;
    if let Some(address) = &args.display {
        return send(args, &picture, address, &interrupt);
    }
    let Size { width, height } = picture.size;
    let reach = |start: i32, length: u32| (i64::from(start) + i64::from(length)).clamp(1, 16_384) as u32;
    let size = Size { width: reach(args.x, width), height: reach(args.y, height) };
    let options =
        Options { size, listen: "127.0.0.1:0".into(), present: Present::None, ..Options::default() };
    with_display(options, |own| {
        send(args, &picture, &own.address().to_string(), &interrupt)?;
        interrupt.is_doing(|| "a display of our own shows it, and the picture was not saved".into());
        save(own.display().framebuffer(), &args.output, "a display of our own shows it")?;
        println!("a display of our own shows it; the picture is in {}", args.output.display());
        Ok(())
    })?
}

/// Sends the picture, and checks that the display shows it.
fn send(args: &Args, picture: &Picture, address: &str, interrupt: &Interrupt) -> Result<()> {
    let to = address.to_owned();
    interrupt.is_doing(move || format!("{to} did not answer as a display, and nothing was drawn"));
    let display = Display::connect(address).map_err(|error| unreachable(address, error))?;
    let to = address.to_owned();
    interrupt.is_doing(move || format!("{to} had not answered that it shows all of the picture"));
    let Size { width, height } = picture.size;
    display.put_image(args.x, args.y, width, height, &picture.rgba)?;
    if display.get_image(args.x, args.y, width, height)? != picture.rgba {
        return Err("the display shows another picture than was sent; does another client draw there?".into());
    }
    println!("sent {} to {address}: {} bytes, shown as they were sent", picture.size, picture.rgba.len());
    display.close()?;
    Ok(())
}
