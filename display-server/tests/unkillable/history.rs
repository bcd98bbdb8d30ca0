//! Records the calls and answers of a client, in a file that stays readable after a kill at any moment.
//!
//! A call is a line that is written before the call is made. An answer is a line that is written after it arrived;
//! answers arrive in the order of the calls, so they need no number. A line that was cut off by the kill counts as not
//! written: the call was not made, or its answer is unknown.

use draw_client::Color;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// Number of cells of one life: a row of the display that no other life draws on.
pub(crate) const CELLS: usize = 64;

/// A position in the row.
pub(crate) type Cell = usize;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Add(Cell, u32),
    Draw(Cell, u32),
    /// `add_pixels` of two pixels, which are executed together.
    AddBoth([(Cell, u32); 2]),
    Get(Cell),
    /// Adds to a pixel outside of the display.
    Outside,
    /// Adds 1 to the cell that all clients share.
    Count,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Ok,
    Read(u32),
    Rejected,
    Unknown,
}

/// A call, and its answer if it arrived before the client was killed.
pub(crate) type Made = (Call, Option<Answer>);

/// The calls of one process from its start to its end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Life {
    pub(crate) made: Vec<Made>,
    /// Set if the process ended by itself, after all its calls were answered.
    pub(crate) has_ended: bool,
}

impl Call {
    /// Applies the call to a row.
    pub(crate) fn apply(self, row: &mut [u32]) {
        match self {
            Call::Add(cell, amount) => row[cell] = row[cell].wrapping_add(amount),
            Call::Draw(cell, color) => row[cell] = color,
            Call::AddBoth(both) => {
                both.iter().for_each(|&(cell, amount)| row[cell] = row[cell].wrapping_add(amount));
            }
            Call::Get(_) | Call::Outside | Call::Count => {}
        }
    }

    /// Returns `true` if the call changes this cell.
    pub(crate) fn touches(self, at: Cell) -> bool {
        match self {
            Call::Add(cell, _) | Call::Draw(cell, _) => cell == at,
            Call::AddBoth(both) => both.iter().any(|&(cell, _)| cell == at),
            Call::Get(_) | Call::Outside | Call::Count => false,
        }
    }
}

/// Returns the initial state of a row.
pub(crate) fn blank() -> Vec<u32> {
    vec![Color::BLACK.to_u32(); CELLS]
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Add(cell, amount) => write!(f, "add {cell} {amount}"),
            Call::Draw(cell, color) => write!(f, "draw {cell} {color}"),
            Call::AddBoth([(a, m), (b, n)]) => write!(f, "both {a} {m} {b} {n}"),
            Call::Get(cell) => write!(f, "get {cell}"),
            Call::Outside => f.write_str("outside"),
            Call::Count => f.write_str("count"),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Ok => f.write_str("+"),
            Answer::Read(value) => write!(f, "= {value}"),
            Answer::Rejected => f.write_str("-"),
            Answer::Unknown => f.write_str("?"),
        }
    }
}

/// Writes a history. Each line is a single write, which the operating system keeps even if this process is killed.
pub(crate) struct Pen(File);

impl Pen {
    pub(crate) fn new(path: &Path) -> Pen {
        Pen(OpenOptions::new().append(true).create_new(true).open(path).unwrap())
    }

    /// Records the next call before it is made.
    pub(crate) fn make(&mut self, call: Call) {
        self.line(&call.to_string());
    }

    /// Records the answer of the first call without one.
    pub(crate) fn answer(&mut self, answer: Answer) {
        self.line(&answer.to_string());
    }

    pub(crate) fn end(&mut self) {
        self.line("end");
    }

    fn line(&mut self, text: &str) {
        self.0.write_all(format!("{text}\n").as_bytes()).unwrap();
    }
}

impl Life {
    /// Reads what was written before the end or the kill.
    pub(crate) fn read(path: &Path) -> Life {
        // A client that was killed before it created the file has made no call.
        let text = std::fs::read_to_string(path).unwrap_or_default();
        Life::parse(&text)
    }

    fn parse(text: &str) -> Life {
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let (mut life, mut answered) = (Life::default(), 0);
        for line in whole.lines() {
            let mut words = line.split(' ');
            let kind = words.next().unwrap_or_default();
            let mut number = || words.next().unwrap_or_else(|| panic!("{line:?}")).parse::<u32>().unwrap();
            let call = match kind {
                "add" => Call::Add(number() as Cell, number()),
                "draw" => Call::Draw(number() as Cell, number()),
                "both" => Call::AddBoth([(number() as Cell, number()), (number() as Cell, number())]),
                "get" => Call::Get(number() as Cell),
                "outside" => Call::Outside,
                "count" => Call::Count,
                "end" => {
                    life.has_ended = true;
                    continue;
                }
                _ => {
                    let answer = match kind {
                        "+" => Answer::Ok,
                        "=" => Answer::Read(number()),
                        "-" => Answer::Rejected,
                        "?" => Answer::Unknown,
                        _ => panic!("{line:?}"),
                    };
                    life.made[answered].1 = Some(answer);
                    answered += 1;
                    continue;
                }
            };
            life.made.push((call, None));
        }
        life
    }
}

#[test]
fn a_history_is_read_as_far_as_it_was_written() {
    let written = "add 1 5\nboth 1 2 3 4\nget 7\n+\noutside\n?\n= 9\ncount\n-\ndraw 2 77\n";
    let made = [
        (Call::Add(1, 5), Some(Answer::Ok)),
        (Call::AddBoth([(1, 2), (3, 4)]), Some(Answer::Unknown)),
        (Call::Get(7), Some(Answer::Read(9))),
        (Call::Outside, Some(Answer::Rejected)),
        (Call::Count, None),
        (Call::Draw(2, 77), None),
    ];
    assert_eq!(Life::parse(written).made, made);
    // A kill cuts the file anywhere: complete lines are unchanged, and no answer is invented.
    for end in 0..written.len() {
        let life = Life::parse(&written[..end]);
        for ((call, answer), (whole, meant)) in life.made.iter().zip(made) {
            assert!(*call == whole && answer.is_none_or(|answer| Some(answer) == meant), "cut at {end}");
        }
        assert!(!life.has_ended);
    }
    assert!(Life::parse("add 1 5\n+\nend\n").has_ended);
}
