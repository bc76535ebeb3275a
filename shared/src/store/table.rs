//! Reading and writing items: batches, pages, retries of what was left over, sealed fields.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::fmt::Display;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, KeysAndAttributes, PutRequest, WriteRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::keys::{Index, Key, PK, SK};
use super::seal::{Keyring, SealError};
use crate::telemetry::unquoted;

pub type Item = HashMap<String, AttributeValue>;

/// The table, by name, with the keys that open its items.
pub struct Table {
    pub(super) client: Client,
    pub(super) name: String,
    keyring: Keyring,
}

/// What can go wrong with the table.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Try again later; nothing was half-written that a repetition would not put right.
    #[error("the table could not be reached")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    #[error("an item of the table could not be read back")]
    Unreadable(#[source] Box<dyn Error + Send + Sync>),
    #[error("a sealed field could not be opened")]
    Sealed(#[from] SealError),
}

impl StoreError {
    pub(super) fn unreachable(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Unreachable(Box::new(error))
    }

    /// What was stored does not fit what we know. Its value is not told: sealed or not, it is somebody's.
    pub fn unreadable(error: &impl Display) -> Self {
        Self::Unreadable(unquoted(error).into())
    }
}

/// DynamoDB's limits of a key, in bytes.
const LONGEST_PK: usize = 2048;
const LONGEST_SK: usize = 1024;
/// DynamoDB's limits of one request.
const BATCH_GET: usize = 100;
const BATCH_WRITE: usize = 25;
/// How often what a batch left over is asked for again, and the first pause.
const BATCH_TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(20);

impl Table {
    pub fn new(client: Client, name: String, keyring: Keyring) -> Self {
        Self { client, name, keyring }
    }

    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// An item of `value` under `key`, with `sealed` fields encrypted.
    pub(super) fn item(&self, key: &Key, value: &impl Serialize, sealed: &[&str]) -> Result<Item, StoreError> {
        let unreadable = |error: serde_dynamo::Error| StoreError::Unreadable(Box::new(error));
        let mut item: Item = serde_dynamo::to_item(value).map_err(unreadable)?;
        // Absent says the same as null, in fewer bytes.
        item.retain(|_, value| !value.is_null());
        for field in sealed {
            if let Some(value) = item.remove(*field) {
                let plain: serde_json::Value = serde_dynamo::from_attribute_value(value).map_err(unreadable)?;
                let sealed = self.keyring.seal(&key.pk, plain.to_string().as_bytes());
                item.insert((*field).to_string(), AttributeValue::B(sealed.into()));
            }
        }
        item.extend(key_attributes(key));
        Ok(item)
    }

    /// The value of an item, its `sealed` fields opened.
    pub(super) fn value<T: DeserializeOwned>(&self, mut item: Item, sealed: &[&str]) -> Result<T, StoreError> {
        let place = string(&item, PK).to_string();
        for field in sealed {
            if let Some(AttributeValue::B(bytes)) = item.get(*field) {
                let plain = self.keyring.open(&place, bytes.as_ref())?;
                let value: serde_json::Value = serde_json::from_slice(&plain).map_err(|error| StoreError::unreadable(&error))?;
                let value = serde_dynamo::to_attribute_value(value).map_err(|error| StoreError::unreadable(&error))?;
                item.insert((*field).to_string(), value);
            }
        }
        item.remove(PK);
        item.remove(SK);
        serde_dynamo::from_item(item).map_err(|error| StoreError::unreadable(&error))
    }

    /// Lists an item in an index.
    pub(super) fn place(&self, item: &mut Item, index: Index, pk: String, sk: String) {
        item.insert(index.pk.to_string(), AttributeValue::S(pk));
        item.insert(index.sk.to_string(), AttributeValue::S(sk));
    }

    pub(super) async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let request = self.client.get_item().table_name(&self.name).set_key(Some(key_attributes(key))).consistent_read(true);
        Ok(request.send().await.map_err(StoreError::unreachable)?.item)
    }

    /// The items that exist of `keys`, each asked for once; in no order.
    pub(super) async fn get_many(&self, keys: Vec<Key>) -> Result<Vec<Item>, StoreError> {
        self.batch_get(keys, None).await
    }

    /// Those of `keys` that have an item.
    pub(super) async fn existing(&self, keys: Vec<Key>) -> Result<HashSet<Key>, StoreError> {
        let found = self.batch_get(keys, Some("pk, sk")).await?;
        Ok(found.iter().map(key_of).collect())
    }

    async fn batch_get(&self, mut keys: Vec<Key>, projection: Option<&str>) -> Result<Vec<Item>, StoreError> {
        // No item can have such a key, and DynamoDB refuses the whole batch for one of them.
        keys.retain(|key| (1..=LONGEST_SK).contains(&key.sk.len()) && key.pk.len() <= LONGEST_PK);
        keys.sort_by(|a, b| (&a.pk, &a.sk).cmp(&(&b.pk, &b.sk)));
        keys.dedup();
        let mut found = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(BATCH_GET) {
            let wanted = chunk.iter().map(key_attributes).collect();
            let wanted = KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(true);
            let mut wanted = Some(wanted.set_projection_expression(projection.map(str::to_string)).build());
            let mut tries = 0;
            while let Some(request) = wanted.take() {
                let request = request.map_err(StoreError::unreachable)?;
                let answer = self.client.batch_get_item().request_items(&self.name, request).send().await;
                let mut answer = answer.map_err(StoreError::unreachable)?;
                found.extend(answer.responses.as_mut().and_then(|tables| tables.remove(&self.name)).unwrap_or_default());
                let left = answer.unprocessed_keys.as_mut().and_then(|tables| tables.remove(&self.name));
                if let Some(left) = left {
                    self.pause(&mut tries).await?;
                    wanted = Some(Ok(left));
                }
            }
        }
        Ok(found)
    }

    /// Puts items without condition: only for what may be written again and again.
    pub(super) async fn put_many(&self, items: Vec<Item>) -> Result<(), StoreError> {
        let puts = items.into_iter().map(|item| {
            let put = PutRequest::builder().set_item(Some(item)).build().map_err(StoreError::unreachable)?;
            Ok(WriteRequest::builder().put_request(put).build())
        });
        self.write_many(puts.collect::<Result<_, StoreError>>()?).await
    }

    pub(super) async fn delete_many(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        let deletes = keys.iter().map(|key| {
            let delete = DeleteRequest::builder().set_key(Some(key_attributes(key))).build().map_err(StoreError::unreachable)?;
            Ok(WriteRequest::builder().delete_request(delete).build())
        });
        self.write_many(deletes.collect::<Result<_, StoreError>>()?).await
    }

    async fn write_many(&self, writes: Vec<WriteRequest>) -> Result<(), StoreError> {
        for chunk in writes.chunks(BATCH_WRITE) {
            let mut left = chunk.to_vec();
            let mut tries = 0;
            loop {
                let answer = self.client.batch_write_item().request_items(&self.name, left).send().await;
                let mut answer = answer.map_err(StoreError::unreachable)?;
                left = answer.unprocessed_items.as_mut().and_then(|tables| tables.remove(&self.name)).unwrap_or_default();
                if left.is_empty() {
                    break;
                }
                self.pause(&mut tries).await?;
            }
        }
        Ok(())
    }

    /// Backs off before what was left over is asked for again.
    async fn pause(&self, tries: &mut u32) -> Result<(), StoreError> {
        *tries += 1;
        if *tries >= BATCH_TRIES {
            return Err(StoreError::Unreachable("the table kept leaving part of a batch undone".into()));
        }
        tokio::time::sleep(FIRST_PAUSE * 2u32.pow(*tries)).await;
        Ok(())
    }

    /// One page of a partition, or of a range of it, in order.
    pub(super) async fn query(&self, query: Query<'_>) -> Result<(Vec<Item>, Option<Item>), StoreError> {
        // DynamoDB refuses it. Years before 0 are written so that they sort backwards.
        if query.range.as_ref().is_some_and(|(from, to)| from > to) {
            return Ok((Vec::new(), None));
        }
        let (pk, sk) = query.index.map_or((PK, SK), |index| (index.pk, index.sk));
        let mut request = self
            .client
            .query()
            .table_name(&self.name)
            .set_index_name(query.index.map(|index| index.name.to_string()))
            .expression_attribute_names("#pk", pk)
            .expression_attribute_values(":pk", AttributeValue::S(query.pk.to_string()))
            .set_limit(query.limit)
            .scan_index_forward(query.order == Order::Earliest)
            .set_exclusive_start_key(query.after);
        request = match query.range {
            None => request.key_condition_expression("#pk = :pk"),
            Some((from, to)) => request
                .key_condition_expression("#pk = :pk AND #sk BETWEEN :from AND :to")
                .expression_attribute_names("#sk", sk)
                .expression_attribute_values(":from", AttributeValue::S(from))
                .expression_attribute_values(":to", AttributeValue::S(to)),
        };
        let answer = request.send().await.map_err(StoreError::unreachable)?;
        Ok((answer.items.unwrap_or_default(), answer.last_evaluated_key))
    }

    /// Every page of a query.
    pub(super) async fn query_all(
        &self,
        pk: &str,
        index: Option<Index>,
        range: Option<(String, String)>,
    ) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        let mut after = None;
        loop {
            let (page, next) =
                self.query(Query { pk, index, range: range.clone(), limit: None, after, order: Order::Earliest }).await?;
            items.extend(page);
            match next {
                None => return Ok(items),
                next => after = next,
            }
        }
    }
}

pub(super) struct Query<'a> {
    pub pk: &'a str,
    pub index: Option<Index>,
    /// Inclusive bounds of the sort key.
    pub range: Option<(String, String)>,
    pub limit: Option<i32>,
    pub after: Option<Item>,
    pub order: Order,
}

/// Which end of a partition comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    Earliest,
    Latest,
}

pub(super) fn key_attributes(key: &Key) -> Item {
    HashMap::from([(PK.to_string(), AttributeValue::S(key.pk.clone())), (SK.to_string(), AttributeValue::S(key.sk.clone()))])
}

/// The primary key of an item, as an index projects it.
pub(super) fn key_of(item: &Item) -> Key {
    Key { pk: string(item, PK).to_string(), sk: string(item, SK).to_string() }
}

pub(super) fn string<'a>(item: &'a Item, attribute: &str) -> &'a str {
    match item.get(attribute) {
        Some(AttributeValue::S(text)) => text,
        _ => "",
    }
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
