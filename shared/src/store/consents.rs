//! What a number said about being messaged: how it stands, and every wish that made it so.
//!
//! The history is evidence: when, how, and by which message or person (S3-54, S3-55). It is never changed, but for the
//! number itself and the message: once their contact is forgotten, only keyed hashes of them stay (S0-72, S3-58).

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::erasure;
use super::keys;
use super::table::{Item, Order, StoreError, Table, key_of, number};
use super::transaction::{Write, write_all_if, write_if};
use super::{numbers, page};
use crate::domain::consent::{Scope, Wish};
use crate::domain::contact::Category;
use crate::domain::evidence::Entry;
use crate::domain::phone::PhoneNumber;
use crate::domain::standing::Standing;
use crate::domain::tenant::TenantId;

#[derive(Serialize, Deserialize)]
struct Consent {
    // `number` is a word of DynamoDB's own.
    /// None once its contact was forgotten.
    #[serde(rename = "e164", default)]
    number: Option<PhoneNumber>,
    stopped: bool,
    categories: BTreeSet<Category>,
    /// Since when anything is stopped.
    #[serde(default)]
    since: Option<Timestamp>,
    revision: u32,
}

impl Consent {
    fn of(number: &PhoneNumber, standing: Standing, since: Option<Timestamp>, revision: u32) -> Self {
        let Standing { stopped, categories } = standing;
        Self { number: Some(number.clone()), stopped, categories, since, revision }
    }

    fn into_standing(self) -> Standing {
        Standing { stopped: self.stopped, categories: self.categories }
    }
}

/// How a number stands, as it was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    pub standing: Standing,
    /// Since when anything is stopped.
    pub since: Option<Timestamp>,
    revision: u32,
}

const SEALED: &[&str] = &["e164"];
/// How the sources of forgotten numbers begin.
const HASHED: &str = "forgotten_";
const SEALED_WISH: &[&str] = &["number", "by", "reason"];
/// Others may change a number's standing between our looks so often.
const TRIES: u32 = 8;

/// Records a wish that came by itself, not with a text.
///
/// # Errors
/// [`StoreError::Unreachable`] also when others keep changing the number's standing.
pub async fn record(table: &Table, tenant: &TenantId, entry: &Entry) -> Result<Standing, StoreError> {
    for _ in 0..TRIES {
        let known = of(table, tenant, &[&entry.number]).await?.remove(&entry.number).unwrap_or_default();
        if write_all_if(table, change(table, tenant, &known, entry)?).await? {
            return Ok(known.standing.after(&entry.wish));
        }
    }
    Err(StoreError::Unreachable("a number's standing kept changing".into()))
}

/// What records `entry`, if the number still stands as `known`; part of whatever else it brings about.
pub fn change(table: &Table, tenant: &TenantId, known: &Known, entry: &Entry) -> Result<Vec<Write>, StoreError> {
    let hash = table.keyring().number_hash(&entry.number);
    let standing = known.standing.after(&entry.wish);
    let since = if standing.is_open() { None } else { known.since.or(Some(entry.at)) };
    let consent = Consent::of(&entry.number, standing, since, known.revision + 1);
    let mut item = table.item(&keys::consent(tenant, &hash), &consent, SEALED)?;
    if let Some(since) = since {
        table.place(&mut item, keys::TIME, keys::opt_outs(tenant), keys::instant_and(since, &hash));
    }
    let seen = HashMap::from([(":seen".to_string(), number(known.revision))]);
    let unchanged = if known.revision == 0 { "attribute_not_exists(revision) OR revision = :seen" } else { "revision = :seen" };
    Ok(vec![Write::put(table, item, unchanged, seen)?, wish(table, tenant, &hash, entry)?, counted(table, tenant)?])
}

fn counted(table: &Table, tenant: &TenantId) -> Result<Write, StoreError> {
    let one = HashMap::from([(":one".to_string(), number(1))]);
    Write::update(table, &keys::consents(tenant), "ADD changes :one", None, one)
}

/// Counts a change that could not be counted where it was made.
pub async fn note_change(table: &Table, tenant: &TenantId) -> Result<(), StoreError> {
    write_if(table, counted(table, tenant)?).await?;
    Ok(())
}

