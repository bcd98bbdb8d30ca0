//! `cargo bench -p benches --bench machines`: the cost of a whole conversation without a network, with the client's
//! state machine and the server's in one thread.

use benches::conversation::{Conversation, draw_nothing};
use benches::pictures::{self, BATCH};
use benches::screen::Screen;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use draw_protocol::{Answer, Fault, Request};

type Execute<'e> = &'e mut dyn FnMut(&Request<'_>) -> Result<Answer, Fault>;

/// Draws the same pixels in each way, executed by `execute`.
fn ways(c: &mut Criterion, name: &str, execute: Execute<'_>) {
    let pixels = pictures::square(BATCH);
    let singles = pixels.iter().map(|pixel| Request::DrawPixel {
        x: pixel.x.into(),
        y: pixel.y.into(),
        color: pixel.color,
    });
    let singles: Vec<_> = singles.collect();
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(BATCH as u64));
    let mut conversation = Conversation::new();
    group.bench_function("draw_pixel, one by one", |b| {
        b.iter(|| {
            for request in &singles {
                conversation.client.call(request);
                conversation.carry(&mut *execute);
            }
        });
    });
    group.bench_function("draw_pixel, 1,000 at once", |b| {
        b.iter(|| {
            singles.iter().for_each(|request| conversation.client.call(request));
            conversation.carry(&mut *execute);
        });
    });
    group.bench_function("draw_pixels of 1,000", |b| {
        b.iter(|| {
            conversation.client.call(&Request::DrawPixels { pixels: (&pixels[..]).into() });
            conversation.carry(&mut *execute);
        });
    });
    group.finish();
    assert_eq!((conversation.client.in_flight(), conversation.server.faults()), (0, 0), "all was drawn");
}

fn alone(c: &mut Criterion) {
    ways(c, "1,000 pixels, not drawn", &mut draw_nothing);
}

fn drawn(c: &mut Criterion) {
    let mut screen = Screen::new();
    ways(c, "1,000 pixels, drawn", &mut |request| screen.execute(request));
}

criterion_group!(machines, alone, drawn);
criterion_main!(machines);
