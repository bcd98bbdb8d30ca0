//! Handles Ctrl-C, SIGTERM, and SIGHUP: each asks the program to stop, and ends it if it does not stop soon.

use display_server::Handle;
use display_server::signals::{Ending, Endings};
use draw_printer::{PATIENCE, Rank, stderr};
use std::error::Error;
use std::fmt;
use std::io;
use std::process::exit;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// The time that a program has to stop by itself. With the message on standard error it ends within a second.
const GRACE: Duration = Duration::from_millis(600);

/// Whether a signal asked the program to end, which one, and what the program is doing. Clones share this state.
#[derive(Clone, Default)]
pub struct Interrupt {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    pressed: OnceLock<Ending>,
    to_stop: OnceLock<Handle>,
    doing: Mutex<Doing>,
}

/// The message that a program prints when a signal ends it.
#[derive(Default)]
enum Doing {
    /// Nothing is lost when it ends, or it stops by itself in any case.
    #[default]
    Nothing,
    /// It is doing this work, which may take long.
    Work(Box<dyn Fn() -> String + Send>),
    /// Only the window is left to close.
    Closing,
}

impl fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interrupt").field("pressed", &self.inner.pressed).finish_non_exhaustive()
    }
}

/// The program was ended by a signal. That is neither an error nor success.
#[derive(Debug)]
pub struct Interrupted {
    by: Ending,
    what: String,
}

impl Interrupted {
    /// Returns the status that a shell reports for a program that the signal ended.
    pub fn status(&self) -> u8 {
        self.by.status()
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped by {}: {}", self.by, self.what)
    }
}

impl Error for Interrupted {}

impl Interrupt {
    /// Handles these signals: the first is only noted; a Ctrl-C after that ends the program at once. A SIGHUP that was
    /// ignored at the start, as by `nohup`, stays ignored.
    ///
    /// # Errors
    /// If the system refuses the thread or the signal.
    pub fn listen() -> io::Result<Interrupt> {
        Interrupt::start(None)
    }

    /// Does the same, and ends the program of this name if it has not stopped by itself soon after the signal. It then
    /// prints what it was [doing](Interrupt::is_doing).
    ///
    /// # Errors
    /// If the system refuses the thread or the signal.
    pub fn listen_and_end(name: &'static str) -> io::Result<Interrupt> {
        Interrupt::start(Some(name))
    }

    fn start(name: Option<&'static str>) -> io::Result<Interrupt> {
        let interrupt = Interrupt::default();
        let Interrupt { inner } = interrupt.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let mut endings = Endings::listen()?;
        drop(entered);
        std::thread::Builder::new().name("ctrl-c".into()).spawn(move || {
            runtime.block_on(async {
                let by = endings.next().await;
                _ = inner.pressed.set(by);
                if let Some(own) = inner.to_stop.get() {
                    own.stop();
                }
                let again = endings.next_interrupt();
                let Some(name) = name else {
                    again.await;
                    exit(Ending::Interrupt.status().into());
                };
                match tokio::time::timeout(GRACE, again).await {
                    Ok(()) => exit(Ending::Interrupt.status().into()),
                    Err(_) => inner.end(name, by),
                }
            });
        })?;
        Ok(interrupt)
    }

    /// Returns whether a signal has arrived.
    pub fn is_pressed(&self) -> bool {
        self.inner.pressed.get().is_some()
    }

    /// Returns the error of a program that stops because of the signal, or `Ok` without a signal; `what` describes the
    /// state of its work.
    ///
    /// # Errors
    /// If a signal has arrived.
    pub fn check(&self, what: impl FnOnce() -> String) -> Result<(), Interrupted> {
        self.inner.pressed.get().map_or(Ok(()), |&by| Err(Interrupted { by, what: what() }))
    }

    /// Records that the program is doing something that may take long. `what` describes it, and the work that may not
    /// be done.
    pub fn is_doing(&self, what: impl Fn() -> String + Send + 'static) {
        *self.inner.doing() = Doing::Work(Box::new(what));
    }

    /// Records that only the window is left to close, so that a signal is not a failure.
    pub fn is_closing(&self) {
        *self.inner.doing() = Doing::Closing;
    }

    /// Also closes this display on a signal, which wakes a program that waits for its window.
    pub fn closes(&self, own: &Handle) {
        _ = self.inner.to_stop.set(own.clone());
        // An earlier signal found no display to close.
        if self.is_pressed() {
            own.stop();
        }
    }
}

impl Inner {
    fn doing(&self) -> MutexGuard<'_, Doing> {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a program that has not stopped by itself.
    fn end(&self, name: &str, by: Ending) -> ! {
        let what = match &*self.doing() {
            Doing::Closing => exit(0),
            Doing::Work(what) => what(),
            Doing::Nothing => "it had not ended by itself".to_owned(),
        };
        let line = format!("{name}: {}\n", Interrupted { by, what });
        stderr().push(line.as_bytes(), Rank::Important);
        stderr().finish(PATIENCE);
        exit(by.status().into());
    }
}
