//! Tests how the window's thread is woken.

#[path = "../../display-server/src/window/wake_coalescer.rs"]
mod wake_coalescer;

use super::damage::Picture;
use super::sync::spawn;
use super::{Events, explore};
use loom::sync::atomic::AtomicU32;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use wake_coalescer::WakeCoalescer;

#[test]
fn what_the_thread_is_woken_for_is_seen() {
    explore("two wake the window's thread, and one closes it", 3, || {
        let (wakes, events) = (Arc::new(WakeCoalescer::new()), Events::new(2, 1));
        let work = Arc::new(AtomicU32::new(0));
        let worker = {
            let (wakes, events, work) = (Arc::clone(&wakes), Arc::clone(&events), Arc::clone(&work));
            spawn(move || {
                for n in [1, 2] {
                    work.store(n, Relaxed);
                    wakes.wake(|| events.send());
                }
                events.end();
            })
        };
        let closer = {
            let (wakes, events) = (Arc::clone(&wakes), Arc::clone(&events));
            spawn(move || {
                wakes.close();
                wakes.wake(|| events.send());
                events.end();
            })
        };
        let (mut is_closing, mut seen) = (false, 0);
        while events.next() {
            is_closing = wakes.woken();
            seen = work.load(Relaxed);
        }
        worker.join().unwrap();
        closer.join().unwrap();
        assert!(is_closing, "the window stays open");
        assert_eq!(seen, 2, "work was not seen");
    });
}

#[test]
fn what_is_drawn_is_shown_in_the_window() {
    explore("one draws and a client comes", 3, || {
        let (picture, wakes, events) = (Picture::new(), Arc::new(WakeCoalescer::new()), Events::new(2, 1));
        let drawer = {
            let (picture, events) = (Arc::clone(&picture), Arc::clone(&events));
            spawn(move || {
                picture.draw(&[0], 1);
                picture.draw(&[0], 2);
                events.end();
            })
        };
        let (wake, sent) = (Arc::clone(&wakes), Arc::clone(&events));
        let mut presenter = picture.subscribe(move || wake.wake(|| sent.send()));
        let client = {
            let (wakes, events) = (Arc::clone(&wakes), Arc::clone(&events));
            spawn(move || {
                wakes.wake(|| events.send());
                events.end();
            })
        };
        while events.next() {
            assert!(!wakes.woken());
            presenter.show();
        }
        drawer.join().unwrap();
        client.join().unwrap();
        presenter.assert_shown();
    });
}

/// The windows of a display share a thread and its wake-ups; a mirror has its own thread and wakes itself.
#[test]
fn what_is_drawn_is_shown_in_two_windows_and_a_mirror() {
    explore("one draws, two windows and a mirror show it", 3, || {
        let (picture, wakes) = (Picture::new(), Arc::new(WakeCoalescer::new()));
        let (events, mirrored) = (Events::new(1, 1), Events::new(1, 1));
        let drawer = {
            let (picture, events, mirrored) =
                (Arc::clone(&picture), Arc::clone(&events), Arc::clone(&mirrored));
            spawn(move || {
                picture.draw(&[0], 1);
                picture.draw(&[0], 2);
                events.end();
                mirrored.end();
            })
        };
        let mut windows = [0, 1].map(|_| {
            let (wake, sent) = (Arc::clone(&wakes), Arc::clone(&events));
            picture.subscribe(move || wake.wake(|| sent.send()))
        });
        let sent = Arc::clone(&mirrored);
        let mut mirror = picture.subscribe(move || sent.send());
        while events.next() {
            assert!(!wakes.woken());
            windows.iter_mut().for_each(|window| window.show());
        }
        while mirrored.next() {
            mirror.show();
        }
        drawer.join().unwrap();
        windows.iter_mut().for_each(|window| window.assert_shown());
        mirror.assert_shown();
    });
}
