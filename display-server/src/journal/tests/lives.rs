//! Tests displays with calls, syncs, snapshots and restarts, in which each operation of the disk fails once, or is the
//! last one before a loss of power.

use super::memory::{Dice, Memory, Trouble};
use super::world::*;
use crate::journal::lock::locked;
use std::io::ErrorKind;

/// The state of a display at the end of its life.
struct Life {
    storage: Memory,
    /// The picture after each number of calls, and the numbers of the sessions' calls among them.
    pictures: Vec<(Picture, Vec<u64>)>,
    /// Numbers of calls that are certainly on the disk, and of calls that survive the process.
    durable: u64,
    written: u64,
}

fn live(seed: u64, trouble: Trouble, can_reserve: bool) -> Life {
    let dice = &mut Dice::new(seed);
    let storage = Memory::new(trouble, can_reserve);
    let blank = [0, 0, 0, 255].repeat((SIZE.width * SIZE.height) as usize);
    let mut life =
        Life { storage: storage.clone(), pictures: vec![(blank, Vec::new())], durable: 0, written: 0 };
    'starts: for _ in 0..4 {
        // A start that fails leaves nothing worse than it found, and the next one may succeed.
        let Some(world) = (0..3).find_map(|_| open(&storage).ok()) else { break };
        let last = world.last();
        assert!(last >= life.written, "{last} calls are back, and {} were written", life.written);
        life.pictures.truncate(last as usize + 1);
        life.check(&world);
        life.durable = life.durable.max(world.core.syncer.durable());
        for _ in 0..12 {
            match dice.below(8) {
                0 => _ = world.core.take_snapshot(),
                1 | 2 => _ = world.core.syncer.sync(),
                _ => {
                    let calls = 1 + dice.below(4);
                    let mut xids = life.pictures.last().map(|(_, xids)| xids.clone()).unwrap_or_default();
                    let known = xids.len();
                    let (pictures, is_written) = world.turn(dice, calls);
                    let mut new = world.kept.xids().split_off(known).into_iter().peekable();
                    for picture in pictures {
                        xids.extend(new.next_if_eq(&(life.pictures.len() as u64)));
                        life.pictures.push((picture, xids.clone()));
                    }
                    if is_written {
                        life.written = world.last();
                    }
                }
            }
            life.durable = life.durable.max(world.core.syncer.durable());
            assert_eq!(world.last() as usize + 1, life.pictures.len());
            if storage.is_dead() || world.core.syncer.failure().is_some() {
                break 'starts;
            }
        }
        if dice.one_in(2) && world.core.finish().is_ok() {
            assert_eq!(world.core.syncer.durable(), world.last());
            (life.durable, life.written) = (world.last(), world.last());
        }
    }
    life
}

impl Life {
    /// Checks that the picture and the state are those after the recovered number of calls.
    fn check(&self, world: &World) {
        let (picture_then, xids_then) = &self.pictures[world.last() as usize];
        assert!(
            &picture(&world.core) == picture_then,
            "the picture is not that after {} calls",
            world.last()
        );
        assert_eq!(&world.kept.xids(), xids_then);
    }

    /// Recovers from what is left, and continues.
    fn recover(&self, left: &Memory, at_least: u64) {
        let world = open(left).unwrap_or_else(|error| panic!("{error}"));
        let last = world.last();
        assert!(last >= at_least, "{last} calls are back of {at_least}");
        assert!((last as usize) < self.pictures.len(), "{last} calls are back, and so many were never made");
        self.check(&world);
        // New calls continue from what was recovered.
        let (more, _) = world.turn(&mut Dice::new(5), 3);
        world.core.syncer.sync().expect("a disk in order");
        let again = open(&left.after_power_loss(&mut Dice::new(9))).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(again.last(), last + 3);
        assert!(&picture(&again.core) == more.last().expect("three calls"));
    }
}

/// Prints the parameters of the life when the test fails in it.
struct Say(String);

impl Drop for Say {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was {}", self.0);
        }
    }
}

