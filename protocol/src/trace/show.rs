//! MessagePack as text. What is shown may be the start of a longer message, and is never trusted.

use super::What;
use super::entry::{Asked, Outcome, RANGES};
use super::secret;
use crate::codec::reader::{Reader, Unexpected};
use crate::fault::{Code, Fault, Range};
use crate::hello;
use crate::table::Pixels;
use crate::table::{Answer, Call, Method};
use crate::text::{excerpt, printable};
use crate::types::Color;
use rmp::Marker;
use std::fmt::Write;

/// Characters of one text of a peer's, and of all that is shown of a value whose meaning is not known.
const TEXT: usize = 400;
/// The same for a text inside of such a value.
const WORD: usize = 100;
/// Elements of an array or a map that are shown: a greeting has all of its keys.
const ELEMENTS: u32 = 16;
/// Pixels of a `draw_pixels` or an `add_pixels` that are shown.
const PIXELS: usize = 3;

/// Returns what a request or a notification calls.
pub(super) fn asked(method: &[u8], params: Reader<'_>) -> (What, Asked) {
    let name = clean(method, WORD);
    let known = Method::from_name(method);
    if let Some(method) = known
        && let Ok(call) = Call::glance(method, &mut params.clone())
    {
        let (parameters, invisible) = (parameters(call, params), invisible(call, params));
        return (What::Call(call), Asked { method: name, parameters, call: Some(call), invisible });
    }
    let what = match known {
        Some(method) => What::Method(method),
        None if method == hello::HELLO.as_bytes() => What::Hello,
        None => What::Unknown,
    };
    // What is no array is shown as it is: it is wrong, and that is to be seen.
    let (mut params, mut text) = (params, String::new());
    let mut listed = params;
    match listed.array() {
        Ok(count) => elements(&mut listed, count, false, &mut text),
        Err(_) => value(&mut params, &mut text),
    };
    (what, Asked { method: name, parameters: cut(text), call: None, invisible: None })
}

/// Returns the parameters of a call as it prints, and of pixels the first.
fn parameters(call: Call, mut params: Reader<'_>) -> String {
    let text = call.to_string();
    let (_, text) = text.split_once('(').unwrap_or_default();
    let mut text = text.strip_suffix(')').unwrap_or(text).to_owned();
    if let Call::DrawPixels { pixels } | Call::AddPixels { pixels } = call {
        _ = params.array();
        if let Ok((_, first)) = Pixels::first(&mut params, PIXELS) {
            for (i, (x, y, color)) in first.iter().enumerate() {
                let comma = if i == 0 { ": " } else { ", " };
                _ = match call {
                    Call::AddPixels { .. } => write!(text, "{comma}({x}, {y}, {})", color.to_u32()),
                    _ => write!(text, "{comma}({x}, {y}, {color})"),
                };
            }
            if !first.is_empty() && pixels.0 as usize > first.len() {
                text.push_str(", ...");
            }
        }
    }
    text
}

/// Returns the colour that was probably meant, if a call draws an invisible one. Erasing and images are exempt.
fn invisible(call: Call, mut params: Reader<'_>) -> Option<Color> {
    match call {
        Call::DrawPixel { color, .. } | Call::FillRect { color, .. } | Call::Clear { color } => {
            color.invisible()
        }
        Call::DrawPixels { .. } => {
            params.array().ok()?;
            let (_, first) = Pixels::first(&mut params, PIXELS).ok()?;
            first.iter().find_map(|(_, _, color)| color.invisible())
        }
        _ => None,
    }
}

/// Returns what a response says: `rest` is its error and its result.
pub(super) fn outcome(what: What, mut rest: Reader<'_>) -> Outcome {
    if !rest.nil() {
        return fault(rest).map_or_else(|| Outcome::Error(shown(rest)), Outcome::Fault);
    }
    let whole = rest;
    if rest.nil() && !matches!(what.method(), Some("get_mouse")) {
        return Outcome::Done;
    }
    let answer = match what {
        What::Call(Call::GetImage { width, height, .. }) => {
            whole.clone().announced().ok().map(|(length, _)| format!("{width}x{height}, {length} bytes"))
        }
        What::Call(call) => {
            call.method().decode_answer(&mut whole.clone()).ok().and_then(|answer| match answer {
                Answer::Pixel(color) => Some(color.to_string()),
                Answer::Digest(digest) => Some(digest.to_string()),
                Answer::Size(size) => Some(size.to_string()),
                Answer::Mouse(Some(position)) => Some(format!("({}, {})", position.x, position.y)),
                Answer::Mouse(None) => Some("not seen yet".to_owned()),
                Answer::Image(_) | Answer::Done(()) => None,
            })
        }
        _ => None,
    };
    Outcome::Answer(answer.unwrap_or_else(|| shown(whole)))
}

