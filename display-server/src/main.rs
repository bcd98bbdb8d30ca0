//! `display-server`: a display that programs draw on over TCP.

mod cli;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = cli::Args::parse();
    let _log = cli::log::Finish;
    cli::execute(args).unwrap_or_else(|error| {
        cli::log::fail(&error);
        ExitCode::FAILURE
    })
}
