//! How a session stands for those that come back to it.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use super::*;

const HERE: Id = Id([1; 16]);
const ELSEWHERE: Id = Id([2; 16]);

fn ask(instance: Id, ack: u64, next: u64) -> Resume {
    Resume { session: Id([3; 16]), instance: Some(instance), ack, next, accepts_loss: false }
}

/// How it stands, and the last request that counts as executed.
fn enter(found: Option<Session>, asked: &Resume) -> (Session, (Standing, u64)) {
    let (session, standing) = Session::enter(&mut { found }, asked, HERE).unwrap();
    let applied = session.filter().applied();
    (session, (standing, applied))
}

#[test]
fn what_was_lost_is_said_again_until_the_client_has_heard_it() {
    for (instance, standing) in [(HERE, Standing::Expired), (ELSEWHERE, Standing::StateLost)] {
        // Requests 4 to 6 are under way.
        let asked = ask(instance, 3, 7);
        let (session, first) = enter(None, &asked);
        assert_eq!(first, (standing, 6));
        let (session, second) = enter(Some(session), &asked);
        assert_eq!(second, (standing, 6));
        let (_, heard) = enter(Some(session), &ask(HERE, 6, 7));
        assert_eq!(heard, (Standing::Resumed, 6));
    }
}

#[test]
fn a_display_that_is_new_says_so_again_to_a_client_that_waits_for_nothing() {
    let asked = ask(ELSEWHERE, 6, 7);
    let (session, _) = enter(None, &asked);
    assert_eq!(enter(Some(session), &asked).1, (Standing::StateLost, 6));
}

#[test]
fn a_session_in_which_something_was_executed_goes_on_whatever_the_client_says_it_has_heard() {
    let (mut session, _) = enter(None, &ask(ELSEWHERE, 3, 7));
    assert_eq!(session.handle_request(7, b"a request"), Ok(Verdict::Execute));
    session.executed();
    assert_eq!(enter(Some(session), &ask(ELSEWHERE, 3, 8)).1, (Standing::Resumed, 7));
}

#[test]
fn a_session_that_did_not_begin_anew_is_never_begun_anew() {
    // As a display has it from somewhere else.
    assert_eq!(enter(Some(Session::new(6)), &ask(HERE, 3, 7)).1, (Standing::Resumed, 6));
}
