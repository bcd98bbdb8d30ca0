//! Where bytes of another side arrive, anything may arrive. Each target here takes arbitrary bytes and holds what comes of
//! them against a property that is told in its first line: that nothing panics is the least of it.
//!
//! ```sh
//! cargo test -p draw-fuzz                                 # every target over its corpus, as `cargo test --workspace` does
//! cargo run -p draw-fuzz --bin scan -- FILE               # one target over one file, such as what a fuzzer has found
//! # With cargo-fuzz and a C++ compiler; what is new goes to `target/new`, and not among the files that are kept.
//! mkdir -p target/new && cargo fuzz run -s none scan target/new fuzz/corpus/scan
//! ```
//!
//! No `unsafe` is in this project, so a sanitizer (`-s`) finds nothing that these do not, and costs half of the speed.

mod common;
mod corpus;
pub mod targets;

pub use corpus::replay;

/// The program of one target: under cargo-fuzz a fuzzer; else it runs the files that it is given, or the whole corpus.
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
