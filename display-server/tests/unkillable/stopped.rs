//! Stops the process of a display, or of its clients, for longer than the deadline of a call, and continues it: calls
//! with unknown results are executed once, their results are reported late, and all clients continue.

use crate::check_row;
use crate::client::{Client, Connected, Remembering};
use crate::history::{Answer, CELLS, Call, Life};
use crate::processes::{Directory, PATIENCE, Server, free_port, go_on, stop};
use draw_client::blocking::Display;
use draw_client::{Code, Color, ConnectOptions, Error, LateError, Outcome};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// The timeout of a call: longer than a busy machine delays a call.
const TIMEOUT: Duration = Duration::from_secs(1);
const SIZE: &str = "64x4";

fn is_known(answer: Answer) -> bool {
    answer != Answer::Unknown
}

/// Returns the numbers of the next `count` calls that the error callback reports.
fn heard(told: &Receiver<LateError>, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let late = told.recv_timeout(PATIENCE).expect("the truth is told");
        assert_eq!(late.fault().map(|fault| &fault.code), Some(&Code::OutOfBounds), "{late}");
        numbers.extend(late.calls().map(|call| call.number()));
    }
    numbers
}

#[test]
fn a_display_that_stands_makes_calls_unknown_and_then_executes_each_once() {
    let (directory, port) = (Directory::new("stands"), free_port());
    let server = Server::start(&directory.path("journal"), port, SIZE);
    let ((tell, told), (say, said)) = (channel(), channel());
    let display = ConnectOptions::new()
        .timeout(TIMEOUT)
        .on_error(move |late| tell.send(late).unwrap())
        .on_status(move |status| say.send(status).unwrap())
        .connect_pipeline(&format!("127.0.0.1:{port}"))
        .unwrap();
    let mut client = Remembering::new(Connected::GoesOn(display.clone()));
    client.calls(20, is_known);

    stop(&server.process);
    // Calls that are waited for until they time out, the last of them outside; then two calls that are not waited for.
    let first = display.stats().calls;
    client.calls(2, |answer| answer == Answer::Unknown);
    let outside = display.add_pixel(CELLS as i32, 0, 1).unwrap();
    let error = outside.wait().expect_err("nobody answers");
    assert!(matches!(error, Error::Timeout { after: TIMEOUT, outcome: Outcome::Unknown }), "{error}");
    client.made.push((Call::Outside, Some(Answer::Unknown)));
    drop(display.add_pixel(5, 0, 5).unwrap());
    drop(display.add_pixel(CELLS as i32, 0, 1).unwrap());
    client.made.extend([(Call::Add(5, 5), None), (Call::Outside, None)]);
    assert!(matches!(display.get_pixel(5, 0), Err(Error::Timeout { outcome: Outcome::Unknown, .. })));
    assert!(told.try_recv().is_err(), "nothing is known yet");
    let under_way = (first + 1..).zip(&client.made[20..]);
    let late: Vec<_> =
        under_way.filter(|(_, (call, _))| *call == Call::Outside).map(|(number, _)| number).collect();

    go_on(&server.process);
    // The errors are reported once each and in order: those of calls that timed out, and that of the call that was not
    // waited for.
    assert!(late.len() >= 2);
    assert_eq!(heard(&told, late.len()), late);
    client.calls(20, is_known);
    display.sync().unwrap();
    assert!(
        told.try_recv().is_err() && said.try_recv().is_err(),
        "nothing else, and the connection was never lost"
    );
    let display = Display::connect(&format!("127.0.0.1:{port}")).unwrap();
    assert_eq!(*check_row(&client.made, &display, 0).end(), client.made.len());
}

#[test]
fn so_it_does_for_a_client_that_waits_for_each_call() {
    let (directory, port) = (Directory::new("stands-blocking"), free_port());
    let server = Server::start(&directory.path("journal"), port, SIZE);
    let address = format!("127.0.0.1:{port}");
    let (tell, told) = channel();
    let options = ConnectOptions::new().timeout(TIMEOUT).on_error(move |late| tell.send(late).unwrap());
    let display = options.connect_blocking(&address).unwrap();
    let mut client = Remembering::new(Connected::Waits(display.clone()));
    client.calls(20, is_known);
    stop(&server.process);
    client.calls(2, |answer| answer == Answer::Unknown);
    go_on(&server.process);
    client.calls(20, is_known);

    // The call that timed out is still in progress; its error is reported to the pipeline that takes over the
    // connection.
    stop(&server.process);
    let error = display.add_pixel(CELLS as i32, 0, 1).expect_err("nobody answers");
    assert!(matches!(error, Error::Timeout { outcome: Outcome::Unknown, .. }), "{error}");
    let number = display.stats().calls;
    let pipeline = display.pipelined().unwrap();
    go_on(&server.process);
    assert_eq!(heard(&told, 1), [number]);
    pipeline.close().unwrap();
    let display = Display::connect(&address).unwrap();
    assert_eq!(*check_row(&client.made, &display, 0).end(), client.made.len());
}

#[test]
fn clients_that_stand_do_not_stop_the_display_and_go_on_even_if_it_was_killed_meanwhile() {
    let (directory, port) = (Directory::new("clients-stand"), free_port());
    let journal = directory.path("journal");
    let mut server = Server::start(&journal, port, SIZE);
    let address = format!("127.0.0.1:{port}");
    let history = |life: usize| directory.path(&format!("life-{life}"));
    let mut clients: Vec<_> =
        (0..2).map(|life| Client::start(life, &history(life), &address, 3, TIMEOUT)).collect();
    // Waits until each client has received 100 more answers.
    let draw_more = || {
        let before = [0, 1].map(|life| answered(&Life::read(&history(life))));
        let deadline = Instant::now() + PATIENCE;
        while [0, 1].iter().any(|&life| answered(&Life::read(&history(life))) < before[life] + 100) {
            assert!(Instant::now() < deadline, "a client does not go on");
            std::thread::yield_now();
        }
    };
    draw_more();
    for is_killed in [false, true] {
        clients.iter().for_each(|client| stop(&client.process));
        let (before, began) = ([0, 1].map(|life| Life::read(&history(life)).made.len()), Instant::now());
        if is_killed {
            drop(server);
            server = Server::start(&journal, port, SIZE);
        }
        // Another client draws normally, for longer than the timeout of the stopped ones.
        let display = Display::connect(&address).unwrap();
        while began.elapsed() < 2 * TIMEOUT {
            display.draw_pixel(1, 2, Color::RED).unwrap();
        }
        assert_eq!([0, 1].map(|life| Life::read(&history(life)).made.len()), before, "they stand");
        clients.iter().for_each(|client| go_on(&client.process));
        draw_more();
    }
    clients.iter_mut().for_each(Client::stop);
    clients.into_iter().for_each(|client| assert!(client.ended().success(), "a client has failed"));
    let display = Display::connect(&address).unwrap();
    for life in 0..2 {
        let Life { made, has_ended } = Life::read(&history(life));
        assert!(has_ended && *check_row(&made, &display, life).end() == made.len());
    }
    drop(server);
}

fn answered(life: &Life) -> usize {
    life.made.iter().filter(|(_, answer)| matches!(answer, Some(Answer::Ok | Answer::Read(_)))).count()
}
