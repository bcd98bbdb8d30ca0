//! A session as bytes, for a journal: what a display needs of its clients after a restart.
//!
//! ```text
//! version: 1 byte, 1
//! ended: 1 byte, 0 or 1
//! incarnation, attempt, ack, applied: u64 each; incarnation is a nonce, or the number of the `hello` that it began with
//! drawn: u64, the last request that may have drawn
//! digests: u64 for each request after ack, up to applied
//! count of responses: u32
//! of each: its number: u64, its length: u32, its bytes
//! count of questions whose answers are not kept: u32, and the number of each: u64
//! ```
//!
//! Every number is big-endian. A request that is being executed is not in it: after a restart it was not executed. What the
//! client was told is not in it either: the client may have been told of everything and may acknowledge it.

use super::{Filter, RESPONSE, Session};
use std::collections::VecDeque;

const VERSION: u8 = 1;

/// An error for bytes that are not a session of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no session: {0}")]
pub struct InvalidSession(&'static str);

impl Session {
    /// Appends the session as bytes, for [`Session::decode`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (ack, applied) = (self.filter.ack(), self.filter.applied());
        out.extend_from_slice(&[VERSION, u8::from(self.is_ended)]);
        [self.incarnation, self.attempt, ack, applied, self.drawn]
            .iter()
            .for_each(|n| out.extend_from_slice(&n.to_be_bytes()));
        self.filter.digests().for_each(|digest| out.extend_from_slice(&digest.to_be_bytes()));
        let count = u32::try_from(self.responses.len()).expect("at most as many as the window");
        out.extend_from_slice(&count.to_be_bytes());
        for (number, response) in &self.responses {
            out.extend_from_slice(&number.to_be_bytes());
            let length = u32::try_from(response.len()).expect("no message is that long");
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(response);
        }
        let count = u32::try_from(self.unkept.len()).expect("at most as many as the window");
        out.extend_from_slice(&count.to_be_bytes());
        self.unkept.iter().for_each(|number| out.extend_from_slice(&number.to_be_bytes()));
    }

    /// Decodes a session from all of these bytes.
    ///
    /// # Errors
    /// [`InvalidSession`] if they are of another version, cut off, or contradict themselves.
    pub fn decode(mut bytes: &[u8]) -> Result<Session, InvalidSession> {
        let bytes = &mut bytes;
        let [version, is_ended] = array(bytes)?;
        if version != VERSION {
            return Err(InvalidSession("another version"));
        }
        if is_ended > 1 {
            return Err(InvalidSession("a flag that is neither 0 nor 1"));
        }
        let [incarnation, attempt, ack, applied] = [u64(bytes)?, u64(bytes)?, u64(bytes)?, u64(bytes)?];
        let drawn = u64(bytes)?;
        if drawn > applied {
            return Err(InvalidSession("it drew with a request that was not executed"));
        }
        let count = applied.checked_sub(ack).ok_or(InvalidSession("more is acknowledged than executed"))?;
        // The window may have been another when it was written: these bytes bound the memory.
        let length = usize::try_from(count).ok().and_then(|count| count.checked_mul(8));
        let digests = take(bytes, length.ok_or(InvalidSession("cut off"))?)?;
        let digests = digests.as_chunks().0.iter().map(|digest| u64::from_be_bytes(*digest)).collect();
        let (mut responses, mut size, mut last) = (VecDeque::new(), 0, ack);
        for _ in 0..u32::from_be_bytes(array(bytes)?) {
            let number = u64(bytes)?;
            if number <= last || number > applied {
                return Err(InvalidSession("a response to a request that has none"));
            }
            last = number;
            let length = u32::from_be_bytes(array(bytes)?);
            let response: Box<[u8]> = take(bytes, length as usize)?.into();
            size += response.len() + RESPONSE;
            responses.push_back((number, response));
        }
        let (mut unkept, mut last) = (VecDeque::new(), ack);
        for _ in 0..u32::from_be_bytes(array(bytes)?) {
            let number = u64(bytes)?;
            if number <= last || number > applied {
                return Err(InvalidSession("an answer to a question that was not asked"));
            }
            last = number;
            unkept.push_back(number);
        }
        if !bytes.is_empty() {
            return Err(InvalidSession("more than one"));
        }
        let filter = Filter::restored(ack, applied, digests);
        let is_ended = is_ended == 1;
        // What was acknowledged is not counted any more, but there was some.
        let executed = count + u64::from(ack > 0);
        let (bytes, durable_through) = (size, 0);
        Ok(Session {
            filter,
            responses,
            bytes,
            unkept,
            drawn,
            durable_through,
            is_ended,
            incarnation,
            attempt,
            executed,
        })
    }
}

fn take<'a>(bytes: &mut &'a [u8], n: usize) -> Result<&'a [u8], InvalidSession> {
    let (taken, rest) = bytes.split_at_checked(n).ok_or(InvalidSession("cut off"))?;
    *bytes = rest;
    Ok(taken)
}

fn array<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], InvalidSession> {
    Ok(*take(bytes, N)?.first_chunk().expect("as many were taken"))
}

fn u64(bytes: &mut &[u8]) -> Result<u64, InvalidSession> {
    array(bytes).map(u64::from_be_bytes)
}
