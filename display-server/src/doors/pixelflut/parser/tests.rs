use super::*;

const fn draw(x: i32, y: i32, color: u32) -> Command {
    Command::Draw { x, y, color: Color::from_u32(color) }
}

/// Parses `input` in pieces of at most `piece` bytes.
fn commands(input: &[u8], piece: usize) -> (Vec<Command>, Parser) {
    let (mut parser, mut found) = (Parser::default(), Vec::new());
    for mut piece in input.chunks(piece) {
        while let Some(command) = parser.next(&mut piece) {
            found.push(command);
        }
        assert!(piece.is_empty(), "input without a whole line is taken");
    }
    (found, parser)
}

/// Lines and their commands.
const LINES: &[(&str, Command)] = &[
    ("PX 1 2 ff8000", draw(1, 2, 0xff80_00ff)),
    ("PX 1 2 FF8000", draw(1, 2, 0xff80_00ff)),
    ("PX 1 2 ff800040", draw(1, 2, 0xff80_0040)),
    ("PX 1 2 80", draw(1, 2, 0x8080_80ff)),
    ("PX 12345 99999 000000", draw(12345, 99999, 0xff)),
    ("PX 123456 0 000000", draw(123_456, 0, 0xff)),
    ("PX 007 0000000000008 000000", draw(7, 8, 0xff)),
    ("PX -1 +5 0a0B0c", draw(-1, 5, 0x0a0b_0cff)),
    ("PX 99999999999 -99999999999 ffffff", draw(i32::MAX, i32::MIN, 0xffff_ffff)),
    ("px 1 2 ff8000", draw(1, 2, 0xff80_00ff)),
    ("  PX\t1   2  ff8000 ", draw(1, 2, 0xff80_00ff)),
    ("PX 3 4", Command::Read { x: 3, y: 4 }),
    ("PX 3 4 ", Command::Read { x: 3, y: 4 }),
    ("PX -3 70000", Command::Read { x: -3, y: 70_000 }),
    ("SIZE", Command::Size),
    ("size", Command::Size),
    ("HELP", Command::Help),
    ("OFFSET 10 20", Command::Offset { x: 10, y: 20 }),
    ("OFFSET -10 0", Command::Offset { x: -10, y: 0 }),
];

/// Lines that are not commands.
const UNKNOWN: &[&str] = &[
    "PX",
    "PX 1",
    "PX 1 2 f",
    "PX 1 2 fff",
    "PX 1 2 fffff",
    "PX 1 2 fffffff",
    "PX 1 2 fffffffff",
    "PX 1 2 gg0000",
    "PX 1 2 ff80zz",
    "PX 1 2 ff8000zz",
    "PX 1 2 ff8000 3",
    "PX 1 2 ff\u{0}000",
    "PX 1 2 ff8000\r ",
    "PX 1 2\r\r",
    "PX 1,2 ff8000",
    "PX a 2 ff8000",
    "PX 1 - ff8000",
    "PX  ff8000",
    "PX1 2 ff8000",
    "OFFSET",
    "OFFSET 1",
    "OFFSET 1 2 3",
    "SIZE 1",
    "HELP me",
    "GET / HTTP/1.1",
    "\u{e9}",
];

#[test]
fn each_line_is_the_command_that_the_table_says() {
    for &(line, command) in LINES {
        for end in ["\n", "\r\n"] {
            assert_eq!(commands(format!("{line}{end}").as_bytes(), 1000).0, [command], "{line:?}{end:?}");
        }
    }
    for line in UNKNOWN {
        assert_eq!(commands(format!("{line}\n").as_bytes(), 1000).0, [Command::Unknown], "{line:?}");
    }
}

#[test]
fn a_stream_is_the_same_commands_wherever_it_is_split() {
    let lines: String = LINES.iter().map(|(line, _)| format!("{line}\r\n\n{line}\n")).collect();
    let lines = lines + &UNKNOWN.join("\n") + "\n";
    let (whole, parser) = commands(lines.as_bytes(), usize::MAX);
    assert_eq!(whole.len(), 2 * LINES.len() + UNKNOWN.len());
    assert!(!parser.is_mid_line());
    for piece in 1..80 {
        assert_eq!(commands(lines.as_bytes(), piece).0, whole, "in pieces of {piece} bytes");
    }
}

#[test]
fn empty_lines_are_no_commands() {
    assert_eq!(commands(b"\n\r\n  \n\t\r\nSIZE\n", 100).0, [Command::Size]);
}

#[test]
fn a_line_that_is_too_long_is_one_unknown_command_and_the_next_one_is_read() {
    for length in [LINE - 4, LINE - 3, LINE, LINE + 1, 10 * LINE] {
        // Spaces at the end are ignored, so only the length decides.
        let line = format!("SIZE{}\nHELP\n", " ".repeat(length - 4));
        let first = if length <= LINE { Command::Size } else { Command::Unknown };
        for piece in [1, 7, LINE, LINE + 1, usize::MAX] {
            assert_eq!(commands(line.as_bytes(), piece).0, [first, Command::Help], "{length}, {piece}");
        }
    }
}

#[test]
fn a_line_without_an_end_is_no_command() {
    for input in ["PX 1 2 ff", "P", "SIZE\r", &"x".repeat(100_000)] {
        let (found, parser) = commands(input.as_bytes(), 10);
        assert!(found.is_empty() && parser.is_mid_line(), "{found:?}");
    }
}
