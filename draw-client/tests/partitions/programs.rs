//! The calls that programs make while the network fails, and the picture of a display if each was executed once, in
//! order.

use crate::world::World;
use display_server::Display as Screen;
use draw_client::limits;
use draw_client::{
    Call, Color, ConnectOptions, Display, Error, LateError, Outcome, Reply, Status, digest_of_image,
};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

/// The longest real time that a thread for callbacks may take.
const WALL: Duration = Duration::from_secs(20);

/// The row of the display whose pixels count.
pub(crate) const COUNTS: i32 = 47;

/// Adds one to a count and keeps the color opaque.
pub(crate) const ONE: u32 = 0x100;

/// A program, which makes calls from its start on, for some seconds if nothing fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// Draws and counts without waiting, with failing calls and questions in between.
    Loop,
    /// Counts, and waits for each call.
    Lone,
    /// Draws an image of many bands, again and again.
    Image,
}

pub(crate) const PROGRAMS: [Program; 3] = [Program::Loop, Program::Lone, Program::Image];

/// The results of a program, and the calls that it made.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The errors of calls that the program made or awaited.
    pub(crate) errors: Vec<Error>,
    /// The numbers of the accepted calls that the display has to reject.
    pub(crate) failing: Vec<u64>,
    /// The numbers of the accepted calls that count; and the number of those that were awaited and succeeded.
    pub(crate) counted: Vec<u64>,
    pub(crate) certain: u32,
    /// If true, the display may be replaced during the run, and earlier drawings may be lost.
    pub(crate) may_lose: bool,
    /// The errors and statuses that callbacks received.
    pub(crate) late: Vec<LateError>,
    pub(crate) statuses: Vec<Status>,
}

impl Told {
    /// Returns the numbers of the calls that callbacks received.
    pub(crate) fn late_numbers(&self) -> Vec<u64> {
        self.late.iter().flat_map(|late| late.calls().map(|call| call.number())).collect()
    }

    /// Returns the calls that were lost with the connection: the outcome of each is unknown, and each is named once.
    pub(crate) fn lost(&self) -> Vec<Call> {
        let numbers = self.late_numbers();
        assert!(numbers.is_sorted_by(|one, next| one < next), "each once, in order: {numbers:?}");
        self.named(|late| late.outcome() == Outcome::Unknown)
    }

    fn named(&self, is_wanted: impl Fn(&LateError) -> bool) -> Vec<Call> {
        let late = self.late.iter().filter(|late| is_wanted(late));
        late.flat_map(|late| late.calls().map(|call| call.call())).collect()
    }

    /// Checks that the displays have counted, in total and at this pixel, all calls except unsent ones and some with an
    /// unknown outcome, and none twice.
    pub(crate) fn assert_count(&self, world: &World, at: i32) {
        let counts = |call: &&Call| matches!(call, Call::AddPixel { y: COUNTS, .. });
        let lost = self.lost().iter().filter(counts).count() as u32;
        let unsent = self.named(|late| late.error().is_disconnected() && late.outcome() == Outcome::Rejected);
        let unsent = unsent.iter().filter(counts).count() as u32;
        let awaited = self.errors.iter().filter(|error| error.outcome() == Outcome::Unknown).count() as u32;
        let count: u32 = world.screens().iter().map(|screen| count_of(screen, at)).sum();
        let made = self.counted.len() as u32 - unsent;
        assert!((self.certain..=made).contains(&count), "{count} of {made}, {} certain", self.certain);
        assert!(count + lost + awaited >= made, "{count} of {made}, {lost} lost, {awaited} awaited");
    }

    /// Checks that only the calls that had to fail did.
    pub(crate) fn assert_whole(&self) {
        assert!(self.errors.is_empty(), "{:?}", self.errors);
        assert_eq!(self.late_numbers(), self.failing, "each once, in order");
        assert!(self.late.iter().all(|late| late.fault().is_some()), "{:?}", self.late);
    }
}

