//! The fuzz target `altered`.
#![cfg_attr(fuzzing, no_main)]
draw_fuzz::program!(altered);
