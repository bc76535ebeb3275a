//! `/twilio`: the tenant's account at Twilio: connect, rotate, look, try out, disconnect. Nothing secret is answered.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::access::Caller;
use super::arrival::Arrival;
use super::problem::{Problem, Refusals};
use super::request::{Input, Object};
use crate::context::Context;
use crate::domain::diagnosis::{Check, Severity};
use crate::domain::money::{Currency, Micros, Money};
use crate::domain::tenant::{Settings, TenantId};
use crate::twilio::account::State as AccountState;
use crate::twilio::credentials::{Credentials, Seen};
use crate::twilio::numbers::Hooks;
use crate::usecases::ask_twilio::stored_credentials;
use crate::usecases::connect_account::{Connection, KeyChange, connect_account, disconnect_account};
use crate::usecases::diagnose::test_account;

/// An account to connect. Twilio is asked before anything is stored.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectRequest {
    /// `AC…`, from the first page of Twilio's Console.
    account_sid: String,
    /// Another one of the account that is connected already is a rotation: webhooks that were signed with the one before
    /// are still believed.
    #[schema(value_type = String)]
    auth_token: SecretString,
    /// To send with instead of the token. When absent, the one that is connected stays; `null` removes it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<KeyRequest>)]
    api_key: Option<Option<Object<KeyRequest>>>,
    /// One of the account's numbers, to send from. Its webhooks are pointed to us.
    phone_number: Option<String>,
    /// `whatsapp:+15551234567`.
    whatsapp_number: Option<String>,
    /// `MG…`, to send texts from instead of the number.
    messaging_service_sid: Option<String>,
}

/// A pair of Twilio's API keys.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRequest {
    /// `SK…`.
    sid: String,
    #[schema(value_type = String)]
    secret: SecretString,
}

/// Tells `null` from absence.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The account that is connected, without its secrets.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountView {
    connected: bool,
    /// No account is connected: everything works, and nothing leaves this system.
    simulated: bool,
    /// Its first characters.
    account_sid: Option<String>,
    /// `Configured`.
    #[schema(value_type = Option<String>)]
    auth_token: Option<&'static str>,
    /// Its first characters, if messages are sent with an API key.
    api_key_sid: Option<String>,
    /// A rotation is under way: the token before this one is believed, too.
    previous_token: bool,
    phone_number: Option<String>,
    whatsapp_number: Option<String>,
    /// `active`, as of `verifiedAt`; so is the type, `Full` or `Trial`.
    account_status: Option<String>,
    account_type: Option<String>,
    /// Twilio has accepted the credentials.
    verified: bool,
    verified_at: Option<Timestamp>,
    /// What the account's numbers must be pointed to; `POST /phone-numbers/{number}/wire` does it.
    webhooks: WebhooksView,
}

/// Our addresses, as Twilio has to be told of them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhooksView {
    sms_url: String,
    voice_url: String,
    status_callback: String,
}

/// What Twilio said when it was asked.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestView {
    /// Messages can be sent.
    ok: bool,
    simulated: bool,
    account_sid: Option<String>,
    account_status: Option<String>,
    account_type: Option<String>,
    #[schema(value_type = Option<String>)]
    balance: Option<Micros>,
    #[schema(value_type = Option<String>)]
    currency: Option<Currency>,
    /// What is wrong, or soon will be, and what to do about it.
    problems: Vec<Check>,
}

/// Connect the tenant's Twilio account, or rotate its token. Takes the role `admin`.
#[utoipa::path(
    put, path = "/v1/tenants/{tenant}/twilio", operation_id = "connect_twilio", tag = "twilio",
    params(("tenant" = String, Path)), request_body = ConnectRequest,
    responses(
        (status = 200, description = "Connected", body = AccountView),
        (status = 502, description = "Twilio could not be asked; the same may be sent again", body = Problem, content_type = "application/problem+json"),
        Refusals
    )
)]
pub async fn connect(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Input(asked): Input<ConnectRequest>,
) -> Result<Json<AccountView>, Problem> {
    caller.require_admin()?;
    let api_key = match asked.api_key {
        None => KeyChange::Keep,
        Some(None) => KeyChange::Remove,
        Some(Some(Object(KeyRequest { sid, secret }))) => KeyChange::Replace { sid, secret },
    };
    let connection = Connection {
        account_sid: asked.account_sid,
        auth_token: asked.auth_token,
        api_key,
        phone_number: asked.phone_number,
        whatsapp_number: asked.whatsapp_number,
        messaging_service_sid: asked.messaging_service_sid,
    };
    let connected = connect_account(&cx, &caller.tenant, &connection, now).await;
    connected.map_err(|error| Problem::of_twilio("connection", error))?;
    shown(&cx, &caller.tenant, now).await
}

