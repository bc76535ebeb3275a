//! Connects a tenant's Twilio account: what was given is tried out at Twilio first, and stored only if it works.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::ask_twilio::{AskError, invalid, rest, stored_credentials};
use super::save_settings::adjust_settings;
use crate::context::{Context, ContextError, twilio_secret};
use crate::domain::compose::FieldError;
use crate::domain::connection::{self, WHATSAPP};
use crate::domain::phone::PhoneNumber;
use crate::domain::tenant::{Senders, Settings, TenantId};
use crate::secrets;
use crate::twilio::account;
use crate::twilio::credentials::{ApiKey, Credentials, Seen};
use crate::twilio::error_codes;
use crate::twilio::numbers::{self, Capabilities, Hooks, Owned};
use crate::twilio::rest::RestError;

/// What somebody hands over, as they wrote it.
pub struct Connection {
    pub account_sid: String,
    pub auth_token: SecretString,
    pub api_key: KeyChange,
    /// A number of the account's, to send from.
    pub phone_number: Option<String>,
    pub whatsapp_number: Option<String>,
    pub messaging_service_sid: Option<String>,
}

/// What becomes of the API key.
pub enum KeyChange {
    /// What was connected with the same account stays.
    Keep,
    Remove,
    Replace {
        sid: String,
        secret: SecretString,
    },
}

/// The same, in form.
struct Given {
    account_sid: String,
    auth_token: String,
    api_key: Option<(String, String)>,
    phone_number: Option<PhoneNumber>,
    whatsapp: Option<String>,
    service: Option<String>,
}

/// Tries out what was `asked`, stores it, and points the number's webhooks to us (S4-02, S4-05, S4-37).
///
/// Another token of the same account is a rotation: the one before it is accepted in signatures until the next.
/// Of another account's senders none stays. Repeating it does the same again; what a crash left undone is done by the
/// second try.
///
/// # Errors
/// [`AskError::Invalid`] names what cannot be right, with what to do. Nothing was stored then.
pub async fn connect_account(cx: &Context, tenant: &TenantId, asked: &Connection, now: Timestamp) -> Result<(), AskError> {
    let settings = cx.settings(tenant, now).await?;
    let given = read(&settings, asked).map_err(AskError::Invalid)?;
    let known = stored_credentials(cx, tenant).await?;
    let mut credentials = Credentials {
        account_sid: given.account_sid,
        auth_token: given.auth_token.into(),
        previous_auth_token: None,
        api_key: given.api_key.map(|(sid, secret)| ApiKey { sid, secret: secret.into() }),
        seen: None,
    }
    .in_place_of(known.as_ref());
    if let KeyChange::Keep = asked.api_key {
        let same = known.as_ref().filter(|known| known.account_sid == credentials.account_sid);
        credentials.api_key = same.and_then(|known| known.api_key.clone());
    }

    credentials.seen = Some(accepted(cx, &credentials, now).await?);
    if credentials.api_key.is_some() {
        numbers::probe(rest(cx, &credentials)).await.map_err(refused_key)?;
    }
    let number = match &given.phone_number {
        Some(number) => Some(usable(cx, &credentials, number).await?),
        None => None,
    };

    let (whatsapp, service) = (given.whatsapp, given.service);
    if known.is_some_and(|known| known.account_sid != credentials.account_sid) {
        let owned = numbers::list(rest(cx, &credentials)).await?;
        // Before the credentials, so that the second try after a crash has nothing left to know of the old account.
        adjust_settings(cx, tenant, |settings| {
            clear_foreign(&mut settings.senders, &owned, whatsapp.as_deref(), service.as_deref());
        })
        .await?;
    }
    let name = cx.config.secret(&twilio_secret(tenant));
    secrets::write(&cx.secrets, &name, &credentials.stored()).await?;
    cx.forget(tenant);
    if let Some(number) = &number {
        numbers::wire(rest(cx, &credentials), number, &Hooks::of(&cx.config.public_url, tenant)).await?;
    }
    adjust_settings(cx, tenant, |settings| {
        set_senders(&mut settings.senders, number.as_ref(), whatsapp.as_deref(), service.as_deref());
    })
    .await?;
    Ok(())
}

