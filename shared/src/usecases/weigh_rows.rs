//! Reads the next rows of a file, and weighs them by what the table knows of those whom they are for. The preview and the
//! plan both go by this: what was shown is what goes.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use jiff::civil::Date;

use crate::context::{Context, ContextError};
use crate::domain::campaign::assess::{Candidate, Known, Recipe, Recipient, Seen};
use crate::domain::campaign::layout::{Layout, Place, Whom};
use crate::domain::campaign::summary::Summary;
use crate::domain::campaign::{Fate, Row, Terms};
use crate::domain::compose::FieldError;
use crate::domain::contact::{Contact, Wishes};
use crate::domain::phone::PhoneNumber;
use crate::domain::standing::Standing;
use crate::domain::tenant::{Settings, TenantId};
use crate::files::sheet;
use crate::store::{campaigns, consents, contacts};

/// Rows of a chunk: what is looked up for them is ten batches of the table.
const MOST: usize = 1_000;

/// What the rows of a file are weighed by.
pub(super) struct Scales<'a> {
    recipe: Recipe<'a>,
    terms: &'a Terms,
    layout: &'a Layout,
}

impl<'a> Scales<'a> {
    /// # Errors
    /// What the file lacks for these terms: none of its rows could go.
    pub(super) fn new(settings: &'a Settings, terms: &'a Terms, layout: &'a Layout, today: Date) -> Result<Self, FieldError> {
        let recipe = Recipe::new(settings, terms, layout, today)?;
        must_be_filled(&recipe, layout)?;
        Ok(Self { recipe, terms, layout })
    }
}

/// The day that a campaign's rows are weighed by, whenever that is done: when it goes.
pub(super) fn day(settings: &Settings, created_at: Timestamp, send_at: Option<Timestamp>) -> Date {
    settings.time_zone.wall(send_at.unwrap_or(created_at).max(created_at)).date()
}

/// # Errors
/// A variable that has a value in no row. What contacts have is known only by looking at each.
fn must_be_filled(recipe: &Recipe<'_>, layout: &Layout) -> Result<(), FieldError> {
    let unfilled = if matches!(layout.whom, Whom::Number(_)) { recipe.unfilled() } else { Vec::new() };
    let Some(name) = unfilled.first() else { return Ok(()) };
    let columns: Vec<&str> = layout.columns.iter().map(String::as_str).filter(|column| !column.is_empty()).collect();
    let reason = format!(
        "nothing says what {{{name}}} is: give it in variables, with a default in the text ({{{name}|…}}), or as a column of the \
         file, which has {}",
        columns.join(", ")
    );
    Err(FieldError::new(format!("variables.{name}"), "missing_variable", reason))
}

/// A stretch of a file, from the beginning of a part on.
#[derive(Clone, Copy)]
pub(super) struct Stretch<'a> {
    pub bytes: &'a [u8],
    /// Whether the file ends with it.
    pub is_last: bool,
}

/// The rows of a chunk, and where the next begins.
pub(super) struct Weighed {
    pub rows: Vec<Row>,
    pub end: Place,
}

/// Weighs the next rows, as many as a chunk holds. There are none if the file ends there, or nothing can be made out
/// until more of it is at hand.
pub(super) async fn weigh_rows(
    cx: &Context,
    tenant: &TenantId,
    scales: &Scales<'_>,
    stretch: Stretch<'_>,
    from: Place,
    seen: &mut Seen,
    summary: &mut Summary,
) -> Result<Weighed, ContextError> {
    let Scales { recipe, terms, layout } = scales;
    let Stretch { bytes, is_last } = stretch;
    let mut candidates: Vec<Candidate> = Vec::new();
    let end = sheet::read(layout, bytes, from, is_last, MOST, &mut |line, fields| {
        candidates.push(match fields {
            Some(fields) => recipe.read(line, |column| fields.get(column)),
            None => Recipe::unreadable(line),
        });
    });
    let directory = Directory::of(cx, tenant, terms, &candidates).await?;
    let found = candidates.len();
    let rows = fill(recipe, candidates, |candidate| directory.known(terms, candidate), seen, summary);
    // What a chunk cannot hold is read again with the next.
    let end = if rows.len() < found { sheet::read(layout, bytes, from, is_last, rows.len(), &mut |_, _| {}) } else { end };
    Ok(Weighed { rows, end })
}

