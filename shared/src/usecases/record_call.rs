//! Somebody calls us: the call is stored, and a key pressed in it is obeyed.

use jiff::Timestamp;

use super::record_inbound::inbound_id;
use super::tell_of_inbound::{tell_of_inbound, tell_of_wish};
use crate::context::{Context, ContextError};
use crate::domain::channel::Channel;
use crate::domain::consent::{Manner, Scope, Wish};
use crate::domain::conversation::Conversation;
use crate::domain::evidence::{Entry, Method};
use crate::domain::inbound::{Inbound, Peer};
use crate::domain::message::{Facts, Message, Status, Step};
use crate::domain::phone::PhoneNumber;
use crate::domain::reminder::Kind;
use crate::domain::tenant::TenantId;
use crate::store::beside;
use crate::store::consents;
use crate::store::messages::{self, Change, Written};
use crate::store::{StoreError, conversations, write_all_if};
use crate::telemetry::{self, Metric};

/// A call as Twilio tells of it.
#[derive(Clone, Debug, Default)]
pub struct Ringing {
    pub sid: String,
    /// May be no number at all.
    pub from: String,
    /// Which of the tenant's numbers was called.
    pub to: String,
    /// Everything else that Twilio said.
    pub params: Vec<(String, String)>,
}

const TRIES: u32 = 8;

/// Stores a call that comes in, once.
///
/// # Errors
/// Nothing was written: Twilio rings again, or the caller hears nothing.
pub async fn record_call(cx: &Context, tenant: &TenantId, call: &Ringing, now: Timestamp) -> Result<(), ContextError> {
    let settings = cx.settings(tenant, now).await?;
    let table = cx.table().await?;
    let peer = Peer::parse(&call.from, &settings.default_region);
    let id = inbound_id(tenant, &call.sid);
    for _ in 0..TRIES {
        let known = beside::read(table, tenant, &id, peer.address()).await?;
        if let Some(message) = &known.message {
            tell_of_inbound(cx, tenant, message).await?;
            return Ok(());
        }
        let inbound = Inbound {
            from: call.from.clone(),
            to: call.to.clone(),
            media: Vec::new(),
            params: call.params.clone(),
            reading: Default::default(),
            answers: None,
            reply: None,
            told: false,
        };
        let message = Message {
            contact: known.contact().cloned(),
            channel: Some(Channel::Voice),
            inbound: Some(Box::new(inbound)),
            // Where its status callbacks begin.
            status: Status::Ringing,
            decided_at: Some(now),
            to: peer.number().cloned(),
            sid: Some(call.sid.clone()),
            ..Message::waiting(id.clone(), Kind::Inbound, Facts::Direct, now, Step::new(now, "received"))
        };
        let conversation = known.conversation.unwrap_or_else(|| Conversation::new(peer.address(), Channel::Voice, now));
        let conversation = conversation.called(now);
        let writes = vec![messages::creating(table, tenant, &message)?, conversations::change(table, tenant, conversation)?];
        if write_all_if(table, writes).await? {
            telemetry::message(tenant, &message);
            telemetry::count(Metric::Inbound);
            tell_of_inbound(cx, tenant, &message).await?;
            return Ok(());
        }
    }
    Err(StoreError::Unreachable("a conversation kept changing".into()).into())
}

/// Whoever is at the other end of call `sid` wants nothing more. Pressed once, however often Twilio says so.
pub async fn record_keypress(
    cx: &Context,
    tenant: &TenantId,
    sid: &str,
    number: &PhoneNumber,
    now: Timestamp,
) -> Result<(), ContextError> {
    let table = cx.table().await?;
    if consents::is_recorded(table, tenant, number, sid).await? {
        return Ok(());
    }
    let entry = Entry {
        number: number.clone(),
        at: now,
        wish: Wish::Stop(Scope::All),
        method: Method::Keypress,
        source: sid.to_string(),
        by: None,
        reason: None,
    };
    consents::record(table, tenant, &entry).await?;
    tell_of_wish(cx, tenant, number, &entry.wish, now).await;
    tracing::info!(%tenant, sid, from = ?number, "an opt-out by keypress was recorded");
    // Of a call that came in, so that whoever looks at it sees why.
    let id = inbound_id(tenant, sid);
    for _ in 0..TRIES {
        let Some(mut call) = messages::get_many(table, tenant, std::slice::from_ref(&id)).await?.pop() else { break };
        let Some(inbound) = &mut call.inbound else { break };
        inbound.reading.wish = Some((entry.wish.clone(), Manner::Keyword));
        call.timeline.push(Step::with(now, "pressed", 9));
        if messages::write(table, tenant, &[Change::of(call)], None).await? == [Written::Won] {
            break;
        }
    }
    Ok(())
}
