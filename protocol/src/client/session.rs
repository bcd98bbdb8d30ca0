//! The session of a client: its last `hello`, the server's last welcome, and what both have acknowledged.

use crate::codec::checksum::{self, Checksum};
use crate::codec::envelope;
use crate::fault::Fault;
use crate::hello::{self, Hello, Welcome};
use std::collections::VecDeque;

/// The session, over all connections. `hello` is the last one sent or the next one, `welcome` the last answer to it; requests
/// may be made once there is one. `acked` never exceeds what is done, and `resumed_to` never what was sent.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) hello: Hello,
    /// The kind of the check in front of each message, if each has one. It never changes.
    pub(super) checksum: Option<Checksum>,
    pub(super) welcome: Option<Welcome>,
    /// What the server has been told that this side holds, and the bytes of answers and faults since.
    pub(super) acked: u64,
    pub(super) heard: usize,
    /// What was in flight up to this number when the session was resumed had been executed before. The server may have
    /// lost answers.
    pub(super) resumed_to: u64,
    /// Requests that were made for another display and are more than this one takes, by their numbers: what is sent in their
    /// place draws nothing, and their calls fail with it.
    pub(super) refused: VecDeque<(u64, Fault)>,
    /// The last request that has drawn, of those that are done.
    pub(super) drew: u64,
    /// The server was told that the loss of the end of the session is accepted, and may have received that.
    pub(super) has_accepted_loss: bool,
    /// The server was restarted between its last two answers to `hello`.
    pub(super) is_restarted: bool,
}

impl Session {
    pub(super) fn new(hello: &Hello) -> Session {
        Session {
            hello: hello.clone(),
            checksum: hello.agreed_checksum(),
            welcome: None,
            acked: 0,
            heard: 0,
            resumed_to: 0,
            refused: VecDeque::new(),
            drew: 0,
            has_accepted_loss: false,
            is_restarted: false,
        }
    }

    /// Takes why the request of this number could not be sent as it was made, if that is so. The numbers rise from call to call.
    #[cold]
    pub(super) fn take_refused(&mut self, number: u64) -> Option<Fault> {
        while self.refused.front().is_some_and(|&(refused, _)| refused < number) {
            self.refused.pop_front();
        }
        let is_this = self.refused.front().is_some_and(|&(refused, _)| refused == number);
        if is_this { self.refused.pop_front().map(|(_, fault)| fault) } else { None }
    }
}

/// Returns the bytes of a `hello`.
pub(super) fn greeting(hello: &Hello) -> Vec<u8> {
    let mut bytes = Vec::new();
    checksum::write(&mut bytes, hello.agreed_checksum(), |bytes| {
        // It is numbered apart, so that the first request after it is 1.
        envelope::write_request_head(bytes, 0, hello::HELLO);
        envelope::write_map(bytes, &(hello,));
    });
    bytes
}
