//! A server of several displays: the first message chooses one.

mod common;

use common::{SIZE, config};
use draw_protocol::client::{self, Ended, Event};
use draw_protocol::server::{self, Config, Connection, Step};
use draw_protocol::session::Id;
use draw_protocol::{Code, DisplayName, Fault, Hello, Request, Size, limits};
use std::time::Instant;

const NAMES: [&str; 2] = ["main", "plots"];

fn name(text: &str) -> DisplayName {
    text.parse().expect("a name")
}

/// A server state machine whose caller has two displays: one of 640x480 named main, and one of 8x4 named plots without
/// a journal.
struct Host {
    server: Connection,
    /// The display names that the first messages requested.
    asked: Vec<Option<String>>,
    executed: Vec<String>,
    now: Instant,
}

impl Host {
    fn new() -> Host {
        let now = Instant::now();
        let server = Connection::open(limits::MESSAGE, now);
        Host { server, asked: Vec::new(), executed: Vec::new(), now }
    }

    fn find(asked: Option<&str>) -> Result<Config, Fault> {
        match asked {
            None | Some("main") => Ok(config(SIZE)),
            Some("plots") => Ok(Config {
                display: name("plots"),
                instance: Some((Id([8; 16]), 3)),
                has_journal: false,
                ..config(Size { width: 8, height: 4 })
            }),
            Some(other) => Err(Fault::unknown_display(other, NAMES)),
        }
    }

    /// Passes bytes to the server in pieces of `cut` bytes, and returns its output.
    fn ask(&mut self, bytes: &[u8], cut: usize) -> Vec<u8> {
        for piece in bytes.chunks(cut) {
            let mut input = piece;
            loop {
                match self.server.handle_input(&mut input, self.now) {
                    Step::Greet(greeting) => {
                        let asked = greeting.display.map(str::to_owned);
                        assert!(!self.server.wants_input(), "nothing is taken in before it is chosen");
                        self.server.choose(Host::find(asked.as_deref()));
                        self.asked.push(asked);
                    }
                    Step::Execute(request, _) => {
                        self.executed.push(request.call().to_string());
                        self.server.answer(Ok(draw_protocol::Answer::Done(())));
                    }
                    Step::Resume(_) => self.server.resume(&mut None),
                    Step::Continue => {}
                    Step::Wait => break,
                }
            }
        }
        let said = self.server.poll_transmit(self.now).to_vec();
        self.server.handle_transmitted(said.len(), self.now);
        said
    }
}

/// Returns a client that sends `hello` to `host`, and its first event.
fn greet(hello: &Hello, host: &mut Host) -> (client::Connection, Result<Event, Ended>) {
    let mut client = client::Connection::new(hello);
    let sent = client.poll_transmit().to_vec();
    client.handle_transmitted(sent.len());
    let said = host.ask(&sent, 7);
    let told = client.handle_input(&mut &said[..], host.now).map(|event| event.expect("it is answered"));
    (client, told)
}

#[test]
fn a_client_gets_the_display_that_it_names_and_is_told_its_name() {
    for (asked, size) in [("plots", "8x4"), ("main", "640x480")] {
        let mut host = Host::new();
        let (client, told) = greet(&Hello::new("a").with_display(Some(name(asked))), &mut host);
        assert!(matches!(told, Ok(Event::Welcome)), "{told:?}");
        let welcome = client.welcome().expect("it was welcomed");
        assert_eq!((welcome.size().to_string(), welcome.display.as_deref()), (size.into(), Some(asked)));
        assert_eq!(host.asked, [Some(asked.to_owned())]);
    }
}

#[test]
fn a_client_that_names_none_gets_the_first_and_the_bytes_that_it_always_got() {
    let mut host = Host::new();
    let mut hello = client::Connection::new(&Hello::new("old"));
    let hello = hello.poll_transmit().to_vec();
    let told = host.ask(&hello, usize::MAX);
    assert_eq!(host.asked, [None]);
    let mut single = Connection::new(config(SIZE), host.now);
    _ = single.handle_input(&mut &hello[..], host.now);
    assert_eq!(told, single.poll_transmit(host.now));
    assert!(!told.windows(7).any(|bytes| bytes == b"display"));
}

