//! A campaign: one text for every row of a file, a list or groups (S1-02, S2-01).
//!
//! What it says and to whom is fixed when it is asked for ([`Terms`]). Each row is weighed once ([`assess`]), in the
//! order of the file; a preview and the run weigh by the same functions, so that what was shown is what goes.

pub mod assess;
pub(crate) mod cells;
mod consent_columns;
mod dates;
pub mod finish;
pub mod guard;
mod last_order;
pub mod layout;
pub mod summary;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::channel::Channel;
use super::contact::{Category, attribute_key};
use super::message::{Content, MessageId};
use super::money::Micros;
use super::phone::PhoneNumber;
use super::template::{MissingVariable, NamedTemplate};
use super::tenant::{Settings, TenantId};

/// The id of a campaign begins with it.
pub const PREFIX: &str = "campaign_";

/// The id of the message of a row, counted from 0 in the order of the file.
pub fn row_id(tenant: &TenantId, campaign: &str, row: u32) -> MessageId {
    MessageId::derive(tenant, &["campaign", campaign, &row.to_string()])
}

/// What a campaign says, and to whom it may.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// `Sms`, `Mms` or `Whatsapp`.
    pub channel: Channel,
    pub category: Category,
    /// As it was when the campaign was asked for, with what the guard rails add.
    pub text: NamedTemplate,
    /// The template of the tenant's or the catalogue's that it was made from.
    pub template: Option<String>,
    /// Values that are the same for every row; a column of the file goes first.
    pub variables: BTreeMap<String, String>,
    pub media_urls: Vec<String>,
    /// The column of the numbers, by `attribute_key`, where the header does not say.
    pub phone_column: Option<String>,
    /// Only those whose last order is at least so many days ago; 0 for everybody. When absent: 30 if the file has a
    /// column for it (D11).
    pub lapsed_after_days: Option<u32>,
}

/// What a row's message says.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    pub body: String,
    /// For Twilio's approved template instead, where the channel is WhatsApp and the template has one.
    pub content: Option<Content>,
}

impl Terms {
    /// What the message of a row says whose variables have these values, in the order of the text's variables; an empty
    /// one is none.
    ///
    /// # Errors
    /// [`MissingVariable`] for one without a value and without a default.
    pub fn say(&self, values: &[impl AsRef<str>]) -> Result<Said, MissingVariable> {
        let names = self.text.text.variables();
        let value = |name: &str| {
            let at = names.iter().position(|known| *known == name)?;
            values.get(at).map(|value| Cow::Borrowed(value.as_ref()))
        };
        let body = self.text.text.render(value)?;
        // What fills Twilio's template is named as loosely as columns are.
        let spelt = |name: &str| names.iter().copied().find(|known| attribute_key(known) == attribute_key(name));
        let sid = self.text.content_sid.as_ref().filter(|_| self.channel == Channel::Whatsapp);
        let content = sid.map(|sid| {
            let filled = self.text.content_variables.iter().enumerate().map(|(at, name)| {
                let name = spelt(name).unwrap_or(name);
                let default = self.text.text.default_of(name).map(Cow::Borrowed);
                let value = value(name).filter(|value| !value.is_empty()).or(default).unwrap_or_default();
                ((at + 1).to_string(), value.into_owned())
            });
            Content { sid: sid.clone(), variables: filled.collect() }
        });
        Ok(Said { body, content })
    }
}

/// Why a row gets no message, as it was planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Excluded {
    /// The row cannot be made out.
    Unreadable,
    NoNumber,
    InvalidNumber,
    UnknownContact,
    /// An earlier row goes to the same number.
    Duplicate,
    OptedOut,
    NotLapsed,
    /// It is not known when they ordered last.
    UnknownDate,
    MissingVariable,
    /// Longer than Twilio takes.
    TooLong,
}

impl Excluded {
    pub const ALL: [Excluded; 10] = [
        Excluded::Unreadable,
        Excluded::NoNumber,
        Excluded::InvalidNumber,
        Excluded::UnknownContact,
        Excluded::Duplicate,
        Excluded::OptedOut,
        Excluded::NotLapsed,
        Excluded::UnknownDate,
        Excluded::MissingVariable,
        Excluded::TooLong,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Excluded::Unreadable => "unreadable",
            Excluded::NoNumber => "no_number",
            Excluded::InvalidNumber => "invalid_number",
            Excluded::UnknownContact => "unknown_contact",
            Excluded::Duplicate => "duplicate",
            Excluded::OptedOut => "opted_out",
            Excluded::NotLapsed => "not_lapsed",
            Excluded::UnknownDate => "unknown_date",
            Excluded::MissingVariable => "missing_variable",
            Excluded::TooLong => "too_long",
        }
    }
}

/// Why a row gets nothing.
#[derive(Clone, Debug, PartialEq)]
struct Refusal {
    why: Excluded,
    detail: Option<String>,
}

impl Refusal {
    fn new(why: Excluded, detail: impl Into<String>) -> Self {
        Self { why, detail: Some(detail.into()) }
    }
}

/// A row, as planned. Short names: there are very many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The first physical line of the row; the first line of a file is 1.
    #[serde(rename = "l")]
    pub line: u32,
    /// In E.164, or as it was written if that is no number; empty if there is none.
    #[serde(rename = "t", default, skip_serializing_if = "String::is_empty")]
    pub to: String,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    #[serde(flatten)]
    pub fate: Fate,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fate {
    /// It gets a message.
    #[serde(rename = "g")]
    Goes {
        /// Of the text's variables, in their order.
        #[serde(rename = "v", default, skip_serializing_if = "Vec::is_empty")]
        values: Vec<String>,
        /// What it is billed as: segments or messages.
        #[serde(rename = "u")]
        units: u32,
    },
    #[serde(rename = "x")]
    Excluded {
        #[serde(rename = "w")]
        why: Excluded,
        /// For people: which line it repeats, which variable is missing.
        #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
}

impl Row {
    /// What it is billed as, if it gets a message.
    pub fn units(&self) -> Option<u32> {
        match &self.fate {
            Fate::Goes { units, .. } => Some(*units),
            Fate::Excluded { .. } => None,
        }
    }

    /// What its message costs over `channel`, if it gets one.
    pub fn cost(&self, settings: &Settings, channel: Channel) -> Micros {
        let number = self.units().and_then(|_| PhoneNumber::from_e164(&self.to));
        let price = number.map_or(Micros::default(), |number| settings.price(channel, &number));
        Micros(price.0 * i64::from(self.units().unwrap_or_default()))
    }
}

/// A restaurant that has set no more than it must, for tests.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) fn pizza_palace() -> Settings {
    let json = r#"{"name": "Pizza Palace", "timeZone": "America/New_York", "defaultRegion": "US",
        "budget": {"currency": "USD"}}"#;
    serde_json::from_str(json).unwrap()
}
