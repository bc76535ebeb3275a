//! `/analytics`: what came of what was sent. Counted from the log itself, so that every figure can be checked there.
//!
//! What it cost is in `costs.rs`. Rates are from 0 to 1, with four decimals, and null where nothing was sent.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::access::Caller;
use super::arrival::Arrival;
use super::listing::{self, DaySpan, Span};
use super::messages::{self, MessageView};
use super::problem::{Problem, Refusals};
use crate::context::Context;
use crate::domain::channel::Channel;
use crate::domain::consent::Wish;
use crate::domain::contact::Category;
use crate::domain::message::{Reason, Status};
use crate::domain::money::Micros;
use crate::domain::statistics::{Counts, DayStats, OTHER, Times, each, rate};
use crate::domain::tenant::Settings;
use crate::store::consents;
use crate::twilio::error_codes;
use crate::usecases::count_day::{Days, count_days};
use crate::usecases::count_engagement::{Engagement, count_engagement};

/// How recipients took part.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EngagementView {
    from: Timestamp,
    to: Timestamp,
    /// Messages that were handed over.
    sent: u32,
    /// The different numbers that they went to.
    recipients: u32,
    /// Reminders among them that asked to confirm, or for another time.
    asked: u32,
    /// Of those, how many were answered, and how.
    answered: u32,
    confirmed: u32,
    another_time: u32,
    /// Texts and calls that came in.
    received: u32,
    /// The share of the recipients that wrote or called.
    response_rate: Option<f64>,
    /// The different wishes not to be messaged, of everything or of a category, whoever they are of: a number that says
    /// the same again has one.
    opt_outs: u32,
    /// The same of wishes to be messaged again.
    opt_ins: u32,
    /// The share of the recipients that opted out, wholly or of a category: each number once (S3-74).
    opt_out_rate: Option<f64>,
}

/// Answers to reminders, texts and opt-outs in a span of at most 31 days: the last 7, if nothing is said.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/analytics/engagement", operation_id = "get_engagement", tag = "analytics",
    params(("tenant" = String, Path), Span), responses((status = 200, description = "As asked", body = EngagementView), Refusals)
)]
pub async fn engagement(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    span: Result<Query<Span>, QueryRejection>,
) -> Result<Json<EngagementView>, Problem> {
    let Query(span) = span.map_err(listing::bad_query)?;
    let to = span.to.unwrap_or(now);
    let from = span.from.unwrap_or(to.saturating_sub(SignedDuration::from_hours(24 * 7)).unwrap_or(Timestamp::MIN));
    listing::bounded(from, to)?;
    let counted = count_engagement(&cx, &caller.tenant, from, to).await?;
    let Engagement { sent, asked, confirmed, another_time, received, opt_outs, opt_ins, recipients, responded, opted_out } =
        counted;
    Ok(Json(EngagementView {
        from,
        to,
        sent,
        recipients,
        asked,
        answered: confirmed + another_time,
        confirmed,
        another_time,
        received,
        response_rate: rate(responded.into(), recipients.into()),
        opt_outs,
        opt_ins,
        opt_out_rate: rate(opted_out.into(), recipients.into()),
    }))
}

/// A span of days, counted, and the settings by which they were.
pub(super) struct Asked {
    pub settings: Arc<Settings>,
    pub from: Date,
    pub to: Date,
    pub today: Date,
    pub days: Days,
}

/// # Errors
/// 422, for days that are none or too many.
pub(super) async fn asked(
    cx: &Context,
    caller: &Caller,
    span: Result<Query<DaySpan>, QueryRejection>,
    now: Timestamp,
) -> Result<Asked, Problem> {
    let Query(span) = span.map_err(listing::bad_days)?;
    counted(cx, caller, &span, now).await
}

