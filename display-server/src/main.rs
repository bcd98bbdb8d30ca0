//! `display-server`: a display that programs draw on over TCP.

mod cli;

use clap::Parser;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = cli::Args::parse();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        // Two connections that draw at once use both; idle, they cost nothing but their stacks.
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(display_server::Error::Start)
        .and_then(|runtime| cli::execute(args, runtime));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be left to read it.
            _ = writeln!(std::io::stderr(), "display-server: {error}");
            ExitCode::FAILURE
        }
    }
}
