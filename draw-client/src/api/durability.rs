//! What an answer of the display is to mean.

/// When a call counts as done: when its reply, [`sync`](crate::Display::sync) and every call that waits come back, and when
/// its errors are told.
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
    /// When the display has executed it. A display with a journal has it in a file by then, which survives the end of its
    /// process; the last of it may be lost with the machine, or its power. Where a program needs to know more now and then,
    /// [`sync_durable`](crate::Display::sync_durable) says when everything so far is on the disk.
    #[default]
    Applied,
    /// When it is on the display's disk: no crash takes back what this program was told, and
    /// the connection never ends for lost calls ([`ConnectOptions::accept_loss`](crate::ConnectOptions::accept_loss)). What a question shows of this program's own calls is on
    /// the disk as well; what it shows of other programs' calls may not be yet.
    ///
    /// A call that is waited for takes as long as the disk needs for a sync. Those that are not share the syncs. A display
    /// without a journal is not connected to: the error has [`Code::NoJournal`](crate::Code::NoJournal).
    Durable,
}

impl Durability {
    pub(crate) fn is_durable(self) -> bool {
        self == Durability::Durable
    }
}
