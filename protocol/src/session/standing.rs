//! How a session stands on a new connection, as the welcome reports it.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How a session stands when a connection takes it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The session begins.
    Fresh,
    /// The session continues; nothing is lost.
    Resumed,
    /// The session continues where the client says. The display was restarted and has lost the last requests of the session,
    /// which were not on its disk and which the client knew to be executed.
    Regressed,
    /// The display has forgotten the session, because its client was away for too long. The picture is there; if the display
    /// was restarted meanwhile ([`Welcome::boot`](crate::Welcome::boot)), the last requests may be lost. The session begins
    /// anew and continues the numbers.
    Expired,
    /// The display of the session is gone; this one is new and empty. The session begins anew and continues the numbers.
    StateLost,
}

impl Standing {
    pub(crate) const ALL: [Standing; 5] =
        [Standing::Fresh, Standing::Resumed, Standing::Regressed, Standing::Expired, Standing::StateLost];

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Fresh => "fresh",
            Standing::Resumed => "resumed",
            Standing::Regressed => "regressed",
            Standing::Expired => "expired",
            Standing::StateLost => "state_lost",
        }
    }
}

impl Serialize for Standing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Standing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Standing, D::Error> {
        let name = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        let found = Standing::ALL.into_iter().find(|standing| standing.as_str() == name);
        found.ok_or_else(|| D::Error::custom(format!("a session cannot be {name:?}")))
    }
}