/// The same of days that were read otherwise.
pub(super) async fn counted(cx: &Context, caller: &Caller, span: &DaySpan, now: Timestamp) -> Result<Asked, Problem> {
    let settings = cx.settings(&caller.tenant, now).await?;
    let today = settings.time_zone.wall(now).date();
    let (from, to) = listing::days(span, today)?;
    let days = count_days(cx, &caller.tenant, from, to, now).await?;
    Ok(Asked { settings, from, to, today, days })
}

/// What came of messages.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TotalsView {
    /// Everything that was due: sent, refused, pending and skipped.
    total: u32,
    /// Handed over, whatever came of it (S0-81, S2-48).
    sent: u32,
    delivered: u32,
    /// Of what was sent.
    failed: u32,
    /// Never handed over: Twilio refused it for good, or took it in no attempt. It costs nothing, and is in no rate.
    refused: u32,
    /// Waiting to be handed over.
    pending: u32,
    /// Decided against, or taken back.
    skipped: u32,
    /// Of what was sent, what was delivered (S0-82, S2-49, S3-71); what has no receipt yet was not.
    delivery_rate: Option<f64>,
    /// Of what was sent, what failed (S4-47).
    failure_rate: Option<f64>,
    /// Texts and calls that came in.
    received: u32,
    by_state: StatesView,
    /// By channel (S0-83, S1-10).
    channels: Vec<ChannelTotals>,
    /// Of what was sent, how much was only simulated: no Twilio account was connected.
    simulated: u32,
    /// What was charged; nothing of it is simulated.
    #[schema(value_type = String)]
    cost: Micros,
    /// What the simulated ones would have cost.
    #[schema(value_type = String)]
    simulated_cost: Micros,
    /// Of `cost`, for each that was sent with an account.
    #[schema(value_type = Option<String>)]
    cost_per_message: Option<Micros>,
    /// Of `cost`, for each that was delivered: what failed is paid for too.
    #[schema(value_type = Option<String>)]
    cost_per_delivered: Option<Micros>,
    /// How often the provider was called for what was sent or refused, once more for each time that it did not process
    /// it (S3-73).
    attempts: u32,
    /// For each that was sent or refused.
    attempts_per_message: Option<f64>,
    /// Of `cost`, for each of those attempts.
    #[schema(value_type = Option<String>)]
    cost_per_attempt: Option<Micros>,
}

/// The words that a message's `state` has (S0-77..80). Together they are all.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatesView {
    pending: u32,
    /// Handed over, with no end told yet.
    sent: u32,
    delivered: u32,
    /// Also what was refused.
    failed: u32,
    skipped: u32,
}

/// One channel's share.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelTotals {
    /// `null` for what ended before a channel was chosen.
    channel: Option<Channel>,
    sent: u32,
    /// Of everything that was sent.
    share: Option<f64>,
    delivered: u32,
    /// Of what was sent.
    failed: u32,
    /// Never handed over.
    refused: u32,
    pending: u32,
    skipped: u32,
    received: u32,
    delivery_rate: Option<f64>,
    /// SMS segments, MMS or WhatsApp messages, begun minutes of calls.
    segments: u32,
    #[schema(value_type = String)]
    cost: Micros,
}

impl StatesView {
    fn of(counts: &Counts) -> Self {
        Self {
            pending: counts.pending,
            sent: counts.underway(),
            delivered: counts.delivered,
            failed: counts.failed + counts.refused,
            skipped: counts.skipped + counts.canceled,
        }
    }
}

