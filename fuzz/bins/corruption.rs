//! The fuzz target `corruption`.
#![cfg_attr(fuzzing, no_main)]
draw_fuzz::program!(corruption);
