//! What came of a day's messages, in numbers: by channel, category, type, template, list and provider; how long
//! delivery took; why messages failed or did not go.
//!
//! Read off the messages alone, so that counting again counts the same, however receipts came. Days add up.
//!
//! Forgetting a contact takes the reports from its messages, and with them how long delivery took: a day that is
//! counted again after that has fewer times. How many there were, what came of them and what they cost stays.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::catalogue::template_key;
use super::channel::Channel;
use super::contact::Category;
use super::message::{Message, Reason, Status, is_derived};
use super::money::Micros;
use super::reminder::Kind;
use super::report::Report;

/// The numbers of one day, or of several together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DayStats {
    #[serde(with = "as_list")]
    pub cells: BTreeMap<Cell, Counts>,
    /// Texts and calls that came in.
    pub received: BTreeMap<Channel, u32>,
    /// How long it took from the claim to the first receipt, of what was not forgotten since.
    pub delivery: BTreeMap<Channel, Times>,
    /// What failed or was refused, by Twilio's code, or where it gave none by the word for what happened: `busy`,
    /// `not_processed`.
    pub failures: BTreeMap<String, u32>,
    pub skips: BTreeMap<Reason, u32>,
}

/// What the messages of one cell have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// `None` until it is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    pub category: Category,
    #[serde(rename = "type")]
    pub kind: Kind,
    /// As [`template_of`] names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// As [`campaign_of`] names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    /// `None` of what was handed to nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
}

/// Who was to deliver it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    Twilio,
    /// Nobody: the tenant has no account yet, and its costs are none.
    Simulated,
}

/// How many, and what they cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    #[serde(skip_serializing_if = "is_zero")]
    pub pending: u32,
    /// Handed over, whatever came of it: delivered, failed, and what has no end yet.
    #[serde(skip_serializing_if = "is_zero")]
    pub sent: u32,
    #[serde(skip_serializing_if = "is_zero")]
    pub delivered: u32,
    /// Of what was handed over.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: u32,
    /// Never handed over, though it was tried: refused for good, or not taken time after time.
    #[serde(skip_serializing_if = "is_zero")]
    pub refused: u32,
    #[serde(skip_serializing_if = "is_zero")]
    pub skipped: u32,
    #[serde(skip_serializing_if = "is_zero")]
    pub canceled: u32,
    /// How often the provider was called for them.
    #[serde(skip_serializing_if = "is_zero")]
    pub attempts: u32,
    /// What is billed: SMS segments, MMS and WhatsApp messages, begun minutes of calls.
    #[serde(skip_serializing_if = "is_zero")]
    pub segments: u32,
    #[serde(skip_serializing_if = "is_free")]
    pub cost: Micros,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

fn is_free(cost: &Micros) -> bool {
    cost.0 == 0
}

/// More cells than these do not stay apart by template and campaign: a day fits one item of the table.
pub const MOST_CELLS: usize = 1_500;
/// The template or campaign of those that did not stay apart.
pub const OTHER: &str = "other";

impl DayStats {
    pub fn of<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Self {
        let mut stats = Self::default();
        messages.into_iter().for_each(|message| stats.count(message));
        stats
    }

    /// Adds one message.
    pub fn count(&mut self, message: &Message) {
        if message.inbound.is_some() {
            *self.received.entry(message.channel.unwrap_or(Channel::Sms)).or_default() += 1;
            return;
        }
        self.cells.entry(Cell::of(message)).or_default().count(message);
        if let (Some(channel), Some(seconds)) = (message.channel, delivery_seconds(message)) {
            self.delivery.entry(channel).or_default().note(seconds);
        }
        match message.status.shown() {
            "Failed" => *self.failures.entry(failure(message)).or_default() += 1,
            // Without a reason of ours, somebody took it back at Twilio.
            "Skipped" => *self.skips.entry(message.reason.unwrap_or(Reason::OnRequest)).or_default() += 1,
            _ => {}
        }
    }

