//! Tests connections that wait for memory while their clients disconnect, with paused time.

use crate::canvas::display::Display;
use crate::clock::now;
use crate::limits;
use crate::resources::admission::Slot;
use crate::resources::fairness::{WORK, Work};
use crate::server::{Server, ServerOptions};
use crate::transport::peer_state::{PeerState, Probe};
use draw_protocol::session::Peer;
use draw_protocol::{Color, Size};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

const WIDTH: u32 = 1024;
const HEIGHT: u32 = 512;
const BYTES: usize = (WIDTH * HEIGHT * 4) as usize;

/// Returns a server whose connections share less than two images.
fn scarce() -> Server {
    let display = Display::new(Size { width: WIDTH, height: HEIGHT }, Color::BLACK).unwrap();
    let memory = 3 * (200 << 10) + 3 * (260 << 10) + (3 << 20);
    Server::new(display, ServerOptions { connections: 3, memory, ..ServerOptions::default() })
}

/// Connects a client. Returns the client's stream and the task that serves it.
fn connect(server: &Server, check: Probe<DuplexStream>) -> (DuplexStream, JoinHandle<()>) {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let server = server.clone();
    let task = tokio::spawn(async move {
        let (slot, machine) = (Slot::new(now()), (|| server.machine(), None));
        server.serve_with((theirs, check), "a test", machine, &slot, std::future::pending()).await;
    });
    (ours, task)
}

/// Fills `heard`, within a time in which a connection that waits for memory gets none.
async fn read(client: &mut DuplexStream, heard: &mut [u8]) {
    let read = tokio::time::timeout(limits::RECLAIM / 2, client.read_exact(heard)).await;
    read.expect("it waits for nothing").expect("the connection goes on");
}

/// Returns a `put_image` of the whole picture.
fn image() -> Vec<u8> {
    let mut bytes = b"\x94\x00\x07\xa9put_image\x95\x00\x00\xcd\x04\x00\xcd\x02\x00\xc6".to_vec();
    bytes.extend((BYTES as u32).to_be_bytes());
    bytes.resize(bytes.len() + BYTES, 9);
    bytes
}

const DONE: &[u8] = b"\x94\x01\x07\xc0\xc0";
/// `hello` with version 1 of a client `x`.
const HELLO: &[u8] = b"\x94\x00\x00\xa5hello\x91\x82\xa7version\x01\xa6client\xa1x";
const GET_IMAGE: &[u8] = b"\x94\x00\x07\xa9get_image\x94\x00\x00\xcd\x04\x00\xcd\x02\x00";

/// Returns the bytes of a client that sends a hello and requests the whole picture.
fn greeted() -> Vec<u8> {
    let mut asks = [HELLO, GET_IMAGE].concat();
    // The request numbers of such a client begin at 1.
    asks[HELLO.len() + 2] = 1;
    asks
}

