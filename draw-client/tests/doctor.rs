//! The round-trip doctor in a program that draws: lines, methods and counts are exact, and the times of the text are
//! replaced.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::cutter::Cutter;
use common::peer::{Peer, greeted, patient};
use common::{TestServer, soon};
use draw_client::{
    Color, ConnectOptions, Diagnosis, Display, Method, Pixel, Result, Status, WhileOffline, blocking,
    default_address,
};
use std::future::Future;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const FILE: &str = file!();

/// Returns the method, line, calls, waits and rows of every site, ordered by line.
fn sites(diagnosis: &Diagnosis) -> Vec<(Method, u32, u64, u64, u64)> {
    let mut sites: Vec<_> = diagnosis
        .sites
        .iter()
        .map(|site| {
            let location = site.location.unwrap();
            assert_eq!(location.file(), FILE);
            (site.method.unwrap(), location.line(), site.calls, site.waits, site.rows)
        })
        .collect();
    sites.sort_by_key(|&(_, line, ..)| line);
    sites
}

/// Returns a text with its figures replaced: times by `T`, shares by `P`.
fn without_times(text: &str) -> String {
    let line = |line: &str| {
        let mut words: Vec<String> = Vec::new();
        for word in line.split(' ') {
            let unit = word.trim_end_matches(['.', ',', ':']);
            let is_figure = words.last().is_some_and(|last| last.parse::<f64>().is_ok());
            if is_figure && ["us", "ms", "s", "%"].contains(&unit) {
                words.pop();
                words.push(format!("{}{}", if unit == "%" { 'P' } else { 'T' }, &word[unit.len()..]));
            } else {
                words.push(word.to_owned());
            }
        }
        words.join(" ")
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Returns a text without its last finding, that the program had little to do: it appears if the machine was busy
/// elsewhere for a second.
fn without_idle(text: &str) -> &str {
    let idle = "doctor: the connection was idle P of its T: the program spends its time elsewhere.\n";
    text.strip_suffix(idle).unwrap_or(text)
}

#[test]
fn figures_are_replaced_and_nothing_else() {
    let text =
        "7 calls, 1.1 ms each, 8.2 s of the program's 8.4 s.\n        About 9 ms.\nidle 99 % of its 60 s: so";
    assert_eq!(
        without_times(text),
        "7 calls, T each, T of the program's T.\n        About T.\nidle P of its T: so"
    );
}

/// Draws fifty pixels, asks one question and draws a batch, and returns the lines of these calls.
fn synchronous(display: &blocking::Display) -> Result<[u32; 3]> {
    let first = line!() + 2;
    for x in 0..50 {
        display.draw_pixel(x, 1, Color::RED)?;
    }
    display.get_pixel(1, 1)?;
    display.draw_pixels(&[Pixel::new(1, 1, Color::RED)])?;
    Ok([first, first + 2, first + 3])
}

#[test]
fn every_synchronous_call_waits_at_its_line() {
    let server = TestServer::start(100, 100);
    let display = ConnectOptions::new().doctor(true).connect_blocking(&server.address).unwrap();
    let [pixels, get, batch] = synchronous(&display).unwrap();
    // An invalid call is not sent, and does not wait.
    let refused = line!() + 1;
    display.put_image(0, 0, 10, 10, &[0; 3]).unwrap_err();
    let diagnosis = display.diagnosis().unwrap();
    assert_eq!(
        sites(&diagnosis),
        [
            (Method::DrawPixel, pixels, 50, 50, 1),
            (Method::GetPixel, get, 1, 1, 1),
            (Method::DrawPixels, batch, 1, 1, 1),
            (Method::PutImage, refused, 0, 0, 0)
        ]
    );
    assert_eq!((diagnosis.rejected, diagnosis.dropped, diagnosis.unknown), (1, 0, 0));
    assert_eq!((diagnosis.calls, diagnosis.waits, diagnosis.bytes), (52, 52, 50 * 8 + 32 + 32 + 8));
    assert!(diagnosis.held <= diagnosis.lasted && diagnosis.idle <= diagnosis.lasted - diagnosis.held);
    // A machine under load may delay another call longer than these.
    let site = diagnosis.sites.iter().find(|site| site.method == Some(Method::DrawPixel)).unwrap();
    assert!(site.shortest.unwrap() * 50 <= site.waited && site.waited == site.held);
    let text = without_times(&diagnosis.to_string());
    let expected = format!(
        "doctor: 50 calls waited for their answer at {FILE}:{pixels}:17 draw_pixel, T each, T of the program's T.\n"
    );
    // The finding is printed only if the site took a twentieth of the program's time.
    assert!(text.contains(&expected) || site.held * 20 < diagnosis.lasted, "{text}");
    assert!(
        without_idle(&text)
            .ends_with(&format!("doctor: 1 call at {FILE}:{refused}:13 put_image was rejected.\n")),
        "{text}"
    );
}

/// Returns each line with failed calls, and its numbers of rejected, dropped and unknown calls.
fn failures(diagnosis: &Diagnosis) -> Vec<(u32, u64, u64, u64)> {
    let failed = diagnosis.sites.iter().filter(|site| site.failed() > 0);
    let mut failed: Vec<_> = failed
        .map(|site| (site.location.unwrap().line(), site.rejected, site.dropped, site.unknown))
        .collect();
    failed.sort_unstable();
    failed
}

#[test]
fn calls_that_failed_are_told_by_their_line_whoever_heard_of_them() {
    let server = TestServer::start(100, 100);
    let cutter = Cutter::start(&server.address, vec![]);
    let (tell, told) = mpsc::channel();
    let display = ConnectOptions::new()
        .doctor(true)
        .on_error(|_| {})
        .on_status(move |status| _ = tell.send(status))
        .while_offline(WhileOffline::DropOldest)
        .reconnect(Duration::from_secs(3))
        .connect_pipeline(&cutter.address)
        .unwrap();
    let wrong = line!() + 2;
    for x in 98..103 {
        display.draw_pixel(x, 0, Color::RED).unwrap();
    }
    let awaited = line!() + 1;
    display.fill_rect(99, 0, 2, 1, Color::RED).unwrap().wait().unwrap_err();
    display.clear(Color::RED).unwrap().wait().unwrap();
    cutter.cut();
    // After the loss is known, no call is in flight.
    while !matches!(told.recv_timeout(common::DEADLINE).unwrap(), Status::Reconnecting { .. }) {}
    let dropped = line!() + 2;
    for _ in 0..65_536 + 2 {
        display.clear(Color::BLUE).unwrap().ignore();
    }
    while !matches!(told.recv_timeout(common::DEADLINE).unwrap(), Status::Disconnected(_)) {}
    // The question is not sent, before the end of the connection or after it.
    let question = line!() + 1;
    display.get_pixel(1, 1).unwrap_err();
    let diagnosis = display.diagnosis().unwrap();
    assert_eq!(
        failures(&diagnosis),
        [(wrong, 3, 0, 0), (awaited, 1, 0, 0), (dropped, 65_538, 2, 0), (question, 1, 0, 0)]
    );
    assert_eq!((diagnosis.rejected, diagnosis.dropped, diagnosis.unknown), (65_543, 2, 0));
    let text = diagnosis.to_string();
    let expected = format!(
        "doctor: 65,538 calls at {FILE}:{dropped}:17 clear were rejected; 2 of those rejected were dropped while the \
         display was offline or behind.\n\
         doctor: 3 calls at {FILE}:{wrong}:17 draw_pixel were rejected.\n\
         doctor: 1 call at {FILE}:{awaited}:13 fill_rect was rejected.\n\
         doctor: 1 call at {FILE}:{question}:13 get_pixel was rejected.\n"
    );
    assert!(text.contains(&expected), "{text}");
}

#[test]
fn a_function_that_passes_its_caller_on_is_no_site() {
    #[track_caller]
    fn dot(display: &blocking::Display, x: i32) {
        display.draw_pixel(x, 5, Color::GREEN).unwrap();
    }
    #[track_caller]
    fn late_dot<'d>(display: &'d blocking::Pipeline, x: i32) -> blocking::Reply<'d> {
        display.draw_pixel(x, 5, Color::GREEN).unwrap()
    }
    let server = TestServer::start(100, 100);
    let display = ConnectOptions::new().doctor(true).connect_blocking(&server.address).unwrap();
    let first = line!() + 1;
    dot(&display, 1);
    (0..2).for_each(|x| dot(&display, x));
    assert_eq!(
        sites(&display.diagnosis().unwrap()),
        [(Method::DrawPixel, first, 1, 1, 1), (Method::DrawPixel, first + 1, 2, 2, 1)]
    );
    let display = display.pipelined().unwrap();
    late_dot(&display, 1).wait().unwrap();
    let [.., (method, line, calls, ..)] = sites(&display.diagnosis().unwrap())[..] else { panic!() };
    assert_eq!((method, line, calls), (Method::DrawPixel, line!() - 2, 1));
    assert_eq!(display.diagnosis().unwrap().calls, 4, "the pipeline goes on with the account");
}

