//! Channels, and what a contact or a message type chooses of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The medium a message travels by. Declared in the order in which messages of one instant go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    Sms,
    /// A text with pictures or other media.
    Mms,
    Whatsapp,
    /// A call.
    Voice,
}

impl Channel {
    /// Those that a contact or a type of message chooses among.
    pub const BY_CHOICE: [Channel; 2] = [Channel::Sms, Channel::Whatsapp];

    pub fn word(self) -> &'static str {
        match self {
            Channel::Sms => "sms",
            Channel::Mms => "mms",
            Channel::Whatsapp => "whatsapp",
            Channel::Voice => "voice",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A contact's own choice (S0-52).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChannelPreference {
    Sms,
    Whatsapp,
    Both,
}

impl ChannelPreference {
    /// `None` for a word that is none of `sms`, `whatsapp`, `both` in any case.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "sms" => Some(Self::Sms),
            "whatsapp" => Some(Self::Whatsapp),
            "both" => Some(Self::Both),
            _ => None,
        }
    }

    pub fn channels(self) -> &'static [Channel] {
        match self {
            Self::Sms => &[Channel::Sms],
            Self::Whatsapp => &[Channel::Whatsapp],
            Self::Both => &Channel::BY_CHOICE,
        }
    }
}
