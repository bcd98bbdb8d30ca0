//! The name of a display among those of one server.

use std::fmt;
use std::str::FromStr;

/// The most bytes that a name has: one label of a host name is 63, and a name is to fit into a line of a log.
const LONGEST: usize = 32;

/// The name of a display among those of one server: 1 to 32 bytes of `a` to `z`, `0` to `9` and `-`.
///
/// Such a name is written as it is in an address (`host:3729/plots`), in a path, and in a log.
///
/// ```
/// use draw_protocol::DisplayName;
///
/// let name: DisplayName = "plots-2".parse()?;
/// assert_eq!((name.as_str(), DisplayName::main().as_str()), ("plots-2", "main"));
/// assert!("Plots".parse::<DisplayName>().is_err());
/// # Ok::<(), draw_protocol::ParseDisplayNameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DisplayName(Box<str>);

/// The error for a text that is not a [`DisplayName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the name of a display has 1 to {LONGEST} characters, each of a-z, 0-9 or -")]
pub struct ParseDisplayNameError;

impl DisplayName {
    /// Returns `main`, the name of a server's first display.
    pub fn main() -> DisplayName {
        DisplayName("main".into())
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DisplayName {
    type Err = ParseDisplayNameError;

    fn from_str(text: &str) -> Result<DisplayName, ParseDisplayNameError> {
        let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if (1..=LONGEST).contains(&text.len()) && text.bytes().all(is_allowed) {
            Ok(DisplayName(text.into()))
        } else {
            Err(ParseDisplayNameError)
        }
    }
}

impl fmt::Display for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_up_to_32_lower_case_letters_digits_and_hyphens() {
        for name in ["a", "main", "plots-2", "-", "0", &"x".repeat(32)] {
            assert_eq!(name.parse::<DisplayName>().map(|name| name.to_string()), Ok(name.to_owned()));
        }
        for name in ["", "Main", "a b", "a/b", "..", "a.b", "a_b", "é", "a\0", &"x".repeat(33)] {
            assert_eq!(name.parse::<DisplayName>(), Err(ParseDisplayNameError), "{name:?}");
        }
    }
}
