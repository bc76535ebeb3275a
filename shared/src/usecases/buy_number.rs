//! Buys a phone number, once however often it is asked for (S4-24).
//!
//! A number can be bought once only, so the account's own list is the truth: after an outcome that is not known
//! it is looked at before Twilio is asked again. Our row says whose purchase it was.

use jiff::Timestamp;

use super::ask_twilio::{AskError, connected, invalid, rest};
use super::save_settings::adjust_settings;
use super::wire_number::wired;
use crate::context::Context;
use crate::domain::country::country;
use crate::domain::phone::PhoneNumber;
use crate::domain::price_list::is_toll_free;
use crate::domain::tenant::{Senders, TenantId};
use crate::store::purchases::{self, Purchase};
use crate::twilio::numbers::{self, ADDRESS_REQUIRED, Capabilities, Hooks, INVALID, NOT_AVAILABLE, NumberKind, Owned, Search};
use crate::twilio::rest::Rest;

/// A number to buy, and what for.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub number: PhoneNumber,
    /// What has no sender yet gets it when absent.
    pub use_as: Option<UseAs>,
    pub address_sid: Option<String>,
    pub bundle_sid: Option<String>,
    /// The caller's key: the same again is the same purchase.
    pub key: String,
    /// Of the request.
    pub fingerprint: String,
    pub asked_by: Option<String>,
}

/// What a number is to send, as far as it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseAs {
    Sms,
    Voice,
    Both,
    Nothing,
}

/// Buys what is `wanted`, with our webhooks, and makes it a sender of the tenant's.
///
/// # Errors
/// [`AskError::Unreachable`]: whether it was bought is not known; the same key finds out. [`AskError::AlreadyOwned`]:
/// the account had it before. [`AskError::Gone`], or [`AskError::Invalid`] with what is missing: nothing was bought.
pub async fn buy_number(cx: &Context, tenant: &TenantId, wanted: &Wanted, now: Timestamp) -> Result<Owned, AskError> {
    let credentials = connected(cx, tenant).await?;
    let rest = rest(cx, &credentials);
    let hooks = Hooks::of(&cx.config.public_url, tenant);
    let purchase = Purchase {
        id: purchases::id(tenant, &wanted.key),
        fingerprint: wanted.fingerprint.clone(),
        number: wanted.number.clone(),
        sid: None,
        asked_at: now,
        asked_by: wanted.asked_by.clone(),
    };

    let known = known(cx, tenant, &purchase).await?;
    let owned = match (numbers::find(rest, wanted.number.e164()).await?, known) {
        (Some(owned), Some(_)) => owned,
        (Some(_), None) => return Err(AskError::AlreadyOwned),
        // It was bought under this key, and given back since.
        (None, Some(Purchase { sid: Some(_), .. })) => return Err(AskError::Gone),
        (None, _) => {
            check_capable(wanted, rest).await?;
            bought(cx, tenant, wanted, &purchase, rest, &hooks).await?
        }
    };
    let finished = Purchase { sid: Some(owned.sid.clone()), ..purchase };
    purchases::finish(cx.table().await?, tenant, &finished).await?;
    let owned = wired(rest, owned, &hooks).await?;
    adjust_settings(cx, tenant, |settings| set_senders(&mut settings.senders, &owned, wanted.use_as)).await?;
    Ok(owned)
}

/// What was begun under this key.
async fn known(cx: &Context, tenant: &TenantId, purchase: &Purchase) -> Result<Option<Purchase>, AskError> {
    match purchases::get(cx.table().await?, tenant, &purchase.id).await? {
        Some(known) if known.fingerprint != purchase.fingerprint => Err(AskError::KeyTaken),
        known => Ok(known),
    }
}

/// Refuses, before any money goes, a number that cannot do what it is wanted for, as those for sale are described.
/// One that is not found among them is Twilio's to judge.
async fn check_capable(wanted: &Wanted, rest: Rest<'_>) -> Result<(), AskError> {
    let (texts, calls) = match wanted.use_as {
        Some(UseAs::Sms) => (true, false),
        Some(UseAs::Voice) => (false, true),
        Some(UseAs::Both) => (true, true),
        Some(UseAs::Nothing) | None => return Ok(()),
    };
    let e164 = wanted.number.e164();
    let Some(country) = country(&wanted.number) else { return Ok(()) };
    let kinds: &[NumberKind] =
        if is_toll_free(e164) { &[NumberKind::TollFree] } else { &[NumberKind::Local, NumberKind::Mobile] };
    for kind in kinds {
        let search = Search {
            country: country.clone(),
            kind: *kind,
            area_code: None,
            contains: Some(e164.trim_start_matches('+').to_string()),
            sms: None,
            mms: None,
            voice: None,
            limit: 20,
        };
        let offered = match numbers::search(rest, &search).await {
            Ok(offered) => offered,
            // Such as a country without numbers of this kind.
            Err(error) if error.refusal().is_some() => continue,
            Err(error) => return Err(error.into()),
        };
        if let Some(offer) = offered.iter().find(|offer| offer.phone_number == e164) {
            let Capabilities { sms, voice, .. } = offer.capabilities;
            let lacking = match (texts && !sms, calls && !voice) {
                (true, _) => "text: search for one with sms=true",
                (_, true) => "call: search for one with voice=true",
                (false, false) => return Ok(()),
            };
            let reason = format!("nothing was bought: this number cannot {lacking}, or say in useAs what this one is for");
            return Err(invalid("useAs", "not_capable", reason));
        }
    }
    Ok(())
}

