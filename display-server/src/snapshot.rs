//! Writes what is on a display as a PNG file.

use crate::error::Error;
use crate::framebuffer::Framebuffer;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes the display to `path` as an RGBA image, alpha as it is. The image appears whole or not at all: it is written
/// to a temporary file beside `path`, which then takes its name. It blocks; what is drawn meanwhile may be in it.
///
/// # Errors
/// [`Error::Snapshot`] if the file cannot be written; a file that was at `path` is still there.
pub fn write(framebuffer: &Framebuffer, path: &Path) -> Result<(), Error> {
    let written = Temporary::new(path).and_then(|temporary| {
        encode(framebuffer, &temporary.file)?;
        fs::rename(&temporary.path, path)
    });
    written.map_err(|source| Error::Snapshot { path: path.to_owned(), source })
}

/// Finds out whether [`write()`] will be able to write to `path`, and leaves nothing behind.
///
/// # Errors
/// [`Error::Snapshot`] if it would not.
pub fn check_writable(path: &Path) -> Result<(), Error> {
    let checked =
        if path.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Temporary::new(path).map(drop) };
    checked.map_err(|source| Error::Snapshot { path: path.to_owned(), source })
}

fn encode(framebuffer: &Framebuffer, file: &File) -> io::Result<()> {
    let size = framebuffer.size();
    let mut out = BufWriter::new(file);
    let mut encoder = png::Encoder::new(&mut out, size.width, size.height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    // A display that ends has little time.
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    let mut image = writer.stream_writer()?;
    // By rows: a second copy of a large display might not fit into memory.
    let mut row = vec![0; size.width as usize * 4];
    for y in 0..size.height {
        framebuffer.copy_rows(y..y + 1, &mut row);
        image.write_all(&row)?;
    }
    image.finish()?;
    writer.finish()?;
    out.flush()
}

/// A new file beside another, removed when it is dropped unless it was renamed.
struct Temporary {
    path: PathBuf,
    file: File,
}

impl Temporary {
    fn new(beside: &Path) -> io::Result<Temporary> {
        let name = beside.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        for n in 0..100 {
            let mut hidden = OsString::from(".");
            hidden.push(name);
            hidden.push(format!(".{}-{n}.tmp", std::process::id()));
            let path = beside.with_file_name(hidden);
            // A new file and no other: in a directory that others may write to, the name could be a link of theirs.
            match File::create_new(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => return created.map(|file| Temporary { path, file }),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Not there any more if it was renamed.
        _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use draw_protocol::{Color, Size};

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
