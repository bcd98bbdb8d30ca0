//! The fuzz target `client`.
#![cfg_attr(fuzzing, no_main)]
draw_fuzz::program!(client);
