//! The output file of a picture, which is written as a whole or not at all.

use super::Timeline;
use display_server::output::{self, Patience};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A file, and the format of the picture in it. Parsed from the file's name by clap's `value_parser`.
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
    /// Returns the name of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checks whether [`Target::write`] will succeed, and leaves nothing behind.
    ///
    /// # Errors
    /// The system's error, with the name of the file and what to do.
    pub fn check(&self) -> io::Result<()> {
        output::check(&self.path).map_err(|error| self.named(&error))
    }

    /// Writes the picture, whatever is at the name: [`output`] has the rules.
    ///
    /// # Errors
    /// The system's error, with the name of the file and what to do.
    pub fn write(&self, timeline: &Timeline) -> io::Result<()> {
        let text = if self.is_page { timeline.html() } else { timeline.svg() };
        output::write(&self.path, Patience::default(), |out| out.write_all(text.as_bytes()))
            .map_err(|error| self.named(&error))
    }

    fn named(&self, error: &io::Error) -> io::Error {
        let (path, hint) = (self.path.display(), output::hint(error));
        io::Error::new(error.kind(), format!("cannot write the timeline to {path} ({error}): {hint}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

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
