//! `cargo bench -p benches --bench compare`: the cost of calls, compared with that of the same bytes on a bare socket.
//!
//! Everything runs in one process: the far ends in threads of their own, pinned to the near end's core or to another.
//! The rows take turns, a short section each, for many rounds, so that other load on the machine affects all of them;
//! ratios are taken within a round.

mod clients;
mod descriptors;
mod drawings;
mod failure;
mod figures;
mod groups;
mod machine;
mod measure;
mod memory;
mod ours;
mod peers;
mod picture;
mod placement;
mod raw;
mod report;
mod row;
mod scale;
mod scene;
mod socket;
mod stand;
mod syscalls;
mod target;
mod threads;
mod wire;

use clap::Parser;
use failure::{Context, Failure, Result};
use scale::Scale;
use stand::Stand;
use std::fs;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Measures what calls of the network framebuffer cost, beside the same bytes on a raw TCP connection.
///
/// One run, all rows in turn, both ends on one core and on two; a Markdown table on standard output.
#[derive(Debug, Parser)]
#[command(name = "compare", bin_name = "cargo bench -p benches --bench compare --")]
struct Args {
    /// Few and short rounds, at most a minute: whether it runs, rather than what it costs.
    #[arg(long)]
    quick: bool,
    /// Draws the medians as a picture, as SVG, in this file (cargo runs this in `benches/`).
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
    /// Only groups with this in their title or in the name of a row: for a profiler.
    filter: Option<String>,
    /// How many rounds [default: 30, or 4 with --quick].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// The argument that cargo adds. Without it nothing is measured.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    // `cargo test --all-targets` also runs this, with arguments for tests.
    let is_wanted = |arg: String| matches!(&arg[..], "--bench" | "--help" | "-h");
    if !std::env::args().any(is_wanted) {
        println!("compare: measures nothing in a test; run `cargo bench -p benches --bench compare`");
        return ExitCode::SUCCESS;
    }
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("compare: {failure}.");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let scale = if args.quick { Scale::QUICK } else { Scale::FULL };
    let rounds = args.rounds.unwrap_or(scale.rounds);
    let began = Instant::now();
    let load = machine::load();
    let (places, notes) = placement::places()?;
    let mut stands = stands(&places, &scale, args.filter.as_deref())?;
    for round in 0..rounds {
        progress(&format!("round {} of {rounds}", round + 1));
        stands.iter_mut().try_for_each(|stand| stand.turn(round))?;
    }
    progress("counting system calls");
    stands.iter_mut().try_for_each(Stand::count_system_calls)?;
    progress("");
    stands.iter().try_for_each(Stand::check)?;

    if let Some(path) = &args.chart {
        let chart = picture::chart(&stands, machine::headline(&load, &stands));
        fs::write(path, chart.svg()).context(format_args!("writing {}", path.display()))?;
    }
    let mut text = machine::describe(&load, &stands, notes);
    text += &format!("- {rounds} rounds; {:.0} s in all\n\n", began.elapsed().as_secs_f64());
    text += &report::table(&stands);
    std::io::stdout().write_all(text.as_bytes()).context("writing the table")
}

/// Prepares all measurements, in every placement.
fn stands(places: &[placement::Place], scale: &Scale, filter: Option<&str>) -> Result<Vec<Stand>> {
    let mut memory = Some(memory::Memory::measure(places[0]));
    let mut stands = Vec::new();
    for (i, &place) in places.iter().enumerate() {
        let scene = scene::Scene::new(place, *scale, memory.take(), i + 1 == places.len())?;
        let mut stand = Stand::new(scene)?;
        if let Some(filter) = filter {
            stand.groups.retain(|group| {
                group.title.contains(filter) || group.rows.iter().any(|row| row.name.contains(filter))
            });
        }
        stands.push(stand);
    }
    match filter {
        Some(filter) if stands.iter().all(|stand| stand.groups.is_empty()) => {
            Err(Failure::new(format!("no group and no row has {filter:?} in its name")))
        }
        _ => Ok(stands),
    }
}

/// Prints the progress.
fn progress(what: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r{what:<40}");
    }
}
