//! Judges a client of the protocol, in any language: plays a display that cuts connections, corrupts messages and withholds
//! acknowledgements, and reports which rules of protocol/spec the client keeps.

use clap::Parser;
use clap::builder::RangedU64ValueParser;
use draw_examples::conformance::{self, Client, Host, Level, Report, Scenario, Verdict, task};
use draw_examples::{finish, parse_duration};
use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Judges a client by the rules of protocol/spec, in scenarios that each begin a new display.
#[derive(Debug, Parser)]
#[command(version, after_help = after_help())]
struct Args {
    /// The level that the client has to reach; it includes those before it
    #[arg(long, value_enum, default_value = "session")]
    level: Level,
    /// Only the scenario of this name
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Print the scenarios, and judge nothing
    #[arg(long)]
    list: bool,
    /// Start no command: print for each scenario what to start by hand. Output and exit status are not judged then
    #[arg(long, conflicts_with = "command")]
    listen: bool,
    /// Write the report to this file too, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How long the client may take for a scenario before it is killed [default: 20s, with --listen 5m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// How many scenarios run at a time
    #[arg(long, value_name = "N", default_value = "4", value_parser = RangedU64ValueParser::<usize>::new().range(1..=64))]
    jobs: usize,
    /// The client program and its arguments, behind --
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

fn after_help() -> String {
    format!(
        "The task:\n\n{}\nThe program ends with status 0 if the level is reached (with --only: if the scenario passes).\n\
         Write COMMAND so that it is the client itself: a wrapper that leaves it running cannot be killed with it.",
        task::TEXT
    )
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => finish("conformance", Err(error)),
    }
}

fn run(args: &Args) -> Result<bool> {
    let mut scenarios = conformance::all();
    match &args.only {
        Some(name) => {
            scenarios.retain(|scenario| scenario.name == name);
            if scenarios.is_empty() {
                return Err(format!("there is no scenario {name:?}; --list prints their names").into());
            }
        }
        None => scenarios.retain(|scenario| scenario.level <= args.level),
    }
    if args.list {
        for Scenario { name, level, section, rule, .. } in &scenarios {
            say(&format!("{level:8} {name:22} {section}: {rule}"));
        }
        return Ok(true);
    }
    let report = if args.listen {
        by_hand(&scenarios, args.timeout.unwrap_or(Duration::from_secs(300)))?
    } else if args.command.is_empty() {
        return Err(
            "give the client behind --, as in `conformance --level plain -- python3 client.py`, or --listen"
                .into(),
        );
    } else {
        let client = Client::Command(args.command.clone());
        let timeout = args.timeout.unwrap_or(Duration::from_secs(20));
        conformance::judge_all(&client, &scenarios, args.jobs, timeout, |result| say(&result.to_string()))?
    };
    say(&report.to_string());
    if let Some(path) = &args.json {
        std::fs::write(path, report.to_json())
            .map_err(|error| format!("cannot write the report to {}: {error}", path.display()))?;
    }
    Ok(match args.only {
        Some(_) => report.results.iter().all(|result| result.verdict == Verdict::Pass),
        None => report.is_accepted(),
    })
}

/// Judges clients that a person starts, one for each scenario.
fn by_hand(scenarios: &[Scenario], timeout: Duration) -> Result<Report> {
    let host = Host::new()?;
    let mut results = Vec::new();
    for scenario in scenarios {
        let first = scenario.first.map(|first| format!(" DRAW_FIRST_NUMBER={first}")).unwrap_or_default();
        let tell = |address| {
            say(&format!("start the client: DRAW_DISPLAY={address} DRAW_LEVEL={}{first}", scenario.level));
        };
        let result = conformance::judge(&Client::Anyone, scenario, &host, timeout, tell);
        say(&result.to_string());
        results.push(result);
    }
    Ok(Report { results })
}

/// Prints a line. A closed pipe is not an error: the exit status is useful without the output.
fn say(line: &str) {
    _ = writeln!(io::stdout(), "{line}");
}
