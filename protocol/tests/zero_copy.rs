//! Images that are sent from the program's memory without a copy: the same bytes as with a copy, wherever a write ends
//! and also after a reconnect.

mod common;

use common::{World, config, uncut};
use draw_protocol::client::{Connection, Lent};
use draw_protocol::server;
use draw_protocol::session::Id;
use draw_protocol::{Answer, Color, Hello, Request, Size};

/// The display size. Small, because the tests make a display for each position at which a write may end.
const SIZE: Size = Size { width: 20, height: 254 };

const PIXEL: Request<'static> = Request::DrawPixel { x: 1, y: 2, color: Color::RED };

/// Returns a client whose display accepts at most 4 KiB in a message, so an image of 10 KB is sent in bands.
fn client() -> World {
    let mut world = World::granted(SIZE, |welcome| welcome.message = 4096);
    // The pixel is not sent yet when the image is called for.
    world.call(&PIXEL);
    world
}

fn rgba() -> Vec<u8> {
    (0..10_000).map(|i| (i % 251) as u8).collect()
}

fn image(rgba: &[u8]) -> Request<'_> {
    Request::PutImage { x: 3, y: 4, width: 10, height: 250, rgba }
}

/// Returns the bytes sent when the image is copied, with one call before it and one after it.
fn copied() -> Vec<u8> {
    let (mut world, rgba) = (client(), rgba());
    world.call(&image(&rgba));
    world.call(&PIXEL);
    world.client.poll_transmit().to_vec()
}

/// Sends in writes of at most `most` bytes, until `end` bytes or all bytes have been sent.
fn send(client: &mut Connection, lent: &mut Lent<'_>, most: usize, end: usize) -> Vec<u8> {
    let mut sent = Vec::new();
    while sent.len() < end {
        let slices = client.poll_transmit_lent(lent);
        assert!(slices.iter().all(|slice| !slice.is_empty()));
        let bytes = slices.iter().map(|slice| &slice[..]).collect::<Vec<_>>().concat();
        let n = bytes.len().min(most).min(end - sent.len());
        if n == 0 {
            break;
        }
        sent.extend_from_slice(&bytes[..n]);
        client.handle_transmitted_lent(lent, n);
    }
    sent
}

#[test]
fn the_bytes_are_those_of_a_copy_however_many_a_write_takes() {
    let (wanted, rgba) = (copied(), rgba());
    assert!(wanted.len() > 10_000 + 3 * 20, "three bands and two calls");
    for most in (1..70).chain([999, 4000, 4096, 4097, 5000, 100_000]) {
        let mut world = client();
        let now = world.host.now;
        let (number, mut lent) = world.client.call_lending(&image(&rgba), now).unwrap();
        assert_eq!((number, world.client.in_flight()), (2, 2));
        assert!(world.client.memory() < 8000, "nothing was copied");
        world.call(&PIXEL);
        assert!(send(&mut world.client, &mut lent, most, usize::MAX) == wanted, "{most} bytes to a write");
        assert!(lent.is_empty() && world.client.poll_transmit().is_empty());
    }
}

#[test]
fn what_is_kept_is_sent_behind_what_was_sent_wherever_that_ended() {
    let (wanted, rgba) = (copied(), rgba());
    for end in 0..=wanted.len() {
        let mut world = client();
        let now = world.host.now;
        let (_, mut lent) = world.client.call_lending(&image(&rgba), now).unwrap();
        if end % 2 == 0 {
            world.call(&PIXEL);
        }
        let mut sent = send(&mut world.client, &mut lent, usize::MAX, end);
        world.client.keep(lent);
        if end % 2 == 1 {
            world.call(&PIXEL);
        }
        sent.extend_from_slice(world.client.poll_transmit());
        assert!(sent == wanted, "kept after {end} bytes");
    }
}

#[test]
fn a_call_without_an_image_lends_nothing_and_one_that_is_refused_sends_nothing() {
    let mut world = World::new(SIZE);
    let now = world.host.now;
    let (number, lent) = world.client.call_lending(&PIXEL, now).unwrap();
    assert!(number == 1 && lent.is_empty());
    world.round();
    assert_eq!(world.client.done(), 1);
    assert!(world.client.call_lending(&image(&[1, 2, 3]), now).is_err());
    assert!(world.client.poll_transmit().is_empty() && world.client.in_flight() == 0);
}

/// Returns the configuration of the same display, with sessions.
fn keeping() -> server::Config {
    server::Config { message: 4096, instance: Some((Id([7; 16]), 1)), ..config(SIZE) }
}

/// Returns a client in a session, with a call for a pixel that is not sent yet.
fn in_session() -> World {
    let mut world = World::in_session(keeping());
    world.call(&PIXEL);
    world
}

/// The number of requests executed without failures: the pixel and three bands.
const REQUESTS: u64 = 4;

