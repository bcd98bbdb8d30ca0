//! A display that disappears for good: the outcome of calls that were sent is unknown, calls that were never sent were
//! not executed.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::cutter::Cutter;
use common::{DEADLINE, TestServer, runtime, soon};
use draw_client::blocking::{self};
use draw_client::{Color, ConnectOptions, DisconnectReason, Error, LateError, Outcome, Status};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// How long the client tries to reconnect.
const WITHIN: Duration = Duration::from_millis(600);
/// The beginning of each text that explains why a call has failed.
const GONE: &str = "the connection to the display is lost: the display was offline for 0.";
const UNKNOWN: &str = "; whether this call was executed is unknown";
const NOT_SENT: &str = "; this call was not sent";

/// Cuts an image in the middle: the greeting and some more calls are shorter than that.
const CUT: (usize, usize) = (20_000, usize::MAX);
const SIDE: u32 = 100;

fn image() -> Vec<u8> {
    vec![9; 4 * (SIDE * SIDE) as usize]
}

/// Starts a display that becomes unreachable for good during an image.
fn start() -> (TestServer, Cutter) {
    let server = TestServer::start(SIDE, SIDE);
    let cutter = Cutter::start(&server.address, vec![CUT]);
    (server, cutter)
}

/// The statuses and errors that the callbacks receive.
struct Ears {
    statuses: Receiver<Status>,
    late: Receiver<LateError>,
}

impl Ears {
    fn new() -> (impl FnMut(Status) + Send + 'static, impl FnMut(LateError) + Send + 'static, Ears) {
        let ((tell_status, statuses), (tell, late)) = (mpsc::channel(), mpsc::channel());
        let ears = Ears { statuses, late };
        (move |status| _ = tell_status.send(status), move |error| _ = tell.send(error), ears)
    }

    fn hear_loss(&self) {
        let status = self.statuses.recv_timeout(DEADLINE).unwrap();
        assert!(matches!(status, Status::Reconnecting { .. }), "{status}");
    }

    fn hear_end(&self) {
        while let status = self.statuses.recv_timeout(DEADLINE).unwrap()
            && !matches!(status, Status::Disconnected(DisconnectReason::GaveUp { .. }))
        {
            assert!(matches!(status, Status::Reconnecting { .. }), "{status}");
        }
    }

    /// Checks that the image, made at line `sent`, was sent, and that the two calls at lines `unsent` were not.
    fn assert_told(&self, sent: u32, unsent: [u32; 2]) {
        let late: Vec<_> = (0..2).map(|_| self.late.recv_timeout(DEADLINE).unwrap()).collect();
        let numbers = |late: &LateError| late.calls().map(|call| call.number()).collect::<Vec<_>>();
        assert_eq!((numbers(&late[0]), late[0].outcome()), (vec![2], Outcome::Unknown));
        assert_eq!((numbers(&late[1]), late[1].outcome()), (vec![3, 4], Outcome::Rejected));
        let [begun, rejected] = [late[0].to_string(), late[1].to_string()];
        let place = |line: u32| format!("draw-client/tests/given_up.rs:{line}:");
        assert!(begun.starts_with(&place(sent)), "{begun}");
        assert!(begun.contains(&format!(" put_image(0, 0, 100, 100, 40000 bytes): {GONE}")), "{begun}");
        assert!(begun.contains(&format!("{UNKNOWN} (")), "{begun}");
        assert!(rejected.starts_with(GONE) && !rejected.contains("unknown"), "{rejected}");
        assert!(
            rejected.contains(&format!("; 2 calls were not sent, from {}", place(unsent[0]))),
            "{rejected}"
        );
        assert!(
            rejected.contains(&format!(" draw_pixel(1, 1, #ff0000ff) to {}", place(unsent[1]))),
            "{rejected}"
        );
        assert!(rejected.ends_with(" clear(#ff0000ff)"), "{rejected}");
        assert!(self.late.try_recv().is_err(), "each is named once");
    }
}

/// Checks the error of a call that was not sent.
fn assert_not_sent(error: &Error) {
    assert_eq!(error.outcome(), Outcome::Rejected);
    let text = error.to_string();
    assert!(text.starts_with(GONE) && text.ends_with(NOT_SENT), "{text}");
}

fn assert_unknown(error: &Error) {
    assert_eq!(error.outcome(), Outcome::Unknown);
    let text = error.to_string();
    assert!(text.starts_with(GONE) && text.ends_with(UNKNOWN), "{text}");
}

