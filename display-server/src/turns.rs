//! A queue in which addresses take turns, so that one with a thousand connections is served as often as one with a single one.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// What waits, by the address that it comes from, or whatever else a `K` is. What comes from one address keeps its order.
#[derive(Debug)]
pub(crate) struct Turns<K, T> {
    waiting: HashMap<K, VecDeque<T>>,
    /// Each that has something waiting, once.
    order: VecDeque<K>,
}

impl<K, T> Default for Turns<K, T> {
    fn default() -> Turns<K, T> {
        Turns { waiting: HashMap::new(), order: VecDeque::new() }
    }
}

impl<K: Copy + Eq + Hash, T> Turns<K, T> {
    pub(crate) fn push(&mut self, peer: K, item: T) {
        let queue = self.waiting.entry(peer).or_default();
        if queue.is_empty() {
            self.order.push_back(peer);
        }
        queue.push_back(item);
    }

    /// Takes the next of the address whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.pop_if(|_| true)
    }

    /// The same, if it `is_due`.
    pub(crate) fn pop_if(&mut self, is_due: impl FnOnce(&T) -> bool) -> Option<T> {
        let peer = *self.order.front()?;
        let queue = self.waiting.get_mut(&peer)?;
        if !is_due(queue.front()?) {
            return None;
        }
        _ = self.order.pop_front();
        let item = queue.pop_front();
        match queue.is_empty() {
            true => _ = self.waiting.remove(&peer),
            false => self.order.push_back(peer),
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use draw_protocol::session::Peer;
    use std::net::IpAddr;

    #[test]
    fn addresses_take_turns_and_each_keeps_its_order() {
        let peer = |last| Peer::from(IpAddr::from([10, 0, 0, last]));
        let mut turns = Turns::default();
        (0..4).for_each(|n| turns.push(peer(1), n));
        (10..12).for_each(|n| turns.push(peer(2), n));
        turns.push(Peer::default(), 20);
        let order: Vec<_> = std::iter::from_fn(|| turns.pop()).collect();
        assert_eq!(order, [0, 10, 20, 1, 11, 2, 3]);
        assert!(turns.order.is_empty() && turns.waiting.is_empty());
    }
}
