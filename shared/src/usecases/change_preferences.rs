//! Contacts decide what reaches them, when and how (S0-50..53, S3-56): on a page of their own.
//!
//! Stopping and starting are wishes of their numbers, recorded with evidence as any (S3-54). What somebody does twice
//! is recorded once: what is so already is no wish.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::record_wish::{Entered, record_wish};
use super::save_contact::save_contact;
use super::send_message::SendError;
use crate::context::{Context, ContextError};
use crate::domain::channel::ChannelPreference;
use crate::domain::compose::FieldError;
use crate::domain::consent::{Scope, Wish};
use crate::domain::contact::{Category, Contact};
use crate::domain::evidence::Method;
use crate::domain::local_time::{LAWFUL_QUIET_HOURS, QuietHours, first_allowed};
use crate::domain::phone::PhoneNumber;
use crate::domain::policy;
use crate::domain::standing::Standing;
use crate::domain::tenant::{Settings, TenantId};
use crate::store::consents;

/// What is recorded beside a wish that came by the page.
const REASON: &str = "on the contact's preferences page";

/// What a contact wishes, and how its numbers stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Preferences {
    pub contact: Contact,
    pub numbers: BTreeMap<PhoneNumber, Standing>,
}

impl Preferences {
    /// Nothing reaches the contact.
    pub fn is_stopped(&self) -> bool {
        self.contact.opted_out || (!self.numbers.is_empty() && self.numbers.values().all(|standing| standing.stopped))
    }

    /// Nothing of these reaches the contact at one number at least.
    pub fn stopped_categories(&self) -> BTreeSet<Category> {
        let of_numbers = self.numbers.values().flat_map(|standing| &standing.categories);
        of_numbers.chain(&self.contact.opted_out_categories).copied().collect()
    }
}

/// What a contact changes. What is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// `None` within leaves it to the tenant.
    pub channel: Option<Option<ChannelPreference>>,
    pub quiet_hours: Option<Option<QuietHours>>,
    /// Everything is to stop, or to come again.
    pub stopped: Option<bool>,
    pub stop: BTreeSet<Category>,
    pub start: BTreeSet<Category>,
}

/// The preferences of `contact`.
pub async fn preferences(cx: &Context, tenant: &TenantId, contact: Contact) -> Result<Preferences, ContextError> {
    let numbers: Vec<&PhoneNumber> = contact.numbers().into_iter().collect();
    let mut known = consents::standings(cx.table().await?, tenant, &numbers).await?;
    let numbers = numbers.into_iter().map(|number| (number.clone(), known.remove(number).unwrap_or_default())).collect();
    Ok(Preferences { contact, numbers })
}

/// Whether `quiet`, with the tenant's and the law's, leaves `contact` a minute of the day.
pub fn leaves_a_minute(settings: &Settings, contact: &Contact, quiet: QuietHours, now: Timestamp) -> bool {
    let law = contact.numbers().iter().any(|number| number.is_north_american()).then_some(LAWFUL_QUIET_HOURS);
    let windows: Vec<QuietHours> = [Some(quiet), settings.quiet_hours, law].into_iter().flatten().collect();
    first_allowed(&windows, policy::zone(settings, contact), now).is_some()
}

/// Does what `choice` says, for all numbers of `contact`, and answers how it stands then. `by_link` tells the link
/// by which it came from others.
///
/// First what stops, then the contact itself, then what starts: whatever fails in between leaves too little going out,
/// not too much, and the same again does the rest.
pub async fn change_preferences(
    cx: &Context,
    tenant: &TenantId,
    contact: Contact,
    choice: &Choice,
    by_link: &str,
    now: Timestamp,
) -> Result<Preferences, SendError> {
    let before = preferences(cx, tenant, contact).await?;
    let changes = Changes::of(&before, choice);
    let id = before.contact.id.as_str();
    for (wish, numbers) in &changes.stops {
        record(cx, tenant, wish, numbers, by_link, now).await?;
    }
    let gone = || SendError::Invalid(vec![FieldError::new("contact", "unknown_contact", "there is no such contact any more")]);
    let apply = |known: &Contact| changes.apply(choice, known.clone());
    let saved = save_contact(cx, tenant, id, |known| known.map(apply).ok_or_else(gone), now).await?;
    if let Some((wish, numbers)) = &changes.start {
        record(cx, tenant, wish, numbers, by_link, now).await?;
    }
    Ok(preferences(cx, tenant, saved.contact).await?)
}

/// A wish, and the numbers that it is recorded for.
type OfNumbers = (Wish, Vec<PhoneNumber>);

/// What a choice comes to, as things stand.
#[derive(Debug, PartialEq)]
struct Changes {
    stops: Vec<OfNumbers>,
    start: Option<OfNumbers>,
    /// What the tenant's own record says is lifted: wholly, and these categories.
    lifts: bool,
    lifted: BTreeSet<Category>,
    /// There is no number to record a wish for: the tenant's own record says it.
    in_record: bool,
}

