//! Makes a campaign of what somebody asks for, exactly once for each key (S1-02, S2-01, S2-14, S2-23).
//!
//! Whatever can be seen at once to be wrong, of the text, the channel or the head of the file, is refused before anything
//! is stored. A campaign is stored before its file: a crash in between is mended by asking again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::civil::Date;
use tokio::time::Instant;

use super::plan_campaign::{Memory, plan_step};
use super::send_message::{SendError, asked_id, invalid};
use super::weigh_rows::{Scales, day};
use crate::context::{Context, ContextError};
use crate::domain::campaign::guard::{CampaignSettings, guarded};
use crate::domain::campaign::layout::{LARGEST_PART, Layout, Place};
use crate::domain::campaign::summary::Summary;
use crate::domain::campaign::{PREFIX, Terms};
use crate::domain::catalogue;
use crate::domain::channel::Channel;
use crate::domain::compose::{FieldError, LARGEST_VARIABLES, LONGEST_BODY, LONGEST_NAME, check_time};
use crate::domain::contact::{Category, attribute_key};
use crate::domain::media;
use crate::domain::message::derived;
use crate::domain::template::{NamedTemplate, Template};
use crate::domain::tenant::{Settings, TenantId};
use crate::files::sheet::{self, SheetError};
use crate::store::campaigns::{self, Campaign, Cursor, Stage};
use crate::store::{contacts, messages, templates};
use crate::telemetry::Chain;

/// What somebody wants to send to many, and who they are.
#[derive(Clone, Debug)]
pub struct CampaignRequest {
    pub name: Option<String>,
    pub text: TextOf,
    /// The same for every row that has no column for them.
    pub variables: BTreeMap<String, String>,
    pub channel: Channel,
    /// The template's, or marketing, when absent.
    pub category: Option<Category>,
    pub media_urls: Vec<String>,
    /// The column of the numbers, where the header does not say.
    pub phone_column: Option<String>,
    /// 0 for everybody (D11).
    pub lapsed_after_days: Option<u32>,
    pub send_at: Option<Timestamp>,
    /// Wait, once planned, until somebody lets it go.
    pub is_held: bool,
    pub rails: Rails,
    pub source: Source,
}

/// What a campaign says.
#[derive(Clone, Debug)]
pub enum TextOf {
    /// What wins guests back (S2-22).
    Default,
    Body(String),
    /// By name.
    Template(String),
}

/// Instead of the tenant's settings.
#[derive(Clone, Debug, Default)]
pub struct Rails {
    /// `Some(None)` for no text.
    pub opt_out_text: Option<Option<String>>,
    pub names_sender: Option<bool>,
}

/// Whom a campaign is for.
#[derive(Clone, Debug)]
pub enum Source {
    /// A table, as people have it.
    File(Bytes),
    /// Numbers, as people write them.
    Recipients(Vec<String>),
    /// The members of these groups, each once.
    Groups(Vec<String>),
    /// A file that comes in parts.
    Upload,
}

/// The template that is sent when nobody says what to say.
const WIN_BACK: &str = "win_back";
/// Bytes of a campaign's name, and of a group's.
const LONGEST_LABEL: usize = 256;
const MOST_GROUPS: usize = 100;
/// Ten years: whoever asks for more means another unit.
const MOST_DAYS: u32 = 3660;
/// A smaller file is planned within the request that brings it.
const SMALL: usize = 300_000;
/// The minute tick goes on after so long.
const LONGEST_PLANNING: Duration = Duration::from_secs(20);

