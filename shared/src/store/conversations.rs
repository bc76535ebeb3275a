//! Conversations: the inbox by state, and what was written with one number.

use std::collections::HashMap;

use jiff::Timestamp;

use super::erasure;
use super::keys;
use super::messages;
use super::page;
use super::table::{Item, Order, StoreError, Table, key_of, number, string};
use super::transaction::{Write, write_if};
use crate::domain::conversation::{Conversation, State};
use crate::domain::message::Message;
use crate::domain::tenant::TenantId;

const SEALED: &[&str] = &["peer", "last_text"];
/// What callers know a conversation by.
const PREFIX: &str = "conv_";

/// A conversation's id: the keyed hash of whom it is with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationId(String);

impl ConversationId {
    pub fn of(table: &Table, address: &str) -> Self {
        Self(table.keyring().address_hash(address))
    }

    /// As callers write it; anything else is no id of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let hash = text.strip_prefix(PREFIX)?;
        (hash.len() == 32 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))).then(|| Self(hash.to_string()))
    }

    /// Of the number, or whatever else somebody wrote from, that has this keyed hash.
    pub fn of_hash(hash: &str) -> Self {
        Self(hash.to_string())
    }

    pub(super) fn hash(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ConversationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{PREFIX}{}", self.0)
    }
}

/// Stores `conversation` as it is next, unless somebody else changed it since it was read.
pub fn change(table: &Table, tenant: &TenantId, mut conversation: Conversation) -> Result<Write, StoreError> {
    let id = ConversationId::of(table, &conversation.peer);
    let seen = HashMap::from([(":seen".to_string(), number(conversation.revision))]);
    conversation.revision += 1;
    let mut item = table.item(&keys::conversation(tenant, id.hash()), &conversation, SEALED)?;
    let inbox = keys::inbox(tenant, conversation.state.word());
    table.place(&mut item, keys::TIME, inbox, keys::instant_and(conversation.last_at, id.hash()));
    Write::put(table, item, "attribute_not_exists(pk) OR revision = :seen", seen)
}

/// Others may change a conversation between our looks so often.
const TRIES: u32 = 8;
/// So many conversations are looked through at once.
const PAGE: u32 = 200;

/// Changes a conversation, if there is one: what it is then.
pub async fn update(
    table: &Table,
    tenant: &TenantId,
    id: &ConversationId,
    change_it: impl Fn(Conversation) -> Conversation,
) -> Result<Option<Conversation>, StoreError> {
    for _ in 0..TRIES {
        let Some(known) = get(table, tenant, id).await? else { return Ok(None) };
        let changed = change_it(known.clone());
        if changed == known || write_if(table, change(table, tenant, changed.clone())?).await? {
            return Ok(Some(changed));
        }
    }
    Err(StoreError::Unreachable("a conversation kept changing".into()))
}

pub async fn get(table: &Table, tenant: &TenantId, id: &ConversationId) -> Result<Option<Conversation>, StoreError> {
    table.get(&keys::conversation(tenant, id.hash())).await?.map(|item| conversation(table, item)).transpose()
}

pub(super) fn conversation(table: &Table, item: Item) -> Result<Conversation, StoreError> {
    table.value(item, SEALED)
}

/// A page of the conversations in one state, the latest heard of first; and where the next begins.
pub async fn list(
    table: &Table,
    tenant: &TenantId,
    state: State,
    after: Option<&str>,
    limit: u32,
) -> Result<(Vec<(ConversationId, Conversation)>, Option<String>), StoreError> {
    let (items, next) = page::of_time(table, &keys::inbox(tenant, state.word()), Order::Latest, after, limit).await?;
    let with_id = |item: Item| {
        let id = ConversationId(keys::phone_hash(string(&item, keys::PK)).to_string());
        Ok((id, conversation(table, item)?))
    };
    Ok((items.into_iter().map(with_id).collect::<Result<_, StoreError>>()?, next))
}

/// A page of what was written and said with a number, the latest first; and where the next begins.
pub async fn messages(
    table: &Table,
    tenant: &TenantId,
    id: &ConversationId,
    after: Option<&str>,
    limit: u32,
) -> Result<(Vec<Message>, Option<String>), StoreError> {
    let pk = keys::phone(tenant, id.hash());
    let (items, next) = page::of_index(table, keys::ABOUT, &pk, Order::Latest, after, limit).await?;
    Ok((items.into_iter().map(|item| messages::message(table, item)).collect::<Result<_, _>>()?, next))
}

/// Takes a conversation away, and the WhatsApp session beside it. Whether there was one. Its messages are not touched.
pub async fn delete(table: &Table, tenant: &TenantId, id: &ConversationId) -> Result<bool, StoreError> {
    let (conversation, session) = (keys::conversation(tenant, id.hash()), keys::session(tenant, id.hash()));
    let was_there = !table.existing(vec![conversation.clone()]).await?.is_empty();
    table.delete_many(vec![conversation, session]).await?;
    Ok(was_there)
}

/// Takes away the conversations of which nothing was heard since `before`. Answers how many.
pub async fn delete_quiet(table: &Table, tenant: &TenantId, before: Timestamp) -> Result<u32, StoreError> {
    let mut deleted = 0;
    for state in [State::Open, State::Handled] {
        let range = Some(("0".to_string(), keys::instant(before)));
        let entries = table.query_all(&keys::inbox(tenant, state.word()), Some(keys::TIME), range).await?;
        for item in table.get_many(entries.iter().map(key_of).collect()).await? {
            let key = key_of(&item);
            let known = conversation(table, item)?;
            // Whoever writes in this moment goes on with it.
            if known.last_at < before && erasure::delete_unchanged(table, &key, known.revision).await? {
                deleted += 1;
            }
        }
    }
    Ok(deleted)
}

/// Takes what was last said out of every conversation.
pub async fn drop_texts(table: &Table, tenant: &TenantId) -> Result<(), StoreError> {
    for state in [State::Open, State::Handled] {
        let mut after = None;
        loop {
            let (conversations, next) = list(table, tenant, state, after.as_deref(), PAGE).await?;
            for (id, _) in conversations.iter().filter(|(_, known)| known.last_text.is_some()) {
                update(table, tenant, id, |known| Conversation { last_text: None, ..known }).await?;
            }
            match next {
                None => break,
                next => after = next,
            }
        }
    }
    Ok(())
}
