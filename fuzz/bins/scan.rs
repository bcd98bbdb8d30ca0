//! The fuzz target `scan`.
#![cfg_attr(fuzzing, no_main)]
draw_fuzz::program!(scan);
