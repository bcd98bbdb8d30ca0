//! `cargo bench -p benches --bench doctor`: the cost of the round-trip doctor per call, in a loop that does not wait
//! and in one that does. On Linux, prefix `taskset -c 0` to exclude the waking of another core from the second, which
//! even then varies over time by more than the doctor's cost.

use benches::stats::median;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use display_server::{Options, Present, with_display};
use draw_client::{Color, ConnectOptions, Display};
use std::sync::mpsc;
use std::time::Instant;
use tokio::runtime::Builder;

const CALLS: i32 = 10_000;

/// Starts a display in its own thread for the lifetime of the process.
fn display() -> String {
    let (tell, told) = mpsc::channel();
    let options = Options { listen: "127.0.0.1:0".into(), present: Present::None, ..Options::default() };
    std::thread::spawn(move || {
        with_display(options, |own| {
            tell.send(own.address().to_string()).expect("somebody waits for it");
            loop {
                std::thread::park();
            }
        })
    });
    told.recv().expect("a display")
}

fn off_and_on() -> [(&'static str, bool); 2] {
    [("off", false), ("on", true)]
}

/// Draws a round of pixels from `sites` lines in turn, and waits once.
async fn draw(display: &Display, sites: i32) -> draw_client::Result<()> {
    for i in 0..CALLS {
        let (x, y) = (i % 640, i / 640);
        // On separate lines: a call from another line than the last call needs a lookup.
        if i % sites == 0 {
            display.draw_pixel(x, y, Color::RED).await?;
        } else {
            display.draw_pixel(x, y, Color::BLUE).await?;
        }
    }
    display.sync().await
}

fn asynchronous(c: &mut Criterion) {
    let (address, runtime) =
        (display(), Builder::new_current_thread().enable_all().build().expect("a runtime"));
    for (name, sites) in [("one line", 1), ("two lines in turn", 2)] {
        let mut group = c.benchmark_group(format!("draw_pixel in a loop, {name}"));
        group.throughput(Throughput::Elements(CALLS as u64));
        for (name, doctor) in off_and_on() {
            let connecting = ConnectOptions::new().doctor(doctor).connect(&address);
            let display = runtime.block_on(connecting).expect("a connection");
            group.bench_function(format!("doctor {name}"), |b| {
                b.iter(|| runtime.block_on(draw(&display, sites)).expect("a display that draws"));
            });
            runtime.block_on(display.close()).expect("a display that takes everything");
        }
        group.finish();
    }
}

fn synchronous(c: &mut Criterion) {
    let address = display();
    let mut group = c.benchmark_group("one blocking draw_pixel");
    for (name, doctor) in off_and_on() {
        let display = ConnectOptions::new().doctor(doctor).connect_blocking(&address).expect("a connection");
        group.bench_function(format!("doctor {name}"), |b| {
            b.iter(|| display.draw_pixel(1, 1, Color::RED).expect("a display that draws"));
        });
    }
    group.finish();
}

/// Awaits the reply of one pixel at a time, with the doctor off and on alternately: the difference is a hundredth of a
/// call's time, so only adjacent measurements can be compared. Prints the median of both and of the differences.
fn awaited(_: &mut Criterion) {
    const CALLS: u32 = 30;
    // `--test` only checks that it runs.
    let blocks = if std::env::args().any(|arg| arg == "--test") { 1 } else { 3_000 };
    let (address, runtime) =
        (display(), Builder::new_current_thread().enable_all().build().expect("a runtime"));
    let [off, on] = off_and_on().map(|(_, doctor)| {
        runtime.block_on(ConnectOptions::new().doctor(doctor).connect(&address)).expect("a connection")
    });
    let time = async |display: &Display| -> draw_client::Result<f64> {
        let began = Instant::now();
        for _ in 0..CALLS {
            display.draw_pixel(1, 1, Color::RED).await?.await?;
        }
        Ok(began.elapsed().as_nanos() as f64 / f64::from(CALLS))
    };
    let middle = |values: &[f64]| median(values).expect("there are some");
    let (mut without, mut with, mut more) = (Vec::<f64>::new(), Vec::<f64>::new(), Vec::<f64>::new());
    for block in 0..blocks {
        // Alternates which one is first.
        let (a, b) = if block % 2 == 0 { (&off, &on) } else { (&on, &off) };
        let times = runtime.block_on(async { Ok::<_, draw_client::Error>((time(a).await?, time(b).await?)) });
        let (a, b) = times.expect("a display that draws");
        let (off, on) = if block % 2 == 0 { (a, b) } else { (b, a) };
        without.push(off);
        with.push(on);
        more.push(on - off);
    }
    println!(
        "one draw_pixel whose reply is awaited: {:.0} ns with the doctor off, {:.0} ns on; in pairs {:+.0} ns\n",
        middle(&without),
        middle(&with),
        middle(&more)
    );
}

criterion_group!(doctor, asynchronous, synchronous, awaited);
criterion_main!(doctor);
