use super::*;
use tokio::task::yield_now;

const PART: usize = OWN + limits::READ;

#[tokio::test]
async fn what_is_small_never_waits_and_what_is_large_waits_in_order() {
    let budget = Budget::with(3 * PART + (100 << 10), 3, 0);
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

    let budget = Budget::with(2 * PART + (10 << 10), 2, 0);
    let (mut a, mut b) = (budget.share(), budget.share());
    assert!(a.try_cover(1 << 40) && !b.try_cover(1 << 40));
    a.shrink(0);
    assert!(b.try_cover(1 << 40) && !b.try_cover_all(1 << 40));
}

/// Returns a budget where connections share `kib` KiB, in addition to the band of each.
fn shared(kib: usize, connections: usize) -> Budget {
    Budget::with(connections * (PART + OWN_BAND) + (kib << 10), connections, 0)
}

#[tokio::test]
async fn each_that_comes_while_there_is_room_has_a_band_of_its_own_whatever_others_take() {
    let budget = shared(100, 2);
    let (mut early, mut hog) = (budget.share(), budget.share());
    assert!(hog.try_cover(OWN + OWN_BAND + (70 << 10)));
    let mut late = budget.share();
    assert!(early.try_cover(growth(2 * limits::IDLE_BUFFER) + limits::BAND));
    assert!(late.try_cover(OWN) && !late.try_cover(OWN + OWN_BAND));
    // It gets the band as soon as there is room.
    drop(early);
    assert!(late.try_cover(OWN + OWN_BAND));
}

#[tokio::test]
async fn a_part_is_for_those_that_have_proven_to_read() {
    let budget = shared(1 << 10, 3);
    let [mut hog, mut fresh, mut proven] = [(); 3].map(|()| budget.share());
    proven.sent(limits::PROVEN as usize, clock::now());
    let own = OWN + OWN_BAND;
    assert!(hog.try_cover(own + (700 << 10)));
    assert!(!fresh.try_cover(own + (200 << 10)) && proven.try_cover(own + (200 << 10)));
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_get_on_is_cut_for_one_that_waits_and_not_before() {
    let budget = shared(1 << 10, 3);
    let [mut slow, mut stuck, mut waiting] = [(); 3].map(|()| budget.share());
    let own = OWN + OWN_BAND;
    assert!(slow.try_cover(own + (100 << 10)) && stuck.try_cover(own + (600 << 10)));
    let is_cut = |share: &Share| share.poll_cut(&Context::from_waker(std::task::Waker::noop())).is_ready();
    budget.pool().reclaim(stuck.id, u64::MAX);
    assert!(!is_cut(&slow) && !is_cut(&stuck), "nobody waits");

    let mut cover = std::pin::pin!(std::future::poll_fn(|cx| waiting.poll_cover(cx, own + (300 << 10))));
    tokio::select! { biased; () = &mut cover => panic!("there was no room"), () = yield_now() => {} }
    let (id, limit) = (3, budget.millis(clock::now()) + limits::RECLAIM.as_millis() as u64);
    budget.pool().reclaim(id, limit - 500);
    assert!(!is_cut(&stuck), "it has only just begun");
    slow.received(limits::MESSAGE_RATE as usize, clock::now() + limits::RECLAIM);
    budget.pool().reclaim(id, limit + 500);
    assert!(is_cut(&stuck) && !is_cut(&slow), "one gets on, and the other is enough");
    drop(stuck);
    cover.await;
}

#[tokio::test]
async fn one_that_wants_little_goes_before_one_that_wants_much_and_came_at_the_same_time() {
    let budget = shared(8 << 10, 3);
    let [mut hog, mut large, mut small] = [(); 3].map(|()| budget.share());
    let own = OWN + OWN_BAND;
    assert!(hog.try_cover(own + (6000 << 10)));
    let mut much = Box::pin(std::future::poll_fn(move |cx| large.poll_cover(cx, own + (4000 << 10))));
    tokio::select! { biased; () = &mut much => panic!("there was no room"), () = yield_now() => {} }
    let little = std::future::poll_fn(move |cx| small.poll_cover(cx, own + (600 << 10)));
    let mut little = Box::pin(little);
    tokio::select! { biased; () = &mut little => panic!("there was no room"), () = yield_now() => {} }
    hog.shrink(own + (5500 << 10));
    little.await;
    drop(hog);
    much.await;
}

/// Waits briefly for `bytes`, and returns `true` if they were granted.
async fn is_covered(share: &mut Share, bytes: usize) -> bool {
    let cover = std::future::poll_fn(|cx| share.poll_cover(cx, bytes));
    tokio::select! { biased; () = cover => true, () = yield_now() => false }
}

#[tokio::test(start_paused = true)]
async fn those_in_the_middle_of_long_messages_end_one_after_the_other_and_none_is_cut_for_it() {
    let (connections, message) = (24, 16 << 10 << 10);
    let memory = connections * (PART + OWN_BAND) + (100 << 20);
    let budget = Budget::with(memory, connections, message);
    let mut shares: Vec<_> = (0..connections).map(|_| budget.share()).collect();
    // All shares grow, as their messages arrive, until none gets what it needs.
    let mut sizes = vec![512 << 10; connections];
    let mut ended = 0;
    for _ in 0..20 * connections {
        for (share, size) in shares.iter_mut().zip(&mut sizes) {
            if *size < message && is_covered(share, OWN + OWN_BAND + 2 * *size).await {
                *size *= 2;
            }
            if *size == message {
                share.shrink(0);
                (*size, ended) = (usize::MAX, ended + 1);
            }
        }
    }
    assert_eq!(ended, connections);
    let cx = Context::from_waker(std::task::Waker::noop());
    assert!(shares.iter().all(|share| share.poll_cut(&cx).is_pending()));
}

#[tokio::test(start_paused = true)]
async fn as_many_as_it_takes_are_cut_at_once_when_all_that_hold_some_wait_for_each_other() {
    let budget = shared(4 << 10, 5);
    let own = OWN + OWN_BAND;
    let mut shares: Vec<_> = (0..5).map(|_| budget.share()).collect();
    assert!(shares.iter_mut().all(|share| share.try_cover(own + (600 << 10))));
    for share in &mut shares {
        assert!(!is_covered(share, own + (2400 << 10)).await);
        share.set_waits_for(WaitsFor::Memory, clock::now());
    }
    let cut = |shares: &[Share]| {
        let cx = Context::from_waker(std::task::Waker::noop());
        shares.iter().filter(|share| share.poll_cut(&cx).is_ready()).count()
    };
    let limit = budget.millis(clock::now()) + 2 * limits::RECLAIM.as_millis() as u64;
    budget.pool().reclaim(shares[0].id, limit - 500);
    assert_eq!(cut(&shares), 0, "they have only just begun to wait");
    budget.pool().reclaim(shares[0].id, limit + 500);
    assert_eq!(cut(&shares), 3, "1800 KiB of three are what the first lacks");
    shares.retain(|share| share.poll_cut(&Context::from_waker(std::task::Waker::noop())).is_pending());
    assert!(is_covered(&mut shares[0], own + (2400 << 10)).await);
}
