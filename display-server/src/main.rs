//! `display-server`: a display that programs draw on over TCP.

mod cli;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let code = cli::execute(cli::Args::parse()).unwrap_or_else(|error| {
        cli::log::fail(&error);
        ExitCode::FAILURE
    });
    cli::log::finish();
    code
}