/// Makes the campaign that `request` asks for, or says what became of it since it was first asked.
///
/// # Errors
/// [`SendError::Invalid`] names every field; [`SendError::KeyTaken`]: the caller takes a new key.
pub async fn create_campaign(
    cx: &Context,
    tenant: &TenantId,
    request: &CampaignRequest,
    key: &str,
    fingerprint: &str,
    by: Option<&str>,
    now: Timestamp,
) -> Result<Campaign, SendError> {
    let settings = cx.settings(tenant, now).await?;
    let id = format!("{PREFIX}{}", derived(tenant, &["campaign", key]));
    let is_upload = matches!(request.source, Source::Upload);
    let known = match known(cx, tenant, &id, fingerprint).await? {
        Some(known) if is_upload || known.stage != Stage::Uploading => return Ok(known),
        known => known,
    };
    let is_new = known.is_none();
    let mut campaign = match known {
        // Whoever asked first came no further.
        Some(unfinished) => unfinished,
        None => Campaign {
            id,
            name: request.name.as_deref().map(str::trim).filter(|name| !name.is_empty()).map(str::to_string),
            fingerprint: fingerprint.to_string(),
            created_at: now,
            created_by: by.map(str::to_string),
            terms: checked_terms(cx, tenant, &settings, request, now).await?,
            send_at: request.send_at,
            is_held: request.is_held,
            stage: Stage::Uploading,
            paused: None,
            trouble: None,
            failure: None,
            parts: 0,
            layout: None,
            place: Place::default(),
            chunks: 0,
            summary: Summary::default(),
            next: Cursor::default(),
            made: 0,
            checked: 0,
            mended: 0,
            due_at: now,
            started_at: None,
            finished_at: None,
            is_simulated: cx.account(tenant, now).await?.is_simulated(),
            released: false,
            revision: 1,
        },
    };
    let file = file(cx, tenant, &request.source).await?;
    let today = day(&settings, campaign.created_at, campaign.send_at);
    let head = file.as_deref().map(|bytes| head(&settings, &campaign.terms, bytes, today)).transpose()?;
    if is_new {
        let table = cx.table().await?;
        let taken = messages::taken(table, tenant, &asked_id(tenant, key), fingerprint, now)?;
        if !campaigns::create(table, tenant, &campaign, taken).await? {
            // The same was asked for twice at once, or something else was.
            campaign = self::known(cx, tenant, &campaign.id, fingerprint).await?.ok_or(SendError::KeyTaken)?;
        }
    }
    match (file, head) {
        (Some(bytes), Some((layout, place))) if campaign.stage == Stage::Uploading => {
            let campaign = Campaign { layout: Some(layout), place, ..campaign };
            begin(cx, tenant, campaign, &bytes, now).await
        }
        _ => Ok(campaign),
    }
}

async fn known(cx: &Context, tenant: &TenantId, id: &str, fingerprint: &str) -> Result<Option<Campaign>, SendError> {
    match campaigns::get(cx.table().await?, tenant, id).await? {
        Some(known) if known.fingerprint != fingerprint => Err(SendError::KeyTaken),
        known => Ok(known),
    }
}

/// Stores the file of a campaign, and has its rows planned: at once if they are few.
async fn begin(
    cx: &Context,
    tenant: &TenantId,
    mut campaign: Campaign,
    bytes: &[u8],
    now: Timestamp,
) -> Result<Campaign, SendError> {
    let table = cx.table().await?;
    let parts: Vec<&[u8]> = bytes.chunks(LARGEST_PART).collect();
    campaign.parts = parts.len() as u32;
    // What is there already stays: somebody else may be planning it.
    let missing = campaigns::missing_parts(table, tenant, &campaign.id, campaign.parts).await?;
    for (number, part) in (0..).zip(parts).filter(|(number, _)| missing.contains(number)) {
        campaigns::put_part(table, tenant, &campaign.id, number, part, now).await?;
    }
    campaign.stage = Stage::Planning;
    campaign.due_at = now;
    if !campaigns::update(table, tenant, &mut campaign).await? {
        let known = campaigns::get(table, tenant, &campaign.id).await?;
        return Ok(known.unwrap_or(campaign));
    }
    if bytes.len() <= SMALL {
        plan_at_once(cx, tenant, &mut campaign, now).await;
    }
    Ok(campaign)
}

/// Plans as far as there is time. It is accepted already: whatever goes wrong now, the minute tick goes on.
async fn plan_at_once(cx: &Context, tenant: &TenantId, campaign: &mut Campaign, now: Timestamp) {
    let started = Instant::now();
    let mut memory = Memory::default();
    while campaign.stage == Stage::Planning && started.elapsed() < LONGEST_PLANNING {
        match Box::pin(plan_step(cx, tenant, campaign, &mut memory, now)).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(%tenant, campaign = campaign.id, error = %Chain(&error), "a campaign could not be planned at once");
                return;
            }
        }
    }
}

