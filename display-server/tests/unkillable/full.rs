//! Tests a display with a full disk: calls are rejected and never executed, reads are answered, and all clients
//! continue once there is room, also after a kill.

use crate::check_row;
use crate::client::{Connected, Remembering};
use crate::history::{Answer, Call};
use crate::processes::{Directory, PATIENCE, Server, free_port, lift_limit};
use draw_client::blocking::Display;
use draw_client::{Code, Color, ConnectOptions, Digest, Outcome, Size, digest_of_image};
use std::os::unix::fs::MetadataExt;
use std::sync::mpsc::channel;

const SIZE: &str = "64x4";

/// Blocks of 512 bytes to which the journal is limited at first.
const BLOCKS: u64 = 64;

#[test]
fn a_full_disk_rejects_what_is_drawn_and_everything_else_is_there_once() {
    for waits in [false, true] {
        let (directory, port) = (Directory::new(&format!("full-{waits}")), free_port());
        let (journal, address) = (directory.path("journal"), format!("127.0.0.1:{port}"));
        let server = Server::start_limited(&journal, port, SIZE, BLOCKS);
        let (tell, told) = channel();
        let connected = if waits {
            Connected::Waits(ConnectOptions::new().timeout(PATIENCE).connect_blocking(&address).unwrap())
        } else {
            let options = ConnectOptions::new().timeout(PATIENCE).reconnect(PATIENCE);
            let options = options.on_error(move |late| tell.send(late).unwrap());
            Connected::GoesOn(options.connect_pipeline(&address).unwrap())
        };
        let mut client = Remembering::new(connected);
        let is_refused = |(call, answer)| call != Call::Outside && answer == Some(Answer::Rejected);
        assert!((0..10_000).any(|_| is_refused(client.call())), "it is full");
        let length = std::fs::metadata(journal.join("journal-0000000000000001")).unwrap().len();
        assert!(client.made.len() > 100 && length <= 512 * BLOCKS, "there was room for some: {length} bytes");

        // Calls that change the picture are rejected with the reason; all others are answered.
        let other = Display::connect(&address).unwrap();
        let refused = other.add_pixel(0, 3, 1).expect_err("there is no room");
        assert_eq!(refused.outcome(), Outcome::Rejected);
        assert_eq!(refused.fault().map(|fault| &fault.code), Some(&Code::NoSpace), "{refused}");
        assert!(refused.to_string().contains("the journal cannot be written"), "{refused}");
        for _ in 0..100 {
            match client.call() {
                (Call::Get(_), answer) => assert!(matches!(answer, Some(Answer::Read(_))), "{answer:?}"),
                (call, answer) => assert_eq!(answer, Some(Answer::Rejected), "{call}"),
            }
        }

        // A kill in this state loses nothing, and changes nothing.
        drop(server);
        let server = Server::start_limited(&journal, port, SIZE, BLOCKS);
        assert!((0..10_000).any(|_| is_refused(client.call())), "it is full again");
        lift_limit(&server.process);
        call_as_ever(&mut client);
        drop(server);
        let _server = Server::start(&journal, port, SIZE);
        call_as_ever(&mut client);
        let other = Display::connect(&address).unwrap();
        assert_eq!(*check_row(&client.made, &other, 0).end(), client.made.len());
        assert_eq!(other.get_pixel(0, 3).unwrap(), Color::BLACK, "what was rejected is not there");
        assert!(told.try_recv().is_err(), "whoever waited was told, and nobody else");
    }
}

/// Makes calls, and checks that exactly those outside of the display are rejected.
fn call_as_ever(client: &mut Remembering) {
    for _ in 0..100 {
        let made = client.call();
        assert_eq!(made.0 == Call::Outside, made.1 == Some(Answer::Rejected), "{made:?}");
    }
}

