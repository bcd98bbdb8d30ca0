//! Memory shared with an X server.

use rustix::fs::MemfdFlags;
use rustix::process::{Resource, getrlimit};
use std::fs::File;
use std::os::fd::OwnedFd;
use x11rb::connection::{Connection, RequestConnection};
use x11rb::cookie::Cookie;
use x11rb::errors::{ConnectionError, ReplyError};
use x11rb::protocol::shm::{self, ConnectionExt};
use x11rb::rust_connection::RustConnection;

pub(super) struct Segment {
    /// Written with system calls: they fail when there is no memory left, while a write to a mapped page ends the process.
    pub(super) memory: File,
    /// The server's id of the segment.
    pub(super) id: shm::Seg,
    pub(super) bytes: u64,
}

impl Segment {
    /// Allocates memory of this many bytes and attaches it to the server.
    ///
    /// # Errors
    /// A reason, if the system or the server refuses.
    pub(super) fn new(connection: &RustConnection, bytes: u64) -> Result<Segment, String> {
        if connection
            .extension_information(shm::X11_EXTENSION_NAME)
            .map_err(|error| error.to_string())?
            .is_none()
        {
            return Err("it does not have the extension MIT-SHM".to_owned());
        }
        let version = connection.shm_query_version().map_err(ReplyError::from).and_then(Cookie::reply);
        let version = version.map_err(|error| error.to_string())?;
        if (version.major_version, version.minor_version) < (1, 2) {
            return Err("its extension MIT-SHM is older than 1.2".to_owned());
        }
        // A write beyond this limit would end the process.
        if getrlimit(Resource::Fsize).current.is_some_and(|limit| bytes > limit) {
            return Err(format!("{bytes} bytes exceed the limit of file sizes"));
        }
        // Not a file below /dev/shm: containers limit that to 64 MiB, less than a large screen takes.
        let memory = rustix::fs::memfd_create("draw-window", MemfdFlags::CLOEXEC)
            .map_err(|error| error.to_string())?;
        let memory = File::from(memory);
        memory.set_len(bytes).map_err(|error| error.to_string())?;
        let handed_over = memory.try_clone().map_err(|error| error.to_string())?;
        let id = connection.generate_id().map_err(|error| error.to_string())?;
        let attached = connection.shm_attach_fd(id, OwnedFd::from(handed_over), true);
        attached.map_err(ReplyError::from).and_then(|cookie| cookie.check()).map_err(
            |error| match error {
                ReplyError::X11Error(_) => "it is on another machine, or access is denied".to_owned(),
                error => error.to_string(),
            },
        )?;
        Ok(Segment { memory, id, bytes })
    }

    /// Detaches it from the server.
    pub(super) fn free(self, connection: &RustConnection) -> Result<(), ConnectionError> {
        connection.shm_detach(self.id).map(|_| ())
    }
}
