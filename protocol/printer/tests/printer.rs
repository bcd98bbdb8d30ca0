//! What a printer prints.

use draw_printer::{Detail, Printer};
use draw_protocol::trace::Direction::ToDisplay;
use std::ffi::OsStr;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Instant;

const DRAW: &[u8] = b"\x94\x00\x01\xaadraw_pixel\x93\x01\x02\xce\xff\x00\x00\xff";

/// A place to write to that can be looked at.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("nobody panics").clone()).expect("text")
    }
}

#[test]
fn a_printer_does_what_the_variable_says() {
    let printed = |value: Option<&str>| {
        let paper = Paper::default();
        let printer = Printer::chosen(value.map(OsStr::new), paper.clone(), Instant::now);
        printer.note(|| "who".into());
        let count = printer.pass(ToDisplay, DRAW);
        printer.end(ToDisplay);
        assert_eq!(count, usize::from(printer.is_on()));
        paper.text()
    };
    for off in [None, Some(""), Some("0")] {
        assert_eq!(printed(off), "");
    }
    let line = printed(Some("1"));
    let said: Vec<_> = line.lines().map(|line| line.split_once(" -").expect("an arrow").1).collect();
    assert_eq!(said, ["- who", "> 1 draw_pixel(1, 2, #ff0000ff)", "> end"], "{line}");
    let full = printed(Some("full"));
    assert!(full.contains("\n           94 00 01 aa 64"), "{full}");
    let warned = "DRAW_DEBUG=\"loud\" is not a valid value: 1 prints a line for each message, full also its bytes, 0 nothing\n";
    assert_eq!(printed(Some("loud")), warned);
    assert_eq!(printed(Some("loud")), "", "once is enough");

    let paper = Paper::default();
    let printer = Printer::new(Detail::Line, paper.clone(), Instant::now);
    assert_eq!(printer.pass(ToDisplay, &DRAW.repeat(2_000)), 2_000);
    assert_eq!(paper.text().lines().count(), 2_000);
}
