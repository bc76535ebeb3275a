//! `/campaigns`: one text for everybody in a file, a list or groups (S2-14, S2-23..25): looked at beforehand, started,
//! paused, resumed and canceled, and how far it is.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::StatusCode;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::access::Caller;
use super::arrival::Arrival;
use super::form::{self, Form, Written};
use super::listing::{self, Listing};
use super::problem::{Problem, Refusals};
use super::request::{IdempotencyKey, Input, LARGEST, Printed};
use super::wishes::{Urls, Value, texts};
use crate::context::Context;
use crate::domain::campaign::Excluded;
use crate::domain::campaign::layout::LARGEST_PART;
use crate::domain::campaign::summary::{Summary, Ucs2};
use crate::domain::channel::Channel;
use crate::domain::contact::Category;
use crate::domain::lint::Warning;
use crate::domain::money::{Currency, Micros};
use crate::domain::recipients;
use crate::domain::tenant::{Settings, TenantId};
use crate::store::campaigns::{self, Campaign, Pause, Stage};
use crate::usecases::complete_upload::{complete_upload, put_campaign_part};
use crate::usecases::control_campaign::{ControlError, cancel_campaign, pause_campaign, resume_campaign, start_campaign};
use crate::usecases::create_campaign::{CampaignRequest as Asked, Rails, Source, TextOf, create_campaign};
use crate::usecases::preview_campaign::{ExcludedRow, Outlook, Preview, Sample, estimate, free_from, outlook, preview_campaign};
use crate::usecases::tally_campaign::{Progress, tally_campaign};

/// The field of a form that holds the file.
const FILE: &str = "customerList";
/// The fields of a form that are no text.
const WRITTEN: [(&str, Written); 6] = [
    ("hold", Written::Flag),
    ("namesSender", Written::Flag),
    ("upload", Written::Flag),
    ("lapsedAfterDays", Written::Number),
    ("groups", Written::List),
    ("mediaUrls", Written::Words),
];
/// For a file that is too large for one request.
const IN_PARTS: &str = "ask with upload: true, PUT the file in parts, and start";

/// The channels of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CampaignChannel {
    Sms,
    Mms,
    Whatsapp,
}

impl CampaignChannel {
    fn channel(self) -> Channel {
        match self {
            Self::Sms => Channel::Sms,
            Self::Mms => Channel::Mms,
            Self::Whatsapp => Channel::Whatsapp,
        }
    }
}

/// Numbers: a list, or a text with new lines, commas or semicolons between.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "a text of numbers, or a list of texts")]
pub enum NumberList {
    Text(String),
    List(Vec<String>),
}

impl NumberList {
    fn into_list(self) -> Vec<String> {
        match self {
            Self::Text(text) => recipients::split(&text).into_iter().map(str::to_string).collect(),
            Self::List(list) => list,
        }
    }
}

/// A campaign: what to say, and exactly one of `customerList`, `recipients`, `groups` and `upload`.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CampaignRequest {
    pub name: Option<String>,
    /// What it says, with variables in braces: `{customer_name}`. Without it and `template`: that they are missed, and
    /// `offer` and `offerCode`.
    pub body: Option<String>,
    /// The name of a template.
    pub template: Option<String>,
    /// The same for everybody; a column of the file goes first.
    pub variables: Option<BTreeMap<String, Value>>,
    /// `sms` when absent, or `mms` with `mediaUrls`.
    pub channel: Option<CampaignChannel>,
    /// The template's, or `marketing`, when absent.
    pub category: Option<Category>,
    pub media_urls: Option<Urls>,
    /// Which column of the file has the numbers, if its header does not say.
    pub phone_column: Option<String>,
    /// Only those whose `last_order_date` is at least so many days ago, 0 for everybody; 30 when absent and the file has
    /// such a column.
    pub lapsed_after_days: Option<u32>,
    /// At once when absent.
    pub send_at: Option<Timestamp>,
    /// `true` keeps it, once its rows are looked at, until it is started.
    pub hold: Option<bool>,
    /// What is added to marketing that does not say how to opt out; `null` for nothing; by the settings when absent.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    pub opt_out_text: Option<Option<String>>,
    /// Whether the tenant's name is put before marketing that does not say it; by the settings when absent.
    pub names_sender: Option<bool>,
    /// The variable `restaurant_name`.
    pub restaurant_name: Option<String>,
    /// The variable `offer`.
    pub offer: Option<String>,
    /// The variable `offer_code`.
    pub offer_code: Option<String>,
    /// A file as text: CSV with a header, of which one column has the numbers and the others are variables.
    pub customer_list: Option<String>,
    pub recipients: Option<NumberList>,
    /// The members of these groups, each once.
    pub groups: Option<Vec<String>>,
    /// The file follows: `PUT` its parts, then start it.
    pub upload: Option<bool>,
}

