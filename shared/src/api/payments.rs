//! `/payments`: what is owed, by whom, until when; saved, settled, given up (S0-03).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::access::Caller;
use super::arrival::Arrival;
use super::listing;
use super::problem::{Problem, Refusals};
use super::records::{self, PlannedReminder, Row, Wrong};
use super::request::Input;
use crate::context::Context;
use crate::domain::compose::FieldError;
use crate::domain::lesson::first_version;
use crate::domain::money::{Currency, Micros, Money};
use crate::domain::payment::{Payment, PaymentStatus};
use crate::domain::tenant::{Settings, TenantId};
use crate::files;
use crate::store::keys::Subject;
use crate::store::payments::Seen;
use crate::store::{contacts, payments};
use crate::usecases::save_payments::save_seen_payments;
use crate::usecases::settle_payment::settle_payment;

/// Without `to`, a listing ends so many days after its beginning.
const SPAN_DAYS: i32 = 31;
/// Others may change a payment between our looks so often.
const TRIES: u32 = 8;
/// Payments are due in these years; anything else is a slip of the pen.
const YEARS: std::ops::RangeInclusive<i16> = 1970..=2199;

/// Which payments, by the day they are due. Without `from`: from today on; without `to`: the 31 days after.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PaymentFilter {
    /// A date: `2026-03-10`.
    from: Option<String>,
    to: Option<String>,
    #[param(maximum = 200, minimum = 1)]
    limit: Option<u32>,
    cursor: Option<String>,
}

/// One payment, or up to 500.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum PaymentsRequest {
    Many(PaymentList),
    #[schema(value_type = PaymentRequest)]
    One(Value),
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentList {
    #[schema(value_type = Vec<PaymentRequest>)]
    pub payments: Vec<Value>,
}

/// A payment as it is to be.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PaymentRequest {
    /// The tenant's own. Where the path names it, it may be left out.
    pub id: Option<String>,
    pub contact_id: String,
    /// `150.00`, as text.
    pub amount: String,
    /// `USD`. When absent: as it is; the tenant's, of a new payment.
    pub currency: Option<String>,
    /// `2026-03-10`.
    pub due_date: String,
    pub course: Option<String>,
    /// `due`, `paid` or `void`. When absent: as it is; due, of a new payment.
    pub status: Option<String>,
}

/// A payment as callers see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentView {
    id: String,
    contact_id: String,
    #[schema(value_type = String)]
    amount: Micros,
    #[schema(value_type = String)]
    currency: Currency,
    due_date: Date,
    course: Option<String>,
    /// `due`, `paid` or `void`.
    #[schema(value_type = String)]
    status: PaymentStatus,
    /// Grows with the amount and the date, and when a closed payment is due again; reminders are of one version.
    version: u32,
    changed_at: Timestamp,
    /// The reminders that wait. What was planned in the last moments may be missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    planned: Option<Vec<PlannedReminder>>,
}

/// A page of payments, by due date.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentPage {
    items: Vec<PaymentView>,
    next_cursor: Option<String>,
}

/// What was saved, in the order in which it was given.
#[derive(Debug, Serialize, ToSchema)]
pub struct SavedPayments {
    payments: Vec<PaymentView>,
}

/// The payments that are due on the days of a span.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/payments", operation_id = "list_payments", tag = "payments",
    params(("tenant" = String, Path), PaymentFilter),
    responses((status = 200, description = "As asked", body = PaymentPage), Refusals)
)]
pub async fn list(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    filter: Result<Query<PaymentFilter>, QueryRejection>,
) -> Result<Json<PaymentPage>, Problem> {
    let Query(filter) = filter.map_err(listing::bad_query)?;
    let limit = listing::limit(filter.limit)?;
    let after = records::entry(filter.cursor.as_deref())?;
    let settings = cx.settings(&caller.tenant, now).await?;
    let given = day("from", filter.from.as_deref())?;
    let begin = given.unwrap_or_else(|| settings.time_zone.wall(now).date());
    let to = day("to", filter.to.as_deref())?.unwrap_or_else(|| begin.saturating_add(SPAN_DAYS.days()));
    // The page before may have begun on an earlier day.
    let reached: Option<Date> = after.as_deref().and_then(|entry| entry.split('#').next()?.parse().ok());
    let from = given.unwrap_or_else(|| reached.map_or(begin, |reached| reached.min(begin)));
    if to < from {
        return Err(Problem::field("to", "invalid", "not before from"));
    }
    let page = payments::page(cx.table().await?, &caller.tenant, (from, to), after.as_deref(), limit).await?;
    let (payments, next) = page.ok_or_else(listing::foreign)?;
    Ok(Json(PaymentPage { items: payments.into_iter().map(PaymentView::of).collect(), next_cursor: next.map(listing::cursor) }))
}

