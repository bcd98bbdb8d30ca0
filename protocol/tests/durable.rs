//! Output that a server holds back until the state it reports is on disk.

mod common;

use common::{Host, Raw, SIZE, Told, World};
use draw_protocol::client::Ended;
use draw_protocol::server::{self, Step};
use draw_protocol::session::Id;
use draw_protocol::{Answer, Code, Color, Fault, Hello, Request, client, limits};

const DRAW: Request<'_> = Request::DrawPixel { x: 1, y: 2, color: Color::RED };
const OUTSIDE: Request<'_> = Request::DrawPixel { x: 700, y: 2, color: Color::RED };

/// Returns a greeted client, with `durable` set as given.
fn world(is_durable: bool) -> World {
    let mut world = World::silent(SIZE);
    world.client = client::Connection::new(&Hello::new("demo").with_durability(is_durable));
    world.greeted()
}

/// Makes the calls, each as a request of its own, and lets the server execute them.
fn execute(world: &mut World, requests: &[Request<'_>]) {
    for request in requests {
        world.call(request);
        let sent = send(world);
        world.host.hear(&sent);
    }
}

/// Returns the bytes that the client sends.
fn send(world: &mut World) -> Vec<u8> {
    let sent = world.client.poll_transmit().to_vec();
    world.client.handle_transmitted(sent.len());
    sent
}

/// Carries the server's released output to the client, and returns the number of calls that are done.
fn hear(world: &mut World) -> u64 {
    let said = world.host.say_released();
    world.hear_from_server(&said);
    world.client.done()
}

#[test]
fn a_durable_client_hears_of_nothing_that_is_not_on_the_disk() {
    let mut world = world(true);
    assert!(world.host.server.is_durable() && !world.host.server.is_held());
    execute(&mut world, &[DRAW, OUTSIDE, Request::GetPixel { x: 1, y: 2 }, DRAW]);
    assert!(world.host.server.is_held());
    assert_eq!((hear(&mut world), world.told.len()), (0, 0));
    assert!(world.host.server.mark());
    assert_eq!(hear(&mut world), 0, "it is marked, and the disk has not said anything");
    world.host.server.release();
    assert_eq!(hear(&mut world), 4);
    assert!(matches!(&world.told[..], [Told::Fault(2, ..), Told::Answer(3, Answer::Pixel(Color::RED))]));
    assert!(!world.host.server.is_held() && !world.host.server.mark());
}

#[test]
fn what_is_said_after_the_mark_waits_for_the_next_and_nobody_starves() {
    let mut world = world(true);
    execute(&mut world, &[DRAW, DRAW]);
    for round in 1..100 {
        assert!(world.host.server.mark());
        // The client never pauses: new output waits whenever the disk has caught up.
        execute(&mut world, &[DRAW, OUTSIDE]);
        assert!(!world.host.server.mark(), "what was marked waits");
        world.host.server.release();
        assert_eq!(hear(&mut world), 2 * round);
    }
}

#[test]
fn sync_durable_holds_back_its_answer_and_nothing_before_it() {
    let mut world = world(false);
    execute(&mut world, &[DRAW, OUTSIDE, DRAW, Request::SyncDurable {}]);
    assert_eq!(hear(&mut world), 3, "what was done before is said at once");
    execute(&mut world, &[DRAW]);
    assert_eq!(hear(&mut world), 3);
    assert!(world.host.server.mark());
    execute(&mut world, &[DRAW, Request::SyncDurable {}, DRAW]);
    world.host.server.release();
    assert_eq!(hear(&mut world), 5);
    assert!(world.host.server.mark(), "the second was asked for after the mark");
    world.host.server.release();
    assert_eq!(hear(&mut world), 8);
    execute(&mut world, &[DRAW]);
    assert_eq!(hear(&mut world), 9, "nothing is held any more");
}

#[test]
fn a_plain_client_asks_as_any_other() {
    let mut host = Host::new(SIZE);
    let request = |number, method| Raw::request(number, method).bytes(&[0x90]).0;
    host.hear(&request(7, "get_size"));
    host.hear(&request(8, "sync_durable"));
    host.hear(&request(9, "sync"));
    assert_eq!(host.say_released(), [0x94, 1, 7, 0xc0, 0x92, 0xcd, 2, 0x80, 0xcd, 1, 0xe0]);
    assert!(host.server.mark());
    host.server.release();
    assert_eq!(host.say_released(), [0x94, 1, 8, 0xc0, 0xc0, 0x94, 1, 9, 0xc0, 0xc0]);
}

#[test]
fn bytes_that_were_released_go_in_pieces_and_the_rest_stays() {
    let mut world = world(true);
    execute(&mut world, &[Request::GetSize {}; 3]);
    assert!(world.host.server.mark());
    execute(&mut world, &[Request::GetSize {}; 2]);
    world.host.server.release();
    assert!(world.host.server.mark());
    let mut said = Vec::new();
    while let Some(&byte) = world.host.server.poll_transmit(world.host.now).first() {
        said.push(byte);
        world.host.server.handle_transmitted(1, world.host.now);
    }
    world.hear_from_server(&said);
    assert_eq!(world.client.done(), 3);
    world.host.server.release();
    assert_eq!(hear(&mut world), 5);
}

#[test]
fn a_slow_disk_is_no_fault_of_the_client_s() {
    let mut world = world(true);
    execute(&mut world, &[Request::GetSize {}]);
    assert!(world.host.server.mark());
    hear(&mut world);
    world.host.pass(2 * limits::STALLED);
    assert_eq!((world.host.server.closing(), world.host.server.poll_timeout()), (None, None));
    world.host.server.release();
    assert!(!world.host.server.poll_transmit(world.host.now).is_empty());
    // The stall timeout applies to released output.
    world.host.pass(limits::STALLED);
    assert_eq!(world.host.server.closing().map(|fault| &fault.code), Some(&Code::TooSlow));
}

#[test]
fn what_the_disk_refused_is_never_said_and_the_reason_is() {
    for is_durable in [true, false] {
        let mut world = world(is_durable);
        execute(&mut world, &[DRAW]);
        while world.host.server.mark() {
            world.host.server.release();
        }
        execute(&mut world, &[Request::SyncDurable {}, DRAW, OUTSIDE]);
        world.host.server.mark();
        execute(&mut world, &[DRAW]);
        world.host.server.forget_held();
        world.host.server.close(Fault::new(Code::ShuttingDown, "a bad sector"));
        assert_eq!(hear(&mut world), 1);
        assert_eq!(world.told, []);
        assert_eq!(world.client.goodbye().map(|fault| &*fault.message), Some("a bad sector"));
    }
}

#[test]
fn a_display_without_a_journal_refuses_both_by_name() {
    let mut world = World::with(server::Config { has_journal: false, ..common::config(SIZE) }).greeted();
    execute(&mut world, &[DRAW, Request::SyncDurable {}, DRAW]);
    assert_eq!(hear(&mut world), 3, "the connection goes on");
    let [Told::Fault(2, _, Code::NoJournal, text, _)] = &world.told[..] else { panic!("{:?}", world.told) };
    assert!(text.contains("start it with `display-server --journal DIR`"), "{text}");

    let mut host = Host::with(server::Config { has_journal: false, ..common::config(SIZE) });
    let mut client = client::Connection::new(&Hello::new("demo").with_durability(true));
    let said = host.ask(client.poll_transmit());
    let ended = client.handle_input(&mut &said[..], host.now).expect_err("it is refused");
    let Ended::Refused(fault) = ended else { panic!("{ended}") };
    assert_eq!(fault.code, Code::NoJournal);
    assert!(fault.message.contains("--journal DIR"), "{fault}");
    assert_eq!(host.server.closing(), None, "it may go on without");
}

/// Returns a client with a session, and the configuration of its display, which has a journal.
fn with_session(is_durable: bool) -> (World, server::Config) {
    let config = server::Config { instance: Some((Id([2; 16]), 1)), ..common::config(SIZE) };
    let mut world = World::with(config.clone());
    let hello = Hello::new("demo").with_session(Id([1; 16])).with_durability(is_durable);
    world.client = client::Connection::new(&hello);
    (world, config)
}

/// Loses the connection and reconnects the client. The state that the server's answer reports is not on disk.
fn come_back(world: &mut World, config: server::Config) {
    let mut found = world.host.server.take_session().map(|(_, session)| session);
    world.client.handle_disconnected(Vec::new());
    world.client.reconnect(false);
    let hello = send(world);
    world.host.server = server::Connection::new(config, world.host.now);
    let step = world.host.server.handle_input(&mut &hello[..], world.host.now);
    assert!(matches!(step, Step::Resume(_)));
    world.host.server.resume(&mut found);
}

#[test]
fn a_session_that_begins_and_one_that_vouches_are_stored_before_they_are_told_of() {
    // Whether the client is durable, whether it calls `sync_durable`, and whether the answer to `hello` then waits.
    for (is_durable, asks, waits) in [(false, false, false), (false, true, true), (true, false, true)] {
        let (mut world, config) = with_session(is_durable);
        let hello = send(&mut world);
        world.host.hear(&hello);
        assert_eq!(world.host.say_released(), [], "a session that begins");
        let welcome = world.host.say();
        world.hear_from_server(&welcome);
        execute(&mut world, &[DRAW]);
        if asks {
            execute(&mut world, &[Request::SyncDurable {}]);
        }
        // The client has received none of the answers.
        come_back(&mut world, config.clone());
        assert_eq!(world.host.say_released().is_empty(), waits, "{is_durable} {asks}");
        if waits {
            assert!(world.host.server.mark());
            world.host.server.release();
            assert_eq!(hear(&mut world), if asks { 2 } else { 1 });
        }
    }
}

#[test]
fn an_answer_that_was_heard_keeps_nobody_waiting() {
    let (mut world, config) = with_session(false);
    world = world.greeted();
    execute(&mut world, &[DRAW, Request::SyncDurable {}]);
    let said = world.host.say();
    world.hear_from_server(&said);
    execute(&mut world, &[DRAW]);
    come_back(&mut world, config);
    assert_eq!(hear(&mut world), 3);
}

#[test]
fn a_client_that_comes_back_is_as_durable_as_it_was() {
    let (world, config) = with_session(true);
    let mut world = world.greeted();
    for _ in 0..3 {
        execute(&mut world, &[DRAW]);
        come_back(&mut world, config.clone());
        assert!(world.host.server.is_durable());
        let said = world.host.say();
        world.hear_from_server(&said);
    }
    assert_eq!(world.client.done(), 3);
}
