//! What Twilio says of an account: its status, its type, what is left of its money.
//!
//! Asked with the account's SID and token: no API key may fetch an account (20003).

use serde::Deserialize;

use super::rest::{Rest, RestError};
use crate::domain::money::{Currency, Micros, Money};

/// An account as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct State {
    /// `active`, `suspended` or `closed`.
    pub status: String,
    /// `Trial` or `Full`.
    #[serde(rename = "type", default)]
    pub kind: String,
}

impl State {
    pub fn is_active(&self) -> bool {
        self.status.eq_ignore_ascii_case("active")
    }

    /// Whether it may only message numbers that somebody has verified (S1-50).
    pub fn is_trial(&self) -> bool {
        self.kind.eq_ignore_ascii_case("trial")
    }
}

/// `GET /Accounts/{Sid}.json`.
pub async fn fetch(rest: Rest<'_>) -> Result<State, RestError> {
    rest.get(".json", &[]).await
}

/// `GET /Balance.json`. It may be below zero.
pub async fn balance(rest: Rest<'_>) -> Result<Money, RestError> {
    #[derive(Deserialize)]
    struct Balance {
        balance: String,
        currency: String,
    }
    let Balance { balance, currency } = rest.get("/Balance.json", &[]).await?;
    let (amount, currency) = signed(&balance).zip(Currency::parse(&currency)).ok_or(RestError::Unreadable)?;
    Ok(Money { amount, currency })
}

/// Reads `-1.25`; what is smaller than a millionth is dropped.
fn signed(text: &str) -> Option<Micros> {
    let text = text.trim();
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let fraction = fraction.get(..6).unwrap_or(fraction);
    Micros::parse(&format!("{whole}.{fraction}")).map(|amount| Micros(sign * amount.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balance_may_be_below_zero_and_has_any_number_of_decimals() {
        for (text, micros) in
            [("0.05", 50_000), ("-1.25", -1_250_000), ("12", 12_000_000), ("3.12345678", 3_123_456), ("0.00", 0)]
        {
            assert_eq!(signed(text), Some(Micros(micros)), "{text}");
        }
        for text in ["", "-", "much", "1.", "--1.00"] {
            assert_eq!(signed(text), None, "{text}");
        }
    }
}
