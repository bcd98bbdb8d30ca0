//! Tests how the state of a client learns of dropped replies.

#[path = "../../draw-client/src/completion/last_dropped.rs"]
mod last_dropped;

use super::explore;
use super::sync::spawn;
use last_dropped::{LastDropped, Left};
use loom::sync::{Mutex, MutexGuard};
use std::sync::Arc;

const CALLS: usize = 2;

/// A model of `Shared`, limited to failing calls whose reply is dropped. Calls are numbered from 1.
struct Client {
    last_dropped: LastDropped,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_dropped: [bool; CALLS],
    is_done: [bool; CALLS],
    has_result: [bool; CALLS],
    /// The number of times that each call was reported to the late errors.
    told: [u32; CALLS],
}

impl State {
    fn hear_dropped(&mut self, call: usize) {
        if self.is_done[call] {
            self.forget_result(call);
        } else {
            self.is_dropped[call] = true;
        }
    }

    fn forget_result(&mut self, call: usize) {
        self.told[call] += u32::from(std::mem::take(&mut self.has_result[call]));
    }
}

impl Client {
    fn new() -> Arc<Client> {
        Arc::new(Client { last_dropped: LastDropped::new(), state: Mutex::new(State::default()) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap();
        self.hear_dropped(&mut state);
        state
    }

    fn hear_dropped(&self, state: &mut State) {
        let number = self.last_dropped.take();
        if number != 0 {
            self.with_results(state, |state| state.hear_dropped(number as usize - 1));
        }
    }

    /// Takes results out with `take`, and records when the last one is gone.
    fn with_results(&self, state: &mut State, take: impl FnOnce(&mut State)) {
        let had_any = state.has_result.contains(&true);
        take(state);
        if had_any && !state.has_result.contains(&true) {
            self.last_dropped.set_results(false);
        }
    }

    fn drop_reply(&self, number: u64) {
        match self.last_dropped.leave(number) {
            Left::Nothing => {}
            Left::Lock => drop(self.lock()),
            Left::All => {
                let mut state = self.lock();
                self.with_results(&mut state, |state| state.hear_dropped(number as usize - 1));
            }
        }
    }

    /// Handles the display's report that a call has failed.
    fn handle_fault(&self, call: usize) {
        let mut state = self.lock();
        if state.is_dropped[call] {
            state.told[call] += 1;
        } else {
            state.has_result[call] = true;
        }
        state.is_done[call] = true;
        if state.has_result.contains(&true) {
            self.last_dropped.set_results(true);
            self.hear_dropped(&mut state);
        }
    }
}

#[test]
fn the_error_of_a_dropped_reply_is_told_once() {
    explore("two replies are dropped while their calls fail", 3, || {
        let client = Client::new();
        let droppers = [1, 2].map(|number| {
            let client = Arc::clone(&client);
            spawn(move || client.drop_reply(number))
        });
        client.handle_fault(0);
        client.handle_fault(1);
        droppers.into_iter().for_each(|dropper| dropper.join().unwrap());
        // Not `Client::lock`: no other thread ever records what was left.
        assert_eq!(client.state.lock().unwrap().told, [1, 1]);
        assert_eq!(client.last_dropped.take(), 0, "what was written down is not emptied");
    });
}

#[test]
fn a_reply_that_is_dropped_first_is_told_as_well() {
    explore("a reply is dropped, and one that comes later while both calls fail", 4, || {
        let client = Client::new();
        let failing = Arc::clone(&client);
        let driver = spawn(move || {
            failing.handle_fault(0);
            failing.handle_fault(1);
        });
        client.drop_reply(1);
        client.drop_reply(2);
        driver.join().unwrap();
        assert_eq!(client.state.lock().unwrap().told, [1, 1]);
        assert_eq!(client.last_dropped.take(), 0, "what was written down is not emptied");
    });
}
