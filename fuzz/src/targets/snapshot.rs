use crate::common::disk::{Directory, Files, Header, Record, Version, journal_name, seal, snapshot_name};
use display_server::Journal;
use display_server::journal::Options;
use display_server::journal::inspect::{self, Moment};
use draw_protocol::{Color, Size};
use std::collections::BTreeMap;

/// A snapshot is refused, or opens as the picture in its bytes, and the sessions stored when the display ends are those
/// it contained. The first byte chooses whether its checksum is corrected: a fuzzer would not find a valid one.
pub fn snapshot(data: &[u8]) {
    let Some((&first, bytes)) = data.split_first() else { return };
    let mut bytes = bytes.to_vec();
    let is_sealed = first & 1 > 0;
    if is_sealed {
        seal(&mut bytes, 0);
    }
    // For pictures of several gigabytes only the lengths matter, which are compared before any memory is allocated.
    // A snapshot is followed by the journal of its number. That one is empty.
    let mut files = Files::from([(snapshot_name(3), bytes.clone())]);
    files.extend(header(&bytes).map(|header| (journal_name(3), header.encode().0)));
    let directory = Directory::with(&files);
    let path = directory.path();
    let exported = Journal::export(path, Moment::End, &mut |_, _| ());
    let report = inspect::check(path, &mut |_, _| ()).expect("a directory in order");
    assert!(is_sealed || exported.is_err() || bytes.len() > 100, "no checksum is right by chance");
    let opened = Journal::open(path, &Options::default(), &mut |_, _| ());
    assert_eq!(report.damage.is_none(), opened.is_ok(), "{report:?} {:?}", opened.as_ref().err());
    assert!(report.damage.is_some() || exported.is_ok(), "{report:?}");
    let Ok(exported) = exported else { return assert!(opened.is_err(), "it is damaged, and all there is") };

    let size = exported.size();
    let pixels = size.width as usize * size.height as usize * 4;
    let mut shown = Vec::new();
    exported.framebuffer().read(size.clip(0, 0, size.width, size.height), &mut shown);
    let start = start(&bytes);
    assert!(shown == bytes[start..start + pixels], "another picture");
    let state = &bytes[start + pixels..bytes.len() - 8];
    drop(opened);
    let directory = Directory::with(&Files::from([
        (snapshot_name(3), bytes.clone()),
        (journal_name(3), clear(&bytes).expect("it is as long as it says")),
    ]));
    // Something was drawn since, otherwise no other snapshot would be taken. The data stored beside the picture may not
    // be sessions.
    let Ok(journal) = Journal::open(directory.path(), &Options::default(), &mut |_, _| ()) else { return };
    journal.close().expect("there is room");
    drop(journal);
    let files = directory.files();
    // The last one is not a snapshot: it keeps older programs out.
    let mut snapshots = files.iter().filter(|(name, _)| name.starts_with("snapshot-")).rev().skip(1);
    let (name, left) = snapshots.next().expect("there is one");
    assert!(*name > snapshot_name(3), "none was taken");
    assert_eq!(left[11], 2, "version 2 is written");
    assert!(left[92..92 + pixels].iter().all(|&byte| byte == 5), "another picture");
    let written = sections(&left[92 + pixels..left.len() - 8]);
    assert_eq!(sessions(&written), sessions(&if start == 92 { sections(state) } else { state.to_vec() }));
}

/// Returns the header of the journal after a snapshot, if the snapshot is long enough to contain it.
fn header(snapshot: &[u8]) -> Option<Header> {
    let number = |at: usize| Some(u64::from_be_bytes(snapshot.get(at..at + 8)?.try_into().ok()?));
    let side = |at: usize| Some(u32::from_be_bytes(snapshot.get(at..at + 4)?.try_into().ok()?));
    Some(Header {
        version: if snapshot.get(11)? & 1 == 0 { Version::Two } else { Version::One },
        size: Size { width: side(12)?, height: side(16)? },
        background: Color::BLACK,
        instance: snapshot.get(20..36)?.try_into().ok()?,
        boot: number(36)?,
        first: number(44)?.saturating_add(1),
        previous: number(52)?,
        durable: 0,
        time: number(60)?,
    })
}

/// Returns the journal after a snapshot, with one record that fills the display with bytes 5.
fn clear(snapshot: &[u8]) -> Option<Vec<u8>> {
    let header = header(snapshot)?;
    let (mut bytes, sum) = header.encode();
    let (method, parameters) = (&b"clear"[..], &b"\x91\xce\x05\x05\x05\x05"[..]);
    let (sequence, time) = (header.first, header.time);
    let (kind, stamp) = (None, None);
    let record = Record { kind, sequence, durable: 0, time, stamp, method, parameters, exceptions: &[] };
    bytes.extend_from_slice(&record.encode(header.version, sum).0);
    Some(bytes)
}

/// Returns where the picture of a snapshot begins.
fn start(snapshot: &[u8]) -> usize {
    if snapshot[11] == 2 { 92 } else { 84 }
}

/// Returns all sections of the state that have sessions, joined.
fn sections(mut state: &[u8]) -> Vec<u8> {
    let mut sessions = Vec::new();
    while let [kind, a, b, c, d, e, f, g, h, rest @ ..] = state {
        let length = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) as usize;
        let (section, rest) = rest.split_at(length);
        if *kind == 1 {
            sessions.extend_from_slice(section);
        }
        state = rest;
    }
    sessions
}

/// Returns the sessions by id. Of two with the same id, the later one counts.
fn sessions(mut state: &[u8]) -> BTreeMap<&[u8], &[u8]> {
    let mut sessions = BTreeMap::new();
    while let Some((id, rest)) = state.split_at_checked(16) {
        let Some((length, rest)) = rest.split_first_chunk::<4>() else { break };
        let (session, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        sessions.insert(id, session);
        state = rest;
    }
    sessions
}
