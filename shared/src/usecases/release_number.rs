//! Gives a phone number back to Twilio.

use super::ask_twilio::{AskError, connected, rest};
use super::save_settings::adjust_settings;
use crate::context::Context;
use crate::domain::connection::WHATSAPP;
use crate::domain::phone::PhoneNumber;
use crate::domain::tenant::{Senders, TenantId};
use crate::twilio::numbers;

/// Releases `number`, and sends from it no more. What a crash left undone is done by the second try.
///
/// # Errors
/// [`AskError::NotOwned`] for a number that the account does not have and nothing is sent from.
pub async fn release_number(cx: &Context, tenant: &TenantId, number: &PhoneNumber) -> Result<(), AskError> {
    let credentials = connected(cx, tenant).await?;
    let rest = rest(cx, &credentials);
    let owned = numbers::find(rest, number.e164()).await?;
    if let Some(owned) = &owned {
        numbers::release(rest, &owned.sid).await?;
    }
    let was_sender = adjust_settings(cx, tenant, |settings| clear(&mut settings.senders, number.e164())).await?;
    if owned.is_some() || was_sender { Ok(()) } else { Err(AskError::NotOwned) }
}

/// Takes `e164` away from whatever is sent from it.
fn clear(senders: &mut Senders, e164: &str) {
    for sender in [&mut senders.sms, &mut senders.whatsapp, &mut senders.voice] {
        if sender.as_deref().is_some_and(|address| address.trim_start_matches(WHATSAPP) == e164) {
            *sender = None;
        }
    }
}
