//! Sends one message that somebody asks for, exactly once for each key (S1-36..38, S3-22, S3-23).

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::dispatch::now::{Asked, send_now};
use crate::context::{Context, ContextError};
use crate::domain::compose::{FieldError, Known, LONGEST_NAME, Wish, compose};
use crate::domain::contact::Contact;
use crate::domain::message::{Message, MessageId, derived};
use crate::domain::phone::PhoneNumber;
use crate::domain::tenant::TenantId;
use crate::store::{contacts, messages};

/// A wish, and who has it.
#[derive(Clone, Debug)]
pub struct Request {
    pub wish: Wish,
    /// The caller's key: the same again is the same message.
    pub key: String,
    pub sent_by: Option<String>,
}

/// Why a request came to nothing. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("{} of the request's fields cannot be right", .0.len())]
    Invalid(Vec<FieldError>),
    #[error("the key stands for another request already")]
    KeyTaken,
    #[error("more than one request may carry")]
    TooLarge,
    #[error(transparent)]
    Context(#[from] ContextError),
}

impl From<crate::store::StoreError> for SendError {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Context(error.into())
    }
}

/// One field alone is wrong.
pub(super) fn invalid(error: FieldError) -> SendError {
    SendError::Invalid(vec![error])
}

/// Sends what `request` asks for, or says what became of it when it was first asked.
///
/// # Errors
/// [`SendError::Invalid`] names every field; [`SendError::KeyTaken`]: the caller takes a new key.
pub async fn send_message(cx: &Context, tenant: &TenantId, request: &Request, now: Timestamp) -> Result<Message, SendError> {
    let settings = cx.settings(tenant, now).await?;
    let id = asked_id(tenant, &request.key);
    let fingerprint = fingerprint(tenant, &request.wish);
    let (message, contact) = match composed(cx, tenant, request, id.clone(), &fingerprint, now).await? {
        Ok(composed) => composed,
        // It may have been right when it was first asked: the contact is gone, the instant over.
        Err(errors) => {
            let known = messages::get_many(cx.table().await?, tenant, &[id]).await?.pop();
            let same = known.filter(|known| fingerprint_of(known) == Some(&fingerprint));
            return same.ok_or(SendError::Invalid(errors));
        }
    };
    match send_now(cx, tenant, &settings, message, &contact, now).await? {
        Asked::New(message) => Ok(message),
        Asked::Known(message) if fingerprint_of(&message) == Some(&fingerprint) => Ok(message),
        Asked::Known(_) => Err(SendError::KeyTaken),
    }
}

/// The id of the message that was asked for under `key`. What a list or something recurring was asked
/// for under it takes this id too, so that a key stands for one thing.
pub(super) fn asked_id(tenant: &TenantId, key: &str) -> MessageId {
    MessageId::derive(tenant, &["asked", key])
}

/// The message that `request` asks for, and whom it is for; or what is wrong with it.
pub(super) async fn composed(
    cx: &Context,
    tenant: &TenantId,
    request: &Request,
    id: MessageId,
    fingerprint: &str,
    now: Timestamp,
) -> Result<Result<(Message, Contact), Vec<FieldError>>, ContextError> {
    let settings = cx.settings(tenant, now).await?;
    let wish = &request.wish;
    let contact = match &wish.contact_id {
        Some(id) => contacts::get_many(cx.table().await?, tenant, &[id]).await?.remove(id),
        None => None,
    };
    let template = match &wish.template {
        Some(name) if name.len() <= LONGEST_NAME => cx.template(tenant, name, now).await?,
        Some(_) | None => None,
    };
    let known = Known { contact: contact.as_ref(), template: template.as_deref() };
    let message = match compose(&settings, wish, known, id, fingerprint, now) {
        Ok(message) => signed(message, request.sent_by.as_deref()),
        Err(errors) => return Ok(Err(errors)),
    };
    let contact = match (contact, &message.to) {
        (Some(contact), _) => contact,
        (None, Some(to)) => at_number(cx, tenant, to).await?,
        (None, None) => return Ok(Err(vec![FieldError::new("to", "required", "give a number (to) or a contactId")])),
    };
    Ok(Ok((message, contact)))
}

/// A bare number, with the wishes of whoever has it.
async fn at_number(cx: &Context, tenant: &TenantId, to: &PhoneNumber) -> Result<Contact, ContextError> {
    let known = contacts::at_numbers(cx.table().await?, tenant, &[to]).await?;
    Ok(Contact::at_number(to.clone(), known.values().flat_map(BTreeMap::values)))
}

/// `message`, with who asked for it (S3-47).
pub(super) fn signed(mut message: Message, sent_by: Option<&str>) -> Message {
    if let Some(direct) = &mut message.direct {
        direct.sent_by = sent_by.map(str::to_string);
    }
    message
}

/// What tells one wish from another, whatever its JSON looked like.
pub(super) fn fingerprint(tenant: &TenantId, wish: &impl serde::Serialize) -> String {
    let text = serde_json::to_string(wish).map_or(Cow::Borrowed(""), Cow::Owned);
    derived(tenant, &["wish", &text])
}

pub(super) fn fingerprint_of(message: &Message) -> Option<&String> {
    message.direct.as_deref().map(|direct| &direct.fingerprint)
}
