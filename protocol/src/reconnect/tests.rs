use super::outage::{FIRST, LONGEST};
use super::*;
use crate::client::Ended;
use crate::fault::{Code, Fault};
use proptest::prelude::*;

/// A loss of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Loss(Kind);

impl Reason for Loss {
    fn kind(&self) -> Kind {
        self.0
    }

    fn timed_out() -> Loss {
        Loss(Kind::Network)
    }
}

const SECOND: Duration = Duration::from_secs(1);
const POLICY: Policy =
    Policy { window: Duration::from_secs(30), attempt: Duration::from_secs(5), accepts_loss: false };
const IDLE: Progress =
    Progress { applied: 5, is_busy: false, is_resumable: true, is_checked: false, is_needed: true };
const BUSY: Progress = Progress { is_busy: true, ..IDLE };

fn machine(policy: Policy, now: Instant) -> Reconnect<Loss> {
    Reconnect::new(policy, 7, now + policy.attempt, now)
}

/// Returns a machine that has dialed and waits for the answer to `hello`.
fn greeting(policy: Policy, now: Instant) -> Reconnect<Loss> {
    let mut machine = machine(policy, now);
    assert!(machine.poll_dial(now).is_some());
    machine.handle_dialed(now);
    machine
}

fn connected(policy: Policy, now: Instant) -> Reconnect<Loss> {
    let mut machine = greeting(policy, now);
    assert!(!machine.handle_connected(0, false, now), "no outage is over");
    machine
}

/// Starts the next attempt and returns the instant at which it was due.
fn next(machine: &mut Reconnect<Loss>) -> Instant {
    let Phase::Waiting(next) = machine.phase() else { panic!("{machine:?}") };
    assert_eq!(machine.poll_dial(next - Duration::from_nanos(1)), None, "it is not due yet");
    assert!(machine.poll_dial(next).is_some());
    assert_eq!(machine.poll_dial(next), None, "once for each attempt");
    next
}

/// Makes the next connection, with a greeting, and returns its instant.
fn come_back(machine: &mut Reconnect<Loss>, applied: u64) -> Instant {
    let at = next(machine);
    machine.handle_dialed(at);
    assert!(machine.handle_connected(applied, false, at));
    at
}

fn gone(machine: &Reconnect<Loss>) -> Option<Duration> {
    match machine.end()? {
        End::GaveUp { after, .. } => Some(*after),
        _ => None,
    }
}

#[test]
fn the_pauses_are_those_of_the_specification() {
    let text = include_str!("../../spec/hello.md");
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for pause in [
        format!("{} s at first, and then twice as long each time", outage::FIRST.as_secs_f64()),
        format!("up to {} s.", outage::LONGEST.as_secs()),
    ] {
        assert!(words.contains(&pause), "hello.md does not say: {pause}");
    }
}