/// The same as a form, with the file in it. More variables are fields of their own, `variables[name]`. An empty field is
/// none; an empty `optOutText` is for nothing.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // read by the derive alone
pub struct CampaignForm {
    #[schema(required = false)]
    name: String,
    #[schema(required = false)]
    body: String,
    #[schema(required = false)]
    template: String,
    /// `sms`, `mms` or `whatsapp`.
    #[schema(required = false)]
    channel: String,
    #[schema(required = false)]
    category: String,
    /// With white space between.
    #[schema(required = false)]
    media_urls: String,
    #[schema(required = false)]
    phone_column: String,
    #[schema(required = false)]
    lapsed_after_days: u32,
    #[schema(required = false)]
    send_at: String,
    #[schema(required = false)]
    hold: bool,
    #[schema(required = false)]
    opt_out_text: String,
    #[schema(required = false)]
    names_sender: bool,
    #[schema(required = false)]
    restaurant_name: String,
    #[schema(required = false)]
    offer: String,
    #[schema(required = false)]
    offer_code: String,
    /// CSV with a header, in whatever encoding.
    #[schema(required = false, format = Binary)]
    customer_list: String,
    /// With new lines, commas or semicolons between.
    #[schema(required = false)]
    recipients: String,
    /// With new lines, commas or semicolons between.
    #[schema(required = false)]
    groups: String,
    #[schema(required = false)]
    upload: bool,
}

/// Tells `null` from nothing.
fn said<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A campaign as it was asked for, in JSON or by a form.
pub struct Whole {
    asked: CampaignRequest,
    /// The form's file, in whatever encoding.
    file: Option<Bytes>,
    fingerprint: String,
}

impl FromRequest<Arc<Context>> for Whole {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Context>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let body = form::whole(body, LARGEST, IN_PARTS).await?;
        if !form::is_form(&parts.headers) {
            let Printed { value, fingerprint } = Printed::read(&body)?;
            return Ok(Self { asked: value, file: None, fingerprint });
        }
        let mut form = Form::read(parts, body).await?;
        let fingerprint = form.fingerprint();
        let file = form.take(FILE);
        Ok(Self { asked: form.values(&WRITTEN)?, file, fingerprint })
    }
}

impl CampaignRequest {
    /// Whom it is for, if it says so.
    ///
    /// # Errors
    /// 422 for more than one answer.
    fn source(&mut self, file: Option<Bytes>) -> Result<Option<Source>, Problem> {
        let file = file.or(self.customer_list.take().map(Bytes::from));
        let recipients = self.recipients.take().map(NumberList::into_list);
        let sources = [
            file.map(|bytes| (FILE, Source::File(bytes))),
            recipients.map(|numbers| ("recipients", Source::Recipients(numbers))),
            self.groups.take().map(|names| ("groups", Source::Groups(names))),
            (self.upload == Some(true)).then_some(("upload", Source::Upload)),
        ];
        let mut given = sources.into_iter().flatten();
        let Some((field, source)) = given.next() else { return Ok(None) };
        match given.next() {
            Some((other, _)) => Err(Problem::field(other, "exclusive", format!("there is {field} too: give one of them"))),
            None => Ok(Some(source)),
        }
    }

