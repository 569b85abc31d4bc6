//! Small texts of a chain spec: numbers that may be strings, times, durations.
//!
//! Not here: amounts and addresses (chain-core knows their one spelling).

use chain_core::genesis::MAX_GENESIS_TIME;
use chain_core::types::TimestampMs;
use serde::de::{MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use toml::value::{Datetime, Offset};

/// A non-negative integer, or a text (which may be an integer too large for TOML or JSON).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Scalar {
    /// Written without quotes.
    Number(u64),
    /// Written with quotes.
    Text(String),
}

impl Scalar {
    /// The integer it stands for, if it is one in its shortest decimal form.
    pub fn integer(&self) -> Option<u128> {
        match self {
            Self::Number(number) => Some(u128::from(*number)),
            Self::Text(text) => decimal(text),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

impl From<&str> for Scalar {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a non-negative integer or a text")
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar::Number(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Scalar, E> {
        u64::try_from(value).map(Scalar::Number).map_err(|_| E::custom(format_args!("{value} is negative")))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.into()))
    }

    /// A TOML date without quotes arrives as a map of the TOML reader's own making.
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Scalar, A::Error> {
        let date = Datetime::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Scalar::Text(date.to_string()))
    }
}

/// A decimal number without sign, spaces or leading zeros.
pub(crate) fn decimal(text: &str) -> Option<u128> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let shortest = text == "0" || !text.starts_with('0');
    if digits && shortest { text.parse().ok() } else { None }
}

/// Why a text is not a moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Neither RFC 3339 nor a number.
    #[error("'{0}' is not a time; write 2026-01-31T12:00:00Z or milliseconds since 1970")]
    Form(String),
    /// Finer than the chain's clock.
    #[error("'{0}' is finer than a millisecond")]
    TooFine(String),
    /// Before 1970 or after 9999.
    #[error("'{0}' lies before 1970 or after 9999")]
    Range(String),
}

const DAY_MS: i64 = 86_400_000;

/// Reads RFC 3339 with an offset (`Z` or `+02:00`), or ms since the Unix epoch.
pub fn parse_time(time: &Scalar) -> Result<TimestampMs, TimeError> {
    let text = time.to_string();
    let ms = match time.integer() {
        Some(ms) => u64::try_from(ms).ok(),
        None => u64::try_from(parse_rfc3339(&text)?).ok(),
    };
    let moment = ms.map(TimestampMs::new).filter(|moment| *moment <= MAX_GENESIS_TIME);
    moment.ok_or(TimeError::Range(text))
}

/// Milliseconds since the epoch, negative before it.
fn parse_rfc3339(text: &str) -> Result<i64, TimeError> {
    let form = || TimeError::Form(text.into());
    let moment: Datetime = text.parse().map_err(|_| form())?;
    let (date, time, offset) = match (moment.date, moment.time, moment.offset) {
        (Some(date), Some(time), Some(offset)) => (date, time, offset),
        _ => return Err(form()),
    };
    let second = time.second.filter(|second| *second < 60).ok_or_else(form)?;
    let nanos = time.nanosecond.unwrap_or_default();
    if !nanos.is_multiple_of(1_000_000) {
        return Err(TimeError::TooFine(text.into()));
    }
    let offset_minutes = match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    let minutes = i64::from(time.hour) * 60 + i64::from(time.minute) - offset_minutes;
    let in_day = (minutes * 60 + i64::from(second)) * 1_000 + i64::from(nanos / 1_000_000);
    Ok(days_from_civil(date.year.into(), date.month.into(), date.day.into()) * DAY_MS + in_day)
}

