//! `DRAW_DEBUG` in a program that draws: this test runs itself again as that program.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use display_server::{Options, Present, with_display};
use draw_client::{Color, ConnectOptions, blocking, default_address};
use std::process::{Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

#[path = "../../display-server/tests/common/blocked.rs"]
mod blocked;

use blocked::full_pipe;

/// Long enough for a slow machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// Draws with each client on the display that the environment names.
#[test]
#[ignore = "the program that the other tests run"]
fn program() {
    let display = blocking::Display::open().unwrap();
    display.draw_pixel(1, 2, Color::RED).unwrap();
    display.draw_pixel(700, 10, Color::RED).unwrap_err();
    // Longer than one read.
    assert_eq!(display.get_image(0, 0, 300, 200).unwrap().len(), 240_000);
    display.close().unwrap();

    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let display = ConnectOptions::new().on_error(|_| ()).connect(&default_address()).await.unwrap();
        for x in 0..3 {
            display.draw_pixel(x, 5, Color::GREEN).await.unwrap();
        }
        display.sync().await.unwrap();
        assert_eq!(display.get_image(0, 0, 300, 200).await.unwrap().len(), 240_000);
        display.close().await.unwrap();
    });
}

/// Runs the program and returns what it prints on standard error.
fn errors(setting: Option<&str>) -> String {
    let options = Options { listen: "127.0.0.1:0".into(), present: Present::None, ..Options::default() };
    with_display(options, |own| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "program", "--ignored"]).env("DRAW_DISPLAY", own.address().to_string());
        command.env_remove("DRAW_DEBUG").envs(setting.map(|setting| ("DRAW_DEBUG", setting)));
        let output = command.stdin(Stdio::null()).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{errors}{}", String::from_utf8_lossy(&output.stdout));
        errors
    })
    .unwrap()
}

/// Returns a line without its time at the beginning and its duration at the end.
fn without_times(line: &str) -> &str {
    let (time, rest) = line.split_at(10);
    assert!(time.trim().parse::<f64>().is_ok(), "{line}");
    let rest = rest.split(", after ").next().unwrap().trim_start();
    match rest.rsplit_once(" (") {
        Some((rest, took)) if took.contains(" ms") => rest,
        _ => rest,
    }
}

#[test]
fn one_prints_a_line_for_each_message_of_both_clients() {
    let errors = errors(Some("1"));
    // The number that confirms a welcome differs each time.
    let is_greeting = |line: &&str| line.contains("hello") || line.contains("-> notification confirm(");
    assert_eq!(errors.matches("-> notification confirm(").count(), 2, "{errors}");
    let lines: Vec<_> = errors.lines().map(without_times).filter(|line| !is_greeting(line)).collect();
    assert!(lines[0].starts_with("#1 -- to 127.0.0.1:"), "{errors}");
    assert_eq!(
        lines[1..8],
        [
            "#1 -> 1 draw_pixel(1, 2, #ff0000ff)",
            "#1 <- progress 1: 1 done",
            "#1 -> 2 draw_pixel(700, 10, #ff0000ff)",
            "#1 <- 2 draw_pixel: out_of_bounds: (700, 10) is outside 640x480",
            "#1 -> 3 get_image(0, 0, 300, 200)",
            "#1 <- 3 get_image: 300x200, 240000 bytes",
            "#1 -> end",
        ],
        "{errors}"
    );
    assert!(lines[8].starts_with("#2 -- to 127.0.0.1:"), "{errors}");
    // The scheduler determines how many pixels are sent together.
    let asynchronous = &lines[9..];
    for part in [
        "#2 -> 1 draw_pixel",
        "sync()",
        "sync: done",
        "get_image(0, 0, 300, 200)",
        "get_image: 300x200, 240000 bytes",
        "#2 -> end",
    ] {
        assert!(asynchronous.iter().any(|line| line.contains(part)), "{part} is missing:\n{errors}");
    }
    assert!(!errors.contains("not understood") && !errors.contains("no request"), "{errors}");
}

#[test]
fn full_prints_the_bytes_too() {
    let errors = errors(Some("full"));
    let call = "#1 -> 1 draw_pixel(1, 2, #ff0000ff)\n           94 00 01 aa 64 72 61 77";
    assert!(errors.contains(call), "{errors}");
    assert!(errors.contains("bytes more\n"), "{errors}");
}

/// The reader of standard error reads neither the trace nor the diagnosis.
#[test]
fn what_nobody_reads_does_not_stop_the_program() {
    let options = Options { listen: "127.0.0.1:0".into(), present: Present::None, ..Options::default() };
    with_display(options, |own| {
        let (_reader, writer) = full_pipe();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "program", "--ignored"]).env("DRAW_DISPLAY", own.address().to_string());
        command.env("DRAW_DEBUG", "full").env("DRAW_DOCTOR", "1").stdin(Stdio::null());
        let mut child = command.stdout(Stdio::null()).stderr(writer).spawn().unwrap();
        let (end, ended) = std::sync::mpsc::channel();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        std::thread::spawn(move || {
            let status = loop {
                match child.try_wait().unwrap() {
                    Some(status) => break Some(status),
                    None if stopped.recv_timeout(Duration::from_millis(5))
                        == Err(RecvTimeoutError::Timeout) => {}
                    None => break None,
                }
            };
            _ = child.kill();
            _ = end.send(status);
        });
        let status = ended.recv_timeout(DEADLINE);
        drop(stop);
        assert!(status.expect("the program ends").unwrap().success());
    })
    .unwrap();
}

#[test]
fn nothing_is_printed_unless_it_is_asked_for() {
    for setting in [None, Some(""), Some("0")] {
        assert_eq!(errors(setting), "");
    }
    assert_eq!(
        errors(Some("yes")),
        "DRAW_DEBUG=\"yes\" is not a valid value: 1 prints a line for each message, full also its bytes, 0 nothing\n"
    );
}
