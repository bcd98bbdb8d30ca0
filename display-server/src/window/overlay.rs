//! What a window says itself, over the picture: how its display is doing, a message, and how to connect while nothing was
//! drawn.
//!
//! It consists of window pixels, which the presenters put over the picture. The display does not have them: they are in no
//! snapshot, and no call reads them. Without anything to say it costs nothing, and wakes nothing.

mod panel;
mod text;

pub(super) use panel::Panel;
pub(super) use text::Facts;

use super::shortcuts;
use draw_protocol::Size;
use panel::Place;
use std::time::{Duration, Instant};
use text::Rates;

/// How often the figures change while they are visible.
const TICK: Duration = Duration::from_secs(1);
/// How long a message stays.
const MESSAGE: Duration = Duration::from_secs(5);
/// How long a window waits for the first drawing call before it says how to connect. A program that opens the display itself
/// draws sooner than this.
const HINT: Duration = Duration::from_millis(500);

/// The rectangles that lie over a picture. Later ones lie over earlier ones.
#[derive(Debug, Default)]
pub(super) struct Panels {
    pub(super) list: Vec<Panel>,
    /// A number that changes whenever they do. 0 before there were any.
    pub(super) generation: u64,
}

/// The overlay of a window.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    /// The figures, while they are visible.
    figures: Option<Figures>,
    /// A message, and until when it is shown.
    message: Option<(String, Instant)>,
    /// From when on the window says how to connect. `None` if something was drawn.
    hint: Option<Instant>,
    /// Whether the last panels have the hint.
    has_hint: bool,
    /// The window that the panels are made for, and its zoom.
    made_for: Option<(Size, u32)>,
    /// Something to say has changed since the panels were made.
    is_stale: bool,
    panels: Panels,
}

/// The figures that F1 shows.
#[derive(Debug)]
struct Figures {
    /// When they change next.
    next: Instant,
    /// When the calls and frames were last counted, and how many there were.
    counted: Option<(Instant, u64, u64)>,
    rates: Option<Rates>,
}

impl Overlay {
    /// Shows the figures, or hides them.
    pub(super) fn toggle(&mut self, now: Instant) {
        self.figures = match self.figures {
            Some(_) => None,
            None => Some(Figures { next: now, counted: None, rates: None }),
        };
        self.is_stale = true;
    }

    /// Shows a message for a few seconds, in place of the one before.
    pub(super) fn say(&mut self, message: String, now: Instant) {
        self.message = Some((message, now + MESSAGE));
        self.is_stale = true;
    }

    /// Notes that nothing has been drawn on the display yet.
    pub(super) fn is_blank(&mut self, now: Instant) {
        self.hint = Some(now + HINT);
    }

    /// Notes that something was drawn.
    pub(super) fn drawn(&mut self) {
        self.hint = None;
        self.is_stale |= self.has_hint;
    }

    /// Returns when the panels change by themselves; `None` if they do not.
    pub(super) fn next(&self) -> Option<Instant> {
        let message = self.message.as_ref().map(|&(_, until)| until);
        let figures = self.figures.as_ref().map(|figures| figures.next);
        [self.hint.filter(|_| !self.has_hint), message, figures].into_iter().flatten().min()
    }

    /// Returns whether the panels must be made again.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.is_stale || self.next().is_some_and(|next| next <= now)
    }

    /// Makes the panels for a window whose scale factor is `zoom`. Returns whether they have changed.
    pub(super) fn update(&mut self, now: Instant, facts: &Facts<'_>, window: Size, zoom: u32) -> bool {
        let made_for = Some((window, zoom));
        let is_resized = self.made_for != made_for && !self.panels.list.is_empty();
        if !self.is_due(now) && !is_resized {
            return false;
        }
        self.is_stale = false;
        self.made_for = made_for;
        self.message.take_if(|(_, until)| *until <= now);
        self.has_hint = self.hint.is_some_and(|from| from <= now);
        let mut list = Vec::new();
        let mut add = |lines: &[String], place| list.extend(Panel::new(lines, place, window, zoom));
        let keys = shortcuts::keys(facts.is_anyone_listening);
        if self.has_hint {
            let key = keys.first().map_or("", |(key, _)| key);
            add(&text::hint(facts.address, key), Place::Middle);
        }
        if let Some(figures) = &mut self.figures {
            figures.count(now, facts);
            add(&text::overlay(facts, figures.rates, keys), Place::TopLeft);
        }
        if let Some((message, _)) = &self.message {
            add(std::slice::from_ref(message), Place::Bottom);
        }
        let is_changed = list != self.panels.list;
        self.panels.list = list;
        self.panels.generation += u64::from(is_changed);
        is_changed
    }

    /// Returns what lies over the picture.
    pub(super) fn panels(&self) -> &Panels {
        &self.panels
    }
}

