//! Tests missing and outdated files: the loss of acknowledged calls is detected, and a loss of power alone is never
//! reported as one.

use super::memory::{Dice, Memory, Trouble};
use super::world::*;
use crate::journal::files::{Catalogue, journal_name, snapshot_name};
use crate::journal::format::later_version;
use crate::journal::lock::locked;
use crate::journal::manifest::MANIFEST;
use crate::journal::storage::{Storage, append_all};
use crate::journal::{JournalError, Options};

/// Returns a display that was started `starts` times, with six synced calls in each life, and a snapshot at the end of
/// each life if it was ended.
pub(super) fn lived(starts: u64, is_ended: bool) -> (Memory, Picture) {
    let mut storage = Memory::new(Trouble::None, true);
    let mut shown = Vec::new();
    for start in 0..starts {
        let world = open(&storage).expect("a disk in order");
        let pictures = world.turn(&mut Dice::new(start + 1), 6).0;
        shown = pictures.last().expect("six").clone();
        world.core.syncer.sync().expect("a disk in order");
        if is_ended {
            world.core.finish().expect("a disk in order");
        }
        storage = storage.after_kill();
    }
    (storage, shown)
}

/// Checks that the journal is refused because of this file, and that accepting the loss makes a new instance, which
/// starts again. Returns the error.
fn is_refused(storage: &Memory, file: &str) -> String {
    let error = open(storage).expect_err("something is gone");
    let text = error.to_string();
    let JournalError::Damaged { damage, .. } = error else { panic!("{text}") };
    assert_eq!(damage.file, file, "{text}");
    assert!(text.contains("--accept-loss"), "{text}");
    assert!(open(storage).is_err(), "it stays refused");

    let accept = Options { size: Some(SIZE), accept_loss: true, ..Options::default() };
    let world = open_with(storage, &accept).unwrap_or_else(|error| panic!("{file}: {error}"));
    let renewed = locked(&world.core.log).owner().instance;
    let (more, _) = world.turn(&mut Dice::new(99), 2);
    world.core.syncer.sync().expect("a disk in order");
    for left in [storage.after_kill(), storage.after_power_loss(&mut Dice::new(4))] {
        let again = open(&left).unwrap_or_else(|error| panic!("the loss of {file} was accepted: {error}"));
        assert_eq!(locked(&again.core.log).owner().instance, renewed);
        assert!(Some(&picture(&again.core)) == more.last());
    }
    text
}

fn numbers(storage: &Memory) -> Catalogue {
    Catalogue::read(storage).expect("a disk in order")
}

#[test]
fn the_newest_journal_is_missed_whatever_proves_that_it_was_there() {
    for (starts, is_ended) in [(1, false), (1, true), (3, false), (3, true)] {
        let (storage, _) = lived(starts, is_ended);
        let newest = journal_name(*numbers(&storage).journals.last().expect("one"));
        let text = is_refused(&storage.without_file(&newest), &newest);
        assert!(text.contains("the file is missing"), "{text}");
        let text = is_refused(&storage.with_file(&newest, Vec::new()), &newest);
        // If the file is the first one, there is no picture to start from.
        assert!(starts == 1 && !is_ended || text.contains("0 of 96 bytes"), "{text}");
    }
}

#[test]
fn a_journal_behind_a_snapshot_is_missed_without_a_manifest() {
    let (storage, _) = lived(1, true);
    let old = storage.without_file(MANIFEST);
    let catalogue = numbers(&old);
    assert_eq!((&catalogue.snapshots[..], &catalogue.journals[..]), (&[2][..], &[1, 2][..]));
    let error = open(&old.without_file(&journal_name(2))).expect_err("it is gone").to_string();
    assert!(error.contains("the file is missing (snapshot 2 was taken behind it)"), "{error}");
}

#[test]
fn a_journal_in_the_middle_is_missed_and_one_that_no_picture_needs_is_not() {
    let (storage, _) = lived(4, false);
    assert_eq!(numbers(&storage).journals, [1, 2, 3, 4]);
    for number in [2, 3] {
        is_refused(&storage.without_file(&journal_name(number)), &journal_name(number));
        is_refused(&storage.with_file(&journal_name(number), Vec::new()), &journal_name(number));
        let other = storage.read(&journal_name(number - 1));
        is_refused(&storage.with_file(&journal_name(number), other), &journal_name(number));
    }
    let (storage, shown) = lived(4, true);
    let catalogue = numbers(&storage);
    let (oldest, snapshot) = (journal_name(catalogue.journals[0]), snapshot_name(catalogue.snapshots[1]));
    // The newest snapshot has the picture; without it, the older snapshot and the journals since then have.
    for gone in [&oldest, &snapshot] {
        let storage = storage.without_file(gone);
        let world = open(&storage).unwrap_or_else(|error| panic!("{gone}: {error}"));
        assert!(picture(&world.core) == shown, "{gone}");
    }
    assert!(open(&storage.without_file(&oldest).without_file(&snapshot)).is_err(), "now it is needed");
}

#[test]
fn files_of_an_older_time_are_told_by_the_manifest() {
    let (older, _) = lived(2, true);
    let (newer, _) = lived(4, true);
    // The result of restoring a copy without removing newer files, or a copy without the manifest.
    let manifest = newer.read(MANIFEST);
    let restored = older.with_file(MANIFEST, manifest);
    let text = is_refused(&restored, MANIFEST);
    assert!(text.contains("to another display"), "{text}");

    let (storage, _) = lived(4, false);
    let newest = journal_name(4);
    let all = storage.read(&newest);
    // Only the next file vouches for the synced records of the newest file; the manifest vouches for its header.
    is_refused(&storage.with_file(&newest, all[..40].to_vec()), &newest);
    is_refused(&storage.with_file(&newest, storage.read(&journal_name(3))), &newest);
    let all_gone =
        numbers(&storage).journals.iter().fold(storage, |left, &n| left.without_file(&journal_name(n)));
    is_refused(&all_gone, &journal_name(1));
}

