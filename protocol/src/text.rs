//! Makes texts that a peer chose safe to print.
//!
//! A name, a fault's message or any other text from the other side may contain characters that a terminal obeys or that
//! hide what a line says: escape sequences, ends of lines, U+202E, which turns the direction of the text. Every program of
//! this project prints such a text through this module.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// Returns whether a terminal or a log shows `c` as a character and does nothing else.
///
/// Control and format characters (the bidirectional ones among them), separators other than the space, unassigned and private
/// characters are not printable, and neither are the other characters that are ignored by default and have no shape.
///
/// ```
/// use draw_protocol::text::is_printable;
///
/// assert!("Grüße, नमस्ते, 你好 \\\"".chars().all(is_printable));
/// assert!(!"\n\u{1b}\u{9b}\u{200b}\u{202e}\u{2028}\u{feff}".chars().any(is_printable));
/// ```
pub fn is_printable(c: char) -> bool {
    match c {
        ' '..='~' => true,
        // Ignored by default, but letters or marks by category.
        '\u{34f}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{ffa0}'
        | '\u{e0100}'..='\u{e01ef}' => false,
        _ => {
            // The standard library's table. It also escapes a combining mark, but only as the first character of a text.
            let mut text = [b'a', 0, 0, 0, 0];
            let length = c.encode_utf8(&mut text[1..]).len();
            let text = str::from_utf8(&text[..=length]).unwrap_or_default();
            text.escape_debug().nth(1) == Some(c)
        }
    }
}

/// Prints a text with every character that is not [printable](is_printable) escaped: `\n`, `\u{202e}`.
#[derive(Debug, Clone, Copy)]
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(|c| !is_printable(c)) {
            f.write_str(&rest[..at])?;
            let mut after = rest[at..].chars();
            after.next().map_or(Ok(()), |c| escape(c, f))?;
            rest = after.as_str();
        }
        f.write_str(rest)
    }
}

fn escape(c: char, out: &mut impl Write) -> fmt::Result {
    match c {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        _ => write!(out, "{}", c.escape_unicode()),
    }
}

/// Returns `text` as [`Printable`] prints it.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_printable) { text.into() } else { Printable(text).to_string().into() }
}

/// Returns a number with a noun: `1 line`, `2 lines`.
///
/// ```
/// use draw_protocol::text::count;
///
/// assert_eq!([count(0, "line"), count(1, "line"), count(2, "line")], ["0 lines", "1 line", "2 lines"]);
/// ```
pub fn count(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{plural}")
}

/// Returns the beginning of `text` as [`Printable`] prints it: at most `most` characters, and `...` if there are more. An
/// escape is not cut.
pub fn excerpt(text: &str, most: usize) -> String {
    let (mut out, mut left) = (String::new(), most);
    for c in text.chars() {
        let end = out.len();
        // A String takes everything.
        _ = if is_printable(c) { out.write_char(c) } else { escape(c, &mut out) };
        let width = if is_printable(c) { 1 } else { out.len() - end };
        let Some(after) = left.checked_sub(width) else {
            out.truncate(end);
            out.push_str("...");
            return out;
        };
        left = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped_and_the_rest_stays() {
        assert_eq!(
            printable("a\u{202e}b\u{1b}[31m\r\n\u{9b}2J\u{2066}\u{200b}"),
            "a\\u{202e}b\\u{1b}[31m\\r\\n\\u{9b}2J\\u{2066}\\u{200b}"
        );
        for text in ["", "plain \\ \"quoted\" 'text'", "e\u{301}", "नमस्ते", "🎨"] {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn every_control_and_format_character_is_escaped() {
        // The categories Cc, Cf, Zl and Zp of the Unicode Character Database.
        for range in [
            0..=0x1f,
            0x7f..=0x9f,
            0xad..=0xad,
            0x600..=0x605,
            0x61c..=0x61c,
            0x6dd..=0x6dd,
            0x70f..=0x70f,
            0x890..=0x891,
            0x8e2..=0x8e2,
            0x180e..=0x180e,
            0x200b..=0x200f,
            0x2028..=0x202e,
            0x2060..=0x206f,
            0xfeff..=0xfeff,
            0xfff9..=0xfffb,
            0x110bd..=0x110bd,
            0x110cd..=0x110cd,
            0x13430..=0x1343f,
            0x1bca0..=0x1bca3,
            0x1d173..=0x1d17a,
            0xe0000..=0xe0fff,
        ] {
            for c in range.filter_map(char::from_u32) {
                assert!(!is_printable(c), "{c:?}");
            }
        }
    }

    #[test]
    fn an_excerpt_is_as_long_as_it_says() {
        assert_eq!(excerpt("abc", 3), "abc");
        assert_eq!(excerpt("abcd", 3), "abc...");
        assert_eq!(excerpt("a\u{202e}b", 9), "a\\u{202e}...");
        assert_eq!(excerpt("a\u{202e}b", 8), "a...");
    }

    proptest! {
        #[test]
        fn nothing_unprintable_is_left_of_any_text(text: String, controls in "[\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}a-c]{0,20}", most in 0..40usize) {
            for text in [&text, &controls, &format!("{text}{controls}")] {
                let shown = printable(text);
                prop_assert!(shown.chars().all(is_printable), "{shown:?}");
                prop_assert_eq!(printable(&shown), &*shown, "escaping twice changes nothing");
                let cut = excerpt(text, most);
                prop_assert!(cut.chars().all(is_printable) && cut.chars().count() <= most + 3, "{cut:?}");
                prop_assert!(shown.starts_with(cut.strip_suffix("...").unwrap_or(&cut)) || cut == shown);
            }
        }
    }
}
