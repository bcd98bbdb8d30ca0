//! Decides how a session continues on a new connection.

use super::Session;
use super::id::Id;
use super::nonce::Nonce;
use super::standing::Standing;
use crate::fault::{Code, Fault};

/// The session that a client asks for in `hello`, with what the client knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// Which session.
    pub session: Id,
    /// The display of the session, from its last welcome; `None` if no display has ever answered.
    pub instance: Option<Id>,
    /// The number of this `hello` in the session, from 1. A display ignores a `hello` that arrives after a later one.
    pub attempt: u64,
    /// The `hello` with which the session began, 0 if the client does not know. A client cannot continue a session without it:
    /// it would take requests for executed that were not.
    pub born: u64,
    /// The nonce of the welcome with which the session began, if there was one. It replaces `born`: a late copy of a `hello`
    /// would begin a session with the same `born`, but never with the same nonce.
    pub incarnation: Option<u64>,
    /// The client has received every reply up to this number.
    pub ack: u64,
    /// The last request up to `ack` that has drawn. Later requests only read, and a journal does not contain them.
    pub drew: u64,
    /// The number of the first request that has certainly not been sent.
    pub next: u64,
    /// The client knows that the display lost the last requests of the session, and continues.
    pub accepts_loss: bool,
    /// The client confirms the welcome before it sends anything else.
    pub confirms: bool,
}

impl Resume {
    /// Returns the fault of this `hello` when `hello` number `latest` of the session has arrived.
    pub(crate) fn overtaken(&self, latest: u64) -> Fault {
        let text = format!("this is hello {} of the session, and {latest} has come", self.attempt);
        Fault::new(Code::Superseded, text)
    }
}

impl Session {
    /// Creates the session that begins with this `hello`, whose welcome has this nonce.
    fn begin(asked: &Resume, nonce: Option<Nonce>) -> Session {
        let incarnation = nonce.map_or(asked.attempt, Nonce::get);
        Session { incarnation, attempt: asked.attempt, ..Session::new(asked.next - 1) }
    }

    /// Returns the session with which a connection continues, from what was `found` under its id on the display `instance`.
    /// `nonce` is that of the welcome, if the client has to confirm it.
    ///
    /// # Errors
    /// [`Code::StateRegressed`] if the client knows more requests to be executed than the display has and does not accept the
    /// loss; keep what was found. [`Code::Superseded`] if the client has sent a later `hello`. [`Code::Malformed`] if the
    /// numbers of the client contradict each other.
    pub fn enter(
        found: &mut Option<Session>,
        asked: &Resume,
        instance: Id,
        nonce: Option<Nonce>,
    ) -> Result<(Session, Standing), Fault> {
        let Resume { ack, next, attempt, born, .. } = *asked;
        if next <= ack || attempt <= born {
            let text = format!(
                "{ack} is acknowledged and {next} was not sent, in hello {attempt} of a session that began with {born}: \
                 that cannot be"
            );
            return Err(Fault::new(Code::Malformed, text));
        }
        if let Some(session) = found
            && attempt <= session.attempt
        {
            return Err(asked.overtaken(session.attempt));
        }
        // A session whose beginning the client does not know is useless: it began when a welcome was lost, or with a late copy
        // of an old `hello`. Nothing was executed in it.
        let known = asked.incarnation.unwrap_or(born);
        let Some(session) = found.as_mut().filter(|session| session.incarnation == known) else {
            *found = None;
            let standing = match asked.instance {
                None => Standing::Fresh,
                Some(before) if before == instance => Standing::Expired,
                Some(_) => Standing::StateLost,
            };
            return Ok((Session::begin(asked, nonce), standing));
        };
        if session.is_confirmed() && !asked.confirms {
            // A late copy of its messages could not be told from the originals.
            let text = "the session began with a client that confirms each welcome, and this hello does not say that it does";
            return Err(Fault::new(Code::Malformed, text));
        }
        let applied = session.filter.applied();
        if applied < ack && asked.drew <= applied {
            // Only answers are missing, and the client has received them.
            *session = session.without_requests(ack);
        } else if applied < ack {
            if !asked.accepts_loss {
                let text = format!(
                    "the display was restarted: of this session it has the requests up to {applied}, and the client \
                     has seen {ack} executed; accept the loss to go on"
                );
                return Err(Fault::new(Code::StateRegressed, text));
            }
            let session = Session { attempt, ..session.without_requests(ack) };
            *found = None;
            return Ok((session, Standing::Regressed));
        }
        session.acknowledge(ack).map_err(|misuse| Fault::new(Code::Malformed, misuse.to_string()))?;
        session.unanswer();
        session.attempt = attempt;
        let session = found.take().expect("it was found above");
        Ok((session, Standing::Resumed))
    }
}
