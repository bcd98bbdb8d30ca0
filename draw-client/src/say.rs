//! What is told on standard error, because nobody else is left to be told.

use std::io::Write;
use std::sync::mpsc;
use std::time::Duration;

/// How long the program waits for standard error to take it: a terminal that was stopped, or a pipe that nobody reads, holds up
/// the end of no program for longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Characters of what a display may have had a say in.
const LONGEST: usize = 1_000;

/// Prints it, whole, within a bounded time. That nobody can read it is no reason for the program to fail.
pub(crate) fn say(text: &str) {
    let text = text.as_bytes().to_vec();
    let (tell, told) = mpsc::sync_channel(1);
    let write = move || {
        _ = std::io::stderr().write_all(&text);
        _ = tell.send(());
    };
    // Without a thread it is not known how long it takes, so it is left out.
    if std::thread::Builder::new().name("draw-stderr".into()).spawn(write).is_ok() {
        _ = told.recv_timeout(PATIENCE);
    }
}

/// The text of an error as a line of a terminal: what a display says in it moves no cursor.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars().take(LONGEST) {
        // Formatting characters, such as those that turn the direction round, are no control characters.
        let is_hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if c.is_control() || is_hidden {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_display_says_moves_no_cursor() {
        assert_eq!(one_line("a\x1b[2J\r\nb\u{202e}c"), "a\\u{1b}[2J\\r\\nb\\u{202e}c");
        assert_eq!(one_line(&"x".repeat(2 * LONGEST)).len(), LONGEST);
    }
}
