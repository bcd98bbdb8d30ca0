//! Tests files with changed bytes.

use super::memory::{Dice, Memory, Trouble};
use super::world::*;
use crate::journal::files::{Catalogue, journal_name, snapshot_name};
use crate::journal::format::{HEADER, later_version};
use crate::journal::{JournalError, Options};

/// Returns a journal with `snapshots` snapshots and records after each, all of it synced, and the pictures after each
/// call.
fn made(snapshots: u64) -> (Memory, Vec<Picture>) {
    let storage = Memory::new(Trouble::None, true);
    let world = open(&storage).expect("a disk in order");
    let dice = &mut Dice::new(11);
    let mut pictures = vec![picture(&world.core)];
    for part in 0..=snapshots {
        if part > 0 {
            world.core.take_snapshot().expect("a disk in order");
        }
        for _ in 0..3 {
            pictures.extend(world.turn(dice, 2).0);
            world.core.syncer.sync().expect("a disk in order");
        }
    }
    (storage.after_kill(), pictures)
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

/// Returns the ranges of the records of a file.
fn records(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut at, mut records) = (HEADER, Vec::new());
    while at < bytes.len() {
        let length = u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four")) as usize + 12;
        records.push(at..at + length);
        at += length;
    }
    records
}

#[test]
fn no_changed_record_is_applied() {
    let (storage, pictures) = made(0);
    let name = journal_name(1);
    let bytes = storage.read(&name);
    let records = records(&bytes);
    assert_eq!(records.len(), 6);
    for (n, record) in records.iter().enumerate() {
        for bit in record.start * 8..record.end * 8 {
            match open(&storage.with_file(&name, flipped(&bytes, bit))) {
                // Each turn has two calls and a sync after it, so nothing vouches for the last two calls.
                Ok(world) => {
                    assert!(n >= 4, "record {} was promised, bit {bit}", n + 1);
                    assert_eq!(world.last(), n as u64);
                    assert!(picture(&world.core) == pictures[n]);
                }
                Err(error) => {
                    let text = error.to_string();
                    let JournalError::Damaged { damage, .. } = error else { panic!("{text}") };
                    let place = (damage.file, damage.offset, damage.record);
                    assert_eq!(place, (name.clone(), record.start as u64, n as u64 + 1), "bit {bit}");
                    assert!(
                        n < 4 && text.contains("--accept-loss") && text.contains("says that it was synced")
                    );
                }
            }
        }
    }
}

#[test]
fn a_torn_end_is_cut_off_at_the_last_whole_record_wherever_it_is_torn() {
    let (storage, pictures) = made(0);
    let name = journal_name(1);
    let bytes = storage.read(&name);
    let records = records(&bytes);
    for length in HEADER..=bytes.len() {
        let whole = records.iter().filter(|record| record.end <= length).count();
        // The end is torn off, or was never written: reserved space contains zeros.
        for zeros in [0, 1, bytes.len() - length] {
            let torn = [&bytes[..length], &vec![0; zeros][..]].concat();
            // The original bytes may be zeros as well.
            let is_same = torn == bytes[..torn.len().min(bytes.len())];
            let whole = if is_same {
                records.iter().filter(|record| record.end <= torn.len()).count()
            } else {
                whole
            };
            let left = storage.with_file(&name, torn);
            let world = open(&left).unwrap_or_else(|error| panic!("torn at {length}: {error}"));
            assert_eq!(world.last(), whole as u64, "torn at {length}, {zeros} zeros");
            assert!(picture(&world.core) == pictures[whole], "torn at {length}");
            let (more, is_written) = world.turn(&mut Dice::new(1), 2);
            assert!(is_written);
            let again = open(&left.after_kill()).unwrap_or_else(|error| panic!("torn at {length}: {error}"));
            assert!(Some(&picture(&again.core)) == more.last(), "what follows is kept");
        }
    }
}

#[test]
fn a_changed_header_is_damage_if_anything_was_promised() {
    let (storage, _) = made(0);
    let bytes = storage.read(&journal_name(1));
    for bit in 0..HEADER * 8 {
        let flipped = flipped(&bytes, bit);
        let is_later = later_version(&flipped).is_some();
        let error = open(&storage.with_file(&journal_name(1), flipped)).expect_err("it is damaged");
        let says = if is_later { "offset 8, record 0: its version is" } else { "offset 0" };
        assert!(error.to_string().contains(&format!("journal-0000000000000001, {says}")), "{error}");
    }
}

