//! Tests that heavy clients do not delay the calls of others.

mod common;

use common::*;
use display_server::{Color, Display, ServerOptions, Size};

const MIB: usize = 1 << 20;

fn display(width: u32, height: u32) -> Display {
    Display::new(Size { width, height }, Color::BLACK).expect("it is small")
}

/// An image that needs more memory than a connection has reserved for itself.
const WIDE: (u32, u32) = (1024, 512);

/// Starts a server where a few connections share `shared` bytes in addition to what each has reserved.
async fn scarce(shared: usize) -> Running {
    let memory = 4 * (200 << 10) + 4 * (260 << 10) + shared;
    let options = ServerOptions { connections: 4, memory, ..ServerOptions::default() };
    start_with(display(WIDE.0, WIDE.1), options).await
}

fn image(id: u32) -> Vec<u8> {
    request(id, "get_image", (0, 0, WIDE.0, WIDE.1))
}

async fn check_that_an_image_is_answered(running: &Running) {
    let mut client = running.connect().await;
    client.send(&image(5)).await;
    let bytes = (WIDE.0 * WIDE.1 * 4) as usize;
    let head = [&b"\x94\x01\x05\xc0\xc6"[..], &(bytes as u32).to_be_bytes()].concat();
    client.expect(&head).await;
    client.expect(&[0, 0, 0, 255].repeat(bytes / 4)).await;
}

#[tokio::test]
async fn an_image_is_answered_while_messages_that_are_never_finished_hold_the_memory() {
    let running = scarce(3 * MIB).await;
    let bytes = 4 * MIB;
    let large = request(3, "put_image", (0, 0, 1024, 1024, Bin(vec![0; bytes])));
    let mut unfinished = running.connect().await;
    unfinished.send(&large[..large.len() - 1]).await;
    until("it to be there", || running.display.stats().buffered as usize > bytes).await;
    check_that_an_image_is_answered(&running).await;
    let mut client = running.connect().await;
    client.send(&[hello(), image(1)].concat()).await;
    let text = printable(&unfinished.rest().await);
    assert!(text.contains("too_slow: others wait for the memory that this connection holds"), "{text}");
    running.stop().await;
}