impl TotalsView {
    fn of(stats: &DayStats) -> Self {
        let all = stats.totals();
        let by_account = stats.by(|cell| cell.is_simulated());
        let real = by_account.get(&false).copied().unwrap_or_default();
        let simulated = by_account.get(&true).copied().unwrap_or_default();
        Self {
            total: all.total(),
            sent: all.sent,
            delivered: all.delivered,
            failed: all.failed,
            refused: all.refused,
            pending: all.pending,
            skipped: all.skipped + all.canceled,
            delivery_rate: rate(all.delivered.into(), all.sent.into()),
            failure_rate: rate(all.failed.into(), all.sent.into()),
            received: stats.received.values().sum(),
            by_state: StatesView::of(&all),
            channels: channels(stats),
            simulated: simulated.sent,
            cost: real.cost,
            simulated_cost: simulated.cost,
            cost_per_message: each(real.cost, real.sent),
            cost_per_delivered: each(real.cost, real.delivered),
            attempts: all.attempts,
            attempts_per_message: rate(all.attempts.into(), (all.sent + all.refused).into()),
            cost_per_attempt: each(real.cost, real.attempts),
        }
    }
}

fn channels(stats: &DayStats) -> Vec<ChannelTotals> {
    let mut all = stats.by(|cell| cell.channel);
    // Also those over which somebody only wrote.
    for channel in stats.received.keys() {
        all.entry(Some(*channel)).or_default();
    }
    let costs = stats.by(|cell| (cell.channel, cell.is_simulated()));
    let sent = stats.totals().sent;
    let view = |(channel, counts): (Option<Channel>, Counts)| ChannelTotals {
        channel,
        sent: counts.sent,
        share: rate(counts.sent.into(), sent.into()),
        delivered: counts.delivered,
        failed: counts.failed,
        refused: counts.refused,
        pending: counts.pending,
        skipped: counts.skipped + counts.canceled,
        received: channel.and_then(|channel| stats.received.get(&channel).copied()).unwrap_or_default(),
        delivery_rate: rate(counts.delivered.into(), counts.sent.into()),
        segments: counts.segments,
        cost: costs.get(&(channel, false)).map_or(Micros::default(), |counts| counts.cost),
    };
    all.into_iter().map(view).collect()
}

/// What came of a span of days, and of today.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SummaryView {
    from: Date,
    to: Date,
    /// When the youngest day that may still change was counted: today is at once, an earlier day at most a minute before.
    as_of: Timestamp,
    currency: String,
    today: TotalsView,
    span: TotalsView,
    /// Opt-outs that were recorded within the span, wholly or of a category, however they came and whoever said the same
    /// before.
    opt_outs: u32,
    /// Those, for each message that was delivered in it. Of the recipients: see `engagement`.
    opt_outs_per_delivered: Option<f64>,
}

/// Totals, rates, channels and costs of at most 400 days, and of today (S0-81..84, S1-10, S2-48..50, S3-12).
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/analytics/summary", operation_id = "get_summary", tag = "analytics",
    params(("tenant" = String, Path), DaySpan), responses((status = 200, description = "As asked", body = SummaryView), Refusals)
)]
pub async fn summary(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    span: Result<Query<DaySpan>, QueryRejection>,
) -> Result<Json<SummaryView>, Problem> {
    let Asked { settings, from, to, today, days } = asked(&cx, &caller, span, now).await?;
    let today = match days.all.get(&today) {
        Some(stats) => TotalsView::of(stats),
        None => TotalsView::of(&count_days(&cx, &caller.tenant, today, today, now).await?.sum()),
    };
    let sum = days.sum();
    let zone = &settings.time_zone;
    let begins = zone.instant(from.at(0, 0, 0, 0));
    let ends = zone.instant(to.tomorrow().unwrap_or(to).at(0, 0, 0, 0));
    let wishes = consents::all_wishes(cx.table().await?, &caller.tenant, Some(begins), Some(ends)).await?;
    let is_opt_out = |wish: &Wish, at: Timestamp| matches!(wish, Wish::Stop(_)) && at < ends;
    let opt_outs = wishes.iter().filter(|entry| is_opt_out(&entry.wish, entry.at)).count() as u32;
    Ok(Json(SummaryView {
        from,
        to,
        as_of: days.as_of,
        currency: settings.budget.currency.to_string(),
        today,
        opt_outs,
        opt_outs_per_delivered: rate(opt_outs.into(), sum.totals().delivered.into()),
        span: TotalsView::of(&sum),
    }))
}

