//! `/analytics/costs`: what messages cost, by whatever one asks for; the month against its limit; and what an
//! amount would buy.
//!
//! Costs are what the meter was charged. What a tenant without an account would have paid stands apart.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::access::Caller;
use super::analytics::{Asked, charged, counted};
use super::arrival::Arrival;
use super::listing::{self, DaySpan};
use super::problem::{Problem, Refusals};
use super::spreadsheet;
use crate::context::Context;
use crate::domain::channel::Channel;
use crate::domain::money::{Currency, Micros};
use crate::domain::phone::{PhoneNumber, Strictness};
use crate::domain::statistics::{Cell, Counts, Provider, each, rate};
use crate::domain::tenant::{Settings, TenantId};
use crate::store::meter;
use crate::usecases::dispatch::claim;

/// Which days, and by what.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CostsQuery {
    /// `2026-03-10`, by the tenant's calendar; without `from` and `to`: the last 30 days.
    from: Option<Date>,
    /// Included.
    to: Option<Date>,
    /// `day` when absent.
    by: Option<By>,
}

/// What costs are told apart by (S3-67, S3-69, S4-48).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum By {
    #[default]
    Day,
    Category,
    Channel,
    Template,
    Campaign,
    Provider,
    Type,
}

/// What messages cost.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CostsView {
    from: Date,
    to: Date,
    /// When the youngest day that may still change was counted: today is at once, an earlier day at most a minute before.
    as_of: Timestamp,
    by: By,
    currency: String,
    /// What was charged; nothing of it is simulated.
    #[schema(value_type = String)]
    cost: Micros,
    /// What the simulated ones would have cost.
    #[schema(value_type = String)]
    simulated_cost: Micros,
    /// Days in their order; everything else the dearest first.
    items: Vec<CostItem>,
    month: MonthView,
}

/// One part of the costs.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CostItem {
    /// The day, the category, the id of the list or campaign, …; `null` for what has none.
    key: Option<String>,
    /// Those that were sent.
    messages: u32,
    delivered: u32,
    /// SMS segments, MMS or WhatsApp messages, begun minutes of calls.
    segments: u32,
    #[schema(value_type = String)]
    cost: Micros,
    #[schema(value_type = String)]
    simulated_cost: Micros,
    /// Of `cost`, for each message that was sent with an account.
    #[schema(value_type = Option<String>)]
    cost_per_message: Option<Micros>,
    /// Of all costs, from 0 to 1.
    share: Option<f64>,
}

/// The present month of the tenant's zone, as the meter has it: what is reserved for messages under way is used.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MonthView {
    /// `2026-11`.
    month: String,
    #[schema(value_type = String)]
    used: Micros,
    /// The same of what was only simulated.
    #[schema(value_type = String)]
    simulated_used: Micros,
    /// `null` for none.
    #[schema(value_type = Option<String>)]
    limit: Option<Micros>,
    #[schema(value_type = Option<String>)]
    remaining: Option<Micros>,
    /// What it comes to at its end, if it goes on as it went; `null` on its first day.
    #[schema(value_type = Option<String>)]
    projected: Option<Micros>,
}

/// The parts of one item: with an account, and simulated.
#[derive(Clone, Copy, Default)]
struct Parts {
    real: Counts,
    simulated: Counts,
}

impl Parts {
    fn add(&mut self, counts: &Counts, is_simulated: bool) {
        let part = if is_simulated { &mut self.simulated } else { &mut self.real };
        part.add(counts);
    }

    fn view(self, key: Option<String>, all: Micros) -> CostItem {
        let Self { real, simulated } = self;
        let micros = |cost: Micros| u64::try_from(cost.0).unwrap_or_default();
        CostItem {
            key,
            messages: real.sent + simulated.sent,
            delivered: real.delivered + simulated.delivered,
            segments: real.segments + simulated.segments,
            cost: real.cost,
            simulated_cost: simulated.cost,
            cost_per_message: each(real.cost, real.sent),
            share: rate(micros(real.cost), micros(all)),
        }
    }
}