/// Forgets the tenant's account: from then on nothing leaves this system.
pub async fn disconnect_account(cx: &Context, tenant: &TenantId) -> Result<(), ContextError> {
    secrets::delete(&cx.secrets, &cx.config.secret(&twilio_secret(tenant))).await?;
    cx.forget(tenant);
    Ok(())
}

/// Everything that cannot be right, at once.
fn read(settings: &Settings, asked: &Connection) -> Result<Given, Vec<FieldError>> {
    let mut errors = Vec::new();
    let region = &settings.default_region;
    let account_sid = kept(connection::account_sid("accountSid", &asked.account_sid), &mut errors);
    let auth_token = kept(connection::auth_token("authToken", asked.auth_token.expose_secret()), &mut errors);
    let api_key = match &asked.api_key {
        KeyChange::Replace { sid, secret } => {
            let sid = kept(connection::key_sid("apiKey.sid", sid), &mut errors);
            sid.zip(kept(connection::key_secret("apiKey.secret", secret.expose_secret()), &mut errors))
        }
        KeyChange::Keep | KeyChange::Remove => None,
    };
    let phone_number = asked.phone_number.as_ref();
    let phone_number = phone_number.and_then(|given| kept(connection::number("phoneNumber", given, region), &mut errors));
    let whatsapp = asked.whatsapp_number.as_ref();
    let whatsapp = whatsapp.and_then(|given| kept(connection::whatsapp("whatsappNumber", given, region), &mut errors));
    let service = asked.messaging_service_sid.as_ref();
    let service = service.and_then(|given| kept(connection::service_sid("messagingServiceSid", given), &mut errors));
    match (account_sid, auth_token) {
        (Some(account_sid), Some(auth_token)) if errors.is_empty() => {
            Ok(Given { account_sid, auth_token, api_key, phone_number, whatsapp, service })
        }
        _ => Err(errors),
    }
}

fn kept<T>(read: Result<T, FieldError>, errors: &mut Vec<FieldError>) -> Option<T> {
    read.map_err(|error| errors.push(error)).ok()
}

/// What Twilio says of the account, if it accepts its token and the account is active.
async fn accepted(cx: &Context, credentials: &Credentials, now: Timestamp) -> Result<Seen, AskError> {
    let plain = credentials.without_key();
    let state = account::fetch(rest(cx, &plain)).await.map_err(refused_token)?;
    if !state.is_active() {
        let reason = format!(
            "Twilio says that this account is {}: nothing can be sent before it is active again; see the Console, or ask \
             Twilio's support",
            state.status
        );
        return Err(invalid("accountSid", "account_not_active", reason));
    }
    Ok(Seen { status: state.status, kind: state.kind, at: now })
}

/// Twilio's codes for test credentials, which may do next to nothing.
pub(super) const TEST_CREDENTIALS: [u32; 2] = [20006, 20008];
/// Twilio does not know the one who asks; 401 where it gave no code of its own.
pub(super) const UNAUTHENTICATED: [u32; 2] = [20003, 401];

fn refused_token(error: RestError) -> AskError {
    match error.refusal() {
        Some(code) if TEST_CREDENTIALS.contains(&code) => {
            let reason = "these are test credentials, which send nothing: take the live ones from the first page of the Console";
            invalid("authToken", "test_credentials", reason)
        }
        Some(code) if UNAUTHENTICATED.contains(&code) || error.is_not_found() => {
            let reason = "authentication failed: verify the Account SID and the auth token, both of the same account, without \
                          spaces around them; a token that was replaced in the Console is of no use any more";
            invalid("authToken", "authentication_failed", reason)
        }
        Some(code) => {
            let meaning = error_codes::meaning(code);
            invalid("accountSid", "twilio_refused", format!("Twilio refused with {code}, {}: {}", meaning.title, meaning.advice))
        }
        None => AskError::Unreachable(error),
    }
}

fn refused_key(error: RestError) -> AskError {
    match error.refusal() {
        Some(_) => {
            let reason = "Twilio refused this API key: verify SID and secret, and that it is a key of this account and not \
                          restricted; apiKey: null connects without one";
            invalid("apiKey", "authentication_failed", reason)
        }
        None => AskError::Unreachable(error),
    }
}