/// The bytes of what a campaign is for, if they are at hand: as they came, or written as a file of one column.
pub(super) async fn file(cx: &Context, tenant: &TenantId, source: &Source) -> Result<Option<Bytes>, SendError> {
    match source {
        Source::Upload => Ok(None),
        Source::File(bytes) => Ok(Some(bytes.clone())),
        Source::Recipients(numbers) if numbers.iter().all(|number| number.trim().is_empty()) => {
            Err(invalid(FieldError::new("recipients", "required", "give at least one number")))
        }
        Source::Recipients(numbers) => Ok(Some(column("phone", numbers))),
        Source::Groups(groups) => Ok(Some(column("contact_id", &members(cx, tenant, groups).await?))),
    }
}

fn column<'a>(name: &str, values: impl IntoIterator<Item = &'a String>) -> Bytes {
    let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
    // Into memory: it cannot fail.
    let _ = writer.write_record([name]);
    for value in values {
        let _ = writer.write_record([value]);
    }
    writer.into_inner().unwrap_or_default().into()
}

/// Everybody in these groups, each once.
async fn members(cx: &Context, tenant: &TenantId, groups: &[String]) -> Result<BTreeSet<String>, SendError> {
    if groups.is_empty() {
        return Err(invalid(FieldError::new("groups", "required", "give at least one group")));
    }
    if groups.len() > MOST_GROUPS {
        return Err(invalid(FieldError::new("groups", "too_many", format!("at most {MOST_GROUPS} groups"))));
    }
    let table = cx.table().await?;
    let mut members = BTreeSet::new();
    for (at, group) in groups.iter().enumerate() {
        let fits = (1..=LONGEST_LABEL).contains(&group.len());
        let of_group = if fits { contacts::members(table, tenant, group).await? } else { Vec::new() };
        if of_group.is_empty() {
            return Err(invalid(FieldError::new(format!("groups[{at}]"), "unknown_group", "nobody is in this group")));
        }
        members.extend(of_group);
    }
    Ok(members)
}

/// How a file is laid out, and where its first row begins.
///
/// # Errors
/// [`SendError::Invalid`] for a file of which nothing could go.
pub(super) fn head(settings: &Settings, terms: &Terms, bytes: &[u8], today: Date) -> Result<(Layout, Place), SendError> {
    let phone_column = terms.phone_column.as_deref();
    let (layout, place) =
        sheet::layout(bytes, &settings.default_region, phone_column).map_err(|error| invalid(unusable(&error)))?;
    let mut has_rows = false;
    sheet::read(&layout, bytes, place, true, 1, &mut |_, _| has_rows = true);
    if !has_rows {
        return Err(invalid(FieldError::new("customerList", "required", "the file has a header and no rows")));
    }
    Scales::new(settings, terms, &layout, today).map_err(invalid)?;
    Ok((layout, place))
}

fn unusable(error: &SheetError) -> FieldError {
    let (field, code) = match error {
        SheetError::NoSuchColumn { .. } => ("phoneColumn", "no_such_column"),
        SheetError::NoPhoneColumn { .. } => ("customerList", "no_phone_column"),
        SheetError::Empty | SheetError::NotText(_) | SheetError::BrokenHeader => ("customerList", "invalid_file"),
    };
    FieldError::new(field, code, error)
}

/// What a request says beside whom it is for.
///
/// # Errors
/// [`SendError::Invalid`] names every field.
pub(super) async fn checked_terms(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    request: &CampaignRequest,
    now: Timestamp,
) -> Result<Terms, SendError> {
    let mut errors = Vec::new();
    let template = text(cx, tenant, settings, &request.text, &mut errors).await?;
    let channel = channel(request, &mut errors);
    check_sender(settings, channel, &mut errors);
    check_content(template.as_ref(), channel, &mut errors);
    check_media(request, channel, &mut errors);
    check_time(request.send_at, now, &mut errors);
    check_rest(request, &mut errors);
    let category = category(request, template.as_ref(), &mut errors);
    let text = template.and_then(|template| with_rails(settings, request, template, channel, category, &mut errors));
    let Some(text) = text.filter(|_| errors.is_empty()) else { return Err(SendError::Invalid(errors)) };
    let has_columns = matches!(request.source, Source::File(_) | Source::Upload);
    Ok(Terms {
        channel,
        category,
        template: (!text.name.is_empty()).then(|| text.name.clone()),
        text,
        variables: request.variables.clone(),
        media_urls: request.media_urls.clone(),
        phone_column: request.phone_column.as_deref().map(attribute_key).filter(|name| has_columns && !name.is_empty()),
        lapsed_after_days: request.lapsed_after_days,
    })
}

