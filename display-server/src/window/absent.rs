//! Takes the place of the windows' thread where the cargo feature `window` is off.

use super::progress::Teller;
use super::{Event, Present, Window, Windows};
use tracing::warn;

/// Wakes nothing: there is no thread.
#[derive(Debug, Default)]
pub(super) struct Waker;

impl Waker {
    #[expect(clippy::unused_self, reason = "called as the other one is")]
    pub(super) fn close(&self) {}
}

/// Logs that there is no window, and reports [`End::Failed`](super::End::Failed).
pub(super) fn start<F: FnMut(Event) + Send + 'static>(
    _: Vec<Window>,
    _: Present,
    _: &Windows,
    teller: Teller<F>,
) {
    warn!("no window, serving without one: this program was built without the cargo feature `window`");
    drop(teller);
}

#[cfg(test)]
mod tests {
    use crate::window::{End, Event, Present, Window, open};
    use crate::{Color, Display, Size};
    use std::sync::mpsc::channel;

    #[test]
    fn a_window_of_a_program_that_cannot_have_one_fails_at_once() {
        let display = Display::new(Size { width: 2, height: 2 }, Color::BLACK).unwrap();
        let (sender, events) = channel();
        let window = Window { title: "a".to_owned(), display };
        let windows = open(vec![window], Present::Auto, move |event| sender.send(event).unwrap()).unwrap();
        assert_eq!(events.try_iter().collect::<Vec<_>>(), [Event::Ended(End::Failed)]);
        windows.finish();
    }
}
