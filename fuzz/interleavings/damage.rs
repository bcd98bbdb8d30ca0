//! Tests how damage passes from drawing threads to subscribers.

#[path = "../../display-server/src/canvas/framebuffer/handoff.rs"]
mod handoff;

use super::sync::{self, spawn};
use super::{Events, explore};
use handoff::{Handoff, Subscriber};
use loom::sync::atomic::AtomicU32;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Number of damage words and of pixels: the mark of each pixel is the first bit of its word.
const PIXELS: usize = 2;

/// A minimal framebuffer.
pub(crate) struct Picture {
    pixels: [AtomicU32; PIXELS],
    damage: Arc<Handoff<PIXELS>>,
}

/// A subscriber and the pixels it has copied so far.
pub(crate) struct Presenter {
    picture: Arc<Picture>,
    subscriber: Subscriber<PIXELS>,
    /// Set by the first `show`, which finds everything damaged.
    has_shown: bool,
    shown: [u32; PIXELS],
}

impl Picture {
    pub(crate) fn new() -> Arc<Picture> {
        let pixels = std::array::from_fn(|_| AtomicU32::new(0));
        Arc::new(Picture { pixels, damage: Arc::new(Handoff::new()) })
    }

    /// Draws these pixels in one colour and publishes the damage, as a connection does after each batch.
    pub(crate) fn draw(&self, places: &[usize], color: u32) {
        let mut marked = [0; PIXELS];
        for &place in places {
            self.pixels[place].store(color, Relaxed);
            marked[place] = 1;
        }
        self.damage.publish(&mut marked);
        assert_eq!(marked, [0; PIXELS], "what was published is not published again");
    }

    pub(crate) fn subscribe(self: &Arc<Self>, wake: impl Fn() + Send + Sync + 'static) -> Presenter {
        let subscriber = self.damage.subscribe([1; PIXELS], wake);
        Presenter { picture: Arc::clone(self), subscriber, has_shown: false, shown: [0; PIXELS] }
    }
}

impl Presenter {
    /// Does what a presenter does when it is woken.
    pub(crate) fn show(&mut self) {
        let taken = self.subscriber.take();
        let is_first = !std::mem::replace(&mut self.has_shown, true);
        assert!(!is_first || taken == [1; PIXELS], "it begins with everything");
        for (place, _) in taken.iter().enumerate().filter(|(_, word)| **word != 0) {
            let color = self.picture.pixels[place].load(Relaxed);
            assert!(is_first || color != 0, "a mark was taken, and what it stands for is not there");
            self.shown[place] = color;
        }
    }

    /// Checks that nothing was lost or left over. Call it when all threads have drawn and the presenter has handled
    /// every
    /// event.
    pub(crate) fn assert_shown(&self) {
        sync::release();
        let pixels = self.picture.pixels.each_ref().map(|pixel| pixel.load(Relaxed));
        assert_eq!(self.shown, pixels, "damage was lost");
        assert_eq!(self.subscriber.take(), [0; PIXELS], "damage was left");
    }
}

/// Subscribes before anything is drawn, and shows the empty picture.
fn begin(picture: &Arc<Picture>, events: &Arc<Events>) -> Presenter {
    let wake = Arc::clone(events);
    let mut presenter = picture.subscribe(move || wake.send());
    assert!(events.next());
    presenter.show();
    presenter
}

/// Draws these batches in a new thread, which is a sender of each of `events`.
fn drawer(
    picture: &Arc<Picture>,
    batches: &'static [(&'static [usize], u32)],
    events: &[&Arc<Events>],
) -> loom::thread::JoinHandle<()> {
    let events: Vec<_> = events.iter().copied().map(Arc::clone).collect();
    let picture = Arc::clone(picture);
    spawn(move || {
        batches.iter().for_each(|&(places, color)| picture.draw(places, color));
        events.iter().for_each(|events| events.end());
    })
}

/// Shows until all drawing threads have ended.
fn present(presenter: &mut Presenter, events: &Events) {
    while events.next() {
        presenter.show();
    }
}

