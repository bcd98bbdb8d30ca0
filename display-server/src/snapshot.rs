//! Writes the picture of a display as a PNG file.

use crate::canvas::framebuffer::Framebuffer;
use crate::error::Error;
use crate::output::{self, Patience};
use std::io::{self, Write};
use std::path::Path;

/// Writes the display to `path` as an RGBA image with unchanged alpha. A file appears complete or not at all; anything
/// else at `path` is written to: see [`output`], with the default [`Patience`] for a reader. It blocks. Pixels that are
/// drawn meanwhile may be in the image.
///
/// # Errors
/// [`Error::Snapshot`] if the file cannot be written. An existing file at `path` is unchanged then.
pub fn write(framebuffer: &Framebuffer, path: &Path) -> Result<(), Error> {
    write_within(framebuffer, path, Patience::default())
}

/// Does the same as [`write()`], with another limit for a reader.
///
/// # Errors
/// Those of [`write()`].
pub fn write_within(framebuffer: &Framebuffer, path: &Path, patience: Patience) -> Result<(), Error> {
    let written = output::write(path, patience, |out| encode(framebuffer, out));
    written.map_err(|source| Error::Snapshot { path: path.to_owned(), source })
}

/// Checks whether [`write()`] can write to `path`, and leaves nothing behind.
///
/// # Errors
/// [`Error::Snapshot`] if it cannot.
pub fn check_writable(path: &Path) -> Result<(), Error> {
    output::check(path).map_err(|source| Error::Snapshot { path: path.to_owned(), source })
}

fn encode(framebuffer: &Framebuffer, out: &mut dyn Write) -> io::Result<()> {
    let size = framebuffer.size();
    let mut encoder = png::Encoder::new(out, size.width, size.height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    // A display that ends has little time.
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    let mut image = writer.stream_writer()?;
    // Row by row: a second copy of a large display might not fit into memory.
    let mut row = vec![0; size.width as usize * 4];
    for y in 0..size.height {
        framebuffer.copy_rows(y..y + 1, &mut row);
        image.write_all(&row)?;
    }
    image.finish()?;
    writer.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use draw_protocol::{Color, Size};
    use std::fs::{self, File};
    use std::path::PathBuf;

    #[test]
    fn a_picture_survives_and_replaces_the_old_one() {
        let directory = std::env::temp_dir().join(format!("display-server-snapshot-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("picture.png");
        let framebuffer = Framebuffer::new(Size { width: 3, height: 2 }, Color::rgba(1, 2, 3, 4)).unwrap();
        framebuffer.draw_pixel(2, 1, Color::RED, &mut framebuffer.no_damage());
        fs::write(&path, "old").unwrap();
        check_writable(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write(&framebuffer, &path).unwrap();

        let mut reader =
            png::Decoder::new(io::BufReader::new(File::open(&path).unwrap())).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        assert_eq!((info.width, info.height, info.color_type), (3, 2, png::ColorType::Rgba));
        assert_eq!(bytes, [[1, 2, 3, 4]; 5].concat().into_iter().chain([255, 0, 0, 255]).collect::<Vec<_>>());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing else is left behind");

        for bad in [directory.clone(), directory.join("missing/picture.png"), PathBuf::from("/")] {
            let error = check_writable(&bad).unwrap_err().to_string();
            assert!(error.contains(&bad.display().to_string()) && error.contains("directory"), "{error}");
            assert!(write(&framebuffer, &bad).is_err());
        }
        fs::remove_dir_all(&directory).unwrap();
    }
}
