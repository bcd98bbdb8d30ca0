//! The fuzz target `pixelflut`.
#![cfg_attr(fuzzing, no_main)]
draw_fuzz::program!(pixelflut);
