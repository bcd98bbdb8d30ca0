//! The fuzz target `server`.
#![cfg_attr(fuzzing, no_main)]
draw_fuzz::program!(server);