    pub fn add(&mut self, other: &DayStats) {
        for (cell, counts) in &other.cells {
            self.cells.entry(cell.clone()).or_default().add(counts);
        }
        for (channel, times) in &other.delivery {
            self.delivery.entry(*channel).or_default().add(times);
        }
        add_all(&mut self.received, &other.received);
        add_all(&mut self.failures, &other.failures);
        add_all(&mut self.skips, &other.skips);
    }

    /// All cells together.
    pub fn totals(&self) -> Counts {
        let mut totals = Counts::default();
        self.cells.values().for_each(|counts| totals.add(counts));
        totals
    }

    /// The cells by whatever `key` sees in them.
    pub fn by<K: Ord>(&self, key: impl Fn(&Cell) -> K) -> BTreeMap<K, Counts> {
        let mut all: BTreeMap<K, Counts> = BTreeMap::new();
        for (cell, counts) in &self.cells {
            all.entry(key(cell)).or_default().add(counts);
        }
        all
    }

    /// The delivery times of all channels.
    pub fn times(&self) -> Times {
        let mut all = Times::default();
        self.delivery.values().for_each(|times| all.add(times));
        all
    }

    /// The `most` largest cells as they are; of the others, templates and campaigns become [`OTHER`].
    pub fn collapsed(mut self, most: usize) -> Self {
        if self.cells.len() <= most {
            return self;
        }
        let mut cells: Vec<(Cell, Counts)> = std::mem::take(&mut self.cells).into_iter().collect();
        cells.sort_by_key(|(_, counts)| Reverse(counts.total()));
        for (at, (mut cell, counts)) in cells.into_iter().enumerate() {
            if at >= most {
                cell.template = cell.template.map(|_| OTHER.to_string());
                cell.campaign = cell.campaign.map(|_| OTHER.to_string());
            }
            self.cells.entry(cell).or_default().add(&counts);
        }
        self
    }
}

fn add_all<K: Ord + Clone>(all: &mut BTreeMap<K, u32>, other: &BTreeMap<K, u32>) {
    for (key, count) in other {
        *all.entry(key.clone()).or_default() += count;
    }
}

impl Cell {
    pub fn of(message: &Message) -> Self {
        let provider = if message.simulated { Provider::Simulated } else { Provider::Twilio };
        Self {
            channel: message.channel,
            category: message.category(),
            kind: message.kind,
            template: template_of(message),
            campaign: campaign_of(message).map(str::to_string),
            provider: (message.is_said() || message.attempt > 0).then_some(provider),
        }
    }

    pub fn is_simulated(&self) -> bool {
        self.provider == Some(Provider::Simulated)
    }
}

impl Ord for Cell {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_kind = self.kind.word().cmp(other.kind.word());
        let names = (&self.template, &self.campaign).cmp(&(&other.template, &other.campaign));
        self.channel
            .cmp(&other.channel)
            .then(self.category.cmp(&other.category))
            .then(by_kind)
            .then(names)
            .then(self.provider.cmp(&other.provider))
    }
}

impl PartialOrd for Cell {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Provider {
    pub fn word(self) -> &'static str {
        match self {
            Self::Twilio => "twilio",
            Self::Simulated => "simulated",
        }
    }
}

impl Counts {
    fn count(&mut self, message: &Message) {
        match message.status.shown() {
            "Pending" => self.pending += 1,
            "Sent" => self.sent += 1,
            "Delivered" => {
                self.sent += 1;
                self.delivered += 1;
            }
            "Failed" if message.is_refused() => self.refused += 1,
            "Failed" => {
                self.sent += 1;
                self.failed += 1;
            }
            _ if message.status == Status::Canceled => self.canceled += 1,
            _ => self.skipped += 1,
        }
        self.attempts += message.attempt;
        // What was refused or not processed has its money back, and is billed as nothing.
        if let Some(cost) = message.cost {
            self.cost.0 += cost.0;
            self.segments += message.segments.unwrap_or_default();
        }
    }

