//! Calls of a connection that is given up: those that may have been executed, and those that were not.

mod common;

use common::{World, config};
use draw_protocol::client::{Connection, GivenUp, Lent};
use draw_protocol::session::Id;
use draw_protocol::{Color, Hello, Request, Scan, Size, limits};

const SIZE: Size = Size { width: 1000, height: 700 };
const FILL: Request<'static> = Request::FillRect { x: 0, y: 0, width: 1, height: 1, color: Color::RED };

fn pixel(x: i32) -> Request<'static> {
    Request::DrawPixel { x, y: 0, color: Color::RED }
}

fn image(rgba: &[u8]) -> Request<'_> {
    Request::PutImage { x: 0, y: 0, width: 1000, height: 700, rgba }
}

fn bytes() -> Vec<u8> {
    vec![7; 1000 * 700 * 4]
}

/// Returns the numbers of the calls that have begun, and of those that were not sent.
fn numbers(lost: GivenUp) -> [Vec<u64>; 2] {
    [lost.begun, lost.unsent].map(|calls| calls.iter().map(|made| made.number).collect())
}

fn given_up(client: &mut Connection) -> [Vec<u64>; 2] {
    let lost = numbers(client.give_up());
    assert!(client.poll_transmit().is_empty() && client.swap_transmit(Vec::new()).is_empty());
    assert_eq!((client.unsent(), client.in_flight(), client.done()), (0, 0, client.last_call()));
    assert_eq!(numbers(client.give_up()), [vec![], vec![]], "each is named once");
    lost
}

/// Returns the number of requests in `bytes`, which hold whole requests.
fn requests(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while !bytes.is_empty() {
        let end = Scan::default().run(bytes, limits::MESSAGE).expect("a message").expect("all of it");
        bytes = &bytes[end..];
        count += 1;
    }
    count
}

#[test]
fn what_was_never_handed_out_was_not_sent() {
    let mut world = World::new(SIZE);
    [FILL, pixel(1), pixel(2), FILL, pixel(3)].iter().for_each(|call| _ = world.call(call));
    assert_eq!(given_up(&mut world.client), [vec![], vec![1, 2, 3, 4, 5]]);
}

#[test]
fn what_was_handed_out_has_begun_however_much_of_it_is_known_to_be_gone() {
    let made = || {
        let mut world = World::new(SIZE);
        [FILL, pixel(1), pixel(2), FILL].iter().for_each(|call| _ = world.call(call));
        world
    };
    let length = made().client.poll_transmit().len();
    for gone in 0..=length {
        let mut world = made();
        assert_eq!(world.client.poll_transmit().len(), length);
        world.client.handle_transmitted(gone);
        // These are not handed out: the pixels wait to be joined, and the last call follows them.
        [pixel(3), pixel(4), FILL].iter().for_each(|call| _ = world.call(call));
        assert_eq!(given_up(&mut world.client), [vec![1, 2, 3, 4], vec![5, 6, 7]], "{gone} of {length}");
    }
}

#[test]
fn of_calls_in_several_buffers_those_have_begun_of_which_any_was_handed_out() {
    let image_bytes = bytes();
    let calls = [FILL, image(&image_bytes), pixel(1), image(&image_bytes), FILL];
    // Eleven bands of each image.
    let first_requests = [1, 2, 13, 14, 25];
    let mut is_between = false;
    for handed in 0.. {
        let mut world = World::new(SIZE);
        let mut buffer = world.client.swap_transmit(Vec::new());
        calls.iter().for_each(|call| _ = world.call(call));
        let mut sent = 0;
        for _ in 0..handed {
            buffer = world.client.swap_transmit(buffer);
            sent += requests(&buffer);
        }
        let begun = first_requests.iter().filter(|&&first| first <= sent).count() as u64;
        let is_all = world.client.unsent() == 0;
        assert_eq!(sent == 25, is_all);
        is_between |= (2..13).contains(&sent);
        let expected = [(1..=begun).collect(), (begun + 1..=5).collect::<Vec<_>>()];
        assert_eq!(given_up(&mut world.client), expected, "{handed} buffers, {sent} requests");
        if is_all {
            assert!(handed > 4 && is_between, "an image is cut by the end of a buffer");
            return;
        }
    }
}

#[test]
fn a_call_whose_first_requests_are_done_and_whose_others_were_not_sent_has_begun() {
    let image_bytes = bytes();
    let mut world = World::new(SIZE);
    assert!(world.client.swap_transmit(Vec::new()).is_empty());
    [image(&image_bytes), FILL].iter().for_each(|call| _ = world.call(call));
    let buffer = world.client.swap_transmit(Vec::new());
    let sent = requests(&buffer);
    assert!((1..11).contains(&sent), "{sent}");
    let said = world.host.ask(&buffer);
    assert!(world.client.handle_input(&mut &said[..], world.host.now).expect("an honest server").is_none());
    assert_eq!(world.host.display.pixel(0, 0), Some(Color::from_u32(0x0707_0707)), "the first band is drawn");
    assert_eq!(world.client.done(), 0);
    assert_eq!(given_up(&mut world.client), [vec![1], vec![2]]);
}

#[test]
fn an_image_that_is_lent_begins_when_it_is_handed_out() {
    let image_bytes = bytes();
    for is_handed_out in [false, true] {
        let mut world = World::new(SIZE);
        let (_, lent) =
            world.client.call_lending(&image(&image_bytes), world.host.now).expect("a valid call");
        let expected = if is_handed_out {
            assert!(!world.client.poll_transmit_lent(&lent).is_empty());
            [vec![1], vec![]]
        } else {
            [vec![], vec![1]]
        };
        world.client.keep(lent);
        assert_eq!(given_up(&mut world.client), expected);
    }
}

#[test]
fn what_is_called_without_a_connection_begins_when_the_next_has_greeted_and_takes_it() {
    for rounds in 0..=2 {
        let mut config = config(SIZE);
        config.instance = Some((Id([1; 16]), 1));
        let mut world = World::with(config.clone());
        world.client = Connection::new(&Hello::new("test").with_session(Id([3; 16])));
        let mut world = world.greeted();
        world.call(&FILL);
        world.client.poll_transmit();
        world.client.handle_disconnected(Vec::new());
        let (_, lent): (u64, Lent<'_>) =
            world.client.call_lending(&FILL, world.host.now).expect("a valid call");
        assert!(lent.is_empty());
        world.call(&pixel(1));
        world.client.reconnect(false);
        world.host.server = draw_protocol::server::Connection::new(config, world.host.now);
        // The greeting is sent first, on its own.
        let buffer = world.client.swap_transmit(Vec::new());
        assert_eq!(requests(&buffer), 1);
        if rounds > 0 {
            let said = world.host.ask(&buffer);
            let mut input = &said[..];
            while world.client.handle_input(&mut input, world.host.now).expect("an honest server").is_some() {
            }
        }
        if rounds > 1 {
            assert!(!world.client.poll_transmit().is_empty());
        }
        let expected = match rounds {
            0 => [vec![1], vec![2, 3]],
            // The display has forgotten the session, and that call was already reported.
            1 => [vec![], vec![2, 3]],
            _ => [vec![2, 3], vec![]],
        };
        assert_eq!(given_up(&mut world.client), expected, "{rounds}");
    }
}
