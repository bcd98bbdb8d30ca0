//! `cargo bench -p benches --bench journal -- DIR`: the cost of a journal in that directory, and the speed of its
//! recovery.
//!
//! Client and server run in this process, over TCP. The disk is measured, so the figures depend on that disk and its
//! other load.

mod crowd;

use benches::pictures::{self, BATCH};
use benches::stats::median;
use clap::Parser;
use display_server::Journal;
use display_server::journal::Options;
use display_server::limits;
use display_server::{Color, Display, Server, ServerOptions, Size};
use draw_client::{ConnectOptions, Durability, blocking};
use draw_protocol::{Pixel, Request};
use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// Batches per run: 64 MiB of pixels.
const BATCHES: usize = (64 << 20) / (BATCH * Pixel::SIZE);

/// Number of runs whose median is printed.
const ROUNDS: usize = 7;

/// Numbers of clients that draw at once.
const CROWDS: [usize; 3] = [1, 2, 6];

/// Number of calls and syncs whose median is printed.
const CALLS: usize = 300;

/// Bytes of the recovered journal.
const RECOVERED: u64 = 512 << 20;

#[derive(Debug, Parser)]
struct Args {
    /// A directory on the disk that is to be measured
    directory: Option<PathBuf>,
    /// The argument that cargo adds. Without it nothing is measured.
    #[arg(long, hide = true)]
    bench: bool,
}

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Outcome {
    let args = Args::parse();
    let Some(directory) = args.directory.filter(|_| args.bench) else {
        println!("journal: name a directory on the disk that is to be measured");
        return Ok(());
    };
    let directory = directory.join(format!("journal-bench-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let outcome = measure(&directory);
    fs::remove_dir_all(&directory)?;
    outcome
}

fn measure(directory: &Path) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!("{:46}{:>12}", "asynchronous batches of 1,000 pixels", "MiB/s");
    let [mut disk, mut plain, mut journaled, mut durable, mut told] = [(); 5].map(|()| Vec::new());
    for round in 0..ROUNDS {
        disk.push(written(&directory.join("written"))?);
        plain.push(batches(&runtime, None, Durability::Applied)?.0);
        let directory = directory.join(format!("batches-{round}"));
        let mut kinds = [Durability::Applied, Durability::Durable];
        // The disk may be slower for the second kind.
        kinds.rotate_left(round % 2);
        for kind in kinds {
            let (drawn, synced) = batches(&runtime, Some(&directory), kind)?;
            if kind == Durability::Durable {
                told.push(synced);
            } else {
                journaled.push(drawn);
                durable.push(synced);
            }
        }
    }
    tell("  as many bytes written to a file and synced", disk, 1.0);
    let plain = tell("  without a journal", plain, 1.0);
    let journaled = tell("  with a journal, until all is drawn", journaled, plain);
    tell("  with a journal, until all is durable", durable, plain);
    tell("  of a client that waits for the disk", told, journaled);

    println!(
        "{:46}{:>12}   {:>24}",
        "clients that draw at once: batches", "MiB/s", "us of a get_mouse beside"
    );
    for clients in CROWDS {
        let [mut plain, mut journaled] = [(); 2].map(|()| (Vec::new(), Vec::new()));
        for round in 0..ROUNDS {
            // Interleaved, with the first alternating.
            let mut kinds = [(&mut plain, None), (&mut journaled, Some(directory.join("crowd")))];
            kinds.rotate_left(round % 2);
            for ((rates, waits), directory) in kinds {
                let (rate, mut waited) = crowd::draw(&runtime, directory.as_deref(), clients)?;
                rates.push(rate);
                waits.append(&mut waited);
            }
        }
        let rates = [middle(&plain.0), middle(&journaled.0)];
        for (name, rate, (_, waits)) in
            [("without", rates[0], &mut plain), ("with", rates[1], &mut journaled)]
        {
            waits.sort_by(f64::total_cmp);
            let (half, late) = (waits[waits.len() / 2], waits[waits.len() * 99 / 100]);
            let name = format!("  {clients} clients, {name} a journal");
            println!("{name:46}{rate:>12.0}   {half:>8.0} median {late:>8.0} p99");
        }
        println!("{:46}{:>12.2}", "  with, of without", rates[1] / rates[0]);
    }

    println!("{:46}{:>12}", "one thing after the other, each waited for", "us");
    let Calls { synced, answered, durable, told } = calls(&runtime, directory)?;
    let [sync, call, told] = [middle(&synced), middle(&answered), middle(&told)];
    println!("{:46}{sync:>12.1}", "  4 KiB appended and synced");
    println!("{:46}{call:>12.1}", "  a draw_pixel, until it is answered");
    println!("{:46}{:>12.1}", "  and until it is durable", middle(&durable));
    let part = told / (sync + call);
    println!(
        "{:46}{told:>12.1}   {part:.2} of the first two",
        "  a draw_pixel of a client that waits for the disk"
    );

    println!("{:46}{:>12}", "recovery, from the page cache", "s per GiB");
    for (name, batch) in [("  batches of 1,000 pixels", BATCH), ("  single pixels", 1)] {
        println!(
            "{name:46}{:>12.2}",
            recovery(&runtime, &directory.join(format!("recovery-{batch}")), batch)?
        );
    }
    Ok(())
}

/// Writes the amount of data of a run, in pieces as a display reads them, until it is on the disk. Returns the rate.
fn written(path: &Path) -> Outcome<f64> {
    let (piece, total) = (vec![7; limits::STREAM_READ], BATCHES * BATCH * Pixel::SIZE);
    let mut file = File::create(path)?;
    let began = Instant::now();
    for _ in 0..total / piece.len() {
        file.write_all(&piece)?;
    }
    file.sync_data()?;
    let rate = (total >> 20) as f64 / began.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(rate)
}

/// Prints the median rate and its fraction of `of`. Returns the rate.
fn tell(name: &str, rates: Vec<f64>, of: f64) -> f64 {
    let (least, most) = rates.iter().fold((f64::MAX, 0.0_f64), |(a, b), &rate| (a.min(rate), b.max(rate)));
    let rate = middle(&rates);
    let part = if of > 1.0 { format!("{:.2} of that", rate / of) } else { String::new() };
    println!("{name:46}{rate:>12.0}   {least:.0} to {most:.0}   {part}");
    rate
}

fn middle(values: &[f64]) -> f64 {
    median(values).expect("something was measured")
}

const SIZE: Size = Size { width: 640, height: 480 };

fn open(directory: &Path) -> Outcome<Journal> {
    let options = Options { size: Some(SIZE), snapshot_after: u64::MAX, ..Options::default() };
    Ok(Journal::open(directory, &options, &mut |_, _| ())?)
}

/// Starts a server on a free port, for the display of a journal or one without.
fn serve(runtime: &Runtime, journal: Option<&Journal>) -> Outcome<(String, JoinHandle<()>)> {
    let server = match journal {
        Some(journal) => {
            Server::new(journal.display().clone(), ServerOptions::default()).journaled(journal.clone())
        }
        None => Server::new(Display::new(SIZE, Color::BLACK)?, ServerOptions::default()),
    };
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?.to_string();
    let task = runtime.spawn(async move { _ = server.run(listener, std::future::pending()).await });
    Ok((address, task))
}

/// Ends a server and its connections.
fn end(runtime: &Runtime, task: JoinHandle<()>) -> Outcome {
    task.abort();
    match runtime.block_on(task) {
        Err(error) if !error.is_cancelled() => Err(error.into()),
        _ => Ok(()),
    }
}

/// Removes a journal that the server may still hold, once nothing more is written to it.
fn remove(journal: &Journal, directory: &Path) -> Outcome {
    journal.close()?;
    fs::remove_dir_all(directory)?;
    Ok(())
}

/// Returns the MiB/s of pixels until all are drawn, and until all are durable.
fn batches(runtime: &Runtime, directory: Option<&Path>, durability: Durability) -> Outcome<(f64, f64)> {
    let journal = directory.map(open).transpose()?;
    let (address, task) = serve(runtime, journal.as_ref())?;
    let pixels = pictures::square(BATCH);
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (drawn, durable) = client.block_on(async {
        let display = ConnectOptions::new().durability(durability).connect(&address).await?;
        let began = Instant::now();
        for _ in 0..BATCHES {
            display.draw_pixels(&pixels).await?;
        }
        display.sync().await?;
        let drawn = began.elapsed();
        if let Some(journal) = &journal {
            // There is one more record: the start of the session.
            journal.durable().wait_for(|&number| number > BATCHES as u64).await?;
        }
        let durable = began.elapsed();
        display.close().await?;
        Ok::<_, Box<dyn Error>>((drawn, durable))
    })?;
    end(runtime, task)?;
    if let (Some(journal), Some(directory)) = (journal, directory) {
        remove(&journal, directory)?;
    }
    let rate =
        |time: Duration| (BATCHES * BATCH * Pixel::SIZE) as f64 / f64::from(1 << 20) / time.as_secs_f64();
    Ok((rate(drawn), rate(durable)))
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Durations of single operations in microseconds.
#[derive(Default)]
struct Calls {
    /// The smallest sync of the disk.
    synced: Vec<f64>,
    /// A call of a client that does not wait for the disk, until it is answered, and until it is durable.
    answered: Vec<f64>,
    durable: Vec<f64>,
    /// A call of a client that waits for the disk.
    told: Vec<f64>,
}

/// Alternates the operations, so that all of them see the same state of the disk.
fn calls(runtime: &Runtime, directory: &Path) -> Outcome<Calls> {
    let path = directory.join("sync");
    let mut file = File::create(&path)?;
    let journal = open(&directory.join("calls"))?;
    let (address, task) = serve(runtime, Some(&journal))?;
    let display = blocking::Display::connect(&address)?;
    let waiting = ConnectOptions::new().durability(Durability::Durable).connect_blocking(&address)?;
    let mut durable = journal.durable();
    let mut calls = Calls::default();
    for n in 1..=CALLS {
        let began = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        calls.synced.push(micros(began.elapsed()));
        let before = *durable.borrow();
        let began = Instant::now();
        display.draw_pixel(n as i32, 1, Color::RED)?;
        calls.answered.push(micros(began.elapsed()));
        runtime.block_on(durable.wait_for(|&number| number > before))?;
        calls.durable.push(micros(began.elapsed()));
        let began = Instant::now();
        waiting.draw_pixel(n as i32, 2, Color::RED)?;
        calls.told.push(micros(began.elapsed()));
    }
    task.abort();
    fs::remove_file(path)?;
    Ok(calls)
}

/// Returns the seconds that recovery takes per GiB of records of this many pixels.
fn recovery(runtime: &Runtime, directory: &Path, batch: usize) -> Outcome<f64> {
    let journal = open(directory)?;
    let (address, task) = serve(runtime, Some(&journal))?;
    let pixels = pictures::square(BATCH);
    let mut messages = Vec::new();
    let mut sent = 0;
    for pixels in pixels.chunks(batch).cycle().take(64 * BATCH / batch) {
        let request = match pixels {
            [pixel] => Request::DrawPixel { x: pixel.x.into(), y: pixel.y.into(), color: pixel.color },
            pixels => Request::DrawPixels { pixels: pixels.into() },
        };
        // A notification: [2, method, params].
        let method = request.method().name().as_bytes();
        messages.extend_from_slice(&[0x93, 0x02, 0xa0 | method.len() as u8]);
        messages.extend_from_slice(method);
        request.encode_parameters(&mut messages);
        sent += 1;
    }
    let (mut stream, mut written, mut total) = (TcpStream::connect(address)?, 0, 0);
    while written < RECOVERED {
        stream.write_all(&messages)?;
        total += sent;
        runtime.block_on(journal.durable().wait_for(|&number| number == total))?;
        written = fs::metadata(directory.join("journal-0000000000000001"))?.len();
    }
    drop(stream);
    // The server and its connection hold the journal too.
    while journal.display().stats().connections > 0 {
        std::thread::yield_now();
    }
    task.abort();
    _ = runtime.block_on(task);
    drop(journal);
    let began = Instant::now();
    drop(open(directory)?);
    let took = began.elapsed().as_secs_f64();
    fs::remove_dir_all(directory)?;
    Ok(took * f64::from(1 << 30) / written as f64)
}
