//! Looks, chunk by chunk, whether each row of a campaign that goes has its message, and makes those that are missing.
//! Then the rows no longer say what their messages say.

use jiff::{SignedDuration, Timestamp};

use super::open_campaign::message;
use crate::context::{Context, ContextError};
use crate::domain::campaign::{Fate, Row, row_id};
use crate::domain::message::{Message, MessageId};
use crate::domain::tenant::TenantId;
use crate::store::campaigns::{self, Campaign, Stage};
use crate::store::{StoreError, Table, erasure, keys, messages};

/// What is missing is made later while the campaign is paused or its tenant switched off.
const HELD_UP: SignedDuration = SignedDuration::from_mins(10);

/// Goes through the next chunk; after the last the campaign is done. Whether the campaign was still as it was read.
pub async fn check_step(cx: &Context, tenant: &TenantId, campaign: &mut Campaign, now: Timestamp) -> Result<bool, ContextError> {
    let table = cx.table().await?;
    let chunk = campaign.checked;
    let (first, rows) = campaigns::chunk(table, tenant, &campaign.id, chunk).await?;
    let missing = missing(table, tenant, campaign, first, &rows).await?;
    if !missing.is_empty() {
        let settings = cx.settings(tenant, now).await?;
        if campaign.paused.is_some() || !settings.is_on() {
            campaign.due_at = now + HELD_UP;
            return Ok(campaigns::update(table, tenant, campaign).await?);
        }
        let sender = settings.sender(campaign.terms.channel).unwrap_or_default();
        let made: Vec<Message> = missing
            .iter()
            .filter_map(|(number, row)| match message(tenant, campaign, sender, *number, row, now) {
                Ok(message) => Some(message),
                Err(missing) => {
                    tracing::error!(%tenant, campaign = campaign.id, row = number, %missing, "a row has no text");
                    None
                }
            })
            .collect();
        let mended = messages::create(table, tenant, made).await?;
        tracing::warn!(%tenant, campaign = campaign.id, chunk, mended, "messages of a campaign were missing, and are made now");
        campaign.mended += mended as u32;
    }
    campaign.due_at = now;
    if chunk + 1 >= campaign.chunks {
        campaign.stage = Stage::Done;
        campaign.finished_at = Some(now);
    }
    Ok(done_with(table, tenant, campaign, first, rows).await?)
}

/// The rows that go and have no message, by their number. None of a campaign whose first messages are no longer kept: they
/// are not missing, and nobody gets them twice.
async fn missing<'a>(
    table: &Table,
    tenant: &TenantId,
    campaign: &Campaign,
    first: u32,
    rows: &'a [Row],
) -> Result<Vec<(u32, &'a Row)>, StoreError> {
    let began = keys::day(campaign.started_at.unwrap_or(campaign.created_at));
    let swept = erasure::swept(table, tenant).await?;
    if swept.messages_before.is_some_and(|day| began < day) {
        return Ok(Vec::new());
    }
    let going: Vec<(u32, &Row)> = (first..).zip(rows).filter(|(_, row)| is_for_somebody(row)).collect();
    let ids: Vec<MessageId> = going.iter().map(|(number, _)| row_id(tenant, &campaign.id, *number)).collect();
    let known = messages::existing(table, tenant, &ids).await?;
    let with_ids = going.into_iter().zip(ids);
    Ok(with_ids.filter(|(_, id)| !known.contains(id)).map(|(numbered, _)| numbered).collect())
}

/// Whether it goes. One that went to somebody who is forgotten goes to nobody any more.
fn is_for_somebody(row: &Row) -> bool {
    row.units().is_some() && (row.contact.is_some() || !row.to.is_empty())
}

/// Writes that the next chunk is done with, in the place of its `rows`, of which the first is the row `first`. What they
/// say stands in their messages; personal data is kept once. Whether the campaign was still as it was read.
pub(super) async fn done_with(
    table: &Table,
    tenant: &TenantId,
    campaign: &mut Campaign,
    first: u32,
    mut rows: Vec<Row>,
) -> Result<bool, StoreError> {
    let chunk = campaign.checked;
    campaign.checked = campaign.chunks.min(chunk + 1);
    silence(&mut rows);
    campaigns::replace_chunk(table, tenant, campaign, chunk, first, &rows).await
}

/// Takes from `rows` what they say.
fn silence(rows: &mut [Row]) {
    for row in rows {
        if let Fate::Goes { values, .. } = &mut row.fate {
            values.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::campaign::Excluded;

    fn row(to: &str, fate: Fate) -> Row {
        Row { line: 2, to: to.into(), contact: None, fate }
    }

    #[test]
    fn only_rows_that_go_to_somebody_are_looked_for() {
        let goes = || Fate::Goes { values: vec!["Ana".into()], units: 1 };
        let excluded = Fate::Excluded { why: Excluded::OptedOut, detail: None };
        assert!(is_for_somebody(&row("+15550100201", goes())));
        assert!(is_for_somebody(&Row { contact: Some("ana".into()), ..row("", goes()) }));
        assert!(!is_for_somebody(&row("", goes())), "forgotten");
        assert!(!is_for_somebody(&row("+15550100201", excluded)));
    }

    #[test]
    fn a_row_that_went_says_nothing_any_more() {
        let excluded = row("x", Fate::Excluded { why: Excluded::InvalidNumber, detail: Some("too short".into()) });
        let mut rows = [row("+15550100201", Fate::Goes { values: vec!["Ana".into()], units: 2 }), excluded.clone()];
        silence(&mut rows);
        assert_eq!(rows, [row("+15550100201", Fate::Goes { values: Vec::new(), units: 2 }), excluded]);
    }
}
