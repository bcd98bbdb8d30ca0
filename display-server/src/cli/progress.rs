//! How far long work is.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};
use tracing::info;

/// Work that is done sooner is not spoken of.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often the log says how far it is.
const LINE: Duration = Duration::from_secs(5);

/// A bar on standard error if that is a terminal, else a line of the log now and then, for work of some seconds.
pub(crate) struct Bar {
    name: &'static str,
    began: Instant,
    /// When the next line of the log is due.
    due: Instant,
    shown: Option<ProgressBar>,
}

impl Bar {
    pub(crate) fn new(name: &'static str) -> Bar {
        let began = Instant::now();
        Bar { name, began, due: began + PATIENCE, shown: None }
    }

    /// So many bytes of so many are done.
    pub(crate) fn set(&mut self, done: u64, total: u64) {
        let now = Instant::now();
        if let Some(bar) = &self.shown {
            bar.set_position(done);
        } else if now >= self.due && stderr().is_terminal() {
            let bar = ProgressBar::new(total)
                .with_style(style())
                .with_prefix(self.name)
                .with_elapsed(now - self.began);
            bar.set_position(done);
            self.shown = Some(bar);
        } else if now >= self.due {
            self.due = now + LINE;
            info!("{}: {done} of {total} bytes", self.name);
        }
    }
}

fn style() -> ProgressStyle {
    let template = "{prefix} {wide_bar} {binary_bytes}/{binary_total_bytes}, {elapsed} gone, {eta} to go";
    ProgressStyle::with_template(template).expect("a template that the tests have seen")
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
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

    #[test]
    fn short_work_shows_nothing() {
        let mut bar = Bar::new("reading");
        bar.set(1, 2);
        assert!(bar.shown.is_none());
    }
}
