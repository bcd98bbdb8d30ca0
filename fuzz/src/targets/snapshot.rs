use crate::common::disk::{Directory, Files, seal, snapshot_name};
use display_server::Journal;
use display_server::journal::Options;
use display_server::journal::inspect::{self, Moment};
use std::collections::BTreeMap;

/// A snapshot is refused, or it is the picture that its bytes are, and the sessions beside it are, when the display ends, those that
/// they were. The first byte chooses whether its checksum is made right, which no fuzzer would find.
pub fn snapshot(data: &[u8]) {
    let Some((&first, bytes)) = data.split_first() else { return };
    let mut bytes = bytes.to_vec();
    let is_sealed = first & 1 > 0;
    if is_sealed {
        seal(&mut bytes, 0);
    }
    // Of pictures that take gigabytes only the lengths are of interest, which are compared before anything takes memory.
    let directory = Directory::with(&Files::from([(snapshot_name(3), bytes.clone())]));
    let path = directory.path();
    let exported = inspect::export(path, Moment::End, &mut |_, _| ());
    let report = inspect::check(path, &mut |_, _| ()).expect("a directory in order");
    assert_eq!(report.damage.is_empty(), exported.is_ok(), "{report:?}");
    assert!(is_sealed || exported.is_err() || bytes.len() > 92, "no checksum is right by chance");
    let opened = Journal::open(path, &Options::default(), &mut |_, _| ());
    let Ok(exported) = exported else { return assert!(opened.is_err(), "it is damaged, and all there is") };

    let size = exported.size();
    let pixels = size.width as usize * size.height as usize * 4;
    let mut shown = Vec::new();
    exported.framebuffer().read(size.clip(0, 0, size.width, size.height), &mut shown);
    assert!(shown == bytes[84..84 + pixels], "another picture");
    let state = &bytes[84 + pixels..bytes.len() - 8];
    let Ok(journal) = opened else { return };
    journal.close().expect("there is room");
    drop(journal);
    let files = directory.files();
    let (_, left) = files.iter().rfind(|(name, _)| name.starts_with("snapshot-")).expect("one was taken");
    assert!(left[84..84 + pixels] == shown, "another picture");
    assert_eq!(sessions(&left[84 + pixels..left.len() - 8]), sessions(state));
}

/// Each with its id. Of two with the same the later one counts.
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
