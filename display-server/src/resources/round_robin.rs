//! A queue that serves addresses in turn, so that an address with a thousand connections gets no more turns than one
//! with a single connection.

use draw_protocol::session::Peer;
use std::collections::{HashMap, VecDeque};

/// Waiting items, by address and by class. Addresses take turns, and so do the two classes of an address. Items of the
/// same address and class keep their order.
#[derive(Debug)]
pub(crate) struct RoundRobin<T> {
    waiting: HashMap<Peer, Classes<T>>,
    /// Each address that has a waiting item, once.
    order: VecDeque<Peer>,
}

/// The items of one address.
#[derive(Debug)]
struct Classes<T> {
    queues: [VecDeque<T>; 2],
    /// The class whose turn it is.
    next: usize,
}

impl<T> Classes<T> {
    fn is_empty(&self) -> bool {
        self.queues.iter().all(VecDeque::is_empty)
    }

    /// Returns the class of the next item: the class whose turn it is, or the other one if that has no items.
    fn class(&self) -> usize {
        if self.queues[self.next].is_empty() { 1 - self.next } else { self.next }
    }
}

impl<T> Default for Classes<T> {
    fn default() -> Classes<T> {
        Classes { queues: [VecDeque::new(), VecDeque::new()], next: 0 }
    }
}

impl<T> Default for RoundRobin<T> {
    fn default() -> RoundRobin<T> {
        RoundRobin { waiting: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T> RoundRobin<T> {
    /// Adds an item of one of two classes. A queue with one class always passes the same value.
    pub(crate) fn push(&mut self, peer: Peer, class: bool, item: T) {
        let classes = self.waiting.entry(peer).or_default();
        if classes.is_empty() {
            self.order.push_back(peer);
        }
        classes.queues[usize::from(class)].push_back(item);
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
        if !is_due(classes.queues[class].front()?) {
            return None;
        }
        _ = self.order.pop_front();
        let item = classes.queues[class].pop_front();
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
        (0..4).for_each(|n| turns.push(peer(1), false, n));
        (10..12).for_each(|n| turns.push(peer(2), false, n));
        turns.push(Peer::default(), false, 20);
        let order: Vec<_> = std::iter::from_fn(|| turns.pop()).collect();
        assert_eq!(order, [0, 10, 20, 1, 11, 2, 3]);
        assert!(turns.order.is_empty() && turns.waiting.is_empty());
    }

    #[test]
    fn an_address_has_no_more_turns_by_having_both_classes() {
        let mut turns = RoundRobin::default();
        (0..4).for_each(|n| turns.push(peer(1), false, n));
        (10..14).for_each(|n| turns.push(peer(2), false, n));
        (20..22).for_each(|n| turns.push(peer(1), true, n));
        let order: Vec<_> = std::iter::from_fn(|| turns.pop()).collect();
        assert_eq!(order, [0, 10, 20, 11, 1, 12, 21, 13, 2, 3]);
    }
}
