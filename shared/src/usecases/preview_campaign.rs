//! What a campaign would be: who gets it and who does not, what it costs, and when it is done (S2-25, S1-49..55). Nothing is
//! stored. What is decided when a message is due is not looked at, but for whom the frequency cap holds back as things stand.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};

use super::create_campaign::{CampaignRequest, Source, checked_terms, file, head};
use super::dispatch::claim;
use super::dispatch::pacing::length;
use super::send_message::{SendError, invalid};
use super::weigh_rows::{Scales, Stretch, day, weigh_rows};
use crate::context::{Context, ContextError};
use crate::domain::campaign::assess::Seen;
use crate::domain::campaign::finish::finishes_at;
use crate::domain::campaign::summary::Summary;
use crate::domain::campaign::{Excluded, Fate, Row, Terms};
use crate::domain::channel::Channel;
use crate::domain::compose::{FieldError, known_value};
use crate::domain::contact::{Category, attribute_key};
use crate::domain::lint::{self, Text, Warning};
use crate::domain::message::{Direct, Facts, Message, MessageId, Step};
use crate::domain::money::Micros;
use crate::domain::phone::PhoneNumber;
use crate::domain::policy::quiet_hours_of_many;
use crate::domain::reminder::Kind;
use crate::domain::tenant::{Settings, TenantId};
use crate::files::sheet;
use crate::store::campaigns::{self, Campaign};
use crate::store::{Table, accepted, meter, pace};

/// A campaign as it would run.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Nothing would leave: the tenant has no account.
    pub is_simulated: bool,
    pub terms: Terms,
    pub summary: Summary,
    /// The first that go.
    pub samples: Vec<Sample>,
    /// The first that do not.
    pub excluded: Vec<ExcludedRow>,
    /// How many of those that go had as many messages lately as the tenant's cap allows; none without a cap.
    pub capped: Option<u32>,
    /// What to reconsider, and for people why.
    pub warnings: Vec<(Warning, String)>,
    /// When its sender is free, at that one's rate, within the quiet hours; none if nothing goes.
    pub finishes_at: Option<Timestamp>,
    /// What the limit of the month in which it begins still lets be spent; none without a limit.
    pub room: Option<Micros>,
}

/// What is to be known of a campaign before it is let go.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// As in a preview.
    pub warnings: Vec<(Warning, String)>,
    pub room: Option<Micros>,
}

/// A message of the campaign.
#[derive(Clone, Debug)]
pub struct Sample {
    pub line: u32,
    pub to: PhoneNumber,
    pub body: String,
}

/// A row that gets no message.
#[derive(Clone, Debug)]
pub struct ExcludedRow {
    pub line: u32,
    pub why: Excluded,
    pub detail: Option<String>,
    /// As it was written.
    pub to: String,
}

/// Of a preview: they are looked up within one request, which has 29 seconds.
const MOST_ROWS: usize = 100_000;
const MOST_SAMPLES: usize = 3;
const MOST_EXCLUDED: usize = 50;

/// What `request` would come to. Without a file at hand the text alone is looked at.
///
/// # Errors
/// As creating the campaign would refuse it, and `too_many_rows` beyond 100,000 rows.
pub async fn preview_campaign(
    cx: &Context,
    tenant: &TenantId,
    request: &CampaignRequest,
    now: Timestamp,
) -> Result<Preview, SendError> {
    let settings = cx.settings(tenant, now).await?;
    let terms = checked_terms(cx, tenant, &settings, request, now).await?;
    let file = file(cx, tenant, &request.source).await?;
    let mut summary = Summary::default();
    let mut samples = Vec::new();
    let mut excluded = Vec::new();
    let cap = settings.frequency_cap;
    let mut capped = 0;
    if let Some(bytes) = file {
        let table = cx.table().await?;
        let today = day(&settings, now, request.send_at);
        let (layout, mut place) = head(&settings, &terms, &bytes, today)?;
        let mut rows = 0;
        sheet::read(&layout, &bytes, place, true, MOST_ROWS + 1, &mut |_, _| rows += 1);
        if rows > MOST_ROWS {
            return Err(invalid(too_many(&request.source)));
        }
        let counted = cap.filter(|_| is_capped(tenant, &settings, terms.category, now));
        let scales = Scales::new(&settings, &terms, &layout, today).map_err(invalid)?;
        let whole = Stretch { bytes: &bytes, is_last: true };
        let mut seen = Seen::default();
        // Those of the rows before, who are looked up while the next are weighed.
        let mut persons: Vec<String> = Vec::new();
        loop {
            let (weighed, held_back) = tokio::try_join!(
                weigh_rows(cx, tenant, &scales, whole, place, &mut seen, &mut summary),
                at_cap(table, tenant, counted, &persons, now),
            )?;
            capped += held_back;
            if weighed.rows.is_empty() {
                break;
            }
            place = weighed.end;
            let going = weighed.rows.iter().filter(|_| counted.is_some());
            persons = going.filter_map(|row| person(table, row)).collect();
            samples.extend(weighed.rows.iter().filter_map(|row| sample(&terms, row)).take(MOST_SAMPLES - samples.len()));
            excluded.extend(weighed.rows.into_iter().filter_map(excluded_row).take(MOST_EXCLUDED - excluded.len()));
        }
    }
    let from = request.send_at.unwrap_or(now).max(now);
    let finishes_at = match summary.going {
        0 => None,
        _ => {
            let begins = free_from(cx, tenant, &settings, terms.channel, from).await?;
            estimate(&settings, &terms, summary.units, summary.north_american > 0, begins)
        }
    };
    let is_simulated = cx.account(tenant, now).await?.is_simulated();
    Ok(Preview {
        is_simulated,
        capped: cap.map(|_| capped),
        warnings: warnings(&settings, &terms, &samples, &summary),
        finishes_at,
        room: room(cx, tenant, &settings, terms.category, is_simulated, from).await?,
        terms,
        summary,
        samples,
        excluded,
    })
}

