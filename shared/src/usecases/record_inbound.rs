//! Somebody texts us: STOP and START are obeyed at once (S0-102).

use jiff::Timestamp;

use crate::context::{Context, ContextError};
use crate::domain::consent::{self, Keyword};
use crate::domain::phone::{self, PhoneNumber, Strictness};
use crate::domain::tenant::TenantId;
use crate::store::consents::{self, Source};
use crate::store::sessions;

/// What an inbound message says.
#[derive(Clone, Debug)]
pub struct Inbound {
    pub sid: String,
    /// As Twilio gives it; may be no number at all.
    pub from: String,
    pub body: String,
}

/// Records the wish that `inbound` expresses, if it is a keyword, for its number on every channel; and
/// that a number which writes over WhatsApp takes free text for a day (D14).
pub async fn record_inbound(
    cx: &Context,
    tenant: &TenantId,
    inbound: &Inbound,
    now: Timestamp,
) -> Result<Option<Keyword>, ContextError> {
    let wish = consent::keyword(&inbound.body);
    let over_whatsapp = inbound.from.starts_with("whatsapp:");
    if wish.is_none() && !over_whatsapp {
        return Ok(None);
    }
    let settings = cx.settings(tenant, now).await?;
    match PhoneNumber::parse(&inbound.from, &settings.default_region, Strictness::Possible) {
        Ok(number) => {
            if over_whatsapp {
                sessions::open(cx.table().await?, tenant, &number, now).await?;
            }
            let Some(wish) = wish else { return Ok(None) };
            consents::record(cx.table().await?, tenant, &number, wish, Source::Inbound(&inbound.sid), now).await?;
            tracing::info!(%tenant, from = ?number, ?wish, "a wish was recorded");
            Ok(Some(wish))
        }
        Err(error) => {
            tracing::info!(%tenant, from = phone::mask(&inbound.from), %error, "a keyword from what is no number");
            Ok(None)
        }
    }
}
