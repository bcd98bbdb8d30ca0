//! The fuzz target `damage`.
#![cfg_attr(fuzzing, no_main)]
draw_fuzz::program!(damage);
