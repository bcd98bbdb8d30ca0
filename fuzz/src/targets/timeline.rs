use draw_examples::delay::{Point, Tap};
use draw_examples::timeline::{Recorder, Run, Timeline};
use draw_protocol::trace::Direction;
use std::time::{Duration, Instant};

/// Whatever passes a line can be drawn: as well-formed XML, smaller than 300 kB, that contains nothing a peer has sent
/// as markup; and no message arrives that was not sent. The first byte chooses what the program draws; byte 0xc1, which
/// cannot begin a message, changes the direction, and the byte after each 0xc1 sets how much arrives.
pub fn timeline(data: &[u8]) {
    let Some((&first, bytes)) = data.split_first() else { return };
    let recorder = Recorder::new();
    recorder.begin(first & 1 > 0);
    let zero = Instant::now();
    let mut under_way = [0; 2];
    for (n, part) in bytes.split(|&byte| byte == 0xc1).enumerate() {
        let direction = [Direction::ToDisplay, Direction::ToClient][n % 2];
        let (&arriving, part) = part.split_first().unwrap_or((&0, part));
        recorder.pass(0, direction, Point::Sent, part);
        under_way[n % 2] += part.len();
        // Bytes of an unknown connection are ignored.
        recorder.pass(1, direction, Point::Sent, part);
        let arrives = under_way[n % 2].min(usize::from(arriving) * 4);
        recorder.pass(0, direction, Point::Arrived, &vec![0; arrives]);
        under_way[n % 2] -= arrives;
    }
    let recorded = recorder.take(zero);
    for side in [&recorded.requests, &recorded.answers] {
        assert!(side.bytes <= bytes.len() as u64 && side.first.len() as u64 <= side.count);
        for message in &side.first {
            assert!(message.flight.sent <= message.flight.arrived, "{message:?}");
            assert!(message.text.chars().count() <= 103 && message.name.chars().count() <= 103);
        }
    }
    let name = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
    let run = Run { name: name.clone(), calls: "1 call".into(), waits: 1, time: zero.elapsed(), recorded };
    let rtt = Duration::from_millis(u64::from(first));
    let timeline = Timeline { title: name.clone(), place: name, rtt, runs: vec![run] };
    let svg = timeline.svg();
    assert!(svg.len() < 300_000, "{} bytes", svg.len());
    well_formed(&svg);
    assert!(timeline.html().len() < 320_000);
}

/// Checks that tags are closed in the order in which they are opened, that values are quoted, and that all characters
/// are allowed in XML.
fn well_formed(text: &str) {
    let mut open = Vec::new();
    let mut rest = text;
    let is_possible =
        |c: char| matches!(c, '\n' | '\t' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    while let Some((between, tag)) = rest.split_once('<') {
        assert!(between.chars().all(is_possible) && !between.contains('>'), "{between:?}");
        check_references(between);
        let (tag, after) = tag.split_once('>').expect("a tag that ends");
        rest = after;
        let name = |tag: &str| tag.split([' ', '\n', '/']).next().unwrap_or_default().to_owned();
        if tag.starts_with(['?', '!']) {
            continue;
        }
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(closed));
            continue;
        }
        assert!(tag.chars().all(is_possible) && tag.matches('"').count() % 2 == 0, "{tag:?}");
        check_references(tag);
        if name(tag) == "style" {
            // Style rules, not text.
            rest = rest.split_once("</style>").expect("rules that end").1;
        } else if !tag.ends_with('/') {
            open.push(name(tag));
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest:?}");
}

/// Checks that each `&` begins one of the names that XML defines.
fn check_references(text: &str) {
    for reference in text.split('&').skip(1) {
        let name = reference.split(';').next().unwrap_or_default();
        assert!(
            matches!(name, "amp" | "lt" | "gt" | "quot" | "apos") || name.starts_with('#'),
            "{reference:?}"
        );
    }
}
