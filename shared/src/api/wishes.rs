//! How callers say what they want sent; shared by single messages, lists, calls and previews.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;

use super::problem::Problem;
use crate::domain::channel::Channel;
use crate::domain::local_time::Zone;
use crate::domain::message::Content;
use crate::domain::recurrence::Recurrence;
use crate::domain::tenant::Settings;

/// The channels that a caller may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChannelChoice {
    Sms,
    Mms,
    Whatsapp,
    /// SMS and WhatsApp (S0-08).
    Both,
}

impl ChannelChoice {
    pub fn channels(self) -> Vec<Channel> {
        match self {
            Self::Sms => vec![Channel::Sms],
            Self::Mms => vec![Channel::Mms],
            Self::Whatsapp => vec![Channel::Whatsapp],
            Self::Both => Channel::BY_CHOICE.to_vec(),
        }
    }
}

/// A variable's value: a text, a number, or yes and no.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "a text, a number, true or false")]
pub enum Value {
    Text(String),
    #[schema(value_type = f64)]
    Number(serde_json::Number),
    Flag(bool),
}

impl Value {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
        }
    }
}

pub fn texts(values: Option<BTreeMap<String, Value>>) -> BTreeMap<String, String> {
    values.unwrap_or_default().into_iter().map(|(name, value)| (name, value.into_text())).collect()
}

/// One URL, or several (S4-10).
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "a URL or a list of URLs")]
pub enum Urls {
    One(String),
    Several(Vec<String>),
}

impl Urls {
    pub fn into_list(self) -> Vec<String> {
        match self {
            Self::One(url) => vec![url],
            Self::Several(urls) => urls,
        }
    }
}

/// When something recurs.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Repeat {
    /// Minute, hour, day of month, month, day of week: `0 9 * * *`.
    cron: String,
    /// An IANA zone; the tenant's when absent.
    time_zone: Option<String>,
    until: Option<Timestamp>,
}

impl Repeat {
    /// # Errors
    /// 422 with the field that cannot be right.
    pub fn into_recurrence(self, settings: &Settings) -> Result<Recurrence, Problem> {
        let zone = match self.time_zone {
            Some(name) => Zone::parse(&name).map_err(|error| Problem::field("repeat.timeZone", "invalid", error))?,
            None => settings.time_zone.clone(),
        };
        Recurrence::parse(&self.cron, zone, self.until).map_err(|error| Problem::field("repeat.cron", "invalid", error))
    }
}

/// The caller's own ids of what a message belongs to (S3-48).
pub fn links(of: [(&str, Option<String>); 3]) -> BTreeMap<String, String> {
    of.into_iter().filter_map(|(name, id)| Some((name.to_string(), id?))).collect()
}

pub fn content(sid: Option<String>, variables: Option<BTreeMap<String, Value>>) -> Option<Content> {
    // Variables without a template are told as a template that is none.
    let sid = sid.or_else(|| variables.as_ref().map(|_| String::new()))?;
    Some(Content { sid, variables: texts(variables) })
}