    pub fn add(&mut self, other: &Counts) {
        let Counts { pending, sent, delivered, failed, refused, skipped, canceled, attempts, segments, cost } = other;
        self.pending += pending;
        self.sent += sent;
        self.delivered += delivered;
        self.failed += failed;
        self.refused += refused;
        self.skipped += skipped;
        self.canceled += canceled;
        self.attempts += attempts;
        self.segments += segments;
        self.cost.0 += cost.0;
    }

    /// Everything that was due.
    pub fn total(&self) -> u32 {
        self.pending + self.sent + self.refused + self.skipped + self.canceled
    }

    /// Handed over, and no end of it known yet.
    pub fn underway(&self) -> u32 {
        self.sent.saturating_sub(self.delivered + self.failed)
    }
}

/// The template that a message was made from, as names are compared; what has its type's own text counts under
/// the name of the type.
pub fn template_of(message: &Message) -> Option<String> {
    let named = message.direct.as_ref().and_then(|direct| direct.template.as_deref());
    match message.kind {
        Kind::LessonReminder | Kind::PaymentReminder | Kind::ScheduleChange | Kind::Attendance => {
            Some(named.map_or_else(|| message.kind.word().to_string(), template_key))
        }
        Kind::Message | Kind::Test | Kind::Inbound => named.map(template_key),
    }
}

/// The list or campaign that a message is a row of: its id stands for the request that asked for it.
pub fn campaign_of(message: &Message) -> Option<&str> {
    let fingerprint = &message.direct.as_ref()?.fingerprint;
    let (prefix, _) = fingerprint.split_at(fingerprint.rfind('_')? + 1);
    is_derived(fingerprint, prefix).then_some(fingerprint.as_str())
}

/// How many whole seconds a delivered message took, from when it was claimed to the first receipt.
///
/// `None` if Twilio never told by itself: when we asked says nothing about when it came. Of a call it is how long
/// it took until somebody answered.
pub fn delivery_seconds(message: &Message) -> Option<u32> {
    if message.simulated || message.status.shown() != "Delivered" {
        return None;
    }
    let is_receipt = |status: Status| status == Status::InProgress || status.shown() == "Delivered";
    let told = message.reports.iter().filter(|(_, step)| step.step == "callback");
    let receipts = told.filter(|(line, _)| Report::parse(line).and_then(|report| report.status()).is_some_and(is_receipt));
    let first: Timestamp = receipts.map(|(_, step)| step.at).min()?;
    u32::try_from(first.duration_since(message.decided_at?).as_secs().max(0)).ok()
}

/// Why a message failed: Twilio's code, our reason, or how it ended.
fn failure(message: &Message) -> String {
    match (message.error_code, message.reason) {
        (Some(code), _) => code.to_string(),
        (None, Some(reason)) => reason.word().to_string(),
        (None, None) => message.status.word().to_string(),
    }
}

/// How often something took how many seconds. Beyond an hour only the minute counts, so that a day of late
/// receipts stays small.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Times(BTreeMap<u32, u32>);

const AN_HOUR: u32 = 60 * 60;
const A_WEEK: u32 = 7 * 24 * AN_HOUR;

impl Times {
    pub fn note(&mut self, seconds: u32) {
        let seconds = if seconds > AN_HOUR { (seconds - seconds % 60).min(A_WEEK) } else { seconds };
        *self.0.entry(seconds).or_default() += 1;
    }

    pub fn add(&mut self, other: &Times) {
        add_all(&mut self.0, &other.0);
    }

    pub fn count(&self) -> u32 {
        self.0.values().sum()
    }

    /// The time that so many percent did not exceed (nearest rank): the median at 50. `None` of none.
    pub fn percentile(&self, percent: u32) -> Option<u32> {
        let rank = (u64::from(self.count()) * u64::from(percent)).div_ceil(100).max(1);
        let mut passed = 0;
        for (seconds, times) in &self.0 {
            passed += u64::from(*times);
            if passed >= rank {
                return Some(*seconds);
            }
        }
        None
    }