/// How well and how fast messages arrived, and why some did not.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryView {
    from: Date,
    to: Date,
    /// When the youngest day that may still change was counted: today is at once, an earlier day at most a minute before.
    as_of: Timestamp,
    overall: DeliveryTotals,
    channels: Vec<ChannelDelivery>,
    /// The most frequent first.
    failures: Vec<FailureView>,
    /// The most frequent first.
    skips: Vec<SkipView>,
}

/// Delivery of some messages. Times are whole seconds from the claim to the first receipt, of a call to its answer;
/// beyond an hour, whole minutes. What was only learnt by asking Twilio has no time.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryTotals {
    sent: u32,
    delivered: u32,
    /// Of what was sent.
    failed: u32,
    /// Never handed over, and in no rate.
    refused: u32,
    /// Handed over, with no end told yet.
    underway: u32,
    delivery_rate: Option<f64>,
    failure_rate: Option<f64>,
    /// How many have a time.
    timed: u32,
    /// Half took no longer (nearest rank).
    median_seconds: Option<u32>,
    /// 95 of 100 took no longer.
    p95_seconds: Option<u32>,
    /// S3-72.
    average_seconds: Option<f64>,
}

/// Delivery over one channel.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChannelDelivery {
    channel: Channel,
    delivery: DeliveryTotals,
}

/// One way to fail.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailureView {
    /// Twilio's, if it gave one.
    code: Option<u32>,
    /// How it ended, where Twilio gave no code: `busy`, `no-answer`, `not_processed`.
    word: Option<String>,
    title: String,
    /// `permanent_recipient`, `opt_out`, `retry_later`, …; `null` if nobody knows.
    #[schema(value_type = Option<String>)]
    class: Option<&'static str>,
    /// What the operator can do.
    #[schema(value_type = String)]
    advice: &'static str,
    count: u32,
    /// Of all that failed or were refused.
    share: Option<f64>,
}

/// One reason not to send.
#[derive(Debug, Serialize, ToSchema)]
pub struct SkipView {
    reason: Reason,
    #[schema(value_type = String)]
    advice: &'static str,
    count: u32,
}

impl DeliveryTotals {
    fn of(counts: &Counts, times: &Times) -> Self {
        Self {
            sent: counts.sent,
            delivered: counts.delivered,
            failed: counts.failed,
            refused: counts.refused,
            underway: counts.underway(),
            delivery_rate: rate(counts.delivered.into(), counts.sent.into()),
            failure_rate: rate(counts.failed.into(), counts.sent.into()),
            timed: times.count(),
            median_seconds: times.percentile(50),
            p95_seconds: times.percentile(95),
            average_seconds: times.average(),
        }
    }
}

impl FailureView {
    /// `failure` as statistics keep it: a code, or a word.
    fn of(failure: &str, count: u32, all: u32) -> Self {
        let share = rate(count.into(), all.into());
        if let Ok(code) = failure.parse() {
            let meaning = error_codes::meaning(code);
            let (title, class) = (meaning.title.to_string(), Some(meaning.class.word()));
            return Self { code: Some(code), word: None, title, class, advice: meaning.advice, count, share };
        }
        let (title, class, advice) = match failure {
            word if word == Status::Busy.word() => ("The line was busy", Some("retry_later"), "call again later, or send a text"),
            word if word == Status::NoAnswer.word() => {
                ("Nobody answered", Some("retry_later"), "call again at another hour, or send a text")
            }
            word if word == Reason::NotProcessed.word() => {
                ("Twilio did not take it", Some("retry_later"), Reason::NotProcessed.advice())
            }
            _ => ("Not delivered, and Twilio gave no code", None, "look the message up in Twilio's Console by its sid"),
        };
        Self { code: None, word: Some(failure.to_string()), title: title.to_string(), class, advice, count, share }
    }
}

