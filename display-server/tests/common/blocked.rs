//! Pipes and terminals whose other end is never read.
#![allow(dead_code, reason = "each test uses its part")]

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::io::{PipeReader, PipeWriter, Write};

/// Returns a full pipe: a program that writes to it blocks for ever. The reader must be kept.
pub(crate) fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    for piece in [4096, 1] {
        while writer.write(&vec![b'x'; piece]).is_ok() {}
    }
    // The program that inherits the writer must block.
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}