/// As many rows as a chunk holds, and at least one: what a row may take is bounded, and far less. One that has no room is
/// not counted.
fn fill<'k>(
    recipe: &Recipe<'_>,
    candidates: Vec<Candidate>,
    known: impl Fn(&Candidate) -> Known<'k>,
    seen: &mut Seen,
    summary: &mut Summary,
) -> Vec<Row> {
    let mut rows = Vec::with_capacity(candidates.len());
    let mut size = 0;
    for candidate in candidates {
        let known = known(&candidate);
        let judged = recipe.judge(candidate, known, seen);
        size += length(&judged.row);
        if size > campaigns::LARGEST_CHUNK && !rows.is_empty() {
            break;
        }
        recipe.count(&judged, seen, summary);
        rows.push(judged.row);
    }
    rows
}

/// What the table knows of those whom some rows are for.
struct Directory {
    contacts: HashMap<String, Contact>,
    /// Of the numbers that ever said anything.
    standings: HashMap<PhoneNumber, Standing>,
    /// Of bare numbers: whom they reach.
    at_numbers: HashMap<PhoneNumber, BTreeMap<String, Wishes>>,
}

impl Directory {
    /// Looks them up in batches. Whoever gets nothing anyway is not looked up.
    async fn of(cx: &Context, tenant: &TenantId, terms: &Terms, candidates: &[Candidate]) -> Result<Self, ContextError> {
        let table = cx.table().await?;
        let mut ids: Vec<&str> = Vec::new();
        let mut bare: Vec<&PhoneNumber> = Vec::new();
        for candidate in candidates {
            match &candidate.whom {
                Recipient::Number(number) if !candidate.is_refused() => bare.push(number),
                Recipient::Contact(id) => ids.push(id),
                Recipient::Number(_) | Recipient::Nobody(..) => {}
            }
        }
        let contacts = contacts::get_many(table, tenant, &ids).await?;
        let mut numbers = bare.clone();
        numbers.extend(contacts.values().filter_map(|contact| contact.number(terms.channel)));
        let (standings, at_numbers) =
            tokio::try_join!(consents::standings(table, tenant, &numbers), contacts::at_numbers(table, tenant, &bare))?;
        Ok(Self { contacts, standings, at_numbers })
    }

    fn known(&self, terms: &Terms, candidate: &Candidate) -> Known<'_> {
        let stops = |number: &PhoneNumber| self.standings.get(number).is_some_and(|standing| standing.stops(terms.category));
        match &candidate.whom {
            Recipient::Number(number) => {
                let mut wishes = self.at_numbers.get(number).into_iter().flat_map(BTreeMap::values);
                let is_unwanted = wishes.any(|wishes| wishes.opted_out || wishes.opted_out_categories.contains(&terms.category));
                Known { contact: None, opted_out: is_unwanted || stops(number) }
            }
            Recipient::Contact(id) => {
                let contact = self.contacts.get(id);
                let opted_out = contact.is_some_and(|contact| {
                    contact.opted_out
                        || contact.opted_out_categories.contains(&terms.category)
                        || contact.number(terms.channel).is_some_and(stops)
                });
                Known { contact, opted_out }
            }
            Recipient::Nobody(..) => Known::default(),
        }
    }
}

/// What is not text of a row's JSON is shorter.
const FRAME: usize = 80;

/// So many bytes of JSON a row is at most.
fn length(row: &Row) -> usize {
    let contact = row.contact.as_deref().map_or(0, in_json);
    let fate = match &row.fate {
        Fate::Goes { values, .. } => values.iter().map(|value| in_json(value)).sum::<usize>(),
        Fate::Excluded { detail, .. } => detail.as_deref().map_or(0, in_json),
    };
    FRAME + in_json(&row.to) + contact + fate
}

