//! The contract of all clients: each test body runs over each client.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::{TestServer, over_each};
use draw_client::{
    Code, Color, DisconnectReason, Error, Outcome, Pixel, Position, Range, Size, blocking, digest_of_image,
};
use draw_protocol::limits;

fn image(width: u32, height: u32) -> Vec<u8> {
    (0..width * height).flat_map(|i| [i as u8, (i >> 8) as u8, (i >> 16) as u8, 255]).collect()
}

#[test]
fn every_call_does_what_it_says() {
    over_each(8, 6, |client, server| {
        assert_eq!(client.get_size().unwrap(), Size { width: 8, height: 6 });
        client.draw_pixel(7, 5, Color::RED).unwrap();
        assert_eq!(server.shown(7, 5), Color::RED);
        assert_eq!(client.get_pixel(7, 5).unwrap(), Color::RED);

        client
            .draw_pixels(&[Pixel::new(0, 0, Color::GREEN), Pixel::new(1, 0, Color::rgba(1, 2, 3, 4))])
            .unwrap();
        assert_eq!(client.get_image(0, 0, 2, 1).unwrap(), [0, 255, 0, 255, 1, 2, 3, 4]);

        client.fill_rect(2, 2, 3, 2, Color::BLUE).unwrap();
        let blue = (0..6)
            .flat_map(|y| (0..8).map(move |x| (x, y)))
            .filter(|&(x, y)| server.shown(x, y) == Color::BLUE);
        assert_eq!(blue.count(), 6);

        client.put_image(4, 3, 2, 2, &image(2, 2)).unwrap();
        assert_eq!(client.get_image(4, 3, 2, 2).unwrap(), image(2, 2));

        client.clear(Color::WHITE).unwrap();
        assert!(client.get_image(0, 0, 8, 6).unwrap().iter().all(|&byte| byte == 255));

        assert_eq!(client.get_mouse().unwrap(), None);
        server.screen.set_mouse(Some(Position { x: -3, y: 4 }));
        assert_eq!(client.get_mouse().unwrap(), Some(Position { x: -3, y: 4 }));

        client.draw_pixels(&[]).unwrap();
        client.fill_rect(0, 0, 0, 0, Color::RED).unwrap();
        assert_eq!(client.get_image(3, 3, 0, 2).unwrap(), []);
        client.sync().unwrap();
        client.close().unwrap();
        client.close().unwrap();
        assert!(matches!(
            client.draw_pixel(0, 0, Color::RED),
            Err(Error::Disconnected { reason: DisconnectReason::Closed { .. }, .. })
        ));
    });
}

#[test]
fn adding_counts_and_wraps() {
    over_each(640, 480, |client, server| {
        client.clear(Color::from_u32(0)).unwrap();
        for _ in 0..3 {
            client.add_pixel(639, 479, 0xff).unwrap();
        }
        assert_eq!(server.shown(639, 479), Color::from_u32(3 * 0xff));
        client.add_pixels(&[Pixel::adding(639, 479, u32::MAX), Pixel::adding(639, 479, 4)]).unwrap();
        assert_eq!(client.get_pixel(639, 479).unwrap(), Color::from_u32(3 * 0xff + 3));
        client.add_pixels(&[]).unwrap();

        let error = client.add_pixel(640, 0, 1).unwrap_err();
        assert_eq!(error.to_string(), "out_of_bounds: (640, 0) is outside 640x480");
        assert_eq!(error.outcome(), Outcome::Rejected);

        // Several requests, one call: each pixel is changed once by its amount, and the rejected pixels are named.
        let pixels: Vec<_> =
            (0..200_000u32).map(|i| Pixel::adding((i % 641) as u16, (i % 7) as u16, i % 2)).collect();
        let before = client.get_pixel(0, 0).unwrap();
        let error = client.add_pixels(&pixels).unwrap_err();
        let outside = pixels.iter().filter(|pixel| pixel.x == 640).count();
        assert_eq!(error.fault().map(|fault| fault.rejected_pixels()), Some(outside as u64));
        let due =
            pixels.iter().filter(|pixel| (pixel.x, pixel.y) == (0, 0)).map(|pixel| pixel.color.to_u32());
        assert_eq!(server.shown(0, 0).to_u32(), before.to_u32() + due.sum::<u32>());
        client.sync().unwrap();
    });
}

