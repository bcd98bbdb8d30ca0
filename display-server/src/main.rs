//! `display-server`: a display that programs draw on over TCP.

mod cli;

use clap::Parser;
use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;

/// Buffers come and go, of up to 64 MiB and from many threads. The C library's allocator kept 320 of 390 MiB a minute after 300
/// clients that never read; this one gives them back within a second.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let args = cli::Args::parse();
    let _log = cli::log::Finish;
    cli::execute(args).unwrap_or_else(|error| {
        cli::log::fail(&error);
        ExitCode::FAILURE
    })
}
