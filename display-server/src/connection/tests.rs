//! Connections that wait for memory while their clients end, on a clock that stands still.

use super::ahead::{Ahead, Look};
use crate::admission::Seat;
use crate::clock::now;
use crate::display::Display;
use crate::server::{Server, ServerOptions};
use draw_protocol::{Color, Size, limits};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

const WIDTH: u32 = 1024;
const HEIGHT: u32 = 512;
const BYTES: usize = (WIDTH * HEIGHT * 4) as usize;

/// A server whose connections share less than two images.
fn scarce() -> Server {
    let display = Display::new(Size { width: WIDTH, height: HEIGHT }, Color::BLACK).unwrap();
    let memory = 3 * (200 << 10) + 3 * (260 << 10) + (3 << 20);
    Server::new(display, ServerOptions { connections: 3, memory, ..ServerOptions::default() })
}

/// A client, and the end of its connection.
fn connect(server: &Server, look: Look<DuplexStream>) -> (DuplexStream, JoinHandle<()>) {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let server = server.clone();
    let task = tokio::spawn(async move {
        let (seat, machine) = (Seat::new(now()), server.machine(None));
        server.serve_with((theirs, look), "a test", machine, &seat, std::future::pending()).await;
    });
    (ours, task)
}

/// `put_image` of everything.
fn image() -> Vec<u8> {
    let mut bytes = b"\x94\x00\x07\xa9put_image\x95\x00\x00\xcd\x04\x00\xcd\x02\x00\xc6".to_vec();
    bytes.extend((BYTES as u32).to_be_bytes());
    bytes.resize(bytes.len() + BYTES, 9);
    bytes
}

const DONE: &[u8] = b"\x94\x01\x07\xc0\xc0";
const GET_IMAGE: &[u8] = b"\x94\x00\x07\xa9get_image\x94\x00\x00\xcd\x04\x00\xcd\x02\x00";

/// A client that holds most of the memory by an image of which the last byte is missing. It is cut for others only after
/// [`limits::RECLAIM`].
async fn hog(server: &Server) -> DuplexStream {
    let (mut hog, _) = connect(server, |_| Ahead::More);
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

/// Has a client send `bytes` while another holds the memory. Returns what it hears, and whether it ended before the other did.
async fn hears(bytes: Vec<u8>, look: Look<DuplexStream>) -> (Vec<u8>, bool) {
    let server = scarce();
    let hog = hog(&server).await;
    let (client, served) = connect(&server, look);
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
    let (heard, is_over) = hears(unfinished.clone(), |_| Ahead::Ended(1000)).await;
    assert!(is_over && heard.is_empty());
    let (heard, is_over) = hears(unfinished.clone(), |_| Ahead::Gone(1000)).await;
    assert!(is_over && heard.is_empty());
    // Nothing is known: it is read as soon as there is memory.
    let (heard, is_over) = hears(unfinished, |_| Ahead::More).await;
    assert!(!is_over && heard.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_only_ended_its_side_is_served_when_there_is_memory() {
    let (heard, is_over) = hears(image(), |_| Ahead::Ended(BYTES)).await;
    assert!(!is_over);
    assert_eq!(heard, DONE);
    let (heard, is_over) = hears(GET_IMAGE.to_vec(), |_| Ahead::Ended(0)).await;
    assert!(!is_over);
    assert_eq!(heard.len(), 9 + BYTES);
}

#[tokio::test(start_paused = true)]
async fn nobody_s_answer_waits_for_memory_when_the_client_is_gone() {
    let (heard, is_over) = hears(GET_IMAGE.to_vec(), |_| Ahead::Gone(0)).await;
    assert!(is_over && heard.is_empty());
}
