//! Reads lines of Pixelflut. Takes bytes, split anywhere, and returns commands; does no I/O.

use draw_protocol::Color;

/// Bytes of the longest line that is read, without its end. The longest that a client needs has 36; a longer one is skipped.
pub const LINE: usize = 128;

/// A line of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `PX x y rrggbb`, `PX x y rrggbbaa` or `PX x y gg`: draws a pixel.
    Draw {
        /// Column, before the offset is added. A number that does not fit is the nearest that does.
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
        /// Row, likewise.
        y: i32,
    },
    /// `SIZE`: asks for the size of the display.
    Size,
    /// `OFFSET x y`: moves the origin of later coordinates.
    Offset {
        /// The column that 0 stands for.
        x: i32,
        /// The row that 0 stands for.
        y: i32,
    },
    /// `HELP`: asks for the commands.
    Help,
    /// A line that is none of these, or is longer than [`LINE`].
    Unknown,
}

/// Finds the commands in the bytes of one client. Holds at most one unfinished line.
#[derive(Debug, Clone)]
pub struct Parser {
    /// The beginning of a line whose end has not come yet.
    line: [u8; LINE],
    length: usize,
    /// The line is too long, and is skipped up to its end.
    is_skipping: bool,
}

impl Default for Parser {
    fn default() -> Parser {
        Parser { line: [0; LINE], length: 0, is_skipping: false }
    }
}

impl Parser {
    /// Returns the next command, and takes its bytes from `input`. Without a whole line in `input`, takes all of it and returns
    /// `None`: the rest of the line is to be in the next call. Empty lines are no commands.
    #[inline]
    pub fn next(&mut self, input: &mut &[u8]) -> Option<Command> {
        // Nearly all lines are of this form, and most of them are whole.
        if self.length == 0
            && !self.is_skipping
            && let Some((command, rest)) = usual_draw(input)
        {
            *input = rest;
            return Some(command);
        }
        self.next_line(input)
    }

    /// Returns whether a line has begun and not ended.
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

    /// Keeps a part of a line, or begins to skip the line if that makes it too long.
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

/// Reads a `Draw` as programs write it: single spaces, short numbers, no sign. Returns it and what follows the line. Every line
/// that it does not read is left to [`parse`], which reads the same ones in the same way.
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

/// Reads up to five digits and the space behind them.
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

/// Reads a line without its end. Returns `None` if it is empty.
fn parse(line: &[u8]) -> Option<Command> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line.split(|&byte| byte == b' ' || byte == b'\t').filter(|word| !word.is_empty());
    let name = words.next()?;
    let arguments = [(); 4].map(|()| words.next());
    Some(command(name, arguments).unwrap_or(Command::Unknown))
}

/// Finds the command of that name and those arguments; the last of them is one too many for any.
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

/// Reads a decimal number with or without a sign. One that does not fit is the nearest that does.
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

/// Reads `rrggbb`, `rrggbbaa` or `gg`.
fn color(word: &[u8]) -> Option<Color> {
    let color = match word.len() {
        8 => hex(word)?,
        6 => hex(word)? << 8 | 0xff,
        2 => (hex(word)? * 0x0101_0100) | 0xff,
        _ => return None,
    };
    Some(Color::from_u32(color))
}

/// Reads at most eight hexadecimal digits.
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

/// The value of each digit, and `0xff` for what is none: one check for each costs a third of comparing.
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
