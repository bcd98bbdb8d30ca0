//! The trace of a conversation with checksums: the same lines as without, until a message is corrupted.

mod common;

use common::{SIZE, World, pieces};
use draw_protocol::client::Connection;
use draw_protocol::session::Id;
use draw_protocol::trace::{Direction, Entry, Said, Tracer};
use draw_protocol::{Checksum, Color, Hello, Request, server};
use std::time::Instant;

use Direction::{ToClient, ToDisplay};

const KINDS: [Checksum; 2] = [Checksum::Xxh3, Checksum::Crc32];

type Passed = Vec<(Direction, Vec<u8>)>;

/// Returns the bytes of a greeting and some calls, one of which fails.
fn conversation(checksum: Option<Checksum>) -> Passed {
    let mut world = World::silent(SIZE);
    let hello = Hello::new("demo");
    world.client = Connection::new(&checksum.map_or(hello.clone(), |kind| hello.with_checksum(kind)));
    let (image, mut passed) = (vec![9; 300 * 30 * 4], Passed::new());
    let clear = Request::Clear { color: Color::WHITE };
    let steps = [
        vec![],
        vec![clear, Request::PutImage { x: 0, y: 0, width: 300, height: 30, rgba: &image }],
        vec![clear, Request::FillRect { x: 700, y: 0, width: 2, height: 2, color: Color::BLUE }, clear],
        vec![Request::GetImage { x: 0, y: 0, width: 300, height: 30 }, Request::GetPixel { x: 0, y: 0 }],
    ];
    for calls in steps {
        calls.iter().for_each(|call| _ = world.call(call));
        world.round();
        passed.push((ToDisplay, std::mem::take(&mut world.to_server)));
        passed.push((ToClient, std::mem::take(&mut world.to_client)));
    }
    world.client.poll_transmit();
    passed
}

fn trace(passed: &Passed, mut cut: impl FnMut() -> usize) -> (Tracer, Vec<Entry>) {
    let start = Instant::now();
    let (mut tracer, mut entries) = (Tracer::new(1, start), Vec::new());
    for (direction, bytes) in passed {
        for mut piece in pieces(bytes, &mut cut) {
            while let Some(entry) = tracer.handle_input(*direction, &mut piece, start) {
                entries.push(entry);
            }
        }
    }
    (tracer, entries)
}

fn lines(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| entry.to_string().replace(", checks: true", "")).collect()
}

#[test]
fn checks_are_no_lines_of_their_own_wherever_the_bytes_are_cut() {
    KINDS.into_iter().for_each(are_no_lines);
}

fn are_no_lines(kind: Checksum) {
    let (plain, checked) = (conversation(None), conversation(Some(kind)));
    let (_, wanted) = trace(&plain, common::uncut);
    let hello = "-> 0 hello({version: 1, client: \"demo\", checks: true})";
    for most in [1, 2, 5, 17, 18, 19, 100, usize::MAX] {
        let (tracer, entries) = trace(&checked, || most);
        assert!(entries[0].to_string().ends_with(hello), "{}", entries[0]);
        assert_eq!(lines(&entries), lines(&wanted), "at most {most} at once");
        assert!(tracer.memory() < 16 << 10);
        // The length of a message includes its check.
        let lengths = |entries: &[Entry]| entries[2..].iter().map(|entry| entry.length).sum::<u64>();
        assert_eq!(lengths(&entries), lengths(&wanted) + 18 * (entries.len() as u64 - 2));
    }
    let (_, entries) = trace(&checked, common::uncut);
    let full = entries[3].full().to_string();
    let shown: Vec<_> = full.lines().skip(1).map(str::trim).collect();
    let name = kind.name().bytes().map(|byte| format!("{byte:02x} ")).collect::<String>();
    assert!(
        shown[0].starts_with(&format!("93 02 a5 {name}91 cf ")) && shown[0].len() == 18 * 3 - 1,
        "{full}"
    );
    assert!(shown[1].starts_with("94 00 02 a9 70 75 74 5f"), "{full}");
    assert_eq!(shown.last(), Some(&"and 35767 bytes more"), "{full}");
}

#[test]
fn a_session_that_goes_on_is_understood_from_its_first_request_on() {
    let mut config = common::config(SIZE);
    config.instance = Some((Id([1; 16]), 1));
    let mut world = World::with(config.clone());
    world.client = Connection::new(&Hello::new("demo").with_session(Id([3; 16])).with_checks(true));
    let mut world = world.greeted();
    let clear = Request::Clear { color: Color::WHITE };
    (0..5).for_each(|_| _ = world.call(&clear));
    world.round();
    // Request 6 is sent again, on the second connection.
    world.call(&Request::GetSize {});
    world.client.poll_transmit();
    let mut session = world.host.server.take_session().map(|(_, session)| session);
    world.client.handle_disconnected(Vec::new());
    world.client.reconnect(false);
    world.host.server = server::Connection::new(config, world.host.now);
    let mut passed = Passed::new();
    for _ in 0..2 {
        let sent = world.client.poll_transmit().to_vec();
        world.client.handle_transmitted(sent.len());
        let mut input = &sent[..];
        if session.is_some() {
            let step = world.host.server.handle_input(&mut input, world.host.now);
            assert!(matches!(step, server::Step::Resume(_)));
            world.host.server.resume(&mut session);
        }
        world.host.hear(input);
        let said = world.host.say();
        world.hear_from_server(&said);
        passed.extend([(ToDisplay, sent), (ToClient, said)]);
        (0..2).for_each(|_| _ = world.call(&clear));
        world.call(&Request::GetSize {});
    }
    let lines = lines(&trace(&passed, common::uncut).1);
    assert!(lines.iter().any(|line| line.contains("<- 6 get_size: 640x480 (0.000 ms)")), "{lines:#?}");
    assert!(
        lines.iter().any(|line| line.contains("<- 9 get_size: 640x480 (0.000 ms, 2 before it done)")),
        "{lines:#?}"
    );
}

#[test]
fn a_message_that_was_altered_is_told_and_nothing_behind_it() {
    KINDS.into_iter().for_each(is_told);
}

fn is_told(kind: Checksum) {
    let wrong = "altered on its way: it is not what its check says; what follows is not traced";
    let checked = conversation(Some(kind));
    let honest = lines(&trace(&checked, common::uncut).1);
    // Flips a bit in the image sent, in the image answered, and in the hello. The other direction is still traced.
    for (at, bit) in [(2, 20_000), (7, 20_000), (0, 30 * 8)] {
        let mut passed = checked.clone();
        passed[at].1[bit / 8] ^= 1 << (bit % 8);
        let (_, entries) = trace(&passed, common::uncut);
        let altered =
            entries.iter().position(|entry| matches!(entry.said, Said::Corrupted(_))).expect("one is");
        assert!(entries[altered].to_string().ends_with(wrong), "{}", entries[altered]);
        assert_eq!(lines(&entries[..altered]), honest[..altered]);
        let direction = entries[altered].direction;
        assert!(entries[altered + 1..].iter().all(|entry| entry.direction != direction));
    }
    // A check that is no longer recognized counts as a message without a check.
    let mut passed = checked;
    passed[2].1[4] ^= 1;
    let (_, entries) = trace(&passed, common::uncut);
    let bare = "altered on its way: it has no check; what follows is not traced";
    assert!(entries[2].to_string().ends_with(bare), "{}", entries[2]);
}