#[test]
fn each_kind_of_loss_is_retried_or_final() {
    let fault = |code: &Code| Fault::new(code.clone(), "it");
    let goodbye = |code: &Code| Kind::of_goodbye(&fault(code));
    let refused = |code: &Code| Kind::from(&Ended::Refused(fault(code)));
    // The code, its kind in a goodbye, and its kind in the answer to `hello`.
    for (code, said, answered) in [
        (Code::ShuttingDown, Kind::Unavailable, Kind::Final),
        (Code::TooSlow, Kind::Unavailable, Kind::Unavailable),
        (Code::Corrupted, Kind::Corrupted, Kind::Final),
        (Code::Superseded, Kind::Overtaken, Kind::HelloOvertaken),
        (Code::Unconfirmed, Kind::Overtaken, Kind::HelloOvertaken),
        (Code::StateRegressed, Kind::Final, Kind::Regressed),
        (Code::Malformed, Kind::Final, Kind::Final),
        (Code::WindowClosed, Kind::Final, Kind::Final),
        (Code::UnsupportedVersion, Kind::Final, Kind::Final),
        (Code::NoJournal, Kind::Final, Kind::Final),
    ] {
        assert_eq!((goodbye(&code), refused(&code)), (said, answered), "{code}");
    }
    assert_eq!(Kind::from(&Ended::Corrupted(String::new())), Kind::Corrupted);
    assert_eq!(Kind::from(&Ended::Flooded(String::new())), Kind::Unavailable);
    assert_eq!(Kind::from(&Ended::Stranger(String::new())), Kind::Unavailable);
    assert_eq!(Kind::from(&Ended::Violation(String::new())), Kind::Final);
    // Whether another attempt is made: after a greeted connection, and before any was greeted, without and with checks.
    for (kind, later, first, first_checked) in [
        (Kind::Network, true, false, true),
        (Kind::Corrupted, true, false, true),
        (Kind::Overtaken, true, false, false),
        (Kind::HelloOvertaken, true, true, true),
        (Kind::Unavailable, true, false, false),
        (Kind::Regressed, false, false, false),
        (Kind::Final, false, false, false),
    ] {
        let now = Instant::now();
        for (mut machine, progress, retries) in [
            (connected(POLICY, now), IDLE, later),
            (greeting(POLICY, now), IDLE, first),
            (greeting(POLICY, now), Progress { is_checked: true, ..IDLE }, first_checked),
            // Without a session the client cannot continue, and if it is not needed it does not.
            (connected(POLICY, now), Progress { is_resumable: false, ..IDLE }, false),
            (connected(POLICY, now), Progress { is_needed: false, ..IDLE }, false),
            (connected(Policy { window: Duration::ZERO, ..POLICY }, now), IDLE, false),
        ] {
            machine.handle_lost(Loss(kind), progress, now);
            assert_eq!(machine.end().is_none(), retries, "{kind:?}: {machine:?}");
            assert_eq!(machine.outage().is_some(), retries);
            assert_eq!(machine.poll_retry().is_some_and(|retry| retry.is_loss), retries);
            assert!(retries || machine.end() == Some(&End::Final(Loss(kind))));
        }
    }
}

#[test]
fn a_regressed_display_is_returned_to_only_if_its_loss_is_accepted() {
    for accepts_loss in [false, true] {
        let now = Instant::now();
        let mut machine = connected(POLICY, now);
        machine.set_accepts_loss(accepts_loss);
        machine.handle_lost(Loss(Kind::Network), IDLE, now);
        let now = next(&mut machine);
        machine.handle_dialed(now);
        machine.handle_lost(Loss(Kind::Regressed), IDLE, now);
        assert_eq!(machine.end().is_none(), accepts_loss);
    }
}

#[test]
fn the_first_attempt_is_made_at_once_and_its_failure_is_final() {
    let now = Instant::now();
    let mut machine = machine(POLICY, now);
    assert_eq!(machine.poll_timeout(), Some(now));
    assert_eq!(machine.poll_dial(now), Some(now + POLICY.attempt));
    machine.handle_failed(Loss(Kind::Network), now);
    assert_eq!(machine.end(), Some(&End::Final(Loss(Kind::Network))));
}

#[test]
fn the_first_hello_is_sent_four_times_within_one_deadline() {
    let now = Instant::now();
    let corrupted = |machine: &mut Reconnect<Loss>, now| {
        machine.handle_lost(Loss(Kind::Corrupted), Progress { is_checked: true, ..IDLE }, now);
    };
    let mut machine = greeting(POLICY, now);
    let mut last = now;
    for _ in 1..limits::GREETINGS {
        corrupted(&mut machine, last);
        last = next(&mut machine);
        machine.handle_dialed(last);
        // All attempts share the deadline of the first.
        assert_eq!(machine.poll_timeout(), Some(now + POLICY.attempt));
    }
    corrupted(&mut machine, last);
    assert_eq!(machine.end(), Some(&End::Final(Loss(Kind::Corrupted))));

    let mut machine = greeting(POLICY, now);
    machine.handle_timeout(now + POLICY.attempt - Duration::from_nanos(1));
    assert_eq!(machine.end(), None);
    machine.handle_timeout(now + POLICY.attempt);
    assert_eq!(machine.end(), Some(&End::NeverConnected));
}

