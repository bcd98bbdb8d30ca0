//! A display that crashes and is restarted, and a program that crashes.

use crate::programs::{COUNTS, Ears, ONE, Told, count, scribble};
use crate::world::{DISPLAY, End, Network, World};
use draw_client::{Call, Color, ConnectOptions, Error, Outcome, Picture, Status, WhileOffline};
use draw_protocol::client::Connection;
use draw_protocol::session::{Id, Standing};
use draw_protocol::{Hello, Welcome, limits};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CRASH: Duration = Duration::from_millis(700);

/// How long the display is offline.
const GONE: Duration = Duration::from_secs(2);

/// Crashes the display and restarts it. Programs detect the crash at once, or only when they have sent something to the
/// new display.
fn restart(world: &mut World, is_heard: bool) {
    world.run_until(CRASH);
    if !is_heard {
        world.sim.partition("program", DISPLAY);
    }
    world.sim.crash(DISPLAY);
    if is_heard {
        world.run_until(CRASH + GONE);
    }
    world.sim.bounce(DISPLAY);
    world.sim.repair("program", DISPLAY);
}

#[test]
fn a_display_that_lost_its_memory_says_so_and_nothing_is_executed_twice_or_silently_lost() {
    for is_heard in [true, false] {
        println!("the crash is heard: {is_heard}");
        let mut world = World::new();
        let connector = world.network.connector("program");
        let told = Rc::new(RefCell::new(Told::default()));
        let tells = Rc::clone(&told);
        world.program("program", async move {
            let (options, ears) = Ears::lend(ConnectOptions::new());
            let display = options.through(connector).await.unwrap();
            display.fill_rect(0, 40, 64, 1, Color::BLUE).await.unwrap();
            let mut told = Told { may_lose: true, ..Told::default() };
            scribble(&display, 0, 300, Duration::from_millis(5), &mut told).await;
            // Draws this row again, whatever happens to the other calls.
            loop {
                told.statuses.push(ears.status());
                if let Some(Status::SessionLost { picture: Picture::Empty, .. }) = told.statuses.last() {
                    display.fill_rect(0, 40, 64, 1, Color::BLUE).await.unwrap().await.unwrap();
                    break;
                }
            }
            ears.close(display, &mut told).await;
            *tells.borrow_mut() = told;
        });
        restart(&mut world, is_heard);
        world.run();
        let told = told.take();
        let [Status::Reconnecting { .. }, .., Status::SessionLost { picture: Picture::Empty, unknown }] =
            told.statuses[..]
        else {
            panic!("{:?}", told.statuses);
        };
        let text = "the display was restarted and is empty; whether this call was executed is unknown";
        for error in &told.errors {
            assert_eq!((error.to_string().as_str(), error.outcome()), (text, Outcome::Unknown));
        }
        let lost = told.lost();
        assert!(!lost.is_empty(), "some were under way");
        assert_eq!(lost.len() + told.errors.len(), unknown, "each is told once");
        // The new display has executed the calls after those, each once, and none of the earlier calls.
        let unknown = told.late.iter().filter(|late| late.outcome() == Outcome::Unknown);
        let last = unknown.flat_map(|late| late.calls().map(|call| call.number())).max().unwrap();
        let after = told.counted.iter().filter(|number| **number > last).count();
        assert_eq!(count(&world, 0), after as u32);
        assert!(lost.iter().any(|call| matches!(call, Call::AddPixel { .. })), "{lost:?}");
        assert_eq!(world.shown(63, 40), Color::BLUE, "it was drawn again");
    }
}

#[test]
fn calls_fail_at_once_while_the_display_is_gone_if_that_is_wanted() {
    let mut world = World::new();
    let connector = world.network.connector("program");
    world.program("program", async move {
        let options = ConnectOptions::new().while_offline(WhileOffline::Fail).on_error(|_| {});
        let display = options.through(connector).await.unwrap();
        let (mut drawn, mut refused) = (0, 0);
        while turmoil::elapsed() < CRASH + 3 * GONE {
            let before = turmoil::elapsed();
            match display.add_pixel(0, COUNTS, ONE).await {
                Ok(_) => drawn += 1,
                Err(error) => {
                    assert!(matches!(error, Error::Offline { .. }), "{error}");
                    assert!(error.to_string().starts_with("the display is offline ("), "{error}");
                    assert!(error.to_string().ends_with("); this call was not sent"), "{error}");
                    assert_eq!(error.outcome(), Outcome::Rejected);
                    refused += 1;
                }
            }
            assert_eq!(turmoil::elapsed(), before, "at once");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(drawn > 300 && refused > 150, "{drawn} drawn, {refused} refused");
        display.sync().await.unwrap();
    });
    restart(&mut world, true);
    world.run();
    assert!(count(&world, 0) > 200);
}

/// Returns the display's answer to this greeting.
async fn greet(network: Network, hello: &Hello) -> Welcome {
    let mut stream = network.connect("observer".to_owned()).await.unwrap();
    let mut machine = Connection::new(hello);
    stream.write_all(machine.poll_transmit()).await.unwrap();
    let mut buffer = [0; 1_000];
    while machine.welcome().is_none() {
        let n = stream.read(&mut buffer).await.unwrap();
        assert!(n > 0, "it greets back");
        machine.handle_input(&mut &buffer[..n], tokio::time::Instant::now().into_std()).unwrap();
    }
    machine.welcome().unwrap().clone()
}

/// Returns the session that a program has requested.
fn session(greeting: &[u8]) -> Id {
    let key = b"\xa7session\xc4\x10";
    let at =
        greeting.windows(key.len()).position(|window| window == key).expect("it asks for one") + key.len();
    Id(greeting[at..at + 16].try_into().unwrap())
}

#[test]
fn what_a_program_drew_stays_when_it_crashes_and_its_session_ends_after_its_lease() {
    for is_heard in [true, false] {
        for (after, expected) in [(-1, Standing::Resumed), (1, Standing::Expired)] {
            let mut world = World::new();
            let network = world.network.clone();
            world.sim.host("program", move || {
                let connector = network.connector("program");
                async move {
                    let display = ConnectOptions::new().through(connector).await?;
                    loop {
                        display.add_pixel(0, COUNTS, ONE).await?;
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
            });
            let network = world.network.clone();
            let lease = limits::SESSION_LEASE.as_secs().strict_add_signed(after);
            let crashes_at = CRASH;
            world.program("observer", async move {
                tokio::time::sleep(crashes_at).await;
                if !is_heard {
                    // The program did not end the connection; the display's system detects the loss.
                    tokio::time::sleep(Duration::from_secs(180)).await;
                    network.give_up(End::Display, "program");
                }
                tokio::time::sleep(Duration::from_secs(lease)).await;
                let fresh = greet(network.clone(), &Hello::new("a later client")).await;
                let mut hello = Hello::new("a later client").with_session(session(&network.greetings()[0]));
                (hello.instance, hello.next) = (fresh.instance, 1_000);
                (hello.attempt, hello.born) = (2, 1);
                hello.incarnation = network.confirmed().first().copied();
                assert_eq!(greet(network, &hello).await.session, Some(expected), "{lease} s after its end");
            });
            world.run_until(CRASH);
            if !is_heard {
                world.sim.partition("program", DISPLAY);
            }
            world.sim.crash("program");
            world.run_until(CRASH + Duration::from_secs(1));
            let drawn = count(&world, 0);
            assert!(drawn > 50, "{drawn}");
            world.run();
            assert_eq!(count(&world, 0), drawn, "it stays");
        }
    }
}
