//! Forks, and forks of forks. A program of its own, since a process can be forked as a whole only.
#![cfg(unix)]

use fork::{Fork, fork, waitpid};

/// Runs `child` in a forked process, and returns whether it ended well there.
fn ends_well(child: impl FnOnce() -> bool) -> bool {
    match fork().expect("the system forks") {
        Fork::Child => std::process::exit(if child() { 0 } else { 1 }),
        Fork::Parent(pid) => waitpid(pid).is_ok_and(|status| status == 0),
    }
}

#[test]
fn each_fork_is_counted_in_the_child_alone() {
    assert!(draw_forks::watch() && draw_forks::watch());
    assert_eq!(draw_forks::count(), 0);
    assert!(ends_well(|| draw_forks::count() == 1
        && ends_well(|| draw_forks::count() == 2)
        && draw_forks::count() == 1));
    assert_eq!(draw_forks::count(), 0);
}