/// What messages of at most 400 days cost, and how the month stands (S0-58, S0-84, S2-46, S2-55, S3-06, S3-34, S3-66).
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/analytics/costs", operation_id = "get_costs", tag = "analytics",
    params(("tenant" = String, Path), CostsQuery), responses((status = 200, description = "As asked", body = CostsView), Refusals)
)]
pub async fn costs(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    query: Result<Query<CostsQuery>, QueryRejection>,
) -> Result<Json<CostsView>, Problem> {
    let Query(CostsQuery { from, to, by }) = query.map_err(listing::bad_days)?;
    let Asked { settings, from, to, days, .. } = counted(&cx, &caller, &DaySpan { from, to }, now).await?;
    let by = by.unwrap_or_default();
    let mut parts: BTreeMap<Option<String>, Parts> = BTreeMap::new();
    for (day, stats) in &days.all {
        if by == By::Day {
            parts.entry(Some(day.to_string())).or_default();
        }
        for (cell, counts) in &stats.cells {
            parts.entry(key(cell, *day, by)).or_default().add(counts, cell.is_simulated());
        }
    }
    let sum = days.sum();
    let cost = charged(&sum);
    let mut items: Vec<CostItem> = parts.into_iter().map(|(key, part)| part.view(key, cost)).collect();
    if by != By::Day {
        items.retain(|item| item.messages > 0);
        items.sort_by_key(|item| Reverse((item.cost, item.simulated_cost, item.messages)));
    }
    Ok(Json(CostsView {
        from,
        to,
        as_of: days.as_of,
        by,
        currency: settings.budget.currency.to_string(),
        cost,
        simulated_cost: Micros(sum.totals().cost.0 - cost.0),
        items,
        month: month(&cx, &caller.tenant, &settings, now).await?,
    }))
}

fn key(cell: &Cell, day: Date, by: By) -> Option<String> {
    match by {
        By::Day => Some(day.to_string()),
        By::Category => Some(cell.category.word().to_string()),
        By::Channel => cell.channel.map(|channel| channel.word().to_string()),
        By::Template => cell.template.clone(),
        By::Campaign => cell.campaign.clone(),
        By::Provider => cell.provider.map(|provider| provider.word().to_string()),
        By::Type => Some(cell.kind.word().to_string()),
    }
}

async fn month(cx: &Context, tenant: &TenantId, settings: &Settings, now: Timestamp) -> Result<MonthView, Problem> {
    let table = cx.table().await?;
    let used = meter::used(table, tenant, &claim::month(settings, false, now)).await?;
    let simulated_used = meter::used(table, tenant, &claim::month(settings, true, now)).await?;
    let limit = settings.budget.monthly_limit;
    Ok(MonthView {
        month: claim::month(settings, false, now),
        used,
        simulated_used,
        limit,
        remaining: limit.map(|limit| Micros((limit.0 - used.0).max(0))),
        projected: projected(settings, used, now),
    })
}

/// `used` of the month so far, as if the rest of it went alike. A first day says too little about a month.
fn projected(settings: &Settings, used: Micros, now: Timestamp) -> Option<Micros> {
    let zone = &settings.time_zone;
    let today = zone.wall(now).date();
    let begins = zone.instant(today.first_of_month().at(0, 0, 0, 0));
    let ends = zone.instant(today.last_of_month().tomorrow().ok()?.at(0, 0, 0, 0));
    let passed = i128::from(now.duration_since(begins).as_secs());
    let whole = i128::from(ends.duration_since(begins).as_secs());
    if today.day() == 1 || passed <= 0 {
        return None;
    }
    i64::try_from(i128::from(used.0) * whole / passed).ok().map(Micros)
}

/// Which days: a month, or from when to when.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReportQuery {
    /// `2026-11`, instead of `from` and `to`.
    month: Option<String>,
    from: Option<Date>,
    to: Option<Date>,
}

const COLUMNS: [&str; 8] = ["date", "channel", "category", "provider", "messages", "segments", "cost", "currency"];