    /// What is asked for.
    ///
    /// # Errors
    /// 422 for two texts.
    fn into_request(self, source: Source) -> Result<Asked, Problem> {
        let mut variables = texts(self.variables);
        let own = [("restaurant_name", self.restaurant_name), ("offer", self.offer), ("offer_code", self.offer_code)];
        variables.extend(own.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))));
        let text = match (self.body, self.template) {
            (Some(_), Some(_)) => return Err(Problem::field("template", "exclusive", "give a body or a template, not both")),
            (Some(body), None) => TextOf::Body(body),
            (None, Some(name)) => TextOf::Template(name),
            (None, None) => TextOf::Default,
        };
        Ok(Asked {
            name: self.name,
            text,
            variables,
            channel: self.channel.map_or(Channel::Sms, CampaignChannel::channel),
            category: self.category,
            media_urls: self.media_urls.map(Urls::into_list).unwrap_or_default(),
            phone_column: self.phone_column,
            lapsed_after_days: self.lapsed_after_days,
            send_at: self.send_at,
            is_held: self.hold == Some(true),
            rails: Rails { opt_out_text: self.opt_out_text, names_sender: self.names_sender },
            source,
        })
    }
}

/// How a file's upload ends, or that a campaign may go which was kept.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartRequest {
    /// How many parts the file has, once all are there.
    #[schema(maximum = 64, minimum = 1)]
    parts: Option<u32>,
}

/// A campaign.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignView {
    /// `campaign_…`
    id: String,
    name: Option<String>,
    /// `uploading`, `planning` (its rows are looked at), `held` (somebody has to start it), `sending`, `checking` (whether
    /// a message is missing), `done`, `canceled` or `failed` (its file cannot be used).
    #[schema(value_type = String)]
    stage: Stage,
    /// What holds it up: `on_request`, `budget` or `trouble`.
    #[schema(value_type = Option<String>)]
    paused: Option<Pause>,
    /// Why it stands still and what to mend before it is resumed, for people.
    trouble: Option<String>,
    /// Why it failed, for people.
    failure: Option<String>,
    created_at: Timestamp,
    created_by: Option<String>,
    send_at: Option<Timestamp>,
    /// When its first message was made.
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    channel: Channel,
    category: Category,
    /// The template that its text was made from.
    template: Option<String>,
    /// What it says, with variables, and with what was added to it: who sends it, and how to opt out.
    text: String,
    lapsed_after_days: Option<u32>,
    plan: CampaignPlan,
    /// How far its messages are. Only where one campaign is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<CampaignProgress>,
    /// What the month's limit still covers; absent without one. Only where one campaign is asked for that is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    room: Option<Micros>,
    /// Whether that covers all of it. Only where one campaign is asked for that is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    fits: Option<bool>,
    /// What is to be said against it. Only where one campaign is asked for that is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<Vec<CampaignWarning>>,
    /// Nothing leaves, and its cost is nobody's: the tenant has no Twilio account.
    simulated: bool,
    /// When the last message goes, at the sender's rate and outside quiet hours; while that can be said. Where one campaign is
    /// asked for, it goes behind what its sender has taken on already.
    finishes_at: Option<Timestamp>,
}

/// What the rows come to, as far as they were looked at.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignPlan {
    /// Blank lines are none.
    rows: u32,
    /// How many get a message.
    going: u32,
    /// How many get none, by reason: `unreadable`, `no_number`, `invalid_number`, `unknown_contact`, `duplicate`,
    /// `opted_out`, `not_lapsed`, `unknown_date`, `missing_variable` and `too_long`.
    excluded: BTreeMap<&'static str, u32>,
    /// What all of it is billed as: segments or messages.
    units: u64,
    /// How many messages have one, two, … segments.
    segments_distribution: BTreeMap<String, u32>,
    #[schema(value_type = String)]
    cost: Micros,
    #[schema(value_type = String)]
    currency: Currency,
    /// Of the first thousand that go: numbers that are possible, but nobody's in their country. They get a message.
    doubtful_numbers: u32,
    ucs2: Ucs2View,
}

/// What characters outside GSM-7 cost.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ucs2View {
    /// That have any.
    messages: u32,
    /// At most 50, those of the most messages first.
    characters: Vec<CostlyCharacter>,
    /// What replacing all that have a look-alike would save.
    saved_units: u64,
    #[schema(value_type = String)]
    saved_cost: Micros,
}

