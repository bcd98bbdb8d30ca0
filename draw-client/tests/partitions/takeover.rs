//! A connection that one end keeps after the other has made a new one.

use crate::programs::{COUNTS, ONE, count};
use crate::world::{End, Failure, World};
use draw_client::{Color, ConnectOptions};
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

const HELD: Duration = Duration::from_millis(300);
const CALLED: Duration = Duration::from_millis(400);
const GIVEN_UP: Duration = Duration::from_millis(500);

/// Lists the senders of the messages that the network holds. Delivers those for which `deliver` returns true.
fn held(world: &World, mut deliver: impl FnMut(SocketAddr, SocketAddr) -> bool) {
    world.sim.links(|links| {
        for message in links.flatten() {
            let (from, to) = message.pair();
            if deliver(from, to) {
                message.deliver();
            }
        }
    });
}

#[test]
fn what_still_arrives_on_a_connection_is_not_executed_when_another_has_its_session() {
    const CALLS: u32 = 50;
    let mut world = World::new();
    let (connector, network) = (world.network.connector("program"), world.network.clone());
    let is_done = Rc::new(Cell::new(false));
    let tells = Rc::clone(&is_done);
    world.program("program", async move {
        let display = ConnectOptions::new().through(connector).await.unwrap();
        display.add_pixel(0, COUNTS, ONE).await.unwrap().await.unwrap();
        tokio::time::sleep(HELD - turmoil::elapsed()).await;
        network.fail(Failure::Held, "program");
        tokio::time::sleep(CALLED - turmoil::elapsed()).await;
        for _ in 0..CALLS {
            display.add_pixel(0, COUNTS, ONE).await.unwrap();
            // At different times, so that there are many messages.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(GIVEN_UP - turmoil::elapsed()).await;
        network.give_up(End::Program, "program");
        display.sync().await.unwrap();
        tells.set(true);
        // Waits until the held messages have arrived.
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(display.get_pixel(0, COUNTS).await.unwrap().to_u32(), counted(1 + CALLS));
    });
    world.run_until(GIVEN_UP - Duration::from_millis(20));
    let mut old = Vec::new();
    held(&world, |from, _| {
        old.push(from);
        false
    });
    assert!(old.len() > 10, "the old connection's calls are held: {}", old.len());
    let old = old[0];
    assert_eq!((world.screen().stats().executed, count(&world, 0)), (1, 1));

    // All messages except those of the old connection arrive.
    while !is_done.get() {
        held(&world, |from, to| from != old && to != old);
        assert!(!world.step());
    }
    let stats = world.screen().stats();
    assert_eq!(
        (count(&world, 0), stats.closed_for_fault),
        (1 + CALLS, 1),
        "taken over: the older one is closed"
    );
    // Now the other messages arrive on the old connection, which the display still reads.
    let before = reads(&world);
    world.sim.release("program", crate::world::DISPLAY);
    world.run();
    assert!(reads(&world) > before + 10, "{} reads", reads(&world) - before);
    let after = world.screen().stats();
    assert_eq!(count(&world, 0), 1 + CALLS, "nothing of it was executed");
    // (The program's last question.)
    assert_eq!(after.executed, stats.executed + 1);
}

fn counted(times: u32) -> u32 {
    Color::BLACK.to_u32() + ONE * times
}

/// Returns the number of the display's reads.
fn reads(world: &World) -> usize {
    world.network.log().iter().filter(|event| event.contains("Display reads")).count()
}

#[test]
fn what_arrives_before_another_connection_is_executed_and_not_sent_again() {
    let mut world = World::new();
    let (connector, network) = (world.network.connector("program"), world.network.clone());
    world.program("program", async move {
        let display = ConnectOptions::new().through(connector).await.unwrap();
        for round in 0..20 {
            network.fail(Failure::Held, "program");
            for _ in 0..10 {
                display.add_pixel(0, COUNTS, ONE).await.unwrap();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            network.give_up(End::Program, "program");
            // Meanwhile the new connection is also under way.
            tokio::time::sleep(Duration::from_millis(20 * round)).await;
            network.heal(Failure::Held, "program");
            display.sync().await.unwrap();
        }
        assert_eq!(display.get_pixel(0, COUNTS).await.unwrap().to_u32(), counted(200));
    });
    world.run();
    assert_eq!(count(&world, 0), 200);
    assert_eq!(world.screen().stats().accepted, 21);
}
