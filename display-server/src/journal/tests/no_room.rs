//! Tests starts with a full disk: the picture is shown, no call is accepted, and the display continues normally once
//! there is room.

use super::memory::{Dice, Full, Memory, Trouble};
use super::world::*;
use crate::journal::files::{Catalogue, journal_name, snapshot_name};
use crate::journal::lock::locked;
use crate::journal::storage::Storage;
use crate::journal::{JournalError, Options};
use std::io::ErrorKind;

/// The incomplete data that a killed display has left at the end of its journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Torn {
    No,
    Record,
    Header,
}

/// The state that a killed display has left.
struct Past {
    storage: Memory,
    /// The picture after each number of calls.
    pictures: Vec<Picture>,
    durable: u64,
    instance: [u8; 16],
}

const TORN: [Torn; 3] = [Torn::No, Torn::Record, Torn::Header];
const FULL: [Full; 2] = [Full::ForBytes, Full::ForAnything];
const CALLS: u64 = 12;

fn past(can_reserve: bool, torn: Torn) -> Past {
    let storage = Memory::new(Trouble::None, can_reserve);
    let (world, dice) = (open(&storage).expect("a disk in order"), &mut Dice::new(7));
    let mut pictures = vec![picture(&world.core)];
    pictures.extend(world.turn(dice, CALLS / 2).0);
    world.core.take_snapshot().expect("a disk in order");
    pictures.extend(world.turn(dice, CALLS / 2).0);
    // A kill leaves neither a partial snapshot nor a partial record.
    storage.create("snapshot-0000000000000009.new").expect("a disk in order");
    let (name, next) = (journal_name(2), journal_name(3));
    let whole = storage.read(&name);
    let (instance, durable) = (instance(&world), world.core.syncer.durable());
    let storage = match torn {
        Torn::No => storage.after_kill(),
        Torn::Record => storage.with_file(&name, [&whole[..], &whole[100..130]].concat()),
        Torn::Header => {
            storage.create(&next).expect("a disk in order").append(&whole[..40]).expect("there is room");
            storage.after_kill()
        }
    };
    Past { storage, pictures, durable, instance }
}

fn instance(world: &World) -> [u8; 16] {
    locked(&world.core.log).owner().instance
}

fn boot(world: &World) -> u64 {
    locked(&world.core.log).place.boot
}

impl Past {
    fn disk(&self, full: Full) -> Memory {
        let disk = self.storage.after_kill();
        disk.set_full(full);
        disk
    }

    /// Checks that the display shows the picture after all calls, and that it reports nothing else as durable.
    fn check(&self, world: &World) {
        assert_eq!((world.last(), world.core.syncer.durable()), (CALLS, CALLS));
        assert!(picture(&world.core) == self.pictures[CALLS as usize]);
        assert_eq!(instance(world), self.instance);
        assert!(!world.kept.xids().is_empty());
    }

    /// Checks that a full disk accepts no call, and refuses no request that only waits.
    fn check_refusing(&self, world: &World) {
        self.check(world);
        let (taken, is_written) = world.turn(&mut Dice::new(11), 3);
        assert!(taken.is_empty() && is_written, "nothing is taken, and so nothing waits");
        world.core.syncer.sync().expect("there is nothing to sync");
        world.core.take_snapshot().expect_err("there is no room for one");
        self.check(world);
    }
}

fn each(mut then: impl FnMut(&Past, Full, bool)) {
    for can_reserve in [true, false] {
        for torn in TORN {
            let past = past(can_reserve, torn);
            for full in FULL {
                println!("reserving {can_reserve}, torn {torn:?}, full {full:?}");
                then(&past, full, can_reserve);
            }
        }
    }
}