/// A character outside GSM-7.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CostlyCharacter {
    character: String,
    code_point: String,
    /// That have it.
    messages: u32,
    /// Of the file, of the first five of them.
    lines: Vec<u32>,
    /// Its look-alike; empty if it can simply go; `null` if it has none.
    replacement: Option<String>,
}

/// How far a campaign's messages are.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignProgress {
    /// How many rows were looked at.
    rows_planned: u32,
    /// How many messages were made.
    made: u32,
    /// How many of those were missing when it was looked whether all are there.
    mended: u32,
    pending: u32,
    /// Twilio has them; whether they were delivered is not known.
    sent: u32,
    delivered: u32,
    failed: u32,
    skipped: u32,
    /// By status; what was skipped by its reason: `skipped:opted_out`.
    outcomes: BTreeMap<String, u32>,
    /// What it was billed as so far: segments or messages.
    units: u64,
    #[schema(value_type = String)]
    cost: Micros,
}

/// A page of campaigns, the latest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignPage {
    items: Vec<CampaignView>,
    next_cursor: Option<String>,
}

/// What a campaign would be.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignPreview {
    /// What it says, with variables, and with what is added to it: who sends it, and how to opt out.
    text: String,
    plan: CampaignPlan,
    /// The first messages.
    samples: Vec<CampaignSample>,
    /// The first rows that get none.
    excluded: Vec<ExcludedView>,
    /// How many of those that go had as many messages in the last 24 hours as the tenant's frequency cap allows: as things
    /// stand they would be skipped. `null` without a cap.
    capped: Option<u32>,
    /// What is to be said against it.
    warnings: Vec<CampaignWarning>,
    /// When the last message would go, at the sender's rate and outside quiet hours, behind what the sender has taken on
    /// already.
    finishes_at: Option<Timestamp>,
    /// What the month's limit still covers; `null` if there is none.
    #[schema(value_type = Option<String>)]
    room: Option<Micros>,
    /// Whether that covers all of it.
    fits: bool,
    /// Nothing would leave: the tenant has no Twilio account.
    simulated: bool,
}

/// A message as it would go.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CampaignSample {
    line: u32,
    to: String,
    body: String,
}

/// A row that gets no message.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ExcludedView {
    line: u32,
    /// As it was written; `null` if there is nothing.
    to: Option<String>,
    reason: Excluded,
    /// For people.
    detail: Option<String>,
}

/// Something to be said against a campaign.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CampaignWarning {
    /// Stable; for programs.
    #[schema(value_type = String)]
    code: &'static str,
    /// For people.
    text: String,
}

impl CampaignProgress {
    fn of(campaign: &Campaign, progress: Progress) -> Self {
        Self {
            rows_planned: campaign.summary.rows,
            made: campaign.made,
            mended: campaign.mended,
            pending: progress.pending,
            sent: progress.sent,
            delivered: progress.delivered,
            failed: progress.failed,
            skipped: progress.skipped,
            outcomes: progress.outcomes,
            units: progress.units,
            cost: progress.cost,
        }
    }
}

impl CampaignWarning {
    fn of((warning, text): (Warning, String)) -> Self {
        Self { code: warning.code(), text }
    }
}

impl CampaignView {
    /// Without what is only said where one is asked for. Its sender is free at `free_at`.
    fn of(campaign: Campaign, settings: &Settings, free_at: Timestamp) -> Self {
        Self {
            simulated: campaign.is_simulated,
            finishes_at: finishes_at(&campaign, settings, free_at),
            progress: None,
            room: None,
            fits: None,
            warnings: None,
            plan: CampaignPlan::of(campaign.summary, settings),
            id: campaign.id,
            name: campaign.name,
            stage: campaign.stage,
            paused: campaign.paused,
            trouble: campaign.trouble,
            failure: campaign.failure,
            created_at: campaign.created_at,
            created_by: campaign.created_by,
            send_at: campaign.send_at,
            started_at: campaign.started_at,
            finished_at: campaign.finished_at,
            channel: campaign.terms.channel,
            category: campaign.terms.category,
            template: campaign.terms.template,
            text: campaign.terms.text.text.into(),
            lapsed_after_days: campaign.terms.lapsed_after_days,
        }
    }
}

