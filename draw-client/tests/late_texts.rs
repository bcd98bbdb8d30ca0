//! The texts of late errors, word by word, and the same data as fields.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::{TestServer, ear, runtime, soon, texts};
use draw_client::blocking::Pipeline;
use draw_client::{Call, Code, Color, ConnectOptions, Display, Draw, Method, Outcome, Pixel, Range};

const HERE: &str = "draw-client/tests/late_texts.rs";

/// Two helpers, one within the other, that make their calls in the name of their caller.
#[track_caller]
fn dot(display: &Display, x: i32) -> Draw<'_, 'static> {
    display.draw_pixel(x, 10, Color::RED)
}

#[track_caller]
fn dash(display: &Display, x: i32) -> Draw<'_, 'static> {
    dot(display, x)
}

#[track_caller]
fn blocking_dot(display: &Pipeline, x: i32) {
    display.draw_pixel(x, 10, Color::RED).unwrap();
}

#[track_caller]
fn blocking_dash(display: &Pipeline, x: i32) {
    blocking_dot(display, x);
}

#[test]
fn an_asynchronous_call_is_named_by_its_line_through_helpers_and_in_its_scope() {
    let server = TestServer::start(640, 480);
    runtime().block_on(soon(async {
        let (listens, heard) = ear();
        let display = ConnectOptions::new().on_error(listens).connect(&server.address).await.unwrap();
        let legend = display.scope("chart").scope("legend");
        let line = line!();
        display.draw_pixel(700, 10, Color::RED).await.unwrap();
        dash(&display, 701).await.unwrap();
        legend.draw_pixel(702, 10, Color::BLUE).await.unwrap();
        dash(&legend, 703).await.unwrap();
        legend.fill_rect(640, 0, 5, 6, Color::RED).await.unwrap();
        display.close().await.unwrap();
        let size = "out of bounds: the display is 640x480; not drawn";
        let expected = [
            format!("{HERE}:{}:17 draw_pixel(700, 10, #ff0000ff): {size}", line + 1),
            format!("{HERE}:{}:9 draw_pixel(701, 10, #ff0000ff): {size}", line + 2),
            format!("{HERE}:{}:16 draw_pixel(702, 10, #0000ffff) in chart/legend: {size}", line + 3),
            format!("{HERE}:{}:9 draw_pixel(703, 10, #ff0000ff) in chart/legend: {size}", line + 4),
            format!(
                "{HERE}:{}:16 fill_rect(640, 0, 5, 6, #ff0000ff) in chart/legend: out of bounds: the rectangle 5x6 at \
                 (640, 0) is outside 640x480: nothing was drawn",
                line + 5
            ),
        ];
        assert_eq!(texts(&heard), expected);
    }));
}

#[test]
fn a_pipelines_call_is_named_by_its_line_through_helpers_and_in_its_scope() {
    let server = TestServer::start(640, 480);
    let (listens, heard) = ear();
    let display = ConnectOptions::new().on_error(listens).connect_pipeline(&server.address).unwrap();
    let legend = display.scope("legend");
    let line = line!();
    display.draw_pixel(700, 10, Color::RED).unwrap();
    blocking_dash(&display, 701);
    legend.draw_pixel(702, 10, Color::BLUE).unwrap();
    blocking_dash(&legend, 703);
    display.close().unwrap();
    let size = "out of bounds: the display is 640x480; not drawn";
    let expected = [
        format!("{HERE}:{}:13 draw_pixel(700, 10, #ff0000ff): {size}", line + 1),
        format!("{HERE}:{}:5 draw_pixel(701, 10, #ff0000ff): {size}", line + 2),
        format!("{HERE}:{}:12 draw_pixel(702, 10, #0000ffff) in legend: {size}", line + 3),
        format!("{HERE}:{}:5 draw_pixel(703, 10, #ff0000ff) in legend: {size}", line + 4),
    ];
    assert_eq!(texts(&heard), expected);
}

