//! The fuzz target `framebuffer`.
#![cfg_attr(fuzzing, no_main)]
draw_fuzz::program!(framebuffer);
