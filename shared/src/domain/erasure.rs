//! What of a message is personal, and how it reads once that is gone: forgotten with its contact (S3-58), or
//! without its text where the tenant keeps none (S0-74).

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::campaign::summary::Summary;
use super::campaign::{Excluded, Fate, Row};
use super::consent::Reading;
use super::inbound::Inbound;
use super::message::{Call, Content, Direct, Message, Status, Step};
use super::money::Micros;
use super::reminder::Kind;
use super::report::Report;
use super::tenant::Settings;

/// The last line of a forgotten message's story.
const FORGOTTEN: &str = "forgotten";

/// Twilio tells of a message's end so long after it took it; then we ask.
pub const TELLS_ITS_END: SignedDuration = SignedDuration::from_hours(1);

/// `message` as the accounts need it: what kind it was, when and over which channel it went, how far it got and what
/// it cost. Nothing in it leads to a person any more, neither here nor at Twilio.
pub fn forgotten(message: Message, now: Timestamp) -> Message {
    let nameless = nameless(message);
    let without_detail = |step: Step| Step { detail: None, ..step };
    let timeline = nameless.timeline.into_iter().map(without_detail).chain([Step::new(now, FORGOTTEN)]).collect();
    Message {
        contact: None,
        // A payment is one person's; a lesson is not.
        subject: if nameless.kind == Kind::PaymentReminder { String::new() } else { nameless.subject },
        lease_until: None,
        account: None,
        sid: None,
        // Each names Twilio's id. What they come to stands in the message itself.
        reports: BTreeMap::new(),
        timeline,
        ..nameless
    }
}

/// Whether [`forgotten`] made it so.
pub fn is_forgotten(message: &Message) -> bool {
    message.timeline.last().is_some_and(|step| step.step == FORGOTTEN)
}

/// `message` of `contact` without anything personal but whose it is: what Twilio knows it by stays until it is gone
/// there too.
pub fn only_at_twilio(message: Message, contact: &str) -> Message {
    Message { contact: Some(contact.to_string()), ..nameless(message) }
}

/// Whether [`only_at_twilio`] made it so.
pub fn is_only_at_twilio(message: &Message) -> bool {
    let is_heard_of = message.inbound.as_ref().is_none_or(|inbound| inbound.from.is_empty());
    message.contact.is_some() && message.to.is_none() && message.body.is_none() && is_heard_of
}

fn nameless(message: Message) -> Message {
    let direct = message.direct.map(|direct| {
        let direct = silent(*direct);
        Box::new(Direct {
            reference: None,
            links: BTreeMap::new(),
            // A list's id stays; of a single message it is a hash of number and text.
            fingerprint: if direct.fingerprint.contains('_') { direct.fingerprint } else { String::new() },
            ..direct
        })
    });
    let inbound = message.inbound.map(|inbound| {
        Box::new(Inbound {
            from: String::new(),
            media: Vec::new(),
            params: Vec::new(),
            reading: Reading::default(),
            answers: None,
            reply: None,
            told: true,
            ..*inbound
        })
    });
    Message { to: None, body: None, direct, inbound, ..message }
}

/// `row` of a campaign, leading to nobody. What became of one that `has_message` is still told by that; any other that was
/// to go gets none, as one for somebody who is not known.
pub fn erased_row(row: &Row, has_message: bool) -> Row {
    let fate = match row.fate {
        Fate::Goes { units, .. } if has_message => Fate::Goes { values: Vec::new(), units },
        Fate::Goes { .. } => Fate::Excluded { why: Excluded::UnknownContact, detail: None },
        Fate::Excluded { why, .. } => Fate::Excluded { why, detail: None },
    };
    Row { line: row.line, to: String::new(), contact: None, fate }
}

