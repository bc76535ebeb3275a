//! From what somebody asks for to a message that can be stored: every check that needs no table.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::catalogue;
use super::channel::Channel;
use super::contact::{Category, Contact, attribute_key};
use super::local_time::{self, Clock, Zone};
use super::media;
use super::message::{Call, Content, Direct, Facts, Message, MessageId, Step};
use super::phone::PhoneNumber;
use super::reminder::Kind;
use super::segments::segments;
use super::template::{NamedTemplate, Template, has_placeholder};
use super::tenant::Settings;
use super::{lint, policy, texts};

/// What somebody asks to be sent to one recipient.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Wish {
    /// A number as people write it, or `contact_id`.
    pub to: Option<String>,
    pub contact_id: Option<String>,
    /// Empty to let contact and tenant choose.
    pub channels: Vec<Channel>,
    pub body: Option<String>,
    /// Whether `body` is said as it stands: what looks like a variable is none.
    pub verbatim: bool,
    /// Instead of `body`: the name of a template.
    pub template: Option<String>,
    /// Instead of both: the text of this type of message.
    pub kind: Option<Kind>,
    pub variables: BTreeMap<String, String>,
    pub media_urls: Vec<String>,
    pub content: Option<Content>,
    pub call: Option<Call>,
    pub send_at: Option<Timestamp>,
    pub category: Option<Category>,
    pub reference: Option<String>,
    pub links: BTreeMap<String, String>,
}

/// What the table knows of a wish's recipient and text.
#[derive(Clone, Copy, Default)]
pub struct Known<'a> {
    pub contact: Option<&'a Contact>,
    /// The tenant's own template of that name.
    pub template: Option<&'a NamedTemplate>,
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FieldError {
    /// Counted from 0, of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u32>,
    pub field: String,
    /// Stable; for programs.
    pub code: String,
    /// For people.
    pub reason: String,
}

impl FieldError {
    pub fn new(field: impl Into<String>, code: &str, reason: impl ToString) -> Self {
        Self { row: None, field: shown(field.into()), code: code.into(), reason: shown(reason.to_string()) }
    }
}

/// As much of a text as is told back to whoever wrote what it quotes.
fn shown(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MOST_SHOWN) {
        text.truncate(end);
        text.push('…');
    }
    text
}

const MOST_SHOWN: usize = 600;

/// Twilio's limit of a text, in UTF-16 units (21617, D10).
pub const LONGEST_BODY: usize = 1600;
/// Twilio's limit of TwiML in a request is 4000 characters; the rest is its tags.
const LONGEST_SPEECH: usize = 3700;
const LONGEST_REFERENCE: usize = 256;
const MOST_LINKS: usize = 20;
/// Of a template or a variable, in bytes.
pub const LONGEST_NAME: usize = 128;
/// All variables of a message together, in bytes.
pub const LARGEST_VARIABLES: usize = 16_000;
/// Twilio ends a call after four hours by itself.
const LONGEST_CALL: u32 = 240;
/// So much is told of what is wrong with one row.
pub const MOST_ERRORS: usize = 5;
/// Beyond this it is a slip of the pen.
pub const FARTHEST: SignedDuration = SignedDuration::from_hours(24 * 366 * 2);

