//! A byte stream in two halves.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A stream in halves, which two tasks can own.
pub(crate) struct Halves {
    pub(crate) reader: Box<dyn AsyncRead + Send + Unpin>,
    pub(crate) writer: Box<dyn AsyncWrite + Send + Unpin>,
}

impl From<TcpStream> for Halves {
    fn from(stream: TcpStream) -> Halves {
        // These halves need no lock between them.
        let (reader, writer) = stream.into_split();
        Halves { reader: Box::new(reader), writer: Box::new(writer) }
    }
}

impl Halves {
    pub(crate) fn split<S: AsyncRead + AsyncWrite + Send + 'static>(stream: S) -> Halves {
        let (reader, writer) = tokio::io::split(stream);
        Halves { reader: Box::new(reader), writer: Box::new(writer) }
    }
}
