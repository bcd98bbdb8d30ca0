use super::*;

const WINDOW: u64 = limits::SESSION_WINDOW;

/// Returns a filter that has executed `applied` requests, `ack` of them acknowledged. The digest of each is its number.
fn filter(ack: u64, applied: u64) -> Filter {
    let mut filter = Filter::new(0);
    for number in 1..=applied {
        execute(&mut filter, number);
    }
    filter.tell();
    filter.acknowledge(ack).unwrap();
    filter
}

fn execute(filter: &mut Filter, number: u64) {
    assert_eq!(filter.handle_request(number, number), Ok(Verdict::Execute));
    filter.executed();
}

#[test]
fn every_number_has_its_verdict() {
    let verdict = |number| filter(3, 7).handle_request(number, number);
    for number in 0..=3 {
        assert_eq!(verdict(number), Ok(Verdict::Stale), "{number}");
    }
    for number in 4..=7 {
        assert_eq!(verdict(number), Ok(Verdict::Again), "{number}");
    }
    assert_eq!(verdict(8), Ok(Verdict::Execute));
    assert_eq!(verdict(9), Err(Misuse::Gap { number: 9, expected: 8 }));
    assert_eq!(verdict(3 + WINDOW), Err(Misuse::Gap { number: 3 + WINDOW, expected: 8 }));
    assert_eq!(verdict(4 + WINDOW), Err(Misuse::Window { number: 4 + WINDOW, ack: 3 }));
    assert_eq!(verdict(u64::MAX), Err(Misuse::Window { number: u64::MAX, ack: 3 }));
}

#[test]
fn a_request_that_is_being_executed_is_waited_for() {
    let mut filter = filter(3, 7);
    assert_eq!(filter.handle_request(8, 80), Ok(Verdict::Execute));
    assert_eq!((filter.applied(), filter.handle_request(8, 80)), (7, Ok(Verdict::Attach)));
    assert_eq!(filter.handle_request(8, 81), Err(Misuse::Reuse { number: 8 }));
    assert_eq!(filter.handle_request(7, 7), Ok(Verdict::Again));
    assert_eq!(filter.handle_request(9, 9), Err(Misuse::Gap { number: 9, expected: 9 }));
    filter.executed();
    assert_eq!((filter.applied(), filter.handle_request(8, 80)), (8, Ok(Verdict::Again)));
    assert_eq!(filter.handle_request(9, 9), Ok(Verdict::Execute));
}

#[test]
fn other_contents_are_seen_until_they_are_acknowledged() {
    let mut filter = filter(3, 7);
    assert_eq!(filter.handle_request(3, 99), Ok(Verdict::Stale));
    for number in 4..=7 {
        assert_eq!(filter.handle_request(number, 99), Err(Misuse::Reuse { number }));
    }
    filter.acknowledge(7).unwrap();
    assert_eq!(filter.handle_request(7, 99), Ok(Verdict::Stale));
}

#[test]
fn what_is_interrupted_comes_again() {
    let mut filter = filter(3, 7);
    filter.interrupt();
    assert_eq!(filter, self::filter(3, 7), "nothing was being executed");
    assert_eq!(filter.handle_request(8, 80), Ok(Verdict::Execute));
    filter.interrupt();
    assert_eq!(filter, self::filter(3, 7));
    // The request was not executed, so its contents may differ.
    assert_eq!(filter.handle_request(8, 81), Ok(Verdict::Execute));
    filter.executed();
    assert_eq!(filter.handle_request(8, 81), Ok(Verdict::Again));
    assert_eq!(filter.handle_request(8, 80), Err(Misuse::Reuse { number: 8 }));
}

#[test]
fn only_what_was_told_is_acknowledged() {
    let mut filter = Filter::new(0);
    (1..=5).for_each(|number| execute(&mut filter, number));
    assert_eq!(filter.acknowledge(1), Err(Misuse::Ack { ack: 1, told: 0 }));
    filter.tell();
    execute(&mut filter, 6);
    assert_eq!(filter.acknowledge(6), Err(Misuse::Ack { ack: 6, told: 5 }));
    assert_eq!((filter.acknowledge(4), filter.ack()), (Ok(()), 4));
    assert_eq!((filter.acknowledge(2), filter.ack()), (Ok(()), 4), "an old one means nothing");
    assert_eq!((filter.acknowledge(5), filter.ack()), (Ok(()), 5));
    assert_eq!(filter.handle_request(5, 5), Ok(Verdict::Stale));
    assert_eq!(filter.handle_request(6, 6), Ok(Verdict::Again));
}

#[test]
fn the_window_is_full_to_its_last_request_and_its_memory_is_given_back() {
    let mut filter = Filter::new(0);
    (1..=WINDOW).for_each(|number| execute(&mut filter, number));
    let next = WINDOW + 1;
    assert_eq!(filter.handle_request(next, 0), Err(Misuse::Window { number: next, ack: 0 }));
    assert!(filter.memory() <= (2 * WINDOW as usize * 8) + 256, "{}", filter.memory());
    filter.tell();
    filter.acknowledge(1).unwrap();
    execute(&mut filter, next);
    assert_eq!(filter.handle_request(next + 1, 0), Err(Misuse::Window { number: next + 1, ack: 1 }));
    filter.tell();
    filter.acknowledge(next).unwrap();
    assert!(filter.memory() <= 1_024 * 8 + 256, "{}", filter.memory());
}

