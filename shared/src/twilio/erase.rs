//! Erasing at Twilio: a message's media and text, then the message itself; a call; and what was said with a number.
//!
//! From twilio.com/docs/messaging/api/message-resource (redact and delete), …/media-resource and
//! twilio.com/docs/voice/api/call-resource. A message is deleted only once its delivery is complete: 20009.

use jiff::Timestamp;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use super::client::{Resource, is_sid};
use super::rest::{Rest, RestError};

/// What was done at Twilio, in messages and calls, but for the media.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AtTwilio {
    /// Messages whose text was emptied.
    pub redacted: u32,
    pub media_deleted: u32,
    pub deleted: u32,
    /// Twilio did not know them any more.
    pub already_gone: u32,
    /// What could not be erased there in seven days.
    pub not_reached: u32,
}

impl AtTwilio {
    pub fn add(&mut self, other: Self) {
        self.redacted += other.redacted;
        self.media_deleted += other.media_deleted;
        self.deleted += other.deleted;
        self.already_gone += other.already_gone;
        self.not_reached += other.not_reached;
    }
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Gone(AtTwilio),
    /// Twilio keeps it until it has come to its end.
    NotYet,
}

/// Erases the message or call `sid`. Done again, it finds nothing.
///
/// # Errors
/// Twilio, or the account, cannot be reached now: nothing else can be erased either. Come back later.
pub async fn erase(rest: &Rest<'_>, sid: &str) -> Result<Fate, RestError> {
    if !is_sid(sid) {
        // Nothing of Twilio's.
        return Ok(Fate::Gone(AtTwilio::default()));
    }
    let erased = if sid.starts_with("CA") { erase_call(rest, sid).await } else { erase_message(rest, sid).await };
    match erased {
        Ok(done) => Ok(Fate::Gone(done)),
        Err(error) if is_about_it(&error) => Ok(Fate::NotYet),
        Err(error) => Err(error),
    }
}

/// Whether Twilio refused because of this message, and not because of the account or of how much it has to do.
fn is_about_it(error: &RestError) -> bool {
    match error {
        RestError::Refused { status, .. } => {
            let is_general = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS].contains(status);
            status.is_client_error() && !is_general
        }
        RestError::Unreachable(_) | RestError::Unreadable => false,
    }
}

async fn erase_call(rest: &Rest<'_>, sid: &str) -> Result<AtTwilio, RestError> {
    let was_there = rest.delete(&format!("/Calls/{sid}.json")).await?;
    Ok(removed(AtTwilio::default(), was_there))
}

async fn erase_message(rest: &Rest<'_>, sid: &str) -> Result<AtTwilio, RestError> {
    /// What we read of a message.
    #[derive(Deserialize)]
    struct Emptied {
        #[serde(default)]
        num_media: Option<String>,
    }
    let path = format!("/Messages/{sid}.json");
    // Its text first: that goes also while the message itself has to stay.
    let emptied: Emptied = match rest.post(&path, &[("Body", "")]).await {
        Ok(emptied) => emptied,
        Err(error) if error.is_not_found() => return Ok(removed(AtTwilio::default(), false)),
        Err(error) => return Err(error),
    };
    let mut done = AtTwilio { redacted: 1, ..AtTwilio::default() };
    if emptied.num_media.as_deref() != Some("0") {
        done.media_deleted = erase_media(rest, sid).await?;
    }
    let was_there = rest.delete(&path).await?;
    Ok(removed(done, was_there))
}

fn removed(done: AtTwilio, was_there: bool) -> AtTwilio {
    AtTwilio { deleted: u32::from(was_there), already_gone: u32::from(!was_there), ..done }
}

async fn erase_media(rest: &Rest<'_>, sid: &str) -> Result<u32, RestError> {
    #[derive(Deserialize)]
    struct Page {
        #[serde(default)]
        media_list: Vec<Medium>,
    }
    #[derive(Deserialize)]
    struct Medium {
        sid: String,
    }
    // A message has ten at most: they are one page.
    let page: Page = match rest.get(&format!("/Messages/{sid}/Media.json"), &[]).await {
        Ok(page) => page,
        Err(error) if error.is_not_found() => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut deleted = 0;
    let is_plain = |medium: &Medium| medium.sid.bytes().all(|byte| byte.is_ascii_alphanumeric());
    for medium in page.media_list.into_iter().filter(is_plain) {
        deleted += u32::from(rest.delete(&format!("/Messages/{sid}/Media/{}.json", medium.sid)).await?);
    }
    Ok(deleted)
}

/// Which end of a message or call somebody is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    To,
    From,
}

/// Something that Twilio lists.
#[derive(Clone, Debug, Deserialize)]
pub struct Listed {
    pub sid: String,
    date_created: String,
}

impl Listed {
    /// None for a date that cannot be read.
    pub fn created(&self) -> Option<Timestamp> {
        jiff::fmt::rfc2822::parse(&self.date_created).ok().map(|at| at.timestamp())
    }
}

/// So much is listed at once.
pub const LISTED: usize = 50;

/// The latest messages or calls to or from `address`, at most [`LISTED`].
///
/// # Errors
/// As [`erase`].
pub async fn list(rest: &Rest<'_>, resource: Resource, end: End, address: &str) -> Result<Vec<Listed>, RestError> {
    #[derive(Deserialize)]
    struct Page {
        #[serde(alias = "calls")]
        messages: Vec<Listed>,
    }
    let path = match resource {
        Resource::Messages => "/Messages.json",
        Resource::Calls => "/Calls.json",
    };
    let name = match end {
        End::To => "To",
        End::From => "From",
    };
    let page: Page = rest.get(path, &[(name, address), ("PageSize", &LISTED.to_string())]).await?;
    Ok(page.messages)
}
