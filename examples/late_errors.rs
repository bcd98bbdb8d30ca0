//! Draws partly outside of the display, and shows where each error goes: to the reply if it is awaited, else to the
//! callback of the scope, else to that of the display, else to the next `sync`.

use clap::Parser;
use display_server::{Options, Present, with_display};
use draw_client::{Color, ConnectOptions, Display, Error, Pixel, Result};
use draw_examples::finish;
use std::process::ExitCode;
use std::sync::mpsc;

type Anything = Box<dyn std::error::Error + Send + Sync>;

/// Draws partly outside of a display of its own, and shows to whom each error goes.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {}

fn main() -> ExitCode {
    let Args {} = Args::parse();
    finish("late_errors", run())
}

fn run() -> std::result::Result<(), Anything> {
    let options = Options { listen: "127.0.0.1:0".into(), present: Present::None, ..Options::default() };
    with_display(options, |own| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(draw(&own.address().to_string()))?;
        // The part inside was drawn.
        let shown = |x, y| own.display().framebuffer().get_pixel(x, y);
        assert_eq!(shown(639, 10), Some(Color::GREEN));
        assert_eq!(shown(0, 479), Some(Color::BLUE));
        Ok(())
    })?
}

async fn draw(address: &str) -> Result<()> {
    let (tell, told) = mpsc::channel();
    let display = ConnectOptions::new()
        .on_error(move |late| {
            println!("the callback hears:    {late}");
            tell.send(late).expect("the program waits for it");
        })
        .connect(address)
        .await?;

    // These replies are dropped: the callback receives the errors of the two calls that fail.
    for x in 638..642 {
        display.draw_pixel(x, 10, Color::GREEN).await?;
    }

    // A part of the program with its own callback, which receives the errors of calls through this handle.
    let (tell, told_legend) = mpsc::channel();
    let legend = display.scope("legend").on_error(move |late| {
        println!("the legend hears:      {late}");
        tell.send(late).expect("the program waits for it");
    });
    legend.fill_rect(630, 470, 20, 20, Color::BLUE).await?;

    // This reply is awaited: it returns the error, and the callback does not receive it.
    let pixels = [Pixel::new(0, 479, Color::BLUE), Pixel::new(0, 480, Color::BLUE)];
    let error = display.draw_pixels(&pixels).await?.await.expect_err("the second pixel is outside");
    println!("the caller hears:      {error}");
    assert_eq!(error.fault().map(|fault| fault.rejected_pixels()), Some(1));

    // The result of this call is discarded.
    display.draw_pixel(-1, -1, Color::RED).await?.ignore();
    display.close().await?;

    let numbers: Vec<_> =
        told.iter().flat_map(|late| late.calls().map(|call| call.number()).collect::<Vec<_>>()).collect();
    assert_eq!(numbers, [3, 4], "each failed call is named, once");
    let late = told_legend.iter().next().expect("its rectangle is not all inside");
    assert_eq!(late.calls().next().and_then(|call| call.scope()), Some("legend"));

    // Without a callback the next sync returns what failed before it.
    let display = Display::connect(address).await?;
    display.draw_pixel(700, 10, Color::RED).await?;
    let Err(Error::Late(late)) = display.sync().await else { panic!("sync tells of late errors") };
    println!("the next sync says:    {late}");
    assert_eq!(late.total(), 1);
    display.close().await
}