#[test]
fn a_program_gets_the_same_as_fields() {
    let server = TestServer::start(640, 480);
    runtime().block_on(soon(async {
        let (listens, heard) = ear();
        let display = ConnectOptions::new().on_error(listens).connect(&server.address).await.unwrap();
        display.draw_pixel(1, 1, Color::RED).await.unwrap();
        let line = line!() + 1;
        display.scope("legend").draw_pixel(700, 10, Color::RED).await.unwrap();
        for _ in 0..3 {
            display.clear(Color::RED).await.unwrap();
        }
        display.close().await.unwrap();
        let heard = heard.lock().unwrap();
        let [late] = &heard[..] else { panic!("{heard:?}") };
        let call = late.calls().next().unwrap();
        let location = call.location().unwrap();
        assert_eq!((location.file(), location.line(), location.column()), (HERE, line, 33));
        assert_eq!((call.method(), call.method().name()), (Method::DrawPixel, "draw_pixel"));
        assert_eq!(call.call(), Call::DrawPixel { x: 700, y: 10, color: Color::RED });
        assert_eq!(call.parameters().to_string(), "700, 10, #ff0000ff");
        assert_eq!((call.number(), call.scope()), (2, Some("legend")));
        assert!(call.age() < common::DEADLINE && call.calls_since() <= 3);
        let fault = late.fault().unwrap();
        assert_eq!((&fault.code, &*fault.message), (&Code::OutOfBounds, "(700, 10) is outside 640x480"));
        assert_eq!((late.outcome(), late.outcome().to_string()), (Outcome::Rejected, "rejected".into()));
    }));
}

/// One request, and several requests, whose faults are joined.
#[test]
fn of_a_batch_ten_pixels_are_named_and_the_rest_is_counted() {
    let server = TestServer::start(640, 480);
    runtime().block_on(soon(async {
        let (listens, heard) = ear();
        let display = ConnectOptions::new().on_error(listens).connect(&server.address).await.unwrap();
        let line = line!() + 2;
        let batch = async |pixels: &[Pixel]| {
            display.draw_pixels(pixels).await.unwrap();
        };
        let short: Vec<_> = (0..20).map(|x| Pixel::new(x, 468 + x, Color::RED)).collect();
        batch(&short[..13]).await;
        batch(&short[..19]).await;
        batch(&short).await;
        batch(&[Pixel::new(640, 480, Color::RED)]).await;

        let mut long = vec![Pixel::new(0, 0, Color::RED); 200_000];
        let outside = [0, 65_535, 65_536, 70_000, 70_001, 131_072, 150_000, 150_001, 150_002, 199_998];
        for i in outside {
            long[i].x = 640;
        }
        batch(&long).await;
        long[199_999].y = 480;
        batch(&long).await;
        long[199_990..].fill(Pixel::new(640, 480, Color::RED));
        batch(&long).await;
        display.close().await.unwrap();

        let named: Vec<_> = (12..20).map(|x| format!("({x}, {})", 468 + x)).collect();
        let short = |count: usize, of: usize, are: &str| {
            let named = named[..count].join(", ");
            format!("draw_pixels({of} pixels): out of bounds: {count} of {of} pixels {are} outside 640x480: {named}; the others were drawn")
        };
        let nine = ["(640, 0)"; 9].join(", ");
        let long = |count: usize, rest: &str| {
            format!("draw_pixels(200000 pixels): out of bounds: {count} of 200000 pixels are outside 640x480: {nine}, {rest}; the others were drawn")
        };
        let mut expected = vec![
            short(1, 13, "is"),
            short(7, 19, "are"),
            short(8, 20, "are"),
            "draw_pixels(1 pixel): out of bounds: 1 of 1 pixel is outside 640x480: (640, 480); not drawn".to_owned(),
            long(10, "(640, 0)"),
            long(11, "(640, 0) and 1 more"),
            long(19, "(640, 480) and 9 more"),
        ];
        for text in &mut expected {
            text.insert_str(0, &format!("{HERE}:{line}:21 "));
        }
        assert_eq!(texts(&heard), expected);
        let heard = heard.lock().unwrap();
        let ranges = [(0, 1), (65_535, 2), (70_000, 2), (131_072, 1), (150_000, 3), (199_998, 1)];
        assert_eq!(heard[4].fault().unwrap().rejected(), ranges.map(Range::from));
    }));
}

#[test]
fn of_a_batch_in_one_request_more_than_ten_are_counted_too() {
    let server = TestServer::start(640, 480);
    let (listens, heard) = ear();
    let display = ConnectOptions::new().on_error(listens).connect_pipeline(&server.address).unwrap();
    let pixels: Vec<_> = (0..25).map(|x| Pixel::new(640 + x, 7, Color::RED)).collect();
    let line = line!() + 1;
    display.scope("a").draw_pixels(&pixels).unwrap();
    display.close().unwrap();
    let named: Vec<_> = (640..650).map(|x| format!("({x}, 7)")).collect();
    let expected = format!(
        "{HERE}:{line}:24 draw_pixels(25 pixels) in a: out of bounds: 25 of 25 pixels are outside 640x480: {} and 15 more; not drawn",
        named.join(", ")
    );
    assert_eq!(texts(&heard), [expected]);
}
