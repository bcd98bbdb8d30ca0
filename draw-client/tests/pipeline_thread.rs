//! The thread of a pipeline, observed from outside: it is idle during a single call, and ends with its connection. The
//! test is separate from others, whose threads have the same name.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::DEADLINE;
use common::peer::listen;
use draw_client::Color;
use draw_client::blocking::Pipeline;
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Instant;

/// Returns the threads of this process that run a pipeline.
fn threads() -> Vec<PathBuf> {
    let all = fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "draw-pipeline"))
        .collect()
}

/// Waits until a condition holds.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < DEADLINE, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn it_leaves_a_lone_call_to_the_caller_and_ends_with_the_connection() {
    let (tell, told) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let address = listen(move |mut stream, _| {
        tell.send(stream.read(&mut [0; 1000]).unwrap()).unwrap();
        wait.recv().unwrap();
    });
    let display = Pipeline::connect(&address).unwrap();
    let [thread] = &threads()[..] else { panic!("one pipeline has one thread") };
    let looked = || {
        let status = fs::read_to_string(thread.join("status")).unwrap();
        let lines =
            status.lines().filter(|line| line.starts_with("State:") || line.contains("ctxt_switches"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let mut before = looked();
    until("the thread waits", || {
        let last = std::mem::replace(&mut before, looked());
        before[0].contains("S (sleeping)") && before == last
    });
    display.draw_pixel(1, 1, Color::RED).unwrap();
    assert!(told.recv_timeout(DEADLINE).unwrap() > 0, "the display has read it");
    assert_eq!(looked(), before, "the thread has not run");

    go.send(()).unwrap();
    drop(display);
    until("the thread ends", || threads().is_empty());
}
