//! Statistics of measured values, which are `None` for no values.

/// Returns the median; for an even number of values, the mean of the middle two.
pub fn median(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let high = *sorted.get(sorted.len() / 2)?;
    let low = sorted[(sorted.len() - 1) / 2];
    Some(low + (high - low) / 2.0)
}

/// Returns the smallest of the values that at least `percent` of all do not exceed ("nearest rank"): always a measured
/// value, never an interpolated one.
pub fn percentile(values: &[f64], percent: f64) -> Option<f64> {
    let sorted = sorted(values);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

/// Returns the smallest value.
pub fn min(values: &[f64]) -> Option<f64> {
    values.iter().copied().min_by(f64::total_cmp)
}

/// Returns the median ratio of `values` to `beside`, pair by pair: a disturbance of both values of a pair does not
/// change it.
pub fn median_ratio(values: &[f64], beside: &[f64]) -> Option<f64> {
    let ratios: Vec<_> = values.iter().zip(beside).map(|(value, beside)| value / beside).collect();
    median(&ratios)
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[9.0, 1.0]), Some(5.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[1_000.0, 4.0, 1.0, 2.0]), Some(3.0));
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let values: Vec<_> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 99.0), Some(198.0));
        assert_eq!(percentile(&values, 50.0), Some(100.0));
        assert_eq!(percentile(&values, 100.0), Some(200.0));
        assert_eq!(percentile(&values, 0.0), Some(1.0));
        assert_eq!(percentile(&[3.0, 5.0], 99.0), Some(5.0));
        assert_eq!(percentile(&[3.0], 1.0), Some(3.0));
        assert_eq!(percentile(&[], 99.0), None);
    }

    #[test]
    fn the_smallest() {
        assert_eq!(min(&[3.0, 2.0, 5.0]), Some(2.0));
        assert_eq!(min(&[]), None);
    }

    #[test]
    fn ratios_are_taken_pair_by_pair() {
        // The second round was ten times slower for both, the third for one: neither affects the result.
        assert_eq!(median_ratio(&[12.0, 120.0, 900.0], &[10.0, 100.0, 10.0]), Some(1.2));
        assert_eq!(median_ratio(&[], &[1.0]), None);
    }
}
