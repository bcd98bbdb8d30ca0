//! A network that fails without the program noticing: every call is executed exactly once, in its order.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::cutter::{Altered, Cutter, Plan, WHOLE};
use common::{Asynchronous, Client, TestServer, runtime, soon};
use display_server::{Journal, Server, ServerOptions, journal};
use draw_client::{
    Color, ConnectOptions, DisconnectReason, Display, Error, Outcome, Picture, Pixel, Result, Size, Status,
    WhileOffline, blocking, digest_of_image,
};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Makes calls that fail and calls whose answers depend on the order, and returns the answers.
fn program(display: &dyn Client) -> Result<Vec<String>> {
    let mut told = Vec::new();
    for i in 0..4 {
        display.draw_pixel(i, 0, Color::from_u32(0x1_00ff << i))?;
        told.push(display.get_pixel(i, 0)?.to_string());
        display.draw_pixel(i, 0, Color::RED)?;
        let row: Vec<_> = (0..40).map(|x| Pixel::new(x, 1, Color::GREEN)).collect();
        display.draw_pixels(&row)?;
        told.extend(display.draw_pixel(700, i, Color::RED).err().map(|error| error.to_string()));
    }
    told.push(format!("{:?}", display.get_image(0, 0, 4, 2)?));
    Ok(told)
}

/// The number of requests that `program` makes of a display.
const REQUESTS: u64 = 4 * 5 + 1;

/// Runs `program` with each of the clients over a network that is cut as planned, and compares it with a run over a
/// whole network.
fn runs_as_if_nothing_happened(plans: &[Plan]) {
    let whole = TestServer::start(64, 48);
    let expected = program(&blocking::Display::connect(&whole.address).unwrap()).unwrap();
    let runtime = runtime();
    for kind in 0..3 {
        let server = TestServer::start(64, 48);
        let cutter = Cutter::start(&server.address, plans.to_vec());
        let display: Box<dyn Client> = match kind {
            0 => Box::new(blocking::Display::connect(&cutter.address).unwrap()),
            1 => Box::new(blocking::Display::connect(&cutter.address).unwrap().pipelined().unwrap()),
            _ => {
                let display = runtime.block_on(soon(Display::connect(&cutter.address))).unwrap();
                Box::new(Asynchronous { runtime: common::runtime(), display })
            }
        };
        let told = program(&*display);
        assert_eq!(told.unwrap(), expected, "client {kind}, cut at {plans:?}");
        assert_eq!(server.screen.stats().executed, REQUESTS, "each once: client {kind}, cut at {plans:?}");
        assert_eq!(cutter.connections(), plans.len() + 1, "client {kind}, cut at {plans:?}");
    }
}

/// Cuts after the greetings and before the end of the program.
const FIRST: std::ops::Range<usize> = 150..700;

#[test]
fn a_connection_that_is_cut_on_the_way_to_the_display_is_not_noticed() {
    for at in FIRST.step_by(101) {
        runs_as_if_nothing_happened(&[(at, usize::MAX)]);
    }
}

#[test]
fn nor_one_that_is_cut_on_the_way_back() {
    for at in (350..620).step_by(67) {
        runs_as_if_nothing_happened(&[(usize::MAX, at)]);
    }
}

#[test]
fn nor_one_that_is_cut_again_and_again_and_in_the_middle_of_greeting() {
    runs_as_if_nothing_happened(&[
        (200, usize::MAX),
        (10, usize::MAX),
        (usize::MAX, 30),
        (400, usize::MAX),
        (usize::MAX, 500),
    ]);
}