/// Create or replace payments: all of them, or none if anything is wrong with one. Takes the role `staff` or `admin`.
///
/// Reminders are planned anew at once.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/payments", operation_id = "save_payments", tag = "payments",
    params(("tenant" = String, Path)), request_body = PaymentsRequest,
    responses((status = 200, description = "As they are now", body = SavedPayments), Refusals)
)]
pub async fn save(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Input(asked): Input<PaymentsRequest>,
) -> Result<Json<SavedPayments>, Problem> {
    caller.require_staff()?;
    let rows = match asked {
        PaymentsRequest::Many(list) => records::numbered(list.payments)?,
        PaymentsRequest::One(payment) => vec![(None, payment)],
    };
    let mut wrong = Wrong::default();
    let asked = wrong.read(rows);
    let saved = save_all(&cx, &caller.tenant, asked, wrong, now).await?;
    Ok(Json(SavedPayments { payments: saved.into_iter().map(PaymentView::of).collect() }))
}

/// One payment, with the reminders that are planned. A `/` of its id is encoded twice in the path: `%252F`.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/payments/{id}", operation_id = "get_payment", tag = "payments",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "As asked", body = PaymentView), Refusals)
)]
pub async fn get(
    State(cx): State<Arc<Context>>,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<PaymentView>, Problem> {
    let payment = found(&cx, &caller.tenant, &id).await?;
    with_planned(&cx, &caller.tenant, payment).await.map(Json)
}

/// Create or replace a payment. Takes the role `staff` or `admin`.
#[utoipa::path(
    put, path = "/v1/tenants/{tenant}/payments/{id}", operation_id = "put_payment", tag = "payments",
    params(("tenant" = String, Path), ("id" = String, Path)), request_body = PaymentRequest,
    responses((status = 200, description = "As it is now", body = PaymentView), Refusals)
)]
pub async fn put(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
    Input(mut asked): Input<PaymentRequest>,
) -> Result<Json<PaymentView>, Problem> {
    caller.require_staff()?;
    asked.id = Some(records::only_id(&id, asked.id.as_deref())?);
    let mut saved = save_all(&cx, &caller.tenant, vec![(None, asked)], Wrong::default(), now).await?;
    let payment = saved.pop().ok_or_else(missing)?;
    with_planned(&cx, &caller.tenant, payment).await.map(Json)
}

