//! Tests the bytes of records and headers.

use crate::journal::format::*;
use crate::journal::kinds;
use crate::journal::record::*;
use draw_protocol::session::{Id, Session, Stamp};
use draw_protocol::{Color, Pixel, Request, Size, limits};
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64_with_seed;

const FRAME: Frame = Frame { sequence: 3, durable: 1, time: 0x0102_0304_0506 };

const PROGRAM: Program = Program([7, 8, 9]);

fn header(version: Version) -> Header {
    Header {
        version,
        size: Size { width: 640, height: 480 },
        background: Color::BLACK,
        instance: [0xcd; 16],
        boot: 2,
        first: 3,
        previous: 4,
        durable: 5,
        time: 6,
    }
}

/// Returns a header of version 1, and one of version 2 written by another program.
fn headers() -> [Header; 2] {
    [Version::One, Version::Two { program: PROGRAM }].map(header)
}

fn record(entry: &Entry<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    encode_record(&mut out, FRAME, entry, 42).expect("it is short");
    out
}

/// Returns a record with this body behind its frame.
fn sealed(body: &[u8]) -> Vec<u8> {
    sealed_behind(FRAME, body, 42)
}

/// Returns the record of any body behind one whose checksum is `before`.
pub(super) fn sealed_behind(frame: Frame, body: &[u8], before: u64) -> Vec<u8> {
    let mut out = (24 + body.len() as u32).to_be_bytes().to_vec();
    [frame.sequence, frame.durable, frame.time].iter().for_each(|n| out.extend_from_slice(&n.to_be_bytes()));
    out.extend_from_slice(body);
    let sum = xxh3_64_with_seed(&out, before);
    out.extend_from_slice(&sum.to_be_bytes());
    out
}

/// Returns the body of a record of version 1.
pub(super) fn first(stamp: Option<Stamp>, method: &str, parameters: &[u8], exceptions: &[u8]) -> Vec<u8> {
    let mut out = vec![u8::from(stamp.is_some())];
    if let Some(Stamp { session: Id(id), number, ack, digest }) = stamp {
        out.extend_from_slice(&id);
        [number, ack, digest].iter().for_each(|n| out.extend_from_slice(&n.to_be_bytes()));
    }
    out.push(method.len() as u8);
    out.extend_from_slice(method.as_bytes());
    for blob in [parameters, exceptions] {
        out.extend_from_slice(&(blob.len() as u32).to_be_bytes());
        out.extend_from_slice(blob);
    }
    out
}

/// Decodes a record in a file with this header, and returns the error.
fn wrong(bytes: &[u8], header: &Header) -> Result<(), Unreadable> {
    decode_entry(bytes, header, &mut None).map(|_| ())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_bytes_are_those_that_are_described() {
    let session = Some(Stamp { session: Id([0xab; 16]), number: 5, ack: 4, digest: 6 });
    let request = Request::DrawPixel { x: 1, y: -2, color: Color::RED };
    let bytes = record(&Entry::Call { session, request });
    let expected = [
        "00000054 0000000000000003 0000000000000001 0000010203040506",
        "02 abababababababababababababababab 0000000000000005 0000000000000004 0000000000000006",
        "0a 647261775f706978656c 9301feceff0000ff",
    ];
    assert_eq!(hex(&bytes[..bytes.len() - SUM]), expected.concat().replace(' ', ""));
    assert_eq!(record_length(bytes[..4].try_into().unwrap()), Some(bytes.len()));
    let bytes = record(&Entry::Call { session: None, request });
    let expected = [
        "0000002c 0000000000000003 0000000000000001 0000010203040506",
        "01 0a 647261775f706978656c 9301feceff0000ff",
    ];
    assert_eq!(hex(&bytes[..bytes.len() - SUM]), expected.concat().replace(' ', ""));
    let session = Session::new(7);
    let mut state = Vec::new();
    session.encode(&mut state);
    let bytes = record(&Entry::Session { id: Id([0xab; 16]), session: &session });
    let start = "0000000000000003 0000000000000001 0000010203040506 03 abababababababababababababababab";
    assert_eq!(hex(&bytes[4..bytes.len() - SUM]), start.replace(' ', "") + &hex(&state));

    let [one, two] = headers();
    let expected = [
        "00000280 000001e0 000000ff cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
        "0000000000000002 0000000000000003 0000000000000004 0000000000000005 0000000000000006",
    ];
    let expected = expected.concat().replace(' ', "");
    for (header, start, end) in [(one, "00000001", ""), (two, "00000002", "0007000800090000")] {
        let (bytes, sum) = header.encode();
        assert_eq!(hex(&bytes[..bytes.len() - SUM]), format!("445241574a524e4c{start}{expected}{end}"));
        assert_eq!(Header::decode(&bytes), Ok((header, sum)));
        assert_eq!(Header::decode(&[&bytes[..], &[7; 20]].concat()), Ok((header, sum)));
        assert_eq!(bytes.len(), header.length());
    }
}

#[test]
fn a_changed_header_is_none() {
    for header in headers() {
        let (bytes, _) = header.encode();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&changed).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(Header::decode(&bytes[..length]).is_err());
        }
        let impossible = Header { size: Size { width: 65_536, height: 1 }, ..header };
        assert!(Header::decode(&impossible.encode().0).is_err());
    }
}