#[test]
fn a_loop_that_does_not_wait_draws_all_of_it_once_and_hears_of_each_error_once() {
    let server = TestServer::start(64, 48);
    let cutter = Cutter::start(
        &server.address,
        vec![(40_000, usize::MAX), (usize::MAX, 1_000), (300_000, usize::MAX), (100, 100)],
    );
    let (tell, told) = std::sync::mpsc::channel();
    runtime().block_on(soon(async {
        let display = ConnectOptions::new()
            .on_error(move |late| tell.send(late).unwrap())
            .connect(&cutter.address)
            .await
            .unwrap();
        for i in 0..200_000 {
            // One in a thousand fails.
            let x = if i % 1_000 == 999 { 700 } else { i % 64 };
            display.draw_pixel(x, i / 64 % 48, Color::from_u32(i as u32)).await.unwrap();
        }
        display.sync().await.unwrap();
        display.close().await.unwrap();
    }));
    let numbers: Vec<_> =
        told.iter().flat_map(|late| late.calls().map(|call| call.number()).collect::<Vec<_>>()).collect();
    assert_eq!(numbers, (1..=200).map(|i| i * 1_000).collect::<Vec<_>>());
    assert!(cutter.connections() >= 4, "{} connections", cutter.connections());
    for i in 200_000 - 64 * 48..200_000 {
        if i % 1_000 != 999 {
            assert_eq!(server.shown(i % 64, i / 64 % 48), Color::from_u32(i as u32));
        }
    }
}

#[test]
fn large_images_are_cut_and_whole() {
    let server = TestServer::start(1_000, 700);
    let image: Vec<u8> = (0..1_000 * 700 * 4u32).map(|i| (i / 7) as u8).collect();
    let cutter = Cutter::start(
        &server.address,
        vec![(1 << 20, usize::MAX), (1 << 20, usize::MAX), (usize::MAX, 1_500_000)],
    );
    let display = blocking::Display::connect(&cutter.address).unwrap();
    display.put_image(0, 0, 1_000, 700, &image).unwrap();
    assert!(display.get_image(0, 0, 1_000, 700).unwrap() == image);
    assert_eq!(cutter.connections(), 4);
}

#[test]
fn a_bit_that_the_network_has_changed_shows_in_the_digest() {
    let server = TestServer::start(100, 100);
    let image: Vec<u8> = (0..100 * 100 * 4u32).map(|i| (i / 3) as u8).collect();
    // In the middle of the image, which has 40,000 bytes: without checksums the altered call is valid.
    let cutter = Cutter::start_altering(&server.address, vec![Altered::Up(20_000)]);
    let display = blocking::Display::connect(&cutter.address).unwrap();
    display.put_image(0, 0, 100, 100, &image).unwrap();
    let shown = display.get_image(0, 0, 100, 100).unwrap();
    assert_eq!(shown.iter().zip(&image).filter(|(shown, drawn)| shown != drawn).count(), 1);
    assert_ne!(display.get_digest(0, 0, 100, 100).unwrap(), digest_of_image(&image));
    display.put_image(0, 0, 100, 100, &image).unwrap();
    assert_eq!(display.get_digest(0, 0, 100, 100).unwrap(), digest_of_image(&image));
    assert_eq!(cutter.connections(), 1);
}

#[test]
fn an_image_that_is_sent_from_where_it_lies_is_whole_wherever_its_bands_are_cut() {
    let image: Vec<u8> = (0..1_000 * 700 * 4u32).map(|i| (i / 5) as u8).collect();
    // A band has 260,000 bytes, its header some tens.
    let plans = [
        vec![(130_000, usize::MAX), (260_200, usize::MAX), (20, usize::MAX), (2_000_001, usize::MAX)],
        vec![(2_700_000, usize::MAX), (usize::MAX, 400)],
        vec![(260_180, usize::MAX), (260_150, 380), (usize::MAX, 365)],
    ];
    for plans in plans {
        let server = TestServer::start(1_000, 700);
        let cutter = Cutter::start(&server.address, plans.clone());
        let display = blocking::Display::connect(&cutter.address).unwrap();
        display.draw_pixel(3, 3, Color::RED).unwrap();
        display.put_image(0, 0, 1_000, 700, &image).unwrap();
        display.draw_pixel(3, 3, Color::BLUE).unwrap();
        assert_eq!(server.shown(3, 3), Color::BLUE);
        display.put_image(3, 3, 1, 1, &image[3 * 4_004..][..4]).unwrap();
        assert!(display.get_image(0, 0, 1_000, 700).unwrap() == image, "cut at {plans:?}");
        // Eleven bands, three other calls, and the bands of the image that were requested twice.
        let executed = server.screen.stats().executed;
        assert!((11 + 3 + 11..=11 + 3 + 2 * 11).contains(&executed), "{executed} executed, cut at {plans:?}");
    }
}