/// A message that fulfils `wish`, not stored yet.
///
/// # Errors
/// Everything that is wrong with it, in the order of the fields.
pub fn compose(
    settings: &Settings,
    wish: &Wish,
    known: Known<'_>,
    id: MessageId,
    fingerprint: &str,
    now: Timestamp,
) -> Result<Message, Vec<FieldError>> {
    let mut errors = Vec::new();
    let number = recipient(settings, wish, known.contact, &mut errors);
    let channels = channels(wish, known.contact, &mut errors);
    check_media(wish, &channels, &mut errors);
    let text = text(settings, wish, known, &channels, &mut errors);
    check_time(wish.send_at, now, &mut errors);
    check_labels(wish, &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    let kind = wish.kind.unwrap_or(Kind::Message);
    let category = wish.category.or(text.category).unwrap_or_else(|| kind.category());
    let direct = Direct {
        category,
        channels,
        media_urls: wish.media_urls.clone(),
        content: text.content,
        call: call(wish, text.body.as_deref()),
        template: wish.template.clone(),
        reference: wish.reference.clone(),
        links: wish.links.clone(),
        sent_by: None,
        fingerprint: fingerprint.to_string(),
        slot_of: None,
    };
    let due_at = wish.send_at.unwrap_or(now).max(now);
    Ok(Message {
        contact: known.contact.map(|contact| contact.id.clone()),
        direct: Some(Box::new(direct)),
        to: number,
        body: text.body,
        ..Message::waiting(id, kind, Facts::Direct, due_at, Step::new(now, "asked"))
    })
}

/// What one message of `channel` with this text is billed as: segments, messages or begun minutes.
pub fn billed_units(channel: Channel, body: &str, direct: Option<&Direct>) -> u32 {
    let has_media = direct.is_some_and(|direct| !direct.media_urls.is_empty());
    match channel {
        Channel::Sms if !has_media => segments(body),
        Channel::Sms | Channel::Mms | Channel::Whatsapp => 1,
        // As long as it may last, so that it cannot cost more than was reserved.
        Channel::Voice => direct.and_then(|direct| direct.call.as_ref()).map_or(1, |call| call.max_minutes.max(1)),
    }
}

/// The call that `wish` asks for. Words get half as long again as they take; what TwiML elsewhere
/// says nobody knows, so it gets five minutes unless the caller says.
fn call(wish: &Wish, body: Option<&str>) -> Option<Call> {
    let call = wish.call.clone()?;
    let usual = match body {
        Some(body) => (lint::speech_secs(body) * 3 / 2).div_ceil(60).max(1),
        None => 5,
    };
    let max_minutes = if call.max_minutes == 0 { usual } else { call.max_minutes };
    Some(Call { max_minutes, ..call })
}

fn recipient(settings: &Settings, wish: &Wish, contact: Option<&Contact>, errors: &mut Vec<FieldError>) -> Option<PhoneNumber> {
    match (&wish.to, &wish.contact_id) {
        (Some(_), Some(_)) => errors.push(FieldError::new("to", "exclusive", "give a number or a contactId, not both")),
        (None, None) => errors.push(FieldError::new("to", "required", "give a number (to) or a contactId")),
        (Some(to), None) => match PhoneNumber::parse(to, &settings.default_region, settings.strictness()) {
            Ok(number) => return Some(number),
            Err(error) => {
                let given: String = to.chars().take(40).collect();
                let hint = "a number from elsewhere begins with + and its country's code";
                errors.push(FieldError::new("to", "invalid_number", format!("'{given}': {error}; {hint}")));
            }
        },
        (None, Some(_)) if contact.is_none() => {
            errors.push(FieldError::new("contactId", "unknown_contact", "there is no such contact"));
        }
        (None, Some(_)) => {}
    }
    None
}

/// The channels that the wish itself decides on.
fn channels(wish: &Wish, contact: Option<&Contact>, errors: &mut Vec<FieldError>) -> Vec<Channel> {
    let has_media = !wish.media_urls.is_empty();
    if wish.call.is_some() {
        if has_media || wish.content.is_some() {
            errors.push(FieldError::new("mediaUrls", "exclusive", "a call has no media and no content template"));
        }
        return vec![Channel::Voice];
    }
    let mut channels = wish.channels.clone();
    // As Twilio writes an address of WhatsApp.
    if wish
        .to
        .as_deref()
        .is_some_and(|to| to.trim_start().get(..9).is_some_and(|prefix| prefix.eq_ignore_ascii_case("whatsapp:")))
    {
        if channels.is_empty() {
            channels.push(Channel::Whatsapp);
        } else if channels != [Channel::Whatsapp] {
            errors.push(FieldError::new("to", "exclusive", "an address of WhatsApp, and another channel"));
        }
    }
    if channels.is_empty() && wish.content.is_some() {
        channels.push(Channel::Whatsapp);
    }
    if channels.is_empty() && has_media {
        let preferred = contact.and_then(|contact| contact.channel).map_or(&[Channel::Sms][..], |own| own.channels());
        channels.extend(preferred);
    }
    // A text with media is an MMS, whatever it was called.
    for channel in &mut channels {
        if *channel == Channel::Sms && has_media {
            *channel = Channel::Mms;
        }
    }
    if wish.channels.contains(&Channel::Mms) && !has_media {
        errors.push(FieldError::new("mediaUrls", "required", "an MMS has at least one media URL"));
    }
    if wish.content.is_some() && channels.iter().any(|channel| *channel != Channel::Whatsapp) {
        errors.push(FieldError::new("contentSid", "whatsapp_only", "a content template goes over whatsapp"));
    }
    channels
}

fn check_media(wish: &Wish, channels: &[Channel], errors: &mut Vec<FieldError>) {
    let most = if channels.contains(&Channel::Whatsapp) { 1 } else { media::MOST };
    if wish.media_urls.len() > most {
        let reason = format!("at most {most} on this channel");
        errors.push(FieldError::new("mediaUrls", "too_many", reason));
    }
    for (at, url) in wish.media_urls.iter().take(media::MOST).enumerate() {
        if let Err(error) = media::check(url) {
            errors.push(FieldError::new(format!("mediaUrls[{at}]"), "bad_url", error));
        }
    }
    if let Some(content) = &wish.content
        && !is_content_sid(&content.sid)
    {
        errors.push(FieldError::new("contentSid", "invalid", "a content SID is HX and 32 hex digits"));
    }
}

/// `^HX[0-9a-f]{32}$`, in either case of hex.
fn is_content_sid(sid: &str) -> bool {
    sid.strip_prefix("HX").is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// What a message says.
#[derive(Default)]
struct Text {
    body: Option<String>,
    content: Option<Content>,
    category: Option<Category>,
}

fn text(settings: &Settings, wish: &Wish, known: Known<'_>, channels: &[Channel], errors: &mut Vec<FieldError>) -> Text {
    let url = wish.call.as_ref().and_then(|call| call.twiml_url.as_deref());
    let ways = [wish.body.is_some(), wish.template.is_some(), wish.content.is_some(), url.is_some()];
    let given = ways.iter().filter(|given| **given).count();
    let field = if wish.call.is_some() { "say" } else { "body" };
    let of_type = wish.kind.filter(|_| given == 0);
    if given > 1 {
        errors.push(FieldError::new(field, "exclusive", "a message has one text: a body, a template, or a content template"));
        return Text::default();
    }
    if let Some(url) = url {
        if let Err(error) = media::check(url) {
            errors.push(FieldError::new("twimlUrl", "bad_url", error));
        }
        return Text::default();
    }
    if given == 0 && of_type.is_none() {
        if wish.media_urls.is_empty() {
            let reason = if wish.call.is_some() { "say something, or give a twimlUrl" } else { "a message says something" };
            errors.push(FieldError::new(field, "required", reason));
        }
        return Text::default();
    }
    let mut text = Text { content: wish.content.clone(), ..Text::default() };
    text.body = match (&wish.body, &wish.template, of_type) {
        (Some(body), _, _) if wish.verbatim => Some(body.clone()),
        (Some(body), _, _) => written(body, settings, wish, known.contact, errors),
        (None, Some(name), _) => match find_template(name, known.template) {
            Some(template) if !template.active => {
                errors.push(FieldError::new("template", "inactive_template", "this template is switched off"));
                None
            }
            Some(template) => {
                text.category = Some(template.category);
                let named = template.content_sid.as_ref().map(|sid| (sid, template.content_variables.as_slice()));
                text.content = content_of(named, settings, wish, known.contact, channels, errors);
                fill(&template.text, settings, wish, known.contact, errors)
            }
            None => {
                errors.push(FieldError::new("template", "unknown_template", "there is no template of this name"));
                None
            }
        },
        (None, None, Some(kind)) => {
            let of_type = settings.kind(kind);
            let named = of_type.and_then(|own| Some((own.content_sid.as_ref()?, own.content_variables.as_slice())));
            text.content = content_of(named, settings, wish, known.contact, channels, errors);
            fill(texts::of_type(settings, kind), settings, wish, known.contact, errors)
        }
        (None, None, None) => None,
    };
    if let Some(body) = &text.body {
        check_body(body, field, wish.call.is_some(), errors);
    }
    text
}

/// A body, with its placeholders filled: one is never sent as text (D2). Braces that are none stay.
fn written(
    body: &str,
    settings: &Settings,
    wish: &Wish,
    contact: Option<&Contact>,
    errors: &mut Vec<FieldError>,
) -> Option<String> {
    match Template::parse(body) {
        Ok(template) if !template.variables().is_empty() => fill(&template, settings, wish, contact, errors),
        Err(error) if has_placeholder(body) => {
            errors.push(FieldError::new("body", "bad_template", error));
            None
        }
        Ok(_) | Err(_) => Some(body.to_string()),
    }
}

fn find_template<'a>(name: &str, own: Option<&'a NamedTemplate>) -> Option<Cow<'a, NamedTemplate>> {
    if let Some(own) = own {
        return Some(Cow::Borrowed(own));
    }
    Some(Cow::Owned(catalogue::default_template(name)?.template()?))
}

