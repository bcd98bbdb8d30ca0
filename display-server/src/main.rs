//! `display-server`: a display that programs draw on over TCP.

mod cli;

use clap::Parser;
use std::io::Write;
use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;

/// Buffers come and go, of up to 64 MiB and from many threads. The C library's allocator kept 320 of 390 MiB a minute after 300
/// clients that never read; this one gives them back within a second.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

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
