use super::*;
use std::net::IpAddr;
use std::time::Duration;

/// The places of a display, with clients that are numbers and have all sent something, and a clock that only tests
/// advance.
struct World {
    admission: Admission<u32>,
    now: Instant,
    came: u32,
}

type Seated = (AbortHandle, Arc<Slot>);

impl World {
    fn new(places: usize) -> World {
        let now = Instant::now();
        World { admission: Admission::new(places, now), now, came: 0 }
    }

    /// Admits a new client. It has used its place to send something if `has_spoken`.
    fn seated(&mut self, address: [u8; 4], has_spoken: bool) -> Seated {
        let client = self.enqueue(address);
        let Some(Decision::Admit(admitted, peer)) = self.next() else { panic!("there is a place") };
        assert_eq!(admitted, client);
        self.occupy(peer, has_spoken)
    }

    fn occupy(&mut self, peer: Peer, has_spoken: bool) -> Seated {
        let (task, slot) = (tokio::spawn(std::future::pending::<()>()), Arc::new(Slot::of(peer, self.now)));
        slot.touch(has_spoken, self.now);
        self.admission.occupy(task.abort_handle(), slot.clone(), self.now);
        (task.abort_handle(), slot)
    }

    fn enqueue(&mut self, address: [u8; 4]) -> u32 {
        self.came += 1;
        self.admission.enqueue(self.came, IpAddr::from(address).into(), self.now);
        self.came
    }

    fn next(&mut self) -> Option<Decision<u32>> {
        self.admission.next(self.now, |_| true)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// Gives the place of `holder`, which was evicted, to the waiting client.
    async fn gives_place_to(&mut self, holder: &Seated, newcomer: u32) {
        assert_eq!(self.next(), None, "it is not gone yet");
        let is_evicted = self.admission.occupants.get(&holder.0.id()).is_some_and(|holder| holder.is_evicted);
        assert!(is_evicted, "it was told to go");
        while !holder.0.is_finished() {
            tokio::task::yield_now().await;
        }
        assert!(self.admission.free(holder.0.id()));
        let Some(Decision::Admit(client, peer)) = self.next() else { panic!("there is a place") };
        assert_eq!(client, newcomer);
        self.occupy(peer, true);
    }
}

const HERE: [u8; 4] = [10, 0, 0, 1];
const THERE: [u8; 4] = [10, 0, 0, 2];
const ELSEWHERE: [u8; 4] = [10, 0, 0, 3];

#[tokio::test]
async fn who_has_been_silent_for_a_while_goes_first_of_the_address_that_has_the_most() {
    let mut world = World::new(4);
    let _other = world.seated(THERE, false);
    let _speaker = world.seated(HERE, true);
    let first = world.seated(HERE, false);
    world.pass(Duration::from_millis(1));
    let _second = world.seated(HERE, false);
    let newcomer = world.enqueue(HERE);
    assert_eq!(world.next(), None, "all of them have only just enqueue");
    assert!(!first.0.is_finished());
    world.pass(limits::SILENT);
    world.gives_place_to(&first, newcomer).await;
}

#[tokio::test]
async fn who_is_on_its_way_out_goes_before_anybody_else() {
    let mut world = World::new(2);
    let (_silent, leaving) = (world.seated(HERE, false), world.seated(HERE, true));
    world.pass(limits::SILENT);
    leaving.1.leave();
    let newcomer = world.enqueue(HERE);
    world.gives_place_to(&leaving, newcomer).await;
}

#[tokio::test]
async fn an_address_with_more_than_half_gives_idle_places_to_another_and_not_to_itself() {
    let mut world = World::new(3);
    let _guest = world.seated(THERE, true);
    let busy = world.seated(HERE, true);
    let idle = world.seated(HERE, true);
    world.pass(limits::IDLE);
    busy.1.touch(true, world.now);
    let same = world.enqueue(HERE);
    assert_eq!(world.next(), None);
    world.pass(limits::WAITING_TIME);
    assert_eq!(world.next(), Some(Decision::TurnAway(same)));
    let other = world.enqueue(THERE);
    busy.1.touch(true, world.now);
    world.gives_place_to(&idle, other).await;
}

#[tokio::test]
async fn a_crowd_that_waits_and_says_nothing_makes_room_for_the_next() {
    let mut world = World::new(1);
    let _inside = world.seated(HERE, true);
    for _ in 0..limits::WAITING {
        world.enqueue(HERE);
    }
    assert!(!world.admission.has_room_to_wait());
    let silent = |world: &mut World| world.admission.next(world.now, |_| false);
    assert_eq!(silent(&mut world), None);
    world.pass(limits::WAITING_SILENT);
    assert_eq!(silent(&mut world), Some(Decision::Drop(2)), "1 is inside");
    assert_eq!(silent(&mut world), None, "there is room for one more");
}

#[tokio::test]
async fn a_crowd_that_asks_for_places_is_told_at_once_that_there_are_none() {
    let mut world = World::new(1);
    let _inside = world.seated(HERE, true);
    for _ in 0..limits::WAITING {
        world.enqueue(HERE);
    }
    assert_eq!(world.next(), Some(Decision::TurnAway(2)));
    assert_eq!(world.next(), None);
}

#[tokio::test]
async fn idle_places_of_addresses_with_half_each_are_for_a_third_until_it_has_its_part() {
    let mut world = World::new(8);
    let occupants: Vec<_> = (0..8).map(|n| world.seated(if n < 4 { HERE } else { THERE }, true)).collect();
    world.pass(limits::IDLE);
    let [first, idle, rest @ ..] = &occupants[..] else { panic!("there are eight") };
    rest.iter().chain([first]).for_each(|holder| holder.1.touch(true, world.now));
    let newcomer = world.enqueue(ELSEWHERE);
    world.gives_place_to(idle, newcomer).await;
    // The address has a place, and no other address has more than twice what this one would have with another.
    world.pass(limits::IDLE);
    let second = world.enqueue(ELSEWHERE);
    assert_eq!(world.next(), None);
    world.pass(limits::WAITING_TIME);
    assert_eq!(world.next(), Some(Decision::TurnAway(second)));
    assert_eq!(occupants.iter().filter(|holder| holder.0.is_finished()).count(), 1);
}

#[tokio::test]
async fn a_newcomer_of_a_crowded_address_is_not_in_the_way_of_another_s() {
    let mut world = World::new(3);
    let _inside = [HERE, HERE].map(|address| world.seated(address, true));
    world.pass(Duration::from_millis(1));
    let last = world.seated(HERE, true);
    world.pass(limits::IDLE);
    _inside.iter().for_each(|holder| holder.1.touch(true, world.now));
    let _same = world.enqueue(HERE);
    let other = world.enqueue(THERE);
    world.gives_place_to(&last, other).await;
}

#[tokio::test]
async fn a_flood_of_newcomers_for_whom_there_is_nobody_to_go_is_looked_after_now_and_then() {
    let mut world = World::new(1);
    let inside = world.seated(HERE, true);
    let waiting = world.enqueue(HERE);
    assert_eq!(world.next(), None);
    inside.1.leave();
    assert_eq!(world.next(), None, "it was rechecked a moment ago");
    world.pass(Duration::from_millis(1));
    assert!(!world.admission.occupants.values().any(|holder| holder.is_evicted));
    world.pass(RECHECK);
    world.gives_place_to(&inside, waiting).await;
}
