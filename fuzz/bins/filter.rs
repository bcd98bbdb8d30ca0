//! The fuzz target `filter`.
#![cfg_attr(fuzzing, no_main)]
draw_fuzz::program!(filter);
