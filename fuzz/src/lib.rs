//! Fuzz targets for code that handles a peer's bytes. Each target takes arbitrary bytes and checks the property in its
//! first line; every target also checks that nothing panics.
//!
//! ```sh
//! cargo test -p draw-fuzz                                 # every target over its corpus, as `cargo test --workspace` does
//! cargo run -p draw-fuzz --bin scan -- FILE               # one target over one file, such as what a fuzzer has found
//! # With cargo-fuzz and a C++ compiler; what is new goes to `target/new`, and not among the files that are kept.
//! mkdir -p target/new && cargo fuzz run -s none scan target/new fuzz/corpus/scan
//! ```
//!
//! This project has no `unsafe` code, so a sanitizer (`-s`) finds nothing more and halves the speed.

mod common;
mod corpus;
pub mod targets;

pub use corpus::replay;

/// The program of one target: a fuzzer under cargo-fuzz; otherwise it runs the given files, or the whole corpus.
#[macro_export]
macro_rules! program {
    ($name:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::targets::$name(data));
        #[cfg(not(fuzzing))]
        fn main() -> std::process::ExitCode {
            $crate::replay(stringify!($name), $crate::targets::$name)
        }
    };
}
