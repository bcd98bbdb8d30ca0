//! The drawing: each call changes the picture if it is executed twice, not at all, or out of order.
//!
//! Three clients count where slightly different strange attractors pass, each in its own colour, on the same pixels:
//! they add, so each call counts. The fourth draws a chain of balls that cover each other, so that their order matters.

use crate::course::Course;
use display_server::{Framebuffer, Size};
use draw_client::{Color, ConnectOptions, Result};
use draw_examples::disc;
use std::f64::consts::TAU;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const SIZE: Size = Size { width: WIDTH, height: HEIGHT + 64 };
/// The size of the area of the attractors. The chain is below it.
const WIDTH: u32 = 300;
const HEIGHT: u32 = 240;

pub(crate) const CLIENTS: usize = 4;

/// Longer than any outage here, and than a loaded machine takes to start a display.
const PATIENCE: Duration = Duration::from_secs(60);
/// Number of calls between two progress reports of a client.
const STRIDE: u64 = 64;

enum Call {
    Add { x: i32, y: i32, amount: u32 },
    Draw { x: i32, y: i32, color: Color },
    Fill { x: i32, y: i32, side: u32, color: Color },
}

/// Draws this client's part on the display and on the model.
pub(crate) fn client(client: usize, address: SocketAddr, course: &Arc<Course>, model: &Framebuffer) {
    course.end(client, draw(client, address, course, model));
}

fn draw(client: usize, address: SocketAddr, course: &Arc<Course>, model: &Framebuffer) -> Result<()> {
    let (late, news) = (Arc::clone(course), Arc::clone(course));
    let display = ConnectOptions::new()
        .reconnect(PATIENCE)
        .timeout(PATIENCE)
        .on_error(move |error| late.fail(error.to_string()))
        .on_status(move |status| news.hear(client, &status))
        .connect_pipeline(&address.to_string())?;
    course.connect(client);
    let mut calls = calls(client);
    let mut damage = model.no_damage();
    for part in 0..course.parts() {
        let mut left = course.share(client, part);
        while left > 0 {
            let stride = left.min(STRIDE);
            for call in calls.by_ref().take(stride as usize) {
                match call {
                    Call::Add { x, y, amount } => {
                        display.add_pixel(x, y, amount)?;
                        model.add_pixel(x, y, amount, &mut damage);
                    }
                    Call::Draw { x, y, color } => {
                        display.draw_pixel(x, y, color)?;
                        model.draw_pixel(x, y, color, &mut damage);
                    }
                    Call::Fill { x, y, side, color } => {
                        display.fill_rect(x, y, side, side, color)?;
                        model.fill_rect((x, y), (side, side), color, &mut damage);
                    }
                }
            }
            course.advance(stride);
            left -= stride;
        }
        course.wait_for_kill(part);
    }
    display.sync()?;
    display.close()
}

/// Returns the calls of a client, an endless sequence.
fn calls(client: usize) -> Box<dyn Iterator<Item = Call>> {
    match client {
        0 => Box::new(attractor([-1.4, 1.6, 1.0, 0.70], 24)),
        1 => Box::new(attractor([-1.4, 1.6, 1.0, 0.64], 16)),
        2 => Box::new(attractor([-1.4, 1.6, 1.0, 0.58], 8)),
        _ => Box::new(chain()),
    }
}

/// Returns the calls for one of Clifford Pickover's attractors, in the colour channel whose lowest bit in a pixel's
/// number is `bit`. A channel that is full is skipped, since it would overflow into the next.
fn attractor([a, b, c, d]: [f64; 4], bit: u32) -> impl Iterator<Item = Call> {
    let mut levels = vec![0u8; (WIDTH * HEIGHT) as usize];
    let mut point = (0.1, 0.1);
    std::iter::from_fn(move || {
        loop {
            let (x, y) = point;
            point = ((a * y).sin() + c * (a * x).cos(), (b * x).sin() + d * (b * y).cos());
            let (x, y) = (column(point.0), row(point.1));
            let level = &mut levels[(y * WIDTH + x) as usize];
            if *level < u8::MAX {
                // The brighter a pixel is, the less is added, so that faint places are visible.
                let amount = ((u8::MAX - *level) / 24).max(1);
                *level += amount;
                return Some(Call::Add { x: x as i32, y: y as i32, amount: u32::from(amount) << bit });
            }
        }
    })
}

/// The attractor stays within 2 of the centre in x, and within 1.7 in y.
fn column(x: f64) -> u32 {
    (((x + 2.0) / 4.0 * f64::from(WIDTH)) as u32).min(WIDTH - 1)
}

fn row(y: f64) -> u32 {
    (((y + 1.75) / 3.5 * f64::from(HEIGHT)) as u32).min(HEIGHT - 1)
}

/// Draws balls one after the other, from side to side and back, each over those before it.
fn chain() -> impl Iterator<Item = Call> {
    const DIAMETER: u32 = 36;
    const STEPS: u32 = 44;
    (0u32..).flat_map(|n| {
        let (way, step) = (n / STEPS, n % STEPS);
        let step = if way.is_multiple_of(2) { step } else { STEPS - 1 - step };
        let wave = (f64::from(step) / f64::from(STEPS) * 2.0 * TAU + f64::from(way) * 1.3).sin();
        let center = (22 + 6 * step as i32, (HEIGHT + 32) as i32 + (12.0 * wave) as i32);
        let light = (center.0 - 6, center.1 - 6);
        let pixels = disc(DIAMETER, center).map(move |(x, y)| {
            let distance = f64::from(x - light.0).hypot(f64::from(y - light.1));
            Call::Draw { x, y, color: hue(f64::from(n) / 40.0, 1.0 - distance / 30.0) }
        });
        let shine = Call::Fill { x: light.0 - 1, y: light.1 - 1, side: 3, color: Color::WHITE };
        pixels.chain(std::iter::once(shine))
    })
}

/// Returns the colour at `turn` on the colour wheel, from 0 to 1, at this brightness from 0 to 1.
fn hue(turn: f64, light: f64) -> Color {
    let channel = |shift: f64| {
        let strength = 0.5 + 0.5 * (TAU * (turn + shift)).cos();
        (255.0 * light.clamp(0.0, 1.0) * strength) as u8
    };
    Color::rgb(channel(0.0), channel(2.0 / 3.0), channel(1.0 / 3.0))
}