/// Connects a client that holds most of the memory with an image whose last byte is missing. Its connection is closed
/// for others only after [`limits::RECLAIM`].
async fn hog(server: &Server) -> DuplexStream {
    let (mut hog, _) = connect(server, |_| PeerState::Open);
    hog.write_all(&image()[..image().len() - 1]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    hog
}

async fn end(mut hog: DuplexStream) {
    hog.write_all(&[9]).await.unwrap();
    let mut answer = [0; DONE.len()];
    hog.read_exact(&mut answer).await.expect("it was not cut");
    assert_eq!(answer, DONE);
}

/// Sends `bytes` from a client while another holds the memory. Returns what the client receives, and `true` if its
/// connection ended first.
async fn hears(bytes: Vec<u8>, check: Probe<DuplexStream>) -> (Vec<u8>, bool) {
    let server = scarce();
    let hog = hog(&server).await;
    let (client, served) = connect(&server, check);
    let (mut reading, mut writing) = tokio::io::split(client);
    tokio::spawn(async move {
        _ = writing.write_all(&bytes).await;
        _ = writing.shutdown().await;
    });
    tokio::time::sleep(limits::RECLAIM / 2).await;
    let is_over = served.is_finished();
    end(hog).await;
    let mut heard = Vec::new();
    reading.read_to_end(&mut heard).await.unwrap();
    served.await.unwrap();
    (heard, is_over)
}

#[tokio::test(start_paused = true)]
async fn a_message_that_can_never_be_whole_waits_for_no_memory() {
    let unfinished = image()[..BYTES].to_vec();
    let (heard, is_over) = hears(unfinished.clone(), |_| PeerState::HalfClosed(1000)).await;
    assert!(is_over && heard.is_empty());
    let (heard, is_over) = hears(unfinished.clone(), |_| PeerState::Closed(1000)).await;
    assert!(is_over && heard.is_empty());
    // The state of the client is unknown, so the message is read as soon as there is memory.
    let (heard, is_over) = hears(unfinished, |_| PeerState::Open).await;
    assert!(!is_over && heard.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_only_ended_its_side_is_served_when_there_is_memory() {
    let (heard, is_over) = hears(image(), |_| PeerState::HalfClosed(BYTES)).await;
    assert!(!is_over);
    assert_eq!(heard, DONE);
    let (heard, is_over) = hears(greeted(), |_| PeerState::HalfClosed(0)).await;
    assert!(!is_over && heard.len() > BYTES);
    assert!(heard[heard.len() - BYTES - 9..].starts_with(b"\x94\x01\x01\xc0\xc6"));
}

#[tokio::test(start_paused = true)]
async fn nobody_s_answer_waits_for_memory_when_the_client_is_gone() {
    let (heard, is_over) = hears(greeted(), |_| PeerState::Closed(0)).await;
    assert!(is_over && heard.len() < 1000);
}

#[tokio::test(start_paused = true)]
async fn a_plain_client_s_image_waits_for_no_memory_and_is_whole() {
    let server = scarce();
    let hog = hog(&server).await;
    let framebuffer = server.display().framebuffer();
    for (x, y) in (0..WIDTH as i32).zip(0..HEIGHT as i32) {
        framebuffer.draw_pixel(x, y, Color::RED, &mut framebuffer.no_damage());
    }
    let (mut client, _) = connect(&server, |_| PeerState::Open);
    let began = now();
    // The request after the images is answered after them.
    let next = b"\x94\x00\x08\xa4sync\x90";
    client.write_all(&[GET_IMAGE, GET_IMAGE, next].concat()).await.unwrap();
    for _ in 0..2 {
        let mut heard = vec![0; 9 + BYTES];
        read(&mut client, &mut heard).await;
        assert_eq!(heard[..9], [b"\x94\x01\x07\xc0\xc6", &(BYTES as u32).to_be_bytes()[..]].concat());
        for (at, pixel) in heard[9..].chunks_exact(4).enumerate() {
            let (x, y) = (at as u32 % WIDTH, at as u32 / WIDTH);
            assert_eq!(pixel, if x == y { [255, 0, 0, 255] } else { [0, 0, 0, 255] }, "({x}, {y})");
        }
    }
    let mut heard = [0; 5];
    read(&mut client, &mut heard).await;
    assert_eq!(heard, *b"\x94\x01\x08\xc0\xc0");
    assert_eq!(now(), began, "nothing waited");
    end(hog).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_in_the_middle_of_an_image_says_nothing_more() {
    let server = scarce();
    let hog = hog(&server).await;
    let (mut client, served) = connect(&server, |_| PeerState::Open);
    client.write_all(&GET_IMAGE.repeat(2)).await.unwrap();
    let mut head = [0; 9];
    client.read_exact(&mut head).await.unwrap();
    // The client does not read for so long that the display closes the connection.
    tokio::time::sleep(limits::STALLED + Duration::from_secs(1)).await;
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).await.unwrap();
    served.await.unwrap();
    assert!(heard.len() < BYTES && heard.chunks_exact(4).all(|pixel| pixel == [0, 0, 0, 255]));
    assert_eq!(heard.len() % 4, 0, "whole rows");
    drop(hog);
}

#[tokio::test(start_paused = true)]
async fn an_image_counts_once_as_work_so_that_a_client_of_small_ones_waits_for_no_turn() {
    let display = Display::new(Size { width: 300, height: 200 }, Color::BLACK).unwrap();
    let server = Server::new(display, ServerOptions::default());
    // Both places for connections that have requested much work are taken.
    let mut heavy = [(); 2].map(|()| Work::new(&server.lane, Peer::default(), now()));
    for work in &mut heavy {
        assert!(work.allowance(now()) > 0 && work.charge(WORK) && work.allowance(now()) > 0);
    }
    let (mut client, _) = connect(&server, |_| PeerState::Open);
    let asks = b"\x94\x00\x07\xa9get_image\x94\x00\x00\xcd\x01\x2c\xcc\xc8\x94\x00\x08\xa4sync\x90";
    client.write_all(asks).await.unwrap();
    let mut heard = vec![0; 9 + 300 * 200 * 4 + 5];
    let answered = tokio::time::timeout(Duration::from_secs(1), client.read_exact(&mut heard)).await;
    assert!(answered.is_ok(), "it waits for its turn");
    assert!(heard.ends_with(b"\x94\x01\x08\xc0\xc0"));
}

#[tokio::test(start_paused = true)]
async fn an_image_behind_another_is_not_refused_for_what_of_that_is_unsent() {
    let server = scarce();
    let (mut client, _) = connect(&server, |_| PeerState::Open);
    let mut second = GET_IMAGE.to_vec();
    second[2] = 2;
    client.write_all(&[greeted(), second].concat()).await.unwrap();
    let mut heard = vec![0; 2 * BYTES];
    let mut at = 0;
    while at < 2 * BYTES {
        let read = tokio::time::timeout(Duration::from_secs(5), client.read(&mut heard[at..])).await;
        at += read.unwrap_or_else(|_| panic!("{at} bytes came")).unwrap();
    }
}

/// Checks the size of the future that serves a connection, since a value stored twice in it is not visible otherwise:
/// 1,024 of them wait most of the time.
#[test]
fn what_serves_a_connection_takes_less_than_3_kib() {
    let server = scarce();
    let (stream, _client) = tokio::io::duplex(1);
    let serving = server.serve(stream, "a test", std::future::ready(()));
    let bytes = size_of_val(&serving);
    assert!(bytes < 3 << 10, "{bytes} bytes");
}
