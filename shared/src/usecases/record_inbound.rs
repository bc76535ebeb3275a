//! Somebody texts us: stored once, obeyed at once (S0-102), answered if the tenant wants, told to the world.
//!
//! Everything that a text brings about is one transaction on the condition that the text is not stored yet:
//! Twilio may bring it again, and what it brought about before happens no second time.

use jiff::{SignedDuration, Timestamp};

use super::dispatch::claim;
use super::tell_of_inbound::tell_of_inbound;
use super::watch_budget;
use crate::context::{Context, ContextError};
use crate::domain::answer::{self, Answer, Given};
use crate::domain::channel::Channel;
use crate::domain::compose::billed_units;
use crate::domain::consent::{self, Manner, Reading, Scope, Wish};
use crate::domain::contact::{Category, Wishes};
use crate::domain::conversation::{Attention, Conversation};
use crate::domain::encoded_body;
use crate::domain::erasure::as_kept;
use crate::domain::evidence::{Entry, Method};
use crate::domain::inbound::{self, Answered, Inbound, Media, Peer};
use crate::domain::lesson::LessonStatus;
use crate::domain::message::{Direct, Facts, Message, MessageId, Status, Step};
use crate::domain::money::Micros;
use crate::domain::phone::PhoneNumber;
use crate::domain::price_list;
use crate::domain::reminder::Kind;
use crate::domain::standing::Standing;
use crate::domain::tenant::{Settings, TenantId};
use crate::store::beside::{self, Beside};
use crate::store::consents;
use crate::store::conversations::{self, ConversationId};
use crate::store::{StoreError, Table, Write, lessons, messages, meter, sessions, write_all_if};
use crate::telemetry::{self, Metric};

/// A text as Twilio tells of it.
#[derive(Clone, Debug, Default)]
pub struct Text {
    pub sid: String,
    /// May be no number at all.
    pub from: String,
    /// Which of the tenant's numbers it came to.
    pub to: String,
    pub body: String,
    pub media: Vec<Media>,
    /// What Twilio took it for: STOP, START, HELP; only with Advanced Opt-Out.
    pub opt_out_type: Option<String>,
    /// What the pressed button of a template stands for, and what is written on it.
    pub buttons: Vec<String>,
    /// Twilio's id of the message that it is a reply to.
    pub replied_to: Option<String>,
    /// Everything else that Twilio said.
    pub params: Vec<(String, String)>,
}

/// What is answered: the message is stored already, Twilio sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub id: MessageId,
    pub text: String,
}

/// Others may write at the same instant; after so many looks Twilio has to come again.
const TRIES: u32 = 8;
/// So much of a text is kept, in characters.
const LONGEST_BODY: usize = 8_000;
/// A reminder takes answers until its lesson begins, if it went at most so long ago.
const ANSWERS_COUNT: SignedDuration = SignedDuration::from_hours(24 * 14);
/// A reminder takes answers until its story has so many lines.
const LONGEST_STORY: usize = 60;
/// Of one lesson, so many reminders take an answer at once.
const MOST_COPIES: usize = 20;
/// So far back in the conversation is the reminder looked for.
const LOOK_BACK: u32 = 50;

/// Our id of what came in: the same again is the same.
pub fn inbound_id(tenant: &TenantId, sid: &str) -> MessageId {
    MessageId::derive(tenant, &["inbound", sid])
}

/// Stores `text` and does what it asks for. What is answered is the same however often it comes.
///
/// # Errors
/// Nothing was written: whoever brought it brings it again.
pub async fn record_inbound(cx: &Context, tenant: &TenantId, text: &Text, now: Timestamp) -> Result<Option<Reply>, ContextError> {
    let settings = cx.settings(tenant, now).await?;
    let table = cx.table().await?;
    let peer = Peer::parse(&text.from, &settings.default_region);
    let id = inbound_id(tenant, &text.sid);
    for _ in 0..TRIES {
        let known = beside::read(table, tenant, &id, peer.address()).await?;
        if let Some(message) = &known.message {
            tell_of_inbound(cx, tenant, message).await?;
            return reply_of(table, tenant, message).await;
        }
        let arrived = Arrived { cx, tenant, settings: &settings, table, text, peer: &peer, now };
        let before = known.consent.standing.clone();
        let (message, reply, writes) = arrived.consequences(id.clone(), known).await?;
        if write_all_if(table, writes).await? {
            telemetry::message(tenant, &message);
            counted(&message, reply.is_some(), &before);
            if let Some(month) = reply.as_ref().and_then(|reply| reply.month.as_deref()) {
                watch_budget::tell_if_near(cx, tenant, &settings, month, now).await?;
            }
            tell_of_inbound(cx, tenant, &message).await?;
            return Ok(reply.map(|reply| Reply { id: reply.id, text: reply.body.unwrap_or_default() }));
        }
    }
    Err(StoreError::Unreachable("a conversation kept changing".into()).into())
}

