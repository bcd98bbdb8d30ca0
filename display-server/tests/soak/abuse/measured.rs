//! Measures how honest clients fare under each attack, and how much memory the display keeps afterwards.

use super::attacker::{Attacker, raise_descriptors};
use super::attacks::{Attack, HEIGHT, WIDTH};
use super::honest::{Honest, Watcher};
use super::quantile;
use crate::peak;
use crate::processes::{Directory, PATIENCE, Server, free_port};
use display_server::limits;
use draw_client::ConnectOptions;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Duration of each attack in seconds, unless the environment variable `ABUSE` sets another. With `ABUSE`, all pairs of
/// attacks are run as well.
const SECONDS: f64 = 0.4;

/// Memory that a display may use in addition to its buffers: code, picture, thread stacks, and socket state.
const BESIDE: u64 = 96 << 20;

/// How much more memory a display may use after an attack than before it.
const KEPT: u64 = 24 << 20;

/// Allows one measurement at a time: each takes both cores.
static ONE: Mutex<()> = Mutex::new(());

fn length() -> Duration {
    let seconds = std::env::var("ABUSE").map_or(SECONDS, |seconds| seconds.parse().expect("a number"));
    Duration::from_secs_f64(seconds)
}

fn is_long() -> bool {
    std::env::var_os("ABUSE").is_some()
}

/// Returns `true` if the attack is selected. The environment variable `ABUSE_ONLY` lists parts of names, separated by
/// commas.
fn is_chosen(attack: &Attack) -> bool {
    std::env::var("ABUSE_ONLY").map_or(true, |only| only.split(',').any(|part| attack.name().contains(part)))
}

fn start(attacks: &[Attack], directory: &Directory) -> Server {
    let size = format!("{WIDTH}x{HEIGHT}");
    match attacks.contains(&Attack::Syncs) {
        true => Server::start(&directory.path("journal"), free_port(), &size),
        false => Server::start_plain(&size),
    }
}

/// Runs these attacks together, and asserts what does not depend on the speed of the machine.
fn measure(attacks: &[Attack]) {
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    raise_descriptors();
    let names: Vec<_> = attacks.iter().map(|attack| attack.name()).collect();
    let (names, directory) = (names.join(" + "), Directory::new("abuse"));
    let (server, runtime) = (start(attacks, &directory), Runtime::new().unwrap());
    let mut honest = runtime.block_on(Honest::connect(&server.address));
    let mut watcher = Watcher::connect(&server.address);
    let mut during = |length: Duration| {
        let until = Instant::now() + length;
        let (calls, images, most) = std::thread::scope(|scope| {
            let watching = scope.spawn(|| watcher.watch(until));
            let calling = scope.spawn(|| runtime.block_on(honest.call(until)));
            let most = peak(&server, until);
            let calls = calling.join().expect("every call succeeds");
            (calls, watching.join().expect("every image is answered"), most)
        });
        runtime.block_on(honest.image());
        (calls, images, most)
    };
    let (alone, alone_images, _) = during(length());
    let before = server.memory();
    let attackers: Vec<_> = attacks.iter().map(|attack| Attacker::start(*attack, &server.address)).collect();
    let (among, images, most) = during(length());
    // A client that connects during the attack is served as well.
    let came = Instant::now();
    let display = ConnectOptions::new().timeout(PATIENCE).connect_timeout(PATIENCE);
    let display = display.connect_blocking(&server.address).expect("who comes among attackers is let in");
    display.get_pixel(3, 4).expect("and answered");
    let came = came.elapsed();
    let first_image = Watcher::connect(&server.address).image();
    let done: Vec<_> = attackers.into_iter().map(Attacker::end).collect();
    let (given_back, left) = given_back(&server, before);
    let [p50, p99] = [50, 99].map(|share| [&alone, &among].map(|took| quantile(took, share)));
    let [image50, image99] = [50, 99].map(|share| [&alone_images, &images].map(|took| quantile(took, share)));
    println!(
        "{names}: calls p50 {:.0?} -> {:.0?}, p99 {:.0?} -> {:.0?} (x {:.1}); images p50 {:.1?} -> {:.1?}, p99 {:.1?} -> {:.1?}; \
         a newcomer {came:.0?}, its first image {first_image:.1?}; attackers did {done:?} (in all, a second); memory {} -> {} MiB, {} MiB {given_back:.1?} after",
        p50[0],
        p50[1],
        p99[0],
        p99[1],
        p99[1].as_secs_f64() / p99[0].as_secs_f64(),
        image50[0],
        image50[1],
        image99[0],
        image99[1],
        before >> 20,
        most >> 20,
        left >> 20,
    );
    // Of two attacks, one may take all the remaining processor time, since both are idle processes.
    let tried = attacks.iter().zip(&done).filter(|(attack, (done, _))| *done >= attack.begun() / 2);
    assert!(tried.count() >= 1, "{names}: they did {done:?}, so nothing was tried");
    assert!(most <= limits::MEMORY as u64 + BESIDE, "{names}: {most} bytes");
    assert!(left <= before + KEPT, "{names}: {left} bytes, of which {before} were there before");
}

/// Waits until a display has released the memory that attackers made it take, for a minute at most. Returns how long
/// that took, and the memory then in use.
fn given_back(server: &Server, before: u64) -> (Duration, u64) {
    let began = Instant::now();
    while server.memory() > before + KEPT && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
    }
    (began.elapsed(), server.memory())
}

#[test]
fn an_honest_client_hardly_notices_an_attack() {
    Attack::ALL.iter().filter(|attack| is_chosen(attack)).for_each(|attack| measure(&[*attack]));
}

#[test]
fn nor_any_two_together() {
    let (mut pairs, all) = (Vec::new(), Attack::ALL);
    for (number, first) in all.iter().enumerate() {
        pairs.extend(all[number + 1..].iter().map(|second| [*first, *second]));
    }
    // Runs only a few of the pairs, except in a long run.
    let step = if is_long() { 1 } else { 9 };
    let chosen = pairs.iter().filter(|pair| pair.iter().all(is_chosen)).step_by(step);
    chosen.for_each(|pair| measure(pair));
}
