//! Tests the format and the limits of log lines.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use super::limit::{Kinds, LeftOut, SHOWN, WINDOW};
use super::*;
use draw_protocol::text::is_printable;
use proptest::prelude::*;
use std::sync::{Mutex, PoisonError};

/// A writer whose contents can be read.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the lines that `log` writes.
fn logged(is_coloured: bool, log: impl FnOnce(&Kinds)) -> String {
    let (paper, kinds) = (Paper::default(), Arc::<Kinds>::default());
    let to = paper.clone();
    let lines = tracing_subscriber::fmt::layer()
        .event_format(Lines(Arc::clone(&kinds)))
        .with_writer(move || to.clone())
        .with_ansi(is_coloured)
        .with_filter(LevelFilter::INFO);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || log(&kinds));
    let text = paper.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    String::from_utf8(text).unwrap()
}

#[test]
fn a_line_has_its_time_its_level_and_its_fields() {
    let text = logged(false, |_| tracing::warn!(peer = "127.0.0.1:5", size = 3, "it {}", "happened"));
    let (time, rest) = text.split_at("2026-01-31T12:00:00.000000Z".len());
    assert!(time.ends_with('Z') && time.contains('T'), "{text}");
    assert_eq!(rest, "  WARN it happened peer=\"127.0.0.1:5\" size=3\n");
    let coloured = logged(true, |_| tracing::error!("no"));
    assert!(coloured.contains("\u{1b}[31mERROR\u{1b}[0m no\n"), "{coloured:?}");
}

#[test]
fn a_flood_of_one_kind_is_counted_and_takes_nothing_from_another() {
    let text = logged(false, |kinds| {
        for n in 0..12_355 {
            for code in ["malformed", "too_slow"] {
                tracing::info!(code, "closing the connection: {n}");
            }
        }
        tracing::error!("the disk is on fire");
        tracing::info!("ready");
        kinds.tell_all();
        kinds.tell_all();
    });
    let lines: Vec<_> = text.lines().map(|line| &line["2026-01-31T12:00:00.000000Z ".len()..]).collect();
    let shown = 2 * SHOWN as usize;
    assert_eq!(lines.len(), shown + 4, "{text}");
    assert_eq!(lines[0], " INFO closing the connection: 0 code=\"malformed\"");
    assert_eq!(lines[shown..shown + 2], ["ERROR the disk is on fire", " INFO ready"]);
    for line in &lines[shown + 2..] {
        assert!(line.starts_with(" INFO 12,345 more messages like this in the last "), "{line}");
        assert!(line.ends_with(" s: closing the connection: 0"), "{line}");
    }
}

#[test]
fn colours_are_written_where_nobody_objects() {
    let is_wanted = |no_color: Option<&str>, term: &str| {
        is_colour_wanted(|name| match name {
            "NO_COLOR" => no_color.map(Into::into),
            "TERM" => Some(term.into()),
            _ => None,
        })
    };
    assert!(is_wanted(None, "xterm") && is_wanted(Some(""), "xterm"));
    assert!(!is_wanted(Some("1"), "xterm") && !is_wanted(Some("0"), "xterm") && !is_wanted(None, "dumb"));
}

proptest! {
    #[test]
    fn a_line_is_one_line_and_does_nothing_to_a_terminal(name: String, controls in "[\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}a-c]{0,9}", times in 1..300usize) {
        let name = format!("{name}{controls}").repeat(times);
        let text = logged(false, |_| {
            tracing::info!(client = &*name, %name, "closing {name}: {name:?}");
        });
        let line = text.strip_suffix('\n').unwrap();
        prop_assert!(line.chars().all(is_printable), "{line:?}");
        prop_assert!(line.chars().count() <= LONGEST + 40, "{}", line.len());
    }
}

#[test]
fn an_account_is_told_when_its_time_is_over() {
    // The reporting thread sleeps; the test queries it directly.
    let told = LeftOut { level: Level::INFO, count: 1, time: WINDOW, text: "x".into() };
    assert_eq!(limit::account_for_tests(2 * SHOWN), [None, Some(LeftOut { count: SHOWN, ..told }), None]);
}
