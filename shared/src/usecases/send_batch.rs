//! Sends many messages that are asked for at once (S1-02, S1-37, S1-39, S3-24..26, S4-06, S4-07).
//!
//! Each row has its own outcome, and a bad one stops nothing. What is accepted is stored whole in one
//! transaction, so it is finished even if this process dies; what is refused writes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::dispatch::now::length;
use super::open_batch::open_batch;
use super::send_message::{SendError, fingerprint, signed};
use crate::context::Context;
use crate::domain::catalogue::template_key;
use crate::domain::channel::Channel;
use crate::domain::compose::{FieldError, Known, Wish, billed_units, compose};
use crate::domain::contact::Contact;
use crate::domain::message::{Message, MessageId, derived};
use crate::domain::money::Micros;
use crate::domain::policy::{self, Question};
use crate::domain::tenant::{Settings, TenantId};
use crate::store::batches::{self, Batch, Created, Stage};
use crate::store::{contacts, templates};
use crate::telemetry::Chain;

/// Many wishes, and who has them.
#[derive(Clone, Debug, serde::Serialize)]
pub struct BatchRequest {
    pub wishes: Vec<Wish>,
    pub name: Option<String>,
    /// Keep it until somebody lets it go.
    pub is_held: bool,
    /// For calls: whether the caller knows that each costs money (S1-33).
    pub is_cost_confirmed: Option<bool>,
    #[serde(skip)]
    pub key: String,
    #[serde(skip)]
    pub sent_by: Option<String>,
}

/// So many rows fit one request; more are a campaign.
pub const MOST_ROWS: usize = 2_000;

/// The id of a batch begins with it.
pub const BATCH_PREFIX: &str = "batch_";

/// The id of the message of a row.
pub fn row_id(tenant: &TenantId, batch: &str, row: u32) -> MessageId {
    MessageId::derive(tenant, &["row", batch, &row.to_string()])
}

/// Accepts what is right of `request`, or says what became of it when it was first asked.
///
/// # Errors
/// [`SendError::Invalid`] if no row is right, [`SendError::TooLarge`] beyond [`MOST_ROWS`].
pub async fn send_batch(cx: &Context, tenant: &TenantId, request: &BatchRequest, now: Timestamp) -> Result<Batch, SendError> {
    let table = cx.table().await?;
    let id = format!("{BATCH_PREFIX}{}", derived(tenant, &["batch", &request.key]));
    let fingerprint = fingerprint(tenant, request);
    if let Some(known) = batches::get(table, tenant, &id).await? {
        return if known.fingerprint == fingerprint { Ok(known) } else { Err(SendError::KeyTaken) };
    }
    if request.wishes.len() > MOST_ROWS {
        return Err(SendError::TooLarge);
    }
    let settings = cx.settings(tenant, now).await?;
    let (mut rows, refused) = compose_rows(cx, tenant, &settings, request, &id, now).await?;
    if rows.is_empty() {
        return Err(SendError::Invalid(refused));
    }
    confirm_cost(&settings, request, &rows)?;
    let is_paced = request.wishes.iter().all(|wish| wish.send_at.is_none());
    let busy = if is_paced { pace(&settings, &mut rows) } else { BTreeMap::new() };
    let mut batch = Batch {
        id,
        name: request.name.clone(),
        fingerprint,
        created_at: now,
        asked: request.wishes.len() as u32,
        refused,
        chunks: 0,
        stage: if request.is_held { Stage::Held } else { Stage::Opening },
        busy,
        slots: BTreeMap::new(),
        paced: is_paced,
        revision: 1,
    };
    let rows: Vec<Message> = rows.into_iter().map(|row| row.message).collect();
    match batches::create(table, tenant, &mut batch, &rows).await? {
        Created::TooLarge => Err(SendError::TooLarge),
        Created::Known => {
            let known = batches::get(table, tenant, &batch.id).await?;
            known.filter(|known| known.fingerprint == batch.fingerprint).ok_or(SendError::KeyTaken)
        }
        Created::New => {
            if batch.stage == Stage::Opening
                && let Err(error) = open_batch(cx, tenant, batch.clone(), now).await
            {
                // It is accepted, and the minute tick goes on with it.
                tracing::warn!(%tenant, batch = batch.id, error = %Chain(&error), "a batch could not be opened at once");
            }
            Ok(batch)
        }
    }
}