/// In quotes and with a comma.
fn in_json(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        0..=0x1f => 6,
        _ => 1,
    };
    text.bytes().map(escaped).sum::<usize>() + 3
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::campaign::Excluded;
    use crate::domain::campaign::layout::TextEncoding;
    use crate::domain::campaign::pizza_palace as settings;
    use crate::domain::channel::Channel;
    use crate::domain::contact::Category;
    use crate::domain::template::{NamedTemplate, Template};

    fn terms(text: &str, given: &[&str]) -> Terms {
        let text = NamedTemplate::new("", Category::Marketing, Template::parse(text).unwrap());
        Terms {
            channel: Channel::Sms,
            category: Category::Marketing,
            text,
            template: None,
            variables: given.iter().map(|name| (name.to_string(), "20% off".to_string())).collect(),
            media_urls: Vec::new(),
            phone_column: None,
            lapsed_after_days: None,
        }
    }

    fn layout(columns: &[&str], whom: Whom) -> Layout {
        let columns = columns.iter().map(ToString::to_string).collect();
        Layout { encoding: TextEncoding::Bytes, delimiter: b',', columns, whom }
    }

    const TODAY: Date = Date::constant(2026, 11, 24);

    #[test]
    fn a_file_that_fills_no_row_is_refused_with_what_it_has() {
        let settings = settings();
        let text = "Hi {customer_name}! {restaurant_name} has {offer} for you, {nick|friend}. Code {offer_code}.";
        let refused = |given: &[&str], whom| {
            let (terms, layout) = (terms(text, given), layout(&["firstname", "phone", "", "offercode"], whom));
            let scales = Scales::new(&settings, &terms, &layout, TODAY).map(|_| ());
            scales.err().map(|error| (error.field, error.reason))
        };

        let (field, reason) = refused(&["tone"], Whom::Number(1)).unwrap();
        assert_eq!(field, "variables.offer");
        assert!(reason.contains("firstname, phone, offercode"), "{reason}");
        assert_eq!(refused(&["Offer"], Whom::Number(1)), None);
        assert_eq!(refused(&[], Whom::Contact(1)), None);
    }

    #[test]
    fn a_chunk_fits_its_item_and_what_has_no_room_is_not_counted() {
        let (settings, terms, layout) = (settings(), terms("{note}", &[]), layout(&["phone", "note"], Whom::Number(0)));
        let recipe = Recipe::new(&settings, &terms, &layout, TODAY).unwrap();
        // Six bytes of JSON each.
        let note = format!("Hi{}", "\u{1}".repeat(1_500));
        let rows_of = |count: u32, seen: &mut Seen, summary: &mut Summary| {
            let read = |at: u32| {
                let number = format!("+1212555{at:04}");
                recipe.read(at, |column| if column == 0 { number.as_str() } else { note.as_str() })
            };
            fill(&recipe, (0..count).map(read).collect(), |_| Known::default(), seen, summary)
        };
        let (mut seen, mut summary) = (Seen::default(), Summary::default());

        let rows = rows_of(100, &mut seen, &mut summary);

        let json = serde_json::to_string(&rows).unwrap();
        assert!(json.len() <= campaigns::LARGEST_CHUNK && json.len() > campaigns::LARGEST_CHUNK - 15_000, "{}", json.len());
        assert_eq!((rows.len(), rows.len() < 100), (summary.going as usize, true));
        // Those that had room are known now; the next is not.
        let again = rows_of(rows.len() as u32 + 1, &mut seen, &mut summary);
        let goes: Vec<u32> = again.iter().filter(|row| row.units().is_some()).map(|row| row.line).collect();
        assert_eq!(goes, [rows.len() as u32]);
    }

    #[test]
    fn a_row_is_no_longer_than_it_is_taken_for() {
        let goes = |values: &[&str]| Row {
            line: u32::MAX,
            to: "+12125550161".into(),
            contact: Some("S\"1".into()),
            fate: Fate::Goes { values: values.iter().map(ToString::to_string).collect(), units: u32::MAX },
        };
        let excluded = |detail: Option<&str>| Row {
            line: u32::MAX,
            to: "call \u{1} me \\ \"now\"\n".into(),
            contact: None,
            fate: Fate::Excluded { why: Excluded::MissingVariable, detail: detail.map(str::to_string) },
        };
        for row in [goes(&[]), goes(&["Zoë", "", "\u{0}\u{1f}\t"]), excluded(None), excluded(Some("no value for \"offer\""))] {
            let json = serde_json::to_string(&row).unwrap();
            assert!(json.len() < length(&row) && length(&row) < json.len() + FRAME + 20, "{json}");
        }
    }
}