impl Changes {
    fn of(before: &Preferences, choice: &Choice) -> Self {
        let all: Vec<PhoneNumber> = before.numbers.keys().cloned().collect();
        let is_any = |is: &dyn Fn(&Standing) -> bool| before.numbers.values().any(is);
        let mut stops = Vec::new();
        if choice.stopped == Some(true) && is_any(&|standing: &Standing| !standing.stopped) {
            stops.push((Wish::Stop(Scope::All), all.clone()));
        }
        let goes = |category: &&Category| is_any(&|standing: &Standing| !standing.categories.contains(*category));
        let stop: BTreeSet<Category> = choice.stop.iter().filter(goes).copied().collect();
        if !stop.is_empty() {
            stops.push((Wish::Stop(Scope::Only(stop)), all.clone()));
        }
        let stopped = before.stopped_categories();
        let lifts =
            choice.stopped == Some(false) && (before.contact.opted_out || is_any(&|standing: &Standing| standing.stopped));
        // One category does not come again while everything is stopped.
        let is_open = lifts || (choice.stopped != Some(true) && !before.is_stopped());
        let lifted: BTreeSet<Category> = choice.start.iter().filter(|_| is_open).copied().collect();
        let start = if lifts {
            let stay: BTreeSet<Category> = stopped.union(&choice.stop).filter(|one| !lifted.contains(*one)).copied().collect();
            let wanted: BTreeSet<Category> = Category::ALL.into_iter().filter(|category| !stay.contains(category)).collect();
            let scope = if stay.is_empty() { Scope::All } else { Scope::Only(wanted) };
            Some((Wish::Start(scope), all.clone()))
        } else {
            // A number that wants nothing would get these: it is not asked.
            let open = before.numbers.iter().filter(|(_, standing)| !standing.stopped).map(|(number, _)| number.clone());
            let again: BTreeSet<Category> = lifted.intersection(&stopped).copied().collect();
            (!again.is_empty()).then(|| (Wish::Start(Scope::Only(again)), open.collect()))
        };
        let start = start.filter(|(_, numbers): &OfNumbers| !numbers.is_empty());
        Self { stops, start, lifts, lifted, in_record: all.is_empty() }
    }

    /// The contact as it is then.
    fn apply(&self, choice: &Choice, mut contact: Contact) -> Contact {
        contact.channel = choice.channel.unwrap_or(contact.channel);
        contact.quiet_hours = choice.quiet_hours.unwrap_or(contact.quiet_hours);
        contact.opted_out &= !self.lifts;
        contact.opted_out_categories.retain(|category| !self.lifted.contains(category));
        if self.in_record {
            contact.opted_out |= choice.stopped == Some(true);
            contact.opted_out_categories.extend(&choice.stop);
        }
        contact
    }
}

/// Records a wish of `numbers`, as they stand. The key is of what they said last: a second click says nothing new,
/// and what somebody changes, changes back and changes again is recorded three times.
async fn record(
    cx: &Context,
    tenant: &TenantId,
    wish: &Wish,
    numbers: &[PhoneNumber],
    by_link: &str,
    now: Timestamp,
) -> Result<(), SendError> {
    let table = cx.table().await?;
    let mut key = format!("preferences {by_link} {}", serde_json::to_string(wish).unwrap_or_default());
    for number in numbers {
        let last = consents::history(table, tenant, number).await?.pop();
        let last = last.map(|entry| format!("{} {}", entry.at, entry.source)).unwrap_or_default();
        key = format!("{key}\n{last}");
    }
    let entered = Entered { wish: wish.clone(), method: Method::WebForm, reason: Some(REASON.into()), by: None, key };
    record_wish(cx, tenant, numbers, None, &entered, now).await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::contact::Number;

    fn number(at: u32) -> PhoneNumber {
        PhoneNumber::from_e164(&format!("+1212555{at:04}")).unwrap()
    }

    fn before(standings: &[Standing]) -> Preferences {
        let numbers: BTreeMap<PhoneNumber, Standing> =
            standings.iter().zip(0..).map(|(standing, at)| (number(at), standing.clone())).collect();
        let contact = Contact { id: "S1".into(), phone: Number::Absent, ..Contact::unknown(number(0)) };
        Preferences { contact, numbers }
    }

    fn stopped() -> Standing {
        Standing::default().after(&Wish::Stop(Scope::All))
    }

    #[test]
    fn what_is_so_already_is_no_wish() {
        let stop = Choice { stopped: Some(true), stop: [Category::Lessons].into(), ..Choice::default() };
        let once = Changes::of(&before(&[Standing::default()]), &stop);
        assert_eq!(once.stops.len(), 2);

        let standing = stopped().after(&Wish::Stop(Scope::Only([Category::Lessons].into())));
        let twice = Changes::of(&before(&[standing]), &stop);

        assert_eq!((twice.stops, twice.start), (vec![], None));
        let start = Choice { stopped: Some(false), ..Choice::default() };
        assert_eq!(Changes::of(&before(&[Standing::default()]), &start).start, None);
    }

    #[test]
    fn one_category_does_not_open_a_number_that_wants_nothing() {
        let lessons: BTreeSet<Category> = [Category::Lessons].into();
        let free = Standing { stopped: false, categories: lessons.clone() };
        let start = Choice { start: lessons.clone(), ..Choice::default() };

        let changes = Changes::of(&before(&[stopped(), free]), &start);

        assert_eq!(changes.start, Some((Wish::Start(Scope::Only(lessons)), vec![number(1)])));
        assert_eq!(Changes::of(&before(&[stopped()]), &start).start, None);
    }

    #[test]
    fn starting_again_keeps_what_is_still_not_wanted() {
        let standing = stopped().after(&Wish::Stop(Scope::Only([Category::Lessons, Category::Payments].into())));
        let choice = Choice { stopped: Some(false), start: [Category::Lessons].into(), ..Choice::default() };

        let changes = Changes::of(&before(std::slice::from_ref(&standing)), &choice);

        let (wish, _) = changes.start.unwrap();
        assert_eq!(standing.after(&wish), Standing { stopped: false, categories: [Category::Payments].into() });
    }

    #[test]
    fn whoever_has_no_number_is_opted_out_in_the_record() {
        let choice = Choice { stopped: Some(true), ..Choice::default() };
        let before = before(&[]);
        let changes = Changes::of(&before, &choice);

        let contact = changes.apply(&choice, before.contact);

        assert!(contact.opted_out && changes.stops.is_empty());
    }
}
