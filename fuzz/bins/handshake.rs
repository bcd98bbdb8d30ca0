//! The fuzz target `handshake`.
#![cfg_attr(fuzzing, no_main)]
draw_fuzz::program!(handshake);
