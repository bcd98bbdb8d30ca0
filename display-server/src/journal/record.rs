//! Drawing calls as records: `format.rs` has the bytes.

use super::format::{Fields, RECORD, SUM, put};
use draw_protocol::limits::SESSION_WINDOW;
use draw_protocol::session::{Id, Stamp};
use draw_protocol::{Method, Request};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A drawing call as it is journaled.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The session's call that it is, if a session made it.
    pub session: Option<Stamp>,
    /// The call.
    pub request: Request<'a>,
    /// What its replay would not find by itself; usually nothing. Of `sync`, which is not journaled as a call: the session that
    /// was taken up, as [`Session::encode`](draw_protocol::session::Session::encode) writes it.
    pub exceptions: &'a [u8],
}

/// What stands around an entry in its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) sequence: u64,
    pub(crate) durable: u64,
    pub(crate) time: u64,
}

/// Appends the record of `entry` behind one whose checksum is `before`, and answers its own. `None`, and nothing is
/// appended, if it is longer than [`RECORD`].
pub(crate) fn encode_record(out: &mut Vec<u8>, frame: Frame, entry: &Entry<'_>, before: u64) -> Option<u64> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    put(out, &[frame.sequence, frame.durable, frame.time]);
    match &entry.session {
        Some(Stamp { session: Id(id), number, ack, digest }) => {
            out.push(1);
            out.extend_from_slice(id);
            put(out, &[*number, *ack, *digest]);
        }
        None => out.push(0),
    }
    let method = entry.request.method().name();
    // Names of methods are a few letters.
    out.push(method.len() as u8);
    out.extend_from_slice(method.as_bytes());
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    entry.request.encode_parameters(out);
    let parameters = out.len() - length_at - 4;
    let length = out.len() - start + entry.exceptions.len();
    if length > RECORD {
        out.truncate(start);
        return None;
    }
    // Both are below `RECORD` now, and so below 32 bits.
    out[length_at..length_at + 4].copy_from_slice(&(parameters as u32).to_be_bytes());
    out.extend_from_slice(&(entry.exceptions.len() as u32).to_be_bytes());
    out.extend_from_slice(entry.exceptions);
    out[start..start + 4].copy_from_slice(&(length as u32).to_be_bytes());
    let checksum = xxh3_64_with_seed(&out[start..], before);
    put(out, &[checksum]);
    Some(checksum)
}

/// How long the record is whose first four bytes these are, with its checksum; `None` if no record is.
pub(crate) fn record_length(first: [u8; 4]) -> Option<usize> {
    let length = u32::from_be_bytes(first) as usize;
    (25..=RECORD).contains(&length).then_some(4 + length + SUM)
}

/// The frame of a record, from its start. Nothing of it is checked.
pub(crate) fn decode_frame(record: &[u8]) -> Option<Frame> {
    let mut fields = Fields(record.get(4..)?);
    Some(Frame { sequence: fields.u64()?, durable: fields.u64()?, time: fields.u64()? })
}

/// The checksum that a record has; `None` if that is not the one it should have behind `before`.
pub(crate) fn check_record(record: &[u8], before: u64) -> Option<u64> {
    let (covered, sum) = record.split_last_chunk::<SUM>()?;
    let sum = u64::from_be_bytes(*sum);
    (sum == xxh3_64_with_seed(covered, before)).then_some(sum)
}

fn stamp(fields: &mut Fields<'_>) -> Option<Stamp> {
    let session = Id(fields.array()?);
    Some(Stamp { session, number: fields.u64()?, ack: fields.u64()?, digest: fields.u64()? })
}

/// Whether a display lets a request with these numbers through. Memory is taken for what lies between them.
fn is_possible(stamp: &Stamp) -> bool {
    stamp.number.checked_sub(stamp.ack).is_some_and(|unacknowledged| unacknowledged <= SESSION_WINDOW)
}

/// The entry of a record that was checked.
pub(crate) fn decode_entry(record: &[u8]) -> Result<Entry<'_>, String> {
    let short = || "its fields do not fill it".to_owned();
    let (body, _) = record.split_last_chunk::<SUM>().ok_or_else(short)?;
    let mut fields = Fields(body.get(4 + 24..).ok_or_else(short)?);
    let [has_session] = fields.array().ok_or_else(short)?;
    let session = if has_session == 0 { None } else { Some(stamp(&mut fields).ok_or_else(short)?) };
    if session.is_some_and(|stamp| !is_possible(&stamp)) {
        return Err("the numbers of its session cannot be".into());
    }
    let [length] = fields.array().ok_or_else(short)?;
    let name = fields.take(length.into()).ok_or_else(short)?;
    // In place of a request that is journaled, `sync` says that a session was taken up.
    let is_kept = |method: &Method| method.is_journaled() || *method == Method::Sync;
    let method = Method::from_name(name).filter(is_kept);
    let method =
        method.ok_or_else(|| format!("there is no drawing call {:?}", name.escape_ascii().to_string()))?;
    let parameters = fields.blob().ok_or_else(short)?;
    let exceptions = fields.blob().filter(|_| fields.0.is_empty()).ok_or_else(short)?;
    let request = Request::from_parameters(method, parameters).map_err(|fault| fault.to_string())?;
    Ok(Entry { session, request, exceptions })
}