/// A payment is paid: nobody is reminded of it any more. Takes the role `staff` or `admin`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/payments/{id}/settle", operation_id = "settle_payment", tag = "payments",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "Paid, now or before", body = PaymentView), Refusals)
)]
pub async fn settle(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<PaymentView>, Problem> {
    close(&cx, &caller, &id, PaymentStatus::Paid, now).await
}

/// A payment is given up: nobody is reminded of it any more. Takes the role `staff` or `admin`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/payments/{id}/void", operation_id = "void_payment", tag = "payments",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "Void, now or before", body = PaymentView), Refusals)
)]
pub async fn void(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<PaymentView>, Problem> {
    close(&cx, &caller, &id, PaymentStatus::Void, now).await
}

async fn close(
    cx: &Context,
    caller: &Caller,
    id: &str,
    status: PaymentStatus,
    now: Timestamp,
) -> Result<Json<PaymentView>, Problem> {
    caller.require_staff()?;
    let payment = found(cx, &caller.tenant, id).await?;
    if payment.status != PaymentStatus::Due && payment.status != status {
        return Err(Problem::conflict("closed", "this payment is closed otherwise; PUT it with the status that it is to have"));
    }
    let changed_at = if payment.status == status { payment.changed_at } else { now };
    let id = payment.id.clone();
    Box::pin(settle_payment(cx, &caller.tenant, Payment { changed_at, ..payment }, status, now)).await?;
    let payment = payments::get(cx.table().await?, &caller.tenant, &id).await?.ok_or_else(missing)?;
    with_planned(cx, &caller.tenant, payment).await.map(Json)
}

impl PaymentView {
    fn of(payment: Payment) -> Self {
        let Money { amount, currency } = payment.amount;
        Self {
            id: payment.id,
            contact_id: payment.contact,
            amount,
            currency,
            due_date: payment.due_date,
            course: payment.course,
            status: payment.status,
            version: payment.version,
            changed_at: payment.changed_at,
            planned: None,
        }
    }
}

fn missing() -> Problem {
    Problem::not_found("there is no such payment; a / of its id is encoded twice in the path: %252F")
}

async fn found(cx: &Context, tenant: &TenantId, id: &str) -> Result<Payment, Problem> {
    // What is too long for a key is nobody's.
    let id = records::path_id(id);
    let known = payments::get_many(cx.table().await?, tenant, &[&id]).await?;
    known.into_values().next().ok_or_else(missing)
}

async fn with_planned(cx: &Context, tenant: &TenantId, payment: Payment) -> Result<PaymentView, Problem> {
    let planned = records::planned(cx, tenant, Subject::Payment(&payment.id)).await?;
    Ok(PaymentView { planned: Some(planned), ..PaymentView::of(payment) })
}

/// Saves all of `asked`, or nothing if anything is wrong. The payments as they are then, in the same order.
async fn save_all(
    cx: &Context,
    tenant: &TenantId,
    asked: Vec<Row<PaymentRequest>>,
    wrong: Wrong,
    now: Timestamp,
) -> Result<Vec<Payment>, Problem> {
    let table = cx.table().await?;
    let settings = cx.settings(tenant, now).await?;
    let ids: Vec<&str> = asked.iter().filter_map(|(_, asked)| asked.id.as_deref()).map(str::trim).collect();
    let owing: Vec<&str> = asked.iter().map(|(_, asked)| asked.contact_id.as_str()).collect();
    let people: HashSet<String> = contacts::get_many(table, tenant, &owing).await?.into_keys().collect();
    let mut known = payments::seen(table, tenant, &ids).await?;
    let mut payments_now = read_all(&asked, &settings, &people, &known, wrong, now)?;
    for _ in 0..TRIES {
        if Box::pin(save_seen_payments(cx, tenant, payments_now, &known, now)).await?.is_empty() {
            let mut saved = payments::get_many(table, tenant, &ids).await?;
            return Ok(ids.iter().filter_map(|id| saved.remove(*id)).collect());
        }
        // Somebody was faster: what is not named here is now as they have it.
        known = payments::seen(table, tenant, &ids).await?;
        payments_now = read_all(&asked, &settings, &people, &known, Wrong::default(), now)?;
    }
    Err(Problem::conflict("changed", "somebody else has changed the payment meanwhile: read it again, and change that"))
}

/// The payments that are `asked` for, in the place of those that are `known`; or everything that is wrong.
fn read_all(
    asked: &[Row<PaymentRequest>],
    settings: &Settings,
    people: &HashSet<String>,
    known: &HashMap<String, Seen<Payment>>,
    mut wrong: Wrong,
    now: Timestamp,
) -> Result<Vec<Payment>, Problem> {
    let mut seen = HashSet::new();
    let mut payments_now = Vec::with_capacity(asked.len());
    for (row, asked) in asked {
        let before = asked.id.as_deref().and_then(|id| known.get(id.trim())).map(|known| &known.value);
        match asked.clone().payment(settings, people, before, now) {
            Ok(payment) => {
                wrong.once(&mut seen, *row, &payment.id);
                payments_now.push(payment);
            }
            Err(errors) => wrong.add(*row, errors),
        }
    }
    wrong.refuse()?;
    Ok(payments_now)
}

impl PaymentRequest {
    /// The payment in the place of `before`; or everything that is wrong with it.
    fn payment(
        self,
        settings: &Settings,
        people: &HashSet<String>,
        before: Option<&Payment>,
        now: Timestamp,
    ) -> Result<Payment, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut wrong = |field: &str, code: &str, reason: &str| errors.push(FieldError::new(field, code, reason));
        if !people.contains(&self.contact_id) {
            wrong("contactId", "unknown_contact", "there is no such contact");
        }
        let amount = Micros::parse(self.amount.trim());
        if amount.is_none() {
            wrong("amount", "invalid", "an amount as text: 150.00");
        }
        let currency = match self.currency.as_deref() {
            None => Some(before.map_or(&settings.budget.currency, |before| &before.amount.currency).clone()),
            Some(code) => Currency::parse(code),
        };
        if currency.is_none() {
            wrong("currency", "invalid", "a currency's code of three letters: USD");
        }
        let due_date = files::calendar_date(self.due_date.trim()).filter(|day| YEARS.contains(&day.year()));
        if due_date.is_none() {
            wrong("dueDate", "invalid", "a date: 2026-03-10");
        }
        let status = match self.status.as_deref() {
            None => Some(before.map_or(PaymentStatus::Due, |before| before.status)),
            Some(word) => PaymentStatus::parse(word.trim()),
        };
        if status.is_none() {
            wrong("status", "invalid", "due, paid or void");
        }
        let id = records::id(self.id.as_deref(), &mut errors);
        let course = records::optional("course", self.course.as_deref(), &mut errors);
        let (Some(id), Some(amount), Some(currency), Some(due_date), Some(status), true) =
            (id, amount, currency, due_date, status, errors.is_empty())
        else {
            return Err(errors);
        };
        Ok(Payment {
            id,
            contact: self.contact_id,
            amount: Money { amount, currency },
            due_date,
            course,
            status,
            version: first_version(),
            changed_at: now,
        })
    }
}

fn day(field: &str, text: Option<&str>) -> Result<Option<Date>, Problem> {
    let read = |text| files::calendar_date(text).filter(|day| YEARS.contains(&day.year()));
    let bad = || Problem::field(field, "invalid", "a date: 2026-03-10");
    text.map(|text| read(text).ok_or_else(bad)).transpose()
}