/// Costs as CSV, for the books: a line for each day, channel, category and provider, and the total of each provider.
/// Days that are still ahead have none. Takes the role `admin` (S2-47, S3-35, S3-68).
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/analytics/costs/report", operation_id = "get_cost_report", tag = "analytics",
    params(("tenant" = String, Path), ReportQuery),
    responses((status = 200, description = "As asked", body = String, content_type = "text/csv"), Refusals)
)]
pub async fn report(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    query: Result<Query<ReportQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    caller.require_admin()?;
    let Query(query) = query.map_err(listing::bad_days)?;
    let today = cx.settings(&caller.tenant, now).await?.time_zone.wall(now).date();
    let span = reported(&query, today)?;
    let Asked { settings, from, to, days, .. } = counted(&cx, &caller, &span, now).await?;
    let currency = settings.budget.currency.to_string();
    let line = |date: String, [channel, category, provider]: [&str; 3], counts: &Counts| {
        let numbers = [counts.sent.to_string(), counts.segments.to_string(), counts.cost.to_string()];
        let words = [date, channel.to_string(), category.to_string(), provider.to_string()];
        words.into_iter().chain(numbers).chain([currency.clone()]).collect::<Vec<String>>()
    };
    let mut lines = Vec::new();
    // Also of a month in which nothing was sent.
    let mut totals: BTreeMap<Provider, Counts> = BTreeMap::from([(Provider::Twilio, Counts::default())]);
    for (day, stats) in &days.all {
        for ((channel, category, provider), counts) in stats.by(|cell| (cell.channel, cell.category, cell.provider)) {
            let Some(provider) = provider.filter(|_| counts.sent > 0 || counts.cost.0 != 0) else { continue };
            let words = [channel.map_or("", Channel::word), category.word(), provider.word()];
            lines.push(line(day.to_string(), words, &counts));
            totals.entry(provider).or_default().add(&counts);
        }
    }
    lines.extend(totals.iter().map(|(provider, counts)| line("total".to_string(), ["", "", provider.word()], counts)));
    Ok(spreadsheet::file(&format!("costs-{from}-{to}.csv"), &COLUMNS, lines))
}

/// The days of a report, none of them ahead: nothing has been paid for those.
fn reported(query: &ReportQuery, today: Date) -> Result<DaySpan, Problem> {
    let Some(month) = &query.month else {
        let (from, to) = listing::days(&DaySpan { from: query.from, to: query.to }, today)?;
        return Ok(DaySpan { from: Some(from), to: Some(to.min(today.max(from))) });
    };
    if query.from.is_some() || query.to.is_some() {
        return Err(Problem::field("month", "exclusive", "a month, or from and to, not both"));
    }
    let bad = || Problem::field("month", "invalid", "a year and a month: 2026-11");
    let first: Date = format!("{month}-01").parse().ok().filter(|_| month.len() == 7).ok_or_else(bad)?;
    Ok(DaySpan { from: Some(first), to: Some(first.last_of_month().min(today.max(first))) })
}

/// How much, and of what.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EstimateQuery {
    /// `15`, `15.00`.
    amount: String,
    /// The tenant's own, which its prices are in, when absent.
    currency: Option<String>,
}

/// What an amount buys at the tenant's prices, within its own country.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EstimateView {
    #[schema(value_type = String)]
    amount: Micros,
    currency: String,
    /// SMS segments: texts of up to 160 plain characters are one each.
    sms: Bought,
    mms: Bought,
    whatsapp: Bought,
    /// Begun minutes of calls.
    voice: Bought,
}

/// So many, at so much each.
#[derive(Debug, Serialize, ToSchema)]
pub struct Bought {
    /// `null` if it costs nothing.
    count: Option<i64>,
    #[schema(value_type = String)]
    price: Micros,
}

/// How many texts, or minutes of calls, an amount buys: $15 of a trial are some 2,000 texts (S1-46..49).
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/analytics/estimate", operation_id = "get_estimate", tag = "analytics",
    params(("tenant" = String, Path), EstimateQuery), responses((status = 200, description = "As asked", body = EstimateView), Refusals)
)]
pub async fn estimate(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    query: Result<Query<EstimateQuery>, QueryRejection>,
) -> Result<Json<EstimateView>, Problem> {
    let Query(EstimateQuery { amount, currency }) = query.map_err(listing::bad_query)?;
    let settings = cx.settings(&caller.tenant, now).await?;
    let own = &settings.budget.currency;
    if currency.is_some_and(|asked| Currency::parse(&asked).as_ref() != Some(own)) {
        return Err(Problem::field("currency", "invalid", format!("this tenant's prices are in {own}")));
    }
    let amount = Micros::parse(amount.trim()).ok_or_else(|| Problem::field("amount", "invalid", "an amount: 15 or 15.00"))?;
    let unknown = || Problem::field("amount", "no_price", "no number of this tenant's region is known to ask a price for");
    let number = own_number(&settings).ok_or_else(unknown)?;
    let bought = |channel: Channel| {
        let price = settings.price(channel, &number);
        Bought { count: amount.0.checked_div(price.0), price }
    };
    Ok(Json(EstimateView {
        amount,
        currency: own.to_string(),
        sms: bought(Channel::Sms),
        mms: bought(Channel::Mms),
        whatsapp: bought(Channel::Whatsapp),
        voice: bought(Channel::Voice),
    }))
}

