//! Twilio refuses with 21610: the number had opted out there (D3). It has here, too, from then on.

use jiff::Timestamp;

use super::tell_of_inbound::tell_of_wish;
use crate::context::{Context, ContextError};
use crate::domain::consent::{Scope, Wish};
use crate::domain::evidence::{Entry, Method};
use crate::domain::message::{Message, MessageId};
use crate::domain::phone::PhoneNumber;
use crate::domain::tenant::TenantId;
use crate::store::consents;

/// The recipient has unsubscribed at Twilio (D3).
pub const UNSUBSCRIBED: u32 = 21610;

/// Records it once for each message. Not against a START that came after the message went: Twilio judged before.
pub(super) async fn record_refusal(
    cx: &Context,
    tenant: &TenantId,
    message: &Message,
    at: Timestamp,
) -> Result<(), ContextError> {
    let Some(number) = &message.to else { return Ok(()) };
    let table = cx.table().await?;
    let entry = refusal(number, &message.id, at);
    let went = message.decided_at.unwrap_or(at);
    let history = consents::history(table, tenant, number).await?;
    let is_known = history.iter().any(|known| known.source == entry.source);
    let is_outdated = history.iter().any(|known| matches!(known.wish, Wish::Start(_)) && known.at > went);
    if is_known || is_outdated {
        return Ok(());
    }
    consents::record(table, tenant, &entry).await?;
    tell_of_wish(cx, tenant, number, &entry.wish, at).await;
    Ok(())
}

/// The wish that a refusal of message `id` tells of.
pub(super) fn refusal(number: &PhoneNumber, id: &MessageId, at: Timestamp) -> Entry {
    Entry {
        number: number.clone(),
        at,
        wish: Wish::Stop(Scope::All),
        method: Method::Refusal,
        source: id.to_string(),
        by: None,
        reason: None,
    }
}
