//! Runs `circle --timeline` as a user does, and checks that the arrows are the messages that crossed the wire.
#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

use display_server::{Options, Present, with_display};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// Returns a command for the example, which cargo builds before it runs the tests of this package.
fn circle() -> Command {
    let deps = std::env::current_exe().unwrap();
    let path = deps.parent().and_then(|deps| deps.parent()).unwrap().join("examples/circle");
    assert!(path.exists(), "{} is not built: cargo build -p draw-examples --examples", path.display());
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).env_remove("DRAW_DEBUG").env_remove("DRAW_DISPLAY");
    command
}

/// Returns an empty directory of one test.
fn directory(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

fn on_display<T: Send>(work: impl FnOnce(SocketAddr) -> T + Send) -> T {
    let options = Options { listen: "127.0.0.1:0".into(), present: Present::None, ..Options::default() };
    with_display(options, |own| work(own.address())).unwrap()
}

/// Draws with these arguments on a new display. Returns the content of the file and the output.
fn drawn(name: &str, file: &str, arguments: &[&str]) -> (String, Output) {
    let path = directory(name).join(file);
    let output = on_display(|address| {
        let mut command = circle();
        command.args(["--display", &address.to_string(), "--timeline"]).arg(&path).args(arguments);
        command.env("DRAW_DEBUG", "1").output().unwrap()
    });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else is left there");
    (fs::read_to_string(path).unwrap(), output)
}

/// Returns the text between the beginning and the end of a group.
fn group<'a>(svg: &'a str, id: &str) -> &'a str {
    let (_, rest) = svg.split_once(&format!("<g id=\"{id}\">")).unwrap_or_else(|| panic!("no {id}:\n{svg}"));
    rest.split_once("</g>").unwrap().0
}

/// One arrow: its message, and the times of sending and arrival in milliseconds.
struct Arrow<'a> {
    text: &'a str,
    sent: f64,
    arrived: f64,
}

fn arrows<'a>(group: &'a str, class: &str) -> Vec<Arrow<'a>> {
    let start = format!("<path class=\"arrow {class}\" ");
    let lines = group.lines().filter(|line| line.starts_with(&start));
    let read = |line: &'a str| {
        let title = line.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>")).unwrap().0;
        let (text, times) = title.rsplit_once(": sent at ").unwrap();
        let (sent, rest) = times.split_once(" ms, arrived at ").unwrap();
        let arrived = rest.split_once(" ms, ").unwrap().0;
        Arrow { text, sent: sent.parse().unwrap(), arrived: arrived.parse().unwrap() }
    };
    lines.map(read).collect()
}

/// Returns the number of requests and answers of each connection, as the client printed them, without the greeting and
/// the end.
fn wire(output: &Output) -> Vec<[usize; 2]> {
    let mut connections = BTreeMap::<u32, [usize; 2]>::new();
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        let mut words = line.split_whitespace().skip(1);
        let number = words.next().unwrap().trim_start_matches('#').parse().unwrap();
        let (direction, rest) = (words.next().unwrap(), words.collect::<Vec<_>>().join(" "));
        let is_call = rest != "end"
            && rest != "notification end()"
            && !rest.contains(" hello")
            && !rest.starts_with("notification confirm(");
        let is_message = direction != "--" && is_call;
        let counts = connections.entry(number).or_default();
        counts[usize::from(direction == "<-")] += usize::from(is_message);
    }
    connections.into_values().collect()
}

