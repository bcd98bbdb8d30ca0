//! Late errors that the program can no longer take are printed, once. Errors that were reported are not.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::TestServer;
use common::program::{self, said};
use draw_client::{Color, ConnectOptions};
use std::io::Write;
use std::sync::mpsc;

const TEST: &str = "errors_that_were_not_reported_are_printed_once_and_others_are_not";

/// Makes eleven calls that fail, and ends the pipeline in the way that `role` names.
fn pipeline(role: &str, address: &str) {
    let options = ConnectOptions::new();
    let (tell, _told) = mpsc::channel();
    let options =
        if role == "callback" { options.on_error(move |late| tell.send(late).unwrap()) } else { options };
    let display = options.connect_pipeline(address).unwrap();
    let mut kept = Vec::new();
    for y in 0..11 {
        let reply = display.draw_pixel(64, y, Color::RED).unwrap();
        match role {
            "ignored" => reply.ignore(),
            "waited" => assert!(reply.wait().is_err()),
            "kept" | "kept and waited" => kept.push(reply.into_owned()),
            _ => {}
        }
    }
    match role {
        "sync" => assert!(display.sync().is_err()),
        "close" => _ = display.close(),
        "panic" => panic!("as a test"),
        "scope" => _ = display.scope("legend").draw_pixel(64, 0, Color::RED).unwrap().into_owned(),
        _ => {}
    }
    drop(display);
    if role == "kept and waited" {
        kept.drain(..).for_each(|reply| assert!(reply.wait().is_err()));
    }
}

/// Draws on an asynchronous display without closing it, except for the role "asynchronous and closed".
fn asynchronous(role: &str, address: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = ConnectOptions::new();
        let options = if role == "asynchronous with a callback" {
            options.on_error(|late| eprintln!("heard of {}", late.total()))
        } else {
            options
        };
        let display = options.connect(address).await.unwrap();
        for x in 0..640 {
            display.draw_pixel(x % 64, x / 64, Color::RED).await.unwrap();
        }
        if role == "asynchronous and closed" {
            display.close().await.unwrap();
        }
    });
}

#[test]
fn errors_that_were_not_reported_are_printed_once_and_others_are_not() {
    if let Some((role, address)) = program::role() {
        return if role.starts_with("asynchronous") {
            asynchronous(&role, &address);
        } else {
            pipeline(&role, &address);
        };
    }
    let server = TestServer::start(64, 48);
    let run = |role| {
        let output = program::run(TEST, role, &server.address);
        let (_, complained) = said(&output);
        (output.status.success(), complained)
    };
    let here = "draw-client/tests/not_reported.rs:";
    for (role, calls) in [("dropped", 11), ("panic", 11), ("kept", 11), ("scope", 12)] {
        let (is_success, complained) = run(role);
        assert_eq!(is_success, role != "panic", "{role}: {complained}");
        let first = format!("draw-client: {calls} calls failed and were not reported: the first: {here}");
        assert_eq!(complained.matches(&first).count(), 1, "{role}: {complained}");
        assert_eq!(complained.matches("not reported").count(), 1, "{role}: {complained}");
        let call = " draw_pixel(64, 0, #ff0000ff): out of bounds: the display is 64x48; not drawn (";
        assert!(complained.contains(call), "{role}: {complained}");
        assert!(
            complained.contains("set `on_error` of `ConnectOptions`, or call `sync` or `close`"),
            "{complained}"
        );
    }
    for role in
        ["callback", "ignored", "waited", "kept and waited", "sync", "close", "asynchronous and closed"]
    {
        let (is_success, complained) = run(role);
        assert!(is_success && !complained.contains("draw-client: "), "{role}: {complained}");
    }

    // After the end of the runtime nothing is sent: accepted calls are lost, and reported.
    let (is_success, complained) = run("asynchronous");
    let told = complained.split_once("draw-client: ").unwrap().1;
    let calls: u64 = told.split_once(' ').unwrap().0.parse().unwrap();
    assert!(is_success && (639..=640).contains(&calls), "{complained}");
    assert!(told.contains(" calls failed and were not reported") && told.contains(here), "{complained}");
    assert!(told.contains("call `close().await` before the runtime ends"), "{complained}");
    let (is_success, complained) = run("asynchronous with a callback");
    assert!(is_success && !complained.contains("draw-client: "), "{complained}");
    let heard = complained.lines().filter_map(|line| line.split_once("heard of ")?.1.parse::<u64>().ok());
    assert!((639..=640).contains(&heard.sum::<u64>()), "{complained}");
}

/// Standard error as a stopped terminal or a full pipe has it.
#[cfg(unix)]
#[test]
fn a_standard_error_that_takes_nothing_holds_up_no_program() {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    let server = TestServer::start(64, 48);
    let (mut full, _unread) = UnixStream::pair().unwrap();
    full.set_nonblocking(true).unwrap();
    while full.write(&[b'x'; 4096]).is_ok() {}
    while full.write(b"x").is_ok() {}
    full.set_nonblocking(false).unwrap();
    let mut command = program::command(TEST, "dropped", &server.address);
    command.stdout(std::process::Stdio::null()).stderr(OwnedFd::from(full));
    program::wait(command.spawn().unwrap());
}