#[test]
fn a_header_of_a_later_version_says_so() {
    let (mut bytes, _) = headers()[1].encode();
    bytes[11] = 3;
    assert_eq!(later_version(&bytes), Some(3));
    assert_eq!(later_version(&[b"DRAWXXXX", &bytes[8..]].concat()), None, "it is no file of a journal");
    assert_eq!(later_version(&headers()[1].encode().0), None);
    let error = Header::decode(&bytes).unwrap_err();
    assert!(error.contains("its version is 3") && error.contains("reads versions 1 and 2"), "{error}");
}

#[test]
fn what_is_too_long_is_no_record() {
    for first in [0, 24, RECORD as u32 + 1, u32::MAX] {
        assert_eq!(record_length(first.to_be_bytes()), None, "{first}");
    }
    assert!(record_length((RECORD as u32).to_be_bytes()).is_some());
}

#[test]
fn a_record_whose_session_cannot_be_is_none() {
    // Found by the fuzz target `journal`: memory was allocated for every number in between, until there was none left.
    let request = Request::Clear { color: Color::RED };
    let entry = |number, ack| {
        let session = Stamp { session: Id([9; 16]), number, ack, digest: 1 };
        let second = wrong(&record(&Entry::Call { session: Some(session), request }), &headers()[1]);
        let body = first(Some(session), "clear", b"\x91\x01", b"");
        assert_eq!(wrong(&sealed(&body), &headers()[0]), second);
        second
    };
    let refused = Err("the numbers of its session are invalid".into());
    for (number, ack) in [(1 << 40, 0), (UNACKNOWLEDGED + 8, 7), (u64::MAX, 0), (4, 5), (0, u64::MAX)] {
        assert_eq!(entry(number, ack), refused, "{number} and {ack}");
    }
    for (number, ack) in
        [(0, 0), (limits::SESSION_WINDOW + 7, 7), (UNACKNOWLEDGED + 7, 7), (u64::MAX, u64::MAX - 1)]
    {
        assert_eq!(entry(number, ack), Ok(()), "{number} and {ack}");
    }
}

