//! The fuzz target `snapshot`.
#![cfg_attr(fuzzing, no_main)]
draw_fuzz::program!(snapshot);
