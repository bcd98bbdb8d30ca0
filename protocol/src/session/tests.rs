use super::*;
use crate::codec::scan::Scan;

#[test]
fn numbers_are_found_by_their_low_bits() {
    let end = 1_u64 << 32;
    for (applied, msgid, number) in [
        (0, 1, 1),
        (0, 0, 0),
        // No request precedes the first.
        (0, u32::MAX, 0),
        (5, 5, 5),
        (5, 1, 1),
        (end - 1, u32::MAX, end - 1),
        (end - 1, 0, end),
        (end - 1, 1, end + 1),
        (end, u32::MAX, end - 1),
        (end, 0, end),
        (7 * end + 3, u32::MAX - 1, 7 * end - 2),
        (7 * end - 3, 2, 7 * end + 2),
        (100, 100 + i32::MAX as u32, 100 + i32::MAX as u64),
        (u64::MAX, 0, 0),
        (u64::MAX, u32::MAX, u64::MAX),
    ] {
        assert_eq!(number_near(applied, msgid), number, "{msgid} near {applied}");
    }
}

#[test]
fn a_session_goes_on_over_the_end_of_the_low_bits() {
    let mut session = Session::new((1 << 32) - 3);
    for number in (1 << 32) - 2..(1_u64 << 32) + 3 {
        assert_eq!(number_near(session.filter().applied(), number as u32), number);
        assert_eq!(session.handle_request(number, b"message"), Ok(Verdict::Execute));
        session.responded(b"response", true);
        let mut said = Vec::new();
        assert!(session.write_response(number, None, &mut said));
        assert_eq!(said, b"response");
    }
    session.acknowledge(1 << 32).unwrap();
    assert!(!session.write_response(1 << 32, None, &mut Vec::new()));
    assert!(session.write_response((1 << 32) + 1, None, &mut Vec::new()));
    let mut last = Session::new(u64::MAX - 1);
    assert_eq!(last.handle_request(u64::MAX, b"message"), Ok(Verdict::Execute));
    last.executed();
    assert_eq!(last.handle_request(u64::MAX, b"message"), Ok(Verdict::Again));
}

const HERE: Id = Id([1; 16]);
const THERE: Id = Id([2; 16]);

pub(super) fn asked(attempt: u64, born: u64, ack: u64, next: u64) -> Resume {
    let instance = (born > 0).then_some(HERE);
    let (session, incarnation, confirms) = (Id([3; 16]), None, false);
    Resume {
        session,
        instance,
        attempt,
        born,
        incarnation,
        ack,
        drew: ack,
        next,
        accepts_loss: false,
        confirms,
    }
}

/// Returns a session that began with hello 1, and has executed and reported `applied` requests.
pub(super) fn begun(applied: u64) -> Option<Session> {
    let mut session = Session::enter(&mut None, &asked(1, 0, 0, 1), HERE, None).unwrap().0;
    for number in 1..=applied {
        session.handle_request(number, b"message").unwrap();
        session.executed();
    }
    session.tell();
    Some(session)
}

fn refused(found: &mut Option<Session>, asked: &Resume) -> Code {
    let before = found.clone();
    let code = Session::enter(found, asked, HERE, None).unwrap_err().code;
    assert_eq!(*found, before, "what was found is kept");
    code
}

#[test]
fn a_session_that_is_not_there_begins() {
    let enter = |asked: &Resume| {
        let (session, standing) = Session::enter(&mut None, asked, HERE, None).unwrap();
        (standing, session.filter().applied(), session.filter().ack())
    };
    assert_eq!(enter(&asked(1, 0, 0, 1)), (Standing::Fresh, 0, 0));
    assert_eq!(enter(&asked(5, 1, 7, 12)), (Standing::Expired, 11, 11));
    assert_eq!(enter(&Resume { instance: Some(THERE), ..asked(5, 1, 7, 12) }), (Standing::StateLost, 11, 11));
}

