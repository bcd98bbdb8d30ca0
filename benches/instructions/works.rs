//! The table of works.

use crate::far::Far;
use benches::conversation::{Client, Conversation, Server, draw_nothing};
use benches::pictures::{self, BATCH};
use benches::screen::Screen;
use display_server::Area;
use draw_client::{Color, ConnectOptions, Display, Pixel};
use draw_protocol::{Answer, Fault, Request, Size, limits};
use std::hint::black_box;
use std::sync::atomic::Ordering::Relaxed;
use tokio::runtime::Builder;

/// The number of rounds that a work prepares for, regardless of the number requested.
pub(crate) const MOST_ROUNDS: u64 = 10;

/// Calls per round, where the unit is a call.
const CALLS: usize = 80 * AT_ONCE;

/// Calls between two writes: the number that tokio lets a loop make before other tasks run, so about what the
/// asynchronous client writes at once.
const AT_ONCE: usize = 128;

/// Batches per round, each of [`BATCH`] pixels.
const BATCHES: usize = 20;

/// The rectangle of a round, inside a larger display.
const AREA: Size = Size { width: 320, height: 240 };

/// The part of a work that is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    /// All instructions.
    All,
    /// The part outside [`far`](crate::far)'s `far_end`: the client.
    Near,
    /// The part inside it: the server.
    Far,
}

impl Part {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Part::All => "all",
            Part::Near => "near",
            Part::Far => "far",
        }
    }
}

/// One line of the table.
pub(crate) struct Work {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) part: Part,
    /// Does this many rounds. Returns the number of units done.
    pub(crate) run: fn(u64) -> u64,
}

const fn work(name: &'static str, unit: &'static str, part: Part, run: fn(u64) -> u64) -> Work {
    Work { name, unit, part, run }
}

pub(crate) const WORKS: &[Work] = &[
    // The codec, inside the machines that use it.
    work("encode_draw_pixels", "pixel", Part::All, encode_draw_pixels),
    work("decode_draw_pixels", "pixel", Part::All, decode_draw_pixels),
    // The execution of a request.
    work("draw_run", "pixel", Part::All, draw_run),
    work("put_image", "pixel", Part::All, put_image),
    work("fill_rect", "pixel", Part::All, fill_rect),
    work("read", "pixel", Part::All, read),
    // One machine alone, and the server's machine including the execution.
    work("client_machine_draw_pixel", "call", Part::All, client_machine),
    work("server_machine_draw_pixel", "call", Part::All, server_machine),
    work("server_machine_draw_pixels", "call", Part::All, server_machine_batches),
    work("server_machine_draw_pixel_drawn", "call", Part::All, server_machine_drawn),
    // The same in a session.
    work("client_machine_draw_pixel_session", "call", Part::All, client_machine_session),
    work("server_machine_draw_pixel_session", "call", Part::All, server_machine_session),
    work("server_machine_draw_pixels_session", "call", Part::All, server_machine_batches_session),
    // The same with a check before each message.
    work("encode_draw_pixels_checked", "pixel", Part::All, encode_draw_pixels_checked),
    work("client_machine_draw_pixel_checked", "call", Part::All, client_machine_checked),
    work("server_machine_draw_pixel_checked", "call", Part::All, server_machine_checked),
    work("server_machine_draw_pixels_checked", "call", Part::All, server_machine_batches_checked),
    // The asynchronous client as a program uses it, and the cost of its calls in the server's machine.
    work("client_loop", "call", Part::Near, client_loop),
    work("client_batches", "pixel", Part::Near, client_batches),
    work("client_one_by_one", "call", Part::Near, client_one_by_one),
    // (Not of the loop: the number of its calls that are sent together depends on timing.)
    work("client_one_by_one_server", "call", Part::Far, client_one_by_one),
];

fn draw_pixel(pixel: &Pixel) -> Request<'static> {
    Request::DrawPixel { x: pixel.x.into(), y: pixel.y.into(), color: pixel.color }
}

fn draw_pixels(pixels: &[Pixel]) -> Request<'_> {
    Request::DrawPixels { pixels: pixels.into() }
}

/// Returns the number of repetitions in `rounds` rounds of `each`.
fn times(rounds: u64, each: usize) -> usize {
    rounds as usize * each
}

/// Returns the bytes that a client sends in each round if it repeats these calls, `each` of them per round, each in its
/// own message.
fn sent<'r>(each: usize, requests: &[Request<'r>]) -> Vec<Vec<u8>> {
    sent_by(Conversation::new().client, each, requests)
}

