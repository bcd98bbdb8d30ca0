//! The fuzz target `greeting`.
#![cfg_attr(fuzzing, no_main)]
draw_fuzz::program!(greeting);
