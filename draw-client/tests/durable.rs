//! Programs that wait for the disk of a display with a journal, over each client.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::cutter::Cutter;
use common::{Asynchronous, Client, TestServer, ear, numbers, over_each, runtime, soon};
use display_server::journal::Options;
use display_server::{Journal, Server, ServerOptions};
use draw_client::{Code, Color, ConnectOptions, Display, Durability, Error, Outcome, Size, blocking};
use std::path::PathBuf;

const SIZE: Size = Size { width: 64, height: 48 };

/// A display with a journal in a directory of its own.
struct Kept {
    server: TestServer,
    journal: Journal,
    directory: PathBuf,
}

impl Kept {
    fn start(name: &str) -> Kept {
        let directory =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let options = Options { size: Some(SIZE), ..Options::default() };
        let journal = Journal::open(&directory, &options, &mut |_, _| ()).unwrap();
        let server = Server::new(journal.display().clone(), ServerOptions::default());
        Kept { server: TestServer::serve(server.journaled(journal.clone())), journal, directory }
    }

    /// Returns the number of the last record that is on the disk.
    fn durable(&self) -> u64 {
        *self.journal.durable().borrow()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.directory).unwrap();
    }
}

/// Connects one of the clients with this durability.
fn connect(kind: usize, address: &str, durability: Durability) -> Result<Box<dyn Client>, Error> {
    let options = ConnectOptions::new().durability(durability);
    Ok(match kind {
        0 => Box::new(options.connect_blocking(address)?),
        1 => Box::new(options.connect_blocking(address)?.pipelined()?),
        2 => Box::new(ConnectOptions::new().durability(durability).connect_pipeline(address)?),
        _ => {
            let runtime = runtime();
            let connecting = ConnectOptions::new().durability(durability).connect(address);
            let display = runtime.block_on(soon(connecting))?;
            Box::new(Asynchronous { runtime, display })
        }
    })
}

const KINDS: usize = 4;

#[test]
fn a_durable_client_is_told_of_nothing_that_is_not_on_the_disk() {
    for kind in 0..KINDS {
        let kept = Kept::start(&format!("durable-{kind}"));
        let display = connect(kind, &kept.server.address, Durability::Durable).unwrap();
        // The first record is the beginning of the session.
        assert_eq!(kept.durable(), 1);
        for n in 0..30 {
            display.draw_pixel(n, 0, Color::RED).unwrap();
            let n = 4 * n as u64;
            assert!(kept.durable() >= n + 2, "client {kind}: a drawing call");
            assert_eq!(
                display.draw_pixel(64, 0, Color::RED).unwrap_err().fault().unwrap().code,
                Code::OutOfBounds
            );
            assert!(kept.durable() >= n + 3, "client {kind}: one that fails was journaled as well");
            display.fill_rect(0, 1, 1, 1, Color::RED).unwrap();
            display.clear(Color::BLUE).unwrap();
            display.sync().unwrap();
            assert_eq!(display.get_pixel(1, 1).unwrap(), Color::BLUE);
            assert!(kept.durable() >= n + 5, "client {kind}: a question");
        }
        display.sync_durable().unwrap();
        display.close().unwrap();
    }
}

#[test]
fn sync_durable_comes_back_when_everything_before_it_is_on_the_disk() {
    for kind in 0..KINDS {
        let kept = Kept::start(&format!("sync-{kind}"));
        let display = connect(kind, &kept.server.address, Durability::Applied).unwrap();
        for n in 0..30 {
            display.draw_pixel(n, 0, Color::RED).unwrap();
            display.draw_pixel(n, 1, Color::RED).unwrap();
            display.sync_durable().unwrap();
            assert!(kept.durable() >= 2 * n as u64 + 3, "client {kind}");
        }
        display.close().unwrap();
    }
}

