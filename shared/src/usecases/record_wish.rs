//! Somebody enters what a number's owner wishes: on a form, on paper, by word of mouth.

use jiff::Timestamp;
use serde::Serialize;

use super::send_message::{SendError, asked_id, fingerprint, fingerprint_of};
use super::tell_of_inbound::tell_of_wish;
use crate::context::Context;
use crate::domain::consent::{Scope, Wish};
use crate::domain::evidence::{Entry, Method};
use crate::domain::message::derived;
use crate::domain::phone::PhoneNumber;
use crate::domain::tenant::TenantId;
use crate::store::consents;
use crate::store::{StoreError, Table, contacts, messages, write_all_if};

/// Others may change a contact between our looks so often.
const TRIES: u32 = 8;

/// A wish that did not come from the number itself.
#[derive(Clone, Debug, Serialize)]
pub struct Entered {
    pub wish: Wish,
    pub method: Method,
    pub reason: Option<String>,
    /// Who entered it.
    #[serde(skip)]
    pub by: Option<String>,
    /// The caller's key: the same again changes nothing.
    #[serde(skip)]
    pub key: String,
}

/// Records it for each of `numbers`, once for each key. An opt-in of a contact lifts also what the tenant's own
/// record of it says; an opt-in of a number cannot: others may share it.
///
/// # Errors
/// [`SendError::KeyTaken`] if the key stands for something else.
pub async fn record_wish(
    cx: &Context,
    tenant: &TenantId,
    numbers: &[PhoneNumber],
    contact: Option<&str>,
    entered: &Entered,
    now: Timestamp,
) -> Result<(), SendError> {
    let table = cx.table().await?;
    let (id, fingerprint) = (asked_id(tenant, &entered.key), fingerprint(tenant, &(numbers, contact, entered)));
    if !write_all_if(table, vec![messages::taken(table, tenant, &id, &fingerprint, now)?]).await? {
        let known = messages::get_many(table, tenant, std::slice::from_ref(&id)).await?.pop();
        if known.is_none_or(|known| fingerprint_of(&known) != Some(&fingerprint)) {
            return Err(SendError::KeyTaken);
        }
    }
    let source = format!("entered_{}", derived(tenant, &["entered", &entered.key]));
    // Before the numbers, so that a crash between leaves a request that does it all; not once they are done, or the
    // same request come again would undo what was recorded since.
    let mut is_new = false;
    for number in numbers {
        is_new |= !consents::is_recorded(table, tenant, number, &source).await?;
    }
    if let (true, Some(contact), Wish::Start(scope)) = (is_new, contact, &entered.wish) {
        lift(table, tenant, contact, scope).await?;
    }
    for number in numbers {
        if consents::is_recorded(table, tenant, number, &source).await? {
            continue;
        }
        let Entered { wish, method, reason, by, .. } = entered.clone();
        let entry = Entry { number: number.clone(), at: now, wish, method, source: source.clone(), by, reason };
        consents::record(table, tenant, &entry).await?;
        tell_of_wish(cx, tenant, number, &entry.wish, now).await;
    }
    Ok(())
}

/// Takes back what the tenant's own record of a contact opts out of.
async fn lift(table: &Table, tenant: &TenantId, contact: &str, scope: &Scope) -> Result<(), StoreError> {
    for _ in 0..TRIES {
        // Whoever was forgotten meanwhile does not come back.
        let Some(known) = contacts::read(table, tenant, contact).await? else { return Ok(()) };
        let mut lifted = known.contact.clone();
        match scope {
            Scope::All => {
                lifted.opted_out = false;
                lifted.opted_out_categories.clear();
            }
            Scope::Only(categories) => lifted.opted_out_categories.retain(|category| !categories.contains(category)),
        }
        if contacts::replace(table, tenant, Some(&known), lifted).await?.is_some() {
            return Ok(());
        }
    }
    Err(StoreError::Unreachable("a contact kept changing".into()))
}
