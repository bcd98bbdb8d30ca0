//! Draws a square on a running display and reads a pixel of it: `hello`. `DRAW_DISPLAY=HOST:PORT` names another display.

use draw_client::{Color, Result, blocking::Display};

fn main() -> Result<()> {
    let display = Display::open()?;
    display.fill_rect(270, 190, 100, 100, Color::RED)?;
    for x in 270..370 {
        display.draw_pixel(x, 240, Color::BLUE)?; // returns when the pixel is drawn
    }
    let color = display.get_pixel(320, 200)?;
    println!("drew a square on a display of {}; its color is {color}", display.size());
    display.close()
}
