//! Many programs at once, over a network that fails at random: a seed determines everything that happens.

use crate::programs::{Ears, Told, assert_scribbled, scribble};
use crate::world::{DISPLAY, End, Failure, Network, World};
use draw_client::{ConnectOptions, Error, Picture, Size, Status};
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

const PROGRAMS: usize = 8;
const STEPS: i32 = 200;

/// Longer than a random outage can last.
const PATIENCE: Duration = Duration::from_secs(600);

/// The time by which all programs have connected.
const BEGIN: Duration = Duration::from_millis(500);

/// The seeds of an ordinary run.
const SEEDS: Range<u64> = 0..20;
const RESTARTS: Range<u64> = 0..5;

/// The environment variable for one seed, as a failed test prints it, to be run instead.
const SEED: &str = "PARTITIONS_SEED";

/// A random number generator: splitmix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most - least))
    }
}

fn name(program: usize) -> String {
    format!("program {program}")
}

/// Makes one connection after the other fail, for up to 3 s, until all programs have ended.
async fn fail_by_chance(network: Network, seed: u64, running: Rc<Cell<usize>>) {
    let mut chance = Chance(seed);
    // The time until which each connection is failing: before that it does not fail again.
    let mut failing = [Duration::ZERO; PROGRAMS];
    tokio::time::sleep(BEGIN).await;
    while running.get() > 0 {
        tokio::time::sleep(chance.millis(20, 150)).await;
        let program = chance.below(PROGRAMS as u64) as usize;
        let failures = [Failure::Held, Failure::Lost, Failure::LostToDisplay, Failure::LostFromDisplay];
        let failure = failures[chance.below(4) as usize];
        let (given_up_after, healed_after) = (chance.millis(1, 500), chance.millis(1, 2_500));
        let display_notices = chance.below(2) == 0;
        if failing[program] > turmoil::elapsed() {
            continue;
        }
        failing[program] = turmoil::elapsed() + given_up_after + healed_after;
        let network = network.clone();
        tokio::task::spawn_local(async move {
            let name = name(program);
            network.fail(failure, &name);
            tokio::time::sleep(given_up_after).await;
            // A connection whose packets are only held may be kept.
            if failure != Failure::Held || given_up_after.as_millis() % 2 == 0 {
                network.give_up(End::Program, &name);
                if display_notices {
                    network.give_up(End::Display, &name);
                }
            }
            tokio::time::sleep(healed_after).await;
            network.heal(failure, &name);
        });
    }
}

/// Runs all programs, while the display is restarted `restarts` times. Returns the world and the results of the
/// programs.
fn simulate(seed: u64, restarts: u64) -> (World, Vec<Told>) {
    println!("seed {seed}; to try it alone: {SEED}={seed}");
    let mut world = World::with(seed, Size { width: 64, height: 48 }, [1, 100], 10);
    let running = Rc::new(Cell::new(PROGRAMS));
    let told: Vec<_> = (0..PROGRAMS).map(|_| Rc::new(RefCell::new(Told::default()))).collect();
    for (program, tells) in told.iter().enumerate() {
        let (connector, tells) = (world.network.connector(&name(program)), Rc::clone(tells));
        let running = Rc::clone(&running);
        world.program(&name(program), async move {
            let (options, ears) = Ears::lend(ConnectOptions::new().timeout(PATIENCE).reconnect(PATIENCE));
            let display = options.through(connector).await.unwrap();
            let mut told = Told { may_lose: restarts > 0, ..Told::default() };
            scribble(&display, program as i32, STEPS, Duration::from_millis(5), &mut told).await;
            running.set(running.get() - 1);
            ears.close(display, &mut told).await;
            *tells.borrow_mut() = told;
        });
    }
    let network = world.network.clone();
    world.program("chance", fail_by_chance(network, seed, running));
    let mut chance = Chance(!seed);
    for _ in 0..restarts {
        world.run_until(world.sim.elapsed() + BEGIN + chance.millis(0, 400));
        world.sim.crash(DISPLAY);
        world.run_until(world.sim.elapsed() + chance.millis(5, 600));
        world.sim.bounce(DISPLAY);
    }
    world.run();
    (world, told.iter().map(|told| told.take()).collect())
}

/// Simulates without restarts and checks that nothing is lost. Returns all events on the network.
fn simulate_failures(seed: u64) -> Vec<String> {
    let (world, told) = simulate(seed, 0);
    for (program, told) in told.iter().enumerate() {
        told.assert_whole();
        assert_scribbled(&world, program as i32, STEPS, told);
    }
    assert!(world.screen().stats().accepted > PROGRAMS as u64, "some had to come back");
    world.network.log()
}

fn each_seed(seeds: Range<u64>, simulate: impl Fn(u64)) {
    match std::env::var(SEED) {
        Ok(seed) => simulate(seed.parse().expect("a seed is a number")),
        Err(_) => seeds.for_each(simulate),
    }
}

#[test]
fn many_programs_draw_everything_once_and_in_order_whatever_the_network_does() {
    each_seed(SEEDS, |seed| _ = simulate_failures(seed));
}

#[test]
fn of_what_they_draw_while_displays_come_and_go_each_call_is_executed_once_or_named_unknown_once() {
    each_seed(RESTARTS, |seed| {
        let (world, told) = simulate(seed, 2);
        assert_eq!(world.screens().len(), 3);
        for (program, told) in told.iter().enumerate() {
            told.assert_count(&world, program as i32);
            let awaited = told.errors.iter().all(|error| matches!(error, Error::SessionLost { .. }));
            assert!(awaited, "{:?}", told.errors);
        }
        let lost = |told: &Told| {
            told.statuses
                .iter()
                .any(|status| matches!(status, Status::SessionLost { picture: Picture::Empty, .. }))
        };
        assert!(told.iter().all(lost), "everybody is told");
    });
}

/// The ids of sessions differ, since they come from the operating system: nothing depends on them.
#[test]
fn the_same_seed_gives_the_same_events() {
    let (one, other) = (simulate_failures(SEEDS.end), simulate_failures(SEEDS.end));
    let differs = one.iter().zip(&other).position(|(one, other)| one != other);
    if let Some(at) = differs {
        let from = at.saturating_sub(5);
        panic!("event {at}: {:#?} or {:#?}", &one[from..=at], &other[from..=at]);
    }
    assert_eq!(one.len(), other.len());
    assert_ne!(one, simulate_failures(SEEDS.end + 1));
}
