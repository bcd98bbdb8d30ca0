//! Tests journals of version 1, and journals of programs with other limits or kinds of records.

use super::gone::lived;
use super::memory::{Dice, Memory, Trouble};
use super::world::*;
use crate::canvas::apply::replay;
use crate::journal::files::{BARRIER, Catalogue, journal_name, snapshot_name};
use crate::journal::inspect::examine;
use crate::journal::lock::locked;
use crate::journal::manifest::MANIFEST;
use crate::journal::record::{Entry, Frame};
use crate::journal::recovery_point::Errors;
use crate::journal::storage::{Storage, append_all};
use crate::journal::tests::format::sealed_behind;
use crate::journal::{JournalError, Options};
use draw_protocol::session::{Id, Stamp};
use draw_protocol::{Color, Pixel, Request, Size, limits};
use std::path::Path;

/// Returns a disk with the journal written by commit 929d23f: a display that was ended, started again, and killed.
fn written_by_929d23f() -> Memory {
    let storage = Memory::new(Trouble::None, true);
    for (name, bytes) in [
        (
            "journal-0000000000000001",
            &include_bytes!("../../../tests/data/journal-version-1/journal-0000000000000001")[..],
        ),
        (
            "journal-0000000000000002",
            include_bytes!("../../../tests/data/journal-version-1/journal-0000000000000002"),
        ),
        (
            "journal-0000000000000003",
            include_bytes!("../../../tests/data/journal-version-1/journal-0000000000000003"),
        ),
        (
            "snapshot-0000000000000002",
            include_bytes!("../../../tests/data/journal-version-1/snapshot-0000000000000002"),
        ),
    ] {
        let file = storage.create(name).expect("a disk in order");
        append_all(&*file, bytes).expect("a disk in order");
    }
    storage
}

fn version(storage: &Memory, name: &str) -> u8 {
    storage.read(name)[11]
}

