use crate::common::calls::call;
use crate::common::model::{Model, said};
use arbitrary::{Result, Unstructured};
use display_server::{Display, apply};
use draw_protocol::{Color, Request, Size};

/// A display draws and answers as a vector of colours does; every changed row is damaged, and no row outside the drawn
/// area is. The first two bytes are the size; calls follow.
pub fn framebuffer(data: &[u8]) {
    _ = run(&mut Unstructured::new(data));
}

fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let side = |n: u8| u32::from(n % 80) + 1;
    let size = Size { width: side(input.arbitrary()?), height: side(input.arbitrary()?) };
    let display = Display::new(size, Color::BLACK).expect("a small display");
    let framebuffer = display.framebuffer();
    let mut subscription = framebuffer.subscribe(|| {});
    // Everything is damaged at first.
    subscription.take(&mut framebuffer.no_damage());
    let mut model = Model::new(size);
    for _ in 0..64 {
        if input.is_empty() {
            break;
        }
        let call = call(input)?;
        let before = model.clone();
        let mut damage = framebuffer.no_damage();
        let answered = said(apply(&call.request(), framebuffer, display.pointer(), &mut damage));
        assert_eq!(answered, model.apply(&call.request()), "{}", call.request().call());

        let mut shown = Vec::new();
        framebuffer.read(size.clip(0, 0, size.width, size.height), &mut shown);
        assert!(shown == model.bytes(), "the picture differs after {}", call.request().call());
        framebuffer.publish(&mut damage);
        assert!(damage.is_empty(), "what was published is not kept");
        subscription.take(&mut damage);
        let rows: Vec<_> = damage.rows().collect();
        let width = size.width as usize;
        for y in 0..size.height {
            let row = y as usize * width..(y as usize + 1) * width;
            let is_damaged = rows.iter().any(|rows| rows.contains(&y));
            assert!(is_damaged || before.pixels[row.clone()] == model.pixels[row], "row {y} has changed");
        }
        let touched = touched(&call.request(), size);
        for rows in &rows {
            assert!(
                !rows.is_empty() && rows.start >= touched.start && rows.end <= touched.end,
                "{rows:?} of {touched:?}"
            );
        }
        let mut copied = vec![0; width * 4];
        for y in 0..size.height {
            framebuffer.copy_rows(y..y + 1, &mut copied);
            assert!(copied == shown[y as usize * width * 4..][..width * 4], "row {y} is copied as it is");
        }
    }
    Ok(())
}

/// Returns the rows from the first to the last that a call may draw on.
fn touched(request: &Request<'_>, size: Size) -> std::ops::Range<u32> {
    let rows = |y: i32, height: u32| size.clip(0, y, 1, height).rows();
    match *request {
        Request::DrawPixel { y, .. } | Request::AddPixel { y, .. } => rows(y, 1),
        Request::DrawPixels { pixels } | Request::AddPixels { pixels } => {
            let inside = pixels.iter().map(|(_, y, _)| rows(y, 1)).filter(|rows| !rows.is_empty());
            inside.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)).unwrap_or(0..0)
        }
        Request::FillRect { y, height, .. } | Request::PutImage { y, height, .. } => rows(y, height),
        Request::Clear { .. } => 0..size.height,
        _ => 0..0,
    }
}
