//! The date, without a calendar library.

/// Formats days since 1970-01-01 as `YYYY-MM-DD`, in the proleptic Gregorian calendar.
///
/// The algorithm is "days to civil" of <https://howardhinnant.github.io/date_algorithms.html>: years begin in March, so
/// that the leap day is the last day of a year.
pub fn civil(days: u32) -> String {
    // Days since 0000-03-01, in eras of 400 years, which all have the same number of days.
    let days = u64::from(days) + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{day:02}", era * 400 + year + next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        // Computed with `date -ud @$((86400 * days)) +%F`.
        for (days, date) in [
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_453, "2025-12-31"),
            (20_454, "2026-01-01"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
        ] {
            assert_eq!(civil(days), date);
        }
    }
}