/// Serves until `waiting` completes; it is polled first, and nothing is answered before that.
async fn served<T>(peer: &mut Peer, waiting: impl Future<Output = T>) -> T {
    let serving = async {
        loop {
            peer.turn().await;
            peer.answer().await;
        }
    };
    soon(async {
        tokio::select! {
            biased;
            value = waiting => value,
            never = serving => never,
        }
    })
    .await
}

#[tokio::test]
async fn the_asynchronous_client_waits_where_replies_are_awaited_and_questions_asked() {
    let (display, mut peer) = greeted(patient(60).doctor(true)).await;
    let first = line!() + 1;
    display.draw_pixel(1, 1, Color::RED).await.unwrap(); // not waited for
    for _ in 0..3 {
        let reply = display.draw_pixel(2, 2, Color::RED).await.unwrap();
        served(&mut peer, reply).await.unwrap();
    }
    let asked = async { tokio::join!(display.get_pixel(1, 1), display.get_pixel(2, 2)) };
    let (one, other) = served(&mut peer, asked).await;
    one.unwrap();
    other.unwrap();
    let diagnosis = display.diagnosis().unwrap();
    assert_eq!(
        sites(&diagnosis),
        [
            (Method::DrawPixel, first, 1, 0, 0),
            (Method::DrawPixel, first + 2, 3, 3, 1),
            (Method::GetPixel, first + 5, 1, 1, 1),
            (Method::GetPixel, first + 5, 1, 1, 1)
        ]
    );
    let together: std::time::Duration = diagnosis.sites.iter().map(|site| site.waited).sum();
    assert!(diagnosis.held < together, "two questions were asked at the same time");
}

