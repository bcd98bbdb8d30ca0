//! Tests how a connection learns that another one wants its session.

#[path = "../../display-server/src/sessions/holder.rs"]
mod holder;

use super::explore;
use super::sync::spawn;
use holder::Holder;
use loom::future::block_on;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

#[test]
fn whoever_has_a_session_hears_that_it_is_wanted() {
    explore("two want a session", 3, || {
        let holder = Arc::new(Holder::default());
        let others = [(); 2].map(|()| {
            let holder = Arc::clone(&holder);
            spawn(move || holder.want())
        });
        // If it is never woken, this does not end, and loom reports that.
        block_on(poll_fn(|cx| if holder.is_wanted(cx) { Poll::Ready(()) } else { Poll::Pending }));
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}
