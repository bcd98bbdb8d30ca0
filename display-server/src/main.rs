//! `display-server`: a display that programs draw on over TCP.

mod cli;

use clap::Parser;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::execute(cli::Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            // Nobody may be left to read it.
            _ = writeln!(std::io::stderr(), "display-server: {error}");
            ExitCode::FAILURE
        }
    }
}
