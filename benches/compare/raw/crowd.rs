//! The work of many clients on bare sockets: a task for each connection, and one thread for all far ends, as in our
//! server.

use super::far::store;
use super::runtime::adopted;
use crate::clients::Client;
use crate::failure::{Context, Result};
use crate::measure::{Ends, Watch, Wire};
use crate::ours;
use crate::placement::Place;
use crate::socket::{BLOCK, connect, listen, prepared};
use crate::threads::{self, Side};
use crate::wire::{Messages, SIZE};
use draw_client::{Color, Pixel};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// The pixels that the far ends have stored.
type Stored = Arc<Mutex<Vec<u32>>>;

/// The near ends, on the caller's runtime.
pub(crate) struct Crowd {
    client: Rc<Client>,
    /// Each connection with the number of messages it has sent.
    links: Vec<(TcpStream, u64)>,
    messages: Messages,
    stored: Stored,
    far: Side,
}

/// The format of the messages that a far end reads.
#[derive(Clone, Copy)]
struct Format {
    size: usize,
    head: usize,
    acknowledgement: usize,
}

impl Crowd {
    pub(crate) fn start(
        place: Place,
        client: &Rc<Client>,
        connections: usize,
        messages: Messages,
    ) -> Result<Crowd> {
        let listener = listen()?;
        let address = listener.local_addr().context("listening for connections")?;
        let (mut near, mut far) = (Vec::new(), Vec::new());
        for _ in 0..connections {
            near.push(connect(address)?);
            far.push(prepared(listener.accept().map(|(stream, _)| stream))?);
        }
        let format =
            Format { size: messages.size, head: messages.head()?, acknowledgement: messages.acknowledgement };
        let stored = Stored::default();
        let storing = Arc::clone(&stored);
        let serve = move || {
            // It ends when the near ends do, which is not an error. The side that waits for an acknowledgement reports
            // errors.
            _ = serve(far, format, &storing);
        };
        let thread = threads::start("raw crowd", move || place.enter_far(), serve)?;
        let _entered = client.runtime.enter();
        let adopt = |stream| adopted(stream).map(|stream| (stream, 0)).context("opening a connection");
        let links = near.into_iter().map(adopt).collect::<Result<_>>()?;
        Ok(Crowd { client: Rc::clone(client), links, messages, stored, far: Side::of_threads(thread) })
    }

    pub(crate) fn ends(&self, pixels: usize) -> Ends {
        let wire = Wire::Each(self.messages.bytes.len() as f64 / pixels as f64);
        Ends { near: self.client.side.clone(), far: self.far.clone(), wire }
    }

    /// Shares the messages, sent `passes` times, among the first `clients` connections.
    pub(crate) fn stream(
        &mut self,
        watch: &mut Watch<'_>,
        clients: usize,
        passes: usize,
        pixels: &[Pixel],
    ) -> Result<()> {
        let Messages { bytes, size, acknowledgement, .. } = &self.messages;
        let (size, acknowledgement) = (*size, *acknowledgement);
        let share = (bytes.len() / size).div_ceil(clients) * size;
        let shares: Vec<_> = bytes.chunks(share).map(|share| share.repeat(passes)).collect();
        *self.stored.lock().unwrap_or_else(PoisonError::into_inner) =
            vec![0; SIZE.width as usize * SIZE.height as usize];
        let sending = self.links.iter_mut().zip(&shares).map(|(link, share)| async move {
            let (stream, sent) = link;
            *sent += (share.len() / size) as u64;
            let (reading, mut writing) = stream.split();
            let write = async {
                for block in share.chunks((BLOCK / size).max(1) * size) {
                    writing.write_all(block).await?;
                }
                Ok(())
            };
            let read = async {
                let (mut reading, mut answer) = (BufReader::new(reading), vec![0; acknowledgement]);
                while u64::from_be_bytes(*answer.first_chunk().unwrap_or(&[0xff; 8])) < *sent {
                    reading.read_exact(&mut answer).await?;
                }
                Ok::<_, io::Error>(())
            };
            tokio::try_join!(write, read).map(drop)
        });
        watch.whole(|| {
            let all = futures::future::try_join_all(sending);
            self.client.runtime.block_on(all).map(drop).context("exchanging messages with a crowd")
        })?;
        let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = |x, y| {
            let place = usize::from(y) * SIZE.width as usize + usize::from(x);
            stored.get(place).copied().map(Color::from_u32)
        };
        ours::check(SIZE, pixels, shown)
    }
}

fn serve(streams: Vec<std::net::TcpStream>, format: Format, stored: &Stored) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // One buffer for all connections: it holds no data while other tasks run.
    let buffer = Rc::new(RefCell::new(vec![0; BLOCK]));
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async {
        let mut ends = Vec::new();
        for stream in streams {
            let end = take(adopted(stream)?, format, Rc::clone(&buffer), Arc::clone(stored));
            ends.push(tokio::task::spawn_local(end));
        }
        for end in ends {
            end.await??;
        }
        Ok(())
    })
}

/// Stores the pixels that arrive, and acknowledges the messages of each read, until the near end closes.
async fn take(
    mut stream: TcpStream,
    format: Format,
    buffer: Rc<RefCell<Vec<u8>>>,
    stored: Stored,
) -> io::Result<()> {
    let Format { size, head, acknowledgement } = format;
    // The start of an incomplete message.
    let (mut kept, mut done, mut answer) = (Vec::with_capacity(size), 0_u64, vec![0; acknowledgement]);
    loop {
        stream.readable().await?;
        let before = done;
        {
            let mut buffer = buffer.borrow_mut();
            let mut input = match stream.try_read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => &buffer[..n],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            let mut pixels = stored.lock().unwrap_or_else(PoisonError::into_inner);
            if !kept.is_empty() {
                let (rest, others) = input.split_at(input.len().min(size - kept.len()));
                kept.extend_from_slice(rest);
                input = others;
                if kept.len() == size {
                    store(&kept[head..], &mut pixels);
                    kept.clear();
                    done += 1;
                }
            }
            let whole = input.chunks_exact(size);
            kept.extend_from_slice(whole.remainder());
            for message in whole {
                store(&message[head..], &mut pixels);
                done += 1;
            }
        }
        if done > before {
            let Some(number) = answer.first_chunk_mut() else {
                return Err(io::Error::other("an acknowledgement has no room for a number"));
            };
            *number = done.to_be_bytes();
            stream.write_all(&answer).await?;
        }
    }
}