/// The template that a campaign is made from; what is written for it alone is one without a name.
async fn text(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    text: &TextOf,
    errors: &mut Vec<FieldError>,
) -> Result<Option<NamedTemplate>, SendError> {
    let name: &str = match text {
        TextOf::Body(body) => return Ok(written(body, errors)),
        TextOf::Template(name) => name,
        TextOf::Default => WIN_BACK,
    };
    match template(cx, tenant, settings, name).await? {
        Some(template) if template.active => return Ok(Some(template)),
        Some(_) => errors.push(FieldError::new("template", "inactive_template", "this template is switched off")),
        None => errors.push(FieldError::new("template", "unknown_template", "there is no template of this name")),
    }
    Ok(None)
}

/// The tenant's own template of this name, else ours.
async fn template(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    name: &str,
) -> Result<Option<NamedTemplate>, ContextError> {
    if name.len() > LONGEST_NAME {
        return Ok(None);
    }
    let stored = templates::get(cx.table().await?, tenant, name).await?;
    // The texts of types of message are none.
    let found = catalogue::find(settings, name, stored).filter(|found| found.kind.is_none());
    Ok(found.map(|found| found.written.template))
}

fn written(body: &str, errors: &mut Vec<FieldError>) -> Option<NamedTemplate> {
    if body.trim().is_empty() {
        errors.push(FieldError::new("body", "required", "a message says something"));
        return None;
    }
    if body.encode_utf16().count() > LONGEST_BODY {
        let reason = format!("at most {LONGEST_BODY} characters; emoji count as two");
        errors.push(FieldError::new("body", "too_long", reason));
        return None;
    }
    match Template::parse(body) {
        Ok(text) => Some(NamedTemplate::new("", Category::Marketing, text)),
        Err(error) => {
            errors.push(FieldError::new("body", "bad_template", error));
            None
        }
    }
}

/// A text with media is an MMS, whatever it was called.
fn channel(request: &CampaignRequest, errors: &mut Vec<FieldError>) -> Channel {
    match request.channel {
        Channel::Sms if !request.media_urls.is_empty() => Channel::Mms,
        Channel::Mms if request.media_urls.is_empty() => {
            errors.push(FieldError::new("mediaUrls", "required", "an MMS has at least one media URL"));
            Channel::Mms
        }
        Channel::Voice => {
            errors.push(FieldError::new("channel", "invalid", "a campaign goes over sms, mms or whatsapp"));
            Channel::Voice
        }
        channel @ (Channel::Sms | Channel::Mms | Channel::Whatsapp) => channel,
    }
}

/// Nothing is said without a sender, not even by a tenant without an account.
fn check_sender(settings: &Settings, channel: Channel, errors: &mut Vec<FieldError>) {
    let name = match channel {
        Channel::Sms | Channel::Mms => "sms",
        Channel::Whatsapp => "whatsapp",
        // It is refused already.
        Channel::Voice => return,
    };
    if settings.sender(channel).is_none() {
        let reason = format!(
            "the settings name no sender for {channel}: name one in senders.{name}; while there is no account at Twilio, any \
             number does"
        );
        errors.push(FieldError::new("channel", "no_sender", reason));
    }
}

/// Free text over WhatsApp goes to hardly anybody of a list (D14).
fn check_content(template: Option<&NamedTemplate>, channel: Channel, errors: &mut Vec<FieldError>) {
    if channel == Channel::Whatsapp && template.is_some_and(|template| template.content_sid.is_none()) {
        let reason = "WhatsApp takes free text only within 24 hours of the recipient's last message, so a campaign needs a \
                      template with the contentSid of one that is approved";
        errors.push(FieldError::new("template", "needs_content", reason));
    }
}

fn check_media(request: &CampaignRequest, channel: Channel, errors: &mut Vec<FieldError>) {
    let most = if channel == Channel::Whatsapp { 1 } else { media::MOST };
    if request.media_urls.len() > most {
        errors.push(FieldError::new("mediaUrls", "too_many", format!("at most {most} on this channel")));
    }
    for (at, url) in request.media_urls.iter().take(media::MOST).enumerate() {
        if let Err(error) = media::check(url) {
            errors.push(FieldError::new(format!("mediaUrls[{at}]"), "bad_url", error));
        }
    }
}