#[test]
fn a_display_that_was_started_anew_says_so_and_is_drawn_on() {
    let (first, second) = (TestServer::start(64, 48), TestServer::start(64, 48));
    // The same address leads to another display after the first connection.
    let (cutter, moved) = Cutter::start_moving(&first.address, &second.address, (300, usize::MAX));
    let display = blocking::Display::connect(&cutter.address).unwrap();
    let mut failed = Vec::new();
    for i in 0..60 {
        if let Err(error) = display.draw_pixel(i, 1, Color::RED) {
            failed.push((i, error.to_string()));
        }
    }
    assert!(moved.load(std::sync::atomic::Ordering::SeqCst), "there was a second connection");
    let text = "the display was restarted and is empty; whether this call was executed is unknown";
    assert_eq!(failed.iter().map(|(_, text)| &text[..]).collect::<Vec<_>>(), [text]);
    let at = failed[0].0;
    assert_eq!((second.shown(at - 1, 1), second.shown(at + 1, 1)), (Color::BLACK, Color::RED));
}

#[test]
fn an_image_that_is_too_large_for_the_display_that_is_there_then_fails_and_the_rest_is_drawn() {
    let size = Size { width: 200, height: 200 };
    let first = TestServer::start(size.width, size.height);
    let options = ServerOptions { message: 50_000, ..ServerOptions::default() };
    let second =
        TestServer::serve(Server::new(display_server::Display::new(size, Color::BLACK).unwrap(), options));
    let (cutter, _) = Cutter::start_moving(&first.address, &second.address, WHOLE);
    let (tell, told) = mpsc::channel();
    let display = ConnectOptions::new()
        .on_status(move |status| _ = tell.send(status))
        .connect_pipeline(&cutter.address)
        .unwrap();
    cutter.cut();
    told.recv_timeout(common::DEADLINE).unwrap();
    let image = vec![255; 200 * 200 * 4];
    let large = display.put_image(0, 0, 200, 200, &image).unwrap();
    let rest = display.fill_rect(0, 0, 9, 9, Color::RED).unwrap();
    cutter.admit();
    let error = large.wait().unwrap_err();
    rest.wait().unwrap();
    let text =
        "too_large: it has 160025 bytes, made for another display; the limit of a message is now 50000";
    assert_eq!((error.to_string().as_str(), error.outcome()), (text, Outcome::Rejected));
    assert_eq!((second.shown(8, 8), second.shown(9, 9)), (Color::RED, Color::BLACK));
    assert_eq!(cutter.relayed(), 2);
    // The next image is split by the limits of this display.
    display.put_image(0, 0, 200, 200, &image).unwrap().wait().unwrap();
    assert_eq!(second.shown(199, 199), Color::WHITE);
}

/// Starts a display that writes a journal into `directory`, which must outlive the display.
fn journaled(directory: &Path) -> TestServer {
    let options = journal::Options { size: Some(Size { width: 64, height: 48 }), ..Default::default() };
    let journal = Journal::open(directory, &options, &mut |_, _| {}).unwrap();
    TestServer::serve(Server::new(journal.display().clone(), ServerOptions::default()).journaled(journal))
}

