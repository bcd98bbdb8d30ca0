//! Ctrl-C: asks the program to stop once, and ends it the second time.

use display_server::Handle;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, OnceLock};

/// Whether Ctrl-C was pressed. Clones are the same.
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
    /// From now on the first Ctrl-C is only noted; a second one ends the program at once.
    ///
    /// # Errors
    /// If the system refuses the thread or the signal.
    pub fn listen() -> io::Result<Interrupt> {
        let interrupt = Interrupt::default();
        let Interrupt { inner } = interrupt.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        std::thread::Builder::new().name("ctrl-c".into()).spawn(move || {
            runtime.block_on(async {
                while tokio::signal::ctrl_c().await.is_ok() {
                    if inner.is_pressed.swap(true, SeqCst) {
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
