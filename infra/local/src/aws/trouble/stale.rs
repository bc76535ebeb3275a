//! A global secondary index as it was a moment ago.
//!
//! DynamoDB's are eventually consistent: usually a fraction of a second behind, and under trouble longer. The engine's are
//! not, so what each write is about to change is remembered for as long as an index may lag. Only what can be asked
//! of this table: keys are texts, an index has both, and two kinds of key conditions.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use dynoxide::actions::get_item::GetItemRequest;
use dynoxide::{AttributeValue, Database, Item};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use shared::store::keys::{PK, SK};
use tokio::time::Instant;

use crate::aws::{Answer, lock, read};
use crate::names::TABLE;
use crate::table;

/// How far an index may lag, in milliseconds.
pub(super) const LAG: RangeInclusive<u64> = 50..=30_000;

/// What writes found, the earliest first, for as long as an index may lag.
#[derive(Default)]
pub(in crate::aws) struct Recent(VecDeque<Found>);

struct Found {
    at: Instant,
    key: Key,
    item: Option<Item>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Key {
    pk: Text,
    sk: Text,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Text {
    #[serde(rename = "S")]
    text: String,
}

impl Recent {
    /// Remembers what a request to the table is about to change. One that will be refused changes nothing and finds the
    /// same as the next.
    pub(in crate::aws) fn note(&mut self, database: &Database, operation: &str, body: &[u8]) {
        let now = Instant::now();
        let longest = Duration::from_millis(*LAG.end());
        while self.0.front().is_some_and(|first| now.duration_since(first.at) > longest) {
            self.0.pop_front();
        }
        for key in written(operation, body) {
            let text = |text: &Text| AttributeValue::S(text.text.clone());
            let request = GetItemRequest {
                table_name: TABLE.to_owned(),
                key: Item::from([(PK.to_owned(), text(&key.pk)), (SK.to_owned(), text(&key.sk))]),
                ..GetItemRequest::default()
            };
            if let Ok(found) = database.get_item(request) {
                self.0.push_back(Found { at: now, key, item: found.item });
            }
        }
    }

    /// What has been written within the last `lag`, as it was before.
    fn before(&self, lag: Duration) -> BTreeMap<&Key, Option<&Item>> {
        let now = Instant::now();
        let mut before = BTreeMap::new();
        for found in self.0.iter().filter(|found| now.duration_since(found.at) < lag) {
            before.entry(&found.key).or_insert(found.item.as_ref());
        }
        before
    }
}

/// The keys that a request writes.
fn written(operation: &str, body: &[u8]) -> Vec<Key> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Batch {
        request_items: BTreeMap<String, Vec<BTreeMap<String, Write>>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Transaction {
        transact_items: Vec<BTreeMap<String, Write>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Write {
        key: Option<Key>,
        item: Option<Key>,
    }

    // What cannot be read will be refused.
    let writes: Vec<Write> = match operation {
        "PutItem" | "UpdateItem" | "DeleteItem" => read::<Write>(body).into_iter().collect(),
        "BatchWriteItem" => {
            let batches = read::<Batch>(body).into_iter().flat_map(|batch| batch.request_items.into_values().flatten());
            batches.flat_map(BTreeMap::into_values).collect()
        }
        "TransactWriteItems" => {
            let actions = read::<Transaction>(body).into_iter().flat_map(|transaction| transaction.transact_items);
            actions.flat_map(BTreeMap::into_values).collect()
        }
        _ => Vec::new(),
    };
    writes.into_iter().filter_map(|write| write.key.or(write.item)).collect()
}

/// An index of the table: its keys, and whether it holds whole items or only keys.
struct Index {
    pk: String,
    sk: String,
    is_whole: bool,
}

static INDEXES: LazyLock<BTreeMap<String, Index>> = LazyLock::new(|| {
    let definition = table::definition();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let index = |index: &Value| {
        let key = |at: usize| text(&index["KeySchema"][at]["AttributeName"]);
        let is_whole = index["Projection"]["ProjectionType"] == "ALL";
        (text(&index["IndexName"]), Index { pk: key(0), sk: key(1), is_whole })
    };
    definition["GlobalSecondaryIndexes"].as_array().into_iter().flatten().map(index).collect()
});

/// Where an entry stands in its partition of an index: by its sort key there, then by its key in the table.
type Place = [String; 3];

impl Index {
    fn place(&self, entry: &Value) -> Option<Place> {
        let text = |name: &str| entry[name]["S"].as_str().map(str::to_owned);
        Some([text(&self.sk)?, text(PK)?, text(SK)?])
    }

    /// Where the page after `entry` begins.
    fn start_after(&self, entry: &Value) -> Value {
        [PK, SK, &self.pk, &self.sk].into_iter().map(|name| (name, entry[name].clone())).collect()
    }
}

/// A query of an index.
struct Query<'a> {
    index: &'static Index,
    pk: &'a str,
    range: Option<(&'a str, &'a str)>,
    is_forward: bool,
    limit: Option<usize>,
    after: Option<Place>,
}

impl<'a> Query<'a> {
    /// None if it is of a kind that nobody asks of the table's indexes.
    fn read(request: &'a Map<String, Value>) -> Option<Self> {
        const KNOWN: [&str; 8] = [
            "TableName",
            "IndexName",
            "KeyConditionExpression",
            "ExpressionAttributeNames",
            "ExpressionAttributeValues",
            "ScanIndexForward",
            "Limit",
            "ExclusiveStartKey",
        ];
        if !request.keys().all(|name| KNOWN.contains(&name.as_str())) {
            return None;
        }
        let index = INDEXES.get(request.get("IndexName")?.as_str()?)?;
        let values = request.get("ExpressionAttributeValues")?;
        let range = match request.get("KeyConditionExpression")?.as_str()? {
            "#pk = :pk" => None,
            "#pk = :pk AND #sk BETWEEN :from AND :to" => Some((values[":from"]["S"].as_str()?, values[":to"]["S"].as_str()?)),
            _ => return None,
        };
        let after = match request.get("ExclusiveStartKey") {
            None => None,
            Some(start) => Some(index.place(start)?),
        };
        Some(Self {
            index,
            pk: values[":pk"]["S"].as_str()?,
            range,
            is_forward: request.get("ScanIndexForward").and_then(Value::as_bool).unwrap_or(true),
            limit: request.get("Limit").and_then(Value::as_u64).map(|limit| limit as usize),
            after,
        })
    }

    /// The entry of an item in the index, if this asks for it; on whichever page.
    fn entry(&self, item: &Item) -> Option<Value> {
        let Index { pk, sk, is_whole } = self.index;
        let (Some(AttributeValue::S(of)), Some(AttributeValue::S(at))) = (item.get(pk), item.get(sk)) else { return None };
        let is_within = self.range.is_none_or(|(from, to)| from <= at.as_str() && at.as_str() <= to);
        if of != self.pk || !is_within {
            return None;
        }
        let is_projected = |name: &str| *is_whole || [PK, SK, pk, sk].contains(&name);
        let projected = item.iter().filter(|(name, _)| is_projected(name));
        Some(projected.map(|(name, value)| (name.as_str(), json!(value))).collect())
    }

    /// Whether the page that ends with `end` would show an entry.
    fn shows(&self, place: &Place, end: Option<&Place>) -> bool {
        let follows = |place: &Place, other: &Place| if self.is_forward { place > other } else { place < other };
        self.after.as_ref().is_none_or(|after| follows(place, after)) && end.is_none_or(|end| !follows(place, end))
    }
}

/// The answer to a query, and whether the index would say otherwise by now.
pub(super) struct Seen {
    pub(super) answer: Answer,
    pub(super) is_past: bool,
}

/// What an index said `lag` ago. `perform` asks it as it is; none if that is what to answer.
pub(super) fn query(
    recent: &Mutex<Option<Recent>>,
    lag: Duration,
    body: &[u8],
    perform: impl FnOnce(&[u8]) -> Answer,
) -> Option<Seen> {
    let request: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let query = Query::read(&request)?;
    let before: BTreeMap<Key, Option<Value>> = {
        let recent = lock(recent);
        let before = recent.as_ref()?.before(lag).into_iter();
        before.map(|(key, item)| (key.clone(), item.and_then(|item| query.entry(item)))).collect()
    };
    if before.is_empty() {
        return None;
    }
    // As many of a page may have to go as were written: so many more fill it.
    let mut wider = request.clone();
    if let Some(limit) = query.limit {
        wider.insert("Limit".into(), json!(limit + before.len()));
    }
    let answer = perform(Value::Object(wider).to_string().as_bytes());
    if answer.status != 200 {
        return None;
    }
    let mut told: Value = serde_json::from_str(&answer.body).ok()?;
    let now = told["Items"].as_array()?.clone();
    let end = query.index.place(&told["LastEvaluatedKey"]);
    let unchanged = now.iter().filter(|entry| Key::deserialize(*entry).is_ok_and(|key| !before.contains_key(&key)));
    let changed = before.values().flatten();
    let placed = |entry: &Value| Some((query.index.place(entry)?, entry.clone()));
    let mut then: Vec<(Place, Value)> = unchanged.chain(changed).filter_map(placed).collect();
    then.retain(|(place, _)| query.shows(place, end.as_ref()));
    then.sort_by(|(a, _), (b, _)| if query.is_forward { a.cmp(b) } else { b.cmp(a) });
    let mut then: Vec<Value> = then.into_iter().map(|(_, entry)| entry).collect();
    let limit = query.limit.unwrap_or(usize::MAX);
    if then.len() >= limit {
        then.truncate(limit);
        told["LastEvaluatedKey"] = then.last().map_or(Value::Null, |last| query.index.start_after(last));
    }
    let is_past = then[..] != now[..now.len().min(limit)];
    told["Count"] = json!(then.len());
    told["ScannedCount"] = json!(then.len());
    told["Items"] = Value::Array(then);
    Some(Seen { answer: Answer { body: told.to_string(), ..answer }, is_past })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::aws::trouble::tests::{aws, call, trouble};
    use crate::aws::{Aws, Shares};

    const QUERY: &str = "DynamoDB_20120810.Query";

    fn stale() -> Shares {
        Shares { stale: 1000, ..Shares::default() }
    }

    fn key(id: &str) -> Value {
        json!({ "pk": { "S": id }, "sk": { "S": "MESSAGE" } })
    }

    /// An item that the due and the time index list under `at`.
    fn item(id: &str, at: &str) -> Value {
        let mut item = key(id);
        for index in ["due", "time"] {
            item[format!("{index}_pk")] = json!({ "S": "partition" });
            item[format!("{index}_sk")] = json!({ "S": at });
        }
        item["body"] = json!({ "M": { "count": { "N": "7" }, "sealed": { "B": "AAEC" } } });
        item
    }

    async fn put(aws: &Aws, id: &str, at: &str) {
        let request = json!({ "TableName": TABLE, "Item": item(id, at) });
        assert_eq!(call(aws, "DynamoDB_20120810.PutItem", &request).await.0, 200);
    }

    /// As the store asks for a partition of an index.
    fn asked(index: &str) -> Value {
        json!({
            "TableName": TABLE,
            "IndexName": index,
            "KeyConditionExpression": "#pk = :pk",
            "ExpressionAttributeNames": { "#pk": format!("{index}_pk") },
            "ExpressionAttributeValues": { ":pk": { "S": "partition" } },
            "ScanIndexForward": true,
        })
    }

    /// The items at 10, 20 and 30, which every index has heard of.
    async fn three() -> Aws {
        let aws = aws();
        for (id, at) in [("a", "10"), ("b", "20"), ("c", "30")] {
            put(&aws, id, at).await;
        }
        aws
    }

    const LONG: Duration = Duration::from_millis(*LAG.end() + 1);

    #[tokio::test(start_paused = true)]
    async fn an_index_is_seen_as_it_was_before_any_kind_of_write() {
        let moved = json!({ "TableName": TABLE, "Item": item("b", "05") });
        let new = json!({ "TableName": TABLE, "Item": item("d", "15") });
        let deleted = json!({ "TableName": TABLE, "Key": key("b") });
        let updated = json!({
            "TableName": TABLE,
            "Key": key("b"),
            "UpdateExpression": "SET due_sk = :at, time_sk = :at",
            "ExpressionAttributeValues": { ":at": { "S": "40" } },
        });
        let batch = json!({ TABLE: [{ "PutRequest": { "Item": item("d", "15") } }, { "DeleteRequest": { "Key": key("b") } }] });
        let transaction = json!([{ "Put": new }, { "Update": updated }, { "Delete": { "TableName": TABLE, "Key": key("a") } }]);
        let writes = [
            ("PutItem", moved),
            ("PutItem", new),
            ("DeleteItem", deleted),
            ("UpdateItem", updated),
            ("BatchWriteItem", json!({ "RequestItems": batch })),
            ("TransactWriteItems", json!({ "TransactItems": transaction })),
        ];
        for index in ["due", "time"] {
            for (operation, write) in &writes {
                let aws = three().await;
                let happened = trouble(1, stale());
                let met = aws.troubled(happened.clone());
                let earlier = call(&aws, QUERY, &asked(index)).await;

                let (status, _) = call(&aws, &format!("DynamoDB_20120810.{operation}"), write).await;
                let seen = call(&met, QUERY, &asked(index)).await;
                sleep(LONG).await;
                let later = call(&met, QUERY, &asked(index)).await;

                assert_eq!((status, &seen), (200, &earlier), "{index} {operation}");
                assert_ne!(later, earlier, "{index} {operation}");
                assert_eq!(later, call(&aws, QUERY, &asked(index)).await, "{index} {operation}");
                assert_eq!(happened.happened().get("stale"), Some(&1), "{index} {operation}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_several_writes_the_first_tells_how_it_was() {
        let aws = three().await;
        let met = aws.troubled(trouble(1, stale()));
        let earlier = call(&aws, QUERY, &asked("due")).await;

        for at in ["40", "50", "05"] {
            put(&aws, "b", at).await;
        }

        assert_eq!(call(&met, QUERY, &asked("due")).await, earlier);
    }

    #[tokio::test(start_paused = true)]
    async fn a_range_is_of_the_keys_as_they_were() {
        let aws = three().await;
        let met = aws.troubled(trouble(1, stale()));
        let mut query = asked("due");
        query["KeyConditionExpression"] = json!("#pk = :pk AND #sk BETWEEN :from AND :to");
        query["ExpressionAttributeNames"]["#sk"] = json!("due_sk");
        query["ExpressionAttributeValues"][":from"] = json!({ "S": "15" });
        query["ExpressionAttributeValues"][":to"] = json!({ "S": "30" });
        let earlier = call(&aws, QUERY, &query).await;

        for (id, at) in [("a", "15"), ("b", "10"), ("c", "20")] {
            put(&aws, id, at).await;
        }

        assert_eq!(call(&met, QUERY, &query).await, earlier);
    }

    #[tokio::test(start_paused = true)]
    async fn pages_of_what_was_follow_each_other() {
        for is_forward in [true, false] {
            let aws = three().await;
            let met = aws.troubled(trouble(1, stale()));
            let mut query = asked("time");
            query["ScanIndexForward"] = json!(is_forward);
            query["Limit"] = json!(1);

            put(&aws, "b", "05").await;
            let mut ids = Vec::new();
            loop {
                let (_, page) = call(&met, QUERY, &query).await;
                let items = page["Items"].as_array().unwrap();
                assert!(items.len() <= 1);
                ids.extend(items.iter().map(|item| item["pk"]["S"].as_str().unwrap().to_owned()));
                if page["LastEvaluatedKey"].is_null() {
                    break;
                }
                query["ExclusiveStartKey"] = page["LastEvaluatedKey"].clone();
            }

            assert_eq!(ids, if is_forward { ["a", "b", "c"] } else { ["c", "b", "a"] });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn reads_by_key_and_of_the_table_itself_are_never_stale() {
        let aws = three().await;
        let met = aws.troubled(trouble(1, stale()));
        put(&aws, "b", "05").await;

        let get = json!({ "TableName": TABLE, "Key": key("b") });
        let (_, found) = call(&met, "DynamoDB_20120810.GetItem", &get).await;
        let of_table = json!({
            "TableName": TABLE,
            "KeyConditionExpression": "#pk = :pk",
            "ExpressionAttributeNames": { "#pk": "pk" },
            "ExpressionAttributeValues": { ":pk": { "S": "b" } },
        });
        let (_, page) = call(&met, QUERY, &of_table).await;

        assert_eq!((&found["Item"], &page["Items"][0]), (&item("b", "05"), &item("b", "05")));
    }
}
