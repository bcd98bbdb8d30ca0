//! The fuzz target `timeline`.
#![cfg_attr(fuzzing, no_main)]
draw_fuzz::program!(timeline);