#[tokio::test]
async fn a_wait_that_is_given_up_is_over() {
    let (display, _peer) = greeted(patient(60).doctor(true)).await;
    let reply = display.draw_pixel(1, 1, Color::RED).await.unwrap();
    let mut reply = Box::pin(reply);
    assert!(futures::poll!(&mut reply).is_pending());
    drop(reply);
    let before = display.diagnosis().unwrap();
    assert_eq!((before.waits, before.sites[0].held), (1, before.sites[0].waited));
    tokio::task::yield_now().await;
    assert_eq!(display.diagnosis().unwrap().held, before.held, "it has stopped");
}

#[tokio::test]
async fn calls_that_wait_for_credit_are_told() {
    let (display, mut peer) = greeted(patient(60).doctor(true)).await;
    loop {
        let mut call = Box::pin(display.draw_pixel(1, 1, Color::RED));
        // The first poll may only yield. (If the peer answered meanwhile, there might always be credit.)
        if futures::poll!(&mut call).is_pending() && futures::poll!(&mut call).is_pending() {
            served(&mut peer, call).await.unwrap();
            break;
        }
    }
    let diagnosis = display.diagnosis().unwrap();
    let [site] = &diagnosis.sites[..] else { panic!("{diagnosis}") };
    assert_eq!((site.credit_waits, site.waits), (1, 0));
    assert_eq!(diagnosis.held_by_credit, site.credit_waited);
}