/// Every variable without a value is named, not only the first.
fn fill(
    template: &Template,
    settings: &Settings,
    wish: &Wish,
    contact: Option<&Contact>,
    errors: &mut Vec<FieldError>,
) -> Option<String> {
    let rendered = template.render(|name| variable(name, settings, wish, contact));
    if rendered.is_err() {
        for name in template.missing(|name| variable(name, settings, wish, contact)) {
            let reason = format!("the variable '{name}' has no value");
            errors.push(FieldError::new(format!("variables.{name}"), "missing_variable", reason));
        }
    }
    rendered.ok()
}

/// A variable's value: as asked, else what is known of the contact, else the tenant's name.
fn variable<'a>(name: &str, settings: &'a Settings, wish: &'a Wish, contact: Option<&'a Contact>) -> Option<Cow<'a, str>> {
    let key = attribute_key(name);
    let asked = wish
        .variables
        .get(name)
        .or_else(|| wish.variables.iter().find(|(given, _)| attribute_key(given) == key).map(|(_, value)| value));
    if let Some(value) = asked {
        let zone = contact.map_or(&settings.time_zone, |contact| policy::zone(settings, contact));
        return Some(as_people_read(&key, value, wish.kind, zone));
    }
    known_value(&key, settings, contact).map(Cow::Borrowed)
}

