//! Shows the progress of long work.

use super::log::is_dumb;
use indicatif::{ProgressBar, ProgressStyle};
use std::borrow::Cow;
use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use tracing::info;

/// Shorter work is not reported.
const PATIENCE: Duration = Duration::from_secs(2);

/// The interval of progress lines in the log.
const LINE: Duration = Duration::from_secs(5);

/// The interval at which a bar is updated.
const TICK: Duration = Duration::from_millis(100);

/// How long to wait until the bar is removed from the terminal, which may be stopped.
const CLEAR: Duration = Duration::from_millis(200);

/// Shows a bar on standard error if that is a terminal, or lines in the log otherwise, for work of some seconds. A
/// thread draws the bar, so the work does not wait for the terminal.
pub(crate) struct Bar {
    name: Cow<'static, str>,
    began: Instant,
    /// When the next line of the log is due.
    due: Instant,
    shown: Option<Shown>,
}

/// A bar on the terminal.
struct Shown {
    done: Arc<AtomicU64>,
    /// Dropped when the work is done.
    work: Option<Sender<()>>,
    /// Notified when the bar is removed.
    cleared: Receiver<()>,
}

impl Bar {
    pub(crate) fn new(name: impl Into<Cow<'static, str>>) -> Bar {
        let began = Instant::now();
        Bar { name: name.into(), began, due: began + PATIENCE, shown: None }
    }

    /// Reports the number of bytes done, and their total.
    pub(crate) fn set(&mut self, done: u64, total: u64) {
        let now = Instant::now();
        if let Some(bar) = &self.shown {
            bar.done.store(done, Relaxed);
        } else if now >= self.due {
            self.due = now + LINE;
            if stderr().is_terminal() && !is_dumb(|name| std::env::var_os(name)) {
                let bar = ProgressBar::new(total).with_style(style()).with_prefix(self.name.clone());
                self.shown = Shown::start(bar.with_elapsed(now - self.began), done);
            } else {
                info!("{}: {done} of {total} bytes", self.name);
            }
        }
    }
}

impl Shown {
    /// Starts the bar. `None` if its thread cannot be started.
    fn start(bar: ProgressBar, done: u64) -> Option<Shown> {
        let done = Arc::new(AtomicU64::new(done));
        let ((work, is_done), (clear, cleared)) = (channel(), channel());
        let seen = Arc::clone(&done);
        let draw = move || {
            while is_done.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                bar.set_position(seen.load(Relaxed));
            }
            bar.finish_and_clear();
            _ = clear.send(());
        };
        thread::Builder::new().name("progress".into()).spawn(draw).ok()?;
        Some(Shown { done, work: Some(work), cleared })
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.work = None;
        _ = self.cleared.recv_timeout(CLEAR);
    }
}

fn style() -> ProgressStyle {
    let template = "{prefix} {wide_bar} {binary_bytes}/{binary_total_bytes}, {elapsed} gone, {eta} to go";
    ProgressStyle::with_template(template).expect("a template that the tests have seen")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_says_how_many_bytes_are_done() {
        let drawn = indicatif::InMemoryTerm::new(1, 80);
        let target = indicatif::ProgressDrawTarget::term_like(Box::new(drawn.clone()));
        let bar =
            ProgressBar::with_draw_target(Some(4 << 20), target).with_style(style()).with_prefix("reading");
        bar.set_position(1 << 20);
        bar.tick();
        let text = drawn.contents();
        assert!(text.starts_with("reading ") && text.contains("1.00 MiB/4.00 MiB, 0s gone"), "{text:?}");
    }

    /// A terminal that was stopped while a line was written to it.
    #[derive(Debug)]
    struct Stopped(std::sync::Mutex<Receiver<()>>);

    impl Stopped {
        fn wait(&self) -> std::io::Result<()> {
            _ = self.0.lock().expect("nobody panics").recv();
            Ok(())
        }
    }

    impl indicatif::TermLike for Stopped {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, _: usize) -> std::io::Result<()> {
            self.wait()
        }
        fn move_cursor_down(&self, _: usize) -> std::io::Result<()> {
            self.wait()
        }
        fn move_cursor_right(&self, _: usize) -> std::io::Result<()> {
            self.wait()
        }
        fn move_cursor_left(&self, _: usize) -> std::io::Result<()> {
            self.wait()
        }
        fn write_line(&self, _: &str) -> std::io::Result<()> {
            self.wait()
        }
        fn write_str(&self, _: &str) -> std::io::Result<()> {
            self.wait()
        }
        fn clear_line(&self) -> std::io::Result<()> {
            self.wait()
        }
        fn flush(&self) -> std::io::Result<()> {
            self.wait()
        }
    }

    #[test]
    fn a_terminal_that_is_stopped_does_not_stop_the_work() {
        let (go_on, stopped) = channel();
        let stopped = Stopped(std::sync::Mutex::new(stopped));
        let target = indicatif::ProgressDrawTarget::term_like(Box::new(stopped));
        let bar = ProgressBar::with_draw_target(Some(1_000_000), target).with_style(style());
        let shown = Shown::start(bar, 0);
        let (end, ended) = channel();
        thread::spawn(move || {
            let mut bar = Bar { shown, ..Bar::new("reading") };
            (0..1_000_000).for_each(|done| bar.set(done, 1_000_000));
            drop(bar);
            _ = end.send(());
        });
        ended.recv_timeout(Duration::from_secs(20)).expect("the work ends");
        drop(go_on);
    }

    #[test]
    fn short_work_shows_nothing() {
        let mut bar = Bar::new("reading");
        bar.set(1, 2);
        assert!(bar.shown.is_none());
    }
}
