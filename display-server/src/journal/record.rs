//! Reads and writes records. `JOURNAL.md` describes their bytes.

use super::format::{Fields, Header, RECORD, SUM, Version, put};
use super::kinds::{self, CALL, SESSION, SESSION_CALL};
use draw_protocol::limits::SESSION_WINDOW;
use draw_protocol::session::{Id, Session, Stamp};
use draw_protocol::{Method, Request};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The largest difference between the number of a request and its acknowledgement. A replay allocates memory for the
/// numbers between them, so this is a limit of the format. The limits of the wire are lower.
pub(crate) const UNACKNOWLEDGED: u64 = 1 << 20;

const _: () = assert!(SESSION_WINDOW <= UNACKNOWLEDGED, "each request that is executed can be recorded");

/// What a record contains.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entry<'a> {
    /// A drawing call.
    Call {
        /// The session's request that it is, if a session made it.
        session: Option<Stamp>,
        /// The call.
        request: Request<'a>,
    },
    /// A session as it was when a connection began, resumed or ended it.
    Session {
        /// The id of the session.
        id: Id,
        /// Its state.
        session: &'a Session,
    },
}

impl Entry<'_> {
    /// Returns the id of the session that the entry belongs to.
    pub(crate) fn session(&self) -> Option<Id> {
        match self {
            Entry::Call { session, .. } => session.map(|stamp| stamp.session),
            Entry::Session { id, .. } => Some(*id),
        }
    }
}

/// The fields that every record begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) sequence: u64,
    pub(crate) durable: u64,
    pub(crate) time: u64,
}

/// The number of bytes in front of the kind: the length and the frame.
const FRAME: usize = 4 + 24;

/// Appends the record of `entry` behind one whose checksum is `before`, and returns its own checksum. Returns `None`, and appends
/// nothing, if it is longer than [`RECORD`].
pub(crate) fn encode_record(out: &mut Vec<u8>, frame: Frame, entry: &Entry<'_>, before: u64) -> Option<u64> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    put(out, &[frame.sequence, frame.durable, frame.time]);
    match entry {
        Entry::Call { session, request } => {
            match session {
                Some(Stamp { session: Id(id), number, ack, digest }) => {
                    out.push(SESSION_CALL);
                    out.extend_from_slice(id);
                    put(out, &[*number, *ack, *digest]);
                }
                None => out.push(CALL),
            }
            let method = request.method().name();
            // Names of methods are a few letters.
            out.push(method.len() as u8);
            out.extend_from_slice(method.as_bytes());
            request.encode_parameters(out);
        }
        Entry::Session { id: Id(id), session } => {
            out.push(SESSION);
            out.extend_from_slice(id);
            session.encode(out);
        }
    }
    let length = out.len() - start - 4;
    if length > RECORD {
        out.truncate(start);
        return None;
    }
    // It is at most `RECORD`, and so below 32 bits.
    out[start..start + 4].copy_from_slice(&(length as u32).to_be_bytes());
    let checksum = xxh3_64_with_seed(&out[start..], before);
    put(out, &[checksum]);
    Some(checksum)
}

/// Returns the length of the record that begins with these four bytes, including its checksum; `None` if no record does.
pub(crate) fn record_length(first: [u8; 4]) -> Option<usize> {
    let length = u32::from_be_bytes(first) as usize;
    (25..=RECORD).contains(&length).then_some(4 + length + SUM)
}

/// Returns the frame of a record, from its start. Checks nothing.
pub(crate) fn decode_frame(record: &[u8]) -> Option<Frame> {
    let mut fields = Fields(record.get(4..)?);
    Some(Frame { sequence: fields.u64()?, durable: fields.u64()?, time: fields.u64()? })
}

/// Returns the checksum of a record; `None` if that is not the one it should have behind `before`.
pub(crate) fn check_record(record: &[u8], before: u64) -> Option<u64> {
    let (covered, sum) = record.split_last_chunk::<SUM>()?;
    let sum = u64::from_be_bytes(*sum);
    (sum == xxh3_64_with_seed(covered, before)).then_some(sum)
}

/// Why a record whose checksum is right cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Its bytes contradict the format.
    Damaged(String),
    /// It is of a kind that a later program wrote and that must not be skipped.
    Newer(String),
}

impl From<String> for Unreadable {
    fn from(what: String) -> Unreadable {
        Unreadable::Damaged(what)
    }
}

