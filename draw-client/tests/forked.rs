//! A program that forks with a connected display: every call of the child fails at once with the advice to connect by
//! itself, and the parent continues undisturbed.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::TestServer;
use common::program::{self, said};
use draw_client::blocking::{self, Pipeline};
use draw_client::{Color, ConnectOptions, DisconnectReason, Display, Error, Result};
use fork::Fork;
use std::cell::RefCell;
use std::time::{Duration, Instant};

const TEST: &str = "a_child_is_told_and_the_parent_goes_on";
/// The number of calls that parent and child make at the same time.
const CALLS: i32 = 300;

/// Forks, and runs `child` and `parent`. The child exits at once, without the end of the test; the parent checks its
/// status.
fn both(child: impl FnOnce(), parent: impl FnOnce()) {
    match fork::fork().unwrap() {
        Fork::Child => {
            child();
            std::process::exit(0);
        }
        Fork::Parent(pid) => {
            parent();
            let status = fork::waitpid(pid).unwrap();
            assert_eq!(status, 0, "the child has ended well");
        }
    }
}

/// Checks that the call failed in the child, with the advice.
fn assert_told<T>(result: Result<T>) {
    let error = result.err().expect("a call in the child");
    assert!(matches!(error, Error::Disconnected { reason: DisconnectReason::Forked { .. }, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("connected this display, but process "), "{text}");
    assert!(text.contains("call `connect` in the process that draws"), "{text}");
}

fn soon(what: &str, since: Instant) {
    assert!(since.elapsed() < Duration::from_secs(2), "{what} took {:?}", since.elapsed());
}

fn child_connects_itself(address: &str) {
    let own = blocking::Display::connect(address).unwrap();
    own.draw_pixel(0, 1, Color::BLUE).unwrap();
    own.close().unwrap();
}

fn synchronous(address: &str) {
    let display = blocking::Display::connect(address).unwrap();
    display.draw_pixel(0, 0, Color::RED).unwrap();
    both(
        || {
            let began = Instant::now();
            let clone = display.clone();
            (0..CALLS).for_each(|x| assert_told(clone.draw_pixel(x % 64, 5, Color::BLUE)));
            assert_told(clone.close());
            assert_told(clone.pipelined());
            soon("the child", began);
            child_connects_itself(address);
        },
        || {
            for x in 0..CALLS {
                display.draw_pixel(x % 64, 6, Color::RED).unwrap();
                assert_eq!(display.get_pixel(x % 64, 6).unwrap(), Color::RED);
            }
            display.close().unwrap();
        },
    );
}

/// Forks after a `sync`, or, if `is_busy`, right after a loop of calls, which share one check of the process.
fn pipeline(address: &str, is_busy: bool) {
    let display = ConnectOptions::new().timeout(Duration::from_secs(3)).connect_pipeline(address).unwrap();
    let held = display.draw_pixel(0, 0, Color::RED).unwrap().into_owned();
    if is_busy {
        (0..3_005).for_each(|i| _ = display.add_pixel(1, 1, i).unwrap());
    } else {
        display.sync().unwrap();
    }
    let both_have = RefCell::new(Some((display, held)));
    both(
        || {
            let (display, held) = both_have.take().unwrap();
            let began = Instant::now();
            assert_told(display.sync());
            assert_told(display.draw_pixel(1, 5, Color::BLUE));
            assert_told(display.get_mouse());
            assert_told(held.wait());
            assert_told(display.close());
            let scope = display.scope("legend").on_error(|_| {});
            assert_told(scope.clear(Color::BLUE));
            drop(scope);
            drop(display);
            soon("the child", began);
            child_connects_itself(address);
        },
        || {
            let (display, held) = both_have.take().unwrap();
            held.wait().unwrap();
            for x in 0..CALLS {
                display.draw_pixel(x % 64, 6, Color::RED).unwrap();
            }
            display.sync().unwrap();
            display.close().unwrap();
        },
    );
}

/// The child makes `calls` calls and drops the display, right after a loop of the parent, whose calls share one check
/// of the process. Accepted calls are reported by an error or, if there are few, on standard error.
fn dropped(address: &str, calls: i32) {
    let display = Pipeline::connect(address).unwrap();
    (0..4_000).for_each(|x| _ = display.draw_pixel(x % 64, 7, Color::RED).unwrap());
    let both_have = RefCell::new(Some(display));
    both(
        || {
            let display = both_have.take().unwrap();
            let accepted = (0..calls).filter(|&x| display.draw_pixel(x, 5, Color::BLUE).is_ok()).count();
            assert!(accepted < 8, "{accepted} calls were accepted");
            drop(display);
            println!("accepted {accepted} of {calls}");
        },
        || {
            let display = both_have.take().unwrap();
            display.sync().unwrap();
            display.close().unwrap();
        },
    );
}

fn asynchronous(address: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let display = Display::connect(address).await.unwrap();
        display.draw_pixel(0, 0, Color::RED).await.unwrap();
        display.sync().await.unwrap();
        let held = display.draw_pixel(0, 0, Color::RED).await.unwrap();
        match fork::fork().unwrap() {
            Fork::Child => {
                let began = Instant::now();
                assert_told(display.draw_pixel(1, 5, Color::BLUE).await);
                assert_told(display.sync().await);
                assert_told(held.await);
                assert_told(display.close().await);
                drop(display);
                soon("the child", began);
                // The runtime ends as usual and drops the child's part of the connection.
            }
            Fork::Parent(pid) => {
                assert_eq!(fork::waitpid(pid).unwrap(), 0, "the child has ended well");
                held.await.unwrap();
                for x in 0..CALLS {
                    display.draw_pixel(x % 64, 6, Color::RED).await.unwrap();
                }
                display.sync().await.unwrap();
                display.close().await.unwrap();
            }
        }
    });
}

#[test]
fn a_child_is_told_and_the_parent_goes_on() {
    if let Some((role, address)) = program::role() {
        return match role.as_str() {
            "synchronous" => synchronous(&address),
            "pipeline" => pipeline(&address, false),
            "busy pipeline" => pipeline(&address, true),
            "dropped" => dropped(&address, 20),
            "dropped at once" => dropped(&address, 3),
            _ => asynchronous(&address),
        };
    }
    for role in ["synchronous", "pipeline", "busy pipeline", "dropped", "dropped at once", "asynchronous"] {
        for turn in 0..10 {
            let server = TestServer::start(64, 48);
            let output = program::run(TEST, role, &server.address);
            let (said, complained) = said(&output);
            assert!(output.status.success(), "{role}, turn {turn}: {said}{complained}");
            assert!(
                !said.contains("panicked") && !complained.contains("panicked"),
                "{role}: {said}{complained}"
            );
            assert!(
                (0..48).all(|x| server.shown(x, 5) == Color::BLACK),
                "{role}: the child has drawn nothing"
            );
            let row = if role.starts_with("dropped") { 7 } else { 6 };
            assert!((0..64).all(|x| server.shown(x, row) == Color::RED), "{role}: the parent has drawn all");
            let is_told = complained.contains(" calls that it made were not drawn");
            if said.contains("accepted 3 of 3") {
                assert!(is_told, "{said}{complained}");
            } else if role != "dropped at once" {
                assert!(!complained.contains("draw-client: "), "{role}: {complained}");
            }
        }
    }
}
