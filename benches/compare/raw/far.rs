//! The far end of a raw connection.

use crate::failure::{Context, Failure, Result};
use crate::socket::BLOCK;
use crate::wire::SIZE;
use draw_protocol::{Color, Pixel};
use std::io::{Read, Write};
use std::net::TcpStream;

/// The messages of the far end.
pub(super) struct Job {
    pub(super) messages: usize,
    /// Bytes of each message.
    pub(super) size: usize,
    /// Bytes of an acknowledgement.
    pub(super) acknowledgement: usize,
    pub(super) work: Work,
}

/// The processing of a message.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// None.
    Count,
    /// Decodes and stores the pixels that follow this many bytes.
    Store { head: usize },
    /// Copies the image that follows this many bytes.
    Copy { head: usize },
    /// Responds with this many bytes of the image in place of an acknowledgement.
    Send { bytes: usize },
}

/// One connection and its pixels.
pub(super) struct Far {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    pixels: Vec<u32>,
    image: Vec<u8>,
}

impl Far {
    pub(super) fn new(stream: TcpStream) -> Far {
        Far { stream, buffer: Vec::new(), filled: 0, pixels: Vec::new(), image: Vec::new() }
    }

    /// Runs the job. Returns the bytes stored last, as they are in memory.
    pub(super) fn run(&mut self, job: &Job) -> Result<Vec<u8>> {
        if job.acknowledgement < 8 {
            return Err(Failure::new("an acknowledgement has no room for a number"));
        }
        match job.work {
            Work::Copy { head } => self.copy(job, head),
            Work::Send { bytes } => self.send(job, bytes),
            Work::Count | Work::Store { .. } => self.take(job),
        }
    }

    /// Handles messages that fit into the buffer, many at a time.
    fn take(&mut self, job: &Job) -> Result<Vec<u8>> {
        self.buffer.resize(BLOCK.max(job.size), 0);
        self.pixels.resize(SIZE.width as usize * SIZE.height as usize, 0);
        let (mut done, mut last) = (0, None);
        while done < job.messages {
            self.filled += read(&mut self.stream, &mut self.buffer[self.filled..])?;
            let whole = self.filled / job.size;
            let (messages, rest) = (whole * job.size, self.filled - whole * job.size);
            if let Work::Store { head } = job.work {
                for message in self.buffer[..messages].chunks_exact(job.size) {
                    last = store(&message[head..], &mut self.pixels).or(last);
                }
            }
            if whole > 0 {
                self.buffer.copy_within(messages..self.filled, 0);
                self.filled = rest;
                done += whole;
                self.acknowledge(job, done)?;
            }
        }
        Ok(last.map_or_else(Vec::new, |place| self.pixels[place].to_be_bytes().to_vec()))
    }

    /// Handles messages that are larger than a read: copies each piece directly to its place.
    fn copy(&mut self, job: &Job, head: usize) -> Result<Vec<u8>> {
        self.buffer.resize(BLOCK, 0);
        self.image.resize(job.size - head, 0);
        for done in 1..=job.messages {
            let mut at = 0;
            while at < job.size {
                let most = self.buffer.len().min(job.size - at);
                let n = read(&mut self.stream, &mut self.buffer[..most])?;
                let skipped = head.saturating_sub(at).min(n);
                let place = at + skipped - head.min(at + skipped);
                self.image[place..][..n - skipped].copy_from_slice(&self.buffer[skipped..n]);
                at += n;
            }
            self.acknowledge(job, done)?;
        }
        Ok(self.image[self.image.len().saturating_sub(BLOCK)..].to_vec())
    }

    /// Sends the image in answer to each message.
    fn send(&mut self, job: &Job, bytes: usize) -> Result<Vec<u8>> {
        self.buffer.resize(BLOCK.max(job.size), 0);
        self.image.resize(bytes, 7);
        for _ in 0..job.messages {
            self.stream.read_exact(&mut self.buffer[..job.size]).context("reading a raw question")?;
            for block in self.image.chunks(BLOCK) {
                self.stream.write_all(block).context("writing raw bytes")?;
            }
        }
        Ok(Vec::new())
    }

    fn acknowledge(&mut self, job: &Job, done: usize) -> Result<()> {
        let mut answer = [0; 64];
        answer[..8].copy_from_slice(&(done as u64).to_be_bytes());
        self.stream.write_all(&answer[..job.acknowledgement]).context("writing a raw acknowledgement")
    }
}

fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<usize> {
    match stream.read(buffer).context("reading raw messages")? {
        0 => Err(Failure::new("the raw near end closed the connection")),
        n => Ok(n),
    }
}

/// Decodes each pixel, checks that it lies inside, and stores it, in a plain loop. Returns the index of the last one.
pub(super) fn store(records: &[u8], framebuffer: &mut [u32]) -> Option<usize> {
    let mut last = None;
    for record in records.chunks_exact(Pixel::SIZE) {
        let mut bytes = [0; Pixel::SIZE];
        bytes.copy_from_slice(record);
        let Pixel { x, y, color } = Pixel::from_bytes(bytes);
        if u32::from(x) < SIZE.width && u32::from(y) < SIZE.height {
            let place = usize::from(y) * SIZE.width as usize + usize::from(x);
            framebuffer[place] = Color::to_u32(color);
            last = Some(place);
        }
    }
    last
}