#[test]
fn a_plain_connection_gets_the_first_and_loses_nothing_of_what_it_said() {
    let fill = [0; 9000];
    let mut image = Vec::new();
    image.extend_from_slice(b"\x94\x00\x05\xa9put_image\x95\x00\x00\xcd\x08\xca\x01\xc5\x23\x28");
    image.extend_from_slice(&fill);
    let sync = b"\x94\x00\x06\xa4sync\x90";
    for first in [&image[..], b"\x93\x02\xa5clear\x91\x01", sync] {
        let bytes = [first, sync].concat();
        for cut in [1, 2, 5, 4096, 8999, usize::MAX] {
            let mut host = Host::new();
            let said = host.ask(&bytes, cut);
            assert_eq!((&host.asked[..], host.executed.len()), (&[None][..], 2), "{cut}");
            assert!(said.ends_with(b"\x94\x01\x06\xc0\xc0"));
            assert!(host.server.closing().is_none() && !host.server.is_mid_message());
        }
    }
}

#[test]
fn a_plain_call_with_a_check_is_still_compared_with_it_after_the_choice() {
    let mut client = client::Connection::new(&Hello::new("a").with_checks(true));
    let hello = client.poll_transmit().to_vec();
    let sync = b"\x94\x00\x06\xa4sync\x90";
    let digest = xxhash_rust::xxh3::xxh3_64(sync).to_be_bytes();
    for (digest, executed) in [(digest, 1), ([7; 8], 0)] {
        for cut in [3, usize::MAX] {
            let mut host = Host::new();
            host.ask(&[&b"\x93\x02\xa5check\x91\xcf"[..], &digest, sync].concat(), cut);
            assert_eq!((host.executed.len(), host.server.closing().is_some()), (executed, executed == 0));
        }
    }
    assert!(hello.starts_with(b"\x93\x02\xa5check"));
}

#[test]
fn an_unknown_display_is_refused_with_the_names_and_another_may_be_asked_for() {
    let mut host = Host::new();
    let mut hello = Hello::new("a");
    hello.display = Some("Plot\u{1b}s".repeat(40));
    let (_, told) = greet(&hello, &mut host);
    let Err(Ended::Refused(fault)) = told else { panic!("{told:?}") };
    assert_eq!(fault.code, Code::UnknownDisplay);
    assert!(fault.message.ends_with("; its displays are main, plots"), "{fault}");
    assert!(fault.message.contains("\"...; its"), "a name that is cut is marked: {fault}");
    assert!(fault.message.len() < 300 && !fault.message.contains('\u{1b}'), "{fault}");
    assert!(host.server.closing().is_none());
    let (client, _) = greet(&Hello::new("a").with_display(Some(name("plots"))), &mut host);
    assert_eq!(client.welcome().and_then(|welcome| welcome.display.as_deref()), Some("plots"));
    assert_eq!(host.asked.len(), 2);
}

#[test]
fn a_hello_that_is_refused_for_another_reason_may_be_followed_by_one_for_another_display() {
    let mut host = Host::new();
    let durable = Hello::new("a").with_display(Some(name("plots"))).with_durability(true);
    let (_, told) = greet(&durable, &mut host);
    assert!(matches!(&told, Err(Ended::Refused(fault)) if fault.code == Code::NoJournal), "{told:?}");
    let (client, _) = greet(&Hello::new("a"), &mut host);
    assert_eq!(client.welcome().map(|welcome| welcome.width), Some(640));
}

#[test]
fn a_machine_that_has_its_display_refuses_another_name() {
    let now = Instant::now();
    for (asked, is_there) in [("main", true), ("plots", false)] {
        let mut server = Connection::new(config(SIZE), now);
        let mut client = client::Connection::new(&Hello::new("a").with_display(Some(name(asked))));
        assert!(matches!(server.handle_input(&mut client.poll_transmit(), now), Step::Continue));
        let told = client.handle_input(&mut server.poll_transmit(now), now);
        match told {
            Ok(Some(Event::Welcome)) => assert!(is_there),
            Err(Ended::Refused(fault)) => {
                assert!(!is_there && fault.message.ends_with("its only display is main"), "{fault}");
            }
            told => panic!("{told:?}"),
        }
    }
}

