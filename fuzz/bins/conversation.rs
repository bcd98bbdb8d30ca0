//! The fuzz target `conversation`.
#![cfg_attr(fuzzing, no_main)]
draw_fuzz::program!(conversation);
