//! What came in: a text or a call of somebody's, as Twilio told of it, and what we made of it.

use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::channel::Channel;
use super::consent::Reading;
use super::message::MessageId;
use super::phone::{PhoneNumber, Region, Strictness};

/// What a message of kind `inbound` has beyond its text. All of it is personal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inbound {
    /// As Twilio gives it: `+1…`, `whatsapp:+1…`, a short code, a name.
    pub from: String,
    /// Which of the tenant's numbers it came to.
    pub to: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<Media>,
    /// Everything else that Twilio said, under its names: `ProfileName`, `ButtonPayload`, `Latitude`, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<(String, String)>,
    /// What it says about being messaged.
    #[serde(default)]
    pub reading: Reading,
    /// What it answers to a reminder that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<Answered>,
    /// The message that we answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<MessageId>,
    /// Whether the world was told of it: an event on the bus.
    #[serde(default)]
    pub told: bool,
}

/// A file that came with a text. It lies at Twilio, behind the account's credentials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Media {
    pub url: String,
    pub content_type: Option<String>,
}

/// An answer to a reminder, and which.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    pub answer: Answer,
    pub reminder: MessageId,
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    Number(PhoneNumber),
    /// No number: a short code, a name, a withheld caller. It gets no answers.
    Other(String),
}

impl Peer {
    /// Reads an address of Twilio's. A name may hold digits, and be no vanity number: `800FLOWERS`.
    pub fn parse(address: &str, region: &Region) -> Self {
        let address = address.trim();
        let bare = if is_whatsapp(address) { &address[WHATSAPP.len()..] } else { address };
        let is_number = bare.chars().all(|c| c.is_ascii_digit() || "+ ()-.".contains(c));
        match PhoneNumber::parse(bare, region, Strictness::Possible) {
            Ok(number) if is_number => Self::Number(number),
            _ => Self::Other(address.to_string()),
        }
    }

    pub fn number(&self) -> Option<&PhoneNumber> {
        match self {
            Self::Number(number) => Some(number),
            Self::Other(_) => None,
        }
    }

    /// What a conversation with it is found by.
    pub fn address(&self) -> &str {
        match self {
            Self::Number(number) => number.e164(),
            Self::Other(name) => name,
        }
    }
}

const WHATSAPP: &str = "whatsapp:";

fn is_whatsapp(address: &str) -> bool {
    address.get(..WHATSAPP.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(WHATSAPP))
}

/// The channel of a text from `from` with so many media.
pub fn channel(from: &str, media: usize) -> Channel {
    match (is_whatsapp(from.trim_start()), media) {
        (true, _) => Channel::Whatsapp,
        (false, 0) => Channel::Sms,
        (false, _) => Channel::Mms,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn whoever_writes_has_one_address_on_every_channel() {
        let region = Region::try_from("US".to_string()).unwrap();
        for written in ["+15550100201", "whatsapp:+15550100201", " WhatsApp:+15550100201"] {
            assert_eq!(Peer::parse(written, &region).address(), "+15550100201", "{written}");
        }
        for written in ["22395", "Twilio", "800FLOWERS", "client:alice", "messenger:15550100201", "anonymous", ""] {
            assert_eq!(Peer::parse(written, &region), Peer::Other(written.into()), "{written}");
        }
        assert_eq!(channel("whatsapp:+1555", 2), Channel::Whatsapp);
        assert_eq!((channel("+1555", 0), channel("+1555", 1)), (Channel::Sms, Channel::Mms));
    }
}
