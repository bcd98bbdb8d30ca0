//! Turns panics of libraries into sentences.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// Whether panics of this thread are not printed.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Installs a panic hook that prints no panic inside [`quiet`], and calls the previous hook for all others. A hook that is
/// set later replaces this one, or calls it.
pub(super) fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IS_QUIET.get() {
                report(info);
            }
        }));
    });
}

/// Calls a function that may panic because a library is missing. Returns the message of the panic, and does not print it.
pub(super) fn quiet<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    IS_QUIET.set(true);
    let called = catch_unwind(AssertUnwindSafe(call));
    IS_QUIET.set(false);
    called.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a library panicked").to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_sentence() {
        install_hook();
        assert_eq!(quiet(|| 1), Ok(1));
        assert_eq!(quiet(|| panic!("Library lib{}.so", 1)), Err::<(), _>("Library lib1.so".to_owned()));
        assert_eq!(quiet(|| std::panic::panic_any(3)), Err::<(), _>("a library panicked".to_owned()));
    }
}