#[test]
fn a_display_that_was_restarted_and_has_forgotten_the_client_does_not_say_that_its_picture_is_there() {
    let directory = std::env::temp_dir().join(format!("draw-client-resume-{}", std::process::id()));
    let (before, after) = (directory.join("before"), directory.join("after"));
    let first = journaled(&before);
    // The state after a crash that has lost everything since the display's start.
    std::fs::create_dir_all(&after).unwrap();
    for file in std::fs::read_dir(&before).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), after.join(file.file_name())).unwrap();
    }
    let second = journaled(&after);
    let (cutter, _) = Cutter::start_moving(&first.address, &second.address, (3_000, usize::MAX));
    let (tell, told) = mpsc::channel();
    let display = ConnectOptions::new()
        .on_error(|_| {})
        .on_status(move |status| _ = tell.send(status))
        .connect_pipeline(&cutter.address)
        .unwrap();
    let began = Instant::now();
    let status = loop {
        assert!(began.elapsed() < common::DEADLINE);
        display.fill_rect(1, 3, 1, 1, Color::RED).unwrap();
        match told.try_recv() {
            Ok(Status::Reconnecting { .. }) | Err(_) => {}
            Ok(status) => break status,
        }
    };
    let Status::SessionLost { picture: Picture::Stale, unknown } = status else { panic!("{status}") };
    let expected = format!(
        "reconnected; the display was restarted, and the last calls that it executed may be lost; the outcome of \
         {unknown} calls is unknown"
    );
    assert_eq!(status.to_string(), expected);
    display.fill_rect(2, 3, 1, 1, Color::RED).unwrap();
    display.sync().unwrap();
    assert_eq!(second.shown(2, 3), Color::RED, "it is drawn on");
    display.close().unwrap();
    drop((first, second));
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn the_program_hears_what_becomes_of_the_connection_and_may_draw_again_what_was_lost() {
    let (first, second) = (TestServer::start(64, 48), TestServer::start(64, 48));
    let (cutter, _) = Cutter::start_moving(&first.address, &second.address, (3_000, usize::MAX));
    let (tell, told) = mpsc::channel();
    let again = Arc::new(OnceLock::<blocking::Pipeline>::new());
    let redraw = Arc::clone(&again);
    let display = ConnectOptions::new()
        .on_error(|_| {})
        .on_status(move |status| {
            if let Status::SessionLost { picture: Picture::Empty, .. } = status {
                // Draws this row again, whatever happens to the other calls.
                redraw.get().unwrap().fill_rect(0, 40, 64, 1, Color::BLUE).unwrap().wait().unwrap();
            }
            tell.send(status).unwrap();
        })
        .connect_pipeline(&cutter.address)
        .unwrap();
    again.set(display.clone()).unwrap();
    display.fill_rect(0, 40, 64, 1, Color::BLUE).unwrap().wait().unwrap();
    for i in 0..20_000 {
        display.draw_pixel(i % 64, i / 64 % 40, Color::RED).unwrap();
    }
    let status = told.recv_timeout(common::DEADLINE).unwrap();
    let text = status.to_string();
    assert!(matches!(status, Status::Reconnecting { .. }), "{text}");
    assert!(
        text.starts_with("the connection to the display is lost: ") && text.ends_with("; next try in 0.1 s"),
        "{text}"
    );
    let status = told.recv_timeout(common::DEADLINE).unwrap();
    let Status::SessionLost { picture: Picture::Empty, unknown } = status else { panic!("{status}") };
    assert!((1..=20_000).contains(&unknown));
    assert_eq!(
        status.to_string(),
        format!(
            "reconnected; the display was restarted and is empty; the outcome of {unknown} calls is unknown"
        )
    );
    // (Under load all of those calls may be sent before the loss is detected.)
    display.draw_pixel(5, 5, Color::RED).unwrap();
    display.sync().unwrap();
    assert_eq!((second.shown(5, 40), second.shown(5, 5)), (Color::BLUE, Color::RED));
    display.close().unwrap();
    // (The callback holds a clone and is dropped only with the connection.)
    drop((display, again));
    assert!(told.recv_timeout(common::DEADLINE).is_err(), "nothing more is told");
}