/// Counts a text that was just stored, from a number that stood like `before`.
fn counted(message: &Message, is_answered: bool, before: &Standing) {
    telemetry::count(Metric::Inbound);
    // Twilio takes it with our answer.
    if is_answered {
        telemetry::count(Metric::Accepted);
    }
    let wish = message.inbound.as_ref().and_then(|inbound| inbound.reading.wish.as_ref());
    let opts_out = |wish: &Wish| matches!(wish, Wish::Stop(_)) && before.after(wish) != *before;
    if message.to.is_some() && wish.is_some_and(|(wish, _)| opts_out(wish)) {
        telemetry::count(Metric::OptOuts);
    }
}

async fn reply_of(table: &Table, tenant: &TenantId, message: &Message) -> Result<Option<Reply>, ContextError> {
    let Some(id) = message.inbound.as_ref().and_then(|inbound| inbound.reply.clone()) else { return Ok(None) };
    let reply = messages::get_many(table, tenant, std::slice::from_ref(&id)).await?.pop();
    Ok(reply.and_then(|reply| Some(Reply { id, text: reply.body? })))
}

/// Whether a contact's own record keeps it from what `scope` asks for.
fn forbids(wishes: &Wishes, scope: &Scope) -> bool {
    let categories = &wishes.opted_out_categories;
    wishes.opted_out
        || match scope {
            Scope::All => !categories.is_empty(),
            Scope::Only(wanted) => !categories.is_disjoint(wanted),
        }
}

/// A text that is not stored yet, and all that bears on what it brings about.
struct Arrived<'a> {
    cx: &'a Context,
    tenant: &'a TenantId,
    settings: &'a Settings,
    table: &'a Table,
    text: &'a Text,
    peer: &'a Peer,
    now: Timestamp,
}

