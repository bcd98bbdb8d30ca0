//! What a process still has after a thread has freed much memory. A program of its own, since it is about the whole process.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::sync::mpsc::channel;

/// What may be kept at the end of a heap, and a little around it.
const LIMIT: usize = 4 << 20;
const AROUND: u64 = 2 << 20;

/// Bytes of memory that this process has at present.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn what_another_thread_has_freed_at_the_end_of_its_heap_is_given_back() {
    draw_trim::limit(LIMIT);
    let (say, heard) = channel();
    let (end, until) = channel::<()>();
    let thread = std::thread::spawn(move || {
        // The largest first: what glibc keeps by default grows with it.
        drop(vec![1_u8; 20 << 20]);
        let before = resident();
        let mut buffers: Vec<_> = (0..28).map(|_| vec![1_u8; 1 << 20]).collect();
        let most = resident();
        // From the end to the beginning, so that nothing of them lies between allocations.
        while let Some(buffer) = buffers.pop() {
            drop(buffer);
        }
        say.send((before, most)).unwrap();
        until.recv().unwrap_err();
    });
    let (before, most) = heard.recv().unwrap();
    assert!(most >= before + (20 << 20), "{before} and then {most} bytes");
    draw_trim::trim();
    let left = resident();
    assert!(left <= before + LIMIT as u64 + AROUND, "{left} bytes, {before} before, {most} at most");
    drop(end);
    thread.join().unwrap();
}
