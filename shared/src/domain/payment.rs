//! A payment: what is owed, by whom, until when.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::lesson::first_version;
use super::money::Money;

/// A payment as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Payment {
    /// The tenant's own id.
    pub id: String,
    /// The contact who owes it.
    pub contact: String,
    pub amount: Money,
    pub due_date: Date,
    pub course: Option<String>,
    pub status: PaymentStatus,
    /// Grows when the due date or the amount changes, and when a closed payment is due again.
    #[serde(default = "first_version")]
    pub version: u32,
    /// When this payment last changed, by the change's own time.
    #[serde(default)]
    pub changed_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PaymentStatus {
    Due,
    Paid,
    Void,
}

impl PaymentStatus {
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "due" => Some(Self::Due),
            "paid" => Some(Self::Paid),
            "void" => Some(Self::Void),
            _ => None,
        }
    }
}