#[test]
fn a_digest_says_what_is_shown_after_all_calls_before() {
    over_each(700, 300, |client, _| {
        // The image is sent in bands, its digest in one answer.
        let mut picture = image(700, 300);
        client.put_image(0, 0, 700, 300, &picture).unwrap();
        assert_eq!(client.get_digest(0, 0, 700, 300).unwrap(), digest_of_image(&picture));
        client.add_pixel(699, 299, 1).unwrap();
        assert_ne!(client.get_digest(0, 0, 700, 300).unwrap(), digest_of_image(&picture));
        picture.splice(700 * 300 * 4 - 4.., {
            let last = picture.as_chunks::<4>().0[700 * 300 - 1];
            u32::from_be_bytes(last).wrapping_add(1).to_be_bytes()
        });
        assert_eq!(client.get_digest(0, 0, 700, 300).unwrap(), digest_of_image(&picture));
        let part = client.get_image(600, 200, 77, 33).unwrap();
        assert_eq!(client.get_digest(600, 200, 77, 33).unwrap(), digest_of_image(&part));
        assert_eq!(client.get_digest(-1, 7, 0, 9).unwrap(), digest_of_image(&[]));
        let error = client.get_digest(699, 0, 2, 1).unwrap_err();
        assert_eq!(error.fault().map(|fault| &fault.code), Some(&Code::OutOfBounds), "{error}");
        let error = client.get_digest(0, 0, 4096, 4096).unwrap_err();
        assert!(error.to_string().starts_with("too_large: a rectangle of 4096x4096"), "{error}");
    });
}

/// Each client adds to the same pixels, one by one and in batches, and no amount is lost.
#[test]
fn what_many_clients_add_to_the_same_places_is_all_there() {
    let server = TestServer::start(4, 1);
    blocking::Display::connect(&server.address).unwrap().clear(Color::from_u32(0)).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let display = blocking::Display::connect(&server.address).unwrap().pipelined().unwrap();
                let batch: Vec<_> = (0..1000).map(|i| Pixel::adding(i % 4, 0, 1)).collect();
                for i in 0..2000 {
                    display.add_pixel(i % 4, 0, 1).unwrap();
                }
                for _ in 0..20 {
                    display.add_pixels(&batch).unwrap();
                }
                display.sync().unwrap();
            });
        }
    });
    let counts = [0, 1, 2, 3].map(|x| server.shown(x, 0).to_u32());
    assert_eq!(counts, [4 * (500 + 20 * 250); 4]);
}

#[test]
fn a_fault_reaches_whoever_waits_and_the_rest_is_drawn() {
    over_each(640, 480, |client, server| {
        let error = client.draw_pixel(700, 10, Color::RED).unwrap_err();
        assert_eq!(error.to_string(), "out_of_bounds: (700, 10) is outside 640x480");
        assert_eq!(error.outcome(), Outcome::Rejected);
        assert!(!error.is_disconnected());

        let pixels: Vec<_> = [5, 640, 641, 6, 700].map(|x| Pixel::new(x, 1, Color::GREEN)).to_vec();
        let error = client.draw_pixels(&pixels).unwrap_err();
        let fault = error.fault().unwrap();
        assert_eq!(fault.code, Code::OutOfBounds);
        assert_eq!(fault.rejected(), [Range { first: 1, count: 2 }, Range { first: 4, count: 1 }]);
        assert_eq!((server.shown(5, 1), server.shown(6, 1)), (Color::GREEN, Color::GREEN));

        let error = client.fill_rect(-5, 470, 10, 20, Color::BLUE).unwrap_err();
        assert!(error.to_string().contains("640x480"), "{error}");
        assert_eq!((server.shown(4, 479), server.shown(5, 479)), (Color::BLUE, Color::BLACK));

        for error in [
            client.get_pixel(-1, 0).unwrap_err(),
            client.get_image(600, 0, 100, 1).unwrap_err(),
            client.draw_pixel(i32::MIN, i32::MAX, Color::RED).unwrap_err(),
            client.fill_rect(i32::MAX, i32::MAX, u32::MAX, u32::MAX, Color::RED).unwrap_err(),
            client.get_image(i32::MIN, i32::MIN, 2, 2).unwrap_err(),
        ] {
            assert_eq!(error.fault().map(|fault| &fault.code), Some(&Code::OutOfBounds), "{error}");
        }
        // Invalid by itself: the call is not sent to the display.
        let error = client.put_image(0, 0, 2, 2, &[0; 15]).unwrap_err();
        assert_eq!(error.to_string(), "invalid_argument: rgba has 15 bytes; an image of 2x2 has 16");
        client.sync().unwrap();
    });
}