    pub fn average(&self) -> Option<f64> {
        let total = self.0.iter().map(|(seconds, times)| u64::from(*seconds) * u64::from(*times)).sum();
        rate(total, self.count().into())
    }
}

/// `part` of `whole` with four decimals; `None` of nothing, never a NaN.
pub fn rate(part: u64, whole: u64) -> Option<f64> {
    let scaled = part.saturating_mul(10_000).saturating_add(whole / 2).checked_div(whole)?;
    Some(scaled as f64 / 10_000.0)
}

/// What each of `count` costs on average, rounded to the millionth.
pub fn each(cost: Micros, count: u32) -> Option<Micros> {
    let count = i64::from(count);
    cost.0.saturating_add(count / 2).checked_div(count).map(Micros)
}

/// JSON has no objects as keys: the cells are a list of pairs there.
mod as_list {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Cell, Counts};

    pub fn serialize<S: Serializer>(cells: &BTreeMap<Cell, Counts>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(cells)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Cell, Counts>, D::Error> {
        Ok(Vec::<(Cell, Counts)>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::message::{Direct, Facts, MessageId, Step};
    use crate::domain::tenant::TenantId;

    fn now() -> Timestamp {
        "2026-03-10T16:00:00Z".parse().unwrap()
    }

    fn message(name: &str, status: Status) -> Message {
        let tenant = TenantId::parse("t").unwrap();
        let id = MessageId::derive(&tenant, &[name]);
        Message {
            status,
            channel: Some(Channel::Sms),
            attempt: 1,
            decided_at: Some(now()),
            segments: Some(2),
            cost: (status != Status::Failed).then_some(Micros(15_800)),
            direct: Some(Box::new(Direct::of(Category::General))),
            ..Message::waiting(id, Kind::Message, Facts::Direct, now(), Step::new(now(), "asked"))
        }
    }

    fn told(mut message: Message, word: &str, after: i64, step: &str) -> Message {
        let line = Report::new(word, "SM1", None).to_string();
        message.reports.insert(line, Step::new(now() + jiff::SignedDuration::from_secs(after), step));
        message
    }

    fn times(seconds: &[u32]) -> Times {
        let mut times = Times::default();
        seconds.iter().for_each(|seconds| times.note(*seconds));
        times
    }

    #[test]
    fn a_message_counts_once_and_by_what_came_of_it() {
        let delivered = told(told(message("a", Status::Delivered), "sent", 1, "callback"), "delivered", 9, "callback");
        let asked = told(message("b", Status::Delivered), "delivered", 50_000, "asked");
        let refused = Message { error_code: Some(21211), ..message("c", Status::Failed) };
        let unpaid = |name: &str, status: Status| Message { cost: None, attempt: 0, ..message(name, status) };
        let bounced = Message {
            error_code: Some(30003),
            sid: Some("SM2".into()),
            cost: Some(Micros(15_800)),
            ..message("h", Status::Failed)
        };
        let waits = unpaid("d", Status::Scheduled);
        let skipped = Message { reason: Some(Reason::OptedOut), channel: None, ..unpaid("e", Status::Skipped) };
        let canceled = unpaid("f", Status::Canceled);
        let all = [delivered, asked, refused, bounced, waits, skipped, canceled, message("g", Status::Queued)];

        let stats = DayStats::of(&all);

        let totals = stats.totals();
        assert_eq!((totals.total(), totals.sent, totals.delivered, totals.failed, totals.underway()), (8, 4, 2, 1, 1));
        assert_eq!((totals.refused, totals.pending, totals.skipped, totals.canceled), (1, 1, 1, 1));
        assert_eq!(totals.attempts, 5);
        assert_eq!((totals.segments, totals.cost), (8, Micros(63_200)), "what was refused is billed as nothing");
        assert_eq!(stats.times(), times(&[9]), "when we asked says nothing about when it came");
        assert_eq!(stats.failures, BTreeMap::from([("21211".to_string(), 1), ("30003".to_string(), 1)]));
        assert_eq!(stats.skips, BTreeMap::from([(Reason::OptedOut, 1), (Reason::OnRequest, 1)]));
        let providers = stats.by(|cell| cell.provider);
        assert_eq!((providers[&None].total(), providers[&Some(Provider::Twilio)].total()), (3, 5));
    }

    #[test]
    fn a_list_is_told_from_the_fingerprint_of_a_single_request() {
        let of = |fingerprint: &str| {
            let direct = Direct { fingerprint: fingerprint.into(), ..Direct::of(Category::General) };
            campaign_of(&Message { direct: Some(Box::new(direct)), ..message("a", Status::Queued) }).map(str::to_string)
        };
        let hex = "0123456789abcdef0123456789abcdef";

        assert_eq!(of(&format!("batch_{hex}")), Some(format!("batch_{hex}")));
        assert_eq!([of(hex), of(""), of("batch_"), of(&format!("batch_{hex}é"))], [None, None, None, None]);
    }

    #[test]
    fn the_nearest_rank_is_a_time_that_occurred() {
        assert_eq!((times(&[]).percentile(50), times(&[]).average()), (None, None));
        assert_eq!(times(&[7]).percentile(95), Some(7));
        let four = times(&[1, 2, 3, 100]);
        assert_eq!((four.percentile(50), four.percentile(95), four.percentile(0)), (Some(2), Some(100), Some(1)));
        assert_eq!(four.average(), Some(26.5));
        let hundred = times(&(1..=100).collect::<Vec<_>>());
        assert_eq!((hundred.percentile(50), hundred.percentile(95)), (Some(50), Some(95)));
        assert_eq!(times(&[3_600, 3_661, 3_700]).percentile(100), Some(3_660));
    }

    #[test]
    fn rates_have_four_decimals_and_are_never_of_nothing() {
        assert_eq!([rate(1, 3), rate(2, 3), rate(3, 3)], [Some(0.3333), Some(0.6667), Some(1.0)]);
        assert_eq!((rate(0, 5), rate(0, 0)), (Some(0.0), None));
        assert_eq!((each(Micros(10), 3), each(Micros(10), 0)), (Some(Micros(3)), None));
    }

    #[test]
    fn too_many_cells_lose_their_names_and_no_message() {
        let messages: Vec<Message> = (0..40)
            .map(|at: u32| {
                let direct = Direct { template: Some(format!("t{at}")), ..Direct::of(Category::Marketing) };
                Message { direct: Some(Box::new(direct)), ..message(&at.to_string(), Status::Delivered) }
            })
            .collect();
        let stats = DayStats::of(&messages);

        let collapsed = stats.clone().collapsed(10);

        assert_eq!((collapsed.cells.len(), collapsed.totals()), (11, stats.totals()));
        assert_eq!(collapsed.by(|cell| cell.template.clone())[&Some(OTHER.to_string())].delivered, 30);
        assert_eq!(stats.clone().collapsed(40), stats);
    }

    proptest! {
        #[test]
        fn days_add_up_however_they_are_cut_and_survive_the_table(
            all in proptest::collection::vec((0usize..Status::ALL.len(), 0i64..9_000), 0..30),
            cut in 0usize..30,
        ) {
            let messages: Vec<Message> = all
                .iter()
                .enumerate()
                .map(|(at, (status, after))| {
                    told(message(&at.to_string(), Status::ALL[*status]), "delivered", *after, "callback")
                })
                .collect();
            let (first, second) = messages.split_at(cut.min(messages.len()));
            let mut sum = DayStats::of(second);
            sum.add(&DayStats::of(first));
            prop_assert_eq!(&sum, &DayStats::of(&messages));
            let text = serde_json::to_string(&sum).unwrap();
            prop_assert_eq!(serde_json::from_str::<DayStats>(&text).unwrap(), sum);
        }
    }
}
