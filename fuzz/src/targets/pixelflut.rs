use display_server::doors::pixelflut::parser::{Command, LINE, Parser};
use draw_protocol::Color;

/// Pixelflut lines yield the same commands wherever their bytes are split, one for each line that is not empty, and
/// each command is what a simple reader of its line returns. An unfinished line yields none.
pub fn pixelflut(data: &[u8]) {
    // The first byte chooses how the rest is split.
    let [piece, data @ ..] = data else { return };
    let (whole, mid_line) = commands(data, usize::MAX);
    for piece in [1, usize::from(*piece).max(1), LINE, LINE + 1] {
        assert_eq!(commands(data, piece), (whole.clone(), mid_line), "in pieces of {piece} bytes");
    }
    let mut lines: Vec<_> = data.split(|&byte| byte == b'\n').collect();
    let rest = lines.pop().unwrap_or_default();
    assert_eq!(mid_line, !rest.is_empty());
    let plain: Vec<_> = lines.into_iter().filter_map(plain).collect();
    assert_eq!(whole, plain);
}

/// Returns the commands of bytes that arrive in pieces, and whether the input ends in the middle of a line.
fn commands(data: &[u8], piece: usize) -> (Vec<Command>, bool) {
    let (mut parser, mut found) = (Parser::default(), Vec::new());
    for mut piece in data.chunks(piece) {
        while let Some(command) = parser.next(&mut piece) {
            found.push(command);
        }
        assert!(piece.is_empty(), "input without a whole line is taken");
    }
    (found, parser.is_mid_line())
}

/// Reads one line as text, slowly.
fn plain(line: &[u8]) -> Option<Command> {
    if line.len() > LINE {
        return Some(Command::Unknown);
    }
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // No command contains characters other than ASCII; `?` stands for them.
    let text: String = line.iter().map(|&byte| if byte.is_ascii() { byte.into() } else { '?' }).collect();
    let words: Vec<_> = text.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
    let name = words.first()?.to_ascii_uppercase();
    let command = match (&*name, &words[1..]) {
        ("PX", [x, y, color]) => {
            both(x, y).zip(self::color(color)).map(|((x, y), color)| Command::Draw { x, y, color })
        }
        ("PX", [x, y]) => both(x, y).map(|(x, y)| Command::Read { x, y }),
        ("OFFSET", [x, y]) => both(x, y).map(|(x, y)| Command::Offset { x, y }),
        ("SIZE", []) => Some(Command::Size),
        ("HELP", []) => Some(Command::Help),
        _ => None,
    };
    Some(command.unwrap_or(Command::Unknown))
}

fn both(x: &str, y: &str) -> Option<(i32, i32)> {
    number(x).zip(number(y))
}

fn number(word: &str) -> Option<i32> {
    let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // Only a float is certain to hold 128 digits, and it is exact within the range of an i32.
    let number: f64 = word.parse().ok().filter(|_| is_number)?;
    Some(number as i32)
}

fn color(word: &str) -> Option<Color> {
    let all = match word.len() {
        2 => format!("{word}{word}{word}ff"),
        6 => format!("{word}ff"),
        8 => word.to_owned(),
        _ => return None,
    };
    let is_hex = all.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(&all, 16).ok().filter(|_| is_hex).map(Color::from_u32)
}
