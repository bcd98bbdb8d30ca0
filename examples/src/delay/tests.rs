//! Tests that bytes arrive unchanged, half a round trip later.

use super::*;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Mutex;
use std::time::Instant;

/// The deadline of a test that hangs; nothing here takes a tenth of it.
const HANGS: Duration = Duration::from_secs(30);

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(HANGS)).unwrap();
    stream.set_write_timeout(Some(HANGS)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Returns a delay line, and both ends of one connection through it.
fn connected(rtt: Duration) -> (DelayLine, TcpStream, TcpStream) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let line = DelayLine::start(server.local_addr().unwrap(), rtt).unwrap();
    let client = TcpStream::connect(line.address()).unwrap();
    (line, patient(client), patient(server.accept().unwrap().0))
}

/// Returns bytes in which an exchange of two would be noticed.
fn pattern(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        // The generator of Numerical Recipes.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn a_ping_takes_a_round_trip_however_its_bytes_are_split() {
    let rtt = Duration::from_millis(20);
    let (_line, mut client, mut server) = connected(rtt);
    let bytes = pattern(1_000);
    let echo = thread::spawn(move || {
        let mut buffer = [0; 333];
        loop {
            match server.read(&mut buffer).unwrap() {
                0 => return,
                n => server.write_all(&buffer[..n]).unwrap(),
            }
        }
    });
    for size in [1_000, 999, 500, 100, 7, 1] {
        let sent = Instant::now();
        for piece in bytes.chunks(size) {
            client.write_all(piece).unwrap();
        }
        let mut back = vec![0; bytes.len()];
        client.read_exact(&mut back[..1]).unwrap();
        assert!(sent.elapsed() >= rtt, "pieces of {size}: back after {:?}", sent.elapsed());
        client.read_exact(&mut back[1..]).unwrap();
        assert_eq!(back, bytes);
    }
    client.shutdown(Shutdown::Write).unwrap();
    echo.join().unwrap();
}

#[test]
fn each_way_takes_half() {
    let (_line, client, server) = connected(Duration::from_millis(40));
    for (mut from, mut to) in [(&client, &server), (&server, &client)] {
        let sent = Instant::now();
        from.write_all(b"x").unwrap();
        to.read_exact(&mut [0]).unwrap();
        assert!(sent.elapsed() >= Duration::from_millis(20));
    }
}

#[test]
fn eight_mebibytes_each_way_arrive_in_order() {
    let (_line, client, mut server) = connected(Duration::from_millis(10));
    let bytes = pattern(8 << 20);
    let expected = bytes.clone();
    thread::scope(|scope| {
        let mut sender = client.try_clone().unwrap();
        scope.spawn(move || {
            sender.write_all(&bytes).unwrap();
            sender.shutdown(Shutdown::Write).unwrap();
        });
        scope.spawn(move || {
            let mut all = Vec::new();
            server.read_to_end(&mut all).unwrap();
            server.write_all(&all).unwrap();
        });
        let mut back = Vec::new();
        (&client).read_to_end(&mut back).unwrap();
        assert!(back == expected, "{} bytes came back", back.len());
    });
}

