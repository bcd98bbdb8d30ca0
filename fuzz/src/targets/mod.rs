//! The targets: each is a function of bytes that panics if its property does not hold.

mod calls;
mod client;
mod conversation;
mod corruption;
mod damage;
mod digest;
mod filter;
mod framebuffer;
mod handshake;
mod journal;
mod pixelflut;
mod scan;
mod server;
mod session;
mod snapshot;
mod text;
mod timeline;
mod trace;

pub use calls::calls;
pub use client::client;
pub use conversation::conversation;
pub use corruption::corruption;
pub use damage::damage;
pub use digest::digest;
pub use filter::filter;
pub use framebuffer::framebuffer;
pub use handshake::handshake;
pub use journal::journal;
pub use pixelflut::pixelflut;
pub use scan::scan;
pub use server::server;
pub use session::session;
pub use snapshot::snapshot;
pub use text::text;
pub use timeline::timeline;
pub use trace::trace;

/// The type of a target.
pub type Target = fn(&[u8]);

/// Passes the names of all targets to the macro `$then`.
macro_rules! targets {
    ($then:ident) => {
        $then! {
            calls, client, conversation, corruption, damage, digest, filter, framebuffer, handshake, journal, pixelflut, scan,
            server, session, snapshot, text, timeline, trace,
        }
    };
}

#[cfg(test)]
pub(crate) use targets;

macro_rules! names {
    ($($name:ident,)+) => {
        /// The names of all targets, which are also the names of their programs and corpora.
        pub const NAMES: &[&str] = &[$(stringify!($name)),+];
    };
}
targets!(names);
