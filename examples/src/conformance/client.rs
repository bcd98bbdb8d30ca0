//! The client that is judged: a program, a function of a test, or whatever a person starts.

use super::Level;
use std::ffi::OsString;
use std::fmt;
use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// How much of the beginning of a client's output is read.
const OUTPUT: u64 = 1 << 16;

/// How much of the end of longer output is read too: the last lines often say why a client has failed.
const END: usize = 1 << 12;

/// How long the output of a client that has ended may stay open: a process that it has left may hold it.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a client is told.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// DRAW_DISPLAY.
    pub address: SocketAddr,
    /// DRAW_LEVEL.
    pub level: Level,
    /// DRAW_FIRST_NUMBER, if the scenario sets it.
    pub first: Option<u64>,
}

/// How a client has ended.
#[derive(Debug, Clone)]
pub struct Ending {
    /// Whether its status says that the task is done.
    pub is_success: bool,
    /// Its status, in words.
    pub status: String,
    /// What it printed on standard output.
    pub output: String,
    /// What it printed on standard error.
    pub errors: String,
}

/// A client that performs the task.
#[derive(Clone)]
pub enum Client {
    /// A program with its arguments.
    Command(Vec<OsString>),
    /// A function, which runs on a thread of its own. It returns whether it succeeded, and its output.
    Function(Arc<dyn Fn(Setup) -> (bool, String) + Send + Sync>),
    /// Whatever connects. Neither its output nor its status is judged.
    Anyone,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Client::Command(words) => f.debug_tuple("Command").field(words).finish(),
            Client::Function(_) => f.write_str("Function"),
            Client::Anyone => f.write_str("Anyone"),
        }
    }
}

/// A client that was started.
pub(super) enum Running {
    Process { child: Child, output: Receiver<String>, errors: Receiver<String> },
    Thread(Receiver<(bool, String)>),
    Anyone,
}

impl Client {
    pub(super) fn start(&self, setup: Setup) -> Result<Running, String> {
        match self {
            Client::Anyone => Ok(Running::Anyone),
            Client::Function(function) => {
                let (sender, ended) = channel();
                let function = function.clone();
                // Fails only if nothing waits for the client any more.
                thread::spawn(move || _ = sender.send(function(setup)));
                Ok(Running::Thread(ended))
            }
            Client::Command(words) => {
                let [program, arguments @ ..] = &words[..] else {
                    return Err("no command is given".to_owned());
                };
                let mut command = Command::new(program);
                command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
                command.env("DRAW_DISPLAY", setup.address.to_string()).env("DRAW_LEVEL", setup.level.name());
                command.env_remove("DRAW_FIRST_NUMBER");
                if let Some(first) = setup.first {
                    command.env("DRAW_FIRST_NUMBER", first.to_string());
                }
                let mut child = command
                    .spawn()
                    .map_err(|error| format!("cannot start {}: {error}", program.to_string_lossy()))?;
                let output = collect(child.stdout.take());
                let errors = collect(child.stderr.take());
                Ok(Running::Process { child, output, errors })
            }
        }
    }
}

/// Reads a stream to its end on a thread of its own, and keeps the beginning and the end. What is between is dropped.
fn collect(stream: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, text) = channel();
    thread::spawn(move || {
        let Some(mut stream) = stream else { return };
        let mut bytes = Vec::new();
        _ = stream.by_ref().take(OUTPUT).read_to_end(&mut bytes);
        let mut end = Vec::new();
        while let Ok(1..) = stream.by_ref().take(OUTPUT).read_to_end(&mut end) {
            end.drain(..end.len().saturating_sub(END));
        }
        bytes.append(&mut end);
        _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    text
}

impl Running {
    /// Returns how the client has ended, once it has.
    pub(super) fn ended(&mut self) -> Option<Ending> {
        match self {
            Running::Anyone => None,
            Running::Thread(ended) => {
                let (is_success, output) = match ended.try_recv() {
                    Ok(ended) => ended,
                    Err(std::sync::mpsc::TryRecvError::Empty) => return None,
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => (false, "it panicked".to_owned()),
                };
                let status = if is_success { "success" } else { "failure" }.to_owned();
                Some(Ending { is_success, status, output, errors: String::new() })
            }
            Running::Process { child, output, errors } => {
                let (is_success, status) = match child.try_wait() {
                    Ok(None) => return None,
                    Ok(Some(status)) => (status.success(), status.to_string()),
                    Err(error) => (false, format!("no status: {error}")),
                };
                let output = output.recv_timeout(PATIENCE).unwrap_or_default();
                let errors = errors.recv_timeout(PATIENCE).unwrap_or_default();
                Some(Ending { is_success, status, output, errors })
            }
        }
    }

    /// Ends a program that has not ended by itself, and returns what it printed on standard error. A function loses its
    /// connections instead.
    pub(super) fn kill(&mut self) -> String {
        let Running::Process { child, errors, .. } = self else { return String::new() };
        _ = child.kill();
        _ = child.wait();
        errors.recv_timeout(PATIENCE).unwrap_or_default()
    }
}