#[test]
fn a_connection_that_is_given_up_is_told_as_well() {
    let server = TestServer::start(64, 48);
    let cutter = Cutter::start(&server.address, vec![(200, usize::MAX)]);
    cutter.refuse_after_the_first();
    let (tell, told) = mpsc::channel();
    let display = ConnectOptions::new()
        .reconnect(Duration::from_millis(500))
        .on_status(move |status| tell.send(status).unwrap())
        .connect_pipeline(&cutter.address)
        .unwrap();
    while display.get_pixel(1, 1).is_ok() {}
    let told: Vec<_> = told.iter().collect();
    let (last, tries) = told.split_last().unwrap();
    assert!(
        tries.len() >= 2 && tries.iter().all(|status| matches!(status, Status::Reconnecting { .. })),
        "{told:?}"
    );
    assert!(matches!(last, Status::Disconnected(DisconnectReason::GaveUp { .. })), "{told:?}");
}

#[test]
fn calls_fail_at_once_while_it_is_gone_if_that_is_wanted() {
    let server = TestServer::start(64, 48);
    let cutter = Cutter::start(&server.address, vec![(200, usize::MAX)]);
    cutter.refuse_after_the_first();
    runtime().block_on(soon(async {
        let display =
            ConnectOptions::new().while_offline(WhileOffline::Fail).connect(&cutter.address).await.unwrap();
        let error = loop {
            if let Err(error) = display.draw_pixel(1, 1, Color::RED).await {
                break error;
            }
            tokio::task::yield_now().await;
        };
        assert!(matches!(error, Error::Offline { .. }), "{error}");
        assert!(error.to_string().starts_with("the display is offline ("), "{error}");
        assert!(!error.is_disconnected());
        cutter.admit();
        // The accepted call is drawn after all.
        while display.sync().await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(server.shown(1, 1), Color::RED);
    }));
}

#[test]
fn a_display_that_does_not_come_back_is_given_up() {
    for kind in 0..2 {
        let server = TestServer::start(64, 48);
        let cutter = Cutter::start(&server.address, vec![(200, usize::MAX)]);
        cutter.refuse_after_the_first();
        let within = Duration::from_millis(300);
        let began = Instant::now();
        let error = if kind == 0 {
            let display = ConnectOptions::new().reconnect(within).connect_blocking(&cutter.address).unwrap();
            loop {
                if let Err(error) = display.draw_pixel(1, 1, Color::RED) {
                    break error;
                }
            }
        } else {
            runtime().block_on(soon(async {
                let display = ConnectOptions::new().reconnect(within).connect(&cutter.address).await.unwrap();
                loop {
                    if let Err(error) = async { display.draw_pixel(1, 1, Color::RED).await?.await }.await {
                        break error;
                    }
                }
            }))
        };
        assert!(began.elapsed() >= within);
        assert!(error.is_disconnected(), "{error}");
        let text = error.to_string();
        assert!(
            text.starts_with("the connection to the display is lost: the display was offline for 0."),
            "{text}"
        );
    }
}

/// Relays one connection, and returns, when it ends, what the client has sent.
fn overhear(target: &str) -> (String, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let target = target.to_owned();
    let hearing = std::thread::spawn(move || {
        let (mut client, display) = (listener.accept().unwrap().0, TcpStream::connect(target).unwrap());
        let (mut back, mut from_display) = (client.try_clone().unwrap(), display.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from_display, &mut back));
        let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(n @ 1..) = client.read(&mut buffer) {
            heard.extend_from_slice(&buffer[..n]);
            (&display).write_all(&buffer[..n]).unwrap();
        }
        display.shutdown(Shutdown::Write).unwrap();
        heard
    });
    (address, hearing)
}