#[test]
fn without_a_doctor_there_is_no_diagnosis() {
    let server = TestServer::start(10, 10);
    let display = ConnectOptions::new().doctor(false).connect_blocking(&server.address).unwrap();
    assert!(display.diagnosis().is_none());
    assert!(display.pipelined().unwrap().diagnosis().is_none());
    let pipeline = ConnectOptions::new().doctor(true).connect_pipeline(&server.address).unwrap();
    assert_eq!(pipeline.diagnosis().unwrap().calls, 0);
}

#[tokio::test]
async fn late_errors_are_told_until_somebody_takes_them() {
    let (display, mut peer) = greeted(patient(60).doctor(true)).await;
    display.draw_pixel(10, 1, Color::RED).await.unwrap();
    served(&mut peer, display.get_pixel(1, 1)).await.unwrap();
    let diagnosis = display.diagnosis().unwrap();
    assert_eq!(diagnosis.untold, 1);
    let told = "doctor: 1 call failed and was not reported: an error callback would receive the errors, and so would a sync or close.\n";
    assert!(diagnosis.to_string().contains(told), "{diagnosis}");
    served(&mut peer, display.sync()).await.unwrap_err();
    assert_eq!(display.diagnosis().unwrap().untold, 0);
}

/// The environment variable that tells the program of the next tests which client to draw with and how to end.
const PROGRAM: &str = "TEST_DOCTOR";

/// Draws on the display that the environment names.
#[test]
#[ignore = "the program that the other tests run"]
fn program() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match std::env::var(PROGRAM).unwrap().as_str() {
        "blocking, closed" => {
            let display = blocking::Display::open().unwrap();
            (0..30).for_each(|x| display.draw_pixel(x, 1, Color::RED).unwrap());
            display.close().unwrap();
        }
        "blocking, dropped" => {
            let display = blocking::Display::open().unwrap();
            let clone = display.clone();
            (0..30).for_each(|x| clone.draw_pixel(x, 1, Color::RED).unwrap());
        }
        "blocking, off" => {
            let display = ConnectOptions::new().doctor(false).connect_blocking(&default_address()).unwrap();
            display.draw_pixel(1, 1, Color::RED).unwrap();
        }
        "asynchronous, closed" => runtime.block_on(async {
            let display = Display::open().await.unwrap();
            for x in 0..30 {
                display.draw_pixel(x, 1, Color::RED).await.unwrap();
            }
            display.close().await.unwrap();
        }),
        "asynchronous, dropped" => runtime.block_on(async {
            let display = Display::open().await.unwrap();
            display.draw_pixel(1_000, 1, Color::RED).await.unwrap();
            // The error has arrived, and the program does not ask for it.
            display.get_pixel(1, 1).await.unwrap();
        }),
        "pipeline, closed" => {
            let display = blocking::Pipeline::open().unwrap();
            (0..30).for_each(|x| display.draw_pixel(x, 1, Color::RED).unwrap().wait().unwrap());
            display.close().unwrap();
            display.close().unwrap();
        }
        "pipeline, dropped" => {
            let display = blocking::Pipeline::open().unwrap();
            (0..30).for_each(|x| drop(display.draw_pixel(x, 1, Color::RED).unwrap()));
        }
        other => panic!("{other}"),
    }
}