#[test]
fn a_damaged_snapshot_is_replaced_by_the_one_before_it() {
    let (storage, pictures) = made(2);
    let catalogue = Catalogue::read(&storage).expect("a disk in order");
    assert_eq!((&catalogue.snapshots[..], &catalogue.journals[..]), (&[2, 3][..], &[2, 3][..]));
    let name = snapshot_name(3);
    let bytes = storage.read(&name);
    for bit in 0..bytes.len() * 8 {
        let flipped = flipped(&bytes, bit);
        let is_later = later_version(&flipped).is_some();
        let storage = storage.with_file(&name, flipped);
        if is_later {
            let error = open(&storage).expect_err("a later program may have written it");
            assert!(matches!(error, JournalError::Newer { .. }), "bit {bit}: {error}");
            continue;
        }
        let world = open(&storage).unwrap_or_else(|error| panic!("bit {bit}: {error}"));
        assert!(&picture(&world.core) == pictures.last().expect("many"), "bit {bit}");
        let left = Catalogue::read(&storage).expect("a disk in order").snapshots;
        assert_eq!(left, [2], "the damaged one is not one of those that are kept");
    }
    for length in [0, 50, bytes.len() - 1] {
        let world = open(&storage.with_file(&name, bytes[..length].to_vec())).expect("there is another");
        assert!(&picture(&world.core) == pictures.last().expect("many"));
    }
    // With both snapshots damaged, there is nothing to start from.
    let both = storage.with_file(&name, vec![]).with_file(&snapshot_name(2), vec![]);
    let error = open(&both).expect_err("nothing is whole").to_string();
    assert!(error.contains("no snapshot is intact"), "{error}");
    let accept = Options { size: Some(SIZE), accept_loss: true, ..Options::default() };
    let world = open_with(&both, &accept).unwrap_or_else(|error| panic!("{error}"));
    assert!(picture(&world.core) == pictures[0] && world.last() == 0, "an empty display");
    let (more, _) = world.turn(&mut Dice::new(1), 2);
    let again = open(&both.after_kill()).expect("the loss was accepted");
    assert!(Some(&picture(&again.core)) == more.last());
}

#[test]
fn whatever_is_in_the_files_nothing_panics() {
    let (storage, pictures) = made(1);
    let names = [journal_name(1), journal_name(2), snapshot_name(2)];
    for seed in 0..2_000 {
        let dice = &mut Dice::new(seed);
        let name = &names[dice.below(3) as usize];
        let mut bytes = storage.read(name);
        for _ in 0..1 + dice.below(3) {
            let at = dice.below(bytes.len() as u64 + 1) as usize;
            let (end, count) = ((at + dice.below(40) as usize).min(bytes.len()), dice.below(40));
            let new: Vec<_> =
                (0..count).map(|_| [0, 255, dice.below(256) as u8][dice.below(3) as usize]).collect();
            bytes.splice(at..end, new);
        }
        if let Ok(world) = open(&storage.with_file(name, bytes)) {
            assert!(picture(&world.core) == pictures[world.last() as usize], "seed {seed}");
        }
    }
}

#[test]
fn a_file_that_is_missing_or_of_another_journal_is_damage() {
    let (storage, _) = made(2);
    let newest_gone = storage.with_file(&snapshot_name(3), vec![]);
    let error = open(&newest_gone.without_file(&journal_name(2))).expect_err("it is needed").to_string();
    assert!(error.contains("journal-0000000000000002") && error.contains("missing"), "{error}");

    let (other, _) = made(2);
    let error = open(&newest_gone.with_file(&journal_name(2), other.read(&journal_name(2))));
    let error = error.expect_err("the instance is another").to_string();
    assert!(error.contains("does not continue"), "{error}");
}

#[test]
fn a_loss_that_is_accepted_makes_a_new_instance() {
    let (storage, pictures) = made(0);
    let name = journal_name(1);
    let bytes = storage.read(&name);
    let third = records(&bytes)[2].clone();
    let damaged = storage.with_file(&name, flipped(&bytes, third.start * 8 + 400));
    assert!(open(&damaged).is_err() && open(&damaged).is_err(), "it stays refused");
    let old =
        crate::journal::recovery_point::read_header(&damaged, 1).expect("a disk in order").expect("a header");

    let accept = Options { accept_loss: true, ..Options::default() };
    let world = open_with(&damaged, &accept).unwrap_or_else(|error| panic!("{error}"));
    let instance = crate::journal::lock::locked(&world.core.log).owner().instance;
    assert!(instance != old.instance && picture(&world.core) == pictures[2]);
    assert_eq!(crate::journal::lock::locked(&world.core.log).place.boot, 1);
    let (more, _) = world.turn(&mut Dice::new(1), 2);
    world.core.finish().expect("a disk in order");

    let again = open(&damaged).expect("the loss was accepted");
    assert!(Some(&picture(&again.core)) == more.last());
    let log = crate::journal::lock::locked(&again.core.log);
    assert_eq!((log.owner().instance, log.place.boot), (instance, 2));
}

#[test]
fn a_journal_of_another_size_is_refused() {
    let (storage, _) = made(1);
    let options = Options { size: Some(draw_protocol::Size { width: 8, height: 5 }), ..Options::default() };
    let error = open_with(&storage, &options).expect_err("it is of another size").to_string();
    assert!(error.contains("7x5, not 8x5") && error.contains("--size"), "{error}");
    assert!(open_with(&storage, &Options::default()).is_ok(), "without a size it is that of the journal");
}
