//! Displays that are absent, are something else, are silent, or stop in the middle.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::peer::{Peer, greet, greeted, patient};
use common::{runtime, soon};
use draw_client::{Color, ConnectOptions, Display, Error, Outcome, Pixel, blocking};
use draw_protocol::server::Step;
use draw_protocol::{Answer, Code, Fault, Request, limits};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

#[tokio::test(start_paused = true)]
async fn a_display_that_stops_reading_is_told_of_by_the_deadline_and_memory_stays_bounded() {
    let (display, _peer) = greeted(patient(7)).await;
    let started = tokio::time::Instant::now();
    let mut accepted = 0u32;
    let error = loop {
        match display.draw_pixel(1, 1, Color::RED).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.to_string(), "the display has not answered for 7s; this call was not sent");
    assert_eq!(error.outcome(), Outcome::Rejected);
    let bytes = accepted as usize * Pixel::SIZE;
    assert!(bytes <= limits::WINDOW_FIRST + 100, "{accepted} calls, more than is worth having under way");
    assert_eq!(started.elapsed().as_secs(), 7);

    // An accepted call may still be sent; a call with more data than the credit waits as well.
    let big = display.put_image(0, 0, 1024, 1024, &vec![0; 4 << 20]).await.unwrap_err();
    assert!(matches!(big, Error::Timeout { outcome: Outcome::Rejected, .. }));

    let Err(Error::Late(late)) = display.close().await else { panic!("the calls are unanswered") };
    assert!(late.to_string().contains("the display had not answered for 7s"), "{late}");
    let [begun, unsent] = late.errors() else { panic!("{late}") };
    assert_eq!((begun.outcome(), unsent.outcome()), (Outcome::Unknown, Outcome::Rejected));
    let (begun, unsent) = (begun.total(), unsent.total());
    assert!(begun > 0 && unsent > 0, "the stream has taken the first of them, and never more");
    assert_eq!((begun + unsent, late.total()), (u64::from(accepted), u64::from(accepted)));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_after_its_deadline_is_not_lost_and_the_connection_goes_on() {
    let (display, mut peer) = greeted(patient(3)).await;
    let reply = display.draw_pixel(10, 0, Color::RED).await.unwrap();
    let error = reply.await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the display has not answered for 3s; whether this call was executed is unknown"
    );
    let error = display.get_pixel(0, 0).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { outcome: Outcome::Unknown, .. }), "{error}");

    // The display continues.
    peer.turn().await;
    peer.answer().await;
    tokio::spawn(async move {
        loop {
            if peer.turn().await == 0 {
                return;
            }
            peer.answer().await;
        }
    });
    assert_eq!(display.get_pixel(0, 0).await.unwrap(), Color::RED);
    let Err(Error::Late(late)) = display.close().await else { panic!("one call has failed") };
    assert_eq!(late.total(), 1);
    assert_eq!(late.errors()[0].calls().next().unwrap().number(), 1);
    assert_eq!(late.errors()[0].fault().unwrap().message, "as a test");
}

