//! The fuzz target `text`.
#![cfg_attr(fuzzing, no_main)]
draw_fuzz::program!(text);
