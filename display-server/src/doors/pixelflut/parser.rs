//! Parses lines of Pixelflut. Takes bytes, split anywhere, and returns commands. Does no I/O.

use draw_protocol::Color;

/// The longest line that is parsed, in bytes without its end. Longer lines are skipped; no command needs more than 36
/// bytes.
pub const LINE: usize = 128;

/// A line of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `PX x y rrggbb`, `PX x y rrggbbaa` or `PX x y gg`: draws a pixel.
    Draw {
        /// Column, before the offset is added. A number that does not fit is clamped.
        x: i32,
        /// Row, likewise.
        y: i32,
        /// The colour; opaque unless the line says otherwise.
        color: Color,
    },
    /// `PX x y`: asks for the colour of a pixel.
    Read {
        /// Column, before the offset is added.
        x: i32,
        /// Row, in the same way.
        y: i32,
    },
    /// `SIZE`: asks for the size of the display.
    Size,
    /// `OFFSET x y`: moves the origin of later coordinates.
    Offset {
        /// The column of coordinate 0.
        x: i32,
        /// The row of coordinate 0.
        y: i32,
    },
    /// `HELP`: asks for the commands.
    Help,
    /// Any other line, or one that is longer than [`LINE`].
    Unknown,
}

/// Parses the bytes of one client. Holds at most one unfinished line.
#[derive(Debug, Clone)]
pub struct Parser {
    /// The beginning of a line whose end was not received yet.
    line: [u8; LINE],
    length: usize,
    /// The line is too long, and is skipped.
    is_skipping: bool,
}

impl Default for Parser {
    fn default() -> Parser {
        Parser { line: [0; LINE], length: 0, is_skipping: false }
    }
}

impl Parser {
    /// Returns the next command, and takes its bytes from `input`. If `input` has no complete line, takes all of it and
    /// returns `None`; the next call continues the line. Empty lines are skipped.
    #[inline]
    pub fn next(&mut self, input: &mut &[u8]) -> Option<Command> {
        // Nearly all lines are complete and of this form.
        if self.length == 0
            && !self.is_skipping
            && let Some((command, rest)) = usual_draw(input)
        {
            *input = rest;
            return Some(command);
        }
        self.next_line(input)
    }

    /// Returns whether there is an unfinished line.
    pub fn is_mid_line(&self) -> bool {
        self.length > 0 || self.is_skipping
    }

    fn next_line(&mut self, input: &mut &[u8]) -> Option<Command> {
        loop {
            let Some(end) = input.iter().position(|&byte| byte == b'\n') else {
                self.keep(std::mem::take(input));
                return None;
            };
            let here = &input[..end];
            *input = &input[end + 1..];
            let command = if self.is_mid_line() {
                self.keep(here);
                let length = std::mem::take(&mut self.length);
                match std::mem::take(&mut self.is_skipping) {
                    true => Some(Command::Unknown),
                    false => parse(&self.line[..length]),
                }
            } else if here.len() > LINE {
                Some(Command::Unknown)
            } else {
                parse(here)
            };
            if command.is_some() {
                return command;
            }
        }
    }

    /// Stores a part of a line, or begins to skip the line if it is too long.
    fn keep(&mut self, part: &[u8]) {
        match self.line[self.length..].get_mut(..part.len()) {
            Some(room) if !self.is_skipping => {
                room.copy_from_slice(part);
                self.length += part.len();
            }
            _ => (self.length, self.is_skipping) = (0, true),
        }
    }
}

/// Parses a `Draw` in its usual form: single spaces, short numbers, no sign. Returns the command and the input behind
/// the line. All other lines are left to [`parse`], which accepts these lines too, with the same result.
#[inline]
fn usual_draw(input: &[u8]) -> Option<(Command, &[u8])> {
    let (x, rest) = short_number(input.strip_prefix(b"PX ")?)?;
    let (y, rest) = short_number(rest)?;
    let (rgb, rest) = rest.split_first_chunk::<6>()?;
    let rgb = hex(rgb)?;
    let (alpha, rest) = match rest {
        [b'\n', rest @ ..] | [b'\r', b'\n', rest @ ..] => (0xff, rest),
        [high, low, b'\n', rest @ ..] => (hex(&[*high, *low])?, rest),
        _ => return None,
    };
    Some((Command::Draw { x, y, color: Color::from_u32(rgb << 8 | alpha) }, rest))
}

/// Parses up to five digits and the space behind them.
#[inline]
fn short_number(input: &[u8]) -> Option<(i32, &[u8])> {
    let mut number = 0;
    for (i, &byte) in input.iter().take(6).enumerate() {
        match byte {
            b'0'..=b'9' if i < 5 => number = 10 * number + i32::from(byte - b'0'),
            b' ' if i > 0 => return Some((number, &input[i + 1..])),
            _ => return None,
        }
    }
    None
}

/// Parses a line without its end. Returns `None` if it is empty.
fn parse(line: &[u8]) -> Option<Command> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line.split(|&byte| byte == b' ' || byte == b'\t').filter(|word| !word.is_empty());
    let name = words.next()?;
    let arguments = [(); 4].map(|()| words.next());
    Some(command(name, arguments).unwrap_or(Command::Unknown))
}

/// Returns the command with this name and these arguments. No command has four arguments.
fn command(name: &[u8], arguments: [Option<&[u8]>; 4]) -> Option<Command> {
    let is = |command: &str| name.eq_ignore_ascii_case(command.as_bytes());
    match arguments {
        [Some(x), Some(y), Some(value), None] if is("PX") => {
            Some(Command::Draw { x: number(x)?, y: number(y)?, color: color(value)? })
        }
        [Some(x), Some(y), None, _] if is("PX") => Some(Command::Read { x: number(x)?, y: number(y)? }),
        [Some(x), Some(y), None, _] if is("OFFSET") => Some(Command::Offset { x: number(x)?, y: number(y)? }),
        [None, ..] if is("SIZE") => Some(Command::Size),
        [None, ..] if is("HELP") => Some(Command::Help),
        _ => None,
    }
}

/// Parses a decimal number with or without a sign. A number that does not fit is clamped.
fn number(word: &[u8]) -> Option<i32> {
    let (sign, digits) = match word {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_i32, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| i32::from(byte - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(sign * digit))
    })
}

/// Parses `rrggbb`, `rrggbbaa` or `gg`.
fn color(word: &[u8]) -> Option<Color> {
    let color = match word.len() {
        8 => hex(word)?,
        6 => hex(word)? << 8 | 0xff,
        2 => (hex(word)? * 0x0101_0100) | 0xff,
        _ => return None,
    };
    Some(Color::from_u32(color))
}

/// Parses at most eight hexadecimal digits.
#[inline]
fn hex(digits: &[u8]) -> Option<u32> {
    let (mut number, mut wrong) = (0, 0);
    for &digit in digits {
        let value = HEX[usize::from(digit)];
        wrong |= value;
        number = number << 4 | u32::from(value & 0xf);
    }
    (wrong < 0x10).then_some(number)
}

/// The value of each digit, and `0xff` for other bytes. A lookup costs a third of comparing ranges.
const HEX: [u8; 256] = {
    let mut table = [0xff; 256];
    let mut i = 0;
    while i < 16 {
        table[b"0123456789abcdef"[i] as usize] = i as u8;
        table[b"0123456789ABCDEF"[i] as usize] = i as u8;
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests;