#[test]
fn the_pauses_double_up_to_five_seconds_and_vary_by_a_fifth() {
    let began = Instant::now();
    let pauses = |seed| {
        let policy = Policy { window: 3_600 * SECOND, ..POLICY };
        let mut machine = Reconnect::new(policy, seed, began + SECOND, began);
        assert!(machine.poll_dial(began).is_some());
        machine.handle_dialed(began);
        machine.handle_connected(0, false, began);
        machine.handle_lost(Loss(Kind::Network), IDLE, began);
        let mut now = began;
        let pauses: Vec<_> = (0..10)
            .map(|_| {
                let pause = next(&mut machine) - now;
                now += pause;
                machine.handle_failed(Loss(Kind::Network), now);
                pause.as_secs_f64()
            })
            .collect();
        pauses
    };
    for seed in 0..1_000 {
        let mut expected = FIRST.as_secs_f64();
        for pause in pauses(seed) {
            assert!((expected * 0.799..=expected * 1.201).contains(&pause), "{pause} for {expected}");
            expected = f64::min(2.0 * expected, LONGEST.as_secs_f64());
        }
    }
    assert_ne!(pauses(1), pauses(2));
}

#[test]
fn a_display_that_stays_away_is_given_up_when_the_window_is_over() {
    let began = Instant::now();
    let mut machine = connected(POLICY, began);
    machine.handle_lost(Loss(Kind::Unavailable), IDLE, began);
    let mut attempts = 0;
    while machine.end().is_none() {
        let now = machine.poll_timeout().expect("it waits for something");
        machine.handle_timeout(now);
        if machine.poll_dial(now).is_some() {
            attempts += 1;
            machine.handle_failed(Loss(Kind::Network), now);
        }
    }
    assert!((5..15).contains(&attempts), "{attempts} attempts in 30 s");
    assert_eq!(machine.end(), Some(&End::GaveUp { after: POLICY.window, last: Loss(Kind::Network) }));
    assert_eq!(machine.outage(), Some(&Loss(Kind::Network)), "what failed last is told");
}

#[test]
fn an_attempt_that_takes_too_long_is_followed_by_another() {
    let began = Instant::now();
    for is_dialed in [false, true] {
        let mut machine = connected(POLICY, began);
        machine.handle_lost(Loss(Kind::Unavailable), IDLE, began);
        let now = next(&mut machine);
        if is_dialed {
            machine.handle_dialed(now);
        }
        let until = now + POLICY.attempt;
        assert_eq!((machine.poll_timeout(), machine.has_connection()), (Some(until), is_dialed));
        machine.handle_timeout(until);
        assert!(!machine.has_connection());
        assert_eq!(machine.outage(), Some(&Loss::timed_out()));
        assert!(next(&mut machine) > until);
    }
    // If the end of the window interrupts an attempt, the reason of the attempt before it is reported.
    let mut machine = connected(Policy { window: SECOND, ..POLICY }, began);
    machine.handle_lost(Loss(Kind::Unavailable), IDLE, began);
    next(&mut machine);
    machine.handle_timeout(began + SECOND);
    assert_eq!(machine.end(), Some(&End::GaveUp { after: SECOND, last: Loss(Kind::Unavailable) }));
}

