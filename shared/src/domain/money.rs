//! Money as integer micro-units; never a float.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount without its currency, in millionths of the unit. JSON and files write it as a decimal string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Micros(pub i64);

/// An ISO 4217 currency code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency(String);

/// An amount of one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    pub amount: Micros,
    pub currency: Currency,
}

impl Micros {
    /// Reads `150`, `150.00` or `1,250.50`: no sign, no symbol, groups of three, up to six decimals.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let fraction_fits = (1..=6).contains(&fraction.len()) && fraction.bytes().all(|b| b.is_ascii_digit());
        if !fraction_fits {
            return None;
        }
        let units: i64 = ungroup(whole)?.parse().ok()?;
        let millionths: i64 = format!("{fraction:0<6}").parse().ok()?;
        units.checked_mul(1_000_000)?.checked_add(millionths).map(Self)
    }
}

/// `1,250` → `1250`; commas only between groups of three.
fn ungroup(whole: &str) -> Option<String> {
    let mut groups = whole.split(',');
    let first = groups.next()?;
    let rest: Vec<&str> = groups.collect();
    let first_fits = if rest.is_empty() { !first.is_empty() } else { (1..=3).contains(&first.len()) };
    let all_digits = std::iter::once(&first).chain(&rest).all(|g| g.bytes().all(|b| b.is_ascii_digit()));
    (first_fits && all_digits && rest.iter().all(|g| g.len() == 3)).then(|| whole.replace(',', ""))
}

impl TryFrom<String> for Micros {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(text.trim()).ok_or_else(|| format!("not an amount: '{text}'"))
    }
}

impl From<Micros> for String {
    fn from(amount: Micros) -> Self {
        amount.to_string()
    }
}

/// As few decimals as say it exactly, at least two: `25.00`, `0.0079`.
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micros = self.0.unsigned_abs();
        let fraction = format!("{:06}", micros % 1_000_000);
        let kept = fraction.trim_end_matches('0').len().max(2);
        write!(f, "{sign}{}.{}", micros / 1_000_000, &fraction[..kept])
    }
}

impl Currency {
    pub fn usd() -> Self {
        Self("USD".into())
    }

    pub fn parse(text: &str) -> Option<Self> {
        let code = text.trim().to_ascii_uppercase();
        (code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase())).then_some(Self(code))
    }

    /// What stands before an amount: `$`, or the code and a space.
    fn prefix(&self) -> String {
        match self.0.as_str() {
            "USD" => "$".into(),
            "EUR" => "€".into(),
            "GBP" => "£".into(),
            "CAD" => "CA$".into(),
            "AUD" => "A$".into(),
            code => format!("{code} "),
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("not a currency code: '{text}'"))
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.0
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As people read it: `$150.00`, `€72.00`, `INR 1,250.50` (reminders.md §4). Rounds half up to cents.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cents = (self.amount.0.unsigned_abs() + 5_000) / 10_000;
        let sign = if self.amount.0 < 0 { "-" } else { "" };
        let whole = (cents / 100).to_string();
        let mut grouped = String::new();
        for (i, digit) in whole.chars().enumerate() {
            if i > 0 && (whole.len() - i).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        write!(f, "{sign}{}{grouped}.{:02}", self.currency.prefix(), cents % 100)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_schools_write_them() {
        for (text, micros) in [("150", 150_000_000), ("150.00", 150_000_000), ("1,250.50", 1_250_500_000), ("0.0079", 7_900)] {
            assert_eq!(Micros::parse(text), Some(Micros(micros)), "{text}");
        }
        for text in ["", "12O.00", "-20.00", "49,00", "1,25.50", ",250", "$5", "1.", "1.2345678", "99999999999999999999"] {
            assert_eq!(Micros::parse(text), None, "{text}");
        }
    }

    #[test]
    fn amounts_are_shown_as_people_read_them() {
        for (amount, currency, shown) in [
            ("150", "USD", "$150.00"), // S0-38
            ("1250.5", "INR", "INR 1,250.50"),
            ("1234567.891", "GBP", "£1,234,567.89"),
            ("72", "eur", "€72.00"),
            ("5", "CAD", "CA$5.00"),
            ("5", "AUD", "A$5.00"),
        ] {
            let money = Money { amount: Micros::parse(amount).unwrap(), currency: Currency::parse(currency).unwrap() };
            assert_eq!(money.to_string(), shown);
        }
        assert_eq!(Micros(7_900).to_string(), "0.0079");
        assert_eq!(Micros(25_000_000).to_string(), "25.00");
    }
}
