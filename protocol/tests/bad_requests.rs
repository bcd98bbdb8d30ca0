//! Requests that are well-formed but invalid: each gets an error that explains it, and the connection continues.

mod common;

use common::{Host, Raw, SIZE, plain_faults};
use draw_protocol::{Code, Color, Size, limits};

const RED: [u8; 5] = [0xce, 255, 0, 0, 255];

fn draw_pixel(msgid: u32, x: &[u8], y: &[u8]) -> Vec<u8> {
    Raw::request(msgid, "draw_pixel").bytes(&[0x93]).bytes(x).bytes(y).bytes(&RED).0
}

fn int32(n: i32) -> Vec<u8> {
    [&[0xd2][..], &n.to_be_bytes()].concat()
}

fn uint32(n: u32) -> Vec<u8> {
    [&[0xce][..], &n.to_be_bytes()].concat()
}

/// Sends `request` with msgid 7 on a plain connection and returns the text of its one fault. The connection stays open.
fn refused(request: &[u8]) -> String {
    let mut host = Host::new(SIZE);
    let said = host.ask(request);
    let faults = plain_faults(&said);
    let [(7, text)] = &faults[..] else { panic!("{faults:?} to {request:02x?}") };
    assert_eq!(host.ask(&draw_pixel(8, &[1], &[2])), [0x94, 1, 8, 0xc0, 0xc0]);
    assert_eq!(host.display.pixel(1, 2), Some(Color::RED), "the connection lives");
    check_cuts(request, &said);
    text.clone()
}

/// Checks that the answer is the same for every split of the bytes, and that none arrives before the last byte.
fn check_cuts(request: &[u8], said: &[u8]) {
    for at in (0..request.len()).take(200) {
        let mut host = Host::new(SIZE);
        assert_eq!(host.ask(&request[..at]), [], "cut at {at}");
        assert_eq!(host.ask(&request[at..]), said, "cut at {at}");
    }
}

fn put_image(width: u32, height: u32, rgba: &[u8]) -> Vec<u8> {
    let size = [uint32(width), uint32(height)].concat();
    Raw::request(7, "put_image").bytes(&[0x95, 0, 0]).bytes(&size).bin(rgba).0
}

#[test]
fn an_unknown_method_is_answered_with_those_that_there_are() {
    let text = refused(&Raw::request(7, "draw_circle").bytes(&[0x90]).0);
    assert!(
        text.starts_with("unknown_method: there is no method \"draw_circle\"; there are draw_pixel, "),
        "{text}"
    );
    assert!(text.ends_with("get_mouse, sync, sync_durable"), "{text}");
}

#[test]
fn a_method_name_that_is_no_utf8_is_an_unknown_method() {
    let text = refused(&[0x94, 0, 7, 0xa3, 0xff, b'x', 0xfe, 0x90]);
    assert!(text.contains("there is no method \"\u{fffd}x\u{fffd}\""), "{text}");
}

#[test]
fn a_wrong_number_of_parameters_is_explained() {
    for (count, request) in [
        (0, Raw::request(7, "draw_pixel").bytes(&[0x90])),
        (2, Raw::request(7, "draw_pixel").bytes(&[0x92, 1, 2])),
        (4, Raw::request(7, "draw_pixel").bytes(&[0x94, 1, 2, 3, 4])),
    ] {
        let want = format!("invalid_argument: draw_pixel(x, y, color) takes 3 parameters, not {count}");
        assert_eq!(refused(&request.0), want);
    }
    let text = refused(&Raw::request(7, "sync").bytes(&[0x80]).0);
    assert_eq!(text, "invalid_argument: the parameters of sync() are to be an array, not a map of 0");
}

#[test]
fn coordinates_may_be_negative_or_floats_with_a_whole_value() {
    let mut host = Host::new(SIZE);
    let (float, double) = ([0xca, 0x40, 0x40, 0, 0], [0xcb, 0x40, 0x10, 0, 0, 0, 0, 0, 0]);
    host.ask(&draw_pixel(1, &float, &double));
    assert_eq!(host.display.pixel(3, 4), Some(Color::RED));
    let said = host.ask(&draw_pixel(2, &[0xff], &int32(i32::MIN)));
    assert_eq!(plain_faults(&said), [(2, "out_of_bounds: (-1, -2147483648) is outside 640x480".into())]);
}

