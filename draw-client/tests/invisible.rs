//! A colour of six digits where eight are needed is invisible: the doctor and the trace report it, and no other colour.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::TestServer;
use draw_client::{Color, ConnectOptions, Pixel};
use draw_protocol::client::Connection;
use draw_protocol::trace::{Direction, Tracer};
use draw_protocol::{Hello, Request};
use std::time::Instant;

const SIX: Color = Color::from_u32(0xff_0000);

#[test]
fn the_doctor_names_the_line_and_what_was_meant() {
    let server = TestServer::start(64, 48);
    let display = ConnectOptions::new().doctor(true).connect_pipeline(&server.address).unwrap();
    let line = line!() + 2;
    for x in 0..3 {
        display.draw_pixel(x, 0, SIX).unwrap();
    }
    display.fill_rect(0, 1, 2, 2, Color::from_u32(0)).unwrap();
    display.add_pixel(0, 1, 0xff_0000).unwrap();
    display.sync().unwrap();
    let text = display.diagnosis().unwrap().to_string();
    let told = format!(
        "doctor: 3 calls at draw-client/tests/invisible.rs:{line}:17 draw_pixel drew with alpha 0, which is invisible: did you mean \
         0xff0000ff? Colours are 0xRRGGBBAA.\n"
    );
    assert!(text.contains(&told) && text.matches("alpha").count() == 1, "{text}");

    let display = ConnectOptions::new().doctor(true).connect_blocking(&server.address).unwrap();
    display.draw_pixels(&[Pixel::new(1, 1, SIX)]).unwrap();
    display.clear(SIX).unwrap();
    let text = display.diagnosis().unwrap().to_string();
    assert_eq!(text.matches("did you mean 0xff0000ff?").count(), 2, "{text}");
}

/// Returns the line of the trace for a request.
fn traced(request: &Request<'_>) -> String {
    let now = Instant::now();
    let mut client = Connection::new(&Hello::new("a test"));
    let mut tracer = Tracer::new(1, now);
    let greeting = client.poll_transmit().to_vec();
    client.handle_transmitted(greeting.len());
    let mut welcome = &b"\x94\x01\x00\xc0\x87\xa7version\x01\xa5width\xcd\x02\x80\xa6height\xcd\x01\xe0\xa5calls\x10\xa5bytes\
        \xce\x02\x00\x00\x00\xa7message\xce\x01\x00\x00\x00\xa5batch\xce\x00\x01\x00\x00"[..];
    while client.handle_input(&mut welcome, now).unwrap().is_some() {}
    client.call(request, now).unwrap();
    let mut bytes = client.poll_transmit();
    tracer.handle_input(Direction::ToDisplay, &mut bytes, now).unwrap().to_string()
}

#[test]
fn so_does_the_trace() {
    let hint = " (alpha is 0: invisible; did you mean 0xff0000ff?)";
    let pixels = [Pixel::new(1, 2, SIX), Pixel::new(2, 2, Color::RED)];
    for request in [
        Request::DrawPixel { x: 1, y: 2, color: SIX },
        Request::FillRect { x: 1, y: 2, width: 3, height: 4, color: SIX },
        Request::Clear { color: SIX },
        Request::DrawPixels { pixels: pixels[..].into() },
    ] {
        let line = traced(&request);
        assert!(line.ends_with(hint), "{line}");
    }
    for request in [
        Request::DrawPixel { x: 1, y: 2, color: Color::RED },
        Request::Clear { color: Color::from_u32(0) },
        Request::AddPixel { x: 1, y: 2, amount: 0xff_0000 },
    ] {
        let line = traced(&request);
        assert!(!line.contains("alpha"), "{line}");
    }
}
