//! The options of a connection, the same for the three clients.

use super::Durability;
use crate::admission::WhileOffline;
use crate::completion::Callback;
use crate::error::{LateError, Status, StatusCallback};
use crate::limits;
use std::fmt;
use std::time::Duration;

/// Options of a connection, and the calls that make one.
///
/// [`Display::connect`](crate::Display::connect) and its siblings connect with the defaults. To change one, chain the setters
/// and end with the call of the client that is wanted:
///
/// | call | client |
/// |---|---|
/// | [`connect(address).await`](ConnectOptions::connect) | [`Display`](crate::Display), on tokio |
/// | [`connect_blocking(address)`](ConnectOptions::connect_blocking) | [`blocking::Display`](crate::blocking::Display), which waits for every answer |
/// | [`connect_pipeline(address)`](ConnectOptions::connect_pipeline) | [`blocking::Pipeline`](crate::blocking::Pipeline), which does not |
///
/// [`over`](ConnectOptions::over) and [`through`](ConnectOptions::through) connect a [`Display`](crate::Display) over a stream
/// of the program's own.
///
/// ```no_run
/// use draw_client::ConnectOptions;
/// use std::time::Duration;
///
/// # async fn example() -> draw_client::Result<()> {
/// let display = ConnectOptions::new()
///     .on_error(|late| eprintln!("{late}"))
///     .timeout(Duration::from_secs(10))
///     .connect("localhost:3729")
///     .await?;
/// # Ok(()) }
/// ```
///
/// # Defaults
///
/// | option | default | concerns |
/// |---|---|---|
/// | [`on_error`](ConnectOptions::on_error) | errors go to the next `sync` or `close` | `Display`, `Pipeline` |
/// | [`on_status`](ConnectOptions::on_status) | none | `Display`, `Pipeline` |
/// | [`timeout`](ConnectOptions::timeout) | 30 s | all |
/// | [`connect_timeout`](ConnectOptions::connect_timeout) | 5 s | all |
/// | [`reconnect`](ConnectOptions::reconnect) | for 30 s | all |
/// | [`while_offline`](ConnectOptions::while_offline) | [`WhileOffline::Wait`] | `Display`, `Pipeline` |
/// | [`durability`](ConnectOptions::durability) | [`Durability::Applied`] | all |
/// | [`checksums`](ConnectOptions::checksums) | on for other machines | all |
/// | [`accept_loss`](ConnectOptions::accept_loss) | no | `Display`, `Pipeline` |
/// | [`doctor`](ConnectOptions::doctor) | as `DRAW_DOCTOR` says | all |
///
/// A `blocking::Display` keeps the options that do not concern it for the `Pipeline` that
/// [`pipelined`](crate::blocking::Display::pipelined) makes of it.
#[must_use = "options do nothing until one of the `connect` methods is called"]
pub struct ConnectOptions {
    pub(crate) on_error: Option<Callback>,
    pub(crate) on_status: Option<StatusCallback>,
    pub(crate) timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) reconnect: Duration,
    pub(crate) while_offline: WhileOffline,
    pub(crate) accepts_loss: bool,
    pub(crate) durability: Durability,
    pub(crate) checksums: Option<bool>,
    pub(crate) doctor: Option<bool>,
}

/// A year. A deadline too far ahead for the clock would overflow its arithmetic.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

impl Default for ConnectOptions {
    fn default() -> ConnectOptions {
        ConnectOptions {
            on_error: None,
            on_status: None,
            timeout: limits::ANSWER_TIMEOUT,
            connect_timeout: limits::CONNECT_TIMEOUT,
            reconnect: limits::RECONNECT,
            while_offline: WhileOffline::default(),
            accepts_loss: false,
            durability: Durability::default(),
            checksums: None,
            doctor: None,
        }
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("has_on_error", &self.on_error.is_some())
            .field("has_on_status", &self.on_status.is_some())
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("reconnect", &self.reconnect)
            .field("while_offline", &self.while_offline)
            .field("accept_loss", &self.accepts_loss)
            .field("durability", &self.durability)
            .field("checksums", &self.checksums)
            .field("doctor", &self.doctor)
            .finish()
    }
}

impl ConnectOptions {
    /// Returns the default options.
    pub fn new() -> ConnectOptions {
        ConnectOptions::default()
    }

    /// Sets the error callback. It receives the errors of calls whose reply was dropped.
    ///
    /// The callback runs on a thread of its own, for one error at a time, in the order of the calls; never inside a call or a
    /// drop. It may call the display. While the display is behind, up to 1,024 calls of 8 MiB together are accepted from it,
    /// and more fail with [`Error::WouldDeadlock`](crate::Error::WouldDeadlock), since to wait there could be to wait for itself.
    /// If the callback panics, a `tracing` event reports that, and the next error still arrives. Errors that wait for the
    /// callback count as calls under way: a slow callback slows the program down, and memory stays bounded.
    ///
    /// A connection that is lost for good calls it once for all calls that were sent and not answered, and once for all that
    /// were never sent; either only if there are any. A callback that keeps a clone of the display keeps the connection open
    /// until `close` is called.
    ///
    /// [`Display::scope`](crate::Display::scope) gives a part of the program a callback of its own. [`LateError`] lists what
    /// the callback receives, and the `tracing` event with the same fields.
    pub fn on_error(mut self, callback: impl FnMut(LateError) + Send + 'static) -> ConnectOptions {
        self.on_error = Some(Box::new(callback));
        self
    }

