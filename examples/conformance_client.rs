//! Performs the task of the example `conformance` with one of the three clients of this project. Without DRAW_DISPLAY
//! it draws on its own display, and checks the result.

use clap::{Parser, ValueEnum};
use display_server::{Options, Present, with_display};
use draw_client::{
    Code, Color, ConnectOptions, DRAW_DISPLAY, Error, LateError, Pixel, Result, default_address,
};
use draw_examples::conformance::task;
use draw_examples::finish;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

type Anything = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Blocking,
    Pipeline,
    Async,
}

/// Performs the task of the example `conformance`.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Which client
    #[arg(long, value_enum, default_value = "blocking")]
    client: Kind,
    /// Use checksums, as with DRAW_LEVEL=checks
    #[arg(long)]
    checks: bool,
}

fn main() -> ExitCode {
    finish("conformance_client", run(&Args::parse()))
}

fn run(args: &Args) -> std::result::Result<(), Anything> {
    let is_checked = args.checks || std::env::var_os("DRAW_LEVEL").is_some_and(|level| level == "checks");
    if std::env::var_os(DRAW_DISPLAY).is_some() {
        return perform(args.client, &default_address(), is_checked);
    }
    let options = Options {
        listen: "127.0.0.1:0".into(),
        present: Present::None,
        size: task::SIZE,
        ..Options::default()
    };
    with_display(options, |own| {
        perform(args.client, &own.address().to_string(), is_checked)?;
        assert_eq!(task::difference(own.display()), None);
        Ok(())
    })?
}

fn perform(kind: Kind, address: &str, is_checked: bool) -> std::result::Result<(), Anything> {
    let is_lost = Arc::new(AtomicBool::new(false));
    let seen = is_lost.clone();
    let options = ConnectOptions::new().checksums(is_checked).on_error(move |late| tell(&late, &seen));
    match kind {
        Kind::Blocking => blocking(&options.connect_blocking(address)?)?,
        Kind::Pipeline => pipeline(&options.connect_pipeline(address)?)?,
        Kind::Async => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async { draw(&options.connect(address).await?).await })?;
        }
    }
    if is_lost.load(SeqCst) { Err("calls were lost with the connection".into()) } else { Ok(()) }
}

/// Prints the errors of calls that were not awaited. An error without a fault is a lost connection.
fn tell(late: &LateError, is_lost: &AtomicBool) {
    match late.fault() {
        Some(fault) => late.calls().for_each(|_| say(&format!("error {}", fault.code.as_str()))),
        None => is_lost.store(true, SeqCst),
    }
}

fn row(y: i32, columns: u32) -> Vec<Pixel> {
    (0..columns).map(|x| Pixel::at(x, y, Color::from_u32(task::color(x)))).collect()
}

/// Returns the additions of the task: columns and amounts.
fn additions() -> impl Iterator<Item = (i32, u32)> {
    (0..task::ADDITIONS).map(|k| ((k % task::COUNTERS) as i32, 1 << (k / task::COUNTERS)))
}

fn blocking(display: &draw_client::blocking::Display) -> Result<()> {
    let told = |result: Result<()>| match result {
        Err(Error::Fault(fault)) => {
            say(&format!("error {}", fault.code.as_str()));
            Ok(())
        }
        other => other,
    };
    let size = display.get_size()?;
    say(&format!("size {size}"));
    told(display.clear(Color::from_u32(0)))?;
    for pixel in row(0, task::SIZE.width) {
        told(display.draw_pixel(pixel.x.into(), pixel.y.into(), pixel.color))?;
    }
    told(display.draw_pixels(&row(1, task::SIZE.width + 1)))?;
    for (x, amount) in additions() {
        told(display.add_pixel(x, 2, amount))?;
    }
    pixel(ask(|| display.get_pixel(3, 2))?);
    image(&ask(|| display.get_image(0, 2, task::COUNTERS, 1))?);
    display.sync()?;
    say("done");
    display.close()
}

fn pipeline(display: &draw_client::blocking::Pipeline) -> Result<()> {
    let size = display.get_size()?;
    say(&format!("size {size}"));
    display.clear(Color::from_u32(0))?;
    for pixel in row(0, task::SIZE.width) {
        display.draw_pixel(pixel.x.into(), pixel.y.into(), pixel.color)?;
    }
    display.draw_pixels(&row(1, task::SIZE.width + 1))?;
    for (x, amount) in additions() {
        display.add_pixel(x, 2, amount)?;
    }
    pixel(ask(|| display.get_pixel(3, 2))?);
    image(&ask(|| display.get_image(0, 2, task::COUNTERS, 1))?);
    display.sync()?;
    say("done");
    display.close()
}

async fn draw(display: &draw_client::Display) -> Result<()> {
    let size = display.get_size().await?;
    say(&format!("size {size}"));
    display.clear(Color::from_u32(0)).await?;
    for pixel in row(0, task::SIZE.width) {
        display.draw_pixel(pixel.x.into(), pixel.y.into(), pixel.color).await?;
    }
    display.draw_pixels(&row(1, task::SIZE.width + 1)).await?;
    for (x, amount) in additions() {
        display.add_pixel(x, 2, amount).await?;
    }
    let color = match display.get_pixel(3, 2).await {
        Err(error) if is_lost_answer(&error) => display.get_pixel(3, 2).await?,
        other => other?,
    };
    pixel(color);
    image(&display.get_image(0, 2, task::COUNTERS, 1).await?);
    display.sync().await?;
    say("done");
    display.close().await
}

/// Asks a question, and asks again if its answer was lost with a connection.
fn ask<T>(question: impl Fn() -> Result<T>) -> Result<T> {
    match question() {
        Err(error) if is_lost_answer(&error) => question(),
        other => other,
    }
}

fn is_lost_answer(error: &Error) -> bool {
    error.fault().is_some_and(|fault| fault.code == Code::AnswerLost)
}

fn pixel(color: Color) {
    say(&format!("pixel {:08x}", color.to_u32()));
}

fn image(rgba: &[u8]) {
    let digits: String = rgba.iter().map(|byte| format!("{byte:02x}")).collect();
    say(&format!("image {digits}"));
}

/// Prints a line. A closed pipe is not an error.
fn say(line: &str) {
    _ = writeln!(io::stdout(), "{line}");
}