/// Runs the program and returns what it prints on standard error, with times replaced, and without the finding that
/// depends on the machine's load.
fn printed(program: &str, doctor: Option<&str>) -> String {
    let server = TestServer::start(100, 100);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "program", "--ignored"]).env(PROGRAM, program);
    command.env("DRAW_DISPLAY", &server.address).stdin(Stdio::null());
    command.env_remove("DRAW_DOCTOR").envs(doctor.map(|doctor| ("DRAW_DOCTOR", doctor)));
    let output = command.output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}{}", String::from_utf8_lossy(&output.stdout));
    without_idle(&without_times(&errors)).to_owned()
}

/// Returns the place in this file of a call whose line contains `text`.
fn place(text: &str, call: &str) -> String {
    let source = include_str!("doctor.rs");
    let (i, line) = source.lines().enumerate().find(|(_, line)| line.contains(text)).unwrap();
    format!("{FILE}:{}:{}", i + 1, line.find(call).unwrap() + 1)
}

#[test]
fn the_environment_turns_it_on_and_it_prints_once_at_the_end() {
    let closed = place("(0..30).for_each(|x| display.draw_pixel(x, 1, Color::RED).unwrap());", "draw_pixel");
    let dropped = place("(0..30).for_each(|x| clone.draw_pixel", "draw_pixel");
    let awaited =
        place("(0..30).for_each(|x| display.draw_pixel(x, 1, Color::RED).unwrap().wait()", "draw_pixel");
    let waited = |place: &str| {
        format!(
            "doctor: 30 calls waited for their answer at {place} draw_pixel, T each, T of the program's T.\n"
        )
    };
    // It depends on the machine whether a loop of thirty takes enough of the program's time to be reported, and whether
    // the advice pays.
    let nothing = "doctor: nothing to improve: 30 calls, 30 waited, T of the program's T.\n";
    let check = |program: &str, is_told: &dyn Fn(&str) -> bool| {
        let text = printed(program, Some("1"));
        assert!(is_told(&text), "{program}: {text}");
        assert_eq!(text.matches("doctor: ").count(), 1, "{program}: {text}");
        assert!(text.lines().count() <= 2, "{program}: {text}");
    };
    for (program, place) in [("blocking, closed", closed), ("blocking, dropped", dropped)] {
        check(program, &|text| text.starts_with(&waited(&place)) || text == nothing);
    }
    // An answer that arrives before it is awaited causes no wait.
    let awaited = format!(" answer at {awaited} draw_pixel");
    check("pipeline, closed", &|text| {
        text.contains(&awaited) || text.starts_with("doctor: nothing to improve: 30 calls")
    });
}

#[test]
fn a_program_that_never_waits_is_told_that_it_is_well() {
    for program in ["asynchronous, closed", "pipeline, dropped"] {
        assert_eq!(
            printed(program, Some("1")),
            "doctor: nothing to improve: 30 calls in T, and none waited.\n",
            "{program}"
        );
    }
}

#[test]
fn late_errors_of_a_program_that_just_ends_are_told() {
    let text = printed("asynchronous, dropped", Some("1"));
    let last = text.lines().last().unwrap();
    assert_eq!(
        last,
        "doctor: 1 call failed and was not reported: an error callback would receive the errors, and so would a sync or close."
    );
}

#[test]
fn it_is_off_unless_it_is_asked_for() {
    for setting in [None, Some(""), Some("0")] {
        assert_eq!(printed("blocking, closed", setting), "", "{setting:?}");
        assert_eq!(printed("asynchronous, closed", setting), "", "{setting:?}");
    }
    assert_eq!(printed("blocking, off", Some("1")), "", "the options win");
    assert_eq!(
        printed("pipeline, closed", Some("yes")),
        "DRAW_DOCTOR=\"yes\" is not a valid value: 1 prints which lines wait for the display, 0 prints nothing\n"
    );
}
