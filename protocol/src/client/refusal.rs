//! Reads why a display refuses something.

use super::Ended;
use super::ended::violation;
use crate::codec::reader::Reader;
use crate::fault::{Code, Fault};
use crate::limits;

/// Reads why `hello` was refused. A display that has not read all of it does not know that it is one, and answers as it answers
/// a plain client: `[0, "code: message"]`.
pub(super) fn read_refusal(rest: Reader<'_>) -> Result<Fault, Ended> {
    let plain = rmp_serde::from_slice::<(i64, String)>(rest.rest());
    let plain = plain.ok().and_then(|(_, text)| {
        let (code, message) = text.split_once(": ")?;
        Some(Fault::new(Code::from(code.to_owned()), message))
    });
    match plain {
        Some(mut fault) if !matches!(fault.code, Code::Other(_)) => {
            fault.shorten(limits::STRING);
            Ok(fault)
        }
        _ => read_fault(rest),
    }
}

pub(super) fn read_fault(mut rest: Reader<'_>) -> Result<Fault, Ended> {
    let bytes = rest.skip().map_err(|_| violation("its error is cut off"))?;
    let mut fault: Fault = rmp_serde::from_slice(bytes)
        .map_err(|error| violation(format!("its error cannot be read: {error}")))?;
    fault.shorten(limits::STRING);
    Ok(fault)
}