impl From<&str> for Unreadable {
    fn from(what: &str) -> Unreadable {
        Unreadable::Damaged(what.into())
    }
}

const SHORT: &str = "its fields do not fill it";

/// Reads the entry of a record that was checked, in a file with `header`. Returns `None` for a kind that may be skipped and is not
/// known. A session is put into `slot`.
pub(crate) fn decode_entry<'a>(
    record: &'a [u8],
    header: &Header,
    slot: &'a mut Option<Session>,
) -> Result<Option<Entry<'a>>, Unreadable> {
    let (body, _) = record.split_last_chunk::<SUM>().ok_or(SHORT)?;
    let mut fields = Fields(body.get(FRAME..).ok_or(SHORT)?);
    let fields = &mut fields;
    match header.version {
        Version::One => decode_first(fields, slot).map(Some),
        Version::Two { program } => match fields.array().ok_or(SHORT)? {
            [CALL] => call(fields, None).map(Some),
            [SESSION_CALL] => {
                let session = Some(stamp(fields)?);
                call(fields, session).map(Some)
            }
            [SESSION] => {
                let id = Id(fields.array().ok_or(SHORT)?);
                session(id, fields.0, slot).map(Some)
            }
            [kind] if kinds::may_skip(kind) => Ok(None),
            [kind] => Err(Unreadable::Newer(format!(
                "its kind {} is not known to this program, {}: open it with display-server {program}, which wrote it, or later",
                kinds::describe(kind),
                env!("CARGO_PKG_VERSION"),
            ))),
        },
    }
}

/// Reads the body of a record of version 1.
fn decode_first<'a>(fields: &mut Fields<'a>, slot: &'a mut Option<Session>) -> Result<Entry<'a>, Unreadable> {
    let [has_session] = fields.array().ok_or(SHORT)?;
    let stamp = if has_session == 0 { None } else { Some(stamp(fields)?) };
    let method = method_name(fields)?;
    let parameters = fields.blob().ok_or(SHORT)?;
    let exceptions = fields.blob().filter(|_| fields.0.is_empty()).ok_or(SHORT)?;
    if method == Method::Sync.name().as_bytes() {
        // A sync is not journaled. Version 1 writes a session as the exceptions of one.
        _ = Request::from_recorded(Method::Sync, parameters).map_err(|fault| fault.to_string())?;
        let stamp = stamp.ok_or("it belongs to no session")?;
        return session(stamp.session, exceptions, slot);
    }
    request(method, parameters, stamp)
}

fn stamp(fields: &mut Fields<'_>) -> Result<Stamp, Unreadable> {
    let stamp = (|| {
        let session = Id(fields.array()?);
        Some(Stamp { session, number: fields.u64()?, ack: fields.u64()?, digest: fields.u64()? })
    })();
    let stamp = stamp.ok_or(SHORT)?;
    let unacknowledged = stamp.number.checked_sub(stamp.ack);
    if unacknowledged.is_none_or(|unacknowledged| unacknowledged > UNACKNOWLEDGED) {
        return Err("the numbers of its session are invalid".into());
    }
    Ok(stamp)
}

fn method_name<'a>(fields: &mut Fields<'a>) -> Result<&'a [u8], Unreadable> {
    let [length] = fields.array().ok_or(SHORT)?;
    Ok(fields.take(length.into()).ok_or(SHORT)?)
}

fn call<'a>(fields: &mut Fields<'a>, session: Option<Stamp>) -> Result<Entry<'a>, Unreadable> {
    let method = method_name(fields)?;
    request(method, fields.0, session)
}

/// Reads a drawing call. No limit of the wire applies: the length of the record bounds what it takes.
fn request<'a>(name: &[u8], parameters: &'a [u8], session: Option<Stamp>) -> Result<Entry<'a>, Unreadable> {
    let method = Method::from_name(name).filter(|method| method.is_journaled());
    let method =
        method.ok_or_else(|| format!("there is no drawing call {:?}", name.escape_ascii().to_string()))?;
    let request = Request::from_recorded(method, parameters).map_err(|fault| fault.to_string())?;
    Ok(Entry::Call { session, request })
}

fn session<'a>(id: Id, bytes: &[u8], slot: &'a mut Option<Session>) -> Result<Entry<'a>, Unreadable> {
    let session = Session::decode(bytes).map_err(|error| error.to_string())?;
    Ok(Entry::Session { id, session: slot.insert(session) })
}
