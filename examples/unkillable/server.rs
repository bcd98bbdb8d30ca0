//! The killed display: this program, started again as a separate process.

use crate::Result;
use crate::course::{TICK, nothing_left};
use crate::drawing::SIZE;
use display_server::{Journal, ServerOptions, bind, journal};
use draw_examples::Interrupt;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// The longest time that it may take to start.
const PATIENCE: Duration = Duration::from_secs(30);
/// Small, so that some kills happen while the display replaces its journal by a snapshot.
const SNAPSHOT_AFTER: u64 = 4 << 20;
/// Below the ephemeral ports of a system. One of those could be taken while the display is down, even by a client that
/// tries to connect to it.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// Returns a free address on this machine. It stays the same after every kill: clients reconnect to the address they
/// know.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let start = PORTS.start + (std::process::id() % u32::from(PORTS.end - PORTS.start)) as u16;
    let free = (start..PORTS.end).chain(PORTS.start..start).find_map(|port| {
        // The port is freed at once, for the display.
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?.local_addr().ok()
    });
    free.ok_or_else(|| format!("no port from {} to {} is free", PORTS.start, PORTS.end - 1).into())
}

/// A temporary directory, removed on drop.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Result<Directory> {
        for n in 0..100 {
            let path = std::env::temp_dir().join(format!("unkillable-{}-{n}", std::process::id()));
            // The directory must be new: an existing one belongs to another program and is neither used nor removed.
            match std::fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(format!("cannot make the directory {}: {error}", path.display()).into());
                }
                Ok(()) => return Ok(Directory(path)),
            }
        }
        Err(format!("no name for a directory is free in {}", std::env::temp_dir().display()).into())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A display in a separate process, killed on drop.
pub(crate) struct Server {
    process: Child,
    /// Closing it ends the display, even if its parent was killed.
    _alive: Option<ChildStdin>,
}

impl Server {
    /// Starts the display. Returns when it listens.
    pub(crate) fn start(journal: &Path, address: SocketAddr, interrupt: &Interrupt) -> Result<Server> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("--serve")
            .arg(journal)
            .args(["--listen", &address.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is meant for the parent, which handles it.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot start the display: {error}"))?;
        let (stdin, stdout) = (process.stdin.take(), process.stdout.take());
        let server = Server { process, _alive: stdin };
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = stdout.map(|stdout| BufReader::new(stdout).read_line(&mut line));
            _ = tell.send((read, line));
        });
        let until = Instant::now() + PATIENCE;
        let said = loop {
            interrupt.check(nothing_left)?;
            match told.recv_timeout(TICK) {
                Err(RecvTimeoutError::Timeout) if Instant::now() < until => {}
                said => break said,
            }
        };
        match said {
            Ok((Some(Ok(_)), line)) if line == listening(address) => Ok(server),
            Ok((_, line)) if line.is_empty() => Err("the display ended instead of listening".into()),
            Ok((_, line)) => Err(format!("the display said {line:?} instead of where it listens").into()),
            Err(_) => Err(format!("the display did not start within {PATIENCE:?}").into()),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Kills it with SIGKILL, at any time. Returns when it has ended.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        let status = self.process.wait()?;
        if status.code().is_some() {
            return Err(format!("the display had ended by itself: {status}").into());
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

fn listening(address: SocketAddr) -> String {
    format!("listening on {address}\n")
}

// The other process --------------------------------------------------------------------------------------------------

/// Serves the display of a journal until standard input ends.
pub(crate) fn serve(directory: &Path, address: &str) -> Result<()> {
    let options =
        journal::Options { size: Some(SIZE), snapshot_after: SNAPSHOT_AFTER, ..journal::Options::default() };
    let listener = bind(address, false)?;
    let journal = Journal::open(directory, &options, &mut |_, _| {})?;
    let server = display_server::Server::new(journal.display().clone(), ServerOptions::default());
    let server = server.journaled(journal);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let (left, parent_left) = tokio::sync::oneshot::channel::<()>();
        // A separate thread: a thread of the runtime that reads standard input would keep the runtime from ending.
        std::thread::Builder::new().name("parent".into()).spawn(move || {
            _ = io::stdin().lock().read_to_end(&mut Vec::new());
            drop(left);
        })?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        print!("{}", listening(listener.local_addr()?));
        io::Write::flush(&mut io::stdout())?;
        server.run(listener, async { _ = parent_left.await }).await?;
        Ok(())
    })
}