/// A row that is right, and over which channel it will go as things stand.
struct Row {
    message: Message,
    channel: Channel,
    units: u32,
    cost: Micros,
}

async fn compose_rows(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    request: &BatchRequest,
    batch: &str,
    now: Timestamp,
) -> Result<(Vec<Row>, Vec<FieldError>), SendError> {
    let table = cx.table().await?;
    let ids: Vec<&str> = request.wishes.iter().filter_map(|wish| wish.contact_id.as_deref()).collect();
    let contacts = contacts::get_many(table, tenant, &ids).await?;
    let names: BTreeSet<&str> = request.wishes.iter().filter_map(|wish| wish.template.as_deref()).collect();
    let templates = templates::get_many(table, tenant, &names.into_iter().collect::<Vec<_>>()).await?;
    let mut rows = Vec::new();
    let mut refused = Vec::new();
    let mut seen = HashMap::new();
    for (at, wish) in request.wishes.iter().enumerate() {
        let at = at as u32;
        let known = Known {
            contact: wish.contact_id.as_ref().and_then(|id| contacts.get(id)),
            template: wish.template.as_ref().and_then(|name| templates.get(&template_key(name))),
        };
        match compose(settings, wish, known, row_id(tenant, batch, at), batch, now) {
            Ok(message) => {
                // The same text to the same number is a slip of whoever pasted the list.
                let same = (message.to.clone(), message.contact.clone(), message.body.clone(), wish.media_urls.clone());
                match seen.insert(same, at) {
                    Some(first) => {
                        let reason = format!("the same as row {first}, which goes");
                        refused.push(FieldError { row: Some(at), ..FieldError::new("to", "duplicate", reason) });
                        continue;
                    }
                    None => rows.push(row(settings, signed(message, request.sent_by.as_deref()), known.contact)),
                }
            }
            Err(errors) => refused.extend(errors.into_iter().map(|error| FieldError { row: Some(at), ..error })),
        }
    }
    Ok((rows, refused))
}

fn row(settings: &Settings, message: Message, contact: Option<&Contact>) -> Row {
    let unknown = message.to.clone().map(Contact::unknown);
    let contact = contact.or(unknown.as_ref());
    let reached = contact.and_then(|contact| {
        let channels = policy::channels(&Question::about(settings, contact, &message, None)).ok()?;
        channels.first().map(|(channel, number)| (*channel, (*number).clone()))
    });
    let channel = reached.as_ref().map_or(Channel::Sms, |(channel, _)| *channel);
    let has_media = message.direct.as_ref().is_some_and(|direct| !direct.media_urls.is_empty());
    let units = billed_units(channel, message.body.as_deref().unwrap_or_default(), has_media);
    let price = reached.map_or(Micros::default(), |(channel, number)| settings.price(channel, &number));
    Row { message, channel, units, cost: Micros(price.0 * i64::from(units)) }
}

/// Puts the rows of each sender one after another, from now, and says how long each is busy.
fn pace(settings: &Settings, rows: &mut [Row]) -> BTreeMap<String, i64> {
    let mut busy: BTreeMap<String, i64> = BTreeMap::new();
    for row in rows {
        let sender = settings.sender(row.channel).unwrap_or_default();
        let before = busy.entry(sender.to_string()).or_default();
        row.message.due_at += SignedDuration::from_millis(*before);
        if let Some(direct) = &mut row.message.direct {
            direct.slot_of = Some(sender.to_string());
        }
        *before += length(settings, row.channel, row.units).as_millis() as i64;
    }
    busy
}

fn confirm_cost(settings: &Settings, request: &BatchRequest, rows: &[Row]) -> Result<(), SendError> {
    if request.is_cost_confirmed != Some(false) {
        return Ok(());
    }
    let cost = Micros(rows.iter().map(|row| row.cost.0).sum());
    let reason =
        format!("{} calls cost about {cost} {}; say confirmCost: true to make them", rows.len(), settings.budget.currency);
    Err(SendError::Invalid(vec![FieldError::new("confirmCost", "confirm_cost", reason)]))
}
