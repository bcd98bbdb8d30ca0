//! `cargo bench -p benches --bench doctor`: what the round-trip doctor costs a call, in a loop that does not wait and
//! beside one that does. On Linux `taskset -c 0` before it takes the waking of another core out of the second, which still
//! differs more from one moment to the next than the doctor takes.

use benches::stats::median;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use display_server::{Options, Present, with_display};
use draw_client::{Color, ConnectOptions, Display};
use std::sync::mpsc;
use std::time::Instant;
use tokio::runtime::Builder;

const CALLS: i32 = 10_000;

/// A display in a thread of its own, for as long as the process lives.
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

/// Draws a round of pixels by `sites` lines in turn, and waits once.
async fn draw(display: &Display, sites: i32) -> draw_client::Result<()> {
    for i in 0..CALLS {
        let (x, y) = (i % 640, i / 640);
        // Lines of their own: what is called from another line than the last call is looked up.
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

/// One pixel at a time whose reply is awaited, off and on by turns: the difference is a hundredth of what a call takes, so only
/// neighbours in time can be compared. Prints the median of both and of the differences.
fn awaited(_: &mut Criterion) {
    const CALLS: u32 = 30;
    // `--test` asks whether it runs.
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
        // Neither is always the first.
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
