//! Evidence of consent: one wish of a number's, how it reached us and from where (S3-54, S3-55).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::consent::Wish;
use super::phone::PhoneNumber;

/// How a wish reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A text that is a keyword and nothing else.
    Keyword,
    /// A sentence in a text, read as an opt-out. Somebody should look at it.
    Phrase,
    /// A key pressed in a call.
    Keypress,
    /// Twilio refused with 21610: the number had opted out there.
    Refusal,
    WebForm,
    Written,
    Verbal,
    InPerson,
    /// Brought along from another system.
    Import,
    Other,
}

impl Method {
    pub fn word(self) -> &'static str {
        match self {
            Self::Keyword => "keyword",
            Self::Phrase => "phrase",
            Self::Keypress => "keypress",
            Self::Refusal => "refusal",
            Self::WebForm => "web_form",
            Self::Written => "written",
            Self::Verbal => "verbal",
            Self::InPerson => "in_person",
            Self::Import => "import",
            Self::Other => "other",
        }
    }
}

/// One wish of a number's. The number is gone once its contact was forgotten: whoever does not know it beforehand
/// reads an `Entry<Option<PhoneNumber>>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry<N = PhoneNumber> {
    pub number: N,
    pub at: Timestamp,
    pub wish: Wish,
    pub method: Method,
    /// The inbound text or call, the refused message, or the request: its id. With the instant it tells one
    /// entry from another.
    pub source: String,
    /// Who entered it, if it was not the number's owner.
    #[serde(default)]
    pub by: Option<String>,
    #[serde(default)]
    pub reason: Option<String>,
}
