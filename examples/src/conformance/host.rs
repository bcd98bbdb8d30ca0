//! Real displays, served in the background.

use super::task::{BACKGROUND, SIZE};
use display_server::{Color, Display, Server, ServerOptions};
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// Serves displays until it is dropped.
#[derive(Debug)]
pub struct Host {
    runtime: Runtime,
}

/// Creates a display as it is at the start of a scenario.
pub(super) fn display() -> Result<Display, String> {
    Display::new(SIZE, Color::from_u32(BACKGROUND))
        .map_err(|error| format!("cannot create a display: {error}"))
}

impl Host {
    /// Starts the threads that serve.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub fn new() -> Result<Host, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.map(|runtime| Host { runtime }).map_err(|error| format!("cannot start serving: {error}"))
    }

    /// Serves `display` by a server of its own, which knows no session. Returns its address.
    pub(super) fn serve(&self, display: Display) -> Result<SocketAddr, String> {
        let _in_runtime = self.runtime.enter();
        let listen = || {
            let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            std::io::Result::Ok((TcpListener::from_std(listener)?, address))
        };
        let (listener, address) = listen().map_err(|error| format!("cannot listen on 127.0.0.1: {error}"))?;
        let server = Server::new(display, ServerOptions::default());
        self.runtime.spawn(async move { server.run(listener, std::future::pending()).await });
        Ok(address)
    }
}
