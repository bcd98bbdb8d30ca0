use crate::common::cuts;
use draw_protocol::text::is_printable;
use draw_protocol::trace::{Direction, Said, Tracer};
use std::time::{Duration, Instant};

/// The trace of a conversation is the same however its bytes are cut, and each byte belongs to one message. A line is a
/// single line without terminal control characters, whatever a peer has sent; and memory is bounded. Byte 0xc1, which
/// cannot begin a message, changes the direction.
pub fn trace(data: &[u8]) {
    let start = Instant::now();
    let mut expected = None;
    for cuts in cuts(data) {
        let mut tracer = Tracer::new(1, start);
        let (mut lines, mut passed, mut told) = (Vec::new(), 0, 0);
        let mut lost = [false; 2];
        for (n, part) in data.split(|&byte| byte == 0xc1).enumerate() {
            let direction = [Direction::ToDisplay, Direction::ToClient][n % 2];
            let now = start + Duration::from_millis(n as u64);
            for mut piece in cuts.pieces(part) {
                passed += piece.len() as u64;
                while let Some(entry) = tracer.handle_input(direction, &mut piece, now) {
                    lost[n % 2] |= matches!(entry.said, Said::NotUnderstood(_) | Said::Corrupted(_));
                    told += entry.length;
                    lines.push(line(&entry.to_string(), &entry.full().to_string()));
                }
                assert!(piece.is_empty(), "all is taken");
            }
        }
        for (direction, is_lost) in [Direction::ToDisplay, Direction::ToClient].into_iter().zip(lost) {
            let end = tracer.handle_end(direction, start);
            let Said::End { unfinished } = end.said else { panic!("{end}") };
            assert!(!is_lost || unfinished == 0);
            told += unfinished;
            lines.push(end.to_string());
        }
        // A check whose message has not followed is consumed but not reported.
        assert!(
            lost != [false; 2] || told <= passed && passed - told <= 2 * 18,
            "{told} bytes are told of {passed}"
        );
        let most = 64 << 10;
        assert!(tracer.memory() <= most + 256 * data.len(), "{} bytes are held", tracer.memory());
        assert_eq!(expected.get_or_insert_with(|| lines.clone()), &lines, "{cuts:?}");
    }
}

/// Returns the printed line after checking that it is short and safe to print. The number of bytes of a message that is
/// not understood depends on the cuts.
fn line(line: &str, full: &str) -> String {
    assert!(line.chars().all(is_printable), "{line:?}");
    assert!(line.len() < 16 << 10, "a line of {} bytes", line.len());
    assert!(full.starts_with(line) && full.lines().count() <= 12, "{full}");
    line.to_owned()
}