#[test]
fn a_session_that_is_there_goes_on_from_what_is_acknowledged() {
    let mut found = begun(9);
    let (session, standing) = Session::enter(&mut found, &asked(2, 1, 4, 12), HERE, None).unwrap();
    assert_eq!((standing, session.filter().ack(), session.filter().applied()), (Standing::Resumed, 4, 9));
    assert_eq!(found, None, "it is taken");
    let (session, standing) = Session::enter(&mut Some(session), &asked(3, 1, 9, 12), HERE, None).unwrap();
    assert_eq!((standing, session.filter().ack()), (Standing::Resumed, 9));
}

#[test]
fn a_session_that_has_lost_what_the_client_knows_goes_on_if_that_is_accepted() {
    let mut found = begun(9);
    assert_eq!(refused(&mut found, &asked(2, 1, 10, 12)), Code::StateRegressed);
    let accepts = Resume { accepts_loss: true, ..asked(3, 1, 10, 12) };
    let (session, standing) = Session::enter(&mut found, &accepts, HERE, None).unwrap();
    assert_eq!((&found, session.requests()), (&None, 9));
    assert_eq!((standing, session.filter().ack(), session.filter().applied()), (Standing::Regressed, 10, 10));
    // The answer is lost, and the client sends hello again.
    let (session, standing) = Session::enter(&mut Some(session), &asked(4, 1, 10, 12), HERE, None).unwrap();
    assert_eq!((standing, session.filter().applied()), (Standing::Resumed, 10));
}

#[test]
fn a_session_of_which_only_answers_are_missing_goes_on_behind_them() {
    let mut found = begun(9);
    found.as_mut().unwrap().end();
    // Requests 10 to 12 only read, so a journal does not have them.
    let reads = Resume { drew: 9, ..asked(2, 1, 12, 15) };
    let (mut session, standing) = Session::enter(&mut found, &reads, HERE, None).unwrap();
    assert_eq!((standing, session.filter().ack(), session.filter().applied()), (Standing::Resumed, 12, 12));
    assert_eq!((session.requests(), session.is_ended()), (9, true));
    assert_eq!(session.handle_request(13, b"message"), Ok(Verdict::Execute));
    session.executed();
    let (session, standing) = Session::enter(&mut Some(session), &asked(3, 1, 12, 15), HERE, None).unwrap();
    assert_eq!((standing, session.filter().applied()), (Standing::Resumed, 13));
    // Request 10 drew, and the display does not have it.
    assert_eq!(refused(&mut begun(9), &Resume { drew: 10, ..reads }), Code::StateRegressed);
}

#[test]
fn a_request_whose_answer_was_not_kept_is_executed_again_by_the_next_connection() {
    let mut found = begun(2);
    let session = found.as_mut().unwrap();
    session.handle_request(3, b"question").unwrap();
    session.responded(&vec![0; limits::SESSION_ANSWERS], true);
    assert_eq!(session.filter().applied(), 3);
    let (mut session, _) = Session::enter(&mut found, &asked(2, 1, 2, 4), HERE, None).unwrap();
    assert_eq!(session.filter().applied(), 2);
    assert_eq!(session.handle_request(3, b"question"), Ok(Verdict::Execute));
}

/// Returns the bytes of the responses that a session keeps.
fn kept(session: &Session) -> usize {
    session.responses.iter().map(|(_, response)| response.len() + RESPONSE).sum()
}

#[test]
fn a_request_from_a_journal_keeps_what_the_session_is() {
    let mut session =
        Session { incarnation: 7, attempt: 3, drawn: 4, is_ended: true, executed: 9, ..Session::new(4) };
    let stamp = |number, ack| Stamp { session: Id([3; 16]), number, ack, digest: number };
    session.replay(stamp(12, 10), None);
    assert_eq!((session.filter().ack(), session.filter().applied(), session.drawn), (10, 12, 12));
    assert_eq!((session.incarnation, session.attempt, session.requests()), (7, 3, 10));
    assert!(session.is_ended());
    // Request 11 was a read, or was refused.
    assert_eq!(session.responses.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [11]);
    assert_eq!(session.bytes, kept(&session));
    session.replay(stamp(13, 10), Some(b"it failed"));
    assert_eq!((session.filter().applied(), session.drawn, session.bytes), (13, 13, kept(&session)));
    session.acknowledge(13).unwrap();
    assert_eq!((session.bytes, session.responses.len()), (0, 0));
}