const HOLD: &str = "create the campaign with hold: true, and see its plan before you start it";

fn too_many(source: &Source) -> FieldError {
    let (field, instead) = match source {
        Source::File(_) | Source::Upload => {
            ("customerList", "create the campaign with upload: true and hold: true, and see its plan before you start it")
        }
        Source::Recipients(_) => ("recipients", HOLD),
        Source::Groups(_) => ("groups", HOLD),
    };
    FieldError::new(field, "too_many_rows", format!("a preview is of at most {MOST_ROWS} rows: {instead}"))
}

/// Whether the tenant's frequency cap limits messages of `category` that somebody writes.
fn is_capped(tenant: &TenantId, settings: &Settings, category: Category, now: Timestamp) -> bool {
    let id = MessageId::derive(tenant, &["preview"]);
    let any = Message::waiting(id, Kind::Message, Facts::Direct, now, Step::new(now, "asked"));
    Message { direct: Some(Box::new(Direct::of(category))), ..any }.counts_towards_cap(settings)
}

/// Whom the message of a row counts for, if it goes.
fn person(table: &Table, row: &Row) -> Option<String> {
    let number = row.units().and_then(|_| PhoneNumber::from_e164(&row.to))?;
    Some(accepted::person(table, row.contact.as_deref(), &number))
}

/// How many of `persons` had as many messages in the last 24 hours as `cap` allows; nobody is looked up without one.
async fn at_cap(
    table: &Table,
    tenant: &TenantId,
    cap: Option<u32>,
    persons: &[String],
    now: Timestamp,
) -> Result<u32, ContextError> {
    let Some(cap) = cap else { return Ok(0) };
    let all: Vec<&str> = persons.iter().map(String::as_str).collect();
    let counts = accepted::counts_of(table, tenant, &all, now).await?;
    Ok(counts.values().filter(|count| count.of_window >= cap).count() as u32)
}

/// What is to be known of a campaign whose rows are all weighed. The first of its messages is looked for among those of its
/// first chunk.
pub async fn outlook(cx: &Context, tenant: &TenantId, campaign: &Campaign, now: Timestamp) -> Result<Outlook, ContextError> {
    let settings = cx.settings(tenant, now).await?;
    let Campaign { terms, summary, .. } = campaign;
    let (_, rows) = campaigns::chunk(cx.table().await?, tenant, &campaign.id, 0).await?;
    let samples: Vec<Sample> = rows.iter().find_map(|row| sample(terms, row)).into_iter().collect();
    let from = campaign.send_at.unwrap_or(now).max(now);
    let is_simulated = cx.account(tenant, now).await?.is_simulated();
    Ok(Outlook {
        warnings: warnings(&settings, terms, &samples, summary),
        room: room(cx, tenant, &settings, terms.category, is_simulated, from).await?,
    })
}

fn sample(terms: &Terms, row: &Row) -> Option<Sample> {
    let Fate::Goes { values, .. } = &row.fate else { return None };
    Some(Sample { line: row.line, to: PhoneNumber::from_e164(&row.to)?, body: terms.say(values).ok()?.body })
}

