//! Human amounts: `5AIT`, `0.25AIT`, `7/3600AIT`. A text stands for exactly one number of base
//! units or is refused; printing never rounds.
//!
//! A token may have any number of base units (3600 for AIT), so a decimal fraction does not
//! always exist; what has none is printed as base units over units per token.

use super::amount::Amount;
use super::numbers::parse_decimal;
use std::fmt::Write;

/// How an asset is written by people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The asset's symbol, such as `AIT`.
    pub symbol: String,
    /// Base units in one token, at least 1.
    pub units_per_token: u128,
}

/// Why a text is not an amount of a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No digits where a number must stand.
    #[error("'{0}' is not a number; write 5{1}, 0.25{1} or 7/{2}{1}")]
    NotANumber(String, String, u128),
    /// The text ends with another symbol or none.
    #[error("'{0}' does not end with {1}")]
    WrongSymbol(String, String),
    /// The number exists but isn't a whole number of base units.
    #[error("{0} is not a whole number of base units; one {1} is {2} of them")]
    Inexact(String, String, u128),
    /// More than 128 bits hold.
    #[error("{0} is too large")]
    TooLarge(String),
}

impl Token {
    /// Reads a human amount of this token.
    pub fn parse(&self, text: &str) -> Result<Amount, TokenError> {
        let number = text
            .strip_suffix(self.symbol.as_str())
            .ok_or_else(|| TokenError::WrongSymbol(text.into(), self.symbol.clone()))?;
        match number.split_once('/') {
            Some((units, per)) if parse_decimal(per) == Some(self.units_per_token) => {
                parse_decimal(units).map(Amount::new).ok_or_else(|| self.not_a_number(text))
            }
            Some(_) => Err(self.not_a_number(text)),
            None => self.parse_decimal_tokens(number, text),
        }
    }

    /// Writes an amount exactly; `parse` reads it back.
    pub fn format(&self, amount: Amount) -> String {
        let (whole, part) = (amount.get() / self.units_per_token, amount.get() % self.units_per_token);
        match self.decimals(part) {
            Some(decimals) if decimals.is_empty() => format!("{whole}{}", self.symbol),
            Some(decimals) => format!("{whole}.{decimals}{}", self.symbol),
            None => format!("{}/{}{}", amount, self.units_per_token, self.symbol),
        }
    }

    fn parse_decimal_tokens(&self, number: &str, text: &str) -> Result<Amount, TokenError> {
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let whole = parse_decimal(whole).ok_or_else(|| self.not_a_number(text))?;
        if decimals.is_empty() || !decimals.bytes().all(|b| b.is_ascii_digit()) {
            return Err(self.not_a_number(text));
        }
        let units = whole.checked_mul(self.units_per_token).ok_or_else(|| TokenError::TooLarge(text.into()))?;
        let part = self.part_units(decimals, text)?;
        units.checked_add(part).map(Amount::new).ok_or_else(|| TokenError::TooLarge(text.into()))
    }

    /// Base units of `0.decimals` tokens: each digit is worth units/10 of the digit before it,
    /// which must come out whole from the last digit back to the first.
    fn part_units(&self, decimals: &str, text: &str) -> Result<u128, TokenError> {
        let inexact = || TokenError::Inexact(text.into(), self.symbol.clone(), self.units_per_token);
        let decimals = decimals.trim_end_matches('0');
        let (mut scaled, mut scale) = (0u128, 1u128);
        for digit in decimals.bytes() {
            let digit = u128::from(digit.saturating_sub(b'0'));
            scaled = scaled.checked_mul(10).and_then(|s| s.checked_add(digit)).ok_or_else(inexact)?;
            scale = scale.checked_mul(10).ok_or_else(inexact)?;
        }
        let divisor = gcd(scaled, scale);
        let (scaled, scale) = (scaled / divisor, scale / divisor);
        // In lowest terms the fraction is whole exactly when the scale divides the units.
        if !self.units_per_token.is_multiple_of(scale) {
            return Err(inexact());
        }
        Ok((self.units_per_token / scale).saturating_mul(scaled))
    }

    /// The decimal digits of `part` base units (less than one token), if they end.
    fn decimals(&self, part: u128) -> Option<String> {
        let divisor = gcd(part, self.units_per_token);
        let (mut part, per) = (part / divisor, self.units_per_token / divisor);
        let mut digits = String::new();
        while part != 0 {
            // per ≤ 10^24, so ten times the remainder fits; a fraction that ends has ≤ 80 digits.
            if digits.len() > 80 {
                return None;
            }
            part = part.checked_mul(10)?;
            write!(digits, "{}", part / per).ok()?;
            part %= per;
        }
        Some(digits)
    }

    fn not_a_number(&self, text: &str) -> TokenError {
        TokenError::NotANumber(text.into(), self.symbol.clone(), self.units_per_token)
    }
}

fn gcd(a: u128, b: u128) -> u128 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ait() -> Token {
        Token { symbol: "AIT".into(), units_per_token: 3600 }
    }

    #[test]
    fn human_amounts_are_exact_or_refused() {
        let cases = [("5AIT", 18_000), ("0.25AIT", 900), ("0.0625AIT", 225), ("7/3600AIT", 7), ("1.50AIT", 5_400)];
        for (text, units) in cases {
            assert_eq!(ait().parse(text).unwrap(), Amount::new(units), "{text}");
        }
        for bad in [
            "5", "5BTC", "AIT", ".5AIT", "5.AIT", "-1AIT", "+1AIT", "1e3AIT", " 5AIT", "05AIT", "7/10AIT", "1/AIT",
            "5 AIT",
        ] {
            assert!(ait().parse(bad).is_err(), "{bad}");
        }
        assert!(matches!(ait().parse("0.1001AIT"), Err(TokenError::Inexact(..))));
        assert!(matches!(ait().parse(&format!("{}AIT", u128::MAX)), Err(TokenError::TooLarge(_))));
    }

    #[test]
    fn what_has_no_decimal_form_is_a_fraction() {
        assert_eq!(ait().format(Amount::new(1)), "1/3600AIT");
        assert_eq!(ait().format(Amount::new(900)), "0.25AIT");
        assert_eq!(ait().format(Amount::ZERO), "0AIT");
    }

    proptest! {
        #[test]
        fn printing_is_read_back_exactly(units: u128, per in 1u128..=10u128.pow(24)) {
            let token = Token { symbol: "TOK".into(), units_per_token: per };
            prop_assert_eq!(token.parse(&token.format(Amount::new(units))).unwrap(), Amount::new(units));
        }

        #[test]
        fn any_text_is_answered(text in "\\PC{0,40}") {
            let _ = ait().parse(&text);
            let _ = ait().parse(&format!("{text}AIT"));
        }
    }
}
