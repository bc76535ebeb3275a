//! Whom a school means by the names that it gives: contacts by id, and groups that have members.

use std::collections::BTreeSet;

use crate::context::{Context, ContextError};
use crate::domain::school_event::is_id;
use crate::domain::tenant::TenantId;
use crate::files::Roster;
use crate::store::contacts;

/// So many names that are no contact's are looked up as groups; more are a mistake, and stay unknown.
const MOST_GROUPS: usize = 1_000;

/// Those of `names` that are contacts, or else groups; and those of `groups` that are groups whatever else they are.
pub async fn find_students(cx: &Context, tenant: &TenantId, names: &[&str], groups: &[&str]) -> Result<Roster, ContextError> {
    let table = cx.table().await?;
    let known = contacts::get_many(table, tenant, names).await?;
    let others = names.iter().filter(|name| !known.contains_key(**name));
    let asked: BTreeSet<&str> = others.chain(groups).copied().filter(|name| is_id(name)).collect();
    let mut found = Vec::new();
    for name in asked.into_iter().take(MOST_GROUPS) {
        if !contacts::members(table, tenant, name).await?.is_empty() {
            found.push(name.to_string());
        }
    }
    Ok(Roster::of(known.into_keys(), found))
}