#[test]
fn every_message_of_a_small_circle_is_an_arrow() {
    let (svg, output) = drawn("small", "a.svg", &["--diameter", "6", "--rtt", "4ms"]);
    // The connections that test the display, that read the picture, and the three that draw.
    let [_, _, sync, asynchronous, batch] = wire(&output)[..] else { panic!("{output:?}") };
    assert_eq!((sync, batch), ([32, 32], [1, 1]));
    for (name, counts) in [("sync", sync), ("async", asynchronous), ("batch", batch)] {
        let whole = group(&svg, &format!("whole-{name}"));
        let (requests, answers) = (arrows(whole, "request"), arrows(whole, "answer"));
        assert_eq!([requests.len(), answers.len()], counts, "{name}");
        for arrow in requests.iter().chain(&answers) {
            assert!(arrow.arrived - arrow.sent >= 1.999, "{name}: half a round trip is 2 ms");
        }
        // The last answer is to the last request.
        assert!(answers.last().unwrap().sent >= requests.last().unwrap().arrived);
    }
    let whole = group(&svg, "whole-sync");
    let (requests, answers) = (arrows(whole, "request"), arrows(whole, "answer"));
    assert!(requests.iter().all(|request| request.text.starts_with("draw_pixel(")));
    assert!(requests.iter().zip(&answers).all(|(request, answer)| request.arrived <= answer.sent));
    assert!(requests[1..].iter().zip(&answers).all(|(request, answer)| request.sent >= answer.arrived));

    // However the calls are grouped, there are 32 and a sync.
    let carried = |request: &Arrow<'_>| match request.text.split_once(" draw_pixel as one draw_pixels") {
        Some((calls, _)) => calls.parse().unwrap(),
        None => 1,
    };
    let requests = arrows(group(&svg, "whole-async"), "request");
    assert_eq!(requests.iter().map(carried).sum::<u32>(), 33);
    assert_eq!(requests.last().unwrap().text, "sync()");
    assert!(svg.contains("Measured by a relay in the same process"));
}

#[test]
fn a_large_circle_is_a_small_file() {
    for file in ["a.svg", "a.html"] {
        let (text, _) = drawn(&format!("large-{file}"), file, &[]);
        assert!(text.len() < 300_000, "{} bytes", text.len());
        assert!(text.contains(">7,860 requests, 7,860 answers; about 1 in "));
        assert!(text.contains("sync: 7,860 draw_pixel; 7,860 requests of "));
        assert_eq!(text.starts_with("<!DOCTYPE html>"), file == "a.html");
        let without = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!without.contains("http"), "it needs nothing from elsewhere");
    }
}

#[test]
fn one_mode_is_one_panel() {
    for mode in ["sync", "async", "batch"] {
        let (svg, _) = drawn(mode, "a.svg", &["--mode", mode, "--diameter", "5", "--rtt", "2ms"]);
        let whole: Vec<_> = svg.lines().filter(|line| line.starts_with("<g id=\"whole-")).collect();
        assert_eq!(whole, [format!("<g id=\"whole-{mode}\">")]);
        assert!(!arrows(group(&svg, &format!("whole-{mode}")), "answer").is_empty());
    }
}

#[test]
fn what_cannot_be_written_is_said_before_anything_is_drawn() {
    let directory = directory("errors");
    let told = |file: &str| {
        // No display listens there: connecting gives another error.
        let output =
            circle().args(["--display", "127.0.0.1:1", "--timeline"]).arg(directory.join(file)).output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (status, says) = told("a.png");
    assert!(status == Some(2) && says.contains("must end in .svg for a picture or in .html"), "{says}");
    let (status, says) = told("missing/a.svg");
    let expected = "circle: cannot write the timeline to ";
    assert!(
        status == Some(1)
            && says.starts_with(expected)
            && says.contains("missing/a.svg (No such file or directory"),
        "{says}"
    );
    let (status, says) = told("a.svg");
    assert!(status == Some(1) && !says.contains("timeline"), "this one could be written: {says}");
    assert_eq!(fs::read_dir(directory).unwrap().count(), 0);
}

#[test]
fn ctrl_c_leaves_the_file_that_was_there() {
    let directory = directory("interrupted");
    let file = directory.join("a.svg");
    fs::write(&file, "the one before").unwrap();
    on_display(|address| {
        let mut command = circle();
        command.args(["--display", &address.to_string(), "--rtt", "100ms", "--timeline"]).arg(&file);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        // The heading of the table: after it the example draws, for a quarter of an hour.
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().starts_with("mode ")));
        let pressed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(pressed.success());
        assert_eq!(child.wait().unwrap().code(), Some(130));
    });
    assert_eq!(fs::read_to_string(file).unwrap(), "the one before");
    assert_eq!(fs::read_dir(directory).unwrap().count(), 1);
}