/// Delivery rates and times by channel, failures by code, and why messages did not go (S3-36, S3-72, S4-46, S4-47).
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/analytics/delivery", operation_id = "get_delivery", tag = "analytics",
    params(("tenant" = String, Path), DaySpan), responses((status = 200, description = "As asked", body = DeliveryView), Refusals)
)]
pub async fn delivery(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    span: Result<Query<DaySpan>, QueryRejection>,
) -> Result<Json<DeliveryView>, Problem> {
    let Asked { from, to, days, .. } = asked(&cx, &caller, span, now).await?;
    let sum = days.sum();
    let totals = sum.totals();
    let none = Times::default();
    let of_channel = |(channel, counts): (Option<Channel>, Counts)| {
        let channel = channel.filter(|_| counts.sent + counts.refused > 0)?;
        let times = sum.delivery.get(&channel).unwrap_or(&none);
        Some(ChannelDelivery { channel, delivery: DeliveryTotals::of(&counts, times) })
    };
    let mut failures: Vec<FailureView> =
        sum.failures.iter().map(|(failure, count)| FailureView::of(failure, *count, totals.failed + totals.refused)).collect();
    failures.sort_by_key(|failure| Reverse(failure.count));
    let mut skips: Vec<SkipView> =
        sum.skips.iter().map(|(reason, count)| SkipView { reason: *reason, advice: reason.advice(), count: *count }).collect();
    skips.sort_by_key(|skip| Reverse(skip.count));
    Ok(Json(DeliveryView {
        from,
        to,
        as_of: days.as_of,
        overall: DeliveryTotals::of(&totals, &sum.times()),
        channels: sum.by(|cell| cell.channel).into_iter().filter_map(of_channel).collect(),
        failures,
        skips,
    }))
}

/// The templates that are used most.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplatesView {
    from: Date,
    to: Date,
    /// When the youngest day that may still change was counted: today is at once, an earlier day at most a minute before.
    as_of: Timestamp,
    currency: String,
    items: Vec<TemplateUse>,
}

/// How often a template was used, and with what success.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateUse {
    /// As names are compared: in lower case, with `_`. What has its type's own text has the type's name.
    name: String,
    category: Category,
    /// Messages of it that were sent.
    usage_count: u32,
    delivered: u32,
    failed: u32,
    delivery_rate: Option<f64>,
    #[schema(value_type = String)]
    cost: Micros,
}

const TOP: usize = 10;

/// The ten templates that were used most (S3-75, S3-77).
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/analytics/templates", operation_id = "get_template_use", tag = "analytics",
    params(("tenant" = String, Path), DaySpan), responses((status = 200, description = "As asked", body = TemplatesView), Refusals)
)]
pub async fn templates(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    span: Result<Query<DaySpan>, QueryRejection>,
) -> Result<Json<TemplatesView>, Problem> {
    let Asked { settings, from, to, days, .. } = asked(&cx, &caller, span, now).await?;
    let sum = days.sum();
    // Whoever asks for a message may give it another category: the most frequent is the template's.
    let mut uses: BTreeMap<String, (Category, u32, Counts, Micros)> = BTreeMap::new();
    for ((template, category, is_simulated), counts) in sum.by(|cell| (cell.template.clone(), cell.category, cell.is_simulated()))
    {
        let Some(name) = template.filter(|name| name != OTHER && counts.sent > 0) else { continue };
        let (of_most, most, all, charged) = uses.entry(name).or_insert((category, 0, Counts::default(), Micros::default()));
        if counts.sent > *most {
            (*of_most, *most) = (category, counts.sent);
        }
        all.add(&counts);
        charged.0 += if is_simulated { 0 } else { counts.cost.0 };
    }
    let mut items: Vec<TemplateUse> = uses
        .into_iter()
        .map(|(name, (category, _, counts, cost))| TemplateUse {
            name,
            category,
            usage_count: counts.sent,
            delivered: counts.delivered,
            failed: counts.failed,
            delivery_rate: rate(counts.delivered.into(), counts.sent.into()),
            cost,
        })
        .collect();
    items.sort_by_key(|used| Reverse(used.usage_count));
    items.truncate(TOP);
    Ok(Json(TemplatesView { from, to, as_of: days.as_of, currency: settings.budget.currency.to_string(), items }))
}