#[test]
fn memory_is_given_back_once_little_of_it_is_used_and_not_with_each_acknowledgement() {
    let acknowledged = |applied, left| {
        let mut filter = filter(0, applied);
        let before = filter.memory();
        filter.acknowledge(applied - left).unwrap();
        (before, filter.memory())
    };
    // A quarter of the capacity in use is kept; with less, twice the used memory remains.
    let (before, after) = acknowledged(4_096, 1_024);
    assert_eq!(before, after);
    let (before, after) = acknowledged(4_096, 1_023);
    assert_eq!(before - after, (4_096 - 2 * 1_023) * 8);
    // A small capacity is never freed.
    let (before, after) = acknowledged(1_024, 1);
    assert_eq!(before, after);
}

#[test]
fn a_request_from_a_journal_is_known_by_its_contents_and_those_before_it_by_their_numbers() {
    let mut filter = filter(3, 7);
    filter.replay(10, 100);
    assert_eq!((filter.ack(), filter.applied()), (3, 10));
    assert_eq!(filter.handle_request(7, 7), Ok(Verdict::Again));
    assert_eq!(filter.handle_request(7, 99), Err(Misuse::Reuse { number: 7 }));
    for number in [8, 9] {
        assert_eq!(filter.handle_request(number, 99), Ok(Verdict::Again), "{number} may have been anything");
    }
    assert_eq!(filter.handle_request(10, 100), Ok(Verdict::Again));
    assert_eq!(filter.handle_request(10, 99), Err(Misuse::Reuse { number: 10 }));
    // Every request in a journal may have been reported to the client.
    assert_eq!(filter.acknowledge(10), Ok(()));
    execute(&mut filter, 11);
}

#[test]
fn a_request_that_is_retracted_is_executed_once_more_and_cannot_be_acknowledged_before() {
    let mut filter = filter(3, 7);
    filter.retract(5);
    assert_eq!((filter.ack(), filter.applied()), (3, 5));
    assert_eq!(filter.acknowledge(6), Err(Misuse::Ack { ack: 6, told: 5 }));
    assert_eq!(filter.handle_request(5, 5), Ok(Verdict::Again));
    assert_eq!(filter.handle_request(7, 7), Err(Misuse::Gap { number: 7, expected: 6 }));
    // The request was not executed, so its contents may differ.
    assert_eq!(filter.handle_request(6, 60), Ok(Verdict::Execute));
    filter.executed();
    assert_eq!(filter.handle_request(6, 60), Ok(Verdict::Again));
    assert_eq!(filter.handle_request(6, 6), Err(Misuse::Reuse { number: 6 }));
}

/// The filter as specified, with a table of all requests.
#[derive(Default)]
struct Table {
    digests: Vec<u64>,
    told: u64,
    ack: u64,
}

impl Table {
    fn verdict(&self, number: u64, digest: u64) -> Result<Verdict, Misuse> {
        let applied = self.digests.len() as u64;
        match number {
            _ if number <= self.ack => Ok(Verdict::Stale),
            _ if number <= applied && self.digests[number as usize - 1] == digest => Ok(Verdict::Again),
            _ if number <= applied => Err(Misuse::Reuse { number }),
            _ if number > self.ack + WINDOW => Err(Misuse::Window { number, ack: self.ack }),
            _ if number == applied + 1 => Ok(Verdict::Execute),
            _ => Err(Misuse::Gap { number, expected: applied + 1 }),
        }
    }
}

/// Defects of a filter. The test must detect each.
const BROKEN: [&str; 10] = [
    "executes the last again",
    "does not look at the contents",
    "takes a gap",
    "refuses the next",
    "calls what is executed stale",
    "says again of what is acknowledged",
    "forgets to count",
    "believes every acknowledgement",
    "ignores acknowledgements",
    "takes an old acknowledgement",
];