impl Arrived<'_> {
    /// The text as it is stored, what is answered, and everything that is written.
    async fn consequences(&self, id: MessageId, known: Beside) -> Result<(Message, Option<Message>, Vec<Write>), ContextError> {
        let Self { tenant, settings, table, text, now, .. } = *self;
        let channel = inbound::channel(&text.from, text.media.len());
        let body = encoded_body::decoded(&text.body);
        // Twilio brings 1600 at most; a row has an end, too.
        let body: String = body.chars().take(LONGEST_BODY).collect();
        // A button's own name may say nothing; what is written on it, or sent with it, may.
        let said: Vec<&str> = text.buttons.iter().map(String::as_str).chain([body.as_str()]).collect();
        let to_toll_free = price_list::is_toll_free(&text.to) && channel != Channel::Whatsapp;
        let (mut reading, is_forbidden) = self.reading(&said, to_toll_free, &known);
        let mut answers = None;
        let mut answered = Vec::new();
        if reading.wish.is_none()
            && !known.consent.standing.stopped
            && let Some((answer, reminders)) = self.answered(&said).await?
        {
            reading = Reading::default();
            answers = reminders.first().map(|reminder| Answered { answer, reminder: reminder.clone() });
            answered = reminders;
        }
        // Twilio's word for STOP, and in a school also what one does to a lesson.
        let is_doubtful = reading.wish.is_some() && body.trim().eq_ignore_ascii_case("cancel");
        reading.review |= is_doubtful;

        let mut writes = Vec::new();
        if let (Some((wish, manner)), Some(number)) = (&reading.wish, self.peer.number())
            && *wish != Wish::Help
            && (known.consent.standing.after(wish) != known.consent.standing || matches!(wish, Wish::Start(_)))
        {
            let method = if *manner == Manner::Phrase { Method::Phrase } else { Method::Keyword };
            let (source, wish) = (text.sid.clone(), wish.clone());
            let entry = Entry { number: number.clone(), at: now, wish, method, source, by: None, reason: None };
            writes.extend(consents::change(table, tenant, &known.consent, &entry)?);
        }
        if let (Channel::Whatsapp, Some(number)) = (channel, self.peer.number()) {
            writes.push(sessions::opening(table, tenant, number, now)?);
        }
        if let Some(Answered { answer, .. }) = &answers {
            for reminder in &answered {
                writes.push(messages::answering(table, tenant, reminder, *answer, now)?);
            }
        }

        let contact = known.contact().cloned();
        let conversation = known.conversation.unwrap_or_else(|| Conversation::new(self.peer.address(), channel, now));
        let may_answer = settings.is_on() && conversation.takes_answer(now) && !settings.is_own(&text.from);
        let is_confirmed = answers.as_ref().is_some_and(|answered| answered.answer == Answer::Confirmed);
        let attention = match (reading.review, reading.wish.is_some() || is_confirmed) {
            (true, _) => Attention::Review,
            (false, true) => Attention::None,
            (false, false) => Attention::Somebody,
        };
        let shown = if settings.log_content { body.as_str() } else { "" };
        let mut conversation = conversation.with(shown, channel, attention, now);
        let standing =
            reading.wish.as_ref().map_or_else(|| known.consent.standing.clone(), |(wish, _)| known.consent.standing.after(wish));
        let may_answer = may_answer && !is_forbidden;
        // Once told, twice is once too often (47 CFR 64.1200(a)(12) allows one confirmation).
        let is_old = reading.wish.as_ref().is_some_and(|(wish, _)| *wish != Wish::Help && standing == known.consent.standing);
        let may_answer = may_answer && !is_old;
        let mut reply = None;
        if let (true, Some(number), Some(answer)) =
            (may_answer, self.peer.number(), self.answer(&reading, answers.as_ref(), &body, standing.stopped, channel))
            && let Some((message, money)) = self.reply(&id, number, contact.clone(), channel, answer).await?
        {
            conversation = conversation.answered_at(now);
            writes.push(messages::creating(table, tenant, &message)?);
            writes.extend(money);
            reply = Some(message);
        }
        writes.push(conversations::change(table, tenant, conversation)?);

        let inbound = Inbound {
            from: text.from.clone(),
            to: text.to.clone(),
            media: text.media.clone(),
            params: text.params.clone(),
            reading,
            answers,
            reply: reply.as_ref().map(|reply| reply.id.clone()),
            told: false,
        };
        let message = Message {
            contact,
            channel: Some(channel),
            inbound: Some(Box::new(inbound)),
            status: Status::Received,
            decided_at: Some(now),
            to: self.peer.number().cloned(),
            body: Some(body),
            sid: Some(text.sid.clone()),
            ..Message::waiting(id, Kind::Inbound, Facts::Direct, now, Step::new(now, "received"))
        };
        // Read, understood and answered: whoever keeps no texts (S0-74) needs it no more.
        let message = as_kept(settings, message);
        // First, so that a text that is stored meanwhile is what refuses the rest.
        writes.insert(0, messages::creating(table, tenant, &message)?);
        Ok((message, reply, writes))
    }

    /// What the text says about being messaged. A wish that changes nothing is none: whoever says YES, and has not
    /// stopped, answers something else.
    ///
    /// Also whether it asks for what the tenant's own records forbid: a text does not lift that (reminders.md §3,
    /// rule 2), somebody has to.
    fn reading(&self, said: &[&str], to_toll_free: bool, known: &Beside) -> (Reading, bool) {
        let standing = &known.consent.standing;
        let read = |said: &&str| {
            let opt_out_type = self.text.opt_out_type.as_deref();
            let reading = consent::read(said, &self.settings.consent, opt_out_type, to_toll_free);
            let Some((wish @ Wish::Start(scope), manner)) = &reading.wish else { return (reading, false) };
            let is_yes = consent::is_only_yes(said);
            // Twilio's own START lifts Twilio's block, whatever we know of that.
            let says_nothing_new = *manner != Manner::TwilioKeyword && standing.after(wish) == *standing;
            let is_idle = if is_yes { !standing.stopped } else { says_nothing_new };
            let is_forbidden = !is_yes && known.contacts.values().any(|wishes| forbids(wishes, scope));
            let wish = reading.wish.clone().filter(|_| !is_idle);
            (Reading { wish, review: reading.review || is_forbidden }, is_forbidden)
        };
        let readings: Vec<(Reading, bool)> = said.iter().map(read).collect();
        let stop = readings.iter().position(|(reading, _)| matches!(reading.wish, Some((Wish::Stop(_), _))));
        let any = stop.or_else(|| readings.iter().position(|(reading, _)| reading.wish.is_some() || reading.review));
        any.and_then(|at| readings.into_iter().nth(at)).unwrap_or_default()
    }

    /// What `said` answers: the latest reminder that asked and has no answer yet, or else the latest; then those
    /// of the same lesson on other channels and before.
    async fn answered(&self, said: &[&str]) -> Result<Option<(Answer, Vec<MessageId>)>, ContextError> {
        let Self { tenant, settings, table, text, now, .. } = *self;
        let Some(Given { answer, is_assent }) = said.iter().find_map(|said| answer::read(said, &settings.answers)) else {
            return Ok(None);
        };
        let id = ConversationId::of(table, self.peer.address());
        let (latest, _) = conversations::messages(table, tenant, &id, None, LOOK_BACK).await?;
        let takes = |message: &&Message| {
            let went = message.decided_at.unwrap_or(message.due_at);
            message.asks && now.duration_since(went) < ANSWERS_COUNT
        };
        let reminders: Vec<&Message> = latest.iter().filter(takes).collect();
        let subjects: Vec<&str> = reminders.iter().map(|reminder| reminder.subject.as_str()).collect();
        let lessons = lessons::get_many(table, tenant, &subjects).await?;
        // What a reminder said may not hold any more: the lesson was moved or cancelled.
        let is_ahead = |reminder: &Message| {
            lessons.get(&reminder.subject).is_some_and(|lesson| {
                lesson.starts_at > now && lesson.status == LessonStatus::Scheduled && lesson.version == reminder.version
            })
        };
        // `Ok` is about whatever we wrote last.
        let last = latest.iter().find(|message| message.inbound.is_none() && message.is_said());
        if is_assent && !last.is_some_and(|last| last.asks) {
            return Ok(None);
        }
        let ahead: Vec<&Message> = reminders.into_iter().filter(|reminder| is_ahead(reminder)).collect();
        let replied_to = ahead.iter().find(|reminder| text.replied_to.is_some() && reminder.sid == text.replied_to);
        let open = ahead.iter().find(|reminder| reminder.answer.is_none());
        let Some(meant) = replied_to.or(open).or(ahead.first()).copied() else { return Ok(None) };
        let same = |other: &&&Message| other.id != meant.id && other.subject == meant.subject && other.contact == meant.contact;
        let mut reminders = vec![meant.id.clone()];
        reminders.extend(ahead.iter().filter(same).map(|other| other.id.clone()).take(MOST_COPIES));
        // Who changes their mind for ever is not written down for ever.
        if meant.timeline.len() > LONGEST_STORY {
            return Ok(None);
        }
        Ok(Some((answer, reminders)))
    }

    /// What is answered, if anything: once, and nothing that Twilio says already (lessons B8).
    fn answer(
        &self,
        reading: &Reading,
        answers: Option<&Answered>,
        said: &str,
        is_stopped: bool,
        channel: Channel,
    ) -> Option<String> {
        let settings = self.settings;
        if let Some(answered) = answers {
            return settings.answers.text(answered.answer).map(str::to_string);
        }
        if let Some((wish, manner)) = &reading.wish {
            let is_sms = channel != Channel::Whatsapp;
            return consent::answer(wish, *manner, &settings.consent, &settings.name, is_sms, self.text.opt_out_type.is_some());
        }
        settings.keyword_reply(said).filter(|_| !is_stopped).map(str::to_string)
    }

    /// The answer as a message of ours, paid for; `None` if the month's limit does not cover it.
    async fn reply(
        &self,
        inbound: &MessageId,
        number: &PhoneNumber,
        contact: Option<String>,
        channel: Channel,
        body: String,
    ) -> Result<Option<(Message, Option<Write>)>, ContextError> {
        let Self { tenant, settings, table, now, .. } = *self;
        let channel = if channel == Channel::Mms { Channel::Sms } else { channel };
        let units = billed_units(channel, &body, None);
        let cost = Micros(settings.price(channel, number).0 * i64::from(units));
        let account = self.cx.account(tenant, now).await?;
        let month = claim::month(settings, account.is_simulated(), now);
        let limit = settings.limit(Category::General);
        if let Some(limit) = limit
            && meter::used(table, tenant, &month).await?.0 + cost.0 > limit.0
        {
            tracing::info!(%tenant, id = %inbound, "not answered: the month's limit does not cover it");
            return Ok(None);
        }
        let money = meter::add(table, tenant, &month, cost, limit)?;
        let id = MessageId::derive(tenant, &["reply", inbound.as_str()]);
        let direct = Direct { reference: Some(inbound.to_string()), ..Direct::of(Category::General) };
        let message = Message {
            contact,
            channel: Some(channel),
            direct: Some(Box::new(direct)),
            status: Status::Accepted,
            decided_at: Some(now),
            account: account.sid().map(str::to_string),
            to: Some(number.clone()),
            body: Some(body),
            segments: Some(units),
            cost: Some(cost),
            month: Some(month),
            ..Message::waiting(id, Kind::Message, Facts::Direct, now, Step::with(now, "replied", inbound))
        };
        Ok(Some((message, money)))
    }
}