/// The value of a variable that nobody gave one, by its [`attribute_key`]: the tenant's name, or what is known of the
/// contact.
pub fn known_value<'a>(key: &str, settings: &'a Settings, contact: Option<&'a Contact>) -> Option<&'a str> {
    match key {
        _ if is_sender(key) => Some(settings.name.as_str()),
        "name" | "customername" => contact.map(|contact| contact.name.as_str()),
        _ => contact.and_then(|contact| contact.attributes.get(key)).map(String::as_str),
    }
}

/// Whether a variable stands for the tenant's name, by its [`attribute_key`].
pub(super) fn is_sender(key: &str) -> bool {
    matches!(key, "tenant" | "restaurantname" | "schoolname" | "churchname" | "businessname")
}

/// Dates and times that a program wrote (`2026-03-10`, `18:30`, RFC 3339) as people read them, in
/// variables that are named for one: as schools have it in the texts of types (S0-36, S0-37), else as
/// S3-50 says. Everything else stays as it is.
pub(super) fn as_people_read<'a>(key: &str, value: &'a str, of_type: Option<Kind>, zone: &Zone) -> Cow<'a, str> {
    let (is_date, is_time) = (key.ends_with("date"), key.ends_with("time"));
    if !is_date && !is_time {
        return Cow::Borrowed(value);
    }
    let instant = value.parse::<Timestamp>().ok().map(|at| zone.wall(at));
    let date = instant.map(|at| at.date()).or_else(|| value.parse().ok().filter(|_| value.len() == 10));
    let time = instant.map(|at| at.time()).or_else(|| Clock::parse(value).map(|clock| clock.0));
    match (date.filter(|_| is_date), time.filter(|_| is_time), of_type) {
        (Some(date), _, Some(_)) => Cow::Owned(local_time::date_text(date)),
        (Some(date), _, None) => Cow::Owned(date.strftime("%B %d, %Y").to_string()),
        (None, Some(time), Some(_)) => Cow::Owned(local_time::time_text(Date::constant(2000, 1, 1).to_datetime(time))),
        (None, Some(time), None) => Cow::Owned(time.strftime("%I:%M %p").to_string()),
        (None, None, _) => Cow::Borrowed(value),
    }
}

/// What Twilio's template of the same text is filled with, where the message goes over WhatsApp.
fn content_of(
    named: Option<(&String, &[String])>,
    settings: &Settings,
    wish: &Wish,
    contact: Option<&Contact>,
    channels: &[Channel],
    errors: &mut Vec<FieldError>,
) -> Option<Content> {
    let (sid, names) = named?;
    if !channels.is_empty() && !channels.contains(&Channel::Whatsapp) {
        return None;
    }
    let mut variables = BTreeMap::new();
    for (at, name) in names.iter().enumerate() {
        match variable(name, settings, wish, contact) {
            Some(value) => {
                variables.insert((at + 1).to_string(), value.into_owned());
            }
            None => {
                let reason = format!("the variable '{name}' has no value");
                errors.push(FieldError::new(format!("variables.{name}"), "missing_variable", reason));
            }
        }
    }
    Some(Content { sid: sid.clone(), variables })
}