/// What callbacks receive, passed to the program's thread, since their own thread cannot make calls.
pub(crate) struct Ears {
    late: Receiver<LateError>,
    statuses: Receiver<Status>,
}

impl Ears {
    /// Sets the callbacks of a connection.
    pub(crate) fn lend(options: ConnectOptions) -> (ConnectOptions, Ears) {
        fn tell<T: Send + 'static>(to: Sender<T>) -> impl FnMut(T) + Send {
            // (The receiver is dropped if the test has failed.)
            move |heard| _ = to.send(heard)
        }
        let ((to_late, late), (to_statuses, statuses)) = (mpsc::channel(), mpsc::channel());
        (options.on_error(tell(to_late)).on_status(tell(to_statuses)), Ears { late, statuses })
    }

    /// Waits for the next status.
    pub(crate) fn status(&self) -> Status {
        self.statuses.recv_timeout(WALL).expect("a status is told")
    }

    /// Returns a status that has already arrived.
    pub(crate) fn heard(&self) -> Option<Status> {
        self.statuses.try_recv().ok()
    }

    /// Drops the display and collects everything that is reported until the end of the connection.
    pub(crate) async fn close(self, display: Display, told: &mut Told) {
        drop(display);
        // The time in which accepted calls may still be sent.
        tokio::time::sleep(limits::FAREWELL + Duration::from_secs(1)).await;
        fn all<T>(from: &Receiver<T>) -> Vec<T> {
            let mut all = Vec::new();
            loop {
                match from.recv_timeout(WALL) {
                    Ok(one) => all.push(one),
                    Err(mpsc::RecvTimeoutError::Disconnected) => return all,
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        panic!("the connection does not end: {} told", all.len())
                    }
                }
            }
        }
        told.late.extend(all(&self.late));
        told.statuses.extend(all(&self.statuses));
    }
}

/// Returns a color that identifies a step of a loop.
fn color(step: i32) -> Color {
    Color::from_u32((step as u32).wrapping_mul(0x9e_3779) << 8 | 0xff)
}

/// Returns the pixel of a step of the loop, in a row of its own: later steps draw over earlier ones, many times.
fn place(step: i32, row: i32) -> (i32, i32) {
    (step % 16, row)
}

/// Returns the color of a pixel after its step: drawn, and then added to.
fn drawn(step: i32) -> Color {
    Color::from_u32(color(step).to_u32().wrapping_add(ONE * (step % 7) as u32))
}

/// Draws, adds, fails and asks, `steps` times, in a row and at a counter of its own.
pub(crate) async fn scribble(display: &Display, row: i32, steps: i32, pause: Duration, told: &mut Told) {
    for step in 0..steps {
        let (x, y) = place(step, row);
        keep(&mut told.errors, display.draw_pixel(x, y, color(step)).await.map(|_| ()));
        keep(&mut told.errors, display.add_pixel(x, y, ONE * (step % 7) as u32).await.map(|_| ()));
        let counted = display.add_pixel(row, COUNTS, ONE).await.map(|reply| reply.number());
        told.counted.extend(keep(&mut told.errors, counted));
        if step % 10 == 9 {
            let refused = display.draw_pixel(700, step, Color::RED).await.map(|reply| reply.number());
            told.failing.extend(keep(&mut told.errors, refused));
        }
        if step % 25 == 24
            && let Some(shown) = keep(&mut told.errors, display.get_pixel(x, y).await)
        {
            assert!(told.may_lose || shown == drawn(step), "step {step} of row {row}: {shown}");
        }
        tokio::time::sleep(pause).await;
    }
    reach_the_display(display, told).await;
}

/// Waits until all calls are executed, or known to be lost, for as long as that takes.
async fn reach_the_display(display: &Display, told: &mut Told) {
    while let Err(error) = display.sync().await {
        let may_come = matches!(error, Error::Timeout { .. });
        told.errors.push(error);
        if !may_come {
            return;
        }
    }
}

