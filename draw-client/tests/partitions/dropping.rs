//! A program that continues to draw while its display is offline, and keeps the newest calls.

use crate::programs::{COUNTS, Ears, ONE, Told, count_of};
use crate::world::{DISPLAY, End, Failure, Network, World};
use draw_client::{Color, ConnectOptions, Display, Error, LateError, Outcome, Picture, Status, WhileOffline};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

const BEGIN: Duration = Duration::from_millis(700);

/// How long the display is offline.
const GONE: Duration = Duration::from_secs(3);

/// The number of drawing calls that the queue holds.
const ROOM: u32 = 65_536;

/// Returns the color that is drawn in a turn.
fn color(turn: u32) -> Color {
    Color::from_u32(turn << 8 | 0xff)
}

/// Counts and draws in turns: before the outage, twice the capacity of the queue during it, and a little after it.
/// Returns the number of turns.
async fn draw(display: &Display, ears: &Ears, told: &mut Told) -> u32 {
    let mut made = 0;
    let mut turn = async || {
        display.add_pixel(0, COUNTS, ONE).await.unwrap();
        display.draw_pixel(1, COUNTS, color(made)).await.unwrap();
        made += 1;
        made
    };
    loop {
        // As many as there is credit for, and more when no answer comes.
        for _ in 0..100 {
            turn().await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        if let Some(status) = ears.heard() {
            assert!(matches!(status, Status::Reconnecting { .. }), "{status}");
            told.statuses.push(status);
            break;
        }
    }
    let since = turmoil::elapsed();
    for _ in 1..ROOM {
        turn().await;
    }
    let last = turn().await - 1;
    assert_eq!(turmoil::elapsed(), since, "without waiting");
    assert_eq!(
        display.get_pixel(1, COUNTS).await.unwrap(),
        color(last),
        "the newest is drawn, and then answered"
    );
    for _ in 0..100 {
        turn().await;
    }
    display.sync().await.unwrap();
    made
}

/// Runs `draw` while `hand` acts on the network, or the display crashes. Returns the world, the results of the program
/// and its number of turns.
fn through(hand: impl AsyncFnOnce(Network) + 'static, crash: bool) -> (World, Told, u32) {
    let mut world = World::new();
    let result = Rc::new(RefCell::new(None));
    let (network, connector, tells) =
        (world.network.clone(), world.network.connector("program"), Rc::clone(&result));
    world.program("program", async move {
        let (options, ears) = Ears::lend(ConnectOptions::new().while_offline(WhileOffline::DropOldest));
        let display = options.through(connector).await.unwrap();
        tokio::task::spawn_local(hand(network));
        let mut told = Told::default();
        let made = draw(&display, &ears, &mut told).await;
        ears.close(display, &mut told).await;
        *tells.borrow_mut() = Some((told, made));
    });
    if crash {
        world.run_until(BEGIN);
        world.sim.crash(DISPLAY);
        world.run_until(BEGIN + GONE);
        world.sim.bounce(DISPLAY);
    }
    world.run();
    let (told, made) = result.take().unwrap();
    (world, told, made)
}

/// Checks that every call was drawn once, or dropped, or has an unknown outcome, and that all of this was reported.
fn assert_accounted(world: &World, told: &Told, made: u32) {
    let dropped = told.statuses.iter().find_map(|status| match status {
        Status::Dropped { calls } => Some(*calls),
        _ => None,
    });
    let dropped = dropped.expect("some were dropped");
    assert!(dropped >= u64::from(ROOM), "{dropped}");
    let of = |is_wanted: fn(&LateError) -> bool| -> u64 {
        told.late.iter().filter(|late| is_wanted(late)).map(LateError::total).sum()
    };
    assert_eq!(of(|late| matches!(late.error(), Error::Dropped)), dropped);
    let unknown = of(|late| late.outcome() == Outcome::Unknown);
    assert_eq!(of(|_| true), dropped + unknown, "nothing else has failed");
    let count: u32 = world.screens().iter().map(|screen| count_of(screen, 0)).sum();
    // Every other call counts.
    let missing = u64::from(made - count);
    let (least, most) = (dropped / 2, dropped.div_ceil(2) + unknown.div_ceil(2));
    assert!((least..=most).contains(&missing), "{count} of {made}: {dropped} dropped, {unknown} unknown");
    assert_eq!(world.shown(1, COUNTS), color(made - 1));
}

#[test]
fn calls_that_were_sent_and_never_answered_are_not_among_those_that_are_dropped() {
    for failure in [Failure::LostFromDisplay, Failure::LostToDisplay, Failure::Lost, Failure::Held] {
        let hand = async move |network: Network| {
            tokio::time::sleep(BEGIN).await;
            network.fail(failure, "program");
            // The credit is used up after that time.
            tokio::time::sleep(Duration::from_millis(500)).await;
            network.give_up(End::Program, "program");
            tokio::time::sleep(GONE).await;
            network.heal(failure, "program");
        };
        let (world, told, made) = through(hand, false);
        println!("{failure:?}: {made} turns, {:?}", told.statuses);
        assert!(matches!(told.statuses[..], [.., Status::Dropped { .. }, Status::Resumed]));
        assert!(told.late.iter().all(|late| late.outcome() == Outcome::Rejected));
        assert_accounted(&world, &told, made);
    }
}

#[test]
fn a_display_that_was_started_anew_shows_the_newest_too() {
    let (world, told, made) = through(async |_| {}, true);
    let [.., Status::Dropped { .. }, Status::SessionLost { picture: Picture::Empty, unknown: 1.. }] =
        told.statuses[..]
    else {
        panic!("{:?}", told.statuses)
    };
    assert_accounted(&world, &told, made);
}

#[test]
fn a_call_that_waits_for_credit_when_the_connection_is_lost_fails_at_once_if_that_is_wanted() {
    let mut world = World::new();
    let network = world.network.clone();
    world.program("program", async move {
        let options = ConnectOptions::new().while_offline(WhileOffline::Fail).on_error(|_| {});
        let display = options.through(network.connector("program")).await.unwrap();
        network.fail(Failure::LostFromDisplay, "program");
        tokio::task::spawn_local(async move {
            tokio::time::sleep(BEGIN).await;
            network.give_up(End::Program, "program");
            network.heal(Failure::LostFromDisplay, "program");
        });
        let error = loop {
            if let Err(error) = display.add_pixel(0, COUNTS, ONE).await {
                break error;
            }
        };
        assert!(matches!(error, Error::Offline { .. }), "{error}");
        let at = turmoil::elapsed();
        assert!((BEGIN..BEGIN + Duration::from_millis(50)).contains(&at), "{at:?}");
    });
    world.run();
}