#[test]
fn a_connection_may_be_lost_after_any_byte_and_the_image_is_drawn_once() {
    let rgba = rgba();
    let mut whole = in_session();
    whole.call(&image(&rgba));
    let length = whole.client.unsent();
    whole.round();
    assert_eq!((whole.client.in_flight(), whole.host.server.stats().executed), (0, REQUESTS));
    for end in 0..=length {
        let mut world = in_session();
        let now = world.host.now;
        let (number, mut lent) = world.client.call_lending(&image(&rgba), now).unwrap();
        let sent = send(&mut world.client, &mut lent, usize::MAX, end);
        // Sometimes all bytes sent arrive, sometimes the last ones are lost.
        let arrived = if end % 2 == 0 { end } else { end * 7919 % (end + 1) };
        assert_eq!(world.host.hear(&sent[..arrived]), arrived);
        // Sometimes the client receives all of the display's answer, sometimes half of it, sometimes none.
        if end % 3 == 1 {
            world.down(&mut uncut);
        } else if end % 3 == 2 {
            let said = world.host.say();
            world.hear_from_server(&said[..said.len() / 2]);
        }
        world.client.keep(lent);
        let before = world.host.server.stats().executed;
        world.come_back(keeping());
        world.round();
        assert_eq!(world.client.done(), number, "lost after {end} bytes");
        assert_eq!(world.host.server.stats().executed + before, REQUESTS, "lost after {end} bytes");
        assert!(world.host.display == whole.host.display, "lost after {end} bytes");
        assert!(world.client.poll_transmit().is_empty());
    }
}

#[test]
fn an_image_that_is_given_up_after_any_byte_is_drawn_once_even_if_the_connection_is_lost_behind_it() {
    const OTHER: Request<'static> =
        Request::FillRect { x: 5, y: 6, width: 3, height: 150, color: Color::BLUE };
    let rgba = rgba();
    let mut whole = in_session();
    whole.call(&image(&rgba));
    let image_length = whole.client.unsent();
    whole.call(&OTHER);
    let length = whole.client.unsent();
    whole.round();
    for end in 0..=image_length {
        let mut world = in_session();
        let now = world.host.now;
        let (_, mut lent) = world.client.call_lending(&image(&rgba), now).unwrap();
        let sent = send(&mut world.client, &mut lent, 3000, end);
        // Sometimes the network loses everything after some byte.
        let is_whole = end % 3 > 0;
        world.host.hear(&sent[..if is_whole { end } else { end / 2 }]);
        if end % 2 == 0 {
            world.down(&mut uncut);
        }
        world.client.keep(lent);
        let number = world.call(&OTHER);
        // Sending continues as if the image had been copied. The connection is lost after some or all of the rest.
        let rest = world.client.poll_transmit().to_vec();
        assert_eq!(sent.len() + rest.len(), length, "given up after {end} bytes");
        let more = end * 7919 % (rest.len() + 1);
        world.client.handle_transmitted(more);
        world.host.hear(&rest[..if is_whole { more } else { 0 }]);
        let before = world.host.server.stats().executed;
        world.come_back(keeping());
        world.round();
        assert_eq!(world.client.done(), number, "given up after {end} bytes");
        assert_eq!(world.host.server.stats().executed + before, REQUESTS + 1, "given up after {end} bytes");
        assert!(world.host.display == whole.host.display, "given up after {end} bytes, lost {more} later");
    }
}

#[test]
fn what_is_called_for_while_there_is_no_connection_is_copied() {
    let (mut world, rgba) = (in_session(), rgba());
    world.client.handle_disconnected(Vec::new());
    let now = world.host.now;
    let (number, lent) = world.client.call_lending(&image(&rgba), now).unwrap();
    assert!(lent.is_empty());
    world.come_back(keeping());
    world.round();
    assert_eq!((world.client.done(), world.host.server.stats().executed), (number, REQUESTS));
}

#[test]
fn what_was_copied_and_is_mostly_sent_is_kept_once() {
    let size = Size { width: 200, height: 500 };
    let config = || server::Config { size, ..keeping() };
    let rgba: Vec<u8> = (0..400_000).map(|i| (i % 251) as u8).collect();
    let image = Request::PutImage { x: 0, y: 0, width: 200, height: 500, rgba: &rgba };
    let client = Connection::new(&Hello::new("demo").with_session(Id([9; 16])));
    let mut world = World { client, ..World::with(config()) }.greeted();
    let number = world.call(&image);
    // More than the size of a buffer that is always kept, and more than the rest.
    world.client.handle_transmitted(300_000);
    let mut rest = world.client.poll_transmit().len();
    world.client.handle_transmitted(rest / 3);
    rest -= rest / 3;
    assert_eq!(world.client.poll_transmit().len(), rest);
    world.come_back(config());
    world.round();
    assert_eq!((world.client.done(), world.client.in_flight()), (number, 0));
    let drawn = world.host.display.apply(&Request::GetImage { x: 0, y: 0, width: 200, height: 500 });
    assert!(drawn == Ok(Answer::Image(rgba)));
}