/// Writes RFC 3339 in UTC with milliseconds.
pub fn format_time(moment: TimestampMs) -> String {
    // Beyond i64 there is no year to write; the canonical genesis stops at 9999.
    let ms = i64::try_from(moment.get()).unwrap_or(i64::MAX);
    let (year, month, day) = civil_from_days(ms / DAY_MS);
    let (hour, minute) = (ms % DAY_MS / 3_600_000, ms % 3_600_000 / 60_000);
    let (second, milli) = (ms % 60_000 / 1_000, ms % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

// Days since 1970-01-01 and back, in the proleptic Gregorian calendar: Howard Hinnant,
// "chrono-Compatible Low-Level Date Algorithms". Years start in March, so that the leap day is last.

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DurationError {
    #[error("'{0}' is not a duration; write a whole number with ms, s, m, h or d, such as 250ms")]
    Form(String),
    #[error("'{0}' is not a whole number of seconds")]
    NotSeconds(String),
}

/// Reads `250ms`, `2s`, `10m`, `24h`, `7d` as milliseconds.
pub(crate) fn parse_duration_ms(text: &str) -> Result<u64, DurationError> {
    let form = || DurationError::Form(text.into());
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(form)?;
    let (number, unit) = text.split_at(unit_at);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(form()),
    };
    let ms = decimal(number).and_then(|number| number.checked_mul(unit_ms)).ok_or_else(form)?;
    u64::try_from(ms).map_err(|_| form())
}

/// As `parse_duration_ms`, in seconds.
pub(crate) fn parse_duration_s(text: &str) -> Result<u64, DurationError> {
    let ms = parse_duration_ms(text)?;
    if ms.is_multiple_of(1_000) { Ok(ms / 1_000) } else { Err(DurationError::NotSeconds(text.into())) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(text: &str) -> Result<u64, TimeError> {
        parse_time(&text.into()).map(TimestampMs::get)
    }

    #[test]
    fn known_moments() {
        // `date -u -d @…` says so.
        let cases = [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59.999Z", 951_868_799_999),
            ("2026-01-31T12:00:00Z", 1_769_860_800_000),
            ("2026-01-31T14:00:00+02:00", 1_769_860_800_000),
            ("2026-01-31T02:30:00.5-09:30", 1_769_860_800_500),
            ("9999-12-31T23:59:59.999Z", MAX_GENESIS_TIME.get()),
            ("1769860800000", 1_769_860_800_000),
        ];
        for (text, expected) in cases {
            assert_eq!(ms(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "now",
            "2026-01-31",
            "12:00:00",
            "2026-01-31T12:00:00",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2016-12-31T23:59:60Z",
            "2026-01-31T24:00:00Z",
            "007",
            "-1",
        ] {
            assert_eq!(ms(text), Err(TimeError::Form(text.into())), "{text}");
        }
        assert!(matches!(ms("2026-01-31T12:00:00.0001Z"), Err(TimeError::TooFine(_))));
        assert!(matches!(ms("1969-12-31T23:59:59Z"), Err(TimeError::Range(_))));
        assert!(matches!(ms("9999-12-31T23:59:59-01:00"), Err(TimeError::Range(_))));
        assert!(matches!(ms(&u128::MAX.to_string()), Err(TimeError::Range(_))));
    }

    #[test]
    fn durations() {
        let cases = [("250ms", 250), ("2s", 2_000), ("10m", 600_000), ("24h", 86_400_000), ("7d", 604_800_000)];
        for (text, expected) in cases {
            assert_eq!(parse_duration_ms(text), Ok(expected));
        }
        for bad in
            ["", "2", "s", "2 s", "1.5s", "-2s", "02s", "2S", "2ss", "é", "99999999999999999999999999999999999999999d"]
        {
            assert!(parse_duration_ms(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_duration_s("7d"), Ok(604_800));
        assert!(matches!(parse_duration_s("1500ms"), Err(DurationError::NotSeconds(_))));
    }

    proptest! {
        #[test]
        fn moments_round_trip(ms in 0..=MAX_GENESIS_TIME.get()) {
            let moment = TimestampMs::new(ms);
            let text = format_time(moment);
            prop_assert_eq!(parse_time(&text.as_str().into()), Ok(moment), "{}", text);
        }

        #[test]
        fn any_text_is_answered(text in "\\PC{0,40}", ms: u64) {
            let _ = parse_time(&text.as_str().into());
            let _ = parse_duration_s(&text);
            format_time(TimestampMs::new(ms));
        }
    }
}
