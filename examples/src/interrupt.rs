//! Ctrl-C: asks the program to stop once, and ends it the second time. SIGTERM, and SIGHUP when the terminal goes, ask as well.

use display_server::Handle;
use display_server::signals::may_handle_hangup;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, OnceLock};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Whether Ctrl-C was pressed, or the program was asked to end by SIGTERM or SIGHUP. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    is_pressed: AtomicBool,
    to_stop: OnceLock<Handle>,
}

impl Interrupt {
    /// From now on the first of these signals is only noted; a Ctrl-C after that ends the program at once. A SIGHUP that was
    /// ignored at the start, as by `nohup`, stays ignored.
    ///
    /// # Errors
    /// If the system refuses the thread or the signal.
    pub fn listen() -> io::Result<Interrupt> {
        let interrupt = Interrupt::default();
        let Interrupt { inner } = interrupt.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let entered = runtime.enter();
        let mut interrupts = signal(SignalKind::interrupt())?;
        let mut terminations = signal(SignalKind::terminate())?;
        let mut hangups = may_handle_hangup().then(|| signal(SignalKind::hangup())).transpose()?;
        drop(entered);
        std::thread::Builder::new().name("ctrl-c".into()).spawn(move || {
            runtime.block_on(async {
                loop {
                    let is_interrupt = tokio::select! {
                        () = received(Some(&mut interrupts)) => true,
                        () = received(Some(&mut terminations)) => false,
                        () = received(hangups.as_mut()) => false,
                    };
                    if inner.is_pressed.swap(true, SeqCst) && is_interrupt {
                        std::process::exit(130);
                    }
                    if let Some(own) = inner.to_stop.get() {
                        own.stop();
                    }
                }
            });
        })?;
        Ok(interrupt)
    }

    /// Whether it was pressed.
    pub fn is_pressed(&self) -> bool {
        self.inner.is_pressed.load(SeqCst)
    }

    /// From now on Ctrl-C also closes this display, so that whoever waits for its window is woken.
    pub fn closes(&self, own: &Handle) {
        _ = self.inner.to_stop.set(own.clone());
        // Pressed before that it found nothing to close.
        if self.is_pressed() {
            own.stop();
        }
    }
}

/// Ready when the signal comes, and never if it cannot come.
async fn received(signal: Option<&mut Signal>) {
    let has_come = match signal {
        Some(signal) => signal.recv().await.is_some(),
        None => false,
    };
    if !has_come {
        std::future::pending::<()>().await;
    }
}
