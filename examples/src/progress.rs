//! A progress bar for work that turns out to be long.

use indicatif::{ProgressBar, ProgressStyle};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Work that is done sooner needs no bar.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often the bar looks at the count.
const TICK: Duration = Duration::from_millis(100);

/// A bar on standard error, if that is a terminal, from two seconds after the start until it is dropped.
#[derive(Debug)]
pub struct Bar {
    /// Dropped to say that the work is done.
    done: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Bar {
    /// Watches `count` go from 0 to `total`.
    pub fn start(name: &str, total: u64, count: Arc<AtomicU64>) -> Bar {
        let (done, wait) = channel();
        let name = name.to_owned();
        let thread = std::thread::Builder::new()
            .name("progress".into())
            .spawn(move || watch(name, total, &count, &wait));
        // Without a thread there is no bar; the work goes on.
        Bar { done: Some(done), thread: thread.ok() }
    }
}

fn watch(name: String, total: u64, count: &AtomicU64, done: &Receiver<()>) {
    if done.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
        return;
    }
    let style = ProgressStyle::with_template(
        "{prefix:5} {wide_bar} {human_pos}/{human_len}, {elapsed} gone, {eta} to go",
    );
    let bar = ProgressBar::new(total)
        .with_style(style.expect("a template that the tests have seen"))
        .with_prefix(name);
    while done.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
        bar.set_position(count.load(Relaxed));
    }
    bar.finish_and_clear();
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.done = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_appears_and_goes() {
        // Straight to the bar: its patience is over. Standard error of a test is no terminal, so nothing is seen, but
        // the template is read and the count followed to the end.
        let (done, wait) = channel();
        let count = Arc::new(AtomicU64::new(3));
        let thread = std::thread::spawn(move || watch("sync".into(), 10, &count, &wait));
        std::thread::sleep(PATIENCE + 2 * TICK);
        assert!(!thread.is_finished());
        drop(done);
        thread.join().unwrap();
    }
}