fn check_body(body: &str, field: &str, is_spoken: bool, errors: &mut Vec<FieldError>) {
    if !body.chars().any(is_visible) {
        errors.push(FieldError::new(field, "required", "a message says something"));
    }
    if is_spoken {
        // As long as it becomes in XML.
        let length: usize = body.chars().map(|c| if matches!(c, '&' | '<' | '>' | '"' | '\'') { 6 } else { 1 }).sum();
        if length > LONGEST_SPEECH {
            errors.push(FieldError::new(field, "too_long", format!("at most {LONGEST_SPEECH} characters are spoken")));
        }
        if !body.chars().all(is_xml) {
            errors.push(FieldError::new(field, "invalid", "there are control characters in it that cannot be spoken"));
        }
    } else if body.encode_utf16().count() > LONGEST_BODY {
        errors.push(FieldError::new(field, "too_long", format!("at most {LONGEST_BODY} characters; emoji count as two")));
    }
}

/// Whether anybody would see a character.
pub(super) fn is_visible(c: char) -> bool {
    !c.is_whitespace()
        && !c.is_control()
        && !matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// Whether XML 1.0 can hold a character at all.
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Notes what is wrong with the instant at which something is to go.
pub fn check_time(send_at: Option<Timestamp>, now: Timestamp, errors: &mut Vec<FieldError>) {
    // A clock may be a little off.
    match send_at {
        Some(at) if at < now - SignedDuration::from_mins(5) => {
            errors.push(FieldError::new("sendAt", "in_the_past", "this instant is over"));
        }
        Some(at) if at > now + FARTHEST => {
            errors.push(FieldError::new("sendAt", "too_far", "at most two years ahead"));
        }
        Some(_) | None => {}
    }
}

fn check_labels(wish: &Wish, errors: &mut Vec<FieldError>) {
    let size = |values: &BTreeMap<String, String>| values.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    if size(&wish.variables) > LARGEST_VARIABLES {
        errors.push(FieldError::new("variables", "too_long", format!("at most {LARGEST_VARIABLES} bytes together")));
    }
    if wish.content.as_ref().is_some_and(|content| size(&content.variables) > LARGEST_VARIABLES) {
        errors.push(FieldError::new("contentVariables", "too_long", format!("at most {LARGEST_VARIABLES} bytes together")));
    }
    if wish.call.as_ref().is_some_and(|call| call.max_minutes > LONGEST_CALL) {
        errors.push(FieldError::new("maxMinutes", "too_long", format!("a call has at most {LONGEST_CALL} minutes")));
    }
    if wish.reference.as_ref().is_some_and(|reference| reference.len() > LONGEST_REFERENCE) {
        errors.push(FieldError::new("reference", "too_long", format!("at most {LONGEST_REFERENCE} bytes")));
    }
    if wish.links.len() > MOST_LINKS {
        errors.push(FieldError::new("links", "too_many", format!("at most {MOST_LINKS}")));
    }
    for (name, value) in &wish.links {
        if name.len() > LONGEST_REFERENCE || value.len() > LONGEST_REFERENCE {
            errors.push(FieldError::new("links", "too_long", format!("names and values have at most {LONGEST_REFERENCE} bytes")));
        }
    }
    let call = wish.call.as_ref();
    let is_name =
        |text: &String| text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
    if call.and_then(|call| call.voice.as_ref()).is_some_and(|voice| !is_name(voice)) {
        errors.push(FieldError::new("voice", "invalid", "a voice is a name such as alice or Polly.Joanna"));
    }
    if call.and_then(|call| call.language.as_ref()).is_some_and(|language| !is_name(language)) {
        errors.push(FieldError::new("language", "invalid", "a language is a tag such as en-US"));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_of_programs_are_written_for_people() {
        let zone = Zone::parse("America/New_York").unwrap();
        let read = |key: &str, value: &str, kind| as_people_read(key, value, kind, &zone).into_owned();

        assert_eq!(read("date", "2026-03-05", None), "March 05, 2026"); // S3-50
        assert_eq!(read("pickuptime", "18:30", None), "06:30 PM");
        assert_eq!(read("time", "2026-03-10T19:00:00Z", None), "03:00 PM");
        assert_eq!(read("date", "2026-03-11T01:00:00Z", Some(Kind::LessonReminder)), "Mar 10, 2026"); // S0-37
        assert_eq!(read("time", "15:00", Some(Kind::LessonReminder)), "3:00 PM"); // S0-36
        for kept in ["next Tuesday", "2026", "half past six", ""] {
            assert_eq!(read("date", kept, None), kept);
        }
        assert_eq!(read("code", "2026-03-05", None), "2026-03-05");
    }
}