/// Checks that the display shows the result of [`scribble`].
pub(crate) fn assert_scribbled(world: &World, row: i32, steps: i32, told: &Told) {
    for step in steps - 16..steps {
        let (x, y) = place(step, row);
        assert_eq!(world.shown(x, y), drawn(step), "step {step} of row {row}");
    }
    assert_eq!(count(world, row), told.counted.len() as u32, "each once, of row {row}");
}

/// Returns the count at a pixel.
pub(crate) fn count(world: &World, at: i32) -> u32 {
    count_of(&world.screen(), at)
}

pub(crate) fn count_of(screen: &Screen, at: i32) -> u32 {
    let shown = screen.framebuffer().get_pixel(at, COUNTS).expect("it lies inside");
    (shown.to_u32() - Color::BLACK.to_u32()) / ONE
}

fn keep<T>(errors: &mut Vec<Error>, result: Result<T, Error>) -> Option<T> {
    result.map_err(|error| errors.push(error)).ok()
}

/// Waits for a call, and, after a timeout, for its outcome.
async fn finish(display: &Display, mut reply: Reply<'_>, told: &mut Told) -> bool {
    let mut result = (&mut reply).await;
    if let Err(Error::Timeout { outcome: Outcome::Unknown, .. }) = result {
        keep(&mut told.errors, result);
        reach_the_display(display, told).await;
        result = reply.await;
    }
    keep(&mut told.errors, result).is_some()
}

/// Counts and waits for each call, `times` times.
async fn count_alone(display: &Display, times: u32, told: &mut Told) {
    for _ in 0..times {
        let Some(reply) = keep(&mut told.errors, display.add_pixel(0, COUNTS, ONE).await) else { continue };
        told.counted.push(reply.number());
        told.certain += u32::from(finish(display, reply, told).await);
    }
}

/// The side of the display and of the image that covers it.
pub(crate) const SIDE: u32 = 480;

fn image(turn: u8) -> Vec<u8> {
    (0..SIDE * SIDE * 4).map(|i| (i / 7) as u8 ^ turn).collect()
}

/// These numbers put a program in the middle of its calls 700 ms after its start.
const STEPS: i32 = 300;
const TIMES: u32 = 60;
const TURNS: u8 = 4;
const BEFORE_IMAGES: Duration = Duration::from_millis(640);

/// Runs a program to its end.
pub(crate) async fn run(program: Program, display: &Display, told: &mut Told) {
    match program {
        Program::Loop => scribble(display, 0, STEPS, Duration::from_millis(5), told).await,
        Program::Lone => count_alone(display, TIMES, told).await,
        Program::Image => {
            tokio::time::sleep(BEFORE_IMAGES).await;
            for turn in 0..TURNS {
                let reply = loop {
                    match display.put_image(0, 0, SIDE, SIDE, &image(turn)).await {
                        // Until now the calls before it have used all of the credit.
                        Err(error @ Error::Timeout { outcome: Outcome::Rejected, .. }) => {
                            told.errors.push(error);
                        }
                        reply => break keep(&mut told.errors, reply),
                    }
                };
                if let Some(reply) = reply {
                    finish(display, reply, told).await;
                }
            }
        }
    }
}

/// Checks that the display shows the result of a program.
pub(crate) fn assert_shown(program: Program, world: &World, told: &Told) {
    match program {
        Program::Loop => assert_scribbled(world, 0, STEPS, told),
        Program::Lone => assert_eq!(count(world, 0), told.counted.len() as u32, "each once"),
        Program::Image => {
            let screen = world.screen();
            let at = |i: u32| screen.framebuffer().get_pixel((i % SIDE) as i32, (i / SIDE) as i32);
            let shown: Vec<_> =
                (0..SIDE * SIDE).flat_map(|i| at(i).expect("it lies inside").to_bytes()).collect();
            assert_eq!(digest_of_image(&shown), digest_of_image(&image(TURNS - 1)));
        }
    }
}
