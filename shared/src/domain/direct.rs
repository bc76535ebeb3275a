//! What whoever asks for a message wants of it, beyond whom it is for and what it says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::channel::Channel;
use super::contact::Category;
use super::reminder::Kind;

/// What whoever asked for a message wants of it, beyond its text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Direct {
    pub category: Category,
    /// The channels it goes over; empty to let contact and tenant choose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<Channel>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media_urls: Vec<String>,
    /// An approved template of Twilio's, instead of free text (D14).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Call>,
    /// The template of ours that its text was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The caller's own word for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What it belongs to at the caller's: `customerId`, `orderId`, … (S3-48).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<String, String>,
    /// Who asked (S3-47).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_by: Option<String>,
    /// Fingerprint of the request: the same key with another request is a conflict.
    pub fingerprint: String,
    /// The sender whose clock gave it its `due_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot_of: Option<String>,
}

impl Direct {
    /// Of a message that was planned, which wants nothing but the content template of its type.
    pub fn only_content(kind: Kind, content: Content) -> Box<Self> {
        Box::new(Self { content: Some(content), ..Self::of(kind.category()) })
    }

    /// Nothing but a category.
    pub fn of(category: Category) -> Self {
        Self {
            category,
            channels: Vec::new(),
            media_urls: Vec::new(),
            content: None,
            call: None,
            template: None,
            reference: None,
            links: BTreeMap::new(),
            sent_by: None,
            fingerprint: String::new(),
            slot_of: None,
        }
    }
}

/// A Content template and what fills it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// `HX…`.
    pub sid: String,
    pub variables: BTreeMap<String, String>,
}

/// How a call goes. What is said is the message's body, unless TwiML elsewhere says it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// TwiML that somebody else serves (S1-78).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twiml_url: Option<String>,
    /// Twilio's name of a voice: `alice`, `Polly.Joanna`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice: Option<String>,
    /// BCP 47: `en-US`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Whether Twilio is to tell a machine from a person.
    #[serde(default)]
    pub detect_machine: bool,
    /// It is ended after so many minutes, and may cost as many.
    #[serde(default)]
    pub max_minutes: u32,
}