#[test]
fn a_display_that_is_refused_closes_a_plain_connection() {
    let now = Instant::now();
    let mut server = Connection::open(limits::MESSAGE, now);
    let mut input = &b"\x94\x00\x07\xa4sync\x90"[..];
    assert!(
        matches!(server.handle_input(&mut input, now), Step::Greet(greeting) if greeting.display.is_none())
    );
    server.choose(Err(Fault::new(Code::Busy, "later")));
    assert!(matches!(server.handle_input(&mut input, now), Step::Wait));
    assert!(server.closing().is_some());
    assert!(server.poll_transmit(now).starts_with(b"\x94\x01\x07\x92\x00\xabbusy: later"));
}

#[test]
fn what_was_asked_of_the_host_is_answered_once_and_a_choice_that_nobody_asked_for_changes_nothing() {
    let now = Instant::now();
    let mut server = Connection::open(limits::MESSAGE, now);
    server.choose(Err(Fault::new(Code::Busy, "nobody asked")));
    let mut client = client::Connection::new(&Hello::new("a").with_session(Id([1; 16])));
    let hello = client.poll_transmit().to_vec();
    let mut input = &hello[..];
    assert!(matches!(server.handle_input(&mut input, now), Step::Greet(_)));
    assert!(matches!(server.handle_input(&mut input, now), Step::Wait), "it waits to be told");
    server.choose(Ok(Config { instance: Some((Id([2; 16]), 1)), ..config(SIZE) }));
    assert!(matches!(server.handle_input(&mut input, now), Step::Resume(_)));
    server.choose(Err(Fault::new(Code::Busy, "nobody asks any more")));
    server.resume(&mut None);
    assert!(server.session().is_some() && server.closing().is_none());
    // The server shuts down while the display is being chosen.
    let mut server = Connection::open(limits::MESSAGE, now);
    assert!(matches!(server.handle_input(&mut &hello[..], now), Step::Greet(_)));
    server.close(Fault::new(Code::ShuttingDown, "it ends"));
    server.choose(Ok(config(SIZE)));
    assert!(matches!(server.handle_input(&mut &[][..], now), Step::Wait));
    assert_eq!(server.session(), None);
}

#[test]
fn a_client_that_asks_for_a_name_fails_at_a_server_that_ignores_it_and_one_that_does_not_works() {
    let now = Instant::now();
    for asked in [None, Some(name("plots"))] {
        // A server without display names answers as a server of one display answers a hello without a name.
        let mut old = client::Connection::new(&Hello::new("a"));
        let mut server = server::Connection::new(config(SIZE), now);
        _ = server.handle_input(&mut old.poll_transmit(), now);
        let welcome = server.poll_transmit(now).to_vec();
        let mut client = client::Connection::new(&Hello::new("a").with_display(asked.clone()));
        let told = client.handle_input(&mut &welcome[..], now);
        match asked {
            None => assert!(matches!(told, Ok(Some(Event::Welcome)))),
            Some(_) => {
                let Err(ended @ Ended::OneDisplay(_)) = told else { panic!("{told:?}") };
                assert!(ended.to_string().contains("\"plots\"") && ended.to_string().contains("is older"));
                assert!(client.welcome().is_none() && client.call(&Request::Sync {}, now).is_err());
            }
        }
    }
}

#[test]
fn a_server_that_names_another_display_than_was_asked_for_is_not_believed() {
    let mut host = Host::new();
    let mut plots = client::Connection::new(&Hello::new("a").with_display(Some(name("plots"))));
    let welcome = host.ask(plots.poll_transmit(), 100);
    let mut client = client::Connection::new(&Hello::new("a").with_display(Some(name("main"))));
    let told = client.handle_input(&mut &welcome[..], host.now);
    assert!(matches!(told, Err(Ended::Violation(_))), "{told:?}");
}