#[tokio::test]
async fn an_image_is_answered_while_clients_that_never_read_hold_the_memory() {
    let running = scarce(3 * MIB).await;
    let mut deaf = Vec::new();
    for _ in 0..2 {
        let (mut client, served) = running.pipe(64 << 10);
        client.send(&image(4).repeat(10)).await;
        deaf.push((client, served));
    }
    until("answers to pile up", || running.display.stats().buffered as usize > MIB).await;
    // The image is answered in pieces, without waiting for memory.
    check_that_an_image_is_answered(&running).await;
    assert_eq!(running.display.stats().closed_for_fault, 0);
    // A client that sent a hello gets each answer as a whole.
    let mut client = running.connect().await;
    client.send(&[hello(), image(1)].concat()).await;
    until("one to be shown out", || running.display.stats().closed_for_fault >= 1).await;
    drop(client);
    running.stop().await;
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_served_while_nobody_else_wants_the_memory() {
    let running = scarce(3 * MIB).await;
    let (mut client, _served) = running.pipe(4 << 10);
    client.send(&image(4)).await;
    until("it to be there", || running.display.stats().buffered as usize > MIB).await;
    tokio::time::sleep(2 * display_server::limits::RECLAIM).await;
    let head = [&b"\x94\x01\x04\xc0\xc6"[..], &(WIDE.0 * WIDE.1 * 4).to_be_bytes()].concat();
    client.expect(&head).await;
    client.expect(&[0, 0, 0, 255].repeat((WIDE.0 * WIDE.1) as usize)).await;
    running.stop().await;
}

/// The clock is paused.
#[tokio::test(start_paused = true)]
async fn a_cheap_call_waits_for_a_few_turns_of_heavy_clients_in_whatever_number_they_are() {
    check_turns_before_a_cheap_call().await;
}

/// The clock advances by 10 ms whenever each task has run, so a heavy client waits for its turn longer than an
/// allowance takes to refill.
#[tokio::test(start_paused = true)]
async fn a_cheap_call_waits_for_a_few_turns_of_heavy_clients_however_slow_the_machine_is() {
    let clock = tokio::spawn(async {
        loop {
            tokio::time::advance(std::time::Duration::from_millis(10)).await;
        }
    });
    check_turns_before_a_cheap_call().await;
    clock.abort();
}

/// Counts how many fills are executed between a cheap call and its answer. All tasks share one thread, pipes in memory,
/// and a paused clock, so their order does not depend on the machine.
async fn check_turns_before_a_cheap_call() {
    const HEAVY: usize = 48;
    const CALLS: usize = 41;
    // One fill is one turn. Each client has sent more of them than are executed here.
    const FILLS: usize = 1_000;
    let running = start_with(display(1_000, 1_000), ServerOptions::default()).await;
    let fills = notification("fill_rect", (0, 0, 1_000, 1_000, 7)).repeat(FILLS);
    let mut heavy = Vec::new();
    for _ in 0..HEAVY {
        let (mut client, served) = running.pipe(fills.len());
        client.send(&fills).await;
        heavy.push((client, served));
    }
    until("all to be heavy", || running.display.stats().executed > 4 * HEAVY as u64).await;
    let (mut cheap, _served) = running.pipe(4 << 10);
    let shown = running.display.clone();
    // The calls run in a separate task, which the runtime runs in turn with the others; it polls the test's future less
    // often.
    let calls = tokio::spawn(async move {
        let mut turns = Vec::new();
        for _ in 0..CALLS {
            // The call is sent while heavy clients wait to be run, as by a client on another thread.
            tokio::task::yield_now().await;
            let before = shown.stats().executed;
            cheap.send(&request(9, "sync", NONE)).await;
            cheap.expect(&done(9)).await;
            turns.push(shown.stats().executed - before);
        }
        turns
    });
    let turns = within("the cheap calls", calls).await.expect("the calls do not panic");
    assert!(running.display.stats().executed < (HEAVY * FILLS) as u64, "the fills were used up");
    // At most two heavy clients have a turn meanwhile, and one execution is the call itself.
    assert!(turns.iter().all(|&turns| turns <= 3), "{turns:?} turns");
    drop(heavy);
    running.stop().await;
}

/// Runs on one thread: a server that computes a digest in one go answers it before it reads the other client's request.
#[tokio::test]
async fn a_cheap_call_is_answered_while_the_digest_of_everything_is_computed() {
    let running = start_with(display(4096, 2048), ServerOptions::default()).await;
    let (mut many, mut other) = (Vec::new(), running.connect().await);
    for _ in 0..16 {
        let mut client = running.connect().await;
        client.send(&request(1, "sync", NONE)).await;
        client.expect(&done(1)).await;
        many.push(client);
    }
    for client in &mut many {
        client.send(&request(2, "get_digest", (0, 0, 4096, 2048))).await;
    }
    for id in 2..5 {
        other.send(&request(id, "get_pixel", (1, 1))).await;
        other.expect(&answer(id, 0xffu32)).await;
    }
    let early = many[15].stream.try_read(&mut [0; 64]);
    assert!(early.is_err(), "the last digest was there first: {early:?}");
    drop(many);
    running.stop().await;
}

#[tokio::test]
async fn digests_of_many_clients_are_all_right_and_in_the_order_of_each_ones_requests() {
    let running = start_with(display(256, 256), ServerOptions::default()).await;
    let ask = |id| [request(id, "get_digest", (0, 0, 256, 256)), request(id + 1, "sync", NONE)].concat();
    let mut clients = Vec::new();
    for _ in 0..12 {
        let mut client = running.connect().await;
        client.send(&[ask(2), ask(4)].concat()).await;
        clients.push(client);
    }
    let picture = [0, 0, 0, 255].repeat(256 * 256);
    let digest = Bin(draw_client::digest_of_image(&picture).as_bytes().to_vec());
    let digest = rmp_serde::to_vec(&digest).unwrap();
    for client in &mut clients {
        for id in [2, 4] {
            let response = [&[0x94, 1, id as u8, 0xc0][..], &digest].concat();
            client.expect(&response).await;
            client.expect(&done(id + 1)).await;
        }
    }
    running.stop().await;
}
