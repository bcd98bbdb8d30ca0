//! How damage passes from those who draw to the presenter.

#[path = "../../display-server/src/framebuffer/handoff.rs"]
mod handoff;

pub(crate) use handoff::Handoff;

use super::sync::{self, spawn};
use super::{Events, explore};
use loom::sync::atomic::AtomicU32;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Words of damage, and as many pixels: the mark of each is the first bit of its word.
const PIXELS: usize = 2;

/// A framebuffer, as small as can be.
pub(crate) struct Picture {
    pixels: [AtomicU32; PIXELS],
    pub(crate) damage: Handoff<PIXELS>,
}

impl Picture {
    pub(crate) fn new() -> Arc<Picture> {
        let pixels = std::array::from_fn(|_| AtomicU32::new(0));
        Arc::new(Picture { pixels, damage: Handoff::new() })
    }

    /// Draws these pixels in one colour and tells of it, as a connection does after each batch.
    pub(crate) fn draw(&self, places: &[usize], color: u32) {
        let mut marked = [0; PIXELS];
        for &place in places {
            self.pixels[place].store(color, Relaxed);
            marked[place] = 1;
        }
        self.damage.publish(&mut marked);
        assert_eq!(marked, [0; PIXELS], "what was published is not published again");
    }

    /// What a presenter does when it is woken.
    pub(crate) fn show(&self, shown: &mut [u32; PIXELS]) {
        let taken = self.damage.take();
        for (place, _) in taken.iter().enumerate().filter(|(_, word)| **word != 0) {
            let color = self.pixels[place].load(Relaxed);
            assert_ne!(color, 0, "a mark was taken, and what it stands for is not there");
            shown[place] = color;
        }
    }

    /// To be called when everybody has drawn, and the presenter has shown all that it was told of.
    pub(crate) fn assert_shown(&self, shown: [u32; PIXELS]) {
        sync::release();
        assert_eq!(shown, self.pixels.each_ref().map(|pixel| pixel.load(Relaxed)), "damage was lost");
        assert_eq!(self.damage.take(), [0; PIXELS], "damage was left");
    }
}

/// Draws in as many threads as there are lists of batches, and presents in this one.
fn draw_and_present(drawings: &[&'static [(&'static [usize], u32)]]) {
    let (picture, events) = (Picture::new(), Events::new(drawings.len(), 1));
    let wake = Arc::clone(&events);
    // Before anybody draws. It wakes a presenter that has nothing to show yet.
    picture.damage.on_damage(move || wake.send());
    assert!(events.next());
    let drawers = drawings.iter().map(|&batches| {
        let (picture, events) = (Arc::clone(&picture), Arc::clone(&events));
        spawn(move || {
            batches.iter().for_each(|&(places, color)| picture.draw(places, color));
            events.end();
        })
    });
    let drawers: Vec<_> = drawers.collect();
    let mut shown = [0; PIXELS];
    while events.next() {
        picture.show(&mut shown);
    }
    drawers.into_iter().for_each(|drawer| drawer.join().unwrap());
    picture.assert_shown(shown);
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
fn a_presenter_that_comes_while_others_draw_is_woken() {
    explore("a presenter comes late", 4, || {
        // It is woken for having come, and may be once more for what was drawn since.
        let (picture, events) = (Picture::new(), Events::new(1, 2));
        let (drawing, drawn) = (Arc::clone(&picture), Arc::clone(&events));
        let drawer = spawn(move || {
            drawing.draw(&[0], 1);
            drawing.draw(&[0], 2);
            drawn.end();
        });
        let wake = Arc::clone(&events);
        assert!(picture.damage.on_damage(move || wake.send()));
        let mut shown = [0; PIXELS];
        while events.next() {
            picture.show(&mut shown);
        }
        drawer.join().unwrap();
        picture.assert_shown(shown);
    });
}