    /// Sets the status callback. It receives each change of the connection: lost, resumed, and what was lost with it. On
    /// [`Status::SessionLost`] and [`Status::Dropped`] a program draws again what has to be there.
    ///
    /// It runs on the thread of the error callbacks, by the same rules: one at a time, in order; it may call the display.
    pub fn on_status(mut self, callback: impl FnMut(Status) + Send + 'static) -> ConnectOptions {
        self.on_status = Some(Box::new(callback));
        self
    }

    /// Sets how long a call waits to be accepted, and then for its answer. A `blocking::Display` waits for at least a
    /// millisecond.
    pub fn timeout(mut self, timeout: Duration) -> ConnectOptions {
        self.timeout = timeout.min(LONGEST);
        self
    }

    /// Sets how long connecting may take, with all addresses of the name and the handshake. Looking the name up counts, but in
    /// the blocking clients only the system can cut that short.
    pub fn connect_timeout(mut self, timeout: Duration) -> ConnectOptions {
        self.connect_timeout = timeout.min(LONGEST);
        self
    }

    /// Sets for how long the client tries to reconnect after a connection is lost; zero for not at all.
    ///
    /// After a reconnect everything that was accepted continues: every call is executed once, in its order. If the display does
    /// not know this client's session any more, the calls that were under way fail with
    /// [`Error::SessionLost`](crate::Error::SessionLost), and those that follow are drawn. The call of a `blocking::Display` that
    /// is under way waits meanwhile, within its own timeout.
    ///
    /// A network that dies silently is a lost connection after 20 seconds
    /// ([`DEAD_NETWORK`](draw_protocol::limits::DEAD_NETWORK)), where the system can tell; so is a display that takes nothing
    /// for as long while more is to be sent than the system has room for.
    ///
    /// A stream given to [`over`](ConnectOptions::over) cannot be replaced; use [`through`](ConnectOptions::through).
    pub fn reconnect(mut self, within: Duration) -> ConnectOptions {
        self.reconnect = within.min(LONGEST);
        self
    }

    /// Sets what happens to drawing calls that are made while the connection is lost.
    pub fn while_offline(mut self, policy: WhileOffline) -> ConnectOptions {
        self.while_offline = policy;
        self
    }

    /// Sets when a call counts as done: when the display has drawn it, or when it is on the display's disk.
    pub fn durability(mut self, durability: Durability) -> ConnectOptions {
        self.durability = durability;
        self
    }

    /// Sets whether client and display check each message for bytes that were altered on the way.
    ///
    /// An altered message is neither executed nor believed: the connection is lost, and what was under way continues on the
    /// next one, once and in its order, as after any loss ([`reconnect`](ConnectOptions::reconnect)). If that happens again
    /// and again and nothing is done in between, the client gives up as it does for a display that is gone.
    ///
    /// TCP's own checksum has 16 bits, and boxes on the way write it anew: now and then altered bytes pass. So checksums are on
    /// by default for TCP to another machine. They are off for TCP to this machine, as the bytes never leave its memory, or
    /// continue through a tunnel such as `ssh`, which checks them itself; and for streams of the program's own
    /// ([`over`](ConnectOptions::over), [`through`](ConnectOptions::through)), as TLS does the same. The first connection
    /// decides. Each message then has 18 bytes more, and each side reads it once more, at several gigabytes a second.
    ///
    /// To connect with checksums to a display that does not know them fails with
    /// [`Error::Disconnected`](crate::Error::Disconnected), after a few tries.
    pub fn checksums(mut self, checksums: bool) -> ConnectOptions {
        self.checksums = Some(checksums);
        self
    }

    /// Sets whether to continue with a display that was restarted from its journal and lacks the last calls that it had
    /// executed. By default the connection then ends, since the program relies on calls that are lost. With `true` the client
    /// continues and reports [`Status::SessionLost`]. [`Durability::Durable`] avoids the loss.
    pub fn accept_loss(mut self, accept: bool) -> ConnectOptions {
        self.accepts_loss = accept;
        self
    }

    /// Sets whether the round-trip doctor prints on standard error, when the connection ends, which lines of the program waited
    /// for the display and what would avoid that: see [`Diagnosis`](crate::Diagnosis). By default the environment variable
    /// [`DRAW_DOCTOR`](crate::DRAW_DOCTOR) decides. It costs some nanoseconds a call.
    pub fn doctor(mut self, doctor: bool) -> ConnectOptions {
        self.doctor = Some(doctor);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_defaults_lists_every_option() {
        let source = include_str!("options.rs");
        let page = source.split("#[must_use").next().expect("the page");
        let setters = source.split("mut self, ").skip(1).count();
        let text = format!("{:?}", ConnectOptions::new());
        let fields = text.matches(": ").count();
        let rows = page.lines().filter(|line| line.starts_with("/// | [`") && line.matches('|').count() == 4);
        assert_eq!((rows.count(), setters - 1), (fields, fields), "{text}");
    }

    #[test]
    fn times_that_no_clock_can_add_are_cut() {
        let forever = Duration::MAX;
        let options = ConnectOptions::new().timeout(forever).connect_timeout(forever).reconnect(forever);
        assert_eq!([options.timeout, options.connect_timeout, options.reconnect], [LONGEST; 3]);
    }
}
