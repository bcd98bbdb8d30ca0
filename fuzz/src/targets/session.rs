use crate::common::{NONCE, SMALL, config, confirmation};
use draw_protocol::server::{Connection, Step};
use draw_protocol::session::{Id, Session, Standing};
use draw_protocol::{Answer, Code, Hello, client, limits};
use std::time::Instant;

/// Bytes that can be read as a session are those that it is written as, and reading them takes memory for no more than
/// their length. A client that resumes it, with any request, gets an answer; the next request is executed once, and the
/// session that is left can be read again. The first byte chooses the client's request; the rest is the session as
/// stored in a journal.
pub fn session(data: &[u8]) {
    let Some((&first, bytes)) = data.split_first() else { return };
    let Ok(session) = Session::decode(bytes) else { return };
    let mut written = Vec::new();
    session.encode(&mut written);
    assert_eq!(written, bytes, "it is written as it was read");
    assert!(session.memory() <= 512 + 8 * bytes.len(), "{} bytes are held", session.memory());

    let number = |at: usize| bytes[at..at + 8].iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
    let [born, attempt, ack, applied] = [number(2), number(10), number(18), number(26)];
    let mut hello = Hello::new("fuzz").with_session(Id([9; 16]));
    hello.instance = (first & 1 > 0).then_some(Id([7; 16]));
    hello.attempt = if first & 2 > 0 { attempt } else { attempt.saturating_add(1) };
    hello.born = if first & 4 > 0 { 0 } else { born };
    hello.ack = [ack, applied, applied.saturating_add(1), ack.saturating_sub(1)][usize::from(first >> 3) % 4];
    hello.next = if first & 32 > 0 { applied } else { applied.saturating_add(2) };
    hello.drew = (first & 64 > 0).then_some(ack);
    hello.accepts_loss = first & 128 > 0;

    let now = Instant::now();
    let mut server = Connection::new(config(SMALL), now);
    let greeting = client::Connection::new(&hello).poll_transmit().to_vec();
    let Step::Resume(asked) = server.handle_input(&mut &greeting[..], now) else {
        panic!("it asks for a session")
    };
    assert_eq!(Some(asked), hello.resume());
    let mut found = Some(session.clone());
    server.resume(&mut found);
    assert!(!server.poll_transmit(now).is_empty(), "it is answered");
    let Some(standing) = server.standing() else {
        let refused = server.closing().map(|fault| fault.code.clone());
        let codes = [Code::Malformed, Code::Superseded, Code::StateRegressed].map(Some);
        assert!(codes.contains(&refused), "{refused:?}");
        return assert_eq!(found.is_some(), refused != Some(Code::Malformed) || found == Some(session));
    };
    assert!(found.is_none(), "nobody else can take it up");
    let before = server.session_state().expect("it was taken up").filter().applied();
    if standing == Standing::Resumed {
        assert!(before <= applied.max(hello.ack) && before >= hello.ack);
    }
    assert!(server.is_unconfirmed());
    assert!(matches!(server.handle_input(&mut &confirmation(NONCE)[..], now), Step::Continue));
    let Some(next) = before.checked_add(1) else { return };
    let held = server.session_state().map(|session| session.filter().ack());
    let is_within = held.is_some_and(|ack| next - ack <= limits::SESSION_WINDOW);
    let msgid = (next as u32).to_be_bytes();
    let request = [&b"\x94\x00\xce"[..], &msgid, b"\xa5clear\x91\x05"].concat();
    match server.handle_input(&mut &request[..], now) {
        Step::Execute(_, Some(stamp)) => assert_eq!((stamp.number, stamp.session), (next, Id([9; 16]))),
        Step::Wait if !is_within => return,
        step => panic!("{step:?}"),
    }
    server.answer(Ok(Answer::Done(())));
    assert!(
        matches!(server.handle_input(&mut &request[..], now), Step::Continue),
        "it is not executed again"
    );
    let (_, left) = server.take_session().expect("it is there");
    assert_eq!(left.filter().applied(), next);
    let mut bytes = Vec::new();
    left.encode(&mut bytes);
    let mut again = Vec::new();
    Session::decode(&bytes).expect("it can be read").encode(&mut again);
    assert_eq!(bytes, again);
}