fn excluded_row(row: Row) -> Option<ExcludedRow> {
    let Fate::Excluded { why, detail } = row.fate else { return None };
    Some(ExcludedRow { line: row.line, why, detail, to: row.to })
}

/// The text with what is the same in every row; a variable that rows would fill is its name.
fn as_far_as_known(settings: &Settings, terms: &Terms) -> String {
    let text = &terms.text.text;
    let value = |name: &str| {
        let key = attribute_key(name);
        let given = terms.variables.iter().find(|(known, _)| attribute_key(known) == key).map(|(_, value)| value.as_str());
        let known = given.filter(|value| !value.is_empty()).or_else(|| known_value(&key, settings, None)).map(Cow::Borrowed);
        known.or_else(|| text.default_of(name).is_none().then(|| Cow::Owned(name.to_string())))
    };
    text.render(value).unwrap_or_default()
}

/// Of the first message, or of the text as far as it is known, and of all rows together.
fn warnings(settings: &Settings, terms: &Terms, samples: &[Sample], summary: &Summary) -> Vec<(Warning, String)> {
    let body = samples.first().map_or_else(|| as_far_as_known(settings, terms), |sample| sample.body.clone());
    let is_segmented = terms.channel == Channel::Sms;
    let of_text = lint::warnings(&Text {
        body: &body,
        is_spoken: false,
        is_marketing: terms.category == Category::Marketing,
        is_segmented,
        tenant_name: &settings.name,
    });
    let long = summary.by_units.iter().filter(|(units, _)| **units > 1).map(|(_, messages)| messages).sum::<u32>();
    let of_rows = [
        (Warning::OverOneSegment, if is_segmented { long } else { 0 }),
        (Warning::Ucs2, if is_segmented { summary.ucs2.messages } else { 0 }),
        (Warning::NumberNotValid, summary.doubtful),
    ];
    let count = |warning: Warning| of_rows.iter().find(|(of, _)| *of == warning).map_or(0, |(_, count)| *count);
    let mut all = of_text;
    all.extend(of_rows.iter().filter(|(_, count)| *count > 0).map(|(warning, _)| *warning));
    let spam = lint::spam_triggers(&body).join(", ");
    let mut told: Vec<(Warning, String)> = Vec::new();
    for warning in all {
        if told.iter().any(|(known, _)| *known == warning) {
            continue;
        }
        let why = match (warning, count(warning)) {
            (Warning::SpamTriggers, _) => format!("{} ({spam})", warning.text()),
            (_, 0) => warning.text().to_string(),
            (Warning::NumberNotValid, rows) => {
                let (text, going) = (warning.text(), summary.going);
                format!("{text} That is so of at least {rows} of {going} messages: the first thousand were looked at.")
            }
            (_, rows) => format!("{} That is so of {rows} of {} messages.", warning.text(), summary.going),
        };
        told.push((warning, why));
    }
    told
}

/// When the sender of `channel` comes to what is asked for many at once, from `from` on: what was asked for before goes first.
pub async fn free_from(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    channel: Channel,
    from: Timestamp,
) -> Result<Timestamp, ContextError> {
    let Some(sender) = settings.sender(channel) else { return Ok(from) };
    let busy = pace::busy_until(cx.table().await?, tenant, &pace::of_lists(sender)).await?;
    Ok(busy.map_or(from, |busy| busy.max(from)))
}

/// When so many segments or messages have gone that are begun at `from`: at their sender's rate, and not in the quiet hours
/// of the tenant or, if some numbers are North American, of the law.
pub fn estimate(settings: &Settings, terms: &Terms, units: u64, any_north_american: bool, from: Timestamp) -> Option<Timestamp> {
    let each = length(settings, terms.channel, 1).as_millis() as i64;
    let all = each.saturating_mul(i64::try_from(units).unwrap_or(i64::MAX));
    let quiet = quiet_hours_of_many(settings, any_north_american);
    finishes_at(SignedDuration::from_millis(all), &quiet, &settings.time_zone, from)
}

async fn room(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    category: Category,
    is_simulated: bool,
    from: Timestamp,
) -> Result<Option<Micros>, ContextError> {
    let Some(limit) = settings.limit(category) else { return Ok(None) };
    let month = claim::month(settings, is_simulated, from);
    let used = meter::used(cx.table().await?, tenant, &month).await?;
    Ok(Some(Micros((limit.0 - used.0).max(0))))
}
