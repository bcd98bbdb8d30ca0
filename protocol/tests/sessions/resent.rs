//! Requests that were sent, in whole or in part, when the connection was lost: which are sent again, and to which
//! display.

use super::two::{ASK, FILL, Two};
use draw_protocol::client::Event;
use draw_protocol::session::{Id, Standing};
use draw_protocol::{Code, Color, Hello, Pixel, Pixels, Request};

/// The client reconnects to another display, or to the same one with other options.
#[test]
fn what_is_too_large_for_the_display_that_there_is_now_fails_and_the_rest_goes_on() {
    for (is_other, is_checked) in [(true, false), (false, false), (true, true), (false, true)] {
        let mut two = Two::with(Hello::new("test").with_checks(is_checked));
        two.call(&FILL);
        two.round();
        two.client.handle_disconnected(Vec::new());
        let image = vec![9; 100 * 100 * 4];
        let pixels = vec![Pixel::new(1, 1, Color::RED); 3_000];
        let band = |rows| Request::PutImage {
            x: 0,
            y: 0,
            width: 100,
            height: rows,
            rgba: &image[..400 * rows as usize],
        };
        two.call(&band(100));
        two.call(&FILL);
        two.call(&Request::DrawPixels { pixels: (&pixels[..]).into() });
        two.call(&band(10));
        two.call(&ASK);
        // These are joined.
        for x in 0..2_000 {
            two.call(&Request::DrawPixel { x, y: 700, color: Color::RED });
        }
        two.message = 8_000;
        if is_other {
            two.instance = Id([2; 16]);
            two.parked = None;
        } else {
            two.parked = two.server.take_session().map(|(_, session)| session);
        }
        two.accept();
        two.client.reconnect(false);
        for _ in 0..4 {
            two.round();
        }
        assert_eq!(two.client.done(), 2_006, "{:?}", two.server.closing());
        let executed: Vec<_> = two.executed[1..].iter().map(|call| call.split_once('(').unwrap().0).collect();
        // Refused calls draw nothing.
        assert_eq!(
            executed,
            ["draw_pixels", "fill_rect", "draw_pixels", "put_image", "get_pixel", "draw_pixels"]
        );
        let nothing = two.executed.iter().filter(|call| *call == "draw_pixels(0 pixels)").count();
        assert_eq!(nothing, 3, "{:?}", two.executed);
        let faults: Vec<_> = two
            .told
            .iter()
            .filter_map(|event| match event {
                Event::Fault(made, fault) => Some((made.number, fault.clone())),
                _ => None,
            })
            .collect();
        let numbers: Vec<_> = faults.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [2, 4].into_iter().chain(7..=2_006).collect::<Vec<_>>());
        let (_, fault) = &faults[0];
        assert_eq!(
            fault.to_string(),
            "too_large: it has 40021 bytes, made for another display; the limit of a message is now 8000"
        );
        assert!(faults.iter().all(|(_, fault)| fault.code == Code::TooLarge));
        // New calls are split by the limit of this display.
        two.call(&band(100));
        two.round();
        assert_eq!(two.client.done(), 2_007, "{:?}", two.told.last());
    }
}

#[test]
fn what_was_handed_out_counts_as_sent() {
    let mut two = Two::new();
    two.call(&FILL);
    let handed_out = two.client.poll_transmit().to_vec();
    two.hear(&handed_out);
    // The write failed, so the number of bytes sent is unknown. The next display is another one.
    two.reconnect();
    (two.parked, two.instance) = (None, Id([9; 16]));
    two.accept();
    two.round();
    two.round();
    assert_eq!(two.executed.len(), 1, "it is not executed there as well");
    let [Event::Resumed(Standing::StateLost, lost)] = &two.told[..] else { panic!("{:?}", two.told) };
    assert_eq!(lost.len(), 1);
}

#[test]
fn an_image_of_which_only_the_first_bands_were_sent_is_not_drawn_on_without_them() {
    let mut two = Two::new();
    assert!(two.client.swap_transmit(Vec::new()).is_empty());
    let image = vec![9; 640 * 480 * 4];
    two.call(&Request::PutImage { x: 0, y: 0, width: 640, height: 480, rgba: &image });
    two.call(&FILL);
    // The display executes everything handed out, and reports it.
    let buffer = two.client.swap_transmit(Vec::new());
    two.hear(&buffer);
    let said = two.say();
    two.tell(&said).expect("an honest server");
    let bands = two.executed.len();
    assert!((1..5).contains(&bands) && two.client.done() == 0, "{:?}", two.executed);
    // Another display replaces it, without any of the image.
    two.client.handle_disconnected(buffer);
    (two.parked, two.instance) = (None, Id([9; 16]));
    two.accept();
    two.client.reconnect(false);
    two.round();
    two.round();
    let [Event::Resumed(Standing::StateLost, lost)] = &two.told[..] else { panic!("{:?}", two.told) };
    assert_eq!(lost.iter().map(|made| made.number).collect::<Vec<_>>(), [1]);
    assert_eq!(two.executed[bands..], [FILL.call().to_string()]);
    assert_eq!((two.client.done(), two.client.in_flight()), (2, 0));
}

#[test]
fn a_buffer_may_be_sent_in_parts_of_any_length() {
    let pixels = vec![Pixel::new(1, 1, Color::RED); 3_000];
    let batch = Request::DrawPixels { pixels: Pixels::from(&pixels[..]) };
    for part in [1, 1_000, 65_535, 65_536, 65_537, 100_000, 144_000] {
        let mut two = Two::new();
        (0..6).for_each(|_| two.call(&batch));
        let first = two.client.poll_transmit()[..part].to_vec();
        two.client.handle_transmitted(part);
        two.hear(&first);
        two.reconnect();
        two.round();
        two.round();
        assert_eq!((two.client.done(), two.executed.len()), (6, 6), "{part}: {:?}", two.server.closing());
    }
}
