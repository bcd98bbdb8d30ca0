use crate::common::model::Model;
use crate::common::{Cuts, NONCE, SMALL, checked, config, confirmation, cuts, messages};
use draw_protocol::server::{Connection, Stats, Step};
use draw_protocol::session::Session;
use draw_protocol::{Code, Hello, client, limits};
use std::time::{Duration, Instant};

/// However a client's bytes are cut, a server executes the same requests and sends the same bytes, in whole messages.
/// It uses no more memory than the bytes received require; an unfinished message has a deadline, which ends the
/// connection; and after the end it accepts nothing more. Nothing is executed before a welcome that must be confirmed
/// is confirmed. The first byte chooses what is agreed before the rest is sent.
pub fn server(data: &[u8]) {
    let Some((&first, bytes)) = data.split_first() else { return };
    // The limits on time and on unread bytes depend on more than the bytes, so inputs stay below them.
    let bytes = &bytes[..bytes.len().min(limits::UNSENT / 64)];
    let all = start(first, bytes);
    let expected = play(first, &all, Cuts::Whole);
    for cuts in cuts(&all).into_iter().skip(1) {
        assert_eq!(play(first, &all, cuts), expected, "{cuts:?}");
    }
}

/// Returns the bytes after those with which an honest client begins.
fn start(first: u8, bytes: &[u8]) -> Vec<u8> {
    let (is_greeted, has_session, has_checks) = (first & 1 > 0, first & 2 > 0, first & 4 > 0);
    let mut hello = Hello::new("fuzz").with_checks(has_checks);
    if has_session {
        let confirms = first & 32 > 0;
        hello = hello.with_session(draw_protocol::session::Id([9; 16])).with_confirmation(confirms);
    }
    let mut client = client::Connection::new(&hello);
    let greeting = if is_greeted { client.poll_transmit() } else { &[] };
    // The client may send what follows without having received the welcome.
    let is_confirmed = is_greeted && has_session && first & 96 == 32;
    let bytes = [&if is_confirmed { confirmation(NONCE) } else { Vec::new() }, bytes].concat();
    match has_checks {
        true => [greeting, &checked(&bytes)].concat(),
        false => [greeting, &bytes].concat(),
    }
}

/// Size in bytes of the check before a goodbye.
const CHECK: usize = 18;

/// The outcome of a run.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    executed: Vec<String>,
    said: Vec<u8>,
    closing: Option<Code>,
    stats: Stats,
    model: Model,
}

fn play(first: u8, bytes: &[u8], cuts: Cuts) -> Outcome {
    let now = Instant::now();
    let mut config = config(SMALL);
    config.has_journal = first & 8 > 0;
    // The caller chooses the display, or there is only one.
    let mut server = match first & 128 {
        0 => Connection::new(config.clone(), now),
        _ => Connection::open(config.message, now),
    };
    let (mut model, mut executed, mut arrived) = (Model::new(SMALL), Vec::new(), 0);
    // An earlier connection may have left a session.
    let mut found = (first & 16 > 0).then(|| Session::new(2));
    for piece in cuts.pieces(bytes) {
        let mut input = piece;
        loop {
            match server.handle_input(&mut input, now) {
                Step::Execute(request, stamp) => {
                    executed.push(format!("{} {:?}", request.call(), stamp));
                    let result = model.apply(&request);
                    let fault =
                        |(code, rejected)| draw_protocol::Fault::of_pixels(code, "it lies outside", rejected);
                    server.answer(result.map_err(fault));
                }
                Step::Greet(greeting) => {
                    let refused = greeting.display.filter(|&name| name != "main");
                    let refused = refused.map(|name| draw_protocol::Fault::unknown_display(name, ["main"]));
                    server.choose(refused.map_or(Ok(config.clone()), Err));
                }
                Step::Resume(_) => server.resume(&mut found),
                Step::Continue => {}
                Step::Wait => break,
            }
        }
        assert!(executed.is_empty() || !server.is_unconfirmed(), "{executed:?} without a confirmation");
        arrived += piece.len();
        let most = limits::IDLE_BUFFER
            + 4 * (arrived + server.unsent())
            + server.session_state().map_or(0, Session::memory);
        assert!(server.memory() <= most, "{} bytes are held for {arrived}", server.memory());
        assert!(server.closing().is_some() || server.wants_input() || server.unsent() >= limits::UNSENT);
    }
    let deadline = server.poll_timeout();
    if server.is_mid_message() && server.wants_input() {
        let deadline = deadline.expect("a message that was begun has a deadline");
        assert!(
            deadline
                <= now
                    + limits::MESSAGE_GRACE
                    + Duration::from_secs(1 + (arrived as u64 / limits::MESSAGE_RATE))
        );
        server.handle_timeout(deadline);
        assert!(server.closing().is_some(), "it waits for ever");
    }
    if let Some(fault) = server.closing() {
        assert!(!fault.message.is_empty() && server.poll_timeout().is_none());
        let before = server.stats();
        assert!(matches!(server.handle_input(&mut &b"\x94\x00\x01\xa4sync\x90"[..], now), Step::Wait));
        assert_eq!(server.stats(), before, "it stays closed");
    }
    let closing = server.closing().map(|fault| fault.code.clone());
    // Messages that wait for the disk are released at once.
    let mut said = Vec::new();
    loop {
        let more = server.poll_transmit(now).to_vec();
        server.handle_transmitted(more.len(), now);
        said.extend(more);
        if !server.mark() {
            break;
        }
        server.release();
    }
    assert!(messages(&said).1.is_empty(), "half a message is said: {said:02x?}");
    if closing == Some(Code::Corrupted) {
        // The message about altered bytes is worded differently where only a part of them is known.
        let goodbye =
            said.windows(10).rposition(|bytes| bytes == b"\x93\x02\xa7goodbye").expect("it says goodbye");
        said.truncate(goodbye - CHECK);
    }
    Outcome { executed, said, closing, stats: server.stats(), model }
}
