//! Tests that a check reports damage exactly if a server refuses to start, and warnings exactly if a server warns.

use super::gone::lived;
use super::memory::{Dice, Memory};
use super::world::*;
use crate::journal::JournalError;
use crate::journal::files::{BARRIER, Catalogue, journal_name, snapshot_name};
use crate::journal::inspect::{Report, examine};
use crate::journal::manifest::MANIFEST;
use crate::journal::recovery_point::Errors;
use crate::journal::storage::Storage;
use std::path::Path;

fn check(storage: &Memory) -> Report {
    let catalogue = Catalogue::read(storage).expect("a disk in order");
    let errors = Errors(Path::new("memory"));
    let report = examine(storage, &catalogue, &errors, &mut |_, _| ());
    report.unwrap_or_else(|error| panic!("{error}"))
}

/// Checks that a check and a server agree, and returns the report of the check.
fn agree(storage: &Memory, what: &str) -> Report {
    let report = check(storage);
    match (open(&storage.after_kill()), &report.damage) {
        (Ok(_), None) => {}
        (Err(JournalError::Damaged { damage, .. }), Some(found)) => {
            assert!(&damage == found && !report.is_newer, "{what}");
        }
        (Err(JournalError::Newer { place, .. }), Some(found)) => {
            assert!(&place == found && report.is_newer, "{what}");
        }
        (opened, _) => {
            panic!("{what}: a server says {:?}, and a check {report:?}", opened.map(drop))
        }
    }
    report
}

fn names_of(storage: &Memory) -> Vec<String> {
    storage.list().expect("a disk in order")
}

#[test]
fn what_a_server_does_not_need_is_a_warning() {
    let (storage, _) = lived(4, true);
    let catalogue = Catalogue::read(&storage).expect("a disk in order");
    let [old, new] = catalogue.snapshots[..] else { panic!("{catalogue:?}") };
    let oldest = journal_name(catalogue.journals[0]);
    let whole = agree(&storage, "nothing is wrong");
    assert!(whole.warnings.is_empty(), "{whole:?}");
    let flipped = |name: &str| {
        let mut bytes = storage.read(name);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        storage.with_file(name, bytes)
    };
    for (left, file) in [
        (storage.without_file(&snapshot_name(old)), snapshot_name(old)),
        (storage.without_file(&snapshot_name(new)), snapshot_name(new)),
        (storage.without_file(&oldest), oldest.clone()),
        (flipped(&snapshot_name(old)), snapshot_name(old)),
        (flipped(&snapshot_name(new)), snapshot_name(new)),
        (flipped(&oldest), oldest.clone()),
    ] {
        let report = agree(&left, &file);
        assert!(report.damage.is_none(), "{file}: {report:?}");
        assert_eq!(
            report.warnings.iter().map(|other| &other.file).collect::<Vec<_>>(),
            [&file],
            "{report:?}"
        );
    }
    let report = agree(&flipped(MANIFEST), MANIFEST);
    assert!(report.damage.is_some_and(|damage| damage.file == MANIFEST));
}

#[test]
fn a_header_that_was_never_finished_is_no_damage() {
    let storage = lived(1, false).0.without_file(MANIFEST);
    assert_eq!(names_of(&storage), [journal_name(1), snapshot_name(BARRIER)]);
    for bytes in [vec![], b"DRAWJOUR".to_vec(), vec![0; 500]] {
        let report = agree(&storage.with_file(&journal_name(1), bytes), "a first file");
        assert!(report.damage.is_none(), "{report:?}");
    }
}

#[test]
fn a_check_and_a_server_agree_whatever_was_changed() {
    let mut refused = 0;
    let mut tries = 0;
    for (starts, is_ended) in [(1, false), (1, true), (3, false), (4, true)] {
        let (storage, _) = lived(starts, is_ended);
        let names = names_of(&storage);
        for seed in 0..400 {
            let dice = &mut Dice::new(seed);
            let mut left = storage.after_kill();
            for _ in 0..1 + dice.below(2) {
                let name = &names[dice.below(names.len() as u64) as usize];
                if !names_of(&left).contains(name) {
                    continue;
                }
                let mut bytes = left.read(name);
                let at = dice.below(bytes.len() as u64 + 1) as usize;
                left = match dice.below(4) {
                    0 => left.without_file(name),
                    1 => left.with_file(name, bytes[..at].to_vec()),
                    2 => left.with_file(name, storage.read(&names[dice.below(names.len() as u64) as usize])),
                    _ => {
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte ^= 1 << dice.below(8);
                        }
                        left.with_file(name, bytes)
                    }
                };
            }
            refused += u32::from(agree(&left, &format!("{starts} starts, seed {seed}")).damage.is_some());
            tries += 1;
        }
    }
    assert!(refused > tries / 10 && refused < tries * 9 / 10, "{refused} of {tries}");
}