/// The account's own number, if it can send or call at all (S1-73).
async fn usable(cx: &Context, credentials: &Credentials, number: &PhoneNumber) -> Result<Owned, AskError> {
    let Some(owned) = numbers::find(rest(cx, credentials), number.e164()).await? else {
        let reason = "From number not verified: it is none of this account's Twilio numbers; give one of those that GET \
                      /phone-numbers lists, or buy one";
        return Err(invalid("phoneNumber", "not_owned", reason));
    };
    let Capabilities { sms, mms, voice } = owned.capabilities;
    if !(sms || mms || voice) {
        return Err(invalid("phoneNumber", "not_capable", "this number can neither text nor call: use another, or buy one"));
    }
    Ok(owned)
}

/// Takes away what was sent from with another account: what is not among the numbers that this one has. A messaging
/// service is one account's only; so is a WhatsApp sender.
fn clear_foreign(senders: &mut Senders, owned: &[Owned], whatsapp: Option<&str>, service: Option<&str>) {
    let stays = |address: &str| {
        let is_given = [whatsapp, service].contains(&Some(address));
        is_given || owned.iter().any(|owned| owned.phone_number == address.trim_start_matches(WHATSAPP))
    };
    for sender in [&mut senders.sms, &mut senders.whatsapp, &mut senders.voice] {
        if sender.as_deref().is_some_and(|address| !stays(address)) {
            *sender = None;
        }
    }
}

fn set_senders(senders: &mut Senders, number: Option<&Owned>, whatsapp: Option<&str>, service: Option<&str>) {
    if let Some(owned) = number {
        let Capabilities { sms, mms, voice } = owned.capabilities;
        if sms || mms {
            senders.sms = Some(owned.phone_number.clone());
        }
        // The sender of texts calls too, if it is a number that can.
        if voice && (service.is_some() || !(sms || mms)) {
            senders.voice = Some(owned.phone_number.clone());
        }
    }
    if let Some(service) = service {
        senders.sms = Some(service.to_string());
    }
    if let Some(whatsapp) = whatsapp {
        senders.whatsapp = Some(whatsapp.to_string());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn owned(sms: bool, voice: bool) -> Owned {
        let json = serde_json::json!({
            "sid": "PN1", "phone_number": "+15005550006", "capabilities": { "sms": sms, "mms": false, "voice": voice },
        });
        serde_json::from_value(json).unwrap()
    }

    fn after(number: &Owned, service: Option<&str>) -> (Option<String>, Option<String>) {
        let mut senders = Senders::default();
        set_senders(&mut senders, Some(number), None, service);
        (senders.sms, senders.voice)
    }

    #[test]
    fn of_another_accounts_senders_only_what_this_one_has_stays() {
        let service = format!("MG{}", "1".repeat(32));
        let some = |text: &str| Some(text.to_string());
        let mut senders = Senders { sms: some(&service), whatsapp: some("whatsapp:+15005550006"), voice: some("+15005550001") };
        clear_foreign(&mut senders, &[owned(true, true)], None, None);
        assert_eq!(senders, Senders { sms: None, whatsapp: some("whatsapp:+15005550006"), voice: None });
        let mut senders = Senders { sms: some(&service), whatsapp: some("whatsapp:+15005550007"), voice: None };
        clear_foreign(&mut senders, &[], Some("whatsapp:+15005550007"), Some(&service));
        assert_eq!(senders, Senders { sms: some(&service), whatsapp: some("whatsapp:+15005550007"), voice: None });
    }

    #[test]
    fn a_number_becomes_the_sender_of_what_it_can_do() {
        let number = || Some("+15005550006".to_string());
        let service = format!("MG{}", "1".repeat(32));
        assert_eq!(after(&owned(true, true), None), (number(), None));
        assert_eq!(after(&owned(false, true), None), (None, number()));
        assert_eq!(after(&owned(true, true), Some(&service)), (Some(service.clone()), number()), "a service cannot call");
        assert_eq!(after(&owned(true, false), Some(&service)), (Some(service.clone()), None));
    }
}
