//! The kinds of records in version 2 of the format, and those of the sections of a snapshot's state.
//!
//! The number of a kind determines how programs treat it that do not know it: below [`SKIPPABLE`] they refuse the
//! journal, since the picture would be wrong; from [`SKIPPABLE`] on they skip the record. `JOURNAL.md` has the fields
//! of all kinds.

/// A drawing call outside of any session.
pub(crate) const CALL: u8 = 1;
/// A drawing call of a session.
pub(crate) const SESSION_CALL: u8 = 2;
/// The state of a session when a connection resumed, began or ended it.
pub(crate) const SESSION: u8 = 3;

/// Kinds from this number on may be skipped.
pub(crate) const SKIPPABLE: u8 = 0x80;

/// The section of a snapshot's state that has the sessions.
pub(crate) const SESSIONS_SECTION: u8 = 1;

/// Kinds that are reserved: programs of this version refuse or skip them.
pub(crate) const RESERVED: [(u8, &str); 7] = [
    (4, "resize"),
    (5, "begin of a frame"),
    (6, "commit of a frame"),
    (7, "discard of a frame"),
    (8, "rights"),
    (9, "shape"),
    (0x80, "call site"),
];

/// Returns whether a program that does not know `kind` skips it.
pub(crate) const fn may_skip(kind: u8) -> bool {
    kind >= SKIPPABLE
}

/// Returns the number of a kind, and its name if it has one.
pub(crate) fn describe(kind: u8) -> String {
    match RESERVED.iter().find(|(number, _)| *number == kind) {
        Some((_, name)) => format!("{kind} ({name})"),
        None => kind.to_string(),
    }
}