#[test]
fn a_line_with_a_rate_takes_its_time_each_way_and_no_longer() {
    // 250 kB at 10 Mbit/s: 200 ms, and half a round trip of 40 ms.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let rtt = Duration::from_millis(40);
    let line = DelayLine::start_limited(server.local_addr().unwrap(), rtt, 10_000_000).unwrap();
    let client = patient(TcpStream::connect(line.address()).unwrap());
    let server = patient(server.accept().unwrap().0);
    let bytes = pattern(250_000);
    for (mut from, mut to) in [(&client, &server), (&server, &client)] {
        thread::scope(|scope| {
            let began = Instant::now();
            scope.spawn(|| from.write_all(&bytes).unwrap());
            let mut arrived = vec![0; bytes.len()];
            to.read_exact(&mut arrived[..1]).unwrap();
            // Bytes do not wait for those after them; the bound leaves time for other load on the machine.
            assert!(began.elapsed() < Duration::from_millis(150), "first after {:?}", began.elapsed());
            to.read_exact(&mut arrived[1..]).unwrap();
            assert!(began.elapsed() >= Duration::from_millis(219), "all after {:?}", began.elapsed());
            assert!(arrived == bytes);
        });
    }
    let error = DelayLine::start_limited(line.address(), rtt, 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn an_end_travels_like_a_byte_and_ends_one_direction_only() {
    let rtt = Duration::from_millis(30);
    let (_line, mut client, mut server) = connected(rtt);
    let ended = Instant::now();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    assert!(ended.elapsed() >= rtt / 2);
    server.write_all(b"and yet it answers").unwrap();
    drop(server);
    let mut last = String::new();
    client.read_to_string(&mut last).unwrap();
    assert_eq!(last, "and yet it answers");
    assert!(ended.elapsed() >= rtt);
}

#[test]
fn last_words_arrive_although_nobody_listens_any_more() {
    let (_line, mut client, mut server) = connected(Duration::from_millis(30));
    server.write_all(b"goodbye").unwrap();
    drop(server);
    // Writes to a closed port: the relay's write fails while the goodbye is still in transit.
    client.write_all(b"are you there?").unwrap();
    let mut last = [0; 7];
    client.read_exact(&mut last).unwrap();
    assert_eq!(&last, b"goodbye");
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
}

#[test]
fn a_connection_that_breaks_is_closed_on_the_other_side() {
    let (_line, client, mut server) = connected(Duration::from_millis(10));
    server.write_all(b"unread").unwrap();
    client.peek(&mut [0]).unwrap();
    // Closing with unread bytes breaks a TCP connection instead of ending it.
    drop(client);
    match server.read(&mut [0]) {
        Ok(n) => assert_eq!(n, 0, "nobody sent anything"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

#[test]
fn a_server_that_refuses_closes_the_connection() {
    // Bound but not listening: refuses connections, and no other process can take the port meanwhile.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let line = DelayLine::start(nobody.local_addr().unwrap(), Duration::ZERO).unwrap();
    let mut client = patient(TcpStream::connect(line.address()).unwrap());
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_sender_is_held_back_when_nobody_reads_and_loses_nothing() {
    let (_line, mut client, mut server) = connected(Duration::from_millis(2));
    // The system's own buffers on both sides of the relay take some MiB each.
    let most = UNDER_WAY + (48 << 20);
    let bytes = pattern(1 << 20);
    client.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut sent = 0;
    while sent < most {
        match client.write(&bytes[sent % bytes.len()..]) {
            Ok(n) => sent += n,
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
                break;
            }
        }
    }
    assert!((UNDER_WAY..most).contains(&sent), "{sent} bytes were taken");
    drop(client);
    let mut received = 0;
    let mut piece = vec![0; 64 << 10];
    loop {
        let n = server.read(&mut piece).unwrap();
        if n == 0 {
            break;
        }
        let expected = bytes.iter().cycle().skip(received % bytes.len());
        assert!(piece[..n].iter().eq(expected.take(n)), "byte {received} and on");
        received += n;
    }
    assert_eq!(received, sent);
}

#[test]
fn fifty_connections_are_far_away_at_the_same_time() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let rtt = Duration::from_millis(20);
    let line = DelayLine::start(server.local_addr().unwrap(), rtt).unwrap();
    let mut ends: Vec<_> = (0..50_u8)
        .map(|n| {
            let mut client = patient(TcpStream::connect(line.address()).unwrap());
            client.write_all(&[n]).unwrap();
            (client, patient(server.accept().unwrap().0))
        })
        .collect();
    for (_, served) in &mut ends {
        let mut name = [0];
        served.read_exact(&mut name).unwrap();
        served.write_all(&name).unwrap();
    }
    for (n, (client, _)) in ends.iter_mut().enumerate() {
        let mut name = [0];
        client.read_exact(&mut name).unwrap();
        assert_eq!(usize::from(name[0]), n);
    }
}

#[test]
fn dropping_it_ends_everything() {
    let (line, mut client, mut server) = connected(Duration::from_secs(1_000));
    let address = line.address();
    client.write_all(b"never arrives").unwrap();
    drop(line);
    for end in [&mut client, &mut server] {
        assert!(matches!(end.read(&mut [0]), Ok(0) | Err(_)));
    }
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

/// A call of a tap, and its time.
#[derive(Clone)]
struct Note {
    connection: u64,
    what: (Direction, Point, Vec<u8>),
    at: Instant,
}

#[derive(Default)]
struct Notes(Mutex<Vec<Note>>);

impl Tap for Notes {
    fn pass(&self, connection: u64, direction: Direction, point: Point, bytes: &[u8]) {
        let what = (direction, point, bytes.to_vec());
        self.0.lock().unwrap().push(Note { connection, what, at: Instant::now() });
    }
}

#[test]
fn a_tap_hears_every_byte_twice_half_a_round_trip_apart() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let rtt = Duration::from_millis(20);
    let notes = Arc::new(Notes::default());
    let line = DelayLine::start_tapped(server.local_addr().unwrap(), rtt, notes.clone()).unwrap();
    for _ in 0..2 {
        let mut client = patient(TcpStream::connect(line.address()).unwrap());
        let mut served = patient(server.accept().unwrap().0);
        client.write_all(b"ping").unwrap();
        served.read_exact(&mut [0; 4]).unwrap();
        served.write_all(b"pong!").unwrap();
        client.read_exact(&mut [0; 5]).unwrap();
    }
    let notes = notes.0.lock().unwrap();
    for number in 0..2 {
        let heard = notes.iter().filter(|note| note.connection == number && !note.what.2.is_empty());
        let heard: Vec<_> = heard.cloned().collect();
        let told: Vec<_> = heard.iter().map(|note| note.what.clone()).collect();
        assert_eq!(
            told,
            [
                (Direction::ToDisplay, Point::Sent, b"ping".to_vec()),
                (Direction::ToDisplay, Point::Arrived, b"ping".to_vec()),
                (Direction::ToClient, Point::Sent, b"pong!".to_vec()),
                (Direction::ToClient, Point::Arrived, b"pong!".to_vec()),
            ]
        );
        for pair in heard.chunks(2) {
            assert!(pair[1].at - pair[0].at >= rtt / 2);
        }
    }
}

#[test]
fn a_round_trip_without_end_is_refused() {
    let error = DelayLine::start("127.0.0.1:1".parse().unwrap(), Duration::MAX).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn it_starts_and_ends_within_a_runtime() {
    let line = DelayLine::start("127.0.0.1:1".parse().unwrap(), Duration::ZERO).unwrap();
    drop(line);
}
