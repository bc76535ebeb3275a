//! Makes the messages of a campaign's next rows, as many as its sender takes in half a minute, when its clock comes to
//! them, with the money for them reserved before. The ids are derived: making them again makes nothing.

use jiff::{SignedDuration, Timestamp};

use super::dispatch::claim;
use super::dispatch::pacing::length;
use super::watch_budget;
use crate::context::{Context, ContextError};
use crate::domain::campaign::{Fate, Row, Terms, row_id};
use crate::domain::channel::Channel;
use crate::domain::local_time::first_allowed;
use crate::domain::message::{Direct, Facts, Message, Step};
use crate::domain::money::Micros;
use crate::domain::phone::PhoneNumber;
use crate::domain::policy;
use crate::domain::reminder::Kind;
use crate::domain::template::MissingVariable;
use crate::domain::tenant::{Settings, TenantId};
use crate::store::campaigns::{self, Campaign, Cursor, Pause, Stage};
use crate::store::pace::{self, Turn};
use crate::store::pots::{self, Filled};
use crate::store::{messages, meter};

/// So far ahead of now may the sender's clock run: as far as the next tick is. Twilio spreads what comes at once.
const AHEAD: SignedDuration = SignedDuration::from_secs(60);
/// Messages of one piece: as many as a wave takes.
const MOST: usize = 300;
/// Of the first: should the account or the sender be refused, no more are lost to it.
const FIRST: usize = 10;
/// A piece keeps the sender busy no longer, unless one message alone does.
const PIECE: SignedDuration = SignedDuration::from_secs(30);
/// A tenant that is switched off is looked at again.
const SWITCHED_OFF: SignedDuration = SignedDuration::from_mins(10);

/// What a step did.
pub enum Opened {
    /// Somebody else has changed the campaign: whoever that was goes on with it.
    Lost,
    /// These are made, and due now.
    Made(Vec<Message>),
}

/// The rows that a run has at hand, so that a chunk is not read for each of its pieces.
#[derive(Default)]
pub struct Chunk {
    number: Option<u32>,
    /// The number of its first row.
    first: u32,
    rows: Vec<Row>,
}

/// Makes the messages of the next piece, if it is time. Writes the campaign with when it goes on.
pub async fn open_step(
    cx: &Context,
    tenant: &TenantId,
    campaign: &mut Campaign,
    at_hand: &mut Chunk,
    now: Timestamp,
) -> Result<Opened, ContextError> {
    let settings = cx.settings(tenant, now).await?;
    match opening(&settings, campaign, now) {
        Opening::Now => {}
        Opening::At(later) => {
            campaign.due_at = later;
            return written(cx, tenant, campaign, Vec::new()).await;
        }
        Opening::Never(trouble) => {
            campaign.paused = Some(Pause::Trouble);
            campaign.trouble = Some(trouble);
            return written(cx, tenant, campaign, Vec::new()).await;
        }
    }
    let table = cx.table().await?;
    if campaign.next.chunk >= campaign.chunks {
        campaign.stage = Stage::Checking;
        campaign.due_at = now;
        return written(cx, tenant, campaign, Vec::new()).await;
    }
    if at_hand.number != Some(campaign.next.chunk) {
        (at_hand.first, at_hand.rows) = campaigns::chunk(table, tenant, &campaign.id, campaign.next.chunk).await?;
        at_hand.number = Some(campaign.next.chunk);
    }
    campaign.next.row = at_hand.first + campaign.next.at;
    let most = if campaign.made == 0 { FIRST } else { MOST };
    let piece = piece(&settings, &campaign.terms, &at_hand.rows, campaign.next, most);
    if piece.rows.is_empty() {
        campaign.next = piece.end;
        return written(cx, tenant, campaign, Vec::new()).await;
    }
    let sender = settings.sender(campaign.terms.channel).unwrap_or_default().to_string();
    let clock = pace::of_lists(&sender);
    let ahead = (AHEAD - piece.length).max(SignedDuration::ZERO);
    let taken = piece.length;
    if let Turn::Full(at) = pace::take(table, tenant, &clock, taken, ahead, now).await? {
        campaign.due_at = at.max(now + SignedDuration::from_secs(1));
        return written(cx, tenant, campaign, Vec::new()).await;
    }
    let rest = rest_of_chunk(&settings, &campaign.terms, &at_hand.rows, campaign.next);
    let piece = match reserve(cx, tenant, &settings, campaign, piece, rest, now).await? {
        Reserved::Lost => {
            pace::give_back(table, tenant, &clock, taken, now).await?;
            return Ok(Opened::Lost);
        }
        Reserved::For(piece) => piece,
        Reserved::Nothing => {
            pace::give_back(table, tenant, &clock, taken, now).await?;
            campaign.paused = Some(Pause::Budget);
            let paused = written(cx, tenant, campaign, Vec::new()).await?;
            tell_of_limit(cx, tenant, &settings, now).await?;
            return Ok(paused);
        }
    };
    let mut made = Vec::with_capacity(piece.rows.len());
    for (number, row) in &piece.rows {
        match message(tenant, campaign, &sender, *number, row, now) {
            Ok(message) => made.push(message),
            Err(missing) => tracing::error!(%tenant, campaign = campaign.id, row = number, %missing, "a row has no text"),
        }
    }
    messages::create(table, tenant, made.clone()).await?;
    campaign.next = piece.end;
    campaign.made += made.len() as u32;
    campaign.started_at.get_or_insert(now);
    written(cx, tenant, campaign, made).await
}