#[test]
fn a_program_that_has_come_to_its_end_tells_the_display_to_forget_it() {
    let (server, runtime) = (TestServer::start(64, 48), runtime());
    for kind in ["blocking", "pipeline", "closed", "dropped"] {
        let (address, hearing) = overhear(&server.address);
        match kind {
            "blocking" => blocking::Display::connect(&address).unwrap().draw_pixel(1, 1, Color::RED).unwrap(),
            "pipeline" => {
                let display = blocking::Display::connect(&address).unwrap().pipelined().unwrap();
                drop(display.draw_pixel(1, 1, Color::RED).unwrap());
                display.close().unwrap();
            }
            _ => runtime.block_on(async {
                let display = soon(Display::connect(&address)).await.unwrap();
                drop(soon(display.draw_pixel(1, 1, Color::RED)).await.unwrap());
                if kind == "closed" {
                    soon(display.close()).await.unwrap();
                }
                drop(display);
                // The driver runs without a handle.
                while !hearing.is_finished() {
                    tokio::task::yield_now().await;
                }
            }),
        }
        let heard = hearing.join().unwrap();
        assert!(heard.ends_with(b"\x93\x02\xa3end\x90"), "{kind}: {}", heard.escape_ascii());
    }
}

/// Half of an answer to `hello` counts as none: the attempt times out, and the client makes another.
#[test]
fn a_display_that_sends_half_an_answer_to_hello_and_stops_is_given_up_for_another_connection() {
    let detour = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = detour.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in detour.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                stream.write_all(b"\x94\x01\x00\xc0\x8a\xa7ver").unwrap();
                _ = stream.read_to_end(&mut Vec::new());
            });
        }
    });
    let runtime = runtime();
    let options = || ConnectOptions::new().connect_timeout(Duration::from_millis(300));
    for kind in 0..3 {
        let server = TestServer::start(64, 48);
        let cutter = Cutter::start_with_detour(&server.address, &address, (400, usize::MAX));
        let display: Box<dyn Client> = match kind {
            0 => Box::new(options().connect_blocking(&cutter.address).unwrap()),
            1 => Box::new(options().connect_pipeline(&cutter.address).unwrap()),
            _ => {
                let display = runtime.block_on(soon(options().connect(&cutter.address))).unwrap();
                Box::new(Asynchronous { runtime: common::runtime(), display })
            }
        };
        for _ in 0..100 {
            display.add_pixel(1, 1, 1).unwrap();
        }
        display.sync().unwrap();
        assert_eq!(display.get_pixel(1, 1).unwrap().to_u32(), 100 + 0xff, "client {kind}");
        assert_eq!(cutter.connections(), 3, "client {kind}");
    }
}

/// A synchronous display becomes a pipeline while its connection is lost: the pipeline reconnects.
#[test]
fn a_pipeline_that_is_made_during_an_outage_reconnects_and_executes_each_call_once() {
    let server = TestServer::start(64, 48);
    let cutter = Cutter::start(&server.address, vec![]);
    let (tell, told) = mpsc::channel();
    let display = ConnectOptions::new()
        .timeout(Duration::from_millis(200))
        .on_status(move |status| tell.send(status).unwrap())
        .connect_blocking(&cutter.address)
        .unwrap();
    display.add_pixel(1, 1, 1).unwrap();
    cutter.cut();
    let error = display.add_pixel(1, 1, 2).unwrap_err();
    assert!(matches!(error, Error::Timeout { outcome: Outcome::Unknown, .. }), "{error}");
    let pipeline = display.pipelined().unwrap();
    // The call is kept until the display is connected.
    pipeline.add_pixel(1, 1, 4).unwrap().ignore();
    cutter.admit();
    while !matches!(told.recv_timeout(Duration::from_secs(30)).unwrap(), Status::Resumed) {}
    pipeline.sync().unwrap();
    assert_eq!(pipeline.get_pixel(1, 1).unwrap().to_u32(), 1 + 2 + 4 + 0xff);
    pipeline.close().unwrap();
}

#[test]
fn without_reconnecting_a_lost_connection_is_lost() {
    let server = TestServer::start(64, 48);
    let cutter = Cutter::start(&server.address, vec![(200, usize::MAX), WHOLE]);
    let display = ConnectOptions::new().reconnect(Duration::ZERO).connect_blocking(&cutter.address).unwrap();
    let error = loop {
        if let Err(error) = display.draw_pixel(1, 1, Color::RED) {
            break error;
        }
    };
    assert!(error.is_disconnected(), "{error}");
    assert_eq!(cutter.connections(), 1);
}
