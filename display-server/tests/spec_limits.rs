//! Tests that the specification's table of limits matches the code.

use display_server::limits;

const LIMITS: &str = include_str!("../../protocol/spec/limits.md");

/// Returns the lines of a section, up to the next heading.
fn section(heading: &str) -> impl Iterator<Item = &'static str> {
    let mut lines = LIMITS.lines();
    assert!(lines.any(|line| line == heading), "limits.md has no {heading:?}");
    lines.take_while(|line| !line.starts_with('#'))
}

/// Returns the rows of the table in a section, without its head.
fn table(heading: &str) -> Vec<&'static str> {
    section(heading).filter(|line| line.starts_with('|')).skip(2).collect()
}

/// Formats `n` with a comma between thousands.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[test]
fn the_table_of_limits_is_the_code_s() {
    let (bytes, seconds) =
        (|n| format!("{} bytes", grouped(n)), |time: std::time::Duration| format!("{} s", time.as_secs()));
    let rows = [
        ("wire version", limits::VERSION.to_string()),
        ("TCP port", limits::PORT.to_string()),
        ("first message, before a method is named", bytes(limits::FIRST_MESSAGE as u64)),
        ("message, unless `hello` says otherwise", bytes(limits::MESSAGE as u64)),
        ("message, at the very most", bytes(limits::MESSAGE_HARDEST as u64)),
        ("values in a message", grouped(limits::VALUES.into())),
        ("levels of nesting", grouped(limits::DEPTH as u64)),
        ("method name", bytes(limits::STRING as u64)),
        ("pixels in a `draw_pixels` or `add_pixels`", grouped(limits::BATCH as u64)),
        ("pixels of a `get_digest`", grouped(limits::DIGEST)),
        ("side of a display, usually", grouped(limits::SIDE.into())),
        ("side of a display, at the very most", grouped(limits::SIDE_HARDEST.into())),
        ("uncovered requests", grouped(limits::CREDIT_CALLS.into())),
        ("uncovered bytes", bytes(limits::CREDIT_BYTES.into())),
        ("unread answers", bytes(limits::UNSENT as u64)),
        ("time without reading", seconds(limits::STALLED)),
        ("time to finish a message", seconds(limits::MESSAGE_GRACE)),
        ("rate of a message that takes longer", format!("{} a second", bytes(limits::MESSAGE_RATE))),
        ("malformed requests", grouped(limits::MALFORMED_BURST.into())),
        ("more of them", format!("{} a second", limits::MALFORMED_PER_SECOND)),
        ("connections", grouped(limits::CONNECTIONS as u64)),
        ("clients that wait for a place", grouped(limits::WAITING as u64)),
        ("time that they wait", seconds(limits::WAITING_TIME)),
        ("time without a word, while others wait for a place", seconds(limits::SILENT)),
        ("time of idleness, while others wait for a place", seconds(limits::IDLE)),
        ("connections let in", format!("{} a second", grouped(limits::ACCEPT_PER_SECOND.into()))),
        ("time to get on, while others wait for memory", seconds(limits::RECLAIM)),
        ("time that an image waits for memory", seconds(limits::MEMORY_TIMEOUT)),
        ("requests after the last acknowledged", grouped(limits::SESSION_WINDOW)),
        ("time a session waits for its client", seconds(limits::SESSION_LEASE)),
        ("sessions that wait", grouped(limits::SESSIONS as u64)),
        ("memory of those that wait", bytes(limits::SESSION_MEMORY as u64)),
        (
            "sessions that were read back from a journal and wait",
            grouped(limits::SESSIONS_RESTORED as u64) + ", in as much memory of their own",
        ),
        ("sessions that are gone and remembered", grouped(limits::SESSION_TOMBSTONES as u64)),
        ("time for which they are", seconds(limits::SESSION_TOMBSTONE)),
        ("answers kept for a session", bytes(limits::SESSION_ANSWERS as u64)),
        ("answers and faults kept for a session", bytes(limits::SESSION_RESPONSES as u64)),
    ];
    let starts: Vec<_> = rows.iter().map(|(name, value)| format!("| {name} | {value} |")).collect();
    let table = table("# Limits");
    for (row, start) in table.iter().zip(&starts) {
        assert!(row.starts_with(start), "{row:?} is to start with {start:?}");
    }
    assert_eq!(table.len(), starts.len());
}