/// When what is still to be made will have gone, if it goes on at `free_at`, or would if it were started now.
fn finishes_at(campaign: &Campaign, settings: &Settings, free_at: Timestamp) -> Option<Timestamp> {
    let goes_on = matches!(campaign.stage, Stage::Held | Stage::Sending) && campaign.paused.is_none();
    if !goes_on {
        return None;
    }
    let Summary { going, units, north_american, .. } = campaign.summary;
    // The rows that are left are taken for average ones.
    let left = u64::from(going.saturating_sub(campaign.made));
    let units = units.saturating_mul(left).div_ceil(u64::from(going.max(1)));
    let from = campaign.send_at.unwrap_or(free_at).max(free_at);
    estimate(settings, &campaign.terms, units, north_american > 0, from)
}

impl CampaignPlan {
    fn of(summary: Summary, settings: &Settings) -> Self {
        Self {
            rows: summary.rows,
            going: summary.going,
            excluded: summary.excluded.into_iter().map(|(why, rows)| (why.word(), rows)).collect(),
            units: summary.units,
            segments_distribution: summary.by_units.into_iter().map(|(units, rows)| (units.to_string(), rows)).collect(),
            cost: summary.cost,
            currency: settings.budget.currency.clone(),
            doubtful_numbers: summary.doubtful,
            ucs2: Ucs2View::of(summary.ucs2),
        }
    }
}

impl Ucs2View {
    fn of(ucs2: Ucs2) -> Self {
        let characters = ucs2.characters.into_iter().map(|(character, forcing)| CostlyCharacter {
            character: character.to_string(),
            code_point: format!("U+{:04X}", u32::from(character)),
            messages: forcing.messages,
            lines: forcing.lines,
            replacement: forcing.replacement,
        });
        let mut characters: Vec<CostlyCharacter> = characters.collect();
        characters.sort_by_key(|character| Reverse(character.messages));
        Self { messages: ucs2.messages, characters, saved_units: ucs2.saved_units, saved_cost: ucs2.saved_cost }
    }
}

impl CampaignPreview {
    fn of(preview: Preview, settings: &Settings) -> Self {
        let sample = |Sample { line, to, body }: Sample| CampaignSample { line, to: to.e164().to_string(), body };
        let excluded = |row: ExcludedRow| ExcludedView {
            line: row.line,
            to: Some(row.to).filter(|to| !to.is_empty()),
            reason: row.why,
            detail: row.detail,
        };
        Self {
            text: preview.terms.text.text.into(),
            samples: preview.samples.into_iter().map(sample).collect(),
            excluded: preview.excluded.into_iter().map(excluded).collect(),
            capped: preview.capped,
            warnings: preview.warnings.into_iter().map(CampaignWarning::of).collect(),
            finishes_at: preview.finishes_at,
            room: preview.room,
            simulated: preview.is_simulated,
            fits: fits(preview.room, preview.summary.cost),
            plan: CampaignPlan::of(preview.summary, settings),
        }
    }
}

fn fits(room: Option<Micros>, cost: Micros) -> bool {
    room.is_none_or(|room| cost <= room)
}

type Accepted = (StatusCode, Json<CampaignView>);

/// Say something to everybody in a file, a list or groups. Takes the role `staff` or `admin`.
///
/// The rows are looked at in the background, and each that can be sent gets one message; the report of the rows says what
/// became of every one. Marketing goes to nobody who opted out of it, names its sender and says how to opt out. A request
/// has at most 3 MiB: of a larger file, ask with `upload: true`, PUT it in parts, and start. A file has at most 128 MiB and
/// 2,000,000 rows. Over WhatsApp a campaign takes a template with `contentSid`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/campaigns", operation_id = "create_campaign", tag = "campaigns",
    params(("tenant" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "The same key makes one")),
    request_body(content((CampaignRequest = "application/json"), (CampaignForm = "multipart/form-data"))),
    responses((status = 202, description = "Accepted, and stored for good", body = CampaignView), Refusals)
)]
pub async fn create(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    key: IdempotencyKey,
    Whole { mut asked, file, fingerprint }: Whole,
) -> Result<Accepted, Problem> {
    caller.require_staff()?;
    let source = asked.source(file)?.ok_or_else(|| {
        Problem::field(FILE, "required", "say whom it is for: give customerList, recipients, groups or upload: true")
    })?;
    let request = asked.into_request(source)?;
    let (tenant, by) = (&caller.tenant, caller.subject.as_deref());
    let campaign = create_campaign(&cx, tenant, &request, &key.0, &fingerprint, by, now).await?;
    Ok((StatusCode::ACCEPTED, Json(view(&cx, tenant, campaign, now).await?)))
}