#[test]
fn a_stream_of_calls_is_answered_while_it_goes_on_and_is_on_the_disk_in_the_end() {
    let kept = Kept::start("stream");
    runtime().block_on(soon(async {
        let options = ConnectOptions::new().durability(Durability::Durable);
        let display = options.connect(&kept.server.address).await.unwrap();
        for n in 0..20_000 {
            // No two of these calls are joined, so each is a record.
            display.fill_rect(n % 64, 0, 1, 1, Color::RED).await.unwrap();
        }
        display.sync().await.unwrap();
        assert_eq!(kept.durable(), 20_001);
        display.close().await.unwrap();
    }));
}

#[test]
fn a_display_without_a_journal_refuses_by_name_and_says_what_to_do() {
    over_each(8, 6, |client, _| {
        client.draw_pixel(1, 1, Color::RED).unwrap();
        let error = client.sync_durable().unwrap_err();
        assert_eq!(
            error.to_string(),
            "no_journal: this display keeps no journal, so nothing on it is durable: start it with \
             `display-server --journal DIR`"
        );
        assert_eq!((&error.fault().unwrap().code, error.outcome()), (&Code::NoJournal, Outcome::Rejected));
        client.sync().unwrap();
    });
    let server = TestServer::start(8, 6);
    for kind in 0..KINDS {
        let Err(error) = connect(kind, &server.address, Durability::Durable) else {
            panic!("client {kind} is connected")
        };
        assert_eq!(error.fault().unwrap().code, Code::NoJournal, "client {kind}");
        assert!(error.to_string().contains("start it with `display-server --journal DIR`"), "{error}");
    }
}

#[test]
fn sync_durable_tells_of_late_errors_as_sync_does() {
    let (kept, without) = (Kept::start("late"), TestServer::start(64, 48));
    let is_late = |error: &Error| {
        let Error::Late(late) = error else { panic!("{error}") };
        late.total()
    };
    let pipeline = blocking::Pipeline::connect(&kept.server.address).unwrap();
    pipeline.draw_pixel(64, 0, Color::RED).unwrap();
    pipeline.scope("legend").draw_pixel(65, 0, Color::RED).unwrap();
    assert_eq!(is_late(&pipeline.sync_durable().unwrap_err()), 2);
    pipeline.scope("legend").sync_durable().unwrap();
    pipeline.close().unwrap();

    // A refused `sync_durable` is no barrier: late errors remain for the next one.
    let pipeline = blocking::Pipeline::connect(&without.address).unwrap();
    pipeline.draw_pixel(64, 0, Color::RED).unwrap();
    assert_eq!(pipeline.sync_durable().unwrap_err().fault().unwrap().code, Code::NoJournal);
    assert_eq!(is_late(&pipeline.sync().unwrap_err()), 1);

    let (callback, heard) = ear();
    let pipeline = ConnectOptions::new().on_error(callback).connect_pipeline(&kept.server.address).unwrap();
    pipeline.draw_pixel(64, 0, Color::RED).unwrap();
    pipeline.sync_durable().unwrap();
    pipeline.close().unwrap();
    assert_eq!(numbers(&heard), [1]);

    runtime().block_on(soon(async {
        let display = Display::connect(&kept.server.address).await.unwrap();
        display.draw_pixel(64, 0, Color::RED).await.unwrap();
        assert_eq!(is_late(&display.scope("legend").sync_durable().await.unwrap_err()), 1);
        display.sync().await.unwrap();
    }));
}

#[test]
fn a_client_whose_connection_is_lost_is_as_durable_on_the_next() {
    for kind in 0..KINDS {
        let kept = Kept::start(&format!("cut-{kind}"));
        let cutter = Cutter::start(&kept.server.address, vec![(500, usize::MAX), (usize::MAX, 500)]);
        let display = connect(kind, &cutter.address, Durability::Durable).unwrap();
        for n in 0..80 {
            display.add_pixel(0, 0, 256).unwrap();
            assert!(kept.durable() >= n + 2, "client {kind}");
        }
        assert_eq!(display.get_pixel(0, 0).unwrap(), Color::from_u32(0xff + 80 * 256));
        assert_eq!(cutter.connections(), 3, "client {kind}");
        assert!(kept.durable() >= 80 + 3, "each connection has a record of its own");
    }
}