/// Returns a fault in either of its forms: a map with `code` and `message`, or `[0, "code: message"]`.
pub(super) fn fault(mut reader: Reader<'_>) -> Option<Fault> {
    let mut listed = reader;
    if let Ok(2) = listed.array() {
        listed.int().ok()?;
        let text = clean(listed.announced().ok()?.1, TEXT);
        let (code, message) = text.split_once(": ")?;
        return match Code::from(code.to_owned()) {
            Code::Other(_) => None,
            code => Some(Fault::new(code, message)),
        };
    }
    let (mut code, mut message, mut rejected) = (None, None, Vec::new());
    for _ in 0..reader.map().ok()? {
        let Ok((_, key)) = reader.announced() else { break };
        let place = match key {
            b"code" => &mut code,
            b"message" => &mut message,
            _ => {
                if key == b"rejected" {
                    rejected = ranges(reader);
                }
                // It may be long, and cut off.
                match reader.skip() {
                    Ok(_) => continue,
                    Err(_) => break,
                }
            }
        };
        *place = Some(clean(reader.announced().ok()?.1, TEXT));
    }
    Some(Fault::of_pixels(Code::from(code?), message?, rejected))
}

/// Returns the first ranges of indexes: one more than are shown.
fn ranges(mut reader: Reader<'_>) -> Vec<Range> {
    let count = reader.array().unwrap_or(0);
    let mut range = || {
        let (2, first, count) = (reader.array().ok()?, reader.int().ok()?, reader.int().ok()?) else {
            return None;
        };
        Some(Range { first: u32::try_from(first).ok()?, count: u32::try_from(count).ok()? })
    };
    (0..count).take(RANGES + 1).map_while(|_| range()).collect()
}

/// Returns one value, whatever it is.
fn shown(mut reader: Reader<'_>) -> String {
    let mut text = String::new();
    value(&mut reader, &mut text);
    cut(text)
}

/// Appends a value. `None`: it was cut off, or there is enough.
fn value(reader: &mut Reader<'_>, out: &mut String) -> Option<()> {
    if out.len() > TEXT {
        return None;
    }
    let Some(&first) = reader.rest().first() else {
        out.push_str("...");
        return None;
    };
    match Marker::from_u8(first) {
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
            let text = String::from_utf8_lossy(reader.announced().ok()?.1);
            let end = text.char_indices().nth(WORD).map_or(text.len(), |(end, _)| end);
            let quoted = format!("{:?}", &text[..end]);
            out.push_str(&printable(&quoted));
            out.push_str(if end < text.len() { "..." } else { "" });
        }
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
            let length = reader.announced().ok()?.0;
            _ = write!(out, "{length} byte{}", if length == 1 { "" } else { "s" });
        }
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => {
            let count = reader.array().ok()?;
            out.push('[');
            elements(reader, count, false, out)?;
            out.push(']');
        }
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => {
            let count = reader.map().ok()?;
            out.push('{');
            elements(reader, count, true, out)?;
            out.push('}');
        }
        _ => match reader.int() {
            Ok(n) => _ = write!(out, "{n}"),
            // It was read all the same, and says what it is.
            Err(Unexpected(what)) => out.push_str(&what),
        },
    }
    Some(())
}

/// Appends the elements of an array or a map, which cannot nest deeper than a scan lets through.
fn elements(reader: &mut Reader<'_>, count: u32, is_map: bool, out: &mut String) -> Option<()> {
    for i in 0..count {
        if i > 0 {
            out.push_str(", ");
        }
        if i == ELEMENTS {
            _ = write!(out, "... {} more", count - i);
            for _ in 0..u64::from(count - i) << u32::from(is_map) {
                reader.skip().ok()?;
            }
            break;
        }
        if is_map {
            let mut is_session = false;
            match reader.clone().announced() {
                Ok((_, key)) if is_word(key) => {
                    is_session = key == b"session";
                    out.push_str(&clean(key, WORD));
                    _ = reader.announced();
                }
                _ => value(reader, out)?,
            }
            out.push_str(": ");
            // An id is secret, and a wrong one may contain most of a valid one.
            if is_session && !secret::is_standing(reader.rest()) {
                let count = |n: u64| format!("{n} byte{}", if n == 1 { "" } else { "s" });
                let (mut was, skipped) = (*reader, reader.skip());
                match (was.announced(), &skipped) {
                    (Ok((length, _)), _) => out.push_str(&count(length)),
                    (Err(_), Ok(value)) => _ = write!(out, "({})", count(value.len() as u64)),
                    (Err(_), Err(_)) => out.push_str("..."),
                }
                skipped.ok()?;
                continue;
            }
        }
        value(reader, out)?;
    }
    Some(())
}

fn is_word(key: &[u8]) -> bool {
    (1..=WORD).contains(&key.len()) && key.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Returns a text on one line: no end of line, and nothing that a terminal would obey.
fn clean(bytes: &[u8], most: usize) -> String {
    excerpt(&String::from_utf8_lossy(bytes), most)
}

/// Returns the first characters of what was made here.
fn cut(text: String) -> String {
    match text.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
