//! Reads a PNG picture. For another file, the error names its kind and what to do.

use crate::magic::kind_of;
use display_server::limits::SIDE;
use draw_client::Size;
use std::fs::File;
use std::io::{self, BufReader, Cursor, ErrorKind, Read};
use std::path::Path;

/// Number of bytes that identify a file.
const HEAD: u64 = 1024;

/// The largest file in bytes: the size of the pixels of the largest display.
const MOST: u64 = (SIDE as u64) * (SIDE as u64) * 4;

/// A picture as it crosses the wire: bytes R, G, B, A, rows from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width and height.
    pub size: Size,
    /// The pixels.
    pub rgba: Vec<u8>,
}

impl Picture {
    /// Reads a file, or standard input if the name is `-`.
    ///
    /// # Errors
    /// The name, a description of the error, and what to do.
    pub fn open(path: &Path) -> Result<Picture, String> {
        if path.as_os_str() == "-" {
            return Picture::read(io::stdin().lock()).map_err(|error| format!("standard input: {error}"));
        }
        let named = |error: String| format!("{}: {error}", path.display());
        let file = File::open(path).map_err(|error| named(unreadable(&error)))?;
        Picture::read(file).map_err(named)
    }

    /// Reads all of a PNG picture.
    ///
    /// # Errors
    /// A description of the error, and what to do.
    pub fn read(mut source: impl Read) -> Result<Picture, String> {
        let mut bytes = Vec::new();
        let mut more = |most: u64| {
            let read = source.by_ref().take(most).read_to_end(&mut bytes);
            read.map_err(|error| unreadable(&error))?;
            Ok::<_, String>(bytes.len() as u64)
        };
        // Standard input may be endless.
        more(HEAD)?;
        let is_larger = more(MOST)? > MOST;
        match kind_of(&bytes) {
            Some("a PNG picture") => {}
            Some("an empty file") => return Err("it is empty: name a file with a PNG picture in it".into()),
            Some(kind) => {
                return Err(format!(
                    "this is {kind}, and only PNG is supported: convert it to PNG with `magick` or an image editor"
                ));
            }
            None => {
                return Err(
                    "the picture format is not known, and only PNG is supported: name a file with a PNG picture in it".into()
                );
            }
        }
        if is_larger {
            return Err(format!("it has more than {MOST} bytes: name a smaller picture"));
        }
        check_size(&bytes)?;
        decode(bytes)
    }
}

/// Returns the system's error for a file that cannot be read, and what to do.
fn unreadable(error: &io::Error) -> String {
    let hint = match error.kind() {
        ErrorKind::NotFound => "check the name and the directory",
        ErrorKind::NotADirectory => "a part of the name is a file, and not a directory",
        ErrorKind::IsADirectory => "name a PNG file in it",
        ErrorKind::PermissionDenied => {
            "this user may not read it: name another file, or have its permissions changed (`chmod`)"
        }
        _ => "name another file",
    };
    format!("{error}: {hint}")
}

/// Refuses a picture larger than any display before memory is allocated for it.
fn check_size(bytes: &[u8]) -> Result<(), String> {
    let side = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    // The size follows the signature, and the length and the name of the first chunk, which is always IHDR.
    let (Some(width), Some(height)) = (side(16), side(20)) else { return Err(cut_off(bytes.len())) };
    if bytes.get(12..16) != Some(b"IHDR") {
        return Err(damaged("it does not begin with its size"));
    }
    if width == 0 || height == 0 {
        return Err(format!("it says that its size is {width}x{height}, so it has no pixels: save it again"));
    }
    if width > SIDE || height > SIDE {
        return Err(format!(
            "it says that its size is {width}x{height}, and a display has at most {SIDE} pixels a side: make it smaller"
        ));
    }
    Ok(())
}

fn cut_off(length: usize) -> String {
    let bytes = if length == 1 { "byte" } else { "bytes" };
    format!("this PNG picture is cut off after {length} {bytes}: copy or save it again")
}

fn damaged(what: &str) -> String {
    format!("this PNG picture is damaged ({}): save it again", what.trim_end_matches('.'))
}

fn decode(bytes: Vec<u8>) -> Result<Picture, String> {
    let length = bytes.len();
    let wrong = |error| match error {
        png::DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => cut_off(length),
        png::DecodingError::LimitsExceeded => {
            "its parts take more memory than a picture does: save it again".into()
        }
        error => damaged(&error.to_string()),
    };
    let mut decoder = png::Decoder::new(BufReader::new(Cursor::new(bytes)));
    decoder.set_transformations(png::Transformations::normalize_to_color8() | png::Transformations::ALPHA);
    let mut reader = decoder.read_info().map_err(wrong)?;
    let no_memory = || "there is not enough memory for its pixels: make it smaller".to_owned();
    let most = reader.output_buffer_size().ok_or_else(no_memory)?;
    let mut data = Vec::new();
    data.try_reserve_exact(most).map_err(|_| no_memory())?;
    data.resize(most, 0);
    let info = reader.next_frame(&mut data).map_err(wrong)?;
    // Reads to the end, which may be missing.
    reader.finish().map_err(wrong)?;
    data.truncate(info.buffer_size());
    let rgba = match info.color_type {
        png::ColorType::Rgba => data,
        // normalize_to_color8 with ALPHA leaves these two.
        png::ColorType::GrayscaleAlpha => {
            data.chunks_exact(2).flat_map(|p| [p[0], p[0], p[0], p[1]]).collect()
        }
        other => return Err(format!("a PNG of type {other:?} is not supported: save it as RGBA")),
    };
    Ok(Picture { size: Size { width: info.width, height: info.height }, rgba })
}