#[test]
fn responses_from_a_journal_are_kept_up_to_a_limit() {
    let stamp = |number| Stamp { session: Id([3; 16]), number, ack: 0, digest: number };
    let most = limits::SESSION_RESPONSES - RESPONSE;
    let mut session = Session::new(0);
    session.replay(stamp(1), Some(&vec![0; most]));
    assert_eq!(session.bytes, limits::SESSION_RESPONSES);
    session.replay(stamp(2), Some(&[0; 1_000]));
    assert!(session.responses[1].1.is_empty() && session.bytes == kept(&session));
    let mut session = Session::new(0);
    session.replay(stamp(1), Some(&vec![0; most + 1]));
    assert!(session.responses[0].1.is_empty());
}

#[test]
fn a_beginning_that_the_client_was_never_told_of_is_none() {
    // The answer "expired" to hello 2 was lost. Neither side knows of requests 8 to 11, which were not executed.
    let (session, _) = Session::enter(&mut None, &asked(2, 1, 7, 12), HERE, None).unwrap();
    let mut found = Some(session);
    let (session, standing) = Session::enter(&mut found, &asked(3, 1, 7, 12), HERE, None).unwrap();
    assert_eq!((standing, session.filter().applied(), found), (Standing::Expired, 11, None));
    // The same applies to the first hello.
    let (_, standing) = Session::enter(&mut begun(0), &asked(2, 0, 0, 1), HERE, None).unwrap();
    assert_eq!(standing, Standing::Fresh);
}

#[test]
fn a_hello_that_was_overtaken_counts_for_nothing() {
    let mut found = Some(Session::enter(&mut begun(9), &asked(4, 1, 9, 12), HERE, None).unwrap().0);
    for attempt in 2..=4 {
        assert_eq!(refused(&mut found, &asked(attempt, 1, 4, 12)), Code::Superseded);
    }
    assert_eq!(refused(&mut found, &asked(1, 0, 0, 1)), Code::Superseded);
    assert!(Session::enter(&mut found, &asked(5, 1, 9, 12), HERE, None).is_ok());
}

#[test]
fn what_a_client_cannot_say_is_refused() {
    for wrong in [asked(2, 1, 5, 5), asked(2, 1, 5, 0), asked(1, 1, 0, 1), asked(0, 0, 0, 1)] {
        assert_eq!(refused(&mut begun(9), &wrong), Code::Malformed, "{wrong:?}");
    }
    // Request 10 was executed but never reported.
    let mut found = begun(9);
    let session = found.as_mut().unwrap();
    session.handle_request(10, b"message").unwrap();
    session.executed();
    assert_eq!(refused(&mut found, &asked(2, 1, 10, 12)), Code::Malformed);
}

#[test]
fn responses_are_kept_within_limits_and_no_fault_becomes_a_success() {
    let mut session = Session::new(0);
    let (answer, refusal) = (vec![7; 40 << 10], vec![8; 300 << 10]);
    for number in 1..=40 {
        let is_answer = number <= 5;
        session.handle_request(number, b"message").unwrap();
        session.responded(if is_answer { &answer } else { &refusal }, is_answer);
        assert!(session.memory() < limits::SESSION_RESPONSES + (64 << 10), "{}", session.memory());
    }
    let said = |number| {
        let mut said = Vec::new();
        session.write_response(number, None, &mut said).then_some(said)
    };
    assert_eq!((said(3), said(4)), (Some(answer), None), "answers beyond their limit are not kept");
    assert_eq!(said(20), Some(refusal), "faults have more room");
    let fault = said(40).unwrap();
    assert!(fault.windows(11).any(|text| text == b"answer_lost"), "{fault:02x?}");
    assert_eq!(fault[..3], [0x94, 0x01, 40]);
    assert_eq!(Scan::default().run(&fault, usize::MAX), Ok(Some(fault.len())), "it is a whole message");
    session.tell();
    session.acknowledge(40).unwrap();
    assert_eq!(
        session,
        Session { filter: session.filter.clone(), drawn: 40, executed: 40, ..Session::new(0) }
    );
}