fn digest(display: &Display) -> Digest {
    let (Size { width, height }, at) = (display.size(), (0, 0));
    let digest = display.get_digest(at.0, at.1, width, height).unwrap();
    assert_eq!(digest, digest_of_image(&display.get_image(at.0, at.1, width, height).unwrap()));
    digest
}

#[test]
fn started_while_full_it_shows_all_that_there_was_and_goes_on_when_there_is_room() {
    let (directory, port) = (Directory::new("full-start"), free_port());
    let (journal, address) = (directory.path("journal"), format!("127.0.0.1:{port}"));
    let mut server = Server::start_limited(&journal, port, SIZE, BLOCKS);
    let options = ConnectOptions::new().timeout(PATIENCE).reconnect(PATIENCE);
    let mut client = Remembering::new(Connected::GoesOn(options.connect_pipeline(&address).unwrap()));
    let is_refused = |(call, answer)| call != Call::Outside && answer == Some(Answer::Rejected);
    assert!((0..10_000).any(|_| is_refused(client.call())), "it is full");
    let before = digest(&Display::connect(&address).unwrap());

    for _ in 0..2 {
        drop(server);
        // Not even the first byte of another file can be written.
        server = Server::start_limited(&journal, port, SIZE, 0);
        server.expect("the display is read-only until there is");
        let other = Display::connect(&address).unwrap();
        assert_eq!((digest(&other), other.get_mouse().unwrap()), (before, None));
        other.sync().unwrap();
        let refused = other.add_pixel(0, 3, 1).expect_err("there is no room");
        assert_eq!(refused.outcome(), Outcome::Rejected);
        assert_eq!(refused.fault().map(|fault| &fault.code), Some(&Code::NoSpace), "{refused}");
        for _ in 0..50 {
            match client.call() {
                (Call::Get(_), answer) => assert!(matches!(answer, Some(Answer::Read(_))), "{answer:?}"),
                (call, answer) => assert_eq!(answer, Some(Answer::Rejected), "{call}"),
            }
        }
        assert_eq!(digest(&other), before, "what was rejected is not there");
    }

    lift_limit(&server.process);
    call_as_ever(&mut client);
    server.expect("the display accepts drawing again");
    let after = digest(&Display::connect(&address).unwrap());
    assert_ne!(after, before);
    drop(server);
    let _server = Server::start(&journal, port, SIZE);
    let other = Display::connect(&address).unwrap();
    assert_eq!(digest(&other), after);
    call_as_ever(&mut client);
    assert_eq!(*check_row(&client.made, &other, 0).end(), client.made.len());
}

#[test]
fn a_display_that_has_no_room_for_its_snapshot_ends_in_order() {
    let (directory, port) = (Directory::new("full-end"), free_port());
    let journal = directory.path("journal");
    // The picture takes twice as much.
    let server = Server::start_limited(&journal, port, SIZE, 1);
    let display = Display::connect(&server.address).unwrap();
    display.draw_pixel(1, 2, Color::RED).unwrap();
    assert!(server.end().success(), "a write beyond the limit would have been its end");
    let server = Server::start(&journal, port, SIZE);
    assert_eq!(Display::connect(&server.address).unwrap().get_pixel(1, 2).unwrap(), Color::RED);
}

#[test]
fn what_a_killed_display_had_set_aside_is_room_for_the_next() {
    let (directory, port) = (Directory::new("full-aside"), free_port());
    let journal = directory.path("journal");
    let server = Server::start(&journal, port, SIZE);
    Display::connect(&server.address).unwrap().draw_pixel(1, 2, Color::RED).unwrap();
    let taken = || std::fs::metadata(journal.join("journal-0000000000000001")).unwrap().blocks() * 512;
    let before = taken();
    drop(server);
    let server = Server::start(&journal, port, SIZE);
    // A block or a few, even if no space could be reserved.
    assert!(taken() <= before.min(64 << 10), "{} bytes of {before}", taken());
    assert!(server.end().success());
}
