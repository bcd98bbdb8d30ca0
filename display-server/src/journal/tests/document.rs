//! Tests the examples of `JOURNAL.md` against the code.

use crate::journal::format::*;
use crate::journal::record::*;
use crate::journal::tests::format::{first, sealed_behind};
use draw_protocol::session::{Id, Session, Stamp};
use draw_protocol::{Color, Request, Size};

const DOCUMENT: &str = include_str!("../../../JOURNAL.md");

/// Returns the bytes of an example.
fn example(name: &str) -> Vec<u8> {
    let (_, rest) = DOCUMENT.split_once(&format!("<!-- bytes: {name} -->\n```\n")).expect("it is there");
    let (lines, _) = rest.split_once("```").expect("it ends");
    let digits = lines.lines().flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
    digits.map(|digits| u8::from_str_radix(digits, 16).expect("two digits")).collect()
}

const STAMP: Stamp = Stamp { session: Id([0xab; 16]), number: 1, ack: 0, digest: 6 };
const REQUEST: Request<'_> = Request::DrawPixel { x: 1, y: -2, color: Color::RED };

fn header(version: Version) -> Header {
    Header {
        version,
        size: Size { width: 640, height: 480 },
        background: Color::BLACK,
        instance: [0xcd; 16],
        boot: 1,
        first: 1,
        previous: 0,
        durable: 0,
        time: 0x0102_0304_0506,
    }
}

fn frame(sequence: u64) -> Frame {
    Frame { sequence, durable: 0, time: 0x0102_0304_0507 }
}

fn written(version: Version) -> Vec<u8> {
    let (mut bytes, mut sum) = header(version).encode();
    let session = Session::new(7);
    let entries = [
        Entry::Call { session: None, request: REQUEST },
        Entry::Call { session: Some(STAMP), request: REQUEST },
        Entry::Session { id: STAMP.session, session: &session },
    ];
    let mut state = Vec::new();
    session.encode(&mut state);
    let mut parameters = Vec::new();
    REQUEST.encode_parameters(&mut parameters);
    let firsts = [
        first(None, "draw_pixel", &parameters, &[]),
        first(Some(STAMP), "draw_pixel", &parameters, &[]),
        first(Some(STAMP), "sync", &[0x90], &state),
    ];
    for (n, (entry, first)) in (1..).zip(entries.iter().zip(firsts)) {
        match version {
            Version::One => {
                let record = sealed_behind(frame(n), &first, sum);
                sum = check_record(&record, sum).expect("it is right");
                bytes.extend_from_slice(&record);
            }
            Version::Two { .. } => {
                sum = encode_record(&mut bytes, frame(n), entry, sum).expect("it is short");
            }
        }
    }
    bytes
}

fn lines(bytes: &[u8]) -> String {
    let digits = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x} ")).collect::<String>();
    bytes.chunks(24).map(|line| digits(line).trim_end().to_owned() + "\n").collect()
}

#[test]
fn the_examples_are_what_is_written_and_read() {
    for (name, version) in
        [("journal-1", Version::One), ("journal-2", Version::Two { program: Program([0, 1, 0]) })]
    {
        let wanted = written(version);
        let bytes = example(name);
        assert!(bytes == wanted, "the example {name} is not this:\n{}", lines(&wanted));
        let (read, mut sum) = Header::decode(&bytes).expect("it is whole");
        assert_eq!(read, header(version));
        let (mut rest, mut entries) = (&bytes[read.length()..], Vec::new());
        while let Some(start) = rest.first_chunk() {
            let (record, behind) = rest.split_at(record_length(*start).expect("a length"));
            sum = check_record(record, sum).expect("it is right");
            let mut slot = None;
            let entry = decode_entry(record, &read, &mut slot).expect("it can be read").expect("it is known");
            entries.push(match entry {
                Entry::Call { session, request } => format!("{session:?} {}", request.call()),
                Entry::Session { id, .. } => format!("{id:?}"),
            });
            rest = behind;
        }
        let call = "draw_pixel(1, -2, #ff0000ff)";
        let wanted =
            [format!("None {call}"), format!("{:?} {call}", Some(STAMP)), format!("{:?}", STAMP.session)];
        assert_eq!(entries, wanted, "{name}");
    }
}