#[test]
fn coordinates_that_are_no_whole_numbers_are_refused() {
    for (x, what) in [
        (&[0xca, 0x3f, 0xc0, 0, 0][..], "1.5"),
        (&[0xca, 0x7f, 0xc0, 0, 0], "NaN"),
        (&[0xcb, 0xff, 0xf0, 0, 0, 0, 0, 0, 0], "-inf"),
        (&[0xcb, 0x7f, 0xef, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "17976931348623157"),
        (&[0xce, 0x80, 0, 0, 0], "2147483648"),
        (&[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0], "-9223372036854775808"),
        (&[0xcf, 255, 255, 255, 255, 255, 255, 255, 255], "9223372036854775807"),
        (&[0xa1, b'5'], "a string of 1 bytes"),
        (&[0xc4, 1, 5], "a bin of 1 bytes"),
        (&[0xc0], "nil"),
        (&[0xc3], "true"),
        (&[0x91, 5], "an array of 1"),
        (&[0x81, 5, 5], "a map of 1"),
        (&[0xd4, 0, 5], "an extension"),
    ] {
        let text = refused(&draw_pixel(7, x, &[2]));
        let want =
            format!("invalid_argument: x is to be a whole number from -2147483648 to 2147483647, not {what}");
        assert!(text.starts_with(&want), "{text}");
    }
}

#[test]
fn a_run_of_0_bytes_draws_nothing_and_one_of_3_is_refused() {
    let mut host = Host::new(SIZE);
    let before = host.display.clone();
    assert_eq!(host.ask(&Raw::request(7, "draw_pixels").bytes(&[0x91]).bin(&[]).0), [0x94, 1, 7, 0xc0, 0xc0]);
    assert!(host.display == before);
    let text = refused(&Raw::request(7, "draw_pixels").bytes(&[0x91]).bin(&[1, 2, 3]).0);
    assert!(text.starts_with("invalid_argument: pixels has 3 bytes, which is no multiple of 8"), "{text}");
}

#[test]
fn one_wrong_pixel_in_a_list_rejects_all_of_it() {
    let head = Raw::request(7, "draw_pixels").bytes(&[0x91, 0x92, 0x93, 1, 2]).bytes(&RED);
    let text = refused(&head.bytes(&[0x93, 3, 0xa1, b'4']).bytes(&RED).0);
    assert_eq!(text, "invalid_argument: pixels[1] is to be an array [x, y, color], not a string of 1 bytes");
    let mut host = Host::new(SIZE);
    let head = Raw::request(7, "draw_pixels").bytes(&[0x91, 0x92, 0x93, 1, 2]).bytes(&RED);
    host.ask(&head.bytes(&[0xc0]).0);
    assert_eq!(host.display.pixel(1, 2), Some(Color::BLACK), "nothing is drawn");
}

#[test]
fn more_pixels_than_a_batch_may_have_are_refused_whole_in_both_forms() {
    let run = vec![0; (limits::BATCH + 1) * 8];
    let mut list = uint32(limits::BATCH as u32 + 1);
    list[0] = 0xdd;
    list.extend([0x93, 0, 0, 0].repeat(limits::BATCH + 1));
    // The list has one pixel more than a message may have, with four values for each pixel.
    let mut host = Host::new(SIZE);
    let said = host.ask(&Raw::request(7, "draw_pixels").bytes(&[0x91]).bin(&run).0);
    assert_eq!(plain_faults(&said), [(7, "too_large: 65537 pixels in one call; the limit is 65536".into())]);
    let said = host.ask(&Raw::request(8, "draw_pixels").bytes(&[0x91]).bytes(&list).0);
    assert_eq!(plain_faults(&said), [(8, "too_large: 65537 pixels in one call; the limit is 65536".into())]);
    assert_eq!(host.display.pixel(0, 0), Some(Color::BLACK));
    assert!(host.server.closing().is_none());
}

#[test]
fn an_image_whose_width_times_height_wraps_is_refused() {
    // 65536 x 65536 x 4 is 0 in 32 bits; 2^31 x 2^31 x 4 is 0 in 64.
    for (width, height, bytes) in [
        (65_536, 65_536, "17179869184"),
        (1 << 31, 1 << 31, "18446744073709551616"),
        (u32::MAX, u32::MAX, "73786976260478468100"),
        (1 << 30, 1, "4294967296"),
    ] {
        let text = refused(&put_image(width, height, &[]));
        let want = format!("invalid_argument: rgba has 0 bytes; an image of {width}x{height} has {bytes}");
        assert_eq!(text, want);
    }
    assert!(refused(&put_image(1, 1, &[1, 2, 3])).contains("rgba has 3 bytes; an image of 1x1 has 4"));
}

#[test]
fn an_image_too_large_for_an_answer_is_refused_before_it_is_read() {
    for (width, height) in [(65_536, 65_536), (1 << 31, 1 << 31), (u32::MAX, u32::MAX), (4096, 1025)] {
        let size = [uint32(width), uint32(height)].concat();
        let text = refused(&Raw::request(7, "get_image").bytes(&[0x94, 0, 0]).bytes(&size).0);
        assert!(text.starts_with(&format!("too_large: an image of {width}x{height} has")), "{text}");
        assert!(text.ends_with("the limit is 16777152: ask for bands of rows"), "{text}");
    }
}

#[test]
fn a_rectangle_whose_x_plus_width_wraps_reaches_the_display_as_it_is() {
    let mut host = Host::new(SIZE);
    let place = [int32(i32::MAX), int32(-1), uint32(u32::MAX), uint32(u32::MAX)].concat();
    let said = host.ask(&Raw::request(7, "fill_rect").bytes(&[0x95]).bytes(&place).bytes(&RED).0);
    let want = "out_of_bounds: the rectangle 4294967295x4294967295 at (2147483647, -1) is outside 640x480: nothing was drawn";
    assert_eq!(plain_faults(&said), [(7, want.into())]);
}

#[test]
fn str_stands_for_bin_even_when_it_is_no_utf8() {
    let mut host = Host::new(Size { width: 4, height: 4 });
    let pixel = [0, 1, 0, 2, 0xff, 0xfe, 0xc3, 0x28];
    host.ask(&Raw::request(7, "draw_pixels").bytes(&[0x91, 0xa8]).bytes(&pixel).0);
    assert_eq!(host.display.pixel(1, 2), Some(Color::rgba(0xff, 0xfe, 0xc3, 0x28)));
    host.ask(&Raw::request(8, "put_image").bytes(&[0x95, 3, 3, 1, 1, 0xd9, 4, 0xff, 0x80, 0x81, 0x82]).0);
    assert_eq!(host.display.pixel(3, 3), Some(Color::rgba(0xff, 0x80, 0x81, 0x82)));
    host.ask(&[0x94, 0, 9, 0xc4, 5, b'c', b'l', b'e', b'a', b'r', 0x91, 5]);
    assert_eq!(host.display.pixel(0, 0), Some(Color::from_u32(5)), "and bin for a method name");
}

#[test]
fn a_notification_draws_and_is_never_answered() {
    let mut host = Host::new(SIZE);
    let draw = |x: &[u8]| Raw::notification("draw_pixel").bytes(&[0x93]).bytes(x).bytes(&[2]).bytes(&RED).0;
    assert_eq!(host.ask(&[draw(&[1]), draw(&[0xff]), draw(&[0xc0])].concat()), []);
    assert_eq!(host.display.pixel(1, 2), Some(Color::RED));
    let stats = host.server.stats();
    assert_eq!((stats.executed, stats.unheard_faults, stats.malformed), (2, 2, 1));
}

#[test]
fn a_notification_of_a_question_is_ignored_and_counted() {
    let mut host = Host::new(SIZE);
    assert_eq!(host.ask(&Raw::notification("get_size").bytes(&[0x90]).0), []);
    assert_eq!((host.server.stats().ignored_questions, host.server.stats().executed), (1, 0));
    assert!(host.server.closing().is_none());
}

#[test]
fn a_response_that_nobody_waits_for_is_counted_and_not_answered() {
    let mut host = Host::new(SIZE);
    assert_eq!(host.ask(&[0x94, 1, 7, 0xc0, 0xc0]), []);
    assert_eq!(host.server.stats().malformed, 1);
    assert!(host.server.closing().is_none());
}

#[test]
fn good_requests_behind_a_bad_one_are_executed_in_order() {
    let mut host = Host::new(SIZE);
    let bad = Raw::request(2, "get_size").bytes(&[0x91, 1]).0;
    let said = host.ask(&[draw_pixel(1, &[1], &[1]), bad, draw_pixel(3, &[3], &[3])].concat());
    assert!(said.starts_with(&[0x94, 1, 1, 0xc0, 0xc0, 0x94, 1, 2, 0x92, 0]));
    assert!(said.ends_with(&[0xc0, 0x94, 1, 3, 0xc0, 0xc0]));
    assert_eq!(host.display.pixel(3, 3), Some(Color::RED));
}

#[test]
fn a_plain_client_may_reuse_a_msgid() {
    let mut host = Host::new(SIZE);
    let said =
        host.ask(&[draw_pixel(7, &[1], &[1]), draw_pixel(7, &[2], &[2]), draw_pixel(0, &[3], &[3])].concat());
    let done = |msgid| [0x94, 1, msgid, 0xc0, 0xc0];
    assert_eq!(said, [done(7), done(7), done(0)].concat());
}

#[test]
fn a_greeted_client_that_reuses_or_skips_a_number_is_cut_off() {
    for (msgid, due) in [(1, 2), (0, 2), (3, 2), (u32::MAX, 2)] {
        let mut host = Host::new(SIZE).greeted();
        let said = host.ask(&[draw_pixel(1, &[1], &[1]), draw_pixel(msgid, &[2], &[2])].concat());
        let closing = host.server.closing().expect("it closes").clone();
        assert_eq!(closing.code, Code::Malformed);
        assert!(
            closing.message.starts_with(&format!("request {msgid} came where {due} was due")),
            "{closing}"
        );
        assert!(
            said.starts_with(b"\x93\x02\xa8progress\x91\x01\x93\x02\xa7goodbye\x91"),
            "progress, then why"
        );
        assert_eq!(host.display.pixel(2, 2), Some(Color::BLACK), "not executed");
    }
}

#[test]
fn hello_may_be_said_once() {
    let hello = |msgid| Raw::request(msgid, "hello").bytes(&[0x91, 0x81]).str("version").uint(1).0;
    let mut host = Host::new(SIZE).greeted();
    let said = host.ask(&hello(1));
    assert!(said.starts_with(b"\x94\x01\x01\x82\xa4code\xaeunknown_method"), "{said:02x?}");
    assert_eq!(host.ask(&draw_pixel(2, &[1], &[2])), b"\x93\x02\xa8progress\x91\x02");

    let mut host = Host::new(SIZE);
    let said = host.ask(&[draw_pixel(1, &[1], &[1]), hello(2)].concat());
    let text = "malformed: hello may only be the first message of a connection: connect anew to say it";
    assert_eq!(plain_faults(&said[5..]), [(2, text.into())]);
    assert_eq!(host.ask(&draw_pixel(3, &[2], &[2])), b"", "it has ended");
}

#[test]
fn hello_of_another_version_is_told_what_is_spoken() {
    let mut host = Host::new(SIZE);
    let said = host.ask(&Raw::request(0, "hello").bytes(&[0x91, 0x81]).str("version").uint(9).0);
    let text = "this display speaks version 1 to 1, not 9";
    let want =
        Raw::response(0).bytes(&[0x82]).str("code").str("unsupported_version").str("message").str(text);
    assert_eq!(said, want.bytes(&[0xc0]).0);
    // The client may greet again with a supported version.
    let mut host = host.greeted();
    assert_eq!(host.ask(&draw_pixel(1, &[1], &[2])), b"\x93\x02\xa8progress\x91\x01");
}

#[test]
fn hello_with_something_else_than_its_map_is_refused() {
    for params in
        [&[0x90][..], &[0xc0], &[0x91, 0xc0], &[0x91, 0x80], &[0x91, 0xa1, b'x'], &[0x92, 0x80, 0x80]]
    {
        let mut host = Host::new(SIZE);
        let said = host.ask(&Raw::request(0, "hello").bytes(params).0);
        assert!(
            said.starts_with(b"\x94\x01\x00\x82\xa4code\xb0invalid_argument"),
            "{params:02x?}: {said:02x?}"
        );
        host.greeted();
    }
}
