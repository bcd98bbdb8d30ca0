//! Compares the offline queue with a plain list.

use super::*;
use crate::completion::Tag;
use draw_protocol::Color;
use std::panic::Location;

/// A list of all calls, which predicts the calls that the queue keeps and drops.
#[derive(Default)]
struct Model {
    /// The number, whether the call may be dropped, and its bytes.
    waiting: Vec<(u64, bool, usize)>,
}

impl Model {
    fn droppable(&self) -> impl Iterator<Item = &(u64, bool, usize)> {
        self.waiting.iter().filter(|(_, is_droppable, _)| *is_droppable)
    }

    fn overflow(&mut self) -> Option<u64> {
        let (count, bytes) = self.droppable().fold((0, 0), |(n, sum), (_, _, bytes)| (n + 1, sum + bytes));
        if (count <= MAX_CALLS && bytes <= MAX_BYTES) || count == 1 {
            return None;
        }
        let oldest = self.waiting.iter().position(|(_, is_droppable, _)| *is_droppable)?;
        Some(self.waiting.remove(oldest).0)
    }
}

/// A random number generator, seeded by the test.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

fn come(room: &mut OfflineQueue, number: u64, request: &Request<'_>) {
    room.push(number, request, Instant::now(), Location::caller(), Tag::default());
}

#[test]
fn it_holds_what_a_list_of_all_calls_would_hold() {
    for seed in 0..40 {
        let (mut dice, mut room, mut model) = (Dice(seed), OfflineQueue::default(), Model::default());
        let image = vec![7; 3 << 20];
        for number in 1..=400 {
            // Images of up to 3 MiB: three or more can exceed `MAX_BYTES`.
            let rows = 1 + dice.below(3 * 256) as u32;
            let rgba = &image[..rows as usize * 4 * 1_024];
            match dice.below(8) {
                0 => come(&mut room, number, &Request::GetMouse {}),
                1..=5 => come(
                    &mut room,
                    number,
                    &Request::PutImage { x: 0, y: 0, width: 1_024, height: rows, rgba },
                ),
                _ => {
                    let first = room.pop();
                    assert_eq!(first.as_ref().map(|first| first.number), model.waiting.first().map(|w| w.0));
                    model.waiting.splice(..model.waiting.len().min(1), []);
                    continue;
                }
            }
            let is_droppable = room.get_mut(number).unwrap().method().may_be_dropped();
            let bytes = room.get_mut(number).unwrap().data.len();
            model.waiting.push((number, is_droppable, bytes));
            loop {
                let dropped = room.overflow().map(|waiting| waiting.number);
                assert_eq!(dropped, model.overflow(), "seed {seed}, call {number}");
                if dropped.is_none() {
                    break;
                }
            }
            assert_eq!(room.last_number(), number);
            assert_eq!(room.bytes, model.droppable().map(|(_, _, bytes)| bytes).sum::<usize>());
            for (waits, _, _) in &model.waiting {
                assert_eq!(room.get_mut(*waits).map(|waiting| waiting.number), Some(*waits));
            }
            assert_eq!(room.first().map(|first| first.number), model.waiting.first().map(|w| w.0));
        }
        let rest: Vec<_> = std::iter::from_fn(|| room.pop()).map(|waiting| waiting.number).collect();
        assert_eq!(rest, model.waiting.iter().map(|w| w.0).collect::<Vec<_>>(), "seed {seed}");
        assert!(room.is_empty() && room.bytes == 0);
    }
}

#[test]
fn of_many_small_calls_the_newest_stay_and_questions_take_no_place_from_them() {
    let mut room = OfflineQueue::default();
    let mut dropped = 0;
    for number in 1..=3 * MAX_CALLS as u64 {
        if number % 3 == 0 {
            assert!(room.has_place(&Request::Sync {}));
            come(&mut room, number, &Request::Sync {});
        } else {
            come(&mut room, number, &Request::DrawPixel { x: 1, y: -1, color: Color::RED });
            dropped += std::iter::from_fn(|| room.overflow()).count();
        }
    }
    assert_eq!((dropped, room.droppable.len(), room.lasting.len()), (MAX_CALLS, MAX_CALLS, MAX_CALLS));
    assert!(!room.has_place(&Request::Sync {}), "questions that do not fit wait elsewhere");
    assert!(!room.has_place(&Request::Clear { color: Color::RED }));
}

#[test]
fn a_single_call_may_have_more_than_all_others_together() {
    let (mut room, image) = (OfflineQueue::default(), vec![1; MAX_BYTES + 4]);
    come(&mut room, 1, &Request::Clear { color: Color::RED });
    let width = image.len() as u32 / 4;
    come(&mut room, 2, &Request::PutImage { x: 0, y: 0, width, height: 1, rgba: &image });
    assert_eq!(room.overflow().map(|waiting| waiting.number), Some(1));
    assert!(room.overflow().is_none());
    come(&mut room, 3, &Request::Clear { color: Color::RED });
    assert_eq!(room.overflow().map(|waiting| waiting.number), Some(2));
    assert_eq!(room.pop().map(|waiting| waiting.number), Some(3));
}

#[test]
fn requests_come_out_as_they_went_in() {
    let pixels: Vec<_> = (0..70_000).map(|i| Pixel::new(i as u16, 9, Color::from_u32(i))).collect();
    let requests = [
        Request::DrawPixel { x: -5, y: 70_000, color: Color::RED },
        Request::DrawPixels { pixels: pixels[..].into() },
        Request::AddPixels { pixels: pixels[..3].into() },
        Request::FillRect { x: i32::MIN, y: i32::MAX, width: u32::MAX, height: 0, color: Color::BLUE },
        Request::PutImage { x: 1, y: 2, width: 1, height: 2, rgba: &[1, 2, 3, 4, 5, 6, 7, 8] },
        Request::GetImage { x: 1, y: 2, width: 3, height: 4 },
        Request::GetMouse {},
    ];
    let mut room = OfflineQueue::default();
    let encoded = |request: &Request<'_>| {
        let mut bytes = Vec::new();
        request.encode_parameters(&mut bytes);
        (request.method(), bytes)
    };
    for (number, request) in (1..).zip(&requests) {
        come(&mut room, number, request);
    }
    for request in &requests {
        let waiting = room.pop().unwrap();
        assert_eq!(encoded(&waiting.request().unwrap()), encoded(request));
        assert_eq!(waiting.made().call.to_string(), request.call().to_string());
    }
}