#[test]
fn a_manifest_that_was_changed_or_is_gone_is_damage() {
    let (storage, shown) = lived(2, true);
    let bytes = storage.read(MANIFEST);
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let is_later = later_version(&bytes).is_some();
        let error = open(&storage.with_file(MANIFEST, bytes)).expect_err("it was changed").to_string();
        let says = if is_later {
            "cannot be used by this program: manifest, offset 8"
        } else {
            "is damaged: manifest, offset 0"
        };
        assert!(error.contains(says), "{error}");
    }
    for length in [0, 1, 8, 60, bytes.len() - 1] {
        is_refused(&storage.with_file(MANIFEST, bytes[..length].to_vec()), MANIFEST);
    }
    is_refused(&storage.with_file(MANIFEST, [&bytes[..], &[0; 2 << 20]].concat()), MANIFEST);
    let text = is_refused(&storage.without_file(MANIFEST), MANIFEST);
    assert!(text.contains("says that there was one"), "{text}");
    // A directory whose only journal may be older than manifests gets one.
    let (storage, _) = (lived(1, false), shown);
    let storage = storage.0.without_file(MANIFEST);
    open(&storage).expect("nothing says that there was one");
    assert!(storage.open(MANIFEST).is_ok());
}

#[test]
fn a_server_that_knows_of_no_manifest_may_have_been_there() {
    // Files of a later time with an earlier manifest, which lists only files that were superseded.
    let storage = Memory::new(Trouble::None, true);
    let world = open(&storage).expect("a disk in order");
    world.turn(&mut Dice::new(1), 6);
    world.core.take_snapshot().expect("a disk in order");
    let early = storage.read(MANIFEST);
    for _ in 0..3 {
        world.turn(&mut Dice::new(2), 2);
        world.core.take_snapshot().expect("a disk in order");
    }
    let storage = storage.with_file(MANIFEST, early);
    let again = open(&storage).unwrap_or_else(|error| panic!("{error}"));
    assert!(picture(&again.core) == picture(&world.core));
    assert!(open(&storage.after_kill()).is_ok());
}

#[test]
fn a_loss_of_power_while_a_loss_is_accepted_takes_nothing_more() {
    let (whole, _) = lived(3, true);
    let newest = journal_name(*numbers(&whole).journals.last().expect("one"));
    for damaged in
        [whole.without_file(&newest), whole.without_file(MANIFEST), whole.with_file(MANIFEST, vec![])]
    {
        let accept = Options { size: Some(SIZE), accept_loss: true, ..Options::default() };
        let count = {
            let disk = damaged.after_kill();
            open_with(&disk, &accept).expect("the loss is accepted");
            disk.operations()
        };
        for at in 1..=count {
            for loss in 0..4 {
                let disk = damaged.after_kill();
                disk.set_trouble(Trouble::Crash(at));
                let was_open = open_with(&disk, &accept).is_ok();
                let left = if loss == 0 {
                    disk.after_kill()
                } else {
                    disk.after_power_loss(&mut Dice::new(at << 8 | loss))
                };
                let plain = open(&left.after_kill());
                assert!(plain.is_ok() || !was_open, "{at}, loss {loss}: it was accepted");
                open_with(&left, &accept).unwrap_or_else(|error| panic!("{at}, loss {loss}: {error}"));
                open(&left.after_kill()).unwrap_or_else(|error| panic!("{at}, loss {loss}: {error}"));
            }
        }
    }
}

#[test]
fn a_manifest_that_cannot_be_written_is_written_later_and_ends_nothing() {
    let (lived, _) = lived(2, true);
    // From each operation on, all operations of a rotation, its sync and the following calls fail because the disk is
    // full.
    let mut late = 0;
    for at in 1..40 {
        let storage = lived.after_kill();
        let world = open(&storage).expect("a disk in order");
        world.turn(&mut Dice::new(1), 6);
        let from = storage.operations() + at;
        storage.set_trouble(Trouble::Error { from, count: 100, kind: std::io::ErrorKind::StorageFull });
        _ = world.core.take_snapshot();
        storage.set_trouble(Trouble::None);
        if let Some(failure) = world.core.syncer.failure() {
            assert!(failure.contains("a sync to its disk failed"), "{failure}");
            open(&storage.after_kill()).unwrap_or_else(|error| panic!("{at}: {error}"));
            continue;
        }
        let manifest = || numbers(&storage).manifest.expect("one").expect("it is whole");
        late += u64::from(!manifest().journals.contains(&locked(&world.core.log).place.file));
        let drawn = world.turn(&mut Dice::new(at), 2).0;
        world.core.syncer.sync().expect("a disk in order");
        assert!(manifest().journals.contains(&locked(&world.core.log).place.file), "{at}: {:?}", manifest());
        for left in [storage.after_kill(), storage.after_power_loss(&mut Dice::new(at))] {
            let again = open(&left).unwrap_or_else(|error| panic!("{at}: {error}"));
            assert!(Some(&picture(&again.core)) == drawn.last(), "{at}");
        }
    }
    assert!(late > 2, "the manifest could be written each time");
}

#[test]
fn what_is_left_of_an_unfinished_manifest_is_removed() {
    let (storage, shown) = lived(2, true);
    let file = storage.create("manifest.new").expect("a disk in order");
    append_all(&*file, b"DRAWMANI, and then the power was gone").expect("there is room");
    let world = open(&storage).unwrap_or_else(|error| panic!("{error}"));
    assert!(picture(&world.core) == shown);
    assert!(numbers(&storage).unfinished.is_empty());
}