/// The account that is connected. Takes the role `admin`.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/twilio", operation_id = "get_twilio", tag = "twilio",
    params(("tenant" = String, Path)), responses((status = 200, description = "As asked", body = AccountView), Refusals)
)]
pub async fn get(State(cx): State<Arc<Context>>, Arrival(now): Arrival, caller: Caller) -> Result<Json<AccountView>, Problem> {
    caller.require_admin()?;
    shown(&cx, &caller.tenant, now).await
}

/// Forget the tenant's account: from then on everything is simulated. Takes the role `admin`.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/twilio", operation_id = "disconnect_twilio", tag = "twilio",
    params(("tenant" = String, Path)), responses((status = 204, description = "Forgotten, also if there was none"), Refusals)
)]
pub async fn disconnect(State(cx): State<Arc<Context>>, caller: Caller) -> Result<StatusCode, Problem> {
    caller.require_admin()?;
    disconnect_account(&cx, &caller.tenant).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ask Twilio now whether the account can send. Takes the role `admin`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/twilio/test", operation_id = "test_twilio", tag = "twilio",
    params(("tenant" = String, Path)), responses((status = 200, description = "What was found, good or bad", body = TestView), Refusals)
)]
pub async fn test(State(cx): State<Arc<Context>>, Arrival(now): Arrival, caller: Caller) -> Result<Json<TestView>, Problem> {
    caller.require_admin()?;
    let (credentials, found) = test_account(&cx, &caller.tenant, now).await?;
    let (account_status, account_type) = match found.state {
        Some(AccountState { status, kind }) => (Some(status), Some(kind)),
        None => (None, None),
    };
    let (balance, currency) = found.balance.map(|Money { amount, currency }| (amount, currency)).unzip();
    let is_stopped = found.checks.iter().any(|check| check.is_problem() && check.severity == Severity::Error);
    Ok(Json(TestView {
        ok: account_status.is_some() && !is_stopped,
        simulated: credentials.is_none(),
        account_sid: credentials.map(|credentials| masked(&credentials.account_sid)),
        account_status,
        account_type,
        balance,
        currency,
        problems: found.checks.into_iter().filter(|check| check.ok != Some(true) && is_of_account(check)).collect(),
    }))
}

/// What is only set up or not is no problem of the account's.
fn is_of_account(check: &Check) -> bool {
    check.is_problem() || !check.check.starts_with("sender.")
}

async fn shown(cx: &Context, tenant: &TenantId, now: Timestamp) -> Result<Json<AccountView>, Problem> {
    let settings = cx.settings(tenant, now).await?;
    let credentials = stored_credentials(cx, tenant).await?;
    Ok(Json(view(cx, tenant, &settings, credentials.as_ref())))
}

fn view(cx: &Context, tenant: &TenantId, settings: &Settings, credentials: Option<&Credentials>) -> AccountView {
    let seen = credentials.and_then(|credentials| credentials.seen.clone());
    let (account_status, account_type, verified_at) = match seen {
        Some(Seen { status, kind, at }) => (Some(status), Some(kind), Some(at)),
        None => (None, None, None),
    };
    let senders = &settings.senders;
    let number = [&senders.sms, &senders.voice].into_iter().flatten().find(|sender| sender.starts_with('+'));
    let Hooks { sms, voice, voice_status } = Hooks::of(&cx.config.public_url, tenant);
    AccountView {
        connected: credentials.is_some(),
        simulated: credentials.is_none(),
        account_sid: credentials.map(|credentials| masked(&credentials.account_sid)),
        auth_token: credentials.map(|_| "Configured"),
        api_key_sid: credentials.and_then(|credentials| Some(masked(&credentials.api_key.as_ref()?.sid))),
        previous_token: credentials.is_some_and(|credentials| credentials.previous_auth_token.is_some()),
        phone_number: number.cloned(),
        whatsapp_number: senders.whatsapp.clone(),
        verified: verified_at.is_some(),
        account_status,
        account_type,
        verified_at,
        webhooks: WebhooksView { sms_url: sms, voice_url: voice, status_callback: voice_status },
    }
}

/// Ten characters (S2-32).
fn masked(sid: &str) -> String {
    format!("{}...", sid.chars().take(10).collect::<String>())
}