#[test]
fn what_there_was_is_shown_and_it_goes_on_when_there_is_room() {
    each(|past, full, _| {
        let mut disk = past.disk(full);
        for start in 0..3 {
            let world = open(&disk).unwrap_or_else(|error| panic!("start {start}: {error}"));
            past.check_refusing(&world);
            assert_eq!(boot(&world), 2, "no start before has drawn anything");
            if start == 1 {
                world.core.finish().expect("nothing is lost");
            }
            // All answers so far concern calls that a loss of power does not remove.
            disk = if start == 2 { disk.after_power_loss(&mut Dice::new(start)) } else { disk.after_kill() };
            disk.set_full(full);
        }
        let world = open(&disk).expect("it starts once more");
        past.check_refusing(&world);
        disk.set_full(Full::No);
        if full == Full::ForBytes {
            // Any operation may find the room, not only a call.
            world.core.take_snapshot().expect("there is room");
        }
        let (pictures, is_written) = world.turn(&mut Dice::new(13), 2);
        assert!(pictures.len() == 2 && is_written);
        world.core.syncer.sync().expect("a disk in order");
        assert_eq!(world.core.syncer.durable(), CALLS + 2);
        let newest = *Catalogue::read(&disk).expect("it is there").snapshots.last().expect("one was taken");
        let without_it = disk.without_file(&snapshot_name(newest));
        for left in [disk.after_kill(), disk.after_power_loss(&mut Dice::new(3)), without_it] {
            let again = open(&left).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((again.last(), boot(&again), instance(&again)), (CALLS + 2, 3, past.instance));
            assert!(&picture(&again.core) == pictures.last().expect("two"));
            assert!(again.kept.xids() == world.kept.xids());
            let catalogue = Catalogue::read(&left).expect("it is there");
            assert!(catalogue.unfinished.is_empty(), "{catalogue:?}");
            again.core.take_snapshot().expect("a disk in order");
        }
    });
}

#[test]
fn wherever_a_start_finds_no_room_it_starts_or_has_changed_nothing() {
    each(|past, full, can_reserve| {
        let whole = past.disk(Full::No);
        open(&whole).expect("a disk in order");
        let (mut started, operations) = (0, whole.operations());
        for at in 1..=operations {
            // From this operation on everything fails, even what takes no room: a system may report this for any
            // operation.
            let disk = past.disk(Full::No);
            disk.set_trouble(Trouble::Error { from: at, count: u64::MAX - at, kind: ErrorKind::StorageFull });
            match open(&disk) {
                Ok(world) => {
                    started += 1;
                    past.check_refusing(&world);
                    assert_eq!(boot(&world), 2);
                    disk.set_trouble(Trouble::None);
                    assert_eq!(world.turn(&mut Dice::new(5), 2).0.len(), 2, "there is room");
                }
                // The file cannot be read, or it is unknown whether what was read is on the disk.
                Err(JournalError::Io { what, .. }) => {
                    let is_meant = ["list", "read", "sync"].iter().any(|verb| what.starts_with(verb));
                    assert!(is_meant, "{what} at {at}");
                }
                Err(error) => panic!("{error}"),
            }
            disk.set_trouble(Trouble::None);
            for (left, at_least) in
                [(disk.after_kill(), CALLS), (disk.after_power_loss(&mut Dice::new(at)), past.durable)]
            {
                let again = open(&left).unwrap_or_else(|error| panic!("{error}"));
                assert!(again.last() >= at_least && instance(&again) == past.instance);
            }
        }
        // From the creation of the file on: the creation, its header, and the sync of both.
        let least = 3 + u64::from(can_reserve);
        assert!(started >= least && started < operations, "{started} of {operations}, full {full:?}");
    });
}

#[test]
fn a_sync_that_fails_for_want_of_room_is_not_tried_again() {
    for torn in TORN {
        let past = past(true, torn);
        let whole = past.disk(Full::No);
        open(&whole).expect("a disk in order");
        let failed = (1..=whole.operations()).filter(|&from| {
            let disk = past.disk(Full::No);
            disk.set_trouble(Trouble::Error { from, count: 1, kind: ErrorKind::StorageFull });
            match open(&disk) {
                Ok(world) => {
                    past.check(&world);
                    false
                }
                Err(JournalError::Io { what, .. }) => what == format!("sync {}", journal_name(2)),
                Err(error) => panic!("{error}"),
            }
        });
        // Opening, measuring and syncing the file can fail; before that, syncing after the cut as well.
        assert_eq!(failed.count(), 3 + usize::from(torn == Torn::Record), "{torn:?}");
    }
}