/// The peer does not read, and sends so much that it would block if the client stopped reading too: as much as a client
/// accepts without progress.
#[tokio::test]
async fn both_sides_that_stop_reading_end_by_their_deadlines() {
    let (display, mut peer) = greeted(ConnectOptions::new().timeout(Duration::from_millis(500))).await;
    let flood = async {
        let progress = b"\x93\x02\xa8progress\x91\x00".repeat(300);
        for _ in 0..limits::TALK as usize / progress.len() {
            soon(peer.stream.write_all(&progress))
                .await
                .expect("a client that is being flooded goes on reading");
        }
    };
    let draw = async {
        loop {
            if let Err(error) = display.draw_pixel(1, 1, Color::RED).await {
                return error;
            }
        }
    };
    let (error, ()) = tokio::join!(draw, flood);
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_display_gives_a_silent_peer_five_seconds() {
    let (tell, told) = std::sync::mpsc::channel();
    let (display, mut peer) =
        greeted(ConnectOptions::new().on_error(move |late| tell.send(late).unwrap())).await;
    display.draw_pixel(1, 1, Color::RED).await.unwrap();
    let started = tokio::time::Instant::now();
    drop(display);
    // The peer reads the bytes that were sent, answers nothing, and reads the end.
    let mut all = Vec::new();
    peer.stream.read_to_end(&mut all).await.unwrap();
    assert!(all.ends_with(&[0x01, 0x01, 0xce, 255, 0, 0, 255]), "the accepted call was sent");
    assert_eq!(started.elapsed().as_secs(), 5);
    assert_eq!(told.recv_timeout(common::DEADLINE).unwrap().outcome(), Outcome::Unknown);
}

#[tokio::test]
async fn the_driver_may_be_polled_by_the_caller() {
    let (near, far) = tokio::io::duplex(4096);
    let mut peer = Peer::new(far);
    let (made, ()) = tokio::join!(ConnectOptions::new().over_with_driver(near), async {
        peer.turn().await;
        peer.answer().await;
    });
    let (display, driver) = made.unwrap();
    let serve = async {
        while peer.turn().await > 0 {
            peer.answer().await;
        }
    };
    let ask = async {
        let color = display.get_pixel(1, 1).await.unwrap();
        display.close().await.unwrap();
        color
    };
    let (color, (), ()) = soon(async { tokio::join!(ask, driver, serve) }).await;
    assert_eq!(color, Color::RED);
    assert_eq!(format!("{:?}", display), "Display { size: Size { width: 2000, height: 2000 }, .. }");
}

/// A stream may keep written bytes until it is flushed.
#[tokio::test(start_paused = true)]
async fn a_stream_that_buffers_is_flushed() {
    let (near, far) = tokio::io::duplex(4096);
    let mut peer = Peer::new(far);
    let serve = async {
        while peer.turn().await > 0 {
            peer.answer().await;
        }
    };
    let ask = async {
        let display = ConnectOptions::new().over(tokio::io::BufStream::new(near)).await?;
        display.draw_pixel(1, 1, Color::RED).await?.await?;
        let color = display.get_pixel(1, 1).await?;
        display.close().await.map(|()| color)
    };
    let (color, ()) = soon(async { tokio::join!(ask, serve) }).await;
    assert_eq!(color.unwrap(), Color::RED);
}

/// A stream whose writing fails before the last bytes from the other side are read.
struct Breaking {
    inner: DuplexStream,
    /// If true, writing fails, and reading returns nothing before writing has failed.
    is_broken: Arc<AtomicBool>,
    has_failed: bool,
    reader: Option<Waker>,
}

impl AsyncRead for Breaking {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_broken.load(Ordering::SeqCst) && !self.has_failed {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Breaking {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_broken.load(Ordering::SeqCst) {
            self.has_failed = true;
            self.reader.take().into_iter().for_each(Waker::wake);
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_is_read_although_writing_has_failed() {
    for (says, want) in [
        (
            &b"\x93\x02\xa7goodbye\x91\x82\xa4code\xadshutting_down\xa7message\xa4over"[..],
            "shutting_down: over",
        ),
        // For a peer that neither sends nor closes, the client waits one second.
        (b"", "broken pipe"),
    ] {
        let (near, far) = tokio::io::duplex(4096);
        let mut peer = Peer::new(far);
        let is_broken = Arc::new(AtomicBool::new(false));
        let stream =
            Breaking { inner: near, is_broken: Arc::clone(&is_broken), has_failed: false, reader: None };
        let (display, ()) = tokio::join!(ConnectOptions::new().over(stream), async {
            peer.turn().await;
            peer.answer().await;
        });
        let display = display.unwrap();
        // A call is in flight, so the driver writes the next one.
        display.draw_pixel(1, 1, Color::RED).await.unwrap();
        peer.stream.write_all(says).await.unwrap();
        if !says.is_empty() {
            peer.stream.shutdown().await.unwrap();
        }
        is_broken.store(true, Ordering::SeqCst);
        let error = soon(display.get_pixel(1, 1)).await.unwrap_err();
        assert!(error.is_disconnected() && error.to_string().contains(want), "{error}");
    }
}

/// The display must not keep a connection that cannot be used any more.
#[test]
fn a_runtime_that_ends_closes_the_connection_although_handles_live_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let peer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        greet(&mut stream);
        stream.set_read_timeout(Some(common::DEADLINE)).unwrap();
        stream.read(&mut [0])
    });
    let first = runtime();
    let display = first.block_on(soon(Display::connect(&address))).unwrap();
    drop(first);
    assert_eq!(peer.join().unwrap().unwrap(), 0);
    drop(display);
}

/// Returns the errors of both clients that connect to a listener with this behaviour.
fn connect_to(behaviour: impl Fn(TcpStream) + Send + 'static) -> [Error; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            behaviour(stream.unwrap());
        }
    });
    let short = Duration::from_millis(300);
    let first = ConnectOptions::new().connect_timeout(short).connect_blocking(&address).unwrap_err();
    let second =
        runtime().block_on(soon(ConnectOptions::new().connect_timeout(short).connect(&address))).unwrap_err();
    [first, second]
}

