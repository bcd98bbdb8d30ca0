//! What happens to drawing calls while the connection is lost.

/// What happens to drawing calls that are made while the connection is lost and the client tries to reconnect. With
/// [`DropOldest`](WhileOffline::DropOldest) it also applies while the display does not keep up.
///
/// It concerns the clients that do not wait for the display: [`Display`](crate::Display) and
/// [`Pipeline`](crate::blocking::Pipeline). A [`blocking::Display`](crate::blocking::Display) has one call under way, which
/// waits within its timeout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhileOffline {
    /// Accepts calls, as many as may be under way at once, and sends them when connected. After that the program waits, each
    /// call for as long as [`timeout`](crate::ConnectOptions::timeout) says.
    #[default]
    Wait,
    /// Fails calls at once with [`Error::Offline`](crate::Error::Offline). Calls that were accepted before continue.
    Fail,
    /// Accepts calls without waiting, and drops the oldest of those that do not fit the queue. This is for live pictures, where
    /// the newest matters, and for programs that must neither wait nor fail.
    ///
    /// The same applies while there is a connection and the display does not keep up, or has stopped answering: a drawing call
    /// that would wait goes into the queue. So no drawing call ever waits for the display.
    ///
    /// The queue has room for 65,536 drawing calls and 8 MiB of their data; a single call may have more, and then waits alone.
    /// Order is kept, and calls that were accepted before the connection was lost continue. A dropped call is certainly not
    /// drawn: its reply returns [`Error::Dropped`](crate::Error::Dropped). If the reply was dropped too, the error callback
    /// is called when the time offline is over, once for all such calls, the first hundred by name; without a callback the next
    /// `sync` or `close` returns them. [`Status::Dropped`](crate::Status::Dropped) has their number.
    ///
    /// Questions, `get_...` and `sync`, are never dropped: they wait for the display, each for as long as the timeout says, in
    /// their place among the calls of the queue.
    DropOldest,
}