/// Asks Twilio for the number, once our row says so.
async fn bought(
    cx: &Context,
    tenant: &TenantId,
    wanted: &Wanted,
    purchase: &Purchase,
    rest: Rest<'_>,
    hooks: &Hooks,
) -> Result<Owned, AskError> {
    let table = cx.table().await?;
    let is_first = purchases::begin(table, tenant, purchase).await?;
    if !is_first {
        known(cx, tenant, purchase).await?;
    }
    let e164 = wanted.number.e164();
    let error = match numbers::buy(rest, e164, hooks, wanted.address_sid.as_deref(), wanted.bundle_sid.as_deref()).await {
        Ok(owned) => return Ok(owned),
        Err(error) => error,
    };
    // It may have been bought: the row stays, and the second try looks.
    let Some(code) = error.refusal() else { return Err(AskError::Unreachable(error)) };
    let mut refusal = refused(code);
    if code == NOT_AVAILABLE
        && let Some(owned) = numbers::find(rest, e164).await?
    {
        // Another request with the same key was faster; or one with another.
        if !is_first || known(cx, tenant, purchase).await?.is_some_and(|known| known.sid.is_some()) {
            return Ok(owned);
        }
        refusal = AskError::AlreadyOwned;
    }
    if is_first {
        purchases::withdraw(table, tenant, &purchase.id).await?;
    }
    Err(refusal)
}

/// What Twilio's refusal to sell means for whoever asked (S4-25).
fn refused(code: u32) -> AskError {
    match code {
        NOT_AVAILABLE => AskError::Gone,
        INVALID => {
            invalid("phoneNumber", "invalid_number", "Twilio purchase error: this is no number that Twilio sells; search for one")
        }
        code if ADDRESS_REQUIRED.contains(&code) => {
            let reason = "Twilio purchase error: the number's country asks for an address or papers of whoever buys it. Make them \
                          in Twilio's Console (Phone Numbers, Regulatory Compliance), and give addressSid or bundleSid";
            invalid(if code == NO_BUNDLE { "bundleSid" } else { "addressSid" }, "address_required", reason)
        }
        code => AskError::Refused(code),
    }
}

/// Papers are missing, not an address.
const NO_BUNDLE: u32 = 21649;

fn set_senders(senders: &mut Senders, owned: &Owned, use_as: Option<UseAs>) {
    let Capabilities { sms, voice, .. } = owned.capabilities;
    let calls_already = senders.voice.is_some() || senders.sms.as_ref().is_some_and(|sender| sender.starts_with('+'));
    let (as_sms, as_voice) = match use_as {
        Some(UseAs::Sms) => (sms, false),
        Some(UseAs::Voice) => (false, voice),
        Some(UseAs::Both) => (sms, voice),
        Some(UseAs::Nothing) => (false, false),
        // The sender of texts calls too.
        None if sms && senders.sms.is_none() => (true, false),
        None => (false, voice && !calls_already),
    };
    if as_sms {
        senders.sms = Some(owned.phone_number.clone());
    }
    if as_voice {
        senders.voice = Some(owned.phone_number.clone());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NUMBER: &str = "+15005550006";
    const OTHER: &str = "+15005550001";

    fn after(
        senders: (Option<&str>, Option<&str>),
        can: (bool, bool),
        use_as: Option<UseAs>,
    ) -> (Option<String>, Option<String>) {
        let json = serde_json::json!({
            "sid": "PN1", "phone_number": NUMBER, "capabilities": { "sms": can.0, "mms": can.0, "voice": can.1 },
        });
        let owned: Owned = serde_json::from_value(json).unwrap();
        let (sms, voice) = (senders.0.map(str::to_string), senders.1.map(str::to_string));
        let mut senders = Senders { sms, whatsapp: None, voice };
        set_senders(&mut senders, &owned, use_as);
        (senders.sms, senders.voice)
    }

    #[test]
    fn a_number_becomes_the_sender_that_is_missing_or_that_was_asked_for() {
        let both = (true, true);
        let (this, other) = (|| Some(NUMBER.to_string()), || Some(OTHER.to_string()));
        assert_eq!(after((None, None), both, None), (this(), None));
        assert_eq!(after((Some(OTHER), None), both, None), (other(), None), "the other one texts and calls");
        assert_eq!(after((None, None), (false, true), None), (None, this()));
        assert_eq!(after((Some("MG1"), None), (false, true), None), (Some("MG1".to_string()), this()), "a service cannot call");
        assert_eq!(after((Some(OTHER), None), both, Some(UseAs::Sms)), (this(), None));
        assert_eq!(after((Some(OTHER), None), both, Some(UseAs::Voice)), (other(), this()));
        assert_eq!(after((Some(OTHER), Some(OTHER)), both, Some(UseAs::Both)), (this(), this()));
        assert_eq!(after((None, None), both, Some(UseAs::Nothing)), (None, None));
        assert_eq!(after((Some(OTHER), None), (false, true), Some(UseAs::Sms)), (other(), None), "it cannot");
    }
}
