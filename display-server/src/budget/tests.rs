use super::*;
use tokio::task::yield_now;

const PART: usize = OWN + limits::READ;

#[tokio::test]
async fn what_is_small_never_waits_and_what_is_large_waits_in_order() {
    let budget = Budget::new(3 * PART + (100 << 10), 3);
    let [mut a, mut b, mut c] = [(); 3].map(|()| budget.share());
    assert!(a.try_cover(OWN + (60 << 10)) && !b.try_cover(OWN + (60 << 10)));
    assert!(c.try_cover(OWN), "its own part is always there");

    let mut waits = Box::pin(std::future::poll_fn(move |cx| b.poll_cover(cx, OWN + (60 << 10))));
    tokio::select! { biased; () = &mut waits => panic!("there was no room"), () = yield_now() => {} }
    assert!(!c.try_cover(OWN + (30 << 10)), "what is left is promised to the one who waits");
    a.shrink(OWN);
    waits.await;
}

#[tokio::test]
async fn more_than_there_is_is_granted_to_one_alone() {
    let budget = Budget::new(0, 2);
    let mut share = budget.share();
    std::future::poll_fn(|cx| share.poll_cover(cx, 1 << 40)).await;
    assert!(!share.try_cover_all(1 << 40));

    let budget = Budget::new(2 * PART + (10 << 10), 2);
    let (mut a, mut b) = (budget.share(), budget.share());
    assert!(a.try_cover(1 << 40) && !b.try_cover(1 << 40));
    a.shrink(0);
    assert!(b.try_cover(1 << 40) && !b.try_cover_all(1 << 40));
}