#[test]
fn what_is_executed_again_has_left_nothing_behind() {
    let (small, large) = ([7; 100], vec![7; limits::SESSION_ANSWERS + 1]);
    let mut session = Session::new(0);
    let respond = |session: &mut Session, number, response: &[u8]| {
        session.handle_request(number, b"message").unwrap();
        session.responded(response, true);
    };
    // The answer to 2 cannot be repeated, because 3 has drawn since. Those to 4 and 6 can.
    respond(&mut session, 1, &small);
    respond(&mut session, 2, &large);
    session.handle_request(3, b"message").unwrap();
    session.executed();
    let (responses, memory) = (session.responses.clone(), session.bytes);
    respond(&mut session, 4, &large);
    respond(&mut session, 5, &small);
    respond(&mut session, 6, &large);
    assert_eq!((session.filter.applied(), session.responses.len(), session.unkept.len()), (6, 2, 3));
    session.unanswer();
    assert_eq!((session.filter.applied(), &session.responses, session.bytes), (3, &responses, memory));
    assert_eq!(session.unkept, [2]);
    // An answer kept earlier stays.
    respond(&mut session, 4, &small);
    respond(&mut session, 5, &large);
    session.unanswer();
    assert_eq!((session.filter.applied(), session.responses.len()), (4, 2));
    assert!(session.write_response(4, None, &mut Vec::new()));
}

/// A call that draws and has an answer must not be repeated, and neither must a refused call.
#[test]
fn only_what_may_be_repeated_is_executed_again_when_its_answer_is_not_kept() {
    let large = vec![7; limits::SESSION_RESPONSES + 1];
    for (may_be_repeated, applied) in [(true, 0), (false, 1)] {
        let mut session = Session::new(0);
        session.handle_request(1, b"message").unwrap();
        session.responded(&large, may_be_repeated);
        assert_eq!(session.filter.applied(), 1);
        session.unanswer();
        assert_eq!(session.filter.applied(), applied, "{may_be_repeated}");
    }
}

