use super::*;
use std::time::Duration;

/// The places of a display, with clients that are numbers and have all spoken, and a clock that only tests move.
struct World {
    admission: Admission<u32>,
    now: Instant,
    came: u32,
}

type Seated = (AbortHandle, Arc<Seat>);

impl World {
    fn new(places: usize) -> World {
        World { admission: Admission::new(places), now: Instant::now(), came: 0 }
    }

    /// One comes and is to be given a place, which it has used to speak if `has_spoken`.
    fn seated(&mut self, address: [u8; 4], has_spoken: bool) -> Seated {
        let client = self.come(address);
        let Some(Next::Admit(admitted, origin)) = self.next() else { panic!("there is a place") };
        assert_eq!(admitted, client);
        let (task, seat) = (tokio::spawn(std::future::pending::<()>()), Arc::new(Seat::new(self.now)));
        seat.touch(has_spoken, self.now);
        self.admission.seat(task.abort_handle(), origin, seat.clone(), self.now);
        (task.abort_handle(), seat)
    }

    fn come(&mut self, address: [u8; 4]) -> u32 {
        self.came += 1;
        self.admission.come(self.came, address.into(), self.now);
        self.came
    }

    fn next(&mut self) -> Option<Next<u32>> {
        self.admission.next(self.now, |_| true)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// Gives the place of `holder`, which was told to go, to the one that waits.
    async fn gives_place_to(&mut self, holder: &Seated, newcomer: u32) {
        assert_eq!(self.next(), None, "it is not gone yet");
        while !holder.0.is_finished() {
            tokio::task::yield_now().await;
        }
        assert!(self.admission.free(holder.0.id()));
        assert!(matches!(self.next(), Some(Next::Admit(client, _)) if client == newcomer));
    }
}

const HERE: [u8; 4] = [10, 0, 0, 1];
const THERE: [u8; 4] = [10, 0, 0, 2];

#[tokio::test]
async fn who_has_been_silent_for_a_while_goes_first_of_the_address_that_has_the_most() {
    let mut world = World::new(4);
    let _other = world.seated(THERE, false);
    let _speaker = world.seated(HERE, true);
    let first = world.seated(HERE, false);
    world.pass(Duration::from_millis(1));
    let _second = world.seated(HERE, false);
    let newcomer = world.come(HERE);
    assert_eq!(world.next(), None, "all of them have only just come");
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
    let newcomer = world.come(HERE);
    world.gives_place_to(&leaving, newcomer).await;
}

#[tokio::test]
async fn an_address_with_more_than_half_gives_idle_places_to_another_and_not_to_itself() {
    let mut world = World::new(3);
    let _guest = world.seated(THERE, true);
    let busy = world.seated(HERE, true);
    let _idle = world.seated(HERE, true);
    world.pass(limits::IDLE);
    busy.1.touch(true, world.now);
    let same = world.come(HERE);
    assert_eq!(world.next(), None);
    world.pass(limits::WAITING_TIME);
    assert_eq!(world.next(), Some(Next::TurnAway(same)));
    let other = world.come(THERE);
    busy.1.touch(true, world.now);
    let idle = _idle;
    world.gives_place_to(&idle, other).await;
}

#[tokio::test]
async fn a_crowd_that_waits_and_says_nothing_makes_room_for_the_next() {
    let mut world = World::new(1);
    let _inside = world.seated(HERE, true);
    for _ in 0..limits::WAITING {
        world.come(HERE);
    }
    assert!(!world.admission.has_room_to_wait());
    let silent = |world: &mut World| world.admission.next(world.now, |_| false);
    assert_eq!(silent(&mut world), None);
    world.pass(limits::WAITING_SILENT);
    assert_eq!(silent(&mut world), Some(Next::Drop(2)), "1 is inside");
    assert_eq!(silent(&mut world), None, "there is room for one more");
}

#[tokio::test]
async fn a_crowd_that_asks_for_places_is_told_at_once_that_there_are_none() {
    let mut world = World::new(1);
    let _inside = world.seated(HERE, true);
    for _ in 0..limits::WAITING {
        world.come(HERE);
    }
    assert_eq!(world.next(), Some(Next::TurnAway(2)));
    assert_eq!(world.next(), None);
}

#[test]
fn a_network_of_version_6_is_one_origin_and_mapped_addresses_are_those_of_version_4() {
    let origin = |text: &str| Origin::from(text.parse::<IpAddr>().expect("an address"));
    assert_eq!(origin("2001:db8:1:2::1"), origin("2001:db8:1:2:ffff::9"));
    assert_ne!(origin("2001:db8:1:2::1"), origin("2001:db8:1:3::1"));
    assert_eq!(origin("::ffff:10.0.0.1"), origin("10.0.0.1"));
}