fn check_rest(request: &CampaignRequest, errors: &mut Vec<FieldError>) {
    if request.name.as_ref().is_some_and(|name| name.len() > LONGEST_LABEL) {
        errors.push(FieldError::new("name", "too_long", format!("at most {LONGEST_LABEL} bytes")));
    }
    if request.variables.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > LARGEST_VARIABLES {
        errors.push(FieldError::new("variables", "too_long", format!("at most {LARGEST_VARIABLES} bytes together")));
    }
    if request.phone_column.as_ref().is_some_and(|name| name.len() > LONGEST_LABEL) {
        errors.push(FieldError::new("phoneColumn", "too_long", format!("at most {LONGEST_LABEL} bytes")));
    }
    if request.lapsed_after_days.is_some_and(|days| days > MOST_DAYS) {
        errors.push(FieldError::new("lapsedAfterDays", "too_far", format!("at most {MOST_DAYS} days; 0 for everybody")));
    }
}

fn category(request: &CampaignRequest, template: Option<&NamedTemplate>, errors: &mut Vec<FieldError>) -> Category {
    let category = request.category.or(template.map(|template| template.category)).unwrap_or(Category::Marketing);
    if category == Category::Authentication {
        // They go at any hour, and may spend what is kept back for them.
        let reason = "one-time codes are sent one by one; name another category";
        errors.push(FieldError::new("category", "invalid", reason));
    }
    category
}

/// `template` with what marketing must say: how to opt out, and who sends it (S1-57, S1-60).
fn with_rails(
    settings: &Settings,
    request: &CampaignRequest,
    template: NamedTemplate,
    channel: Channel,
    category: Category,
    errors: &mut Vec<FieldError>,
) -> Option<NamedTemplate> {
    let Rails { opt_out_text, names_sender } = &request.rails;
    let usual = &settings.campaigns;
    let rails = CampaignSettings {
        opt_out_text: opt_out_text.clone().unwrap_or_else(|| usual.opt_out_text.clone()),
        names_sender: names_sender.unwrap_or(usual.names_sender),
    };
    if let Err(reason) = rails.validate() {
        errors.push(FieldError::new("optOutText", "invalid", reason.trim_start_matches("optOutText: ")));
        return None;
    }
    // What Twilio has approved goes as it was approved.
    if channel == Channel::Whatsapp && template.content_sid.is_some() {
        return Some(template);
    }
    match guarded(&template.text, channel, category, &settings.name, &rails) {
        Ok(text) => Some(NamedTemplate { text, ..template }),
        Err(error) => {
            errors.push(FieldError::new("body", "bad_template", error));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_becomes_a_file_whatever_is_in_it() {
        let numbers = ["+15550100201", "(555) 010-0202, ext. \"5\"", "", "a\nb"].map(String::from);

        let file = column("phone", &numbers);

        assert_eq!(&file[..], b"\"phone\"\n\"+15550100201\"\n\"(555) 010-0202, ext. \"\"5\"\"\"\n\"\"\n\"a\nb\"\n");
    }

    #[test]
    fn what_is_written_for_a_campaign_says_something_that_can_be_filled() {
        let codes = |body: &str| {
            let mut errors = Vec::new();
            let text = written(body, &mut errors);
            assert_eq!(text.is_some(), errors.is_empty(), "{body}");
            errors.into_iter().map(|error| error.code).collect::<Vec<_>>()
        };

        assert_eq!(codes("Hi {customer_name|there}!"), Vec::<String>::new());
        assert_eq!(codes(" \n"), ["required"]);
        assert_eq!(codes("Hi {customer name}"), ["bad_template"]);
        assert_eq!(codes(&"x".repeat(1601)), ["too_long"]);
    }

    #[test]
    fn over_whatsapp_goes_what_is_approved_alone() {
        let mut errors = Vec::new();
        let free = written("Hi {name}", &mut errors);
        let approved = free.clone().map(|text| NamedTemplate { content_sid: Some("HX1".into()), ..text });
        for (text, channel, is_refused) in [
            (&free, Channel::Whatsapp, true),
            (&approved, Channel::Whatsapp, false),
            (&free, Channel::Sms, false),
            // What is wrong with it is said already.
            (&None, Channel::Whatsapp, false),
        ] {
            let mut errors = Vec::new();
            check_content(text.as_ref(), channel, &mut errors);
            assert_eq!(!errors.is_empty(), is_refused, "{channel} {text:?}");
        }
    }
}
