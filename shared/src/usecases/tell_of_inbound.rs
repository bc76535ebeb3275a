//! Tells the world what came in: events on the bus, for the tenant's own systems.
//!
//! The message itself says whether it was told; one that was not is due, and the minute tick tells of it.
//! An event may come twice, as EventBridge's own do, never not at all. It names ids; numbers and texts are
//! for whoever may ask for them.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::context::{Context, ContextError};
use crate::domain::answer::Answer;
use crate::domain::channel::Channel;
use crate::domain::consent::{Manner, Scope, Wish};
use crate::domain::message::Message;
use crate::domain::phone::PhoneNumber;
use crate::domain::tenant::TenantId;
use crate::events::{self, EventsError};
use crate::store::conversations::ConversationId;
use crate::store::messages::{self, Change};
use crate::telemetry::{Chain, Metric, count};

/// Twilio waits for our answer meanwhile; whatever takes longer is told later.
const PATIENCE: Duration = Duration::from_secs(1);

async fn publish(cx: &Context, events: &[(&str, Value)]) -> Result<(), EventsError> {
    let published = tokio::time::timeout(PATIENCE, events::publish(&cx.events, &cx.config.event_bus, events));
    published.await.unwrap_or_else(|late| Err(EventsError::Unreachable(Box::new(late))))
}

/// Publishes what `message` brought about, unless it was told before. Whether that is done: if the bus cannot be
/// reached, the message stays due.
pub async fn tell_of_inbound(cx: &Context, tenant: &TenantId, message: &Message) -> Result<bool, ContextError> {
    let Some(inbound) = message.inbound.as_ref().filter(|inbound| !inbound.told) else { return Ok(true) };
    let table = cx.table().await?;
    let conversation = message.peer().map(|peer| ConversationId::of(table, &peer).to_string());
    let told = events_of(tenant, message, conversation);
    if let Err(error) = publish(cx, &told).await {
        tracing::error!(%tenant, id = %message.id, error = %Chain(&error), "nobody could be told of what came in");
        return Ok(false);
    }
    let mut inbound = inbound.clone();
    inbound.told = true;
    let told = Message { inbound: Some(inbound), ..message.clone() };
    // Whoever else told of it meanwhile has noted it, or changed it: then it is told once more.
    messages::write(table, tenant, &[Change::of(told)], None).await?;
    Ok(true)
}

/// The events that `message` brought about, by name.
fn events_of(tenant: &TenantId, message: &Message, conversation: Option<String>) -> Vec<(&'static str, Value)> {
    let Some(inbound) = &message.inbound else { return Vec::new() };
    let about = json!({
        "tenant": tenant,
        "message": message.id,
        "conversation": conversation,
        "contact": message.contact,
        "channel": message.channel,
        "at": message.due_at,
        "review": inbound.reading.review,
    });
    let with = |more: Value| {
        let mut detail = about.clone();
        if let (Value::Object(detail), Value::Object(more)) = (&mut detail, more) {
            detail.extend(more);
        }
        detail
    };
    let is_call = message.channel == Some(Channel::Voice);
    let mut events = vec![(if is_call { "call.received" } else { "message.received" }, about.clone())];
    if let Some((wish, manner)) = &inbound.reading.wish
        && let Some((name, more)) = event_of(wish, *manner == Manner::Phrase)
    {
        events.push((name, with(more)));
    }
    if let Some(answered) = &inbound.answers {
        let name = match answered.answer {
            Answer::Confirmed => "lesson.confirmed",
            Answer::AnotherTime => "lesson.another_time",
        };
        events.push((name, with(json!({ "reminder": answered.reminder }))));
    }
    events
}

/// Tells of a wish that came by itself, and was recorded: by a key, by a refusal, or entered by somebody. Once, and not
/// again if the bus cannot be reached: whoever entered it knows.
pub(super) async fn tell_of_wish(cx: &Context, tenant: &TenantId, number: &PhoneNumber, wish: &Wish, at: Timestamp) {
    if matches!(wish, Wish::Stop(_)) {
        count(Metric::OptOuts);
    }
    let Ok(table) = cx.table().await else { return };
    let conversation = ConversationId::of(table, number.e164()).to_string();
    let Some((name, mut detail)) = event_of(wish, false) else { return };
    detail["tenant"] = json!(tenant);
    detail["conversation"] = json!(conversation);
    detail["at"] = json!(at);
    if let Err(error) = publish(cx, &[(name, detail)]).await {
        tracing::error!(%tenant, error = %Chain(&error), "nobody could be told of a wish");
    }
}

fn event_of(wish: &Wish, is_phrase: bool) -> Option<(&'static str, Value)> {
    let categories = |scope: &Scope| match scope {
        Scope::All => Value::Null,
        Scope::Only(categories) => json!(categories),
    };
    match wish {
        Wish::Stop(scope) => Some(("opt_out.recorded", json!({ "categories": categories(scope), "phrase": is_phrase }))),
        Wish::Start(scope) => Some(("opt_in.recorded", json!({ "categories": categories(scope) }))),
        Wish::Help => None,
    }
}
