//! What lies beside numbers: consents, WhatsApp sessions and contacts, found by the number's keyed hash.

use std::collections::{HashMap, HashSet};

use super::keys::{self, Key};
use super::table::{Item, StoreError, Table, string};
use crate::domain::phone::PhoneNumber;
use crate::domain::tenant::TenantId;

/// The items of one sort that lie beside `numbers`, each number once, in batches. `key` is of that sort.
pub(super) async fn beside(
    table: &Table,
    tenant: &TenantId,
    numbers: &[&PhoneNumber],
    key: fn(&TenantId, &str) -> Key,
) -> Result<Vec<(PhoneNumber, Item)>, StoreError> {
    let each: HashSet<&PhoneNumber> = numbers.iter().copied().collect();
    let mut by_place = HashMap::with_capacity(each.len());
    let mut wanted = Vec::with_capacity(each.len());
    for number in each {
        let key = key(tenant, &table.keyring().number_hash(number));
        by_place.insert(key.pk.clone(), number);
        wanted.push(key);
    }
    let items = table.get_many(wanted).await?.into_iter();
    Ok(items.filter_map(|item| Some(((*by_place.get(string(&item, keys::PK))?).clone(), item))).collect())
}
