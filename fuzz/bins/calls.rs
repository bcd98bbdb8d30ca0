//! The fuzz target `calls`.
#![cfg_attr(fuzzing, no_main)]
draw_fuzz::program!(calls);
