//! One program, and one outage of some length in the middle of its calls.

use crate::programs::{COUNTS, Ears, ONE, PROGRAMS, Program, SIDE, Told, assert_shown, count, run};
use crate::world::{End, Failure, World};
use draw_client::{ConnectOptions, DisconnectReason, Error, Outcome, Picture, Size, Status};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// The time at which the outage begins: every program is in the middle of its calls.
const BEGIN: Duration = Duration::from_millis(700);

const HOUR: Duration = Duration::from_secs(3_600);

/// The failures that lose packets.
const LOSSES: [Failure; 3] = [Failure::Lost, Failure::LostToDisplay, Failure::LostFromDisplay];

fn patient() -> ConnectOptions {
    ConnectOptions::new().timeout(HOUR).reconnect(HOUR)
}

/// Runs a program through an outage of `seconds` seconds, during which the systems at the ends in `given_up` give the
/// connection up.
fn through(
    options: ConnectOptions,
    program: Program,
    failure: Failure,
    seconds: f64,
    given_up: &'static [End],
) -> (World, Told) {
    through_all(options, program, vec![(failure, seconds)], given_up)
}

/// Runs a program through several outages in sequence.
fn through_all(
    options: ConnectOptions,
    program: Program,
    outages: Vec<(Failure, f64)>,
    given_up: &'static [End],
) -> (World, Told) {
    // Printed if the test fails.
    println!("{program:?}, {outages:?}, given up by {given_up:?}");
    // A long time is simulated in larger steps.
    let step = if outages[0].1 > 10.0 { 20 } else { 5 };
    let mut world = World::with(7, Size { width: SIDE, height: SIDE }, [5, 20], step);
    let network = world.network.clone();
    let hand = async move {
        tokio::time::sleep(BEGIN).await;
        for (failure, seconds) in outages {
            network.fail(failure, "program");
            let until = Duration::from_secs_f64(seconds);
            let given_up_after = (until / 2).min(Duration::from_millis(500));
            tokio::time::sleep(given_up_after).await;
            given_up.iter().for_each(|end| network.give_up(*end, "program"));
            tokio::time::sleep(until - given_up_after).await;
            network.heal(failure, "program");
        }
    };
    let told = Rc::new(RefCell::new(Told::default()));
    let (connector, tells) = (world.network.connector("program"), Rc::clone(&told));
    world.program("program", async move {
        tokio::task::spawn_local(hand);
        let (options, ears) = Ears::lend(options);
        let display = options.through(connector).await.unwrap();
        let mut told = Told::default();
        run(program, &display, &mut told).await;
        assert!(turmoil::elapsed() > BEGIN, "the outage begins in the middle");
        ears.close(display, &mut told).await;
        *tells.borrow_mut() = told;
    });
    world.run();
    (world, told.take())
}

/// Checks that the client reconnected and nothing was lost.
fn assert_resumed(told: &Told) {
    let statuses = &told.statuses[..];
    assert!(matches!(statuses, [Status::Reconnecting { .. }, .., Status::Resumed]), "{statuses:?}");
}

#[test]
fn an_outage_within_the_patience_is_not_noticed() {
    for program in PROGRAMS {
        for seconds in [0.1, 1.0, 10.0] {
            let (world, told) = through(ConnectOptions::new(), program, Failure::Held, seconds, &[]);
            told.assert_whole();
            assert_shown(program, &world, &told);
            for failure in LOSSES.into_iter().chain([Failure::Held]) {
                let (world, told) =
                    through(ConnectOptions::new(), program, failure, seconds, &[End::Program]);
                told.assert_whole();
                assert_shown(program, &world, &told);
                assert_resumed(&told);
            }
        }
    }
}

#[test]
fn nor_is_a_long_one_by_a_patient_program_while_the_display_keeps_the_connection() {
    for program in PROGRAMS {
        for (seconds, failure) in [30.0, 100.0, 300.0].into_iter().zip(LOSSES) {
            let (world, told) = through(patient(), program, failure, seconds, &[End::Program]);
            told.assert_whole();
            assert_shown(program, &world, &told);
            assert_resumed(&told);
        }
    }
}

#[test]
fn nor_if_the_display_gave_it_up_while_the_lease_of_the_session_lasts() {
    for program in PROGRAMS {
        for seconds in [30.0, 100.0] {
            let both = &[End::Program, End::Display];
            let (world, told) = through(patient(), program, Failure::Lost, seconds, both);
            told.assert_whole();
            assert_shown(program, &world, &told);
            assert_resumed(&told);
        }
    }
}