#[test]
fn a_journal_of_version_1_goes_on_in_version_2() {
    let storage = written_by_929d23f();
    let before = storage.read(&journal_name(3));
    let options = Options { size: Some(Size { width: 16, height: 12 }), ..Options::default() };
    let world = open_with(&storage, &options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((world.last(), locked(&world.core.log).place.boot), (13, 3));
    // A pixel of the batch before the snapshot, one of the sums after it, and one of the last image.
    let pixel = |x, y| world.kept.display.framebuffer().get_pixel(x, y).map(Color::to_u32);
    let shown = [pixel(7, 7), pixel(1, 1), pixel(12, 9), pixel(1, 2)];
    assert_eq!(shown, [Some(0x00ff_00ff), Some(0x0201_0403), Some(0xf0f0_f0f0), Some(0xff00_00ff)]);
    assert_eq!(version(&storage, &journal_name(4)), 2);
    assert!(storage.read(&journal_name(3)) == before, "what is there stays as it is");

    let color = Color::from_u32(0x0908_0706);
    let request = Request::FillRect { x: 0, y: 0, width: 16, height: 12, color };
    let mut log = locked(&world.core.log);
    world.core.append(&mut log, &Entry::Call { session: None, request }).expect("there is room");
    world.core.end_transaction(&mut log);
    drop(log);
    let again = open_with(&storage.after_kill(), &options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((again.last(), again.kept.display.framebuffer().get_pixel(5, 5)), (14, Some(color)));
    again.core.take_snapshot().expect("there is room");
    let catalogue = Catalogue::read(&storage).expect("a disk in order");
    assert_eq!(catalogue.snapshots[..], [2], "that was another disk");
}

/// The file that makes commit 929d23f refuse the directory must exist whenever a file of version 2 does.
#[test]
fn older_programs_are_kept_out_before_the_first_file_of_version_2() {
    for fresh in [false, true] {
        let start = || if fresh { Memory::new(Trouble::None, true) } else { written_by_929d23f() };
        let count = {
            let disk = start();
            open_with(&disk, &Options::default()).expect("a disk in order");
            disk.operations() - start().operations()
        };
        let mut begun = 0;
        for at in 1..=count {
            let disk = start();
            disk.set_trouble(Trouble::Crash(disk.operations() + at));
            _ = open_with(&disk, &Options::default());
            for left in [disk.after_kill(), disk.after_power_loss(&mut Dice::new(at))] {
                let names = left.list().expect("a disk in order");
                let is_second =
                    |name: &&String| name.starts_with("journal-") && left.read(name).get(11) == Some(&2);
                let has_second = names.iter().any(|name| is_second(&name));
                // Nothing was promised for a file that was not finished.
                let is_promised = has_second && names.iter().any(|name| name == "manifest");
                assert!(!is_promised || names.contains(&snapshot_name(BARRIER)), "{at}: {names:?}");
                begun += u32::from(is_promised);
            }
        }
        assert!(begun > 0);
    }
}

#[test]
fn a_replay_has_no_limit_of_the_wire() {
    let storage = Memory::new(Trouble::None, true);
    let world = open(&storage).expect("a disk in order");
    let mut pixels = vec![Pixel::new(1, 1, Color::RED); limits::BATCH];
    pixels.push(Pixel::new(2, 3, Color::BLUE));
    let request = Request::DrawPixels { pixels: pixels[..].into() };
    assert!(request.check().is_err(), "it is more than the wire allows");
    let framebuffer = world.kept.display.framebuffer();
    replay(&request, framebuffer, &mut framebuffer.no_damage()).expect("it lies inside");
    let stamp = |number| Some(Stamp { session: Id([7; 16]), number, ack: 0, digest: 1 });
    let mut log = locked(&world.core.log);
    for session in [None, stamp(1), stamp(limits::SESSION_WINDOW + 2)] {
        world.core.append(&mut log, &Entry::Call { session, request }).expect("there is room");
    }
    world.core.end_transaction(&mut log);
    drop(log);
    let again = open(&storage.after_kill()).unwrap_or_else(|error| panic!("{error}"));
    assert!(again.last() == 3 && picture(&again.core) == picture(&world.core));
    assert_eq!(again.kept.display.framebuffer().get_pixel(2, 3), Some(Color::BLUE));
    assert_eq!(again.kept.xids(), [1, limits::SESSION_WINDOW + 2]);
}

/// Returns a disk whose journal ends with a record of this body, and the offset of that record.
fn ending_with(body: &[u8]) -> (Memory, u64) {
    let storage = Memory::new(Trouble::None, true);
    let world = open(&storage).expect("a disk in order");
    world.turn(&mut Dice::new(1), 4);
    let place = locked(&world.core.log).place;
    let name = journal_name(1);
    let mut bytes = storage.read(&name);
    let offset = bytes.len() as u64;
    let frame = Frame { sequence: place.next, durable: 0, time: place.time };
    bytes.extend_from_slice(&sealed_behind(frame, body, place.checksum));
    (storage.with_file(&name, bytes), offset)
}

#[test]
fn a_kind_that_must_be_understood_is_refused_whatever_loss_is_accepted() {
    let (storage, offset) = ending_with(&[4, 0, 0, 2, 0x80, 0, 0, 1, 0xe0, 0, 0, 0, 0xff]);
    let names = storage.list().expect("a disk in order");
    let before: Vec<_> = names.iter().map(|name| storage.read(name)).collect();
    for accept_loss in [false, true] {
        let options = Options { accept_loss, ..Options::default() };
        let error = open_with(&storage, &options).expect_err("it is not known");
        let text = error.to_string();
        let JournalError::Newer { place, .. } = error else { panic!("{text}") };
        assert_eq!((place.file, place.offset, place.record), (journal_name(1), offset, 5));
        let needed =
            concat!("open it with display-server ", env!("CARGO_PKG_VERSION"), ", which wrote it, or later");
        assert!(text.contains("its kind 4 (resize) is not known") && text.contains(needed), "{text}");
        assert!(!text.contains("accept-loss") && !text.contains("damaged"), "{text}");
        let after: Vec<_> = names.iter().map(|name| storage.read(name)).collect();
        assert!(after == before, "it is as it was");
    }
}

#[test]
fn a_kind_that_may_be_skipped_is() {
    let (storage, _) = ending_with(&[0x80, 1, 2, 3]);
    let world = open(&storage).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(world.last(), 5);
    let (more, _) = world.turn(&mut Dice::new(2), 2);
    let again = open(&storage.after_kill()).unwrap_or_else(|error| panic!("{error}"));
    assert!(again.last() == 7 && Some(&picture(&again.core)) == more.last());
}

#[test]
fn a_session_that_cannot_be_decoded_is_damage_at_its_offset() {
    let (storage, offset) = ending_with(&[&[3][..], &[9; 16], &[77, 0, 0]].concat());
    let error = open(&storage).expect_err("it is damaged");
    let text = error.to_string();
    let JournalError::Damaged { damage, .. } = error else { panic!("{text}") };
    assert_eq!((damage.file.clone(), damage.offset, damage.record), (journal_name(1), offset, 5));
    assert!(text.contains("these bytes are no session: another version"), "{text}");
    let catalogue = Catalogue::read(&storage).expect("a disk in order");
    let report = examine(&storage, &catalogue, &Errors(Path::new("memory")), &mut |_, _| ());
    assert_eq!(report.expect("a disk in order").damage, Some(damage));
}

/// Returns the contents of all files.
fn contents(storage: &Memory) -> Vec<(String, Vec<u8>)> {
    let names = storage.list().expect("a disk in order");
    names.into_iter().map(|name| (name.clone(), storage.read(&name))).collect()
}

/// Checks that a server and a check refuse the journal because of this file, even if loss is accepted, and that nothing
/// is changed.
fn is_newer(storage: &Memory, file: &str) {
    let before = contents(storage);
    for accept_loss in [false, true] {
        let options = Options { accept_loss, ..Options::default() };
        let error = open_with(storage, &options).expect_err("a later program may have written it");
        let text = error.to_string();
        let JournalError::Newer { place, .. } = error else { panic!("{text}") };
        assert_eq!((&*place.file, place.offset), (file, 8));
        for part in ["its version is 3", "open it with the program that wrote it", "moved away by hand"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("--accept-loss") && !text.contains("is damaged"), "{text}");
        assert!(contents(storage) == before, "{file}: it is as it was");
        let catalogue = Catalogue::read(storage).expect("a disk in order");
        let report = examine(storage, &catalogue, &Errors(Path::new("memory")), &mut |_, _| ());
        let report = report.expect("a disk in order");
        assert!(report.is_newer && report.torn.is_none(), "{report:?}");
        assert!(report.warnings.iter().all(|other| other.file != file), "{report:?}");
        assert_eq!(report.damage, Some(place));
    }
}

#[test]
fn a_file_of_a_later_version_is_refused_whatever_loss_is_accepted() {
    // A first file without a manifest, a file in the middle, and snapshots with and without another intact one.
    let without_manifest = lived(1, false).0.without_file(MANIFEST);
    for storage in [without_manifest, lived(1, true).0, lived(3, false).0, lived(4, true).0] {
        let barrier = snapshot_name(BARRIER);
        let names = storage.list().expect("a disk in order");
        let mut all = storage.after_kill();
        for name in names.iter().filter(|name| **name != barrier) {
            let mut bytes = storage.read(name);
            bytes[11] = 3;
            is_newer(&storage.with_file(name, bytes.clone()), name);
            // What follows the version is unknown, including its checksum.
            is_newer(&storage.with_file(name, [&bytes[..12], &[0xa5; 9]].concat()), name);
            is_newer(&storage.with_file(name, bytes[..12].to_vec()), name);
            all = all.with_file(name, bytes);
        }
        let first =
            if names.iter().any(|name| name == MANIFEST) { MANIFEST } else { "journal-0000000000000001" };
        is_newer(&all, first);
    }
}

#[test]
fn a_file_of_a_later_version_that_was_moved_away_is_a_loss_that_can_be_accepted() {
    let (storage, _) = lived(3, false);
    let moved = storage.without_file(&journal_name(3));
    assert!(matches!(open(&moved), Err(JournalError::Damaged { .. })));
    let options = Options { accept_loss: true, ..Options::default() };
    let world = open_with(&moved, &options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(world.last(), 12);
}
