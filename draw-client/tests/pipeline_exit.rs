//! A program that draws, and returns from `main`.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::TestServer;
use draw_client::{Color, ConnectOptions, Size};
use std::process::Command;

/// The environment variable with the address to draw on, set when the test is run as that program.
const ADDRESS: &str = "TEST_PIPELINE_EXIT";

#[test]
fn what_a_program_has_drawn_is_there_when_it_has_ended() {
    if let Ok(address) = std::env::var(ADDRESS) {
        return draw(&address);
    }
    let server = TestServer::start(300, 200);
    let mut program = Command::new(std::env::current_exe().unwrap());
    let output = program
        .args(["--exact", "what_a_program_has_drawn_is_there_when_it_has_ended", "--nocapture"])
        .env(ADDRESS, &server.address)
        .output()
        .unwrap();
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{complained}");
    assert!((0..200).all(|y| (0..300).all(|x| server.shown(x, y) == Color::RED)));
    assert!(complained.contains("late: draw-client/tests/pipeline_exit.rs:"), "{complained}");
    let late =
        "draw_pixel(300, 0, #ff0000ff): out of bounds: the display is 300x200; not drawn (0 calls and ";
    assert!(complained.contains(late), "{complained}");
}

fn draw(address: &str) {
    let display =
        ConnectOptions::new().on_error(|late| eprintln!("late: {late}")).connect_pipeline(address).unwrap();
    let Size { width, height } = display.size();
    for y in 0..height as i32 {
        for x in 0..width as i32 {
            display.draw_pixel(x, y, Color::RED).unwrap();
        }
    }
    display.draw_pixel(width as i32, 0, Color::RED).unwrap();
}
