//! The bytes of records and headers.

use crate::journal::format::*;
use crate::journal::record::*;
use draw_protocol::limits::SESSION_WINDOW;
use draw_protocol::session::{Id, Stamp};
use draw_protocol::{Color, Pixel, Request, Size};
use proptest::prelude::*;

const FRAME: Frame = Frame { sequence: 3, durable: 1, time: 0x0102_0304_0506 };

fn record(entry: &Entry<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    encode_record(&mut out, FRAME, entry, 42).expect("it is short");
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_bytes_are_those_that_are_described() {
    let session = Some(Stamp { session: Id([0xab; 16]), number: 5, ack: 4, digest: 6 });
    let request = Request::DrawPixel { x: 1, y: -2, color: Color::RED };
    let bytes = record(&Entry { session, request, exceptions: &[0xc0] });
    let expected = [
        "0000005d 0000000000000003 0000000000000001 0000010203040506",
        "01 abababababababababababababababab 0000000000000005 0000000000000004 0000000000000006",
        "0a 647261775f706978656c 00000008 9301feceff0000ff 00000001 c0",
    ];
    assert_eq!(hex(&bytes[..bytes.len() - SUM]), expected.concat().replace(' ', ""));
    assert_eq!(record_length(bytes[..4].try_into().unwrap()), Some(bytes.len()));

    let header = Header {
        size: Size { width: 640, height: 480 },
        background: Color::BLACK,
        instance: [0xcd; 16],
        boot: 2,
        first: 3,
        previous: 4,
        durable: 5,
        time: 6,
    };
    let (bytes, sum) = header.encode();
    let expected = [
        "445241574a524e4c 00000001 00000280 000001e0 000000ff cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
        "0000000000000002 0000000000000003 0000000000000004 0000000000000005 0000000000000006",
    ];
    assert_eq!(hex(&bytes[..HEADER - SUM]), expected.concat().replace(' ', ""));
    assert_eq!(Header::decode(&bytes), Ok((header, sum)));
}

#[test]
fn a_changed_header_is_none() {
    let size = Size { width: 640, height: 480 };
    let (background, instance) = (Color::BLACK, [1; 16]);
    let header = Header { size, background, instance, boot: 1, first: 1, previous: 0, durable: 0, time: 9 };
    let (bytes, _) = header.encode();
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(Header::decode(&changed).is_err(), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert!(Header::decode(&bytes[..length]).is_err());
    }
}

#[test]
fn what_is_too_long_is_no_record() {
    let rgba = vec![0; RECORD];
    let request = Request::PutImage { x: 0, y: 0, width: 1, height: (RECORD / 4) as u32, rgba: &rgba };
    let mut out = vec![1, 2, 3];
    assert_eq!(encode_record(&mut out, FRAME, &Entry { session: None, request, exceptions: &[] }, 0), None);
    assert_eq!(out, [1, 2, 3]);
    for first in [0, 24, RECORD as u32 + 1, u32::MAX] {
        assert_eq!(record_length(first.to_be_bytes()), None, "{first}");
    }
}

#[test]
fn a_record_whose_session_cannot_be_is_none() {
    // Found by the fuzz target `journal`: memory was taken for every number in between, until there was no more.
    let entry = |number, ack| {
        let session = Some(Stamp { session: Id([9; 16]), number, ack, digest: 1 });
        let bytes =
            record(&Entry { session, request: Request::Clear { color: Color::RED }, exceptions: &[] });
        decode_entry(&bytes).map(|_| ()).map_err(|what| what.to_string())
    };
    let refused = Err("the numbers of its session cannot be".to_owned());
    for (number, ack) in [(1 << 40, 0), (SESSION_WINDOW + 8, 7), (u64::MAX, 0), (4, 5), (0, u64::MAX)] {
        assert_eq!(entry(number, ack), refused, "{number} and {ack}");
    }
    for (number, ack) in [(0, 0), (SESSION_WINDOW + 7, 7), (u64::MAX, u64::MAX - 1)] {
        assert_eq!(entry(number, ack), Ok(()), "{number} and {ack}");
    }
}

proptest! {
    #[test]
    fn an_entry_survives_and_a_changed_one_is_noticed(
        stamp in any::<Option<([u8; 16], u64, u16, u64)>>(),
        pixels in prop::collection::vec(any::<(u16, u16, u32)>(), 0..20),
        exceptions in prop::collection::vec(any::<u8>(), 0..20),
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
        let sum = encode_record(&mut bytes, FRAME, &Entry { session, request, exceptions: &exceptions }, before);
        prop_assert_eq!(check_record(&bytes, before), sum);
        prop_assert_eq!(decode_frame(&bytes), Some(FRAME));
        let entry = decode_entry(&bytes).unwrap();
        prop_assert_eq!((entry.session, entry.exceptions), (session, &exceptions[..]));
        let Request::DrawPixels { pixels: found } = entry.request else { panic!("{entry:?}") };
        let wanted: Vec<_> = pixels.iter().map(|p| (p.x.into(), p.y.into(), p.color)).collect();
        prop_assert_eq!(found.iter().collect::<Vec<(i32, i32, Color)>>(), wanted);
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
        _ = decode_entry(&bytes);
        _ = decode_frame(&bytes);
        _ = check_record(&bytes, 0);
        _ = SnapshotHeader::decode(&bytes);
        _ = Header::decode(&bytes);
    }
}
