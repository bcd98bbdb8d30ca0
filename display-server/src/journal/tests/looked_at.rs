//! Tests the inspection of a journal on a real disk.

use super::world::*;
use crate::Journal;
use crate::journal::directory::Directory;
use crate::journal::files::Catalogue;
use crate::journal::files::{snapshot_name, write_snapshot};
use crate::journal::format::{SnapshotHeader, Version};
use crate::journal::inspect::{Moment, check, info};
use crate::journal::lock::locked;
use crate::journal::record::Entry;
use crate::journal::{JournalError, Options, Transaction};
use draw_protocol::{Color, Request};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};

/// A temporary directory of one test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        Scratch(std::env::temp_dir().join(format!("display-server-looked-at-{}-{n}", std::process::id())))
    }

    fn open_with(&self, options: &Options) -> Result<Journal, JournalError> {
        // The directories do not exist yet.
        Journal::open(&self.0.join("a/b"), options, &mut |_, _| ())
    }

    fn open(&self) -> Journal {
        let options = Options { size: Some(SIZE), ..Options::default() };
        self.open_with(&options).unwrap_or_else(|error| panic!("{error}"))
    }

    fn journal(&self) -> PathBuf {
        self.0.join("a/b")
    }

    fn catalogue(&self) -> Catalogue {
        let directory = Directory::read_only(&self.journal()).expect("it is there");
        Catalogue::read(&directory).expect("it can be read")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// Clears the display at a given time.
fn clear_at(journal: &Journal, milliseconds: u64, color: Color) {
    let core = journal.recorder().core();
    let mut log = locked(&core.log);
    log.begin_transaction(milliseconds);
    let request = Request::Clear { color };
    core.append(&mut log, &Entry::Call { session: None, request }).expect("there is room");
    let framebuffer = journal.display().framebuffer();
    framebuffer.clear(color, &mut framebuffer.no_damage());
    core.end_transaction(&mut log);
}

#[test]
fn the_picture_of_any_moment_that_is_kept_can_be_had() {
    let scratch = Scratch::new();
    let at = |moment| {
        let display = Journal::export(&scratch.journal(), moment, &mut |_, _| ())?;
        Ok::<_, JournalError>(display.framebuffer().get_pixel(1, 1).expect("it lies inside"))
    };
    let after = |milliseconds| Moment::At(UNIX_EPOCH + Duration::from_millis(milliseconds));
    let before = |milliseconds| Moment::Before(Duration::from_millis(milliseconds));
    let journal = scratch.open();
    clear_at(&journal, 1_000, Color::RED);
    clear_at(&journal, 2_000, Color::GREEN);
    journal.recorder().core().take_snapshot().expect("there is room");
    clear_at(&journal, 3_000, Color::BLUE);
    // A clock that was set back does not change the order.
    clear_at(&journal, 500, Color::WHITE);
    for (moment, color) in [
        (Moment::End, Color::WHITE),
        (after(999), Color::BLACK),
        (after(1_000), Color::RED),
        (after(2_999), Color::GREEN),
        (after(3_000), Color::WHITE),
        (before(0), Color::WHITE),
        (before(1), Color::GREEN),
        (before(1_001), Color::RED),
        (before(u64::MAX), Color::BLACK),
    ] {
        assert_eq!(at(moment).unwrap_or_else(|error| panic!("{error}")), color, "{moment:?}");
    }
    journal.recorder().core().take_snapshot().expect("there is room");
    assert_eq!(at(before(1)).unwrap_or_else(|error| panic!("{error}")), Color::GREEN);
    let error = at(after(1_999)).expect_err("it was removed").to_string();
    assert!(error.contains("begins at 1970-01-01T00:00:02.000Z"), "{error}");
}

#[test]
fn snapshots_keep_it_short_and_the_last_two_are_kept() {
    let scratch = Scratch::new();
    let options = Options { size: Some(SIZE), snapshot_after: 4_000, ..Options::default() };
    let journal = scratch.open_with(&options).unwrap_or_else(|error| panic!("{error}"));
    for n in 0..500 {
        let color = Color::from_u32(n);
        let mut turn = Transaction::new(Some(journal.recorder()));
        let number = turn.record(None, &Request::Clear { color }).expect("there is room");
        assert_eq!(number, Some(u64::from(n) + 1));
        let framebuffer = journal.display().framebuffer();
        framebuffer.clear(color, &mut framebuffer.no_damage());
        drop(turn);
        journal.recorder().handle.join_snapshot();
    }
    let catalogue = scratch.catalogue();
    assert!(catalogue.snapshots.len() == 2 && catalogue.journals == catalogue.snapshots, "{catalogue:?}");
    assert!(catalogue.journals[0] > 3, "many were taken: {catalogue:?}");
    drop(journal);
    let again = scratch.open();
    assert_eq!(again.display().framebuffer().get_pixel(6, 4), Some(Color::from_u32(499)));
    assert_eq!(*again.durable().borrow(), 500);
    let info = info(&scratch.journal()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((info.instance, info.boot, info.size), (again.instance(), 2, SIZE));
    assert_eq!((info.snapshots.len(), info.journals.len()), (2, 3));
}

#[test]
fn many_starts_leave_few_files() {
    let scratch = Scratch::new();
    for start in 1..=40 {
        assert_eq!(scratch.open().boot(), start);
        let files = scratch.catalogue().journals.len();
        assert!(files <= 20, "{files} files after {start} starts");
    }
}

#[test]
fn a_removal_that_was_interrupted_is_no_damage() {
    let scratch = Scratch::new();
    let mut old = Vec::new();
    for n in 0..4 {
        let journal = scratch.open();
        clear_at(&journal, 1_000, Color::from_u32(n));
        for entry in fs::read_dir(scratch.journal()).expect("it is there") {
            let path = entry.expect("it can be read").path();
            old.push((path.clone(), fs::read(path).expect("it can be read")));
        }
        journal.close().unwrap_or_else(|error| panic!("{error}"));
    }
    let report = check(&scratch.journal(), &mut |_, _| ()).unwrap_or_else(|error| panic!("{error}"));
    assert!(report.damage.is_none() && report.torn.is_none(), "{report:?}");
    let mut came_back = 0;
    for (path, bytes) in old.iter().filter(|(path, _)| !path.exists()) {
        fs::write(path, bytes).expect("there is room");
        came_back += 1;
        let report = check(&scratch.journal(), &mut |_, _| ()).unwrap_or_else(|error| panic!("{error}"));
        assert!(report.damage.is_none(), "{report:?}");
        fs::remove_file(path).expect("it is there");
    }
    assert!(came_back > 0);
}

#[test]
fn a_state_that_cannot_be_restored_is_refused_with_its_reason() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    clear_at(&journal, 1_000, Color::RED);
    journal.close().unwrap_or_else(|error| panic!("{error}"));
    drop(journal);
    let number = *scratch.catalogue().snapshots.last().expect("one");
    let name = snapshot_name(number);
    let bytes = fs::read(scratch.journal().join(&name)).expect("it can be read");
    let mut header = SnapshotHeader::decode(&bytes).expect("it is whole");
    let picture = &bytes[header.length()..][..(SIZE.width * SIZE.height * 4) as usize];
    let sessions = |bytes: &[u8]| [&[1][..], &(bytes.len() as u64).to_be_bytes(), bytes].concat();
    let reopen = |header: &mut SnapshotHeader, state: &[u8]| {
        header.state = state.len() as u64;
        let directory = Directory::lock(&scratch.journal()).expect("it is there").expect("it is free");
        write_snapshot(&directory, number, header, picture, state).expect("there is room");
        drop(directory);
        let report = check(&scratch.journal(), &mut |_, _| ()).unwrap_or_else(|error| panic!("{error}"));
        let opened = scratch.open_with(&Options { accept_loss: true, ..Options::default() }).map(drop);
        assert_eq!(report.damage.is_some(), opened.is_err(), "{report:?}");
        // A section of an unknown kind is not damage.
        let is_unknown = matches!(state, [2, ..]);
        let is_newer = matches!(&opened, Err(JournalError::Newer { place, .. }) if report.damage.as_ref() == Some(place));
        assert_eq!((report.is_newer, is_newer), (is_unknown, is_unknown), "{report:?}");
        opened.map_err(|error| error.to_string())
    };
    for (state, says) in [
        (&[1, 2, 3][..], "a section is cut off"),
        (&sessions(&[9; 7]), "the sessions are cut off"),
        (&sessions(&[&[9; 16][..], &[0, 0, 0, 1, 77]].concat()), "these bytes are no session"),
        (&[2, 0, 0, 0, 0, 0, 0, 0, 0], "its section of kind 2 is not known to this program"),
    ] {
        let error = reopen(&mut header, state).expect_err("it cannot be restored");
        assert!(error.contains("cannot be restored: ") && error.contains(says), "{error}");
        // The error says so.
        let display = Journal::export(&scratch.journal(), Moment::End, &mut |_, _| ());
        let display = display.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(display.framebuffer().get_pixel(1, 1).expect("it lies inside"), Color::RED);
    }
    header.version = Version::One;
    let error = reopen(&mut header, &[9; 7]).expect_err("version 1 has no sections");
    assert!(error.contains("the sessions are cut off"), "{error}");
    // An unknown section that may be skipped is skipped.
    header.version = Version::WRITTEN;
    reopen(&mut header, &[0x80, 0, 0, 0, 0, 0, 0, 0, 1, 5]).unwrap_or_else(|error| panic!("{error}"));
}