impl Figures {
    /// Counts calls and frames, if it is time to.
    fn count(&mut self, now: Instant, facts: &Facts<'_>) {
        if now < self.next {
            return;
        }
        if let Some((since, calls, frames)) = self.counted {
            let seconds = (now - since).as_secs_f64().max(f64::MIN_POSITIVE);
            let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
            self.rates = Some(Rates { calls: rate(facts.calls, calls), frames: rate(facts.frames, frames) });
        }
        self.counted = Some((now, facts.calls, facts.frames));
        self.next = now + TICK;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::layout::Layout;

    const WINDOW: Size = Size { width: 640, height: 480 };
    const SECOND: Duration = Duration::from_secs(1);

    /// An overlay, and what it is told.
    struct Scene {
        overlay: Overlay,
        layout: Layout,
        calls: u64,
        start: Instant,
    }

    impl Scene {
        fn new() -> Scene {
            let layout = Layout::new(WINDOW, WINDOW);
            Scene { overlay: Overlay::default(), layout, calls: 0, start: Instant::now() }
        }

        /// Updates at this many milliseconds after the start. Returns whether the panels have changed.
        fn update(&mut self, millis: u64, window: Size) -> bool {
            let facts = Facts {
                address: "127.0.0.1:3729",
                clients: 0,
                calls: self.calls,
                frames: 0,
                layout: &self.layout,
                is_anyone_listening: false,
            };
            self.overlay.update(self.at(millis), &facts, window, 1)
        }

        fn at(&self, millis: u64) -> Instant {
            self.start + Duration::from_millis(millis)
        }

        fn count(&self) -> usize {
            self.overlay.panels().list.len()
        }
    }

    #[test]
    fn with_nothing_to_say_nothing_is_due_and_nothing_changes() {
        let mut scene = Scene::new();
        for millis in [0, 1000, 100_000] {
            assert!(!scene.overlay.is_due(scene.at(millis)) && scene.overlay.next().is_none());
            assert!(!scene.update(millis, WINDOW));
        }
        assert!(!scene.update(0, Size { width: 9, height: 9 }), "a resized window has nothing to say either");
        assert_eq!((scene.count(), scene.overlay.panels().generation), (0, 0));
    }

    #[test]
    fn the_figures_change_once_a_second_until_they_are_hidden() {
        let mut scene = Scene::new();
        scene.overlay.toggle(scene.start);
        assert!(scene.update(0, WINDOW));
        assert_eq!(scene.overlay.next(), Some(scene.at(1000)));
        scene.calls = 500;
        assert!(!scene.overlay.is_due(scene.at(999)) && !scene.update(999, WINDOW));
        assert!(scene.overlay.is_due(scene.at(1000)) && scene.update(1000, WINDOW));
        let rates = scene.overlay.figures.as_ref().and_then(|figures| figures.rates);
        assert_eq!(rates, Some(Rates { calls: 500.0, frames: 0.0 }));
        // The same figures are the same panel.
        scene.calls = 1000;
        assert!(!scene.update(2000, WINDOW));
        assert_eq!(scene.overlay.panels().generation, 2);
        scene.overlay.toggle(scene.at(2100));
        assert!(scene.overlay.is_due(scene.at(2100)) && scene.update(2100, WINDOW));
        assert_eq!((scene.count(), scene.overlay.next()), (0, None));
        assert_eq!(scene.overlay.panels().generation, 3, "without panels it is a new generation too");
    }

    #[test]
    fn a_blank_display_says_how_to_connect_until_something_is_drawn() {
        let mut scene = Scene::new();
        scene.overlay.is_blank(scene.start);
        assert_eq!(scene.overlay.next(), Some(scene.start + HINT));
        assert!(!scene.update(499, WINDOW));
        assert!(scene.overlay.is_due(scene.at(500)) && scene.update(500, WINDOW));
        assert_eq!((scene.count(), scene.overlay.next()), (1, None));
        assert!(!scene.overlay.is_due(scene.at(900_000)), "it wakes nothing while it is shown");
        scene.overlay.drawn();
        assert!(scene.overlay.is_due(scene.at(600)) && scene.update(600, WINDOW));
        assert_eq!((scene.count(), scene.overlay.next()), (0, None));
    }

    #[test]
    fn a_display_that_is_drawn_on_at_once_never_shows_the_hint() {
        let mut scene = Scene::new();
        scene.overlay.is_blank(scene.start);
        scene.overlay.drawn();
        assert!(scene.overlay.next().is_none() && !scene.overlay.is_due(scene.at(9000)));
        assert!(!scene.update(9000, WINDOW));
    }

    #[test]
    fn a_message_takes_the_place_of_the_one_before_and_goes_by_itself() {
        let mut scene = Scene::new();
        scene.overlay.say("saving the picture".to_owned(), scene.start);
        assert!(scene.overlay.is_due(scene.start) && scene.update(0, WINDOW));
        scene.overlay.say("saved it".to_owned(), scene.at(1000));
        assert!(scene.update(1000, WINDOW));
        assert_eq!((scene.count(), scene.overlay.next()), (1, Some(scene.at(1000) + MESSAGE)));
        assert!(!scene.update(5999, WINDOW));
        assert!(scene.update(6000, WINDOW));
        assert_eq!((scene.count(), scene.overlay.next()), (0, None));
    }

    #[test]
    fn a_resized_window_has_its_panels_made_again() {
        let mut scene = Scene::new();
        scene.overlay.toggle(scene.start);
        assert!(scene.update(0, WINDOW));
        assert!(scene.update(1, Size { width: 20, height: 480 }));
        assert_eq!(scene.count(), 0, "there is no room");
        assert!(scene.update(1000, WINDOW));
        assert_eq!((scene.count(), SECOND), (1, TICK));
    }
}
