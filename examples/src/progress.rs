//! A progress bar for long work.

use indicatif::{ProgressBar, ProgressStyle};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Shorter work needs no bar.
const PATIENCE: Duration = Duration::from_secs(2);

/// The interval at which the bar reads the count.
const TICK: Duration = Duration::from_millis(100);

/// The longest time that the end waits until the bar is removed from the terminal.
const CLEAR: Duration = Duration::from_millis(200);

/// A bar on standard error, if that is a terminal, from two seconds after the start until it is dropped.
#[derive(Debug)]
pub struct Bar {
    /// Dropped when the work is done.
    done: Option<Sender<()>>,
    /// Ready when the bar is removed.
    cleared: Receiver<()>,
}

impl Bar {
    /// Watches `count` go from 0 to `total`.
    pub fn start(name: &str, total: u64, count: Arc<AtomicU64>) -> Bar {
        let ((done, wait), (clear, cleared)) = (channel(), channel());
        let name = name.to_owned();
        // Without a thread there is no bar; the work continues.
        _ = std::thread::Builder::new().name("progress".into()).spawn(move || {
            watch(name, total, &count, &wait);
            _ = clear.send(());
        });
        Bar { done: Some(done), cleared }
    }
}

fn watch(name: String, total: u64, count: &AtomicU64, done: &Receiver<()>) {
    if done.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
        return;
    }
    if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        return;
    }
    let bar = ProgressBar::new(total).with_style(style()).with_prefix(name);
    while done.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
        bar.set_position(count.load(Relaxed));
    }
    bar.finish_and_clear();
}

fn style() -> ProgressStyle {
    let template = "{prefix:5} {wide_bar} {human_pos}/{human_len}, {elapsed} gone, {eta} to go";
    ProgressStyle::with_template(template).expect("a template that the tests have seen")
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.done = None;
        // With a limit: the terminal may be stopped.
        _ = self.cleared.recv_timeout(CLEAR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_follows_the_count() {
        let drawn = indicatif::InMemoryTerm::new(1, 60);
        let bar = ProgressBar::with_draw_target(
            Some(7_860),
            indicatif::ProgressDrawTarget::term_like(Box::new(drawn.clone())),
        );
        let bar = bar.with_style(style()).with_prefix("sync");
        bar.set_position(3_930);
        bar.tick();
        let text = drawn.contents();
        assert!(text.starts_with("sync ") && text.contains("3,930/7,860, 0s gone"), "{text:?}");
    }

    #[test]
    fn work_that_is_done_soon_needs_no_bar_and_does_not_wait() {
        let count = Arc::new(AtomicU64::new(0));
        let began = std::time::Instant::now();
        drop(Bar::start("sync", 10, count));
        assert!(began.elapsed() < PATIENCE, "it ended with the work");
    }
}
