//! Checks whether the picture of a display is consistent with the answers of a client.
//!
//! A display executes the calls of a session in order and without a gap. So there is a number up to which every call
//! was executed once, unless it was rejected, and after which none was; no call after that number was answered with
//! success. The row of cells that only this client draws on must be the picture of such a number. Amounts differ from
//! call to call, so that another number, or a call that was executed twice, never, or out of order, produces another
//! picture (except for collisions, with a probability of one in 2^32).

use crate::history::{Answer, Call, Cell, Made, blank};
use std::cmp::Reverse;
use std::ops::RangeInclusive;

/// Number of calls that were executed or rejected, counted from the first. It is a range where the calls in between
/// leave no trace.
pub(crate) type Executed = RangeInclusive<usize>;

/// Determines how many calls were executed.
///
/// # Errors
/// Returns a description of the calls at fault if no number explains the picture.
pub(crate) fn check(made: &[Made], shown: &[u32]) -> Result<Executed, String> {
    // A successful answer proves that all calls before it were executed.
    let proven = made.iter().rposition(|(_, answer)| matches!(answer, Some(Answer::Ok | Answer::Read(_))));
    let proven = proven.map_or(0, |last| last + 1);
    let (mut row, mut fitting, mut nearest) = (blank(), None, (usize::MAX, Reverse(0)));
    for number in 0..=made.len() {
        if number >= proven {
            let wrong = row.iter().zip(shown).filter(|(meant, shown)| meant != shown).count();
            if wrong == 0 {
                fitting = Some(*fitting.get_or_insert(number..=number).start()..=number);
            }
            // Of two equally near numbers the later one is used, so that missing calls are reported rather than extra
            // ones.
            nearest = nearest.min((wrong, Reverse(number)));
        }
        let Some(&(call, answer)) = made.get(number) else { break };
        match (call, answer) {
            (Call::Get(cell), Some(Answer::Read(read))) if read != row[cell] => {
                let why = explain(&made[..number], cell, read);
                return Err(format!("call {}, {call}, read {read} and not {}: {why}", number + 1, row[cell]));
            }
            (Call::Outside, Some(Answer::Ok)) => {
                return Err(format!("call {}, {call}, succeeded", number + 1));
            }
            (_, Some(Answer::Rejected)) => {}
            _ => call.apply(&mut row),
        }
    }
    fitting.ok_or_else(|| blame(&made[..nearest.1.0], shown))
}

/// Describes how a row differs from its state after these calls.
fn blame(made: &[Made], shown: &[u32]) -> String {
    let row = replay(made.iter().copied());
    let wrong = row.iter().zip(shown).enumerate().filter(|(_, (meant, shown))| meant != shown);
    let told = wrong.map(|(cell, (meant, &shown))| {
        format!("cell {cell} shows {shown} and not {meant}: {}", explain(made, cell, shown))
    });
    format!("after {} calls, {}", made.len(), told.collect::<Vec<_>>().join("; "))
}

fn replay(made: impl Iterator<Item = Made>) -> Vec<u32> {
    let mut row = blank();
    made.filter(|(_, answer)| *answer != Some(Answer::Rejected)).for_each(|(call, _)| call.apply(&mut row));
    row
}

/// Returns the single fault that explains the value of a cell.
fn explain(made: &[Made], cell: Cell, shown: u32) -> String {
    let calls: Vec<_> = made.iter().enumerate().filter(|(_, (call, _))| call.touches(cell)).collect();
    let shows = |calls: &[(usize, &Made)]| replay(calls.iter().map(|(_, made)| **made))[cell] == shown;
    for (i, &(number, &(call, answer))) in calls.iter().enumerate() {
        let told = answer.map_or("not answered".to_owned(), |answer| format!("answered {answer}"));
        let told = format!("call {}, {call}, {told}, was", number + 1);
        let forced = (call, None);
        let (mut missing, mut twice, mut executed) = (calls.clone(), calls.clone(), calls.clone());
        missing.remove(i);
        twice.insert(i, calls[i]);
        executed[i].1 = &forced;
        if answer == Some(Answer::Rejected) {
            if shows(&executed) {
                return format!("{told} executed");
            }
        } else if shows(&missing) {
            return format!("{told} not executed");
        } else if shows(&twice) {
            return format!("{told} executed twice");
        }
        if i > 0 {
            let mut swapped = calls.clone();
            swapped.swap(i - 1, i);
            if shows(&swapped) {
                return format!("{told} executed before call {}", calls[i - 1].0 + 1);
            }
        }
    }
    "no single fault explains it".to_owned()
}