/// See a campaign before it goes: how many get it and how many do not and why, what it costs, what makes it dearer than it
/// need be, and when it will be through. Nothing is written. Takes the role `staff` or `admin`.
///
/// Without `customerList`, `recipients` and `groups`: the text alone. At most 100,000 rows, beyond which it is 422
/// `too_many_rows`: create the campaign with `hold: true`, of a large file with `upload: true` too, and see its plan.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/campaigns/preview", operation_id = "preview_campaign", tag = "campaigns",
    params(("tenant" = String, Path)),
    request_body(content((CampaignRequest = "application/json"), (CampaignForm = "multipart/form-data"))),
    responses((status = 200, description = "As asked", body = CampaignPreview), Refusals)
)]
pub async fn preview(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Whole { mut asked, file, .. }: Whole,
) -> Result<Json<CampaignPreview>, Problem> {
    caller.require_staff()?;
    let source = asked.source(file)?.unwrap_or(Source::Upload);
    let request = asked.into_request(source)?;
    let preview = preview_campaign(&cx, &caller.tenant, &request, now).await?;
    let settings = cx.settings(&caller.tenant, now).await?;
    Ok(Json(CampaignPreview::of(preview, &settings)))
}

/// The campaigns of the last 90 days, the latest first.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/campaigns", operation_id = "list_campaigns", tag = "campaigns",
    params(("tenant" = String, Path), Listing),
    responses((status = 200, description = "As asked", body = CampaignPage), Refusals)
)]
pub async fn list(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    listing: Result<Query<Listing>, QueryRejection>,
) -> Result<Json<CampaignPage>, Problem> {
    let listing = listing::read(listing)?;
    let settings = cx.settings(&caller.tenant, now).await?;
    let (page, next) = campaigns::page(cx.table().await?, &caller.tenant, listing.after.as_deref(), listing.limit).await?;
    let items = page.into_iter().map(|campaign| CampaignView::of(campaign, &settings, now)).collect();
    Ok(Json(CampaignPage { items, next_cursor: next.map(listing::cursor) }))
}

