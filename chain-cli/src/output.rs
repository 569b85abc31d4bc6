//! How results look: one JSON document, or aligned text for people.
//!
//! Not here: what a result says (the commands).

use std::io::{self, Write};

use chain_core::types::{Amount, Token};
use serde::Serialize;

use crate::error::Answer;

/// Lines of text for people.
#[derive(Debug, Default)]
pub struct Lines(String);

impl Lines {
    /// A heading or a sentence.
    pub fn line(&mut self, text: impl std::fmt::Display) {
        self.0 += &format!("{text}\n");
    }

    /// `name  value`, aligned with other pairs.
    pub fn pair(&mut self, name: &str, value: impl std::fmt::Display) {
        self.line(format_args!("{name:<14}{value}"));
    }

    /// A table: every column as wide as its widest cell. An empty one says so.
    pub fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        if rows.is_empty() {
            return self.line("(none)");
        }
        let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
        let all = || std::iter::once(&head).chain(rows);
        let width = |column: usize| all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..head.len()).map(|column| width(column).unwrap_or_default()).collect();
        for row in all() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            self.line(line.trim_end());
        }
    }
}

/// Prints a result: the document with `--json`, else the lines.
pub fn print(json: bool, document: &impl Serialize, lines: impl FnOnce(&mut Lines)) -> Answer<()> {
    if json {
        return print_document(document);
    }
    let mut text = Lines::default();
    lines(&mut text);
    Ok(io::stdout().lock().write_all(text.0.as_bytes())?)
}

/// Prints one JSON document.
pub fn print_document(document: &impl Serialize) -> Answer<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, document).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

/// Prints one line at once: a JSON document or text, for what goes on for ever.
pub fn print_line(json: bool, document: &impl Serialize, text: impl FnOnce() -> String) -> Answer<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, document).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}", text())?;
    }
    Ok(out.flush()?)
}

/// Digits after the point of an amount that has no exact decimal form.
const ROUNDED_DIGITS: u32 = 4;

/// An amount exactly; one without a decimal form as a fraction, and rounded down behind it.
pub fn money(token: &Token, amount: Amount) -> String {
    let text = token.format(amount);
    if !text.contains('/') {
        return text;
    }
    let per = token.units_per_token.max(1);
    // A part below 10^24 units, the most a token has, times 10^4 fits.
    let part = (amount.get() % per).saturating_mul(10u128.pow(ROUNDED_DIGITS)) / per;
    format!("{text} (~{}.{part:04}{})", amount.get() / per, token.symbol)
}

/// A time span in words, of two units at most.
pub fn span(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        10_000..120_000 => format!("{} s", ms / 1000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h {} min", ms / 3_600_000, ms / 60_000 % 60),
    }
}

/// `1 block`, `2 blocks`.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut lines = Lines::default();
        lines.table(&["a", "b"], &[vec!["grün".into(), "1".into()], vec!["x".into(), String::new()]]);
        assert_eq!(lines.0, "a     b\ngrün  1\nx\n");
    }

    #[test]
    fn spans_in_words() {
        let said = [(0, "0.0 s"), (9_999, "9.9 s"), (61_000, "61 s"), (180_000, "3 min"), (7_260_000, "2 h 1 min")];
        for (ms, text) in said {
            assert_eq!(span(ms), text);
        }
    }

    #[test]
    fn money_is_exact_and_readable() {
        let ait = Token { symbol: "AIT".into(), units_per_token: 3600 };
        assert_eq!(money(&ait, Amount::new(900)), "0.25AIT");
        assert_eq!(money(&ait, Amount::new(56)), "56/3600AIT (~0.0155AIT)");
        assert_eq!(money(&ait, Amount::new(3_599_980_932)), "3599980932/3600AIT (~999994.7033AIT)");
        assert_eq!(money(&Token { units_per_token: 1, ..ait }, Amount::new(9)), "9AIT");
    }
}
