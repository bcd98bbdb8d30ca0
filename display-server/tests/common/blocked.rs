//! Pipes and terminals whose other end is never read.
#![allow(dead_code, reason = "each test uses its part")]

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::io::{PipeReader, PipeWriter, Write};

/// A pipe that is full, so that whoever writes to it waits for ever. Its reader has to be kept.
pub(crate) fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    for piece in [4096, 1] {
        while writer.write(&vec![b'x'; piece]).is_ok() {}
    }
    // The one who inherits it is to wait.
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}
