//! What happens to the error of a call.

/// What happens to the error of a call that is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplyState {
    /// The reply lives, and returns the error.
    Awaited,
    /// The reply was dropped: the error is a late error.
    Dropped,
    /// The same, after the reply has returned that no answer came in time, so that the outcome of the call is unknown. The loss of the
    /// connection says no more than that, and is not reported again.
    TimedOut,
    /// The error is ignored.
    Ignored,
}