#[test]
fn a_connection_on_which_nothing_is_achieved_continues_the_outage() {
    let (hour, moment) = (3_600 * SECOND, SECOND / 10);
    let [network, corrupted, overtaken] = [Kind::Network, Kind::Corrupted, Kind::Overtaken];
    for (first, then, applied, is_busy, lasted, is_same) in [
        (network, network, 5, true, moment, true),
        (network, network, 5, false, moment, true),
        (network, network, 6, true, moment, false),
        (network, network, 6, false, moment, false),
        // The display accepts calls for an hour and executes none; or there are no calls.
        (network, network, 5, true, hour, true),
        (network, network, 5, false, hour, false),
        (corrupted, corrupted, 5, false, hour, true),
        (overtaken, overtaken, 5, false, hour, true),
        (corrupted, corrupted, 6, false, hour, false),
        (corrupted, network, 5, false, hour, false),
        (network, corrupted, 5, false, hour, false),
    ] {
        let began = Instant::now();
        let mut machine = connected(POLICY, began);
        machine.handle_lost(Loss(first), Progress { applied: 4, ..BUSY }, began);
        let resumed = come_back(&mut machine, 5);
        let now = resumed + lasted;
        machine.handle_lost(Loss(then), Progress { applied, is_busy, ..IDLE }, now);
        let Phase::Waiting(at) = machine.phase() else { panic!("{machine:?}") };
        assert_eq!(at - now > FIRST.mul_f64(1.2), is_same, "the pauses go on, or begin anew");
        // The remaining window does not include the time with a connection.
        let left = if is_same { POLICY.window - (resumed - began) } else { POLICY.window };
        let end = now + left;
        while machine.end().is_none() {
            let at = machine.poll_timeout().expect("it waits");
            assert!(at <= end);
            machine.handle_timeout(at);
            if machine.poll_dial(at).is_some() {
                machine.handle_failed(Loss(Kind::Network), at);
            }
        }
        assert_eq!(gone(&machine), Some(POLICY.window));
    }
}

#[test]
fn a_display_that_is_restarted_again_and_again_is_returned_to_at_once() {
    for is_restarted in [false, true] {
        let began = Instant::now();
        let mut machine = connected(POLICY, began);
        machine.handle_lost(Loss(Kind::Network), BUSY, began);
        let now = next(&mut machine);
        machine.handle_dialed(now);
        machine.handle_connected(5, is_restarted, now);
        machine.handle_lost(Loss(Kind::Network), BUSY, now);
        let Phase::Waiting(at) = machine.phase() else { panic!("{machine:?}") };
        assert_eq!(at - now <= FIRST.mul_f64(1.2), is_restarted, "{:?}", at - now);
    }
}

#[test]
fn a_session_that_is_taken_again_and_again_is_given_up_when_the_window_is_over() {
    let (mut now, mut connections) = (Instant::now(), 0);
    let mut machine = connected(POLICY, now);
    loop {
        // The connection is lost before any call is done.
        machine.handle_lost(Loss(Kind::Overtaken), IDLE, now);
        machine.handle_timeout(machine.poll_timeout().expect("it waits"));
        if machine.end().is_some() {
            break;
        }
        now = come_back(&mut machine, 5);
        connections += 1;
    }
    assert!((5..15).contains(&connections), "{connections} connections in 30 s");
}

#[test]
fn what_comes_too_late_changes_nothing() {
    let now = Instant::now();
    let mut machine = connected(POLICY, now);
    machine.handle_dialed(now);
    machine.handle_failed(Loss(Kind::Final), now);
    assert!(!machine.handle_connected(7, false, now));
    assert!(machine.is_connected() && machine.outage().is_none());
    machine.give_up(Loss(Kind::Final));
    machine.give_up(Loss(Kind::Network));
    machine.handle_lost(Loss(Kind::Network), BUSY, now);
    assert_eq!((machine.phase(), machine.end()), (Phase::Ended, Some(&End::Final(Loss(Kind::Final)))));
}

#[derive(Debug, Clone)]
enum Input {
    Dialed,
    Failed(Kind),
    Connected(u64, bool),
    Lost(Kind, Progress),
    Timeout,
    Dial,
    GiveUp,
    /// Moves the clock by this many milliseconds. `Sleep` moves it to the deadline.
    Pass(u64),
    Sleep,
}