/// Drives a filter, optionally with a defect, and the table with the same random requests. Returns whether they agree.
fn agrees(broken: Option<&str>) -> bool {
    let is = |what: &str| broken == Some(what);
    let (mut filter, mut table, mut state) = (Filter::new(0), Table::default(), 1_u64);
    let mut below = move |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    for _ in 0..2_000 {
        let applied = table.digests.len() as u64;
        if below(3) == 0 {
            let ack = (table.told + 2).saturating_sub(below(8));
            let wanted = match ack > table.told {
                true => Err(Misuse::Ack { ack, told: table.told }),
                false => Ok(()),
            };
            let got = match ack {
                _ if is("believes every acknowledgement") && ack <= filter.applied() => {
                    filter.tell();
                    filter.acknowledge(ack)
                }
                _ if is("ignores acknowledgements") => wanted,
                _ if is("takes an old acknowledgement") && ack < filter.ack() => {
                    filter = Filter::restored(
                        ack,
                        applied,
                        table.digests[ack as usize..].iter().copied().collect(),
                    );
                    Ok(())
                }
                _ => filter.acknowledge(ack),
            };
            if got != wanted {
                return false;
            }
            if wanted.is_ok() {
                table.ack = table.ack.max(ack);
            }
            continue;
        }
        let number = (applied + 3).saturating_sub(below(10));
        let digest = number * 10 + u64::from(below(10) == 0);
        let wanted = table.verdict(number, digest);
        let got = match filter.clone().handle_request(number, digest) {
            Ok(Verdict::Again) if is("executes the last again") && number == applied => Ok(Verdict::Execute),
            Err(Misuse::Reuse { .. }) if is("does not look at the contents") => Ok(Verdict::Again),
            Err(Misuse::Gap { .. }) if is("takes a gap") => Ok(Verdict::Execute),
            Ok(Verdict::Execute) if is("refuses the next") => Err(Misuse::Gap { number, expected: number }),
            Ok(Verdict::Again) if is("calls what is executed stale") => Ok(Verdict::Stale),
            Ok(Verdict::Stale) if is("says again of what is acknowledged") => Ok(Verdict::Again),
            other => other,
        };
        if got != wanted {
            return false;
        }
        if wanted == Ok(Verdict::Execute) {
            filter.handle_request(number, digest).unwrap();
            match is("forgets to count") {
                true => filter.interrupt(),
                false => filter.executed(),
            }
            table.digests.push(digest);
            if below(3) == 0 {
                filter.tell();
                table.told = number;
            }
        }
    }
    true
}

#[test]
fn a_request_from_a_journal_counts_as_told_and_those_before_it_have_any_contents() {
    let mut filter = Filter::new(2);
    filter.replay(5, 50);
    assert_eq!((filter.ack(), filter.applied()), (2, 5));
    for (number, digest) in [(3, 1), (3, 2), (4, 3), (5, 50)] {
        assert_eq!(filter.handle_request(number, digest), Ok(Verdict::Again), "{number}");
    }
    assert_eq!(filter.handle_request(5, 51), Err(Misuse::Reuse { number: 5 }));
    assert_eq!(filter.clone().acknowledge(6), Err(Misuse::Ack { ack: 6, told: 5 }));
    assert_eq!(filter.acknowledge(5), Ok(()));
    assert_eq!(filter.handle_request(6, 60), Ok(Verdict::Execute));
}

#[test]
fn a_retracted_request_is_executed_again_whatever_its_contents() {
    let mut filter = filter(1, 5);
    filter.retract(3);
    assert_eq!((filter.ack(), filter.applied()), (1, 3));
    assert_eq!(filter.clone().acknowledge(4), Err(Misuse::Ack { ack: 4, told: 3 }));
    assert_eq!(filter.handle_request(4, 44), Ok(Verdict::Execute));
    filter.executed();
    for (number, digest) in [(2, 2), (3, 3), (4, 44)] {
        assert_eq!(filter.handle_request(number, digest), Ok(Verdict::Again), "{number}");
    }
    // Requests that were not reported to the client stay unreported.
    let mut untold = Filter::new(0);
    (1..=3).for_each(|number| execute(&mut untold, number));
    untold.retract(2);
    assert_eq!(untold.acknowledge(1), Err(Misuse::Ack { ack: 1, told: 0 }));
}

#[test]
fn the_memory_of_a_burst_is_freed_and_that_of_a_few_is_kept() {
    let mut burst = filter(0, 4_096);
    burst.acknowledge(4_000).unwrap();
    assert!(burst.memory() < 4_096 * 8 / 4, "{}", burst.memory());
    let mut few = filter(0, 500);
    let before = few.memory();
    few.acknowledge(500).unwrap();
    assert_eq!(few.memory(), before);
}

#[test]
fn the_filter_is_the_table_and_each_broken_filter_is_not() {
    assert!(agrees(None));
    for broken in BROKEN {
        assert!(!agrees(Some(broken)), "a filter that {broken} is not seen");
    }
}

#[test]
fn a_digest_tells_messages_apart() {
    let mut seen = std::collections::HashSet::new();
    let message: Vec<u8> = (0..600_u32).map(|i| (i * 7) as u8).collect();
    for length in 0..600 {
        assert!(seen.insert(digest(&message[..length])), "{length} bytes");
    }
    for at in 0..40 {
        for bit in 0..8 {
            let mut changed = message[..40].to_vec();
            changed[at] ^= 1 << bit;
            assert!(seen.insert(digest(&changed)), "bit {bit} of byte {at}");
        }
    }
    let mut end = message;
    *end.last_mut().unwrap() ^= 1;
    assert!(seen.insert(digest(&end)), "the end of a long one");
    assert_ne!(digest(&[0; 24]), digest(&[0; 32]));
}
