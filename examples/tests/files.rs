//! The files that the examples read and write, and their command lines.
#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// All examples except `hello`, which reads no arguments.
const NAMES: [&str; 9] =
    ["circle", "density", "draw_wire", "film", "late_errors", "mouse", "picture", "race", "unkillable"];

/// Returns a command that runs an example, which cargo builds before the tests of this package, in a directory.
fn example(name: &str, directory: &Path, args: &[&str]) -> Command {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().with_file_name("examples").join(name);
    assert!(program.exists(), "{program:?} is missing: `cargo build -p draw-examples --examples` makes it");
    let mut command = Command::new(program);
    for variable in ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET", "DRAW_DISPLAY"] {
        command.env_remove(variable);
    }
    command.args(args).current_dir(directory).stdin(Stdio::null());
    command
}

fn run(name: &str, directory: &Path, args: &[&str]) -> (Output, String, String) {
    let output = example(name, directory, args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    (output, out, errors)
}

/// A directory of one test, removed on drop.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("examples-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_no_example_understands_is_a_usage_error_and_help_is_answered() {
    let directory = Directory::new("usage");
    for name in NAMES {
        let (output, _, errors) = run(name, &directory.0, &["--nonsense"]);
        assert!(output.status.code() == Some(2) && errors.contains("'--nonsense'"), "{name}: {errors}");
        let (output, out, _) = run(name, &directory.0, &["--help"]);
        assert!(output.status.success() && out.contains("Usage: "), "{name}: {out}");
    }
    assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_meant_is_said_with_what_can_be() {
    let directory = Directory::new("meant");
    for (name, args, says) in [
        ("circle", &["--diameter", "0"][..], "write a whole number from 1 to 10000"),
        ("circle", &["--diameter", "-5"], "'-5' for '--diameter <N>': write a whole number from 1 to 10000"),
        ("circle", &["--diameter", "many"], "write a whole number from 1 to 10000"),
        ("circle", &["--rtt", "-5ms"], "'-5ms' for '--rtt <TIME>': \"-5ms\" is not a duration"),
        ("circle", &["--output", "a.png", "--display", "a"], "cannot be used with '--display <ADDR>'"),
        ("picture", &["--output", "a.png", "--display", "a"], "cannot be used with '--display <ADDR>'"),
        ("density", &["--output", "a.png", "--display", "a"], "cannot be used with '--display <ADDR>'"),
        ("density", &["--clients", "-1"], "'-1' for '--clients <N>': write a whole number from 1 to 64"),
        ("density", &["--points", "1e6"], "write a whole number from 1 to 16777215"),
        ("film", &["--rate", "-1"], "'-1' for '--rate <N>': write a number from 0 to 1000"),
        ("film", &["--seconds", "-1s"], "'-1s' for '--seconds <TIME>': \"-1s\" is not a duration"),
        ("race", &["--diameter", "65"], "'65' for '--diameter <N>': write a whole number from 1 to 64"),
        ("race", &["--output", "-"], "name a file"),
        ("unkillable", &["--kills", "-1"], "'-1' for '--kills <N>': write a whole number from 0 to 1000"),
        ("unkillable", &["--calls", "1"], "write a whole number from 10000 to 2000000"),
    ] {
        let (output, _, errors) = run(name, &directory.0, args);
        assert!(output.status.code() == Some(2) && errors.contains(says), "{name} {args:?}: {errors}");
    }
    let (output, out, _) = run("film", &directory.0, &["--seconds", "0s"]);
    assert!(output.status.success() && out.starts_with("no picture was drawn"), "{out}");
}

#[test]
fn a_picture_of_another_format_is_named_and_standard_input_is_read() {
    let directory = Directory::new("picture");
    let write = |name: &str, bytes: &[u8]| fs::write(directory.0.join(name), bytes).unwrap();
    let rings = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/rings.png")).unwrap();
    write("photo.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01");
    write("photo.png", b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01");
    write("page", b"<html>");
    write("half.png", &rings[..rings.len() / 2]);
    write("end.png", &rings[..rings.len() - 12]);
    write("empty.png", b"");
    write("start.png", &rings[..20]);
    write("text.png", b"no picture at all");
    fs::create_dir(directory.0.join("directory.png")).unwrap();
    let sized = |width: u32, height: u32| {
        [&rings[..16], &width.to_be_bytes(), &height.to_be_bytes(), &rings[24..]].concat()
    };
    write("zero.png", &sized(0, 0));
    write("flat.png", &sized(5, 0));
    write("huge.png", &sized(100_000, 100_000));
    write("wide.png", &sized(20_000, 1));
    // The name of the chunk with the size, and a byte of it, whose change its checksum reveals.
    write("nameless.png", &[&rings[..12], b"IHDX", &rings[16..]].concat());
    write("altered.png", &sized(64, 63));
    for (name, says) in [
        ("photo.jpg", "photo.jpg: this is a JPEG picture, and only PNG is supported"),
        ("photo.png", "photo.png: this is a JPEG picture, and only PNG is supported"),
        ("page", "page: the picture format is not known, and only PNG is supported"),
        ("half.png", &format!("half.png: this PNG picture is cut off after {} bytes: copy", rings.len() / 2)),
        ("end.png", &format!("end.png: this PNG picture is cut off after {} bytes: copy", rings.len() - 12)),
        ("start.png", "start.png: this PNG picture is cut off after 20 bytes: copy or save it again"),
        ("empty.png", "empty.png: it is empty: name a file with a PNG picture in it"),
        ("text.png", "text.png: the picture format is not known, and only PNG is supported: name a file"),
        ("directory.png", "directory.png: Is a directory (os error 21): name a PNG file in it"),
        ("zero.png", "zero.png: it says that its size is 0x0, so it has no pixels: save it again"),
        ("flat.png", "flat.png: it says that its size is 5x0, so it has no pixels"),
        (
            "huge.png",
            "huge.png: it says that its size is 100000x100000, and a display has at most 16384 pixels",
        ),
        ("wide.png", "wide.png: it says that its size is 20000x1, and a display has at most 16384 pixels"),
        ("nameless.png", "nameless.png: this PNG picture is damaged (it does not begin with its size): save"),
        ("altered.png", "altered.png: this PNG picture is damaged ("),
        (
            "missing.png",
            "missing.png: No such file or directory (os error 2): check the name and the directory",
        ),
        ("/dev/zero", "/dev/zero: the picture format is not known"),
        ("page/x", "page/x: Not a directory (os error 20): a part of the name is a file"),
    ] {
        let (output, _, errors) = run("picture", &directory.0, &[name]);
        assert!(
            output.status.code() == Some(1) && errors.starts_with(&format!("picture: {says}")),
            "{errors}"
        );
    }
    for (input, status, says) in
        [(&rings[..], 0, ""), (b"GIF89a", 1, "standard input: this is a GIF picture")]
    {
        let mut child = example("picture", &directory.0, &["-", "--output", "sent.png"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(status) && errors.contains(says), "{errors}");
    }
    assert!(directory.0.join("sent.png").exists());
}

#[test]
fn a_picture_that_this_user_may_not_read_says_so() {
    let directory = Directory::new("secret");
    let secret = directory.0.join("secret.png");
    fs::write(&secret, "").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    // Permissions do not restrict root: another user runs a copy, at a place that this user can access.
    let copy = directory.0.join("picture");
    fs::copy(example("picture", &directory.0, &[]).get_program(), &copy).unwrap();
    let mut command = Command::new(&copy);
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    let output = command.arg(&secret).current_dir(&directory.0).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    let says = format!(
        "picture: {}: Permission denied (os error 13): this user may not read it: name another file",
        secret.display()
    );
    assert!(output.status.code() == Some(1) && errors.starts_with(&says), "{errors}");
}

#[test]
fn a_picture_that_cannot_be_saved_is_told_from_one_that_was_not_drawn() {
    let directory = Directory::new("saved");
    // No user can create a file of that name, not even root.
    for name in ["circle.png", "picture.png", "density.png"] {
        fs::create_dir(directory.0.join(name)).unwrap();
    }
    for (name, done, args) in [
        ("circle", "the circle was drawn and checked", &["--exit", "--diameter", "9"][..]),
        ("picture", "a display of our own shows it", &[]),
        ("density", "every point was counted", &["--points", "1000"]),
    ] {
        let (output, _, errors) = run(name, &directory.0, args);
        let file = directory.0.join(format!("{name}.png"));
        let says = format!(
            "{name}: {done}, but the picture is not saved: cannot write the snapshot {}",
            file.display()
        );
        assert!(output.status.code() == Some(1) && errors.contains(&says), "{errors}");
        assert!(errors.contains("directory") && errors.contains("--output FILE.png"), "{errors}");

        // Elsewhere it is saved, also through a link.
        _ = fs::remove_file(directory.0.join("link"));
        symlink(format!("other-{name}.png"), directory.0.join("link")).unwrap();
        let (output, _, errors) = run(name, &directory.0, &[args, &["--output", "link"]].concat());
        assert!(output.status.success(), "{errors}");
        assert!(fs::symlink_metadata(directory.0.join("link")).unwrap().is_symlink());
        assert!(fs::read(directory.0.join(format!("other-{name}.png"))).unwrap().starts_with(b"\x89PNG"));
        let (output, _, errors) = run(name, &directory.0, &["--output", "-"]);
        assert!(output.status.code() == Some(2) && errors.contains("name a file"), "{errors}");
    }
    let (output, out, errors) =
        run("circle", &directory.0, &["--exit", "--diameter", "9", "--output", "missing/circle.png"]);
    assert!(output.status.code() == Some(1) && errors.contains("a directory that exists"), "{errors}");
    assert!(out.is_empty(), "what was asked for by name is checked before anything is drawn: {out}");
    let (_, out, _) = run("circle", &directory.0, &["--help"]);
    assert!(out.contains("Exit status: 0 if the circle was drawn"), "{out}");
}

#[test]
fn each_example_says_what_is_wrong_with_an_address_at_once_and_as_a_sentence() {
    let directory = Directory::new("address");
    for name in NAMES.into_iter().filter(|name| !["late_errors", "race", "unkillable"].contains(name)) {
        for (address, says) in [("", "it is empty"), ("http://host", "it is a URL")] {
            let (output, out, errors) = run(name, &directory.0, &["--display", address]);
            assert_eq!(output.status.code(), Some(1), "{name} --display {address:?}: {errors}");
            assert!(errors.starts_with(&format!("{name}: ")) && errors.contains(says), "{errors}");
            assert_eq!(out, "", "{name} --display {address:?}");
        }
    }
}