/// Some number of the tenant's own country, since prices go by the beginning of a number.
fn own_number(settings: &Settings) -> Option<PhoneNumber> {
    let parse = |text: &str| PhoneNumber::parse(text, &settings.default_region, Strictness::Possible).ok();
    // Numbers of different countries have different lengths; one of these is possible.
    let digits = ["2025550123", "202555012", "20255501", "20255501234", "2025550"];
    let of_region = digits.into_iter().find_map(parse)?;
    // The islands of the North American plan have prices of their own, which only a number of theirs shows.
    let senders = [&settings.senders.sms, &settings.senders.voice, &settings.senders.whatsapp];
    let mut numbers = senders.into_iter().flatten().filter_map(|sender| parse(sender.trim_start_matches("whatsapp:")));
    let sender = numbers.find(|number| number.is_north_american() && of_region.is_north_american());
    Some(sender.unwrap_or(of_region))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn settings(region: &str) -> Settings {
        let json = format!(
            r#"{{"name": "S", "timeZone": "America/New_York", "defaultRegion": "{region}", "budget": {{"currency": "USD"}}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn a_month_goes_on_as_it_went() {
        let settings = settings("US");
        let at = |text: &str| text.parse().unwrap();

        // A tenth of April, which has no change of the clocks.
        assert_eq!(projected(&settings, Micros(1_000), at("2026-04-04T04:00:00Z")), Some(Micros(10_000)));
        assert_eq!(projected(&settings, Micros(1_000), at("2026-04-02T03:59:59Z")), None);
        assert_eq!(projected(&settings, Micros(0), at("2026-03-31T16:00:00Z")), Some(Micros(0)));
    }

    #[test]
    fn every_region_has_a_number_to_ask_prices_for() {
        for (region, prefix) in [("US", "+1"), ("GB", "+44"), ("DE", "+49"), ("IN", "+91"), ("NO", "+47"), ("FR", "+33")] {
            let number = own_number(&settings(region)).unwrap();
            assert!(number.e164().starts_with(prefix), "{region}: {}", number.e164());
        }
    }

    #[test]
    fn a_report_is_of_a_month_or_of_days_and_of_nothing_ahead() {
        let today = "2026-03-11".parse().unwrap();
        let days = |month: Option<&str>, from: Option<&str>, to: Option<&str>| {
            let date = |text: Option<&str>| text.map(|text| text.parse().unwrap());
            let query = ReportQuery { month: month.map(str::to_string), from: date(from), to: date(to) };
            reported(&query, today).ok().map(|span| format!("{}..{}", span.from.unwrap(), span.to.unwrap()))
        };

        assert_eq!(days(Some("2026-02"), None, None).as_deref(), Some("2026-02-01..2026-02-28"));
        assert_eq!(days(Some("2026-03"), None, None).as_deref(), Some("2026-03-01..2026-03-11"));
        assert_eq!(days(Some("2026-04"), None, None).as_deref(), Some("2026-04-01..2026-04-01"));
        assert_eq!(days(None, Some("2026-03-09"), Some("2026-03-20")).as_deref(), Some("2026-03-09..2026-03-11"));
        for bad in ["2026", "2026-13", "2026-3", "March", "2026-03-1", ""] {
            assert_eq!(days(Some(bad), None, None), None, "{bad}");
        }
        assert_eq!(days(Some("2026-03"), Some("2026-03-01"), None), None);
    }
}