#[test]
fn nothing_listening_is_said_in_one_sentence() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let want = format!(
        "no display at {free} (connection refused): start one with `display-server`, or set DRAW_DISPLAY"
    );
    assert_eq!(blocking::Display::connect(&free).unwrap_err().to_string(), want);
    let error = runtime().block_on(soon(Display::connect(&free))).unwrap_err();
    assert_eq!(error.to_string(), want);
    assert!(error.is_disconnected());
    let Error::Address { text, problem } = blocking::Display::connect("::1").unwrap_err() else {
        panic!("it is not an address")
    };
    assert_eq!((&*text, problem), ("::1", "an IPv6 address goes in brackets"));
}

#[test]
fn whatever_is_no_display_is_an_error_that_says_so() {
    for error in connect_to(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    }) {
        let text = error.to_string();
        assert!(text.starts_with("not a display: it answered HTTP, \"HTTP/1.1 400 Bad Request\""), "{text}");
    }
    for error in connect_to(drop) {
        assert!(error.is_disconnected() && error.outcome() == Outcome::Rejected, "{error}");
    }
    for error in connect_to(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    }) {
        assert!(matches!(error, Error::Timeout { outcome: Outcome::Rejected, .. }), "{error}");
        assert!(error.to_string().starts_with("the display has not answered for 300ms"), "{error}");
    }
    // The first half of an answer to `hello`.
    for error in connect_to(|mut stream| {
        let _ = stream.write_all(b"\x94\x01\x00\xc0\x8a\xa7ver");
        let _ = stream.read_to_end(&mut Vec::new());
    }) {
        assert!(matches!(error, Error::Timeout { outcome: Outcome::Rejected, .. }), "{error}");
    }
    // A display without capacity sends a goodbye before the greeting.
    for error in connect_to(|mut stream| {
        let _ = stream.read(&mut [0; 1000]);
        let _ = stream.write_all(b"\x93\x02\xa7goodbye\x91\x82\xa4code\xadshutting_down\xa7message\xa4over");
    }) {
        assert!(
            error.to_string().starts_with("the display refused the greeting: shutting_down: over"),
            "{error}"
        );
        assert_eq!(error.fault().map(|fault| &fault.code), Some(&Code::ShuttingDown));
    }
    // A display of another version.
    for error in connect_to(|mut stream| {
        let fault = Fault::new(Code::UnsupportedVersion, "this display speaks version 7 to 9, not 1");
        let mut bytes = vec![0x94, 0x01, 0x00, 0x82, 0xa4];
        bytes.extend(b"code\xb3");
        bytes.extend(fault.code.as_str().bytes());
        bytes.extend(b"\xa7message\xd9");
        bytes.push(fault.message.len() as u8);
        bytes.extend(fault.message.bytes());
        bytes.push(0xc0);
        let _ = stream.write_all(&bytes);
        let _ = stream.read_to_end(&mut Vec::new());
    }) {
        assert!(error.to_string().contains("this display speaks version 7 to 9, not 1"), "{error}");
        assert_eq!(error.fault().map(|fault| &fault.code), Some(&Code::UnsupportedVersion));
    }
}

/// Sends these bytes after the greeting, and then waits; the client has one call in flight. Returns the errors of both
/// clients.
fn after_greeting(bytes: &'static [u8]) -> [Error; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let mut stream = stream.unwrap();
            greet(&mut stream);
            // The first call.
            let _ = stream.read(&mut [0; 1000]);
            let _ = stream.write_all(bytes);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let display = blocking::Display::connect(&address).unwrap();
    let first = display.get_pixel(1, 1).unwrap_err();
    assert!(matches!(display.get_pixel(1, 1), Err(Error::Disconnected { outcome: Outcome::Rejected, .. })));
    let second = runtime().block_on(soon(async {
        let display = Display::connect(&address).await.unwrap();
        display.get_pixel(1, 1).await.unwrap_err()
    }));
    [first, second]
}

