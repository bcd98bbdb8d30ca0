//! `display-server`: a display that programs draw on over TCP.

mod cli;

use std::process::ExitCode;

/// Memory that the C library may keep at the end of each thread's heap. A stream of images of a few megabytes is as fast as with
/// no limit.
const KEPT: usize = 8 << 20;

fn main() -> ExitCode {
    draw_trim::limit(KEPT);
    #[cfg(feature = "manual")]
    if let Some(status) = cli::manual::execute() {
        return status;
    }
    let args = cli::Args::of_process();
    let _log = cli::log::Finish;
    cli::execute(args).unwrap_or_else(|error| {
        cli::log::fail(&error);
        ExitCode::FAILURE
    })
}