/// Each day of a span.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DailyView {
    /// When the youngest day that may still change was counted: today is at once, an earlier day at most a minute before.
    as_of: Timestamp,
    currency: String,
    /// The newest first; a day without messages has zeros.
    items: Vec<DayView>,
}

/// What came of one day.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DayView {
    date: Date,
    /// Everything that was due.
    total: u32,
    sent: u32,
    delivered: u32,
    failed: u32,
    refused: u32,
    pending: u32,
    skipped: u32,
    received: u32,
    #[schema(value_type = String)]
    cost: Micros,
}

/// The last 30 days, or those that are asked for, one by one (S3-76).
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/analytics/daily", operation_id = "get_daily", tag = "analytics",
    params(("tenant" = String, Path), DaySpan), responses((status = 200, description = "As asked", body = DailyView), Refusals)
)]
pub async fn daily(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    span: Result<Query<DaySpan>, QueryRejection>,
) -> Result<Json<DailyView>, Problem> {
    let Asked { settings, days, .. } = asked(&cx, &caller, span, now).await?;
    let day = |(date, stats): (&Date, &DayStats)| {
        let counts = stats.totals();
        DayView {
            date: *date,
            total: counts.total(),
            sent: counts.sent,
            delivered: counts.delivered,
            failed: counts.failed,
            refused: counts.refused,
            pending: counts.pending,
            skipped: counts.skipped + counts.canceled,
            received: stats.received.values().sum(),
            cost: charged(stats),
        }
    };
    let items = days.all.iter().rev().map(day).collect();
    Ok(Json(DailyView { as_of: days.as_of, currency: settings.budget.currency.to_string(), items }))
}

/// What was charged: nothing of it is simulated.
pub(super) fn charged(stats: &DayStats) -> Micros {
    stats.by(|cell| cell.is_simulated()).get(&false).map_or(Micros::default(), |counts| counts.cost)
}

/// How many of the latest messages to show.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Latest {
    /// 100 when absent.
    #[param(maximum = 200, minimum = 1)]
    limit: Option<u32>,
}

/// What happens now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LiveView {
    /// When today was counted: at once.
    as_of: Timestamp,
    /// Today's messages by their `state`.
    today: StatesView,
    /// Texts and calls that came in today.
    received: u32,
    /// The latest of the last seven days, the newest first, without what they say.
    items: Vec<MessageView>,
}

const USUAL_LATEST: u32 = 100;

/// Today's messages by state, and the latest of them: for a dashboard that asks again and again (S1-10, S1-11, S3-12, S3-37).
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/analytics/live", operation_id = "get_live", tag = "analytics",
    params(("tenant" = String, Path), Latest), responses((status = 200, description = "As asked", body = LiveView), Refusals)
)]
pub async fn live(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    latest: Result<Query<Latest>, QueryRejection>,
) -> Result<Json<LiveView>, Problem> {
    let Query(Latest { limit }) = latest.map_err(listing::bad_query)?;
    let limit = listing::limit(Some(limit.unwrap_or(USUAL_LATEST)))?;
    let today = cx.settings(&caller.tenant, now).await?.time_zone.wall(now).date();
    let days = count_days(&cx, &caller.tenant, today, today, now).await?;
    let sum = days.sum();
    Ok(Json(LiveView {
        as_of: days.as_of,
        today: StatesView::of(&sum.totals()),
        received: sum.received.values().sum(),
        items: messages::latest(&cx, &caller.tenant, limit, now).await?,
    }))
}
