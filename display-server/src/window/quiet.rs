//! Panics of libraries that become sentences.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// Whether a panic of this thread is not to be printed.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// From here on [`quiet`] keeps panics from being printed. All others are reported as ever, and a hook that somebody sets
/// later replaces this one, or has it called.
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

/// Calls what may panic because a library is missing, and says nothing of that but the sentence it returns.
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