async fn written(cx: &Context, tenant: &TenantId, campaign: &mut Campaign, made: Vec<Message>) -> Result<Opened, ContextError> {
    let is_ours = campaigns::update(cx.table().await?, tenant, campaign).await?;
    Ok(if is_ours { Opened::Made(made) } else { Opened::Lost })
}

/// Whether messages may be made.
enum Opening {
    Now,
    At(Timestamp),
    /// Not before somebody mends this.
    Never(String),
}

/// What would be decided against, or put off, one by one, waits as a whole.
fn opening(settings: &Settings, campaign: &Campaign, now: Timestamp) -> Opening {
    if let Some(at) = campaign.send_at.filter(|at| *at > now) {
        return Opening::At(at);
    }
    if !settings.is_on() {
        return Opening::At(now + SWITCHED_OFF);
    }
    let channel = campaign.terms.channel;
    if settings.sender(channel).is_none() {
        return Opening::Never(format!("there is no sender for {channel} any more: name one in the settings, senders"));
    }
    let quiet = policy::quiet_hours_of_many(settings, campaign.summary.north_american > 0);
    match first_allowed(&quiet, &settings.time_zone, now) {
        Some(allowed) if allowed > now => Opening::At(allowed),
        Some(_) => Opening::Now,
        None => Opening::Never("the quiet hours leave no minute of the day: change them in the settings, quietHours".into()),
    }
}

/// Rows whose messages are made together, each with its number.
struct Piece {
    rows: Vec<(u32, Row)>,
    /// How long they keep the sender busy.
    length: SignedDuration,
    cost: Micros,
    start: Cursor,
    /// Behind the last of them, and what is excluded there.
    end: Cursor,
}

fn piece(settings: &Settings, terms: &Terms, rows: &[Row], from: Cursor, most: usize) -> Piece {
    let mut piece = Piece { rows: Vec::new(), length: SignedDuration::ZERO, cost: Micros::default(), start: from, end: from };
    for row in rows.iter().skip(from.at as usize) {
        if let Some(units) = row.units() {
            let takes = length(settings, terms.channel, units);
            let is_full = piece.rows.len() == most || piece.length + takes > PIECE;
            if is_full && !piece.rows.is_empty() {
                return piece;
            }
            piece.rows.push((piece.end.row, row.clone()));
            piece.length += takes;
            piece.cost.0 += row.cost(settings, terms.channel).0;
        }
        piece.end.at += 1;
        piece.end.row += 1;
    }
    piece.end = Cursor { chunk: from.chunk + 1, at: 0, row: piece.end.row };
    piece
}

fn rest_of_chunk(settings: &Settings, terms: &Terms, rows: &[Row], from: Cursor) -> Micros {
    Micros(rows.iter().skip(from.at as usize).map(|row| row.cost(settings, terms.channel).0).sum())
}

enum Reserved {
    /// In the pot lies enough for this piece, which may be the beginning of what was asked for.
    For(Piece),
    /// Not even for the first message.
    Nothing,
    Lost,
}