#[test]
fn a_fault_has_fields_for_what_its_sentence_says() {
    over_each(640, 480, |client, _| {
        let size = Some(Size { width: 640, height: 480 });
        let error = client.draw_pixel(-3, 10, Color::RED).unwrap_err();
        assert_eq!(error.to_string(), "out_of_bounds: (-3, 10) is outside 640x480");
        let fault = error.fault().unwrap();
        assert_eq!((fault.size(), fault.rejected(), fault.limit()), (size, &[][..], None));

        let pixels = [
            Pixel::at(5_i64, 1_usize, Color::RED),
            Pixel::at(-1, 1, Color::RED),
            Pixel::at(70_000, 2, Color::RED),
        ];
        let error = client.draw_pixels(&pixels).unwrap_err();
        let fault = error.fault().unwrap();
        assert_eq!(fault.rejected().iter().flat_map(Range::indexes).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(fault.outside(), [1, 2].map(|y| Position { x: 65_535, y }));
        assert_eq!(fault.size(), size);

        let error = client.get_digest(0, 0, 1 << 20, 1 << 20).unwrap_err();
        let fault = error.fault().unwrap();
        assert_eq!((&fault.code, fault.limit()), (&Code::TooLarge, Some(limits::DIGEST)));
        assert!(!error.may_be_retried());
    });
}

#[test]
fn long_draws_are_split_and_stay_one_call() {
    over_each(1000, 300, |client, server| {
        // 200,000 pixels; those of the last row lie outside.
        let pixels: Vec<_> = (0..200_000u32)
            .map(|i| Pixel::new((i % 1000) as u16, (101 + i / 1000) as u16, Color::from_u32(i)))
            .collect();
        let error = client.draw_pixels(&pixels).unwrap_err();
        assert_eq!(error.fault().unwrap().rejected(), [Range { first: 199_000, count: 1000 }]);
        assert_eq!(server.shown(999, 299), Color::from_u32(198_999));
        assert_eq!(server.shown(0, 101), Color::from_u32(0));
    });
}

#[test]
fn images_larger_than_a_message_travel_as_bands() {
    over_each(2500, 2000, |client, _| {
        let picture = image(2500, 2000);
        client.put_image(0, 0, 2500, 2000, &picture).unwrap();
        assert!(client.get_image(0, 0, 2500, 2000).unwrap() == picture, "20 MB came back as they went");
    });
}

#[test]
fn clients_of_one_display_take_turns() {
    let server = TestServer::start(64, 64);
    let display = blocking::Display::connect(&server.address).unwrap();
    std::thread::scope(|scope| {
        for y in 0..16 {
            let display = display.clone();
            scope.spawn(move || (0..64).try_for_each(|x| display.draw_pixel(x, y, Color::RED)).unwrap());
        }
    });
    let red = display.get_image(0, 0, 64, 64).unwrap();
    assert_eq!(red.chunks(4).filter(|pixel| *pixel == Color::RED.to_bytes()).count(), 16 * 64);
}

/// Each client draws a stripe of its own with every kind of call; the picture must equal that of a model.
#[test]
fn sixty_four_clients_draw_stripes_at_once() {
    let server = TestServer::start(256, 256);
    let stripe = |row: u16| {
        (0..4 * 256u16).map(move |i| {
            let (x, y) = (i % 256, 4 * row + i / 256);
            Pixel::new(x, y, Color::from_u32(u32::from(x) << 16 | u32::from(y) << 8 | 0xff))
        })
    };
    std::thread::scope(|scope| {
        for row in 0..64u16 {
            let address = &server.address;
            scope.spawn(move || {
                let pixels: Vec<_> = stripe(row).collect();
                let (first, rest) = pixels.split_at(100);
                if row % 2 == 0 {
                    let display = blocking::Display::connect(address).unwrap();
                    display.fill_rect(0, (4 * row).into(), 256, 4, Color::WHITE).unwrap();
                    for p in first {
                        display.draw_pixel(p.x.into(), p.y.into(), p.color).unwrap();
                    }
                    display.draw_pixels(rest).unwrap();
                } else {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    runtime.block_on(common::soon(async {
                        let display = draw_client::Display::connect(address).await.unwrap();
                        display.fill_rect(0, (4 * row).into(), 256, 4, Color::WHITE).await.unwrap();
                        for p in first {
                            display.draw_pixel(p.x.into(), p.y.into(), p.color).await.unwrap();
                        }
                        display.draw_pixels(rest).await.unwrap();
                        display.close().await.unwrap();
                    }));
                }
            });
        }
    });
    for pixel in (0..64).flat_map(stripe) {
        assert_eq!(server.shown(pixel.x.into(), pixel.y.into()), pixel.color, "({}, {})", pixel.x, pixel.y);
    }
}
