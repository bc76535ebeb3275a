//! Says of one number whether it can be reached, and why somebody there may have got nothing (S0-89, S2-57).

use jiff::Timestamp;

use crate::context::{Context, ContextError};
use crate::domain::country;
use crate::domain::message::Message;
use crate::domain::phone::{PhoneError, PhoneNumber, Strictness};
use crate::domain::tenant::TenantId;
use crate::store::conversations::{self, ConversationId};
use crate::store::{consents, contacts};

/// What is known of a number that can be one.
#[derive(Clone, Debug)]
pub struct KnownNumber {
    pub number: PhoneNumber,
    /// ISO 3166.
    pub country: Option<String>,
    /// Whether this tenant sends to it, as picky as it is.
    pub is_accepted: bool,
    pub consent: consents::Known,
    pub is_do_not_call: bool,
    /// Whom it reaches, by id.
    pub contacts: Vec<String>,
    /// Those of them that the tenant's own records opt out of everything.
    pub opted_out_contacts: Vec<String>,
    /// The last that was sent there.
    pub last: Option<Message>,
}

/// So many of the latest texts and calls are looked through for one of ours.
const LOOK_BACK: u32 = 20;

/// What is known of a number as people write it; or why it is none.
pub async fn diagnose_number(
    cx: &Context,
    tenant: &TenantId,
    given: &str,
    now: Timestamp,
) -> Result<Result<KnownNumber, PhoneError>, ContextError> {
    let settings = cx.settings(tenant, now).await?;
    let number = match PhoneNumber::parse(given, &settings.default_region, Strictness::Possible) {
        Ok(number) => number,
        Err(error) => return Ok(Err(error)),
    };
    let table = cx.table().await?;
    let consent = consents::of(table, tenant, &[&number]).await?.remove(&number).unwrap_or_default();
    let known = contacts::at_numbers(table, tenant, &[&number]).await?.remove(&number).unwrap_or_default();
    let talk = ConversationId::of(table, number.e164());
    let (said, _) = conversations::messages(table, tenant, &talk, None, LOOK_BACK).await?;
    let opted_out = known.iter().filter(|(_, wishes)| wishes.opted_out).map(|(id, _)| id.clone()).collect();
    Ok(Ok(KnownNumber {
        country: country::country(&number),
        is_accepted: number.is_valid() || settings.strictness() == Strictness::Possible,
        consent,
        is_do_not_call: settings.is_do_not_call(&number),
        opted_out_contacts: opted_out,
        contacts: known.into_keys().collect(),
        last: said.into_iter().find(|message| message.inbound.is_none()),
        number,
    }))
}
