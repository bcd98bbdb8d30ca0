//! What happens to the error of a call.

/// What happens to the error of a call that is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplyState {
    /// The reply is alive and returns the error.
    Awaited,
    /// The reply was dropped: the error is a late error.
    Dropped,
    /// The same, after the reply has returned a timeout, which says that the outcome of the call is unknown. A lost
    /// connection adds nothing to that, and is not reported again.
    TimedOut,
    /// The error is ignored.
    Ignored,
}
