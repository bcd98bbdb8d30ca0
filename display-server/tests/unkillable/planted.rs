//! Tests the checker with histories that contain planted faults.

use crate::checker::check;
use crate::history::Answer::{Ok as Done, Read, Rejected, Unknown};
use crate::history::{Call, Made, blank};

/// The calls of a client that was killed: one that a full disk refused, one that was outside, a read, three that had
/// succeeded before, and four that were not answered.
const MADE: [Made; 12] = [
    (Call::Add(1, 10), Some(Done)),
    (Call::Add(2, 200), Some(Rejected)),
    (Call::Draw(3, 3_000), Some(Done)),
    (Call::Add(3, 40), Some(Done)),
    (Call::Get(3), Some(Read(3_040))),
    (Call::Outside, Some(Rejected)),
    (Call::AddBoth([(4, 50), (5, 60)]), Some(Unknown)),
    (Call::Add(1, 700), Some(Done)),
    (Call::Add(6, 8_000), None),
    (Call::Add(7, 90_000), None),
    (Call::Draw(8, 100_000), None),
    (Call::Count, None),
];

/// Returns the picture after these calls, by their index, in this order.
fn picture(executed: &[usize]) -> Vec<u32> {
    let mut row = blank();
    executed.iter().for_each(|&i| MADE[i].0.apply(&mut row));
    row
}

/// Returns the fault that is found after these calls.
fn found(executed: &[usize]) -> String {
    check(&MADE, &picture(executed)).expect_err("there is a fault")
}

#[test]
fn every_true_history_passes_and_says_how_far_it_went() {
    for (executed, numbers) in [
        (&[0, 2, 3, 6, 7][..], 8..=8),
        (&[0, 2, 3, 6, 7, 8], 9..=9),
        (&[0, 2, 3, 6, 7, 8, 9], 10..=10),
        // The last call counts in the cell that other clients share.
        (&[0, 2, 3, 6, 7, 8, 9, 10], 11..=12),
    ] {
        assert_eq!(check(&MADE, &picture(executed)), Ok(numbers));
    }
    assert_eq!(check(&[], &blank()), Ok(0..=0));
}

#[test]
fn one_success_that_is_missing_is_found() {
    assert!(found(&[2, 3, 6, 7]).ends_with("call 1, add 1 10, answered +, was not executed"));
    assert!(found(&[0, 2, 3, 6]).ends_with("call 8, add 1 700, answered +, was not executed"));
}

#[test]
fn one_success_that_was_executed_twice_is_found() {
    assert!(found(&[0, 0, 2, 3, 6, 7]).ends_with("call 1, add 1 10, answered +, was executed twice"));
    assert!(found(&[0, 2, 3, 6, 7, 8, 3]).ends_with("call 4, add 3 40, answered +, was executed twice"));
}

#[test]
fn one_rejected_call_that_was_executed_is_found() {
    assert!(found(&[0, 1, 2, 3, 6, 7]).ends_with("call 2, add 2 200, answered -, was executed"));
    let outside = [(Call::Outside, Some(Done))];
    assert_eq!(check(&outside, &blank()), Err("call 1, outside, succeeded".to_owned()));
}

#[test]
fn one_unknown_call_that_was_executed_twice_is_found() {
    // One call that was answered, in both of its cells, and one that was not.
    let both = found(&[0, 2, 3, 6, 6, 7]);
    assert_eq!(both.matches("call 7, both 4 50 5 60, answered ?, was executed twice").count(), 2, "{both}");
    assert!(found(&[0, 2, 3, 6, 7, 8, 8]).ends_with("call 9, add 6 8000, not answered, was executed twice"));
}

#[test]
fn one_unknown_call_that_is_missing_before_a_success_is_found() {
    let both = found(&[0, 2, 3, 7]);
    assert_eq!(both.matches("call 7, both 4 50 5 60, answered ?, was not executed").count(), 2, "{both}");
}

#[test]
fn two_that_changed_places_are_found() {
    // A drawing hides what was added before it, but not what is added after it.
    assert!(found(&[0, 3, 2, 6, 7]).ends_with("call 4, add 3 40, answered +, was not executed"));
    let (add, draw) = ((Call::Add(3, 5), Some(Done)), (Call::Draw(3, 10), Some(Done)));
    let mut row = blank();
    [draw, add].iter().for_each(|(call, _)| call.apply(&mut row));
    let found = check(&[add, draw], &row).expect_err("there is a fault");
    assert!(found.ends_with("call 2, draw 3 10, answered +, was executed before call 1"), "{found}");
}

#[test]
fn an_end_with_a_hole_is_found() {
    assert!(found(&[0, 2, 3, 6, 7, 9]).contains("call 9, add 6 8000, not answered, was not executed"));
    assert!(found(&[0, 2, 3, 6, 7, 8, 10]).contains("call 10, add 7 90000, not answered, was not executed"));
}

#[test]
fn a_read_of_another_picture_is_found() {
    // The final picture is correct; only the read has seen two calls in the wrong order.
    let mut made = MADE;
    made[4].1 = Some(Read(3_000));
    let found = check(&made, &picture(&[0, 2, 3, 6, 7])).expect_err("there is a fault");
    assert!(found.starts_with("call 5, get 3, read 3000 and not 3040: call 4, add 3 40, "), "{found}");
}

#[test]
fn every_single_fault_of_a_long_history_is_found() {
    // Calls like those of the clients: with different amounts, half of them answered.
    let mut made: Vec<Made> = crate::client::calls(7).take(400).map(|call| (call, None)).collect();
    let mut row = blank();
    for (call, answer) in &mut made[..200] {
        call.apply(&mut row);
        *answer = Some(match call {
            Call::Get(cell) => Read(row[*cell]),
            Call::Outside => Rejected,
            _ => Done,
        });
    }
    let shown = |executed: &mut dyn Iterator<Item = usize>| {
        let mut row = blank();
        executed.for_each(|i| made[i].0.apply(&mut row));
        row
    };
    for end in [200, 300, 400] {
        assert!(check(&made, &shown(&mut (0..end))).is_ok_and(|numbers| numbers.contains(&end)));
        for fault in 0..end {
            // A drawing over a cell hides what was there: only visible differences are faults.
            let whole = shown(&mut (0..end));
            let missing = shown(&mut (0..end).filter(|&i| i != fault));
            let twice =
                shown(&mut (0..end).flat_map(|i| [i; 2].into_iter().take(1 + usize::from(i == fault))));
            assert!(twice == whole || check(&made, &twice).is_err(), "{fault} of {end} twice");
            // The last calls may not have been executed.
            let is_end = (fault..end)
                .all(|i| i == fault || matches!(made[i].0, Call::Get(_) | Call::Outside | Call::Count));
            let may_miss = is_end && fault >= 200;
            assert!(
                missing == whole || may_miss || check(&made, &missing).is_err(),
                "{fault} of {end} missing"
            );
        }
    }
}