fn inputs() -> impl Strategy<Value = Input> {
    let kind = || {
        prop_oneof![
            10 => Just(Kind::Network),
            10 => Just(Kind::Corrupted),
            10 => Just(Kind::Overtaken),
            10 => Just(Kind::HelloOvertaken),
            10 => Just(Kind::Unavailable),
            3 => Just(Kind::Regressed),
            1 => Just(Kind::Final),
        ]
    };
    let progress = (0..4u64, any::<[bool; 3]>()).prop_map(|(applied, [is_busy, is_checked, some])| {
        Progress { applied, is_busy, is_checked, is_resumable: some || is_busy, is_needed: true }
    });
    prop_oneof![
        80 => Just(Input::Dialed),
        60 => kind().prop_map(Input::Failed),
        80 => (0..4u64, any::<bool>()).prop_map(|(applied, restarted)| Input::Connected(applied, restarted)),
        80 => (kind(), progress).prop_map(|(kind, progress)| Input::Lost(kind, progress)),
        80 => Just(Input::Timeout),
        120 => Just(Input::Dial),
        1 => Just(Input::GiveUp),
        60 => (0..8_000u64).prop_map(Input::Pass),
        120 => Just(Input::Sleep),
    ]
}

proptest! {
    /// For every order of reports: a client that has neither ended nor is connected has a deadline; only one attempt is
    /// made at a time; an outage ends in time; and the end is final.
    #[test]
    fn it_always_waits_for_something_and_never_dials_twice(
        seed in any::<u64>(),
        window in prop::sample::select(vec![0, 1, 30]),
        accepts_loss in any::<bool>(),
        inputs in prop::collection::vec(inputs(), 0..300),
    ) {
        let mut now = Instant::now();
        let policy = Policy { window: window * SECOND, accepts_loss, ..POLICY };
        let mut machine = Reconnect::new(policy, seed, now + policy.attempt, now);
        let (mut is_dialing, mut ended) = (false, None);
        for input in inputs {
            let was_connected = machine.is_connected();
            match input {
                Input::Dialed => machine.handle_dialed(now),
                Input::Failed(kind) => machine.handle_failed(Loss(kind), now),
                Input::Connected(applied, is_restarted) => _ = machine.handle_connected(applied, is_restarted, now),
                Input::Lost(kind, progress) => machine.handle_lost(Loss(kind), progress, now),
                Input::Timeout => machine.handle_timeout(now),
                Input::Dial => {
                    if let Some(until) = machine.poll_dial(now) {
                        prop_assert!(!is_dialing, "two attempts at once");
                        prop_assert!(until > now && until <= now + policy.attempt);
                        prop_assert_eq!(machine.phase(), Phase::Dialing(until));
                    }
                }
                Input::GiveUp => machine.give_up(Loss(Kind::Final)),
                Input::Pass(milliseconds) => now += Duration::from_millis(milliseconds),
                Input::Sleep => now = machine.poll_timeout().map_or(now, |at| at.max(now)),
            }
            is_dialing = matches!(machine.phase(), Phase::Dialing(_));
            match machine.phase() {
                Phase::Connected => prop_assert!(machine.poll_timeout().is_none() && machine.outage().is_none()),
                Phase::Ended => {
                    let end = machine.end().cloned();
                    prop_assert!(end.is_some() && machine.poll_timeout().is_none());
                    prop_assert_eq!(ended.get_or_insert(end.clone()), &end, "the end is for good");
                    prop_assert_eq!(machine.poll_dial(now), None);
                }
                _ => {
                    prop_assert!(machine.poll_timeout().is_some(), "it waits for nothing: {:?}", machine);
                    prop_assert!(!was_connected || machine.outage().is_some());
                }
            }
            prop_assert_eq!(machine.end().is_some(), machine.phase() == Phase::Ended);
        }
        // If every attempt fails, the machine ends in time.
        let began = now;
        machine.handle_lost(Loss(Kind::Network), BUSY, now);
        for step in 0.. {
            if machine.end().is_some() {
                break;
            }
            prop_assert!(step < 1_000, "it goes on for ever: {:?}", machine);
            now = machine.poll_timeout().expect("it is not connected").max(now);
            machine.handle_timeout(now);
            if machine.poll_dial(now).is_some() {
                machine.handle_failed(Loss(Kind::Network), now);
            }
        }
        prop_assert!(now <= began + policy.window + policy.attempt);
    }
}
