//! Reads the files of the specification.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;

/// The files of `protocol/spec`, by name.
pub(crate) const FILES: [(&str, &str); 10] = [
    ("README.md", include_str!("../../spec/README.md")),
    ("quickstart.md", include_str!("../../spec/quickstart.md")),
    ("calls.md", include_str!("../../spec/calls.md")),
    ("codes.md", include_str!("../../spec/codes.md")),
    ("hello.md", include_str!("../../spec/hello.md")),
    ("sessions.md", include_str!("../../spec/sessions.md")),
    ("durability.md", include_str!("../../spec/durability.md")),
    ("checks.md", include_str!("../../spec/checks.md")),
    ("limits.md", include_str!("../../spec/limits.md")),
    ("bytes.md", include_str!("../../spec/bytes.md")),
];

/// Returns the text of a file.
pub(crate) fn file(name: &str) -> &'static str {
    FILES.iter().find(|(own, _)| *own == name).unwrap_or_else(|| panic!("there is no {name}")).1
}

/// Returns the lines of a section, up to the next heading.
pub(crate) fn section(name: &str, heading: &str) -> impl Iterator<Item = &'static str> + use<> {
    let mut lines = file(name).lines();
    assert!(lines.any(|line| line == heading), "{name} has no {heading:?}");
    lines.take_while(|line| !line.starts_with('#'))
}

/// Returns a section as one line with single spaces.
pub(crate) fn prose(name: &str, heading: &str) -> String {
    section(name, heading).flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

/// Returns the rows of the table in a section, without its head.
pub(crate) fn table(name: &str, heading: &str) -> Vec<&'static str> {
    section(name, heading).filter(|line| line.starts_with('|')).skip(2).collect()
}

/// Returns the first cell of each row of the table in a section.
pub(crate) fn first_cells(name: &str, heading: &str) -> Vec<&'static str> {
    let cell = |row: &'static str| row.split('|').nth(1).unwrap_or_default().trim().trim_matches('`');
    table(name, heading).into_iter().map(cell).collect()
}

/// A block of bytes in `bytes.md`.
pub(crate) struct Block {
    /// `client`, `display`, or `part of` for a part of another block.
    pub(crate) side: &'static str,
    /// The kind of connection, or the block that it is a part of.
    pub(crate) kind: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// Returns the blocks of bytes, by name. Each block of hex follows a heading with its name, and its first line repeats it.
pub(crate) fn blocks() -> BTreeMap<&'static str, Block> {
    let mut blocks = BTreeMap::new();
    let (mut heading, mut lines) = ("", file("bytes.md").lines());
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("### ") {
            heading = name;
        } else if line == "```hex" {
            let first = lines.next().unwrap_or_default();
            let (head, name) = first.trim_start_matches("# ").split_once(": ").unwrap_or_default();
            assert_eq!(name, heading, "a block stands below its name");
            let part = head.strip_prefix("part of ").map(|block| ("part of", block));
            let (side, kind) =
                part.or_else(|| head.split_once(", ")).unwrap_or_else(|| panic!("{name}: {head:?}"));
            let bytes = lines
                .by_ref()
                .take_while(|line| *line != "```")
                .flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace())
                .map(|byte| u8::from_str_radix(byte, 16).unwrap_or_else(|_| panic!("{name}: {byte}")))
                .collect();
            assert!(
                blocks.insert(name, Block { side, kind, bytes }).is_none(),
                "two blocks are named {name}"
            );
        }
    }
    let elsewhere = FILES.iter().filter(|(name, text)| *name != "bytes.md" && text.contains("```hex"));
    assert_eq!(elsewhere.count(), 0, "all blocks of hex are in bytes.md");
    assert_eq!(file("bytes.md").matches("\n### ").count(), blocks.len(), "each name has a block");
    blocks
}