/// A campaign, and how far its messages are (S2-24, S2-31); of one that is held, what is to be known before it is started.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/campaigns/{id}", operation_id = "get_campaign", tag = "campaigns",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "As asked", body = CampaignView), Refusals)
)]
pub async fn get(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<CampaignView>, Problem> {
    let campaign = found(&cx, &caller.tenant, &id).await?;
    let tenant = &caller.tenant;
    let settings = cx.settings(tenant, now).await?;
    let progress = tally_campaign(&cx, tenant, &campaign, now).await?;
    let progress = CampaignProgress::of(&campaign, progress);
    let free_at = free_from(&cx, tenant, &settings, campaign.terms.channel, now).await?;
    // Whom its messages are for is said where the rows are: this is looked at each second, and nobody is told of it.
    let known = match campaign.stage {
        Stage::Held => Some(outlook(&cx, tenant, &campaign, now).await?),
        _ => None,
    };
    let cost = campaign.summary.cost;
    let view = CampaignView { progress: Some(progress), ..CampaignView::of(campaign, &settings, free_at) };
    Ok(Json(match known {
        None => view,
        Some(Outlook { warnings, room }) => CampaignView {
            room,
            fits: Some(fits(room, cost)),
            warnings: Some(warnings.into_iter().map(CampaignWarning::of).collect()),
            ..view
        },
    }))
}

/// Send a part of a campaign's file, in place of what was there under this number. Takes the role `staff` or `admin`.
///
/// The parts are the file's bytes, cut anywhere, and come in any order, each as often as it takes.
#[utoipa::path(
    put, path = "/v1/tenants/{tenant}/campaigns/{id}/file/{part}", operation_id = "put_campaign_part", tag = "campaigns",
    params(
        ("tenant" = String, Path), ("id" = String, Path),
        ("part" = u32, Path, description = "Counted from 0; at most 64 in all")
    ),
    request_body(content = String, content_type = "application/octet-stream", description = "At most 2 MiB, of any type"),
    responses((status = 204, description = "Stored"), Refusals)
)]
pub async fn put_part(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id, part)): Path<(String, String, String)>,
    request: Request,
) -> Result<StatusCode, Problem> {
    caller.require_staff()?;
    let campaign = found(&cx, &caller.tenant, &id).await?;
    let part: u32 = part.parse().map_err(|_| Problem::not_found("parts are numbered from 0 on"))?;
    if form::is_form(request.headers()) {
        let reason = "the part itself is the body, not a form with it";
        return Err(Problem::field("Content-Type", "invalid", reason));
    }
    let bytes = form::whole(request.into_body(), LARGEST_PART, "cut the file into smaller parts").await?;
    if campaign.stage != Stage::Uploading {
        return Err(Problem::conflict("not_uploading", "its file is complete: what is in it cannot be changed any more"));
    }
    put_campaign_part(&cx, &caller.tenant, &campaign, part, &bytes, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Say that all parts of a campaign's file are there, or let a campaign go that was kept. Takes the role `staff` or `admin`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/campaigns/{id}/start", operation_id = "start_campaign", tag = "campaigns",
    params(("tenant" = String, Path), ("id" = String, Path)), request_body = StartRequest,
    responses((status = 202, description = "It goes on by itself", body = CampaignView), Refusals)
)]
pub async fn start(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
    Input(asked): Input<StartRequest>,
) -> Result<Accepted, Problem> {
    caller.require_staff()?;
    let tenant = &caller.tenant;
    let campaign = match asked.parts {
        Some(parts) => complete_upload(&cx, tenant, found(&cx, tenant, &id).await?, parts, now).await?,
        None => start_campaign(&cx, tenant, &id, now).await.map_err(refused)?,
    };
    Ok((StatusCode::ACCEPTED, Json(view(&cx, tenant, campaign, now).await?)))
}