/// What records that Twilio refused because the number had opted out there, however it stands with us. One
/// transaction may hold many, so it is not counted in [`changes`]: [`note_change`] does, after it.
pub fn refused(table: &Table, tenant: &TenantId, entry: &Entry) -> Result<Vec<Write>, StoreError> {
    let hash = table.keyring().number_hash(&entry.number);
    let key = keys::consent(tenant, &hash);
    let whole = Consent::of(&entry.number, Standing::default().after(&Wish::Stop(Scope::All)), Some(entry.at), 1);
    let mut item = table.item(&key, &whole, SEALED)?;
    table.place(&mut item, keys::TIME, keys::opt_outs(tenant), keys::instant_and(entry.at, &hash));
    let value = |name: &str| item.get(name).cloned().unwrap_or(AttributeValue::Null(true));
    let values = HashMap::from([
        (":yes".to_string(), AttributeValue::Bool(true)),
        (":e164".to_string(), value("e164")),
        (":since".to_string(), value("since")),
        (":pk".to_string(), value(keys::TIME.pk)),
        (":sk".to_string(), value(keys::TIME.sk)),
        (":one".to_string(), number(1)),
        (":none".to_string(), AttributeValue::L(Vec::new())),
    ]);
    let expression = "SET stopped = :yes, e164 = if_not_exists(e164, :e164), since = if_not_exists(since, :since), \
                      categories = if_not_exists(categories, :none), time_pk = if_not_exists(time_pk, :pk), \
                      time_sk = if_not_exists(time_sk, :sk) ADD revision :one";
    Ok(vec![Write::update(table, &key, expression, None, values)?, wish(table, tenant, &hash, entry)?])
}

fn wish<N: Serialize>(table: &Table, tenant: &TenantId, hash: &str, entry: &Entry<N>) -> Result<Write, StoreError> {
    let mut item = table.item(&keys::wish(tenant, hash, entry.at, &entry.source), entry, SEALED_WISH)?;
    let place = format!("{}#{}", keys::instant_and(entry.at, hash), entry.source);
    table.place(&mut item, keys::TIME, keys::all_wishes(tenant), place);
    // The same again says the same again.
    Write::put(table, item, None, HashMap::new())
}

/// How often the tenant's consents have changed. Read before the standings that a wave goes by.
pub async fn changes(table: &Table, tenant: &TenantId) -> Result<u64, StoreError> {
    let item = table.get(&keys::consents(tenant)).await?.unwrap_or_default();
    Ok(item.get("changes").and_then(|value| value.as_n().ok()?.parse().ok()).unwrap_or_default())
}

/// Lets a wave go only if no consent of the tenant's has changed since `seen`: one check for all of it.
pub fn must_be_unchanged(table: &Table, tenant: &TenantId, seen: u64) -> Result<Write, StoreError> {
    let values = HashMap::from([(":seen".to_string(), number(seen))]);
    let condition = if seen == 0 { "attribute_not_exists(changes) OR changes = :seen" } else { "changes = :seen" };
    Write::check(table, &keys::consents(tenant), condition, values)
}

/// Lets a message of `category` go only if `number` wants it.
pub fn must_be_wanted(table: &Table, tenant: &TenantId, number: &PhoneNumber, category: Category) -> Result<Write, StoreError> {
    let key = keys::consent(tenant, &table.keyring().number_hash(number));
    let values = HashMap::from([
        (":no".to_string(), AttributeValue::Bool(false)),
        (":category".to_string(), AttributeValue::S(category.word().into())),
    ]);
    let condition = "attribute_not_exists(pk) OR (stopped = :no AND NOT contains(categories, :category))";
    Write::check(table, &key, condition, values)
}

/// How `numbers` stand. Those that never said anything are left out.
pub async fn of(table: &Table, tenant: &TenantId, numbers: &[&PhoneNumber]) -> Result<HashMap<PhoneNumber, Known>, StoreError> {
    let consents = numbers::beside(table, tenant, numbers, keys::consent).await?;
    consents.into_iter().map(|(number, item)| Ok((number, known(table, item)?))).collect()
}

/// The same, without what only a change has to know.
pub async fn standings(
    table: &Table,
    tenant: &TenantId,
    numbers: &[&PhoneNumber],
) -> Result<HashMap<PhoneNumber, Standing>, StoreError> {
    Ok(of(table, tenant, numbers).await?.into_iter().map(|(number, known)| (number, known.standing)).collect())
}

pub(super) fn known(table: &Table, item: Item) -> Result<Known, StoreError> {
    let consent: Consent = table.value(item, SEALED)?;
    Ok(Known { since: consent.since, revision: consent.revision, standing: consent.into_standing() })
}

