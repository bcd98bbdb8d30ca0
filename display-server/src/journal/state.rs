//! The state in a snapshot: everything except the picture.

use super::format::{Fields, Version};
use super::kinds::{self, SESSIONS_SECTION};
use super::record::Unreadable;
use draw_protocol::session::{Id, Session};

/// Appends a session to the section of the sessions.
fn put_session(out: &mut Vec<u8>, Id(id): Id, session: &Session) {
    out.extend_from_slice(&id);
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    session.encode(out);
    let length = (out.len() - length_at - 4) as u32;
    out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
}

/// Returns the state with the sessions that `visit` is given one after the other.
pub(crate) fn encode(visit: impl FnOnce(&mut dyn FnMut(Id, &Session))) -> Vec<u8> {
    let mut out = vec![SESSIONS_SECTION];
    out.extend_from_slice(&[0; 8]);
    visit(&mut |id, session| put_session(&mut out, id, session));
    let length = out.len() as u64 - 9;
    out[1..9].copy_from_slice(&length.to_be_bytes());
    out
}

/// Reads the state of a snapshot of `version`, and passes each session to `visit`.
///
/// # Errors
/// If it is damaged, or a later program has written a section that must not be skipped.
pub(crate) fn decode(
    version: Version,
    state: &[u8],
    visit: &mut dyn FnMut(Id, Session),
) -> Result<(), Unreadable> {
    let Version::Two { program } = version else { return Ok(sessions(state, visit)?) };
    let mut fields = Fields(state);
    while let Some([kind]) = fields.array() {
        let length = fields.u64().and_then(|length| usize::try_from(length).ok());
        let section = length.and_then(|length| fields.take(length)).ok_or("a section is cut off")?;
        match kind {
            SESSIONS_SECTION => sessions(section, visit)?,
            kind if kinds::may_skip(kind) => {}
            kind => {
                return Err(Unreadable::Newer(format!(
                    "its section of kind {kind} is not known to this program, {}: open it with display-server {program}, which \
                     wrote it, or later",
                    env!("CARGO_PKG_VERSION"),
                )));
            }
        }
    }
    Ok(())
}

fn sessions(section: &[u8], visit: &mut dyn FnMut(Id, Session)) -> Result<(), String> {
    let mut fields = Fields(section);
    while !fields.0.is_empty() {
        let id = fields.array().ok_or("the sessions are cut off")?;
        let bytes = fields.blob().ok_or("the sessions are cut off")?;
        visit(Id(id), Session::decode(bytes).map_err(|error| error.to_string())?);
    }
    Ok(())
}
