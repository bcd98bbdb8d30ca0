//! The fuzz target `journal`.
#![cfg_attr(fuzzing, no_main)]
draw_fuzz::program!(journal);
