//! Where a picture goes: a file that is there whole or not at all.

use super::Timeline;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A file, and how a picture is written to it. Made for clap's `value_parser`: it is read from the file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    path: PathBuf,
    is_page: bool,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(name: &str) -> Result<Target, String> {
        let path = PathBuf::from(name);
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        match extension.as_deref() {
            Some("svg") => Ok(Target { path, is_page: false }),
            Some("html") => Ok(Target { path, is_page: true }),
            _ => Err("the name must end in .svg for a picture or in .html for a page".into()),
        }
    }
}

impl Target {
    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Finds out whether [`Target::write`] will be able to, and leaves nothing behind.
    ///
    /// # Errors
    /// What the system says, with the name of the file.
    pub fn check(&self) -> io::Result<()> {
        let checked = match self.path.is_dir() {
            true => Err(io::ErrorKind::IsADirectory.into()),
            false => Temporary::beside(&self.path).map(drop),
        };
        checked.map_err(|error| self.named(&error))
    }

    /// Writes the picture. A file of that name is replaced by the whole of it or stays as it is.
    ///
    /// # Errors
    /// What the system says, with the name of the file.
    pub fn write(&self, timeline: &Timeline) -> io::Result<()> {
        let text = if self.is_page { timeline.html() } else { timeline.svg() };
        let written = Temporary::beside(&self.path).and_then(|mut temporary| {
            temporary.file.write_all(text.as_bytes())?;
            fs::rename(&temporary.path, &self.path)
        });
        written.map_err(|error| self.named(&error))
    }

    fn named(&self, error: &io::Error) -> io::Error {
        let says = format!("cannot write the timeline to {}: {error}", self.path.display());
        io::Error::new(error.kind(), says)
    }
}

/// A new file beside another, removed when it is dropped unless it was renamed.
struct Temporary {
    path: PathBuf,
    file: File,
}

impl Temporary {
    fn beside(path: &Path) -> io::Result<Temporary> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.tmp", std::process::id()));
        let path = path.with_file_name(hidden);
        // A new file and no other: in a directory that others may write to, the name could be a link of theirs.
        Ok(Temporary { file: File::create_new(&path)?, path })
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

    #[test]
    fn the_name_says_what_is_written() {
        assert!(matches!("a.svg".parse::<Target>(), Ok(target) if !target.is_page));
        assert!(matches!("b/c.HTML".parse::<Target>(), Ok(target) if target.is_page));
        for name in ["a", "a.png", "svg", ".svg", "", "a.svg/b"] {
            let says = name.parse::<Target>().unwrap_err();
            assert!(says.contains(".svg") && says.contains(".html"), "{name}: {says}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_known_before_and_nothing_is_left_behind() {
        let directory = std::env::temp_dir().join(format!("timeline-{}", std::process::id()));
        fs::create_dir_all(directory.join("taken.svg")).unwrap();
        let target = |name: &str| directory.join(name).to_str().unwrap().parse::<Target>().unwrap();
        for name in ["missing/a.svg", "taken.svg"] {
            let says = target(name).check().unwrap_err().to_string();
            assert!(says.contains(name), "{says}");
        }
        let free = target("free.svg");
        free.check().unwrap();
        assert!(!free.path().exists());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        fs::remove_dir_all(directory).unwrap();
    }
}
