//! The waits that have not ended.

use super::Wait;
use crate::doctor::sites::SiteId;
use std::collections::HashMap;
use std::time::Instant;

/// The site that waits, and since when.
pub(super) type Since = (SiteId, Instant);

/// Usually there is one wait, or none: that one is found without hashing, which takes as long as all the rest.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    first: Option<(Wait, Since)>,
    others: HashMap<Wait, Since>,
}

impl Waiting {
    pub(super) fn insert(&mut self, wait: Wait, since: Since) {
        if self.first.is_none() {
            self.first = Some((wait, since));
        } else {
            self.others.insert(wait, since);
        }
    }

    pub(super) fn remove(&mut self, wait: Wait) -> Option<Since> {
        match self.first {
            Some((first, since)) if first == wait => {
                self.first = None;
                Some(since)
            }
            _ if self.others.is_empty() => None,
            _ => self.others.remove(&wait),
        }
    }

    /// Takes all of them.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (Wait, Since)> + use<> {
        let Waiting { first, others } = std::mem::take(self);
        first.into_iter().chain(others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::sites::Sites;
    use draw_protocol::Method;
    use std::panic::Location;

    #[test]
    fn each_is_there_until_it_is_taken() {
        let (now, site) = (Instant::now(), Sites::new(1).find(Location::caller(), Method::Sync));
        let mut waiting = Waiting::default();
        for number in 1..=3 {
            waiting.insert(Wait::Answer(number), (site, now));
            waiting.insert(Wait::Credit(number), (site, now));
        }
        for wait in [Wait::Credit(2), Wait::Answer(1), Wait::Answer(3)] {
            assert_eq!(waiting.remove(wait), Some((site, now)));
            assert_eq!(waiting.remove(wait), None);
        }
        waiting.insert(Wait::Answer(4), (site, now));
        assert_eq!(waiting.take().count(), 4);
        assert_eq!(waiting.remove(Wait::Answer(4)), None);
    }
}
