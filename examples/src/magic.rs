//! Recognises files by their first bytes.

/// Returns the kind of a file, with its article, from its first bytes; `None` if it is unknown.
pub fn kind_of(bytes: &[u8]) -> Option<&'static str> {
    let starts = |start: &[u8]| bytes.starts_with(start);
    let has = |at: usize, part: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(part));
    Some(match bytes {
        [] => "an empty file",
        _ if starts(b"\x89PNG\r\n\x1a\n") => "a PNG picture",
        _ if starts(b"\xff\xd8\xff") => "a JPEG picture",
        _ if starts(b"GIF87a") || starts(b"GIF89a") => "a GIF picture",
        _ if starts(b"RIFF") && has(8, b"WEBP") => "a WebP picture",
        _ if has(4, b"ftypavif") || has(4, b"ftypavis") => "an AVIF picture",
        _ if has(4, b"ftypheic") || has(4, b"ftypheix") || has(4, b"ftypmif1") => "a HEIF picture",
        _ if starts(b"II*\0") || starts(b"MM\0*") => "a TIFF picture",
        _ if starts(b"\xff\x0a") || starts(b"\0\0\0\x0cJXL ") => "a JPEG XL picture",
        _ if starts(b"qoif") => "a QOI picture",
        _ if starts(b"BM") && has(6, b"\0\0\0\0") => "a BMP picture",
        _ if starts(b"%PDF") => "a PDF document",
        [b'P', b'1'..=b'7', next, ..] if next.is_ascii_whitespace() => "a PNM picture",
        _ => {
            let text = bytes.trim_ascii_start();
            let head = &text[..text.len().min(1024)];
            if head.starts_with(b"<svg")
                || (head.starts_with(b"<?xml") && head.windows(4).any(|w| w == b"<svg"))
            {
                "an SVG picture"
            } else {
                return None;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_how_they_begin() {
        for (bytes, kind) in [
            (&b""[..], "an empty file"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG picture"),
            (b"GIF89a..", "a GIF picture"),
            (b"RIFF\x10\0\0\0WEBPVP8 ", "a WebP picture"),
            (b"\0\0\0\x20ftypavif", "an AVIF picture"),
            (b"II*\0", "a TIFF picture"),
            (b"P6\n640 480", "a PNM picture"),
            (b"\n<?xml version=\"1.0\"?><svg>", "an SVG picture"),
            (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
        ] {
            assert_eq!(kind_of(bytes), Some(kind));
        }
        for bytes in [&b"x"[..], b"\xff", b"\x89PNG", b"RIFF", b"BMW is a car", b"<?xml version=\"1.0\"?><a>"]
        {
            assert_eq!(kind_of(bytes), None, "{bytes:?}");
        }
    }
}
