//! Sends many messages that are asked for at once (S1-02, S1-37, S1-39, S3-24..26, S4-06, S4-07).
//!
//! Each row has its own outcome, and a bad one stops nothing. What is accepted is stored whole in one
//! transaction, so it is finished even if this process dies; what is refused writes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::dispatch::pacing::length;
use super::open_batch::open_batch;
use super::send_message::{SendError, asked_id, signed};
use crate::context::Context;
use crate::domain::catalogue::template_key;
use crate::domain::channel::Channel;
use crate::domain::compose::{FieldError, Known, MOST_ERRORS, Wish, billed_units, compose};
use crate::domain::contact::Contact;
use crate::domain::message::{Message, MessageId, derived};
use crate::domain::money::Micros;
use crate::domain::phone::PhoneNumber;
use crate::domain::policy::{self, Question};
use crate::domain::tenant::{Settings, TenantId};
use crate::store::batches::{self, Batch, Created, Stage};
use crate::store::{contacts, messages, templates};
use crate::telemetry::Chain;

/// Many wishes, and who has them.
#[derive(Clone, Debug)]
pub struct BatchRequest {
    /// A row that could not be read is what is wrong with it.
    pub wishes: Vec<Result<Wish, FieldError>>,
    /// What tells this request from another; of what the caller sent, for groups change.
    pub fingerprint: String,
    pub name: Option<String>,
    /// Keep it until somebody lets it go.
    pub is_held: bool,
    /// For calls: whether the caller knows that each costs money (S1-33).
    pub is_cost_confirmed: Option<bool>,
    pub key: String,
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

fn batch_id(tenant: &TenantId, key: &str) -> String {
    format!("{BATCH_PREFIX}{}", derived(tenant, &["batch", key]))
}

/// What became of the request when it was first asked under this key, if it was.
///
/// # Errors
/// [`SendError::KeyTaken`] if another was.
pub async fn known_batch(
    cx: &Context,
    tenant: &TenantId,
    key: &str,
    fingerprint: &str,
) -> Result<Option<(Batch, Vec<FieldError>)>, SendError> {
    let table = cx.table().await?;
    let Some(known) = batches::get(table, tenant, &batch_id(tenant, key)).await? else { return Ok(None) };
    if known.fingerprint != fingerprint {
        return Err(SendError::KeyTaken);
    }
    let errors = batches::errors(table, tenant, &known).await?;
    Ok(Some((known, errors)))
}

/// Accepts what is right of `request`, or says what became of it when it was first asked.
///
/// # Errors
/// [`SendError::Invalid`] if no row is right, [`SendError::TooLarge`] beyond [`MOST_ROWS`].
pub async fn send_batch(
    cx: &Context,
    tenant: &TenantId,
    request: &BatchRequest,
    now: Timestamp,
) -> Result<(Batch, Vec<FieldError>), SendError> {
    let table = cx.table().await?;
    let id = batch_id(tenant, &request.key);
    if request.wishes.len() > MOST_ROWS {
        return Err(SendError::TooLarge);
    }
    let settings = cx.settings(tenant, now).await?;
    let (mut rows, refused) = compose_rows(cx, tenant, &settings, request, &id, now).await?;
    if rows.is_empty() {
        return Err(SendError::Invalid(refused));
    }
    confirm_cost(&settings, request, &rows)?;
    let busy = pace(&settings, &mut rows);
    // At a chosen instant the list is paced by itself; the sender's clock knows only what goes from now on.
    let is_from_now = request.wishes.iter().flatten().all(|wish| wish.send_at.is_none());
    let busy = if is_from_now { busy } else { BTreeMap::new() };
    let mut batch = Batch {
        id,
        name: request.name.clone(),
        fingerprint: request.fingerprint.clone(),
        created_at: now,
        asked: request.wishes.len() as u32,
        refused: refused_rows(&refused),
        chunks: 0,
        chunks_of_errors: 0,
        stage: if request.is_held { Stage::Held } else { Stage::Opening },
        busy,
        slots: BTreeMap::new(),
        revision: 1,
    };
    let rows: Vec<Message> = rows.into_iter().map(|row| row.message).collect();
    let key = messages::taken(table, tenant, &asked_id(tenant, &request.key), &batch.fingerprint, now)?;
    match batches::create(table, tenant, &mut batch, &rows, &refused, key).await? {
        Created::TooLarge => Err(SendError::TooLarge),
        Created::Known => known_batch(cx, tenant, &request.key, &batch.fingerprint).await?.ok_or(SendError::KeyTaken),
        Created::New => {
            if batch.stage == Stage::Opening
                && let Err(error) = open_batch(cx, tenant, batch.clone(), now).await
            {
                // It is accepted, and the minute tick goes on with it.
                tracing::warn!(%tenant, batch = batch.id, error = %Chain(&error), "a batch could not be opened at once");
            }
            Ok((batch, refused))
        }
    }
}

fn refused_rows(errors: &[FieldError]) -> Vec<u32> {
    let mut rows: Vec<u32> = errors.iter().filter_map(|error| error.row).collect();
    rows.dedup();
    rows
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
    let ids: Vec<&str> = request.wishes.iter().flatten().filter_map(|wish| wish.contact_id.as_deref()).collect();
    let contacts = contacts::get_many(table, tenant, &ids).await?;
    let names: BTreeSet<&str> = request.wishes.iter().flatten().filter_map(|wish| wish.template.as_deref()).collect();
    let templates = templates::get_many(table, tenant, &names.into_iter().collect::<Vec<_>>()).await?;
    let mut rows = Vec::new();
    let mut refused = Vec::new();
    let mut seen: HashMap<_, Vec<(Option<String>, u32)>> = HashMap::new();
    for (at, wish) in request.wishes.iter().enumerate() {
        let at = at as u32;
        let wish = match wish {
            Ok(wish) => wish,
            Err(error) => {
                refused.push(FieldError { row: Some(at), ..error.clone() });
                continue;
            }
        };
        let known = Known {
            contact: wish.contact_id.as_ref().and_then(|id| contacts.get(id)),
            template: wish.template.as_ref().and_then(|name| templates.get(&template_key(name))),
        };
        match compose(settings, wish, known, row_id(tenant, batch, at), batch, now) {
            Ok(message) => {
                let (row, number) = row(settings, signed(message, request.sent_by.as_deref()), known.contact);
                // The same text to the same number is a slip of whoever pasted the list; two contacts
                // who share a number are two.
                let same = (number, row.message.body.clone(), wish.media_urls.clone());
                let before = seen.entry(same).or_insert_with(Vec::new);
                let twin = before
                    .iter()
                    .find(|(contact, _)| wish.contact_id.is_none() || contact.is_none() || *contact == wish.contact_id);
                if let Some((_, first)) = twin {
                    let reason = format!("the same as row {first}, which goes");
                    refused.push(FieldError { row: Some(at), ..FieldError::new("to", "duplicate", reason) });
                    continue;
                }
                before.push((wish.contact_id.clone(), at));
                rows.push(row);
            }
            Err(errors) => {
                let errors = errors.into_iter().take(MOST_ERRORS);
                refused.extend(errors.map(|error| FieldError { row: Some(at), ..error }));
            }
        }
    }
    Ok((rows, refused))
}

/// A row, and the number that it goes to.
fn row(settings: &Settings, message: Message, contact: Option<&Contact>) -> (Row, Option<PhoneNumber>) {
    let unknown = message.to.clone().map(Contact::unknown);
    let contact = contact.or(unknown.as_ref());
    let reached = contact.and_then(|contact| {
        let channels = policy::channels(&Question::about(settings, contact, &message, None)).ok()?;
        channels.first().map(|(channel, number)| (*channel, (*number).clone()))
    });
    let channel = reached.as_ref().map_or(Channel::Sms, |(channel, _)| *channel);
    let units = billed_units(channel, message.body.as_deref().unwrap_or_default(), message.direct.as_deref());
    let number = reached.map(|(_, number)| number);
    let price = number.as_ref().map_or(Micros::default(), |number| settings.price(channel, number));
    (Row { message, channel, units, cost: Micros(price.0 * i64::from(units)) }, number)
}

/// Puts the rows of each sender one after another, from now or their instant, and says how long each is busy.
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