fn sent_by<'r>(mut client: Client, each: usize, requests: &[Request<'r>]) -> Vec<Vec<u8>> {
    let mut requests = requests.iter().cycle();
    let round = |_| {
        for request in requests.by_ref().take(each) {
            client.call(request);
            // Messages that have been handed over are not merged with later ones.
            client.unsent();
        }
        let mut bytes = Vec::new();
        client.send(|sent| bytes.extend_from_slice(sent));
        bytes
    };
    (0..MOST_ROUNDS).map(round).collect()
}

/// Passes the sent bytes to a server, in pieces of the size of its reads, and answers them.
fn served(sent: &[Vec<u8>], execute: impl FnMut(&Request<'_>) -> Result<Answer, Fault>) -> u64 {
    served_by(Conversation::new().server, sent, execute)
}

fn served_by(
    mut server: Server,
    sent: &[Vec<u8>],
    mut execute: impl FnMut(&Request<'_>) -> Result<Answer, Fault>,
) -> u64 {
    let mut executed = 0;
    for bytes in sent.iter().flat_map(|bytes| bytes.chunks(limits::READ)) {
        server.take(bytes, |request| {
            executed += 1;
            execute(black_box(request))
        });
        server.send(|bytes| _ = black_box(bytes));
    }
    assert_eq!(server.faults(), 0, "all was in order");
    executed
}

fn encode_draw_pixels(rounds: u64) -> u64 {
    encode_draw_pixels_of(Conversation::new().client, rounds)
}

fn encode_draw_pixels_checked(rounds: u64) -> u64 {
    encode_draw_pixels_of(Conversation::with_checks().client, rounds)
}

fn encode_draw_pixels_of(mut client: Client, rounds: u64) -> u64 {
    let pixels = pictures::square(BATCH);
    let batches = times(rounds, BATCHES);
    for _ in 0..batches {
        client.call(&draw_pixels(black_box(&pixels)));
        client.send(|bytes| _ = black_box(bytes));
    }
    (batches * BATCH) as u64
}

fn decode_draw_pixels(rounds: u64) -> u64 {
    let pixels = pictures::square(BATCH);
    let sent = sent(BATCHES, &[draw_pixels(&pixels)]);
    let mut decoded = 0;
    served(&sent[..rounds as usize], |request| {
        if let Request::DrawPixels { pixels } = request {
            decoded += pixels.iter().map(black_box).count() as u64;
        }
        Ok(Answer::Done(()))
    });
    decoded
}

fn draw_run(rounds: u64) -> u64 {
    let (run, mut screen) = (pictures::run(&pictures::square(BATCH)), Screen::new());
    let batches = times(rounds, BATCHES);
    for _ in 0..batches {
        screen.framebuffer.draw_run(black_box(&run), &mut screen.damage, |i, pixel| {
            unreachable!("pixel {i}, {pixel:?}, lies inside");
        });
    }
    (batches * BATCH) as u64
}

/// Processes a rectangle once a round. Returns the number of pixels.
fn areas(rounds: u64, mut once: impl FnMut(&mut Screen, Area)) -> u64 {
    let mut screen = Screen::new();
    let Size { width, height } = AREA;
    for _ in 0..rounds {
        once(&mut screen, black_box(Area { x: 1, y: 1, width, height }));
    }
    rounds * u64::from(width) * u64::from(height)
}

fn put_image(rounds: u64) -> u64 {
    let image = pictures::image(AREA);
    areas(rounds, |Screen { framebuffer, damage, .. }, Area { width, height, .. }| {
        framebuffer.put_image((1, 1), (width, height), black_box(&image), damage);
    })
}

fn fill_rect(rounds: u64) -> u64 {
    areas(rounds, |Screen { framebuffer, damage, .. }, Area { width, height, .. }| {
        framebuffer.fill_rect((1, 1), (width, height), black_box(Color::RED), damage);
    })
}

fn read(rounds: u64) -> u64 {
    let mut out = Vec::new();
    areas(rounds, |Screen { framebuffer, .. }, area| {
        out.clear();
        framebuffer.read(area, &mut out);
        black_box(&out);
    })
}

fn client_machine(rounds: u64) -> u64 {
    client_machine_of(Conversation::new, rounds)
}

fn client_machine_session(rounds: u64) -> u64 {
    client_machine_of(Conversation::in_session, rounds)
}

fn client_machine_checked(rounds: u64) -> u64 {
    client_machine_of(Conversation::with_checks, rounds)
}

fn client_machine_of(begin: fn() -> Conversation, rounds: u64) -> u64 {
    let requests: Vec<_> = pictures::square(CALLS).iter().map(draw_pixel).collect();
    // The answers of a server, recorded beforehand so that only the client is counted.
    let mut recording = begin();
    let mut answers = Vec::new();
    for _ in 0..MOST_ROUNDS {
        for requests in requests.chunks(AT_ONCE) {
            requests.iter().for_each(|request| recording.client.call(request));
            recording.client.send(|bytes| recording.server.take(bytes, draw_nothing));
            recording.server.send(|bytes| answers.push(bytes.to_vec()));
        }
    }
    let mut client = begin().client;
    let mut answers = answers.iter();
    for _ in 0..rounds {
        for (requests, answer) in requests.chunks(AT_ONCE).zip(&mut answers) {
            requests.iter().for_each(|request| client.call(black_box(request)));
            client.send(|bytes| _ = black_box(bytes));
            client.take(answer);
        }
    }
    assert_eq!(client.in_flight(), 0, "all was answered");
    times(rounds, CALLS) as u64
}

/// Returns the requests of a round of single pixels.
fn singles() -> Vec<Vec<u8>> {
    singles_of(Conversation::new().client)
}

fn singles_of(client: Client) -> Vec<Vec<u8>> {
    let requests: Vec<_> = pictures::square(CALLS).iter().map(draw_pixel).collect();
    sent_by(client, CALLS, &requests)
}

fn server_machine(rounds: u64) -> u64 {
    served(&singles()[..rounds as usize], draw_nothing)
}

fn server_machine_session(rounds: u64) -> u64 {
    served_by(Conversation::in_session().server, &singles()[..rounds as usize], draw_nothing)
}

fn server_machine_checked(rounds: u64) -> u64 {
    let Conversation { client, server } = Conversation::with_checks();
    served_by(server, &singles_of(client)[..rounds as usize], draw_nothing)
}

fn server_machine_batches_checked(rounds: u64) -> u64 {
    let (pixels, Conversation { client, server }) = (pictures::square(BATCH), Conversation::with_checks());
    served_by(server, &sent_by(client, BATCHES, &[draw_pixels(&pixels)])[..rounds as usize], draw_nothing)
}

fn server_machine_drawn(rounds: u64) -> u64 {
    let mut screen = Screen::new();
    served(&singles()[..rounds as usize], |request| screen.execute(request))
}

fn server_machine_batches(rounds: u64) -> u64 {
    let pixels = pictures::square(BATCH);
    served(&sent(BATCHES, &[draw_pixels(&pixels)])[..rounds as usize], draw_nothing)
}

fn server_machine_batches_session(rounds: u64) -> u64 {
    let pixels = pictures::square(BATCH);
    let sent = sent(BATCHES, &[draw_pixels(&pixels)]);
    served_by(Conversation::in_session().server, &sent[..rounds as usize], draw_nothing)
}

/// Draws `pixels` pixels through the asynchronous client. Returns their number.
fn client(pixels: usize, draw: impl AsyncFnOnce(&Display) -> draw_client::Result<()>) -> u64 {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let (far, drawn) = Far::new();
    let drawing = async {
        let display = ConnectOptions::new().over(far).await?;
        draw(&display).await?;
        display.close().await
    };
    runtime.block_on(drawing).expect("a display that takes everything");
    assert_eq!(drawn.load(Relaxed), pixels as u64, "pixels that were drawn");
    pixels as u64
}

fn client_loop(rounds: u64) -> u64 {
    let pixels = pictures::square(CALLS);
    client(times(rounds, CALLS), async |display| {
        for pixel in (0..rounds).flat_map(|_| &pixels) {
            display.draw_pixel(pixel.x.into(), pixel.y.into(), pixel.color).await?;
        }
        Ok(())
    })
}

fn client_one_by_one(rounds: u64) -> u64 {
    let pixels = pictures::square(CALLS);
    client(times(rounds, CALLS), async |display| {
        for pixel in (0..rounds).flat_map(|_| &pixels) {
            display.draw_pixel(pixel.x.into(), pixel.y.into(), pixel.color).await?.await?;
        }
        Ok(())
    })
}

fn client_batches(rounds: u64) -> u64 {
    let pixels = pictures::square(BATCH);
    client(times(rounds, BATCHES * BATCH), async |display| {
        for _ in 0..times(rounds, BATCHES) {
            display.draw_pixels(&pixels).await?;
        }
        Ok(())
    })
}