/// Counts a row as one for somebody who is not known that was counted as one that goes.
pub fn counted_out(summary: &mut Summary, units: u32, cost: Micros) {
    summary.going = summary.going.saturating_sub(1);
    *summary.excluded.entry(Excluded::UnknownContact).or_default() += 1;
    summary.units = summary.units.saturating_sub(units.into());
    if let Some(count) = summary.by_units.get_mut(&units) {
        *count = count.saturating_sub(1);
    }
    summary.by_units.retain(|_, count| *count > 0);
    summary.cost.0 = (summary.cost.0 - cost.0).max(0);
}

/// `message` as the tenant keeps it: without its text, if it keeps none, once Twilio has it or it will never go.
pub fn as_kept(settings: &Settings, message: Message) -> Message {
    let is_done = message.status > Status::Sending;
    if settings.log_content || !is_done { message } else { without_text(message) }
}

/// Without what it says: its body, its media and what fills its template.
pub fn without_text(message: Message) -> Message {
    let direct = message.direct.map(|direct| Box::new(silent(*direct)));
    let inbound = message.inbound.map(|inbound| Box::new(Inbound { media: Vec::new(), params: Vec::new(), ..*inbound }));
    Message { body: None, direct, inbound, ..message }
}

/// Whether [`without_text`] would change it.
pub fn has_text(message: &Message) -> bool {
    let says = |direct: &Direct| {
        !direct.media_urls.is_empty()
            || direct.content.as_ref().is_some_and(|content| !content.variables.is_empty())
            || direct.call.as_ref().is_some_and(|call| call.twiml_url.is_some())
    };
    message.body.is_some()
        || message.direct.as_deref().is_some_and(says)
        || message.inbound.as_ref().is_some_and(|inbound| !inbound.media.is_empty() || !inbound.params.is_empty())
}

fn silent(direct: Direct) -> Direct {
    Direct {
        media_urls: Vec::new(),
        content: direct.content.map(|content| Content { variables: BTreeMap::new(), ..content }),
        call: direct.call.map(|call| Call { twiml_url: None, ..call }),
        ..direct
    }
}

/// Everything that Twilio knows `message` by: usually one id, none of what never left.
pub fn sids(message: &Message) -> BTreeSet<String> {
    if message.simulated {
        return BTreeSet::new();
    }
    let reported = message.reports.keys().filter_map(|line| Some(Report::parse(line)?.sid));
    reported.chain(message.sid.clone()).filter(|sid| !sid.is_empty()).collect()
}

