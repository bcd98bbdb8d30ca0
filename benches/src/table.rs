//! A table in Markdown that is also readable as plain text.

use std::iter;

/// The text of a cell without a value.
pub const NOTHING: &str = "-";

/// Returns a table. The first `texts` columns are text and left-aligned, the others are numbers and right-aligned. A
/// row may be short.
pub fn markdown(header: &[&str], texts: usize, rows: &[Vec<String>]) -> String {
    let head: Vec<_> = header.iter().map(|&name| name.to_owned()).collect();
    let cell = |row: &[String], column: usize| {
        // A vertical bar in a cell would end it.
        row.get(column)
            .filter(|text| !text.is_empty())
            .map_or(NOTHING.to_owned(), |text| text.replace('|', "\\|"))
    };
    let widths: Vec<_> = (0..header.len())
        .map(|column| {
            let cells = iter::once(&head).chain(rows).map(|row| cell(row, column).chars().count());
            cells.max().unwrap_or(0).max(3)
        })
        .collect();
    let line = |row: &[String]| {
        let cells = widths.iter().enumerate().map(|(column, &width)| {
            let text = cell(row, column);
            if column < texts { format!(" {text:<width$} |") } else { format!(" {text:>width$} |") }
        });
        format!("|{}\n", cells.collect::<String>())
    };
    let rule = widths.iter().enumerate().map(|(column, &width)| {
        let dashes = "-".repeat(width - 1);
        if column < texts { format!(" {dashes}- |") } else { format!(" {dashes}: |") }
    });
    let rule = format!("|{}\n", rule.collect::<String>());
    line(&head) + &rule + &rows.iter().map(|row| line(row)).collect::<String>()
}

/// Formats a number with three significant digits, and all of those before the decimal point.
pub fn number(value: Option<f64>) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else {
        return NOTHING.to_owned();
    };
    let decimals = match value.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned() {
        let row = |cells: &[&str]| cells.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>();
        let rows = [row(&["raw", "ping-pong", "6.31", "1"]), row(&["ours", "a|µ", "", "1.15"]), row(&["x"])];
        let expected = "\
| who  | what      |   us | ratio |
| ---- | --------- | ---: | ----: |
| raw  | ping-pong | 6.31 |     1 |
| ours | a\\|µ      |    - |  1.15 |
| x    | -         |    - |     - |
";
        assert_eq!(markdown(&["who", "what", "us", "ratio"], 2, &rows), expected);
    }

    #[test]
    fn numbers_have_three_digits() {
        for (value, text) in [
            (0.0, "0.000"),
            (0.0625, "0.062"),
            (0.9996, "1.00"),
            (1.154, "1.15"),
            (9.996, "10.0"),
            (12.34, "12.3"),
            (99.96, "100"),
            (1234.5, "1234"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(number(Some(value)), text, "{value}");
        }
        assert_eq!(number(None), "-");
    }
}
