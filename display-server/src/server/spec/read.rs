//! Reads the blocks of bytes, and the conversations that they are said in, from `bytes.md`.

const BYTES: &str = include_str!("../../../../protocol/spec/bytes.md");

/// A block of bytes.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) name: &'static str,
    /// `client` or `display`; `part of` what is said in another block.
    pub(super) side: &'static str,
    /// The kind of connection, or the block that it is a part of.
    pub(super) kind: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// A step of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The client says this block.
    Client(&'static str),
    /// The display does.
    Display(&'static str),
    /// Something else happens.
    Event(&'static str),
}

/// Returns all blocks of hex. The first line of each says who says it where: `# client, plain: name`.
pub(super) fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = BYTES.lines();
    while let Some(marker) = lines.next() {
        let Some(name) = marker.strip_prefix("### ") else { continue };
        let mut lines = lines.by_ref().skip_while(|line| *line != "```hex").skip(1);
        let first = lines.next().unwrap_or_default();
        let (head, same) = first.trim_start_matches("# ").split_once(": ").unwrap_or_default();
        assert_eq!(same, name, "the first line of a block, {first:?}, names it");
        let named = head.strip_prefix("part of ").map(|block| ("part of", block));
        let named = named.or_else(|| head.split_once(", "));
        let (side, kind) = named.unwrap_or_else(|| panic!("{name}: {head:?}"));
        let bytes = lines
            .take_while(|line| *line != "```")
            .flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace())
            .map(|byte| u8::from_str_radix(byte, 16).unwrap_or_else(|_| panic!("{name}: {byte}")));
        blocks.push(Block { name, side, kind, bytes: bytes.collect() });
    }
    assert!(!blocks.is_empty(), "bytes.md shows no bytes");
    blocks
}

/// Returns all conversations: each as it stands there, on one line, and its steps.
pub(super) fn conversations() -> Vec<(String, Vec<Step>)> {
    let (_, text) = BYTES.split_once("\n## Conversations\n").expect("bytes.md has its conversations");
    let (_, text) = text.split_once("```text\n").expect("they are in a block of text");
    let (text, _) = text.split_once("```").expect("the block ends");
    let starts: Vec<_> = std::iter::once(0)
        .chain(text.match_indices('\n').map(|(at, _)| at + 1))
        .filter(|&at| text[at..].starts_with(char::is_alphabetic))
        .collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let lines = starts.iter().zip(ends).map(|(&start, end)| &text[start..end]);
    lines.map(|line| (line.split_whitespace().collect::<Vec<_>>().join(" "), steps(line))).collect()
}

fn steps(line: &'static str) -> Vec<Step> {
    let (_, mut rest) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?} has no steps"));
    let mut steps = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return steps;
        }
        let (sign, after) = rest.split_at(1);
        let after = after.trim_start();
        let ends_name: fn(char) -> bool = if sign == "[" { |c| c == ']' } else { char::is_whitespace };
        let (name, after) = after.split_once(ends_name).unwrap_or((after, ""));
        steps.push(match sign {
            ">" => Step::Client(name),
            "<" => Step::Display(name),
            "[" => Step::Event(name),
            _ => panic!("{line:?}: {rest:?} is no step"),
        });
        rest = after;
    }
}