/// Whether something is still to happen to it, of which we shall hear by ourselves.
pub fn is_under_way(message: &Message, now: Timestamp) -> bool {
    let went = message.decided_at.unwrap_or(message.due_at);
    !message.status.is_final() && now.duration_since(went) < TELLS_ITS_END
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::channel::Channel;
    use crate::domain::contact::Category;
    use crate::domain::message::{Facts, MessageId};
    use crate::domain::phone::PhoneNumber;
    use crate::domain::tenant::TenantId;

    const SID: &str = "SM00000000000000000000000000000001";

    fn message() -> Message {
        let now: Timestamp = "2026-03-10T16:00:00Z".parse().unwrap();
        let id = MessageId::derive(&TenantId::parse("t").unwrap(), &["m"]);
        let direct = Direct {
            media_urls: vec!["https://example.com/ana.jpg".into()],
            content: Some(Content { sid: "HX1".into(), variables: [("1".to_string(), "Ana".to_string())].into() }),
            reference: Some("ana-1".into()),
            links: [("customerId".to_string(), "ana".to_string())].into(),
            template: Some("hello".into()),
            sent_by: Some("user-1".into()),
            fingerprint: "zzzz".into(),
            ..Direct::of(Category::Marketing)
        };
        let report = Report::new("delivered", SID, None);
        Message {
            contact: Some("ana".into()),
            channel: Some(Channel::Mms),
            direct: Some(Box::new(direct)),
            status: Status::Delivered,
            to: PhoneNumber::from_e164("+15550100201"),
            body: Some("Dear Ana".into()),
            cost: Some(Micros(20_000)),
            segments: Some(1),
            sid: Some(SID.into()),
            reports: [(report.to_string(), Step::new(now, "callback"))].into(),
            ..Message::waiting(id, Kind::Message, Facts::Direct, now, Step::with(now, "accepted", SID))
        }
    }

    #[test]
    fn what_was_forgotten_leads_to_nobody_and_still_adds_up() {
        let before = message();

        let after = forgotten(before.clone(), before.due_at);

        let text = serde_json::to_string(&after).unwrap();
        for personal in ["+1555", "ana", "Ana", SID, "zzzz"] {
            assert!(!text.contains(personal), "{personal}: {text}");
        }
        assert!(is_forgotten(&after) && !is_forgotten(&before));
        assert_eq!((after.status, after.cost, after.segments), (before.status, before.cost, before.segments));
        let direct = after.direct.unwrap();
        assert_eq!((direct.category, direct.template.as_deref()), (Category::Marketing, Some("hello")));
        assert_eq!(direct.sent_by.as_deref(), Some("user-1"));
    }

    #[test]
    fn what_is_still_at_twilio_is_found_by_its_contact_and_its_ids() {
        let before = message();

        let after = only_at_twilio(before.clone(), "ana");

        assert!(is_only_at_twilio(&after) && !is_only_at_twilio(&before));
        assert_eq!((sids(&after), after.contact.as_deref()), (BTreeSet::from([SID.to_string()]), Some("ana")));
        assert_eq!(sids(&Message { simulated: true, ..before }), BTreeSet::new());
    }

    #[test]
    fn an_erased_row_is_still_counted_and_goes_only_if_it_went() {
        let row = |fate: Fate| Row { line: 7, to: "+15550100201".into(), contact: Some("ana".into()), fate };
        let goes = row(Fate::Goes { values: vec!["Ana".into()], units: 2 });
        let nameless = |fate: Fate| Row { line: 7, to: String::new(), contact: None, fate };

        assert_eq!(erased_row(&goes, true), nameless(Fate::Goes { values: Vec::new(), units: 2 }));
        let unknown = nameless(Fate::Excluded { why: Excluded::UnknownContact, detail: None });
        assert_eq!(erased_row(&goes, false), unknown);
        let stopped = row(Fate::Excluded { why: Excluded::OptedOut, detail: Some("since March".into()) });
        assert_eq!(erased_row(&stopped, false), nameless(Fate::Excluded { why: Excluded::OptedOut, detail: None }));

        let mut summary = Summary { rows: 3, going: 2, units: 3, cost: Micros(30), ..Summary::default() };
        summary.by_units = [(1, 1), (2, 1)].into();
        summary.excluded = [(Excluded::OptedOut, 1)].into();
        counted_out(&mut summary, 2, Micros(20));
        assert_eq!((summary.rows, summary.going, summary.units, summary.cost), (3, 1, 1, Micros(10)));
        assert_eq!(summary.by_units, BTreeMap::from([(1, 1)]));
        assert_eq!(summary.excluded, BTreeMap::from([(Excluded::UnknownContact, 1), (Excluded::OptedOut, 1)]));
    }

    #[test]
    fn a_text_goes_once_it_is_of_no_use_and_only_if_the_tenant_keeps_none() {
        let settings = r#"{"name": "S", "timeZone": "UTC", "defaultRegion": "US", "budget": {"currency": "USD"}}"#;
        let keeps: Settings = serde_json::from_str(settings).unwrap();
        let keeps_none = Settings { log_content: false, ..keeps.clone() };
        let said = message();
        let sending = Message { status: Status::Sending, ..message() };

        assert_eq!(as_kept(&keeps, said.clone()), said);
        assert_eq!(as_kept(&keeps_none, sending.clone()), sending, "whoever looks for it at Twilio goes by its text");
        let kept = as_kept(&keeps_none, said.clone());
        assert!(has_text(&said) && !has_text(&kept));
        assert_eq!((kept.to, kept.contact), (said.to, said.contact));
    }
}