/// Sees that the pot holds what `piece` costs: a block for the rest of its chunk, else for the piece, else for as many of
/// its rows as the limit covers.
async fn reserve(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    campaign: &mut Campaign,
    mut piece: Piece,
    rest: Micros,
    now: Timestamp,
) -> Result<Reserved, ContextError> {
    let table = cx.table().await?;
    campaign.is_simulated = cx.account(tenant, now).await?.is_simulated();
    let month = claim::month(settings, campaign.is_simulated, now);
    let limit = settings.limit(campaign.terms.category);
    let mut pot = pots::get(table, tenant, &campaign.id).await?;
    if pot.month != month && pot.held.0 != 0 {
        pots::empty(table, tenant, &campaign.id).await?;
        pot.held = Micros::default();
    }
    if pot.held >= piece.cost {
        return Ok(Reserved::For(piece));
    }
    for wanted in [rest, piece.cost] {
        match pots::fill(table, tenant, campaign, &month, Micros(wanted.0 - pot.held.0), limit).await? {
            Filled::Done => return Ok(Reserved::For(piece)),
            Filled::Lost => return Ok(Reserved::Lost),
            Filled::OverLimit => {}
        }
    }
    let room = match limit {
        Some(limit) => limit.0 - meter::used(table, tenant, &month).await?.0 + pot.held.0,
        None => i64::MAX,
    };
    cut(settings, campaign.terms.channel, &mut piece, Micros(room));
    if piece.rows.is_empty() {
        return Ok(Reserved::Nothing);
    }
    match pots::fill(table, tenant, campaign, &month, Micros((piece.cost.0 - pot.held.0).max(0)), limit).await? {
        Filled::Done => Ok(Reserved::For(piece)),
        // Somebody else spent it meanwhile.
        Filled::OverLimit => Ok(Reserved::Nothing),
        Filled::Lost => Ok(Reserved::Lost),
    }
}

/// Leaves of `piece` what `room` covers, from its beginning.
fn cut(settings: &Settings, channel: Channel, piece: &mut Piece, room: Micros) {
    let mut covered = 0;
    let mut count = 0;
    for (_, row) in &piece.rows {
        let next = row.cost(settings, channel).0;
        if covered + next > room.0 {
            break;
        }
        covered += next;
        count += 1;
    }
    if let Some((left_out, _)) = piece.rows.get(count) {
        let Cursor { chunk, at, row } = piece.start;
        piece.end = Cursor { chunk, at: at + (left_out - row), row: *left_out };
    }
    piece.rows.truncate(count);
    piece.cost = Micros(covered);
}

async fn tell_of_limit(cx: &Context, tenant: &TenantId, settings: &Settings, now: Timestamp) -> Result<(), ContextError> {
    let month = claim::month(settings, cx.account(tenant, now).await?.is_simulated(), now);
    let used = meter::used(cx.table().await?, tenant, &month).await?;
    watch_budget::tell(cx, tenant, settings, &month, used, true, now).await
}

/// The message of a row, due now.
///
/// # Errors
/// [`MissingVariable`] if the row has no value for one of the text's variables: it should have been excluded.
pub(super) fn message(
    tenant: &TenantId,
    campaign: &Campaign,
    sender: &str,
    number: u32,
    row: &Row,
    now: Timestamp,
) -> Result<Message, MissingVariable> {
    let Campaign { id, terms, .. } = campaign;
    let said = match &row.fate {
        Fate::Goes { values, .. } => terms.say(values)?,
        Fate::Excluded { .. } => return Err(MissingVariable(String::new())),
    };
    let direct = Direct {
        category: terms.category,
        channels: vec![terms.channel],
        media_urls: terms.media_urls.clone(),
        content: said.content,
        call: None,
        template: terms.template.clone(),
        reference: None,
        links: Default::default(),
        sent_by: campaign.created_by.clone(),
        fingerprint: id.clone(),
        slot_of: Some(sender.to_string()),
    };
    let to = if row.contact.is_some() { None } else { PhoneNumber::from_e164(&row.to) };
    Ok(Message {
        contact: row.contact.clone(),
        direct: Some(Box::new(direct)),
        to,
        body: Some(said.body),
        ..Message::waiting(row_id(tenant, id, number), Kind::Message, Facts::Direct, now, Step::new(now, "asked"))
    })
}