/// Runs `then` for every operation of each life. Two seeds take a few seconds. A release runs `JOURNAL_SEEDS=20 cargo
/// test --release -p display-server --lib lives`.
fn each_life(then: impl Fn(u64, bool, u64)) {
    let seeds = std::env::var("JOURNAL_SEEDS").map_or(2, |seeds| seeds.parse().expect("a number of seeds"));
    for seed in 1..=seeds {
        for can_reserve in [true, false] {
            let whole = live(seed, Trouble::None, can_reserve);
            assert!(whole.pictures.len() > 40, "a life has calls in it");
            for at in 1..=whole.storage.operations() {
                then(seed, can_reserve, at);
            }
        }
    }
}

#[test]
fn after_a_loss_of_power_every_durable_call_is_there() {
    each_life(|seed, can_reserve, at| {
        let life = live(seed, Trouble::Crash(at), can_reserve);
        for loss in 0..3 {
            let _say = Say(format!("seed {seed}, reserving {can_reserve}, power gone at {at}, loss {loss}"));
            let dice = &mut Dice::new(at << 8 | loss);
            let mut left = life.storage.after_power_loss(dice);
            if loss > 1 {
                // The power is lost again during the recovery.
                left.set_trouble(Trouble::Crash(1 + dice.below(40)));
                _ = open(&left);
                left = left.after_power_loss(dice);
            }
            life.recover(&left, life.durable);
        }
    });
}

#[test]
fn after_a_kill_every_written_call_is_there() {
    each_life(|seed, can_reserve, at| {
        let life = live(seed, Trouble::Crash(at), can_reserve);
        let _say = Say(format!("seed {seed}, reserving {can_reserve}, killed at {at}"));
        life.recover(&life.storage.after_kill(), life.written);
    });
}

#[test]
fn whichever_operation_fails_the_picture_is_one_that_there_was() {
    each_life(|seed, can_reserve, at| {
        for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
            let count = 1 + at % 7;
            let _say = Say(format!("seed {seed}, reserving {can_reserve}, {kind:?} at {at}, {count} times"));
            let life = live(seed, Trouble::Error { from: at, count, kind }, can_reserve);
            life.storage.set_trouble(Trouble::None);
            life.recover(&life.storage.after_kill(), life.written);
            life.recover(&life.storage.after_power_loss(&mut Dice::new(at)), life.durable);
        }
    });
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    for can_reserve in [true, false] {
        let storage = Memory::new(Trouble::None, can_reserve);
        let world = open(&storage).expect("a disk in order");
        let dice = &mut Dice::new(3);
        let (before, _) = world.turn(dice, 3);
        assert_eq!(before.len(), 3);
        // Reserved space is used up first, so this repeats until it is full.
        let full = Trouble::Error { from: 1, count: u64::MAX - 1, kind: ErrorKind::StorageFull };
        storage.set_trouble(full);
        let mut log = locked(&world.core.log);
        let pixels = vec![draw_protocol::Pixel::default(); 65_536];
        let request = draw_protocol::Request::DrawPixels { pixels: pixels[..].into() };
        let entry = crate::journal::record::Entry::Call { session: None, request };
        let refused = (0..20).find_map(|_| world.core.append(&mut log, &entry).err()).expect("it is full");
        assert_eq!(refused.code, draw_protocol::Code::NoSpace);
        assert!(refused.message.contains("cannot be written"), "{refused}");
        world.core.end_transaction(&mut log);
        let last = log.place.next - 1;
        assert!(world.core.append(&mut log, &entry).is_err(), "it is still full");
        world.core.end_transaction(&mut log);
        drop(log);

        storage.set_trouble(Trouble::None);
        let (after, is_written) = world.turn(dice, 2);
        assert!(after.len() == 2 && is_written && world.last() == last + 2);
        let again = open(&storage.after_kill()).expect("what was refused left nothing behind");
        assert!(again.last() == last + 2 && &picture(&again.core) == after.last().expect("two"));
    }
}
