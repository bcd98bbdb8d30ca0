//! What happens to calls that are made during an outage.

/// What happens to calls that are made while the connection is lost and reconnecting is under way; of a live picture also while the
/// display does not keep up.
///
/// It concerns the clients that do not wait for the display: [`Display`](crate::Display) and
/// [`Pipeline`](crate::blocking::Pipeline). The only call of a [`blocking::Display`](crate::blocking::Display) that is under way
/// waits, within its timeout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhileGone {
    /// They are accepted, as far as the credit goes, and wait for the connection. After that the program waits, each call for as
    /// long as [`timeout`](crate::Builder::timeout) says.
    #[default]
    Wait,
    /// They fail at once, with [`Error::Gone`](crate::Error::Gone). What was accepted before continues.
    Fail,
    /// They are accepted without waiting. When the queue is full, the oldest calls in it are dropped for good.
    /// This is for live pictures, where the newest calls matter, and for programs that must neither wait nor fail during an outage.
    ///
    /// The same holds while there is a connection and the display does not keep up, or has stopped answering: a drawing call that
    /// would wait for credit goes into the queue. So no drawing call ever waits for the display.
    ///
    /// The queue holds 65,536 drawing calls and 8 MiB of their data; a single call may have more, and then waits alone. Order is
    /// kept, and what was accepted before the connection was lost continues. A call that was dropped has certainly not been
    /// drawn: [`Error::Dropped`](crate::Error::Dropped) goes to the task that awaits it. If none does, the error callback is called
    /// when the outage is over, once for all of them, with the first hundred by name; without a callback the next `sync` or `close`
    /// returns it. [`Status::Dropped`](crate::Status::Dropped) has their number.
    ///
    /// Questions, `get_...` and `sync`, are never dropped: they wait for the display, each for as long as the timeout says, in
    /// their place among the calls of the queue.
    DropOldest,
}