#[test]
fn of_an_asynchronous_display_the_calls_that_were_made_while_it_was_gone_are_rejected() {
    let (server, cutter) = start();
    runtime().block_on(soon(async {
        let (status, error, ears) = Ears::new();
        let options = ConnectOptions::new().reconnect(WITHIN).on_status(status).on_error(error);
        let display = options.connect(&cutter.address).await.unwrap();
        cutter.refuse_after_the_first();
        display.sync().await.unwrap();
        let sent = line!() + 1;
        display.put_image(0, 0, SIDE, SIDE, &image()).await.unwrap();
        ears.hear_loss();
        let unsent = [line!() + 1, line!() + 2];
        display.draw_pixel(1, 1, Color::RED).await.unwrap();
        display.clear(Color::RED).await.unwrap();
        let reply = display.draw_pixel(2, 2, Color::RED).await.unwrap();
        let (question, reply) = tokio::join!(display.get_pixel(1, 1), reply);
        assert_not_sent(&question.unwrap_err());
        assert_not_sent(&reply.unwrap_err());
        ears.hear_end();
        ears.assert_told(sent, unsent);
        assert_not_sent(&display.sync().await.unwrap_err());
    }));
    assert_eq!(server.screen.stats().executed, 1, "the first sync");
}

#[test]
fn so_are_those_of_a_pipeline_and_the_doctor_counts_them_so() {
    let (server, cutter) = start();
    let (status, error, ears) = Ears::new();
    let options = ConnectOptions::new().reconnect(WITHIN).doctor(true).on_status(status).on_error(error);
    let display = options.connect_pipeline(&cutter.address).unwrap();
    cutter.refuse_after_the_first();
    display.sync().unwrap();
    let sent = line!() + 1;
    display.put_image(0, 0, SIDE, SIDE, &image()).unwrap();
    ears.hear_loss();
    let unsent = [line!() + 1, line!() + 2];
    display.draw_pixel(1, 1, Color::RED).unwrap();
    display.clear(Color::RED).unwrap();
    let reply = display.draw_pixel(2, 2, Color::RED).unwrap();
    assert_not_sent(&reply.wait().unwrap_err());
    ears.hear_end();
    ears.assert_told(sent, unsent);
    let diagnosis = display.diagnosis().unwrap();
    assert_eq!((diagnosis.rejected, diagnosis.unknown), (3, 1));
    let text = diagnosis.to_string();
    let place = format!("draw-client/tests/given_up.rs:{sent}:13 put_image");
    assert!(text.contains(&format!("it is unknown whether 1 call at {place} was executed.\n")), "{text}");
    let place = format!("draw-client/tests/given_up.rs:{}:13 draw_pixel", unsent[0]);
    assert!(text.contains(&format!("1 call at {place} was rejected.\n")), "{text}");
    assert_eq!(server.screen.stats().executed, 1, "the first sync");
}

#[test]
fn a_blocking_call_that_was_cut_in_the_middle_is_unknown() {
    let (server, cutter) = start();
    let display = ConnectOptions::new().reconnect(WITHIN).connect_blocking(&cutter.address).unwrap();
    cutter.refuse_after_the_first();
    assert_unknown(&display.put_image(0, 0, SIDE, SIDE, &image()).unwrap_err());
    assert_not_sent_any_more(&display);
    assert_eq!(server.screen.stats().executed, 0);
}

#[test]
fn a_blocking_call_that_was_made_while_the_display_was_gone_is_rejected() {
    let (server, cutter) = start();
    // Two calls may time out before the client gives the display up.
    let timeout = WITHIN * 2 / 5;
    let options = ConnectOptions::new().reconnect(WITHIN).timeout(timeout);
    let display = options.connect_blocking(&cutter.address).unwrap();
    cutter.refuse_after_the_first();
    let mut errors = vec![display.put_image(0, 0, SIDE, SIDE, &image()).unwrap_err()];
    while let Some(Error::Timeout { outcome, .. }) = errors.last() {
        assert_eq!(*outcome, Outcome::Unknown, "it may still be sent");
        errors.push(display.draw_pixel(1, 1, Color::RED).unwrap_err());
    }
    assert!(errors.len() > 1, "the image has timed out");
    assert_not_sent(errors.last().unwrap());
    assert_not_sent_any_more(&display);
    assert_eq!(server.screen.stats().executed, 0);
}

fn assert_not_sent_any_more(display: &blocking::Display) {
    assert_not_sent(&display.draw_pixel(1, 1, Color::RED).unwrap_err());
}