/// Hold a campaign up: what Twilio does not have yet stays. Takes the role `staff` or `admin`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/campaigns/{id}/pause", operation_id = "pause_campaign", tag = "campaigns",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "Paused; 409 `campaign_over` if nothing is left to go", body = CampaignView), Refusals)
)]
pub async fn pause(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<CampaignView>, Problem> {
    caller.require_staff()?;
    let campaign = pause_campaign(&cx, &caller.tenant, &id, now).await.map_err(refused)?;
    Ok(Json(view(&cx, &caller.tenant, campaign, now).await?))
}

/// Let a campaign go on that was paused: by somebody, by the month's limit, or because of what `trouble` says. Takes the role
/// `staff` or `admin`.
///
/// Of one that is not paused, done or not, nothing changes.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/campaigns/{id}/resume", operation_id = "resume_campaign", tag = "campaigns",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses(
        (
            status = 200, description = "Paused no longer; 409 `campaign_over` of one that was canceled or failed",
            body = CampaignView
        ),
        Refusals
    )
)]
pub async fn resume(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<CampaignView>, Problem> {
    caller.require_staff()?;
    let campaign = resume_campaign(&cx, &caller.tenant, &id, now).await.map_err(refused)?;
    Ok(Json(view(&cx, &caller.tenant, campaign, now).await?))
}

/// End a campaign: what Twilio does not have yet does not go, and what was reserved for it goes back to the month's limit.
/// Takes the role `staff` or `admin`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/campaigns/{id}/cancel", operation_id = "cancel_campaign", tag = "campaigns",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "Canceled; 409 `campaign_over` if everything has gone", body = CampaignView), Refusals)
)]
pub async fn cancel(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<CampaignView>, Problem> {
    caller.require_staff()?;
    let campaign = cancel_campaign(&cx, &caller.tenant, &id, now).await.map_err(refused)?;
    Ok(Json(view(&cx, &caller.tenant, campaign, now).await?))
}

/// A campaign of the tenant's.
pub(super) async fn found(cx: &Context, tenant: &TenantId, id: &str) -> Result<Campaign, Problem> {
    campaigns::get(cx.table().await?, tenant, id).await?.ok_or_else(missing)
}

fn missing() -> Problem {
    Problem::not_found("there is no such campaign")
}

/// Without how far its messages are, which takes a look at them.
async fn view(cx: &Context, tenant: &TenantId, campaign: Campaign, now: Timestamp) -> Result<CampaignView, Problem> {
    let settings = cx.settings(tenant, now).await?;
    Ok(CampaignView::of(campaign, &settings, now))
}

fn refused(error: ControlError) -> Problem {
    match error {
        ControlError::NoSuchCampaign => missing(),
        ControlError::NotNow(code, why) => Problem::conflict(code, why),
        ControlError::Context(error) => error.into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: serde_json::Value) -> CampaignRequest {
        serde_json::from_value(json).unwrap()
    }

    /// Field and code of the one error.
    fn told(problem: Problem) -> [String; 2] {
        let problem = serde_json::to_value(problem).unwrap();
        ["field", "code"].map(|name| problem["errors"][0][name].as_str().unwrap().to_string())
    }

    #[test]
    fn a_campaign_is_for_one_list_of_people() {
        let csv = "phone\n+15550100201\n";
        for (body, file, wanted) in [
            (json!({}), None, "None"),
            (json!({ "upload": false }), None, "None"),
            (json!({ "upload": true }), None, "Some(Upload)"),
            (json!({ "groups": ["Choir"] }), None, "Some(Groups([\"Choir\"]))"),
            (json!({ "recipients": "+1555;\n(555) 1, " }), None, "Some(Recipients([\"+1555\", \"(555) 1\"]))"),
            (json!({ "recipients": ["+1555", ""] }), None, "Some(Recipients([\"+1555\", \"\"]))"),
            (json!({ "customerList": csv }), None, "Some(File(b\"phone\\n+15550100201\\n\"))"),
            (json!({}), Some(csv), "Some(File(b\"phone\\n+15550100201\\n\"))"),
        ] {
            let source = read(body.clone()).source(file.map(Bytes::from)).unwrap();
            assert_eq!(format!("{source:?}"), wanted, "{body}");
        }
        for (body, field) in [
            (json!({ "upload": true, "groups": ["Choir"] }), "upload"),
            (json!({ "customerList": csv, "recipients": "+1555" }), "recipients"),
        ] {
            let problem = read(body).source(None).unwrap_err();
            assert_eq!(told(problem), [field, "exclusive"]);
        }
    }

    #[test]
    fn what_restaurants_name_are_variables() {
        let asked = json!({
            "restaurantName": "Luigi's", "offer": "2 for 1", "offerCode": "BACK20", "variables": { "table": 7, "offer": "none" },
        });

        let asked = read(asked).into_request(Source::Upload).unwrap();

        let variables = [("offer", "2 for 1"), ("offer_code", "BACK20"), ("restaurant_name", "Luigi's"), ("table", "7")];
        let variables = variables.map(|(name, value)| (name.to_string(), value.to_string()));
        assert_eq!(asked.variables, BTreeMap::from(variables));
        assert!(matches!(asked.text, TextOf::Default));
        assert_eq!((asked.channel, asked.is_held), (Channel::Sms, false));
    }

    #[test]
    fn one_text_is_said_and_null_is_not_nothing() {
        let both = read(json!({ "body": "Hi", "template": "win_back" })).into_request(Source::Upload);
        assert_eq!(told(both.unwrap_err()), ["template", "exclusive"]);
        for (body, wanted) in [
            (json!({}), None),
            (json!({ "optOutText": null }), Some(None)),
            (json!({ "optOutText": "STOP ends it" }), Some(Some("STOP ends it".to_string()))),
        ] {
            assert_eq!(read(body).into_request(Source::Upload).unwrap().rails.opt_out_text, wanted);
        }
    }
}