#[test]
fn calls_time_out_when_nothing_is_heard_for_long_and_their_truth_is_told_later() {
    for program in PROGRAMS {
        // (The last call before the outage waits a little longer than the outage lasts.)
        for seconds in [31.0, 100.0, 300.0] {
            let (world, told) = through(ConnectOptions::new(), program, Failure::Held, seconds, &[]);
            assert!(!told.errors.is_empty());
            for error in &told.errors {
                let end = match error.outcome() {
                    Outcome::Unknown => "whether this call was executed is unknown",
                    _ => "this call was not sent",
                };
                assert_eq!(error.to_string(), format!("the display has not answered for 30s; {end}"));
            }
            // All of them were executed, once each.
            assert_eq!(told.late_numbers(), told.failing);
            assert_shown(program, &world, &told);
        }
    }
}

#[test]
fn a_display_that_is_gone_for_longer_than_the_patience_is_given_up() {
    for program in PROGRAMS {
        for seconds in [31.0, 100.0, 300.0] {
            for failure in LOSSES {
                let (world, told) =
                    through(ConnectOptions::new(), program, failure, seconds, &[End::Program]);
                let Some(Status::Disconnected(DisconnectReason::GaveUp { .. })) = told.statuses.last() else {
                    panic!("{:?}", told.statuses);
                };
                let gone =
                    "the connection to the display is lost: the display was offline for 30.0 s: timed out";
                let mut texts: Vec<_> = told.errors.iter().map(Error::to_string).collect();
                texts.dedup();
                let texts: Vec<_> =
                    texts.iter().map(|text| text.strip_prefix(gone).unwrap_or(text)).collect();
                let unknown = "whether this call was executed is unknown";
                let timeout = format!("the display has not answered for 30s; {unknown}");
                let (unknown, not_sent) = (&*format!("; {unknown}"), "; this call was not sent");
                let expected = match program {
                    // The awaited question, then later calls and the barrier, which were not sent.
                    Program::Loop => vec![&*timeout, not_sent],
                    // The awaited call, the barrier, that call again, which was sent, and later calls.
                    _ => vec![&*timeout, not_sent, unknown, not_sent],
                };
                assert_eq!(texts, expected, "{program:?}, {failure:?}");
                if program != Program::Image {
                    told.assert_count(&world, 0);
                }
            }
        }
    }
}

#[test]
fn a_session_that_both_ends_gave_up_is_forgotten_after_its_lease_and_later_calls_draw() {
    let lost = vec![(Failure::Lost, 300.0)];
    // The display reports the loss more than once before a report arrives.
    let unheard = vec![(Failure::Lost, 300.0), (Failure::LostFromDisplay, 20.0)];
    for (program, outages) in
        PROGRAMS.into_iter().flat_map(|program| [(program, lost.clone()), (program, unheard.clone())])
    {
        let (world, told) = through_all(patient(), program, outages, &[End::Program, End::Display]);
        let Some(Status::SessionLost { picture: Picture::Kept, unknown }) = told.statuses.last() else {
            panic!("{:?}", told.statuses)
        };
        let text = "the session of this client has expired on the display; whether this call was executed is unknown";
        assert_eq!(told.errors.iter().map(Error::to_string).collect::<Vec<_>>(), [text]);
        assert_eq!(told.errors[0].outcome(), Outcome::Unknown);
        assert_eq!(told.lost().len() + told.errors.len(), *unknown, "each is told once");
        match program {
            Program::Image => assert_shown(program, &world, &told),
            _ => told.assert_count(&world, 0),
        }
    }
}

#[test]
fn close_waits_for_the_outage_to_end_and_no_longer_than_the_timeout() {
    for (seconds, is_given_up) in [(10.0, false), (100.0, true)] {
        let mut world = World::new();
        let network = world.network.clone();
        world.program("program", async move {
            let display =
                patient().timeout(Duration::from_secs(30)).through(network.connector("program")).await;
            let display = display.unwrap();
            network.fail(Failure::Lost, "program");
            display.add_pixel(0, COUNTS, ONE).await.unwrap();
            network.give_up(End::Program, "program");
            tokio::task::spawn_local(async move {
                tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
                network.heal(Failure::Lost, "program");
            });
            let closed = display.close().await;
            let took = turmoil::elapsed().as_secs_f64();
            if is_given_up {
                let text = closed.unwrap_err().to_string();
                let reason = "this side closed it, and the display had not answered for 30s; \
                              whether this call was executed is unknown";
                assert!(text.starts_with("an earlier call failed: ") && text.contains(reason), "{text}");
                assert!((30.0..30.2).contains(&took), "{took} s");
            } else {
                closed.unwrap();
                assert!((10.0..16.0).contains(&took), "{took} s");
            }
        });
        world.run();
        assert_eq!(count(&world, 0), u32::from(!is_given_up));
    }
}