#[test]
fn a_session_is_its_bytes_and_other_bytes_are_none() {
    let mut session = begun(9).unwrap();
    session.handle_request(10, b"message").unwrap();
    session.responded(b"response", false);
    session.acknowledge(4).unwrap();
    let mut bytes = Vec::new();
    session.encode(&mut bytes);
    // The number of executed requests is not stored. All acknowledged ones count as one.
    assert_eq!(Session::decode(&bytes).as_ref(), Ok(&Session { executed: 7, ..session.clone() }));
    // A request that is being executed is not stored, and all others count as reported.
    session.handle_request(11, b"message").unwrap();
    let mut again = Vec::new();
    session.encode(&mut again);
    assert_eq!(again, bytes);
    for cut in 0..bytes.len() {
        assert!(Session::decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    assert!(Session::decode(&[&bytes[..], &[0]].concat()).is_err());
    for (at, wrong) in [(0, 2), (1, 2), (18, 11), (25, 255), (33, 255), (41, 11)] {
        let mut changed = bytes.clone();
        changed[at] = wrong;
        assert!(Session::decode(&changed).is_err(), "byte {at} is {wrong}");
    }
    // The last byte of the number, before the length, the response and the count of answers not kept.
    let number = bytes.len() - 4 - 8 - 4 - 1;
    for number_of_response in 0..20 {
        let mut changed = bytes.clone();
        changed[number] = number_of_response;
        let is_known = (5..=10).contains(&number_of_response);
        assert_eq!(Session::decode(&changed).is_ok(), is_known, "a response to {number_of_response}");
    }
}

#[test]
fn a_stored_session_has_its_responses_in_order_and_once_each() {
    let mut session = Session::new(0);
    for number in 1..=4 {
        session.handle_request(number, b"message").unwrap();
        let size = if number <= 2 { 8 } else { limits::SESSION_ANSWERS + 1 };
        session.responded(&vec![7; size], true);
    }
    assert_eq!((session.responses.len(), &session.unkept), (2, &VecDeque::from([3, 4])));
    let mut bytes = Vec::new();
    session.encode(&mut bytes);
    let found = Session::decode(&bytes).unwrap();
    assert_eq!(
        (&found.responses, &found.unkept, found.bytes),
        (&session.responses, &session.unkept, session.bytes)
    );
    assert_eq!(found.requests(), 4, "nothing is acknowledged, so it is known how many there were");
    // The numbers of the second response and of the second answer not kept.
    let (response, unkept) = (bytes.len() - 2 * 8 - 4 - 8 - 4 - 1, bytes.len() - 1);
    for (at, right) in [(response, 2..=4), (unkept, 4..=4)] {
        for number in 0..8 {
            let mut changed = bytes.clone();
            changed[at] = number;
            assert_eq!(Session::decode(&changed).is_ok(), right.contains(&number), "byte {at} is {number}");
        }
    }
    // The first answer not kept must belong to an unacknowledged request.
    bytes[unkept - 8] = 0;
    assert!(Session::decode(&bytes).is_err());
}

#[test]
fn an_id_is_shown_by_its_beginning_only() {
    assert_eq!(format!("{:?}", Id([0xab; 16])), "Id(ababab..)");
    assert_eq!(Id([0xab; 16]).to_string(), "ab".repeat(16));
}

#[test]
fn a_client_that_confirms_knows_its_session_by_the_nonce_it_began_with() {
    let (first, second) = (Nonce::new(1), Nonce::new(2));
    let confirms = |attempt, incarnation: Option<Nonce>| Resume {
        incarnation: incarnation.map(Nonce::get),
        confirms: true,
        ..asked(attempt, 1.min(attempt - 1), 0, 1)
    };
    let (begun, standing) = Session::enter(&mut None, &confirms(1, None), HERE, Some(first)).unwrap();
    assert_eq!((standing, begun.is_confirmed()), (Standing::Fresh, true));
    let enter = |asked: &Resume| Session::enter(&mut Some(begun.clone()), asked, HERE, Some(second)).unwrap();
    let (resumed, standing) = enter(&confirms(2, Some(first)));
    assert_eq!((standing, resumed.incarnation), (Standing::Resumed, first.get()), "it stays the same");
    // A session that a copy of hello 1 began is another, although both began with hello 1.
    let (other, standing) = enter(&confirms(2, Some(second)));
    assert_eq!((standing, other.incarnation), (Standing::Expired, second.get()));
    // A client that does not confirm cannot be distinguished from a late copy, so the session stays as it is.
    let silent = Resume { confirms: false, ..confirms(2, Some(first)) };
    let mut found = Some(begun.clone());
    let refused = Session::enter(&mut found, &silent, HERE, None).unwrap_err();
    assert_eq!((refused.code, found.as_ref()), (Code::Malformed, Some(&begun)));
    // A client without a nonce does not resume a session that has one, but resumes one begun without nonces.
    assert_eq!(enter(&confirms(2, None)).1, Standing::Expired);
    let old = Session::enter(&mut None, &asked(1, 0, 0, 1), HERE, None).unwrap().0;
    assert!(!old.is_confirmed());
    let (resumed, standing) = Session::enter(&mut Some(old), &confirms(2, None), HERE, Some(first)).unwrap();
    assert_eq!((standing, resumed.incarnation), (Standing::Resumed, 1));
}

#[test]
fn a_journal_keeps_nothing_of_questions_that_were_acknowledged() {
    let mut session = Session::new(3);
    // Nearly 2^40 reads, all but two of them acknowledged, precede the next call that draws.
    let (number, ack) = (1 << 40, (1 << 40) - 3);
    session.replay(Stamp { session: Id([3; 16]), number, ack, digest: 7 }, None);
    assert_eq!((session.filter().applied(), session.filter().ack()), (number, ack));
    assert!(session.memory() < 4096, "{} bytes", session.memory());
    // The outcome of these two is unknown, and their responses report that.
    for asked in [ack + 1, ack + 2] {
        assert!(session.write_response(asked, None, &mut Vec::new()));
    }
    assert!(!session.write_response(number, None, &mut Vec::new()));
}

#[test]
fn of_a_session_that_is_gone_a_journal_has_which_it_was_and_no_more() {
    let mut session = begun(9).unwrap();
    session.handle_request(10, b"message").unwrap();
    session.responded(&[7; 1_000], false);
    let mut bytes = Vec::new();
    session.ended().encode(&mut bytes);
    let found = Session::decode(&bytes).unwrap();
    assert!(found.is_ended() && !session.is_ended() && bytes.len() < 60, "{} bytes", bytes.len());
    assert_eq!(
        (found.incarnation, found.attempt, found.filter().applied()),
        (session.incarnation, session.attempt, 10)
    );
    assert_eq!((session.requests(), session.ended().requests()), (10, 10));
}

#[test]
fn a_journal_brings_back_no_more_of_faults_than_a_session_keeps() {
    let (mut session, mut kept) = (Session::new(0), Session::new(0));
    let fault = vec![7; 300 << 10];
    for number in 1..=200 {
        session.replay(Stamp { session: Id([3; 16]), number, ack: 0, digest: 7 }, Some(&fault));
        assert!(session.memory() < limits::SESSION_RESPONSES + (64 << 10), "{} bytes", session.memory());
        kept.handle_request(number, b"message").unwrap();
        kept.responded(&fault, false);
    }
    // The result is the same as without a journal: all faults, with the reason only for the first ones.
    assert_eq!(session.responses, kept.responses);
    assert_eq!(session.responses.len(), 200);
}

#[test]
fn as_many_bytes_of_responses_are_kept_as_may_be_and_not_one_more() {
    for (beyond, is_kept) in [(0, true), (1, false)] {
        let sizes = [1_000, limits::SESSION_RESPONSES - 1_000 - 2 * RESPONSE + beyond];
        let (mut executed, mut replayed) = (Session::new(0), Session::new(0));
        for (number, size) in (1..).zip(sizes) {
            let fault = vec![7; size];
            executed.handle_request(number, b"message").unwrap();
            executed.responded(&fault, false);
            let stamp = Stamp { session: Id([3; 16]), number, ack: 0, digest: 7 };
            replayed.replay(stamp, Some(&fault));
        }
        for session in [executed, replayed] {
            let sizes: Vec<_> = session.responses.iter().map(|(_, response)| response.len()).collect();
            assert_eq!(sizes.len(), 2, "that both have failed is kept");
            assert_eq!(sizes[1] > 0, is_kept, "{beyond} bytes too many");
        }
    }
    for (beyond, is_kept) in [(0, true), (1, false)] {
        let mut session = Session::new(0);
        session.handle_request(1, b"message").unwrap();
        session.responded(&vec![7; limits::SESSION_ANSWERS - RESPONSE + beyond], true);
        assert_eq!(session.responses.len(), usize::from(is_kept), "{beyond} bytes too many");
    }
}

#[test]
fn a_stamp_says_which_request_is_being_executed_and_is_enough_to_know_it_again() {
    let (id, mut session) = (Id([3; 16]), begun(9).unwrap());
    session.acknowledge(4).unwrap();
    session.handle_request(10, b"another message").unwrap();
    let stamp = session.stamp(id);
    let digest = filter::digest(b"another message");
    assert_eq!(stamp, Stamp { session: id, number: 10, ack: 4, digest });
    let mut restored = begun(9).unwrap();
    restored.replay(stamp, None);
    assert_eq!((restored.filter().ack(), restored.filter().applied(), restored.requests()), (4, 10, 10));
    assert_eq!(restored.handle_request(10, b"another message"), Ok(Verdict::Again));
    assert_eq!(restored.handle_request(10, b"message"), Err(Misuse::Reuse { number: 10 }));
}

/// A session is the same when acknowledged requests are missing from its journal.
#[test]
fn a_session_stays_the_same_when_requests_are_missing_that_only_asked() {
    let mut before = begun(9).unwrap();
    (before.incarnation, before.attempt) = (Nonce::new(5).get(), 3);
    before.end();
    let mut replayed = before.clone();
    replayed.replay(Stamp { session: Id([3; 16]), number: 13, ack: 12, digest: 7 }, None);
    assert_eq!(replayed.requests(), 10);
    let asked =
        Resume { drew: 9, incarnation: Some(before.incarnation), confirms: true, ..asked(4, 1, 12, 13) };
    let mut found = Some(before.clone());
    let (resumed, standing) = Session::enter(&mut found, &asked, HERE, None).unwrap();
    assert_eq!((standing, found, resumed.requests(), resumed.attempt), (Standing::Resumed, None, 9, 4));
    assert_eq!((resumed.filter().ack(), resumed.filter().applied()), (12, 12));
    for (session, attempt) in [(replayed, 3), (resumed, 4)] {
        assert_eq!((session.incarnation, session.attempt), (before.incarnation, attempt));
        assert!(session.is_ended());
    }
    // A missing request that drew is a loss.
    let drew = Resume { drew: 10, ..asked };
    assert_eq!(refused(&mut Some(before.clone()), &drew), Code::StateRegressed);
    let accepts = Resume { accepts_loss: true, ..drew };
    let mut found = Some(before.clone());
    let (regressed, standing) = Session::enter(&mut found, &accepts, HERE, None).unwrap();
    assert_eq!((standing, found, regressed.requests(), regressed.attempt), (Standing::Regressed, None, 9, 4));
    assert_eq!(regressed.incarnation, before.incarnation);
}

#[test]
fn a_question_whose_answer_is_not_kept_is_repeated_only_if_nothing_was_drawn_after_it() {
    let large = vec![7; limits::SESSION_ANSWERS + 1];
    for is_drawn in [false, true] {
        let mut session = begun(1).unwrap();
        session.handle_request(2, b"question").unwrap();
        session.responded(&large, true);
        session.tell();
        if is_drawn {
            session.replay(Stamp { session: Id([3; 16]), number: 3, ack: 1, digest: 7 }, None);
        }
        let (session, _) = Session::enter(&mut Some(session), &asked(2, 1, 1, 4), HERE, None).unwrap();
        assert_eq!(session.filter().applied(), if is_drawn { 3 } else { 1 });
    }
}

#[test]
fn what_a_journal_brings_back_takes_no_memory_once_it_is_acknowledged() {
    let mut session = Session::new(3);
    session.replay(Stamp { session: Id([3; 16]), number: 8, ack: 3, digest: 7 }, Some(b"it failed"));
    assert_eq!((session.responses.len(), session.bytes), (5, 5 * RESPONSE + 9));
    session.acknowledge(8).unwrap();
    assert_eq!((session.responses.len(), session.bytes), (0, 0));
}

#[test]
fn a_journal_that_has_a_request_twice_changes_nothing_with_the_second() {
    let mut session = Session::new(3);
    let stamp = |number, ack| Stamp { session: Id([3; 16]), number, ack, digest: 7 };
    session.replay(stamp(5, 3), Some(b"it failed"));
    let before = session.clone();
    for number in [5, 4, 3, 0] {
        session.replay(stamp(number, 3), Some(b"it failed otherwise"));
    }
    assert_eq!(session, before);
    let mut bytes = Vec::new();
    session.encode(&mut bytes);
    assert!(Session::decode(&bytes).is_ok(), "what is kept is in order");
    // The largest number can be reached, and none follows it.
    session.replay(stamp(u64::MAX, u64::MAX - 1), None);
    session.replay(stamp(u64::MAX, u64::MAX), None);
    assert_eq!((session.filter().applied(), session.filter().ack()), (u64::MAX, u64::MAX - 1));
}

/// A stored session may come from a display with a larger window.
#[test]
fn a_stored_session_may_have_more_unacknowledged_than_the_window() {
    let mut session = Session::new(1);
    for number in 1..=limits::SESSION_WINDOW + 5 {
        session.replay(Stamp { session: Id([1; 16]), number, ack: 0, digest: number }, None);
    }
    let mut bytes = Vec::new();
    session.encode(&mut bytes);
    let mut again = Vec::new();
    Session::decode(&bytes).unwrap().encode(&mut again);
    assert!(again == bytes, "another session");
    // A count larger than the remaining bytes allocates nothing.
    bytes[26..34].copy_from_slice(&u64::MAX.to_be_bytes());
    assert!(Session::decode(&bytes).is_err());
}
