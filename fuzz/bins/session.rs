//! The fuzz target `session`.
#![cfg_attr(fuzzing, no_main)]
draw_fuzz::program!(session);
