//! The ping-pong of the raw connection with tokio at both ends.

use crate::clients::Client;
use crate::failure::{Context, Result};
use crate::measure::{Ends, Watch, Wire};
use crate::placement::Place;
use crate::socket::{connect, listen, prepared};
use crate::threads::{self, Side};
use crate::wire::Messages;
use std::io;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Number of messages exchanged before the measurement.
const WARM: usize = 20;

/// The near end, on the caller's runtime; the far end has a current-thread runtime, as our server.
pub(crate) struct TokioPing {
    client: Rc<Client>,
    stream: TcpStream,
    messages: Messages,
    far: Side,
}

impl TokioPing {
    pub(crate) fn start(place: Place, client: &Rc<Client>, messages: Messages) -> Result<TokioPing> {
        let listener = listen()?;
        let address = listener.local_addr().context("listening for a connection")?;
        let near = connect(address)?;
        let far = prepared(listener.accept().map(|(stream, _)| stream))?;
        let (size, acknowledgement) = (messages.size, messages.acknowledgement);
        let serve = move || {
            // It ends when the near end does, which is no error. Other errors are reported by the waiting side.
            _ = echo(far, size, acknowledgement);
        };
        let thread = threads::start("tokio ping", move || place.enter_far(), serve)?;
        let _entered = client.runtime.enter();
        let stream = adopted(near).context("opening a connection")?;
        Ok(TokioPing { client: Rc::clone(client), stream, messages, far: Side::of_threads(thread) })
    }

    pub(crate) fn ends(&self, wire: Wire) -> Ends {
        Ends { near: self.client.side.clone(), far: self.far.clone(), wire }
    }

    /// Sends one message at a time, each acknowledged before the next.
    pub(crate) fn ping(&mut self, watch: &mut Watch<'_>, count: usize) -> Result<()> {
        let message = &self.messages.bytes[..self.messages.size];
        let mut acknowledgement = vec![0; self.messages.acknowledgement];
        let stream = &mut self.stream;
        let mut exchange = async || {
            stream.write_all(message).await?;
            stream.read_exact(&mut acknowledgement).await
        };
        let run = async {
            for _ in 0..WARM {
                exchange().await?;
            }
            watch.start(count);
            for _ in 0..count {
                exchange().await?;
                watch.lap();
            }
            watch.stop();
            Ok::<_, io::Error>(())
        };
        self.client.runtime.block_on(run).context("exchanging messages on a runtime")
    }
}

pub(super) fn adopted(stream: std::net::TcpStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}

fn echo(stream: std::net::TcpStream, size: usize, acknowledgement: usize) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut stream = adopted(stream)?;
        let (mut message, answer) = (vec![0; size], vec![0; acknowledgement]);
        loop {
            stream.read_exact(&mut message).await?;
            stream.write_all(&answer).await?;
        }
    })
}
