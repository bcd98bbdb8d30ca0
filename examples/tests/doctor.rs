//! The round-trip doctor of a program that does not mention it: the lecture's circle.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

use display_server::{Options, Present, with_display};
use draw_examples::disc;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Returns the path of the example, which `cargo test` has built beside this test.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().with_file_name("examples").join("circle");
    assert!(program.exists(), "{program:?} is missing: `cargo test` without `--test` builds it");
    program
}

/// Returns what `circle` prints on standard error in this mode.
fn errors(mode: &str) -> String {
    let options = Options { listen: "127.0.0.1:0".into(), present: Present::None, ..Options::default() };
    with_display(options, |own| {
        let mut command = Command::new(program());
        command.args(["--display", &own.address().to_string(), "--mode", mode, "--diameter", "31", "--exit"]);
        let output = command.env("DRAW_DOCTOR", "1").stdin(Stdio::null()).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{errors}");
        errors
    })
    .unwrap()
}

/// Returns the position of the call of the synchronous mode in the source of the example, after the name of its function.
fn call(function: &str, text: &str) -> String {
    let source = include_str!("../circle.rs");
    let mut lines = source.lines().enumerate().skip_while(|(_, line)| !line.contains(function));
    let (number, line) = lines.find(|(_, line)| line.contains(text)).unwrap();
    format!("examples/circle.rs:{}:{}", number + 1, line.find(text).unwrap() + 1)
}

#[test]
fn the_line_that_waits_is_named_with_its_cure() {
    let errors = errors("sync");
    let (place, calls) = (call("fn synchronous", "draw_pixel"), disc(31, (0, 0)).count());
    let told = format!("doctor: {calls} calls waited for their answer at {place} draw_pixel, ");
    let mut lines = errors.lines().skip_while(|line| !line.starts_with(&told));
    let (first, cure) = (lines.next().unwrap_or_else(|| panic!("{told}\n{errors}")), lines.next().unwrap());
    let (each, of) = first[told.len()..].split_once(" each, ").unwrap();
    assert!(each.ends_with(" us") || each.ends_with(" ms"), "{first}");
    assert!(of.contains(" of the program's ") && of.ends_with('.'), "{first}");
    let about = cure.strip_prefix("        One draw_pixels, or the asynchronous Display, would take about ");
    assert!(about.is_some_and(|about| about.ends_with(" us.") || about.ends_with(" ms.")), "{cure}");
}

#[test]
fn its_cures_do_not_wait_there() {
    for mode in ["async", "batch"] {
        let errors = errors(mode);
        assert!(!errors.contains(" draw_pixel,") && !errors.contains("would take about"), "{mode}: {errors}");
        assert!(errors.contains("doctor: nothing to improve: "), "{mode}: {errors}");
    }
}