#[test]
fn no_loss_of_power_makes_a_start_that_drew_look_like_another() {
    /// The state that was reported before the power was lost.
    #[derive(Debug, Default)]
    struct Said {
        boot: u64,
        /// Number of calls that are certainly there, and the pictures of those that may be.
        durable: u64,
        pictures: Vec<Picture>,
    }
    let live = |past: &Past, full, at| {
        let disk = past.disk(full);
        disk.set_trouble(Trouble::Crash(at));
        let mut said = Said { durable: past.durable, ..Said::default() };
        if let Ok(world) = open(&disk) {
            past.check(&world);
            (said.boot, said.durable) = (boot(&world), CALLS);
            let dice = &mut Dice::new(17);
            assert!(world.turn(dice, 2).0.is_empty());
            disk.set_full(Full::No);
            for _ in 0..2 {
                said.pictures.extend(world.turn(dice, 2).0);
                _ = world.core.syncer.sync();
                said.durable = world.core.syncer.durable();
            }
            _ = world.core.take_snapshot();
        }
        (disk, said)
    };
    each(|past, full, _| {
        let (whole, said) = live(past, full, u64::MAX);
        assert_eq!((said.pictures.len(), said.durable), (4, CALLS + 4));
        for at in 1..=whole.operations() {
            let (disk, said) = live(past, full, at);
            for loss in 0..8 {
                let left = match loss {
                    0 => disk.after_kill(),
                    _ => disk.after_power_loss(&mut Dice::new(at << 8 | loss)),
                };
                let again = open(&left).unwrap_or_else(|error| panic!("{at}, loss {loss}: {error}"));
                let last = again.last();
                assert!(last >= said.durable, "{at}, loss {loss}: {last} of {said:?}");
                let pictures: Vec<_> = past.pictures.iter().chain(&said.pictures).collect();
                assert!(&picture(&again.core) == pictures[last as usize], "{at}, loss {loss}");
                assert_eq!(instance(&again), past.instance);
                // A client whose picture may have lost its end detects that by the number of the start.
                let has_drawn = !said.pictures.is_empty();
                assert!(boot(&again) >= said.boot + u64::from(has_drawn), "{at}, loss {loss}: {said:?}");
            }
        }
    });
}

#[test]
fn what_cannot_be_said_without_writing_it_is_an_error() {
    for full in FULL {
        let new = Memory::new(Trouble::None, true);
        new.set_full(full);
        let error = open(&new).expect_err("there is nothing to come back to").to_string();
        assert!(error.contains("cannot create a new file (no storage space)"), "{error}");

        // Accepting a loss makes a new instance, which must be in a file before it is reported to a client.
        let past = past(true, Torn::No);
        open(&past.storage).expect("its header vouches for all before it");
        let mut bytes = past.storage.read(&journal_name(2));
        bytes[130] ^= 1;
        let damaged = past.storage.with_file(&journal_name(2), bytes);
        damaged.set_full(full);
        assert!(matches!(open(&damaged), Err(JournalError::Damaged { .. })));
        let options = Options { size: Some(SIZE), accept_loss: true, ..Options::default() };
        let error = open_with(&damaged, &options).expect_err("there is no room").to_string();
        assert!(error.contains("(no storage space)"), "{error}");
        damaged.set_full(Full::No);
        let world = open_with(&damaged, &options).expect("there is room");
        assert_eq!(boot(&world), 1);
        assert_ne!(instance(&world), past.instance);
    }
}

#[test]
fn what_is_over_the_limit_of_a_process_is_refused_and_not_written() {
    const TURNS: u64 = 8;
    for can_reserve in [true, false] {
        let live = |limit| {
            let storage = Memory::new(Trouble::None, can_reserve);
            storage.set_limit(limit);
            let (world, dice) = (open(&storage).expect("there is room for a header"), &mut Dice::new(7));
            let mut pictures = vec![picture(&world.core)];
            for _ in 0..TURNS {
                let (drawn, is_written) = world.turn(dice, 5);
                assert!(is_written, "what was taken is in the file");
                pictures.extend(drawn);
            }
            (storage, world, pictures)
        };
        let whole = live(u64::MAX).0.read(&journal_name(1)).len() as u64;
        for limit in (100..whole).step_by(61) {
            println!("reserving {can_reserve}, {limit} bytes of {whole}");
            let (storage, world, pictures) = live(limit);
            let drawn = pictures.len() as u64 - 1;
            assert!(drawn < 5 * TURNS && world.last() == drawn);
            let again = open(&storage.after_kill()).expect("all of it is whole");
            assert_eq!(again.last(), drawn);
            assert!(&picture(&again.core) == pictures.last().expect("the empty one is the first"));
            storage.set_limit(u64::MAX);
            assert_eq!(world.turn(&mut Dice::new(5), 2).0.len(), 2, "there is room");
        }
    }
}
