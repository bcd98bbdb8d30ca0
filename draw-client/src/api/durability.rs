//! What an acknowledgement of the display means.

/// When a call counts as done: when its reply, [`sync`](crate::Display::sync) or a blocking call returns, and when its
/// errors are reported.
///
/// ```no_run
/// # async fn example() -> draw_client::Result<()> {
/// use draw_client::{Color, ConnectOptions, Durability};
///
/// let display = ConnectOptions::new().durability(Durability::Durable).connect("localhost:3729").await?;
/// display.draw_pixel(1, 2, Color::RED).await?.await?;        // it is on the display's disk now
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// When the display has executed it. A display with a journal has written it to a file by then. The file survives
    /// the end of the process; its last part may be lost if the machine crashes or loses power. To know when everything
    /// so far is on the disk, call [`sync_durable`](crate::Display::sync_durable).
    #[default]
    Applied,
    /// When it is on the display's disk: no crash takes back a call that was reported as done, and the connection never
    /// ends for lost calls ([`ConnectOptions::accept_loss`](crate::ConnectOptions::accept_loss)). What a question
    /// returns of this program's own calls is on the disk as well; what it returns of other programs' calls may not be
    /// yet.
    ///
    /// A call that is waited for takes as long as the disk needs for a sync. Calls that are not waited for share syncs.
    /// Connecting to a display without a journal fails: the error has [`Code::NoJournal`](crate::Code::NoJournal).
    Durable,
}

impl Durability {
    pub(crate) fn is_durable(self) -> bool {
        self == Durability::Durable
    }
}
