//! What a message costs in the end: by Twilio's own price, by the minutes of a call, or after all.

use jiff::Timestamp;

use crate::context::{Context, ContextError};
use crate::domain::channel::Channel;
use crate::domain::message::{Message, Status};
use crate::domain::money::Micros;
use crate::domain::tenant::{Settings, TenantId};
use crate::store::Table;
use crate::store::messages::{self, Change, Written};

/// Charges `message` what it costs by all that Twilio said: spent is spent, whatever the limit says.
/// Writes nothing while that is what was charged already.
pub(super) async fn settle(cx: &Context, tenant: &TenantId, message: &Message, now: Timestamp) -> Result<(), ContextError> {
    if message.month.is_none() {
        return Ok(());
    }
    let settings = cx.settings(tenant, now).await?;
    if charged(&settings, message).is_none() {
        return Ok(());
    }
    charge(cx.table().await?, tenant, &settings, message.clone()).await
}

/// `message` with what it really costs, if that is another amount than was charged.
fn charged(settings: &Settings, message: &Message) -> Option<Message> {
    let (channel, to) = (message.channel?, message.to.as_ref()?);
    let price = |units: u32| Micros(settings.price(channel, to).0 * i64::from(units));
    let told = message.told_price(&settings.budget.currency);
    let (cost, segments) = match (channel, message.duration) {
        // By its begun minutes, which may be fewer or more than were reserved.
        (Channel::Voice, Some(secs)) => {
            let minutes = secs.div_ceil(60);
            (told.unwrap_or(price(minutes)), Some(minutes))
        }
        // Given up as never sent, its money given back, and sent after all.
        _ if message.cost.is_none() && message.sid.is_some() && message.status != Status::Failed => {
            (told.unwrap_or(price(message.segments?)), message.segments)
        }
        _ => (told?, message.segments),
    };
    (message.cost != Some(cost)).then(|| Message { cost: Some(cost), segments, ..message.clone() })
}

/// Changes go through after so many looks, unless callbacks keep coming.
const TRIES: u32 = 8;

/// Writes what `message`, as it was just read, is charged.
async fn charge(table: &Table, tenant: &TenantId, settings: &Settings, mut message: Message) -> Result<(), ContextError> {
    for _ in 0..TRIES {
        let before = message.cost.unwrap_or_default();
        let (Some(month), Some(charged)) = (message.month.clone(), charged(settings, &message)) else { return Ok(()) };
        let difference = Micros(charged.cost.unwrap_or_default().0 - before.0);
        let id = message.id.clone();
        if messages::write(table, tenant, &[Change::of(charged).charging(&month, difference)], None).await? == [Written::Won] {
            return Ok(());
        }
        let Some(fresh) = messages::get_many(table, tenant, &[id]).await?.pop() else { return Ok(()) };
        message = fresh;
    }
    tracing::warn!(%tenant, id = %message.id, "callbacks kept changing the message: its cost is what was reserved");
    Ok(())
}
