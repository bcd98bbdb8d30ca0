//! The fuzz target `trace`.
#![cfg_attr(fuzzing, no_main)]
draw_fuzz::program!(trace);
