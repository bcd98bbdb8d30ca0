//! `cargo bench -p benches --bench framebuffer`: the cost of drawing once a request has been read.

use benches::pictures::{self, BATCH, SIZE};
use benches::screen::Screen;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use display_server::{Area, Color};
use draw_protocol::Size;
use std::hint::black_box;

/// The same areas in every form, so that figures per pixel can be compared: the size of a batch of pixels, and the
/// whole display.
const SIZES: [Size; 2] = [Size { width: 40, height: 25 }, SIZE];

fn pixels_of(size: Size) -> Throughput {
    Throughput::Elements(u64::from(size.width) * u64::from(size.height))
}

fn runs(c: &mut Criterion) {
    let mut group = c.benchmark_group("draw_run of 1,000");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, pixels) in
        [("neighbouring", pictures::display(pictures::BATCH)), ("random", pictures::scattered())]
    {
        let (run, mut screen, mut at) = (pictures::run(&pixels), Screen::new(), 0);
        let batches: Vec<_> = run.chunks_exact(run.len() / (pixels.len() / BATCH)).collect();
        group.bench_function(name, |b| {
            b.iter(|| {
                let Screen { framebuffer, damage, .. } = &mut screen;
                framebuffer.draw_run(batches[at], damage, |i, pixel| {
                    unreachable!("pixel {i}, {pixel:?}, lies inside");
                });
                // A different part of the display each time, as in a program that draws a picture.
                at = (at + 1) % batches.len();
            });
        });
    }
    group.finish();
}

fn areas(c: &mut Criterion) {
    for size in SIZES {
        let Size { width, height } = size;
        let mut group = c.benchmark_group(size.to_string());
        group.throughput(pixels_of(size));
        let mut screen = Screen::new();
        let Screen { framebuffer, damage, .. } = &mut screen;
        let image = pictures::image(size);
        group.bench_function("put_image", |b| {
            b.iter(|| framebuffer.put_image((0, 0), (width, height), black_box(&image), damage));
        });
        group.bench_function("fill_rect", |b| {
            b.iter(|| framebuffer.fill_rect((0, 0), (width, height), black_box(Color::RED), damage));
        });
        if size == SIZE {
            group.bench_function("clear", |b| b.iter(|| framebuffer.clear(black_box(Color::RED), damage)));
        }
        let mut out = Vec::new();
        group.bench_function("read", |b| {
            b.iter(|| {
                out.clear();
                framebuffer.read(Area { x: 0, y: 0, width, height }, &mut out);
                black_box(&out);
            });
        });
        group.finish();
    }
}

fn damage(c: &mut Criterion) {
    let mut group = c.benchmark_group("publish and take");
    for (name, height) in [("one row", 1), ("all rows", SIZE.height)] {
        let mut screen = Screen::new();
        let mut subscription = screen.framebuffer.subscribe(|| {});
        let mut taken = screen.framebuffer.no_damage();
        group.bench_function(name, |b| {
            b.iter(|| {
                screen.framebuffer.fill_rect((0, 0), (1, height), Color::RED, &mut screen.damage);
                screen.publish();
                subscription.take(black_box(&mut taken));
            });
        });
    }
    group.finish();
}

criterion_group!(framebuffer, runs, areas, damage);
criterion_main!(framebuffer);
