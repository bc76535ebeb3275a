//! Somebody enters what a number's owner wishes: on a form, on paper, by word of mouth.

use jiff::Timestamp;

use super::tell_of_inbound::tell_of_wish;
use crate::context::{Context, ContextError};
use crate::domain::consent::Wish;
use crate::domain::message::derived;
use crate::domain::phone::PhoneNumber;
use crate::domain::tenant::TenantId;
use crate::store::consents::{self, Entry, Method};

/// A wish that did not come from the number itself.
#[derive(Clone, Debug)]
pub struct Entered {
    pub wish: Wish,
    pub method: Method,
    pub reason: Option<String>,
    /// Who entered it.
    pub by: Option<String>,
    /// The caller's key: the same again changes nothing.
    pub key: String,
}

/// Records it for each of `numbers`, once for each key.
pub async fn record_wish(
    cx: &Context,
    tenant: &TenantId,
    numbers: &[&PhoneNumber],
    entered: &Entered,
    now: Timestamp,
) -> Result<(), ContextError> {
    let table = cx.table().await?;
    let source = format!("entered_{}", derived(tenant, &["wish entered", &entered.key]));
    for number in numbers {
        let history = consents::history(table, tenant, number).await?;
        if history.iter().any(|entry| entry.source == source) {
            continue;
        }
        let Entered { wish, method, reason, by, .. } = entered.clone();
        let entry = Entry { number: (*number).clone(), at: now, wish, method, source: source.clone(), by, reason };
        consents::record(table, tenant, &entry).await?;
        tell_of_wish(cx, tenant, number, &entry.wish, now).await;
    }
    Ok(())
}
