//! Runs a target over files.

use crate::targets::Target;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

/// The directory of the corpus, with one subdirectory for each target's name.
const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");

/// The main function of a target's program without a fuzzer: runs the target over files and prints what it did.
#[must_use]
pub fn replay(name: &str, target: Target) -> ExitCode {
    let given: Vec<_> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let files = if given.is_empty() { files_of(name) } else { Ok(given) };
    match files.and_then(|files| run_files(target, &files)) {
        Ok((files, bytes)) => {
            println!("{name}: ran {files} files of {bytes} bytes, and none fails");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the target over these files. Returns their number and their total size in bytes.
fn run_files(target: Target, files: &[PathBuf]) -> io::Result<(usize, usize)> {
    let mut bytes = 0;
    for file in files {
        let data = fs::read(file).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot read {} ({error})", file.display()))
        })?;
        let say = Say(file);
        target(&data);
        drop(say);
        bytes += data.len();
    }
    Ok((files.len(), bytes))
}

/// Prints the name of the file when a target panics.
struct Say<'a>(&'a Path);

impl Drop for Say<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was {}", self.0.display());
        }
    }
}

/// Returns the corpus files of a target, sorted by name.
fn files_of(name: &str) -> io::Result<Vec<PathBuf>> {
    let directory = Path::new(CORPUS).join(name);
    let listed = |error: io::Error| {
        io::Error::new(error.kind(), format!("cannot list {} ({error})", directory.display()))
    };
    let entries = fs::read_dir(&directory).map_err(listed)?;
    let mut files: Vec<_> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    files.sort();
    if files.is_empty() {
        return Err(io::Error::other(format!("{} has no files", directory.display())));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets;
    use std::collections::BTreeSet;

    macro_rules! over_its_corpus {
        ($($name:ident,)+) => {
            $(#[test]
            fn $name() {
                let files = files_of(stringify!($name)).unwrap_or_else(|error| panic!("{error}"));
                run_files(targets::$name, &files).unwrap_or_else(|error| panic!("{error}"));
            })+
        };
    }
    targets::targets!(over_its_corpus);

    fn names(directory: &str) -> BTreeSet<String> {
        let entries =
            fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)).expect("a directory");
        let stem = |path: PathBuf| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            name.strip_suffix(".rs").map_or(name.clone(), str::to_owned)
        };
        entries.map(|entry| stem(entry.expect("an entry").path())).collect()
    }

    #[test]
    fn each_target_has_a_corpus_and_a_program_and_there_are_no_others() {
        let targets: BTreeSet<_> = targets::NAMES.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(names("corpus"), targets);
        assert_eq!(names("bins"), targets);
        let manifest = include_str!("../Cargo.toml");
        let named =
            manifest.lines().filter_map(|line| line.strip_prefix("path = \"bins/")?.strip_suffix(".rs\""));
        assert_eq!(named.map(str::to_owned).collect::<BTreeSet<_>>(), targets, "the programs in Cargo.toml");
    }

    #[test]
    fn a_corpus_that_is_missing_or_a_file_that_cannot_be_read_is_told() {
        let error = files_of("nothing").expect_err("there is no such directory").to_string();
        assert!(error.contains("corpus/nothing"), "{error}");
        let error = run_files(|_| (), &["/nothing".into()]).expect_err("there is no such file").to_string();
        assert!(error.contains("cannot read /nothing"), "{error}");
    }
}