#[test]
fn a_lying_display_ends_the_connection_and_nothing_else() {
    for (lie, bytes) in [
        ("an answer to a call never made", &[0x94, 0x01, 0x05, 0xc0, 0xc0][..]),
        ("progress that runs ahead", b"\x93\x02\xa8progress\x91\x07"),
        ("progress over a question", b"\x93\x02\xa8progress\x91\x01"),
        ("a colour that is none", b"\x94\x01\x01\xc0\xa3red"),
        ("garbage", b"\xc1\xc1\xc1"),
        ("a message without end", b"\x94\x01\x01\xc0\xc6\xff\xff\xff\xff"),
        ("a request", b"\x94\x00\x01\xa4sync\x90"),
    ] {
        for error in after_greeting(bytes) {
            assert!(error.is_disconnected() && error.outcome() == Outcome::Unknown, "{lie}: {error}");
            assert!(error.to_string().contains("does not speak this protocol"), "{lie}: {error}");
        }
    }
}

#[test]
fn a_goodbye_gives_the_reason() {
    let goodbye = b"\x93\x02\xa7goodbye\x91\x82\xa4code\xadshutting_down\xa7message\xa4over";
    // The peer sends a goodbye and closes without an answer to the call.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let mut stream = stream.unwrap();
            greet(&mut stream);
            let _ = stream.read(&mut [0; 1000]);
            stream.write_all(goodbye).unwrap();
        }
    });
    let display = blocking::Display::connect(&address).unwrap();
    let first = display.get_pixel(1, 1).unwrap_err();
    let second = runtime().block_on(soon(async {
        let display = Display::connect(&address).await.unwrap();
        display.get_pixel(1, 1).await.unwrap_err()
    }));
    for error in [first, second] {
        let want = "the connection to the display is lost: the display closed it: shutting_down: over; \
                    whether this call was executed is unknown";
        assert_eq!(error.to_string(), want);
        assert_eq!(error.fault().map(|fault| &fault.code), Some(&Code::ShuttingDown));
    }
}

#[test]
fn a_blocking_call_gives_up_by_its_deadline_and_the_next_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (wake, woken) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut machine = greet(&mut stream);
        let mut buffer = [0; 1000];
        let mut is_asleep = true;
        loop {
            let n = stream.read(&mut buffer).unwrap();
            if n == 0 {
                return;
            }
            if std::mem::take(&mut is_asleep) {
                let _ = woken.recv();
            }
            let mut input = &buffer[..n];
            loop {
                match machine.handle_input(&mut input, Instant::now()) {
                    Step::Execute(Request::GetPixel { .. }, _) => {
                        machine.answer(Ok(Answer::Pixel(Color::RED)));
                    }
                    Step::Execute(..) => machine.answer(Ok(Answer::Done(()))),
                    Step::Greet(_) => unreachable!("it has its display"),
                    Step::Resume(_) => machine.resume(&mut None),
                    Step::Continue => {}
                    Step::Wait => break,
                }
            }
            let bytes = machine.poll_transmit(Instant::now()).to_vec();
            stream.write_all(&bytes).unwrap();
            machine.handle_transmitted(bytes.len(), Instant::now());
        }
    });
    let display =
        ConnectOptions::new().timeout(Duration::from_millis(200)).connect_blocking(&address).unwrap();
    let error = display.draw_pixel(1, 1, Color::RED).unwrap_err();
    assert!(matches!(error, Error::Timeout { outcome: Outcome::Unknown, .. }), "{error}");
    // From here on the peer does not wait.
    drop(wake);
    let answer = loop {
        match display.get_pixel(1, 1) {
            Err(Error::Timeout { .. }) => {}
            answer => break answer,
        }
    };
    assert_eq!(answer.unwrap(), Color::RED);
}

/// A display that stops reading in the middle of a large image: the blocking client ends by its deadline.
#[test]
fn a_blocking_client_ends_when_nobody_reads() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (done, wait) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        greet(&mut stream);
        let _ = wait.recv();
    });
    let display =
        ConnectOptions::new().timeout(Duration::from_millis(500)).connect_blocking(&address).unwrap();
    let error = display.put_image(0, 0, 2000, 2000, &vec![0; 16_000_000]).unwrap_err();
    assert!(matches!(error, Error::Timeout { outcome: Outcome::Unknown, .. }), "{error}");
    drop(done);
}