/// Everything that `number` ever said, the earliest first.
pub async fn history(table: &Table, tenant: &TenantId, number: &PhoneNumber) -> Result<Vec<Entry>, StoreError> {
    let pk = keys::phone(tenant, &table.keyring().number_hash(number));
    let items = table.query_all(&pk, None, Some(keys::wishes())).await?;
    let known = |item: Item| {
        let Entry { at, wish, method, source, by, reason, .. } = read::<Option<PhoneNumber>>(table, item)?;
        Ok(Entry { number: number.clone(), at, wish, method, source, by, reason })
    };
    items.into_iter().map(known).collect()
}

fn read<N: DeserializeOwned>(table: &Table, item: Item) -> Result<Entry<N>, StoreError> {
    table.value(item, SEALED_WISH)
}

/// Whether a wish of `number` that came by `source` is written down already.
pub async fn is_recorded(table: &Table, tenant: &TenantId, number: &PhoneNumber, source: &str) -> Result<bool, StoreError> {
    let hashed = hashed(table, source);
    Ok(history(table, tenant, number).await?.iter().any(|entry| entry.source == source || entry.source == hashed))
}

/// A source as it is kept once its number is forgotten: Twilio's id of a text leads to whoever wrote it.
fn hashed(table: &Table, source: &str) -> String {
    format!("{HASHED}{}", table.keyring().sign("source", source))
}

/// A number that is stopped, wholly or for some categories.
#[derive(Clone, Debug, PartialEq)]
pub struct OptOut {
    /// None once its contact was forgotten.
    pub number: Option<PhoneNumber>,
    pub standing: Standing,
    pub since: Option<Timestamp>,
}

/// A page of the numbers that are stopped, the latest first; and where the next begins.
pub async fn opt_outs(
    table: &Table,
    tenant: &TenantId,
    after: Option<&str>,
    limit: u32,
) -> Result<(Vec<OptOut>, Option<String>), StoreError> {
    let (items, next) = page::of_time(table, &keys::opt_outs(tenant), Order::Latest, after, limit).await?;
    let opt_out = |item: Item| {
        let consent: Consent = table.value(item, SEALED)?;
        Ok(OptOut { number: consent.number.clone(), since: consent.since, standing: consent.into_standing() })
    };
    Ok((items.into_iter().map(opt_out).collect::<Result<_, StoreError>>()?, next))
}

/// Every wish that any number of the tenant's had from `from` to `to`, the earliest first.
pub async fn all_wishes(
    table: &Table,
    tenant: &TenantId,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> Result<Vec<Entry<Option<PhoneNumber>>>, StoreError> {
    let range = (from.map_or("!".to_string(), keys::instant), to.map_or("~".to_string(), keys::up_to));
    let entries = table.query_all(&keys::all_wishes(tenant), Some(keys::TIME), Some(range)).await?;
    let items = table.get_many(entries.iter().map(key_of).collect()).await?;
    let mut all = items.into_iter().map(|item| read::<Option<PhoneNumber>>(table, item)).collect::<Result<Vec<_>, _>>()?;
    all.sort_by(|a, b| (a.at, &a.source).cmp(&(b.at, &b.source)));
    Ok(all)
}

/// Takes a number from everything that it said, with the reasons that people wrote down and the ids of its texts. How
/// it stands, and since when, stays under its keyed hash: an opt-out holds for whoever comes back with the number.
/// Answers how many wishes it had.
pub async fn forget_number(table: &Table, tenant: &TenantId, number_hash: &str) -> Result<u32, StoreError> {
    let wishes = table.query_all(&keys::phone(tenant, number_hash), None, Some(keys::wishes())).await?;
    let count = wishes.len() as u32;
    for item in wishes {
        let key = key_of(&item);
        let entry = read::<Option<PhoneNumber>>(table, item)?;
        if entry.source.starts_with(HASHED) {
            continue;
        }
        // The source is in the key, too.
        let forgotten = Entry { number: None::<PhoneNumber>, source: hashed(table, &entry.source), reason: None, ..entry };
        let writes = vec![Write::delete(table, &key)?, wish(table, tenant, number_hash, &forgotten)?];
        write_all_if(table, writes).await?;
    }
    erasure::remove(table, &keys::consent(tenant, number_hash), &["e164"]).await?;
    Ok(count)
}
