//! The fuzz target `digest`.
#![cfg_attr(fuzzing, no_main)]
draw_fuzz::program!(digest);