/// Draws in one thread for each list of batches, and presents in this one.
fn draw_and_present(drawings: &[&'static [(&'static [usize], u32)]]) {
    let (picture, events) = (Picture::new(), Events::new(drawings.len(), 1));
    let mut presenter = begin(&picture, &events);
    let drawers: Vec<_> = drawings.iter().map(|batches| drawer(&picture, batches, &[&events])).collect();
    present(&mut presenter, &events);
    drawers.into_iter().for_each(|drawer| drawer.join().unwrap());
    presenter.assert_shown();
}

#[test]
fn what_one_draws_again_and_again_is_shown() {
    explore("one draws the same pixel twice", 4, || draw_and_present(&[&[(&[0], 1), (&[0], 2)]]));
}

#[test]
fn what_two_draw_at_once_is_shown() {
    explore("two draw a pixel each", 3, || draw_and_present(&[&[(&[0], 1)], &[(&[1], 2)]]));
    explore("two draw the same pixel", 3, || draw_and_present(&[&[(&[0], 1)], &[(&[0], 2)]]));
}

#[test]
fn what_is_drawn_in_several_places_is_shown() {
    explore("two draw the same two pixels", 2, || {
        draw_and_present(&[&[(&[0, 1], 1)], &[(&[1, 0], 2)]]);
    });
}

#[test]
fn a_subscriber_that_comes_while_others_draw_misses_nothing() {
    explore("a subscriber comes while one draws twice", 4, || {
        // It is woken once for subscribing, and possibly once more for what was drawn since.
        let (picture, events) = (Picture::new(), Events::new(1, 2));
        let drawer = drawer(&picture, &[(&[0], 1), (&[0], 2)], &[&events]);
        let wake = Arc::clone(&events);
        let mut presenter = picture.subscribe(move || wake.send());
        present(&mut presenter, &events);
        drawer.join().unwrap();
        presenter.assert_shown();
    });
}

#[test]
fn two_subscribers_are_shown_the_same() {
    explore("one draws twice for two subscribers", 2, || {
        let (picture, here, there) = (Picture::new(), Events::new(1, 1), Events::new(1, 1));
        let (mut one, mut other) = (begin(&picture, &here), begin(&picture, &there));
        let drawer = drawer(&picture, &[(&[0], 1), (&[0], 2)], &[&here, &there]);
        let elsewhere = spawn(move || {
            present(&mut other, &there);
            other.assert_shown();
        });
        present(&mut one, &here);
        drawer.join().unwrap();
        elsewhere.join().unwrap();
        one.assert_shown();
    });
}

/// The first subscriber collects the damage while the second subscribes, and the second must get it too.
#[test]
fn a_second_subscriber_that_comes_misses_nothing_that_the_first_collects() {
    explore("a second subscriber comes while one draws", 2, || {
        let (picture, here, there) = (Picture::new(), Events::new(1, 1), Events::new(1, 2));
        let mut one = begin(&picture, &here);
        let drawer = drawer(&picture, &[(&[0], 1), (&[0], 2)], &[&here, &there]);
        let coming = Arc::clone(&picture);
        let elsewhere = spawn(move || {
            let wake = Arc::clone(&there);
            let mut other = coming.subscribe(move || wake.send());
            present(&mut other, &there);
            other.assert_shown();
        });
        present(&mut one, &here);
        drawer.join().unwrap();
        elsewhere.join().unwrap();
        one.assert_shown();
    });
}

#[test]
fn a_subscriber_that_goes_takes_nothing_with_it() {
    explore("one of two subscribers goes while one draws", 3, || {
        let (picture, events) = (Picture::new(), Events::new(1, 1));
        let mut one = begin(&picture, &events);
        let woken = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&woken);
        let mut other = picture.subscribe(move || _ = count.fetch_add(1, Relaxed));
        let drawer = drawer(&picture, &[(&[0], 1), (&[0], 2)], &[&events]);
        let elsewhere = spawn(move || {
            // This may collect damage that the first is to show.
            other.show();
            drop(other);
        });
        present(&mut one, &events);
        drawer.join().unwrap();
        elsewhere.join().unwrap();
        one.assert_shown();
        assert_eq!(picture.damage.subscribers(), 1);
        let before = woken.load(Relaxed);
        picture.draw(&[1], 3);
        assert_eq!(woken.load(Relaxed), before, "the one that has gone is woken");
        one.show();
        one.assert_shown();
    });
}
