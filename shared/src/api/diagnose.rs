//! `/diagnose`: what keeps messages from going, in plain words; and why somebody at a number got nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::Caller;
use super::arrival::Arrival;
use super::messages::{MessageView, view};
use super::problem::{Problem, Refusals};
use super::request::Input;
use crate::context::Context;
use crate::domain::contact::Category;
use crate::domain::diagnosis::{Check, LINKS, Severity};
use crate::usecases::diagnose::{Diagnosis, diagnose};
use crate::usecases::diagnose_number::{KnownNumber, diagnose_number};

/// Everything that was looked at.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisView {
    /// No check is an error.
    ok: bool,
    /// No Twilio account is connected: nothing leaves this system.
    simulated: bool,
    checked_at: Timestamp,
    /// The errors first, then the warnings.
    checks: Vec<Check>,
    /// Where Twilio helps.
    links: Vec<HelpLink>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct HelpLink {
    #[schema(value_type = String)]
    title: &'static str,
    #[schema(value_type = String)]
    url: &'static str,
}

/// A number to look into.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NumberRequest {
    /// As people write it: `(555) 123-4567`.
    pub number: String,
}

/// What is known of a number.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NumberDiagnosisView {
    /// As it was given.
    number: String,
    /// It can be a number, and messages to it are accepted unless the tenant takes only valid ones.
    possible: bool,
    /// Its range is assigned in its country.
    valid: bool,
    /// What this tenant accepts: valid numbers only, or possible ones.
    accepted: bool,
    /// E.164.
    formatted: Option<String>,
    /// ISO 3166: `US`.
    country: Option<String>,
    /// Why it is no number that can be reached.
    problem: Option<String>,
    /// Of everything.
    opted_out: bool,
    /// Of these alone.
    opted_out_categories: BTreeSet<Category>,
    opted_out_since: Option<Timestamp>,
    /// It is on the list of numbers that are never called.
    do_not_call: bool,
    /// Whom it reaches, by id.
    contacts: Vec<String>,
    /// Those of them that the tenant's own records opt out.
    opted_out_contacts: Vec<String>,
    /// The last that was sent there, and what became of it.
    last_message: Option<MessageView>,
}

/// Look at everything that a message needs to arrive: credentials, account, balance, senders, webhooks, WhatsApp,
/// budget, switches, and what failed in the last 24 hours. Takes the role `staff` or `admin`.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/diagnose", operation_id = "diagnose", tag = "diagnose",
    params(("tenant" = String, Path)), responses((status = 200, description = "What was found, good or bad", body = DiagnosisView), Refusals)
)]
pub async fn all(State(cx): State<Arc<Context>>, Arrival(now): Arrival, caller: Caller) -> Result<Json<DiagnosisView>, Problem> {
    caller.require_staff()?;
    let Diagnosis { is_simulated, mut checks } = diagnose(&cx, &caller.tenant, now).await?;
    let rank = |check: &Check| match (check.ok, check.severity) {
        (Some(false), Severity::Error) => 0,
        (Some(false), Severity::Warning) => 1,
        (Some(false), Severity::Info) => 2,
        (None, _) => 3,
        (Some(true), _) => 4,
    };
    checks.sort_by_key(rank);
    Ok(Json(DiagnosisView {
        ok: checks.first().is_none_or(|check| rank(check) > 0),
        simulated: is_simulated,
        checked_at: now,
        checks,
        links: LINKS.into_iter().map(|(title, url)| HelpLink { title, url }).collect(),
    }))
}

/// Look into one number: can it be reached, did it opt out, and what became of the last message to it.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/diagnose/number", operation_id = "diagnose_number", tag = "diagnose",
    params(("tenant" = String, Path)), request_body = NumberRequest,
    responses((status = 200, description = "What is known, also of what is no number", body = NumberDiagnosisView), Refusals)
)]
pub async fn number(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Input(asked): Input<NumberRequest>,
) -> Result<Json<NumberDiagnosisView>, Problem> {
    let known = match diagnose_number(&cx, &caller.tenant, &asked.number, now).await? {
        Ok(known) => known,
        Err(error) => {
            let problem = Some(format!("{error}; a number with its country has 10 to 15 digits: +15551234567"));
            return Ok(Json(NumberDiagnosisView { number: asked.number, problem, ..NumberDiagnosisView::default() }));
        }
    };
    let KnownNumber { number, country, is_accepted, consent, is_do_not_call, contacts, opted_out_contacts, last } = known;
    Ok(Json(NumberDiagnosisView {
        number: asked.number,
        possible: true,
        valid: number.is_valid(),
        accepted: is_accepted,
        formatted: Some(number.e164().to_string()),
        country,
        problem: (!is_accepted).then(|| "not a valid number, and this tenant accepts only valid ones".to_string()),
        opted_out: consent.standing.stopped,
        opted_out_categories: consent.standing.categories,
        opted_out_since: consent.since,
        do_not_call: is_do_not_call,
        contacts,
        opted_out_contacts,
        last_message: last.map(view),
    }))
}