#[test]
fn records_of_version_1_are_read() {
    let header = &headers()[0];
    let stamp = Stamp { session: Id([9; 16]), number: 5, ack: 4, digest: 6 };
    let mut slot = None;
    // Exceptions follow from the call, so they are ignored.
    let bytes = sealed(&first(Some(stamp), "clear", b"\x91\x01", &[0xc0]));
    match decode_entry(&bytes, header, &mut slot) {
        Ok(Some(Entry::Call { session, request: Request::Clear { color } })) => {
            assert_eq!((session, color), (Some(stamp), Color::from_u32(1)));
        }
        other => panic!("{other:?}"),
    }
    let mut state = Vec::new();
    Session::new(7).encode(&mut state);
    let bytes = sealed(&first(Some(stamp), "sync", b"\x90", &state));
    match decode_entry(&bytes, header, &mut slot) {
        Ok(Some(Entry::Session { id, session })) => {
            assert_eq!(id, stamp.session);
            let mut again = Vec::new();
            session.encode(&mut again);
            assert_eq!(again, state);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_session_that_cannot_be_decoded_is_damage_in_both_versions() {
    let [one, two] = headers();
    let stamp = Stamp { session: Id([9; 16]), number: 5, ack: 4, digest: 6 };
    let second = [&[kinds::SESSION][..], &[9; 16], &[77, 0]].concat();
    for (header, body) in [(one, first(Some(stamp), "sync", b"\x90", &[77, 0])), (two, second)] {
        let error = wrong(&sealed(&body), &header).unwrap_err();
        assert_eq!(error, "these bytes are no session: another version".into());
    }
    let error = wrong(&sealed(&first(None, "sync", b"\x90", &[])), &one).unwrap_err();
    assert_eq!(error, "it belongs to no session".into());
}

#[test]
fn a_kind_says_whether_it_may_be_skipped() {
    let two = headers()[1];
    for kind in 0..=u8::MAX {
        let found = wrong(&sealed(&[kind, 1, 2, 3]), &two);
        match (kind, found) {
            (kinds::CALL | kinds::SESSION_CALL | kinds::SESSION, Err(Unreadable::Damaged(_))) => {}
            (0x80.., Ok(())) => {}
            (0 | 4..0x80, Err(Unreadable::Newer(what))) => {
                assert!(
                    what.contains(&format!("its kind {kind}")) && what.contains("display-server 7.8.9"),
                    "{what}"
                );
            }
            (kind, found) => panic!("{kind}: {found:?}"),
        }
    }
    let Err(Unreadable::Newer(what)) = wrong(&sealed(&[4]), &two) else { panic!("it is not known") };
    assert!(what.starts_with("its kind 4 (resize) is not known to this program"), "{what}");
}

#[test]
fn a_batch_larger_than_the_wire_allows_is_read() {
    let pixels = vec![Pixel::new(1, 2, Color::RED); limits::BATCH + 1];
    let request = Request::DrawPixels { pixels: pixels[..].into() };
    let mut parameters = Vec::new();
    request.encode_parameters(&mut parameters);
    let [one, two] = headers();
    assert_eq!(wrong(&record(&Entry::Call { session: None, request }), &two), Ok(()));
    assert_eq!(wrong(&sealed(&first(None, "draw_pixels", &parameters, &[])), &one), Ok(()));
}

proptest! {
    #[test]
    fn an_entry_survives_and_a_changed_one_is_noticed(
        stamp in any::<Option<([u8; 16], u64, u16, u64)>>(),
        pixels in prop::collection::vec(any::<(u16, u16, u32)>(), 0..20),
        before in any::<u64>(),
        bits in prop::collection::vec(any::<prop::sample::Index>(), 20),
    ) {
        let pixels: Vec<_> =
            pixels.into_iter().map(|(x, y, color)| Pixel::new(x, y, Color::from_u32(color))).collect();
        let session = stamp.map(|(id, number, unacknowledged, digest)| {
            let ack = number.saturating_sub(unacknowledged.into());
            Stamp { session: Id(id), number, ack, digest }
        });
        let request = Request::DrawPixels { pixels: pixels[..].into() };
        let mut bytes = Vec::new();
        let sum = encode_record(&mut bytes, FRAME, &Entry::Call { session, request }, before);
        prop_assert_eq!(check_record(&bytes, before), sum);
        prop_assert_eq!(decode_frame(&bytes), Some(FRAME));
        let mut slot = None;
        let entry = decode_entry(&bytes, &headers()[1], &mut slot).unwrap();
        let Some(Entry::Call { session: found, request: Request::DrawPixels { pixels: drawn } }) = entry else {
            panic!("{entry:?}")
        };
        prop_assert_eq!(found, session);
        let wanted: Vec<_> = pixels.iter().map(|p| (p.x.into(), p.y.into(), p.color)).collect();
        prop_assert_eq!(drawn.iter().collect::<Vec<(i32, i32, Color)>>(), wanted);
        prop_assert_eq!(check_record(&bytes, before ^ 1), None, "it is chained");
        for bit in bits {
            let bit = bit.index(bytes.len() * 8);
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(check_record(&changed, before), None, "bit {}", bit);
        }
    }

    #[test]
    fn no_bytes_make_the_reader_fail(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for header in headers() {
            _ = decode_entry(&bytes, &header, &mut None);
        }
        _ = decode_frame(&bytes);
        _ = check_record(&bytes, 0);
        _ = SnapshotHeader::decode(&bytes);
        _ = Header::decode(&bytes);
    }
}
