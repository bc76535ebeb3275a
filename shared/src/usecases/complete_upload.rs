//! A large file comes in parts, each in a request of its own; once all are there its rows are planned.

use jiff::Timestamp;

use super::send_message::{SendError, invalid};
use crate::context::Context;
use crate::domain::campaign::layout::{LARGEST_PART, MOST_PARTS};
use crate::domain::compose::FieldError;
use crate::domain::tenant::TenantId;
use crate::store::campaigns::{self, Campaign, Stage};

/// So many of the parts that are missing are named.
const MOST_NAMED: usize = 20;
/// Somebody else may change the campaign meanwhile.
const TRIES: u32 = 8;

/// Stores a part of a campaign's file, counted from 0, in place of what was there.
///
/// # Errors
/// [`SendError::Invalid`] if the campaign awaits no such part, [`SendError::TooLarge`] beyond [`LARGEST_PART`].
pub async fn put_campaign_part(
    cx: &Context,
    tenant: &TenantId,
    campaign: &Campaign,
    part: u32,
    bytes: &[u8],
    now: Timestamp,
) -> Result<(), SendError> {
    if campaign.stage != Stage::Uploading {
        let reason = "its file is complete: what is in it cannot be changed any more";
        return Err(invalid(FieldError::new("part", "not_uploading", reason)));
    }
    if part >= MOST_PARTS {
        let reason = format!(
            "parts are counted from 0, and a file has at most {MOST_PARTS} of at most {LARGEST_PART} bytes: cut it into larger \
             parts, or split it into several campaigns"
        );
        return Err(invalid(FieldError::new("part", "too_many", reason)));
    }
    if bytes.is_empty() {
        return Err(invalid(FieldError::new("part", "required", "the part is empty: send its bytes as the body")));
    }
    if bytes.len() > LARGEST_PART {
        return Err(SendError::TooLarge);
    }
    Ok(campaigns::put_part(cx.table().await?, tenant, &campaign.id, part, bytes, now).await?)
}

/// Says that the file of `campaign` has so many parts, and that they are all there: its rows are planned from now on.
/// Saying so again changes nothing.
///
/// # Errors
/// [`SendError::Invalid`] names the parts that are missing.
pub async fn complete_upload(
    cx: &Context,
    tenant: &TenantId,
    mut campaign: Campaign,
    parts: u32,
    now: Timestamp,
) -> Result<Campaign, SendError> {
    let table = cx.table().await?;
    for _ in 0..TRIES {
        if campaign.stage != Stage::Uploading {
            return if campaign.parts == parts { Ok(campaign) } else { Err(invalid(otherwise(&campaign))) };
        }
        if !(1..=MOST_PARTS).contains(&parts) {
            let reason = format!("a file has 1 to {MOST_PARTS} parts; split a larger one into several campaigns");
            return Err(invalid(FieldError::new("parts", "invalid", reason)));
        }
        let missing = campaigns::missing_parts(table, tenant, &campaign.id, parts).await?;
        if !missing.is_empty() {
            return Err(invalid(not_there(&missing)));
        }
        campaign.stage = Stage::Planning;
        campaign.parts = parts;
        campaign.due_at = now;
        if campaigns::update(table, tenant, &mut campaign).await? {
            return Ok(campaign);
        }
        let id = campaign.id;
        campaign = campaigns::get(table, tenant, &id).await?.ok_or_else(gone)?;
    }
    Err(invalid(FieldError::new("parts", "busy", "the campaign is changing all the time: try again")))
}

fn otherwise(campaign: &Campaign) -> FieldError {
    let reason = match campaign.parts {
        0 => "its file is not awaited any more".to_string(),
        parts => format!("its file was complete with {parts} parts"),
    };
    FieldError::new("parts", "not_uploading", reason)
}

fn gone() -> SendError {
    invalid(FieldError::new("parts", "not_uploading", "there is no such campaign any more"))
}

fn not_there(missing: &[u32]) -> FieldError {
    let named: Vec<String> = missing.iter().take(MOST_NAMED).map(ToString::to_string).collect();
    let more = if missing.len() > MOST_NAMED { format!(" and {} more", missing.len() - MOST_NAMED) } else { String::new() };
    let reason = format!("not there yet, counted from 0: {}{more}; PUT them, then say this again", named.join(", "));
    FieldError::new("parts", "missing_part", reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_parts_are_named_as_far_as_that_helps() {
        let all: Vec<u32> = (0..25).collect();

        assert!(not_there(&[3, 7]).reason.contains("from 0: 3, 7; PUT"));
        assert!(not_there(&all).reason.contains("19 and 5 more;"));
    }
}
