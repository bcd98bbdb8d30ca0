//! A queue that serves addresses in turn, so that an address with a thousand connections gets no more turns than one
//! with a single connection.

use draw_protocol::session::Peer;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Waiting items, by address and by class. Addresses take turns, and so do the two classes of an address. Items of the
/// same address and class are in the order of their ranks, and those of the same rank in the order of arrival.
#[derive(Debug)]
pub(crate) struct RoundRobin<T> {
    waiting: HashMap<Peer, Classes<T>>,
    /// Each address that has a waiting item, once.
    order: VecDeque<Peer>,
    /// The number of items that have been added.
    added: u64,
}

/// The items of one address.
#[derive(Debug)]
struct Classes<T> {
    /// By rank and order of arrival.
    queues: [BTreeMap<(u64, u64), T>; 2],
    /// The class whose turn it is.
    next: usize,
}

impl<T> Classes<T> {
    fn is_empty(&self) -> bool {
        self.queues.iter().all(BTreeMap::is_empty)
    }

    /// Returns the class of the next item: the class whose turn it is, or the other one if that has no items.
    fn class(&self) -> usize {
        if self.queues[self.next].is_empty() { 1 - self.next } else { self.next }
    }
}

impl<T> Default for Classes<T> {
    fn default() -> Classes<T> {
        Classes { queues: [BTreeMap::new(), BTreeMap::new()], next: 0 }
    }
}

impl<T> Default for RoundRobin<T> {
    fn default() -> RoundRobin<T> {
        RoundRobin { waiting: HashMap::new(), order: VecDeque::new(), added: 0 }
    }
}

impl<T> RoundRobin<T> {
    /// Adds an item of one of two classes. If all items have the same class and rank, each address is served in order of
    /// arrival.
    pub(crate) fn push(&mut self, peer: Peer, class: bool, rank: u64, item: T) {
        self.added += 1;
        let classes = self.waiting.entry(peer).or_default();
        if classes.is_empty() {
            self.order.push_back(peer);
        }
        classes.queues[usize::from(class)].insert((rank, self.added), item);
    }

    /// Removes and returns the next item.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.pop_if(|_| true)
    }

    /// Removes and returns the next item if `is_due` returns true for it.
    pub(crate) fn pop_if(&mut self, is_due: impl FnOnce(&T) -> bool) -> Option<T> {
        let peer = *self.order.front()?;
        let classes = self.waiting.get_mut(&peer)?;
        let class = classes.class();
        if !is_due(classes.queues[class].first_key_value()?.1) {
            return None;
        }
        _ = self.order.pop_front();
        let item = classes.queues[class].pop_first().map(|(_, item)| item);
        classes.next = 1 - class;
        match classes.is_empty() {
            true => _ = self.waiting.remove(&peer),
            false => self.order.push_back(peer),
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn peer(last: u8) -> Peer {
        Peer::from(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn addresses_take_turns_and_each_keeps_its_order() {
        let mut turns = RoundRobin::default();
        (0..4).for_each(|n| turns.push(peer(1), false, 0, n));
        (10..12).for_each(|n| turns.push(peer(2), false, 0, n));
        turns.push(Peer::default(), false, 0, 20);
        let order: Vec<_> = std::iter::from_fn(|| turns.pop()).collect();
        assert_eq!(order, [0, 10, 20, 1, 11, 2, 3]);
        assert!(turns.order.is_empty() && turns.waiting.is_empty());
    }

    #[test]
    fn an_address_has_no_more_turns_by_having_both_classes() {
        let mut turns = RoundRobin::default();
        (0..4).for_each(|n| turns.push(peer(1), false, 0, n));
        (10..14).for_each(|n| turns.push(peer(2), false, 0, n));
        (20..22).for_each(|n| turns.push(peer(1), true, 0, n));
        let order: Vec<_> = std::iter::from_fn(|| turns.pop()).collect();
        assert_eq!(order, [0, 10, 20, 11, 1, 12, 21, 13, 2, 3]);
    }

    #[test]
    fn items_of_a_lower_rank_come_first_within_their_address_and_class() {
        let mut turns = RoundRobin::default();
        [(7, 0), (5, 1), (7, 2), (5, 3)]
            .into_iter()
            .for_each(|(rank, n)| turns.push(peer(1), false, rank, n));
        turns.push(peer(1), true, 9, 4);
        turns.push(peer(2), false, 9, 5);
        let order: Vec<_> = std::iter::from_fn(|| turns.pop()).collect();
        assert_eq!(order, [1, 5, 4, 3, 0, 2]);
    }
}
