//! `cargo bench -p benches --bench codec`: the cost of writing and reading messages, through the two state machines.
//!
//! Writing is the client's `call` and reading is the server's `handle_input`, and the reverse for answers, so each
//! figure includes the machine's own bookkeeping; a request is acknowledged and not executed.

use benches::conversation::{Conversation, Server, draw_nothing, recorded};
use benches::pictures::{self, BATCH, SIZE};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use draw_protocol::{Answer, Pixel, Request, Scan, Size, limits};
use std::hint::black_box;

fn draw_pixel(pixel: &Pixel) -> Request<'static> {
    Request::DrawPixel { x: pixel.x.into(), y: pixel.y.into(), color: pixel.color }
}

fn put_image(rgba: &[u8]) -> Request<'_> {
    Request::PutImage { x: 0, y: 0, width: SIZE.width, height: SIZE.height, rgba }
}

const GET_IMAGE: Request<'_> = Request::GetImage { x: 0, y: 0, width: SIZE.width, height: SIZE.height };

/// Returns a conversation after some calls, so that buffers have reached their size.
fn warm() -> Conversation {
    let mut conversation = Conversation::new();
    for pixel in &pictures::square(BATCH) {
        conversation.client.call(&draw_pixel(pixel));
    }
    conversation.carry(draw_nothing);
    conversation
}

fn requests(c: &mut Criterion) {
    let (pixels, image) = (pictures::square(BATCH), pictures::image(SIZE));
    let singles: Vec<_> = pixels.iter().map(draw_pixel).collect();
    let works = [
        ("1,000 x draw_pixel", Throughput::Elements(BATCH as u64), singles),
        (
            "draw_pixels of 1,000",
            Throughput::Elements(BATCH as u64),
            vec![Request::DrawPixels { pixels: (&pixels[..]).into() }],
        ),
        ("put_image of 640x480", Throughput::Bytes(image.len() as u64), vec![put_image(&image)]),
    ];
    for (name, throughput, requests) in works {
        let mut group = c.benchmark_group(name);
        group.throughput(throughput);
        group.bench_function("encode", |b| {
            b.iter_batched_ref(
                || warm().client,
                |client| {
                    requests.iter().for_each(|request| client.call(request));
                    client.send(|bytes| _ = black_box(bytes));
                },
                BatchSize::SmallInput,
            );
        });
        let bytes = recorded(requests.iter().copied());
        group.bench_function("decode", |b| {
            b.iter_batched_ref(
                || Conversation::new().server,
                |server| {
                    server.take(&bytes, |request| draw_nothing(black_box(request)));
                    server.send(|bytes| _ = black_box(bytes));
                },
                BatchSize::SmallInput,
            );
        });
        group.finish();
    }
}

/// Returns a client that has asked for an image, and the server that has received the first band. (Each band is a
/// request.)
fn asked() -> Conversation {
    let mut conversation = Conversation::new();
    let Conversation { client, server } = &mut conversation;
    client.call(&GET_IMAGE);
    client.send(|bytes| server.take_one(bytes));
    conversation
}

/// Rows per band.
const ROWS: u32 = (limits::BAND / (SIZE.width as usize * 4)) as u32;

fn answers(c: &mut Criterion) {
    let image = pictures::image(Size { height: ROWS, ..SIZE });
    let mut group = c.benchmark_group("answer to get_image, one band");
    group.throughput(Throughput::Bytes(image.len() as u64));
    let answer = |server: &mut Server, image: Vec<u8>| server.answer(Ok(Answer::Image(image)));
    group.bench_function("encode", |b| {
        b.iter_batched_ref(
            || (asked().server, image.clone()),
            |(server, image)| {
                answer(server, std::mem::take(image));
                server.send(|bytes| _ = black_box(bytes));
            },
            BatchSize::PerIteration,
        );
    });
    let mut bytes = Vec::new();
    let mut server = asked().server;
    answer(&mut server, image);
    server.send(|all| bytes.extend_from_slice(all));
    group.bench_function("decode", |b| {
        b.iter_batched_ref(|| asked().client, |client| client.take(&bytes), BatchSize::PerIteration);
    });
    group.finish();
}

fn scan(c: &mut Criterion) {
    let stream = recorded(pictures::square(BATCH).iter().map(draw_pixel));
    let mut group = c.benchmark_group("1,000 x draw_pixel");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("scan", |b| {
        b.iter(|| {
            let (mut rest, mut messages) = (black_box(&stream[..]), 0);
            while let Some(end) = Scan::default().run(rest, limits::MESSAGE).expect("messages in order") {
                rest = &rest[end..];
                messages += 1;
            }
            assert_eq!(messages, BATCH);
        });
    });
    group.finish();
}

criterion_group!(codec, requests, answers, scan);
criterion_main!(codec);
