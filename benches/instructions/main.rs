//! Works whose instructions are counted: `python3 .ci/instructions.py` runs them under callgrind and compares the
//! counts with those in `benches/instructions.toml`.
//!
//! Each name of the table runs for a few rounds and for more, and the difference is divided by the number of additional
//! units. Startup cancels out, so the preparation of a work must not depend on its rounds.
//!
//! To see where the instructions are spent, run the program that `cargo bench -p benches --bench instructions --no-run`
//! prints as `valgrind --tool=callgrind PROGRAM NAME ROUNDS`, and then `callgrind_annotate`.

mod far;
mod works;

use std::process::ExitCode;
use works::{MOST_ROUNDS, WORKS};

const USAGE: &str = "usage: instructions --list | instructions NAME ROUNDS";

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    match args[..] {
        // Run by `cargo test` or `cargo bench`.
        [] | ["--bench"] => {
            println!("instructions: counts nothing by itself; run `python3 .ci/instructions.py`");
            ExitCode::SUCCESS
        }
        ["--list"] => {
            for work in WORKS {
                println!("{}\t{}\t{}", work.name, work.unit, work.part.name());
            }
            ExitCode::SUCCESS
        }
        [name, rounds] => run(name, rounds),
        _ => refuse(USAGE),
    }
}

fn run(name: &str, rounds: &str) -> ExitCode {
    let Some(work) = WORKS.iter().find(|work| work.name == name) else {
        return refuse(&format!("there is no work {name:?}"));
    };
    match rounds.parse() {
        Ok(rounds @ 1..=MOST_ROUNDS) => {
            println!("{}", (work.run)(rounds));
            ExitCode::SUCCESS
        }
        _ => refuse(&format!("{rounds:?} is no number of rounds from 1 to {MOST_ROUNDS}")),
    }
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("instructions: {why}");
    ExitCode::FAILURE
}
