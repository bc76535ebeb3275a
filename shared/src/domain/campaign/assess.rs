//! What becomes of each row: whom it is for, whether it gets the message, what that says and costs.
//!
//! A row is judged in steps, so that the table is asked about many at once: [`Recipe::read`] says whom it is for,
//! [`Recipe::judge`] decides by what is known of them, [`Recipe::count`] adds it to the rest. One reason is told, the
//! first of: whom it is for, the last order, who wants nothing, an earlier row to the same number, what the text lacks.

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::civil::Date;

use super::cells::{number, or_nothing, shortened};
use super::consent_columns::{Consent, consents};
use super::last_order::{Lapse, lapse};
use super::layout::{Layout, Whom};
use super::summary::Summary;
use super::{Excluded, Fate, Refusal, Row, Terms};
use crate::domain::channel::Channel;
use crate::domain::compose::{
    FieldError, LARGEST_VARIABLES, LONGEST_BODY, as_people_read, billed_units, is_visible, known_value,
};
use crate::domain::contact::{Contact, Number, attribute_key};
use crate::domain::direct::Direct;
use crate::domain::local_time::Zone;
use crate::domain::phone::PhoneNumber;
use crate::domain::policy;
use crate::domain::school_event::{LONGEST_ID, is_id};
use crate::domain::tenant::Settings;

/// Columns that stand for each other where the exact one is absent, the best first.
const NAMES: [&str; 4] = ["name", "customername", "fullname", "firstname"];

/// How the rows of a file are judged: what depends on no row is found out once.
pub struct Recipe<'a> {
    settings: &'a Settings,
    terms: &'a Terms,
    whom: Whom,
    /// Of the text, in its order.
    variables: Vec<Variable<'a>>,
    lapse: Option<Lapse>,
    consents: Vec<Consent>,
    /// As the messages have it, as far as it matters for what they are billed as.
    direct: Direct,
}

/// Where the value of one of the text's variables comes from.
struct Variable<'a> {
    /// By [`attribute_key`].
    key: String,
    column: Option<usize>,
    /// What stands for it in every row where the column has nothing.
    given: Option<&'a str>,
}

/// What a row says by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    pub line: u32,
    pub whom: Recipient,
    /// Of the text's variables, in their order; or what speaks against the row already.
    cells: Result<Vec<String>, Refusal>,
}

/// Whom a row is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Recipient {
    Number(PhoneNumber),
    /// By id.
    Contact(String),
    /// Why, and what stands there instead.
    Nobody(Excluded, String),
}

/// What the table knows of whom a row is for.
#[derive(Clone, Copy, Default)]
pub struct Known<'a> {
    /// Of a [`Recipient::Contact`], if there is one.
    pub contact: Option<&'a Contact>,
    /// The number, or the contact, wants nothing of the campaign's category.
    pub opted_out: bool,
}

/// The numbers that earlier rows go to, each with its line.
#[derive(Default)]
pub struct Seen(HashMap<u64, u32>);

impl Seen {
    pub fn new(known: impl IntoIterator<Item = (u64, u32)>) -> Self {
        Self(known.into_iter().collect())
    }

    /// What [`Seen::new`] needs of rows that are weighed: those that go.
    pub fn of_rows(rows: &[Row]) -> Vec<(u64, u32)> {
        let going = rows.iter().filter(|row| matches!(row.fate, Fate::Goes { .. }));
        going.map(|row| (digits(&row.to), row.line)).collect()
    }
}

/// The digits of a number in E.164: at most 17, the first not 0.
fn digits(e164: &str) -> u64 {
    let digits = e164.bytes().filter(u8::is_ascii_digit);
    digits.fold(0, |all, digit| all.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')))
}

/// A row that is judged, and not counted yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub row: Row,
    outcome: Result<Going, Excluded>,
}

/// What is counted of a row that goes.
#[derive(Clone, Debug, PartialEq)]
struct Going {
    number: PhoneNumber,
    body: String,
    units: u32,
}

/// What a row's message says, by which values of the text's variables, and what it is billed as.
struct Text {
    values: Vec<String>,
    body: String,
    units: u32,
}

impl<'a> Recipe<'a> {
    /// # Errors
    /// On `lapsedAfterDays`, if it asks for what the file does not have.
    pub fn new(settings: &'a Settings, terms: &'a Terms, layout: &'a Layout, today: Date) -> Result<Self, FieldError> {
        let variables = terms.text.text.variables().into_iter().map(|name| {
            let key = attribute_key(name);
            Variable { column: column(layout, &key), given: given(terms, name, &key), key }
        });
        Ok(Self {
            settings,
            terms,
            whom: layout.whom,
            variables: variables.collect(),
            lapse: lapse(settings, terms.lapsed_after_days, layout, today)?,
            consents: consents(layout, terms.category),
            direct: Direct { media_urls: terms.media_urls.clone(), ..Direct::of(terms.category) },
        })
    }

    /// The variables of the text that have a value in no row for a number: no column, nothing given, no default.
    pub fn unfilled(&self) -> Vec<&str> {
        let text = &self.terms.text.text;
        let names = text.variables();
        let source = |name: &str| {
            let (_, of) = names.iter().zip(&self.variables).find(|(known, _)| **known == name)?;
            let in_row = of.column.map(|_| "…");
            in_row.or(of.given).or_else(|| known_value(&of.key, self.settings, None))
        };
        text.missing(|name| source(name).map(Cow::Borrowed))
    }

    /// What a row says by itself. `field` gives a column's value, "" for none.
    pub fn read<'r>(&self, line: u32, field: impl Fn(usize) -> &'r str) -> Candidate {
        let field = |column: usize| or_nothing(field(column));
        let whom = match self.whom {
            Whom::Number(column) => match number(field(column), self.settings) {
                Ok(number) => Recipient::Number(number),
                Err(Refusal { why, detail }) => return Candidate::nobody(line, why, shortened(field(column)), detail),
            },
            Whom::Contact(column) => match field(column) {
                "" => return Candidate::nobody(line, Excluded::NoNumber, String::new(), Some("no contact given".into())),
                id if !is_id(id) => {
                    let detail = format!("there is no such contact: an id has at most {LONGEST_ID} bytes");
                    return Candidate::nobody(line, Excluded::UnknownContact, shortened(id), Some(detail));
                }
                id => Recipient::Contact(id.to_string()),
            },
        };
        let late = self.lapse.as_ref().and_then(|lapse| lapse.refusal(field(lapse.column), &self.settings.time_zone));
        let refusal = late.or_else(|| self.consents.iter().find_map(|consent| consent.refusal(field(consent.column))));
        let cell = |variable: &Variable<'_>| variable.column.map(|column| field(column).to_string()).unwrap_or_default();
        let cells = match refusal {
            Some(refusal) => Err(refusal),
            None => Ok(self.variables.iter().map(cell).collect()),
        };
        Candidate { line, whom, cells }
    }

    /// A row that cannot be made out.
    pub fn unreadable(line: u32) -> Candidate {
        Candidate::nobody(line, Excluded::Unreadable, String::new(), None)
    }

    /// What becomes of a row, by what the table knows of whom it is for. Adds it to `summary`, and to `seen` if it goes.
    pub fn weigh(&self, candidate: Candidate, known: Known<'_>, seen: &mut Seen, summary: &mut Summary) -> Row {
        let judged = self.judge(candidate, known, seen);
        self.count(&judged, seen, summary);
        judged.row
    }

    /// What becomes of a row, by what the table knows of whom it is for, and by the rows that were counted before it.
    pub fn judge(&self, candidate: Candidate, known: Known<'_>, seen: &Seen) -> Judged {
        let Candidate { line, whom, cells } = candidate;
        let (to, contact, judged) = match whom {
            Recipient::Nobody(why, written) => (written, None, Err(cells.err().unwrap_or(Refusal { why, detail: None }))),
            Recipient::Number(number) => {
                let text = self.text(&number, cells, known, seen);
                (number.e164().to_string(), None, text.map(|text| (number, text)))
            }
            Recipient::Contact(id) => match number_of(known.contact, self.terms.channel) {
                Ok(number) => {
                    let text = self.text(number, cells, known, seen);
                    (number.e164().to_string(), Some(id), text.map(|text| (number.clone(), text)))
                }
                Err((written, refusal)) => (written, Some(id), Err(refusal)),
            },
        };
        let (fate, outcome) = match judged {
            Ok((number, Text { values, body, units })) => (Fate::Goes { values, units }, Ok(Going { number, body, units })),
            Err(Refusal { why, detail }) => (Fate::Excluded { why, detail }, Err(why)),
        };
        Judged { row: Row { line, to, contact, fate }, outcome }
    }

    /// Adds a row to `summary`, and to `seen` if it goes.
    pub fn count(&self, judged: &Judged, seen: &mut Seen, summary: &mut Summary) {
        let (channel, line) = (self.terms.channel, judged.row.line);
        match &judged.outcome {
            Ok(Going { number, body, units }) => {
                summary.go(line, body, channel, number, *units, self.settings.price(channel, number));
                seen.0.insert(digits(number.e164()), line);
            }
            Err(why) => summary.exclude(*why),
        }
    }

    fn text(
        &self,
        number: &PhoneNumber,
        cells: Result<Vec<String>, Refusal>,
        known: Known<'_>,
        seen: &Seen,
    ) -> Result<Text, Refusal> {
        let cells = cells?;
        if known.opted_out {
            return Err(Refusal { why: Excluded::OptedOut, detail: None });
        }
        if let Some(first) = seen.0.get(&digits(number.e164())) {
            return Err(Refusal::new(Excluded::Duplicate, format!("the same number as line {first}")));
        }
        let values = self.values(cells, known.contact);
        let size: usize = values.iter().map(String::len).sum();
        if size > LARGEST_VARIABLES {
            let detail = format!("the values have {size} bytes together, at most {LARGEST_VARIABLES}");
            return Err(self.missing(&values).unwrap_or_else(|| Refusal::new(Excluded::TooLong, detail)));
        }
        let Ok(said) = self.terms.say(&values) else {
            return Err(self.missing(&values).unwrap_or(Refusal { why: Excluded::MissingVariable, detail: None }));
        };
        let Terms { channel, media_urls, .. } = self.terms;
        if media_urls.is_empty() && !said.body.chars().any(is_visible) {
            return Err(Refusal::new(Excluded::MissingVariable, "the message would be empty"));
        }
        // No character has more units than bytes.
        if said.body.len() > LONGEST_BODY {
            let length = said.body.encode_utf16().count();
            if length > LONGEST_BODY {
                let detail = format!("{length} characters, at most {LONGEST_BODY}; emoji count as two");
                return Err(Refusal::new(Excluded::TooLong, detail));
            }
        }
        let units = billed_units(*channel, &said.body, Some(&self.direct));
        Ok(Text { values, body: said.body, units })
    }

    /// What fills the text: the row's own, else what every row gets, else what is known of the contact.
    fn values(&self, cells: Vec<String>, contact: Option<&Contact>) -> Vec<String> {
        let settings = self.settings;
        let zone = contact.map_or(&settings.time_zone, |contact| policy::zone(settings, contact));
        let filled = self.variables.iter().zip(cells);
        filled.map(|(variable, cell)| variable.value(&cell, settings, contact, zone).into_owned()).collect()
    }

    /// Names every variable without a value, not only the first (D2).
    fn missing(&self, values: &[String]) -> Option<Refusal> {
        let text = &self.terms.text.text;
        let names = text.variables();
        let value = |name: &str| {
            let at = names.iter().position(|known| *known == name)?;
            values.get(at).map(|value| Cow::Borrowed(value.as_str()))
        };
        let missing = text.missing(value);
        let detail = || format!("no value for {}", missing.join(", "));
        (!missing.is_empty()).then(|| Refusal::new(Excluded::MissingVariable, detail()))
    }
}

impl Candidate {
    /// Whether it gets nothing, whatever is known of its number.
    pub fn is_refused(&self) -> bool {
        self.cells.is_err()
    }

    fn nobody(line: u32, why: Excluded, written: String, detail: Option<String>) -> Self {
        Self { line, whom: Recipient::Nobody(why, written), cells: Err(Refusal { why, detail }) }
    }
}

impl<'a> Variable<'a> {
    /// Empty for none. Dates and times read as in a single message.
    fn value<'v>(&self, cell: &'v str, settings: &'v Settings, contact: Option<&'v Contact>, zone: &Zone) -> Cow<'v, str>
    where
        'a: 'v,
    {
        match (cell, self.given) {
            ("", None) if self.column.is_none() => Cow::Borrowed(known_value(&self.key, settings, contact).unwrap_or_default()),
            ("", None) => Cow::Borrowed(""),
            ("", Some(given)) => as_people_read(&self.key, given, None, zone),
            (cell, _) => as_people_read(&self.key, cell, None, zone),
        }
    }
}

fn column(layout: &Layout, key: &str) -> Option<usize> {
    let named = |key: &str| layout.columns.iter().position(|known| known == key);
    let exact = named(key);
    if exact.is_some() || !NAMES.contains(&key) {
        return exact;
    }
    NAMES.into_iter().find_map(named)
}

/// What the terms say for a variable: under its very name, else under one that is written a little differently.
fn given<'a>(terms: &'a Terms, name: &str, key: &str) -> Option<&'a str> {
    let alike = || terms.variables.iter().find(|(known, _)| attribute_key(known) == key).map(|(_, value)| value);
    terms.variables.get(name).or_else(alike).map(String::as_str).filter(|value| !value.is_empty())
}

/// The number at which `channel` reaches a contact.
///
/// # Errors
/// What stands there instead, and why nobody is reached.
fn number_of(contact: Option<&Contact>, channel: Channel) -> Result<&PhoneNumber, (String, Refusal)> {
    let Some(contact) = contact else {
        return Err((String::new(), Refusal::new(Excluded::UnknownContact, "there is no such contact")));
    };
    match contact.number_given(channel) {
        Number::Usable(number) => Ok(number),
        Number::Unusable(given) => {
            Err((shortened(given), Refusal::new(Excluded::InvalidNumber, "the contact's number is no usable one")))
        }
        Number::Absent => Err((String::new(), Refusal::new(Excluded::NoNumber, "the contact has no number"))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::cells::LONGEST_QUOTE;
    use super::super::layout::TextEncoding;
    use super::super::pizza_palace as settings;
    use super::*;
    use crate::domain::contact::Category;
    use crate::domain::template::{NamedTemplate, Template};

    const TODAY: Date = Date::constant(2026, 11, 24);

    fn terms(text: &str) -> Terms {
        let text = NamedTemplate::new("", Category::Marketing, Template::parse(text).unwrap());
        Terms {
            channel: Channel::Sms,
            category: Category::Marketing,
            text,
            template: None,
            variables: BTreeMap::new(),
            media_urls: Vec::new(),
            phone_column: None,
            lapsed_after_days: None,
        }
    }

    fn with(name: &str, value: &str, terms: Terms) -> Terms {
        Terms { variables: BTreeMap::from([(name.to_string(), value.to_string())]), ..terms }
    }

    fn layout(columns: &[&str], whom: Whom) -> Layout {
        let columns = columns.iter().map(|name| attribute_key(name)).collect();
        Layout { encoding: TextEncoding::Bytes, delimiter: b',', columns, whom }
    }

    /// The rows of a file whose first column is the number; the first is in line 2.
    fn weighed(terms: &Terms, columns: &[&str], rows: &[&[&str]]) -> (Vec<Row>, Summary) {
        let (settings, layout) = (settings(), layout(columns, Whom::Number(0)));
        let recipe = Recipe::new(&settings, terms, &layout, TODAY).unwrap();
        let (mut seen, mut summary) = (Seen::default(), Summary::default());
        let weigh = |(line, cells): (u32, &&[&str])| {
            let candidate = recipe.read(line, |column| cells.get(column).copied().unwrap_or_default());
            recipe.weigh(candidate, Known::default(), &mut seen, &mut summary)
        };
        let rows = (2..).zip(rows).map(weigh).collect();
        (rows, summary)
    }

    fn values(row: &Row) -> Vec<&str> {
        match &row.fate {
            Fate::Goes { values, .. } => values.iter().map(String::as_str).collect(),
            Fate::Excluded { why, detail } => panic!("{why:?}: {detail:?}"),
        }
    }

    fn why(row: &Row) -> Option<(Excluded, &str)> {
        match &row.fate {
            Fate::Goes { .. } => None,
            Fate::Excluded { why, detail } => Some((*why, detail.as_deref().unwrap_or_default())),
        }
    }

    #[test]
    fn a_list_of_customers_gets_the_win_back_text() {
        let text = "Hi {customer_name}! We miss you at {restaurant_name}! {offer}";
        let terms = with("offer", "20% off!", terms(text));
        let columns = ["phone_number", "customer_name", "last_order_date"]; // S2-16

        let (rows, summary) = weighed(
            &terms,
            &columns,
            &[
                &["+1234567890", "John Doe", "2026-10-25"], // S2-17, S2-19
                &["1987654321", "Jane Smith", "2026-10-26"],
                &["1234567890", "Ann", "2026-01-15"],
                &["(123) 456-7891", "Bob", "2026-01-15"],
                &["123-456-7892", "Eve", ""],
                &["call the office", "Joe", "2026-01-15"],
            ],
        );

        let to: Vec<&str> = rows.iter().map(|row| row.to.as_str()).collect();
        assert_eq!(to[..3], ["+1234567890", "+11987654321", "+11234567890"]); // S2-18
        assert_eq!(to[3..], ["+11234567891", "+11234567892", "call the office"]); // S2-20, S2-21
        assert_eq!(values(&rows[0]), ["John Doe", "Pizza Palace", "20% off!"]);
        assert_eq!(terms.say(&values(&rows[0])).unwrap().body, "Hi John Doe! We miss you at Pizza Palace! 20% off!"); // S2-22
        // 30 days ago is lapsed, 29 is not: D11, S2-15.
        assert_eq!(why(&rows[1]), Some((Excluded::NotLapsed, "last order on 2026-10-26")));
        assert_eq!(why(&rows[4]), Some((Excluded::UnknownDate, "no date of the last order")));
        assert_eq!(why(&rows[5]), Some((Excluded::InvalidNumber, "not a phone number")));
        assert_eq!((summary.rows, summary.going, summary.units, summary.doubtful), (6, 3, 3, 3)); // D1
        let excluded = [(Excluded::InvalidNumber, 1), (Excluded::NotLapsed, 1), (Excluded::UnknownDate, 1)];
        assert_eq!(summary.excluded, BTreeMap::from(excluded));
        assert_eq!(summary.cost.to_string(), "0.0225"); // S2-45
    }

    #[test]
    fn a_value_is_the_rows_own_then_everybodys_then_the_tenants() {
        let text = "{customer_name|friend} {tenant} {offer|} {visit_date}";
        let terms = with("Customer-Name", "you", terms(text));
        let rows: [&[&str]; 2] = [&["+12125550161", "Ana", "2026-03-05", ""], &["+12125550162", "", "soon", "10%"]];

        let (own, _) = weighed(&terms, &["phone", "Full Name", "VisitDate", "offer"], &rows);
        let (column_of_tenant, _) = weighed(&terms, &["phone", "tenant", "visit date"], &rows);

        // A date reads as in a single message (S3-50); what is empty falls back.
        assert_eq!(values(&own[0]), ["Ana", "Pizza Palace", "", "March 05, 2026"]);
        assert_eq!(values(&own[1]), ["you", "Pizza Palace", "10%", "soon"]);
        assert_eq!(values(&column_of_tenant[0]), ["you", "Ana", "", "March 05, 2026"]);
        assert_eq!(why(&column_of_tenant[1]), Some((Excluded::MissingVariable, "no value for tenant")));
    }

    #[test]
    fn a_column_of_its_very_name_goes_before_one_like_it() {
        let columns = ["first_name", "name", "customer_name"];
        for (variable, at) in [("first_name", 0), ("firstname", 0), ("name", 1), ("CustomerName", 2), ("full_name", 1)] {
            assert_eq!(column(&layout(&columns, Whom::Number(0)), &attribute_key(variable)), Some(at), "{variable}");
        }
        assert_eq!(column(&layout(&["first_name", "fullname"], Whom::Number(0)), "customername"), Some(1));
        assert_eq!(column(&layout(&columns, Whom::Number(0)), "nickname"), None);
    }

    #[test]
    fn every_row_is_accounted_for_by_its_first_reason() {
        let long = "x".repeat(1601);
        let emoji = "😀".repeat(801);
        let rows: [&[&str]; 10] = [
            &["", "Ana", "a"],
            &["555", "Ana", "a"],
            &["+1 212 555 0161", "", "a"], // does not go, so its number is still free
            &["(212) 555-0161", "Ana", "a"],
            &["whatsapp:+12125550161", "Bob", ""],
            &["2125550162", "", ""],
            &["2125550163", "Cyd", &long],
            &["2125550164", "Cyd", &emoji],
            &["2125550165", "Cyd", &long[..1596]],
            &["an answering machine that speaks for a long, long time", "Dan", "a"],
        ];

        let (planned, summary) = weighed(&terms("{name} {note|}{offer}"), &["phone", "name", "offer"], &rows);

        let reasons: Vec<_> = planned.iter().map(why).collect();
        assert_eq!(reasons[0], Some((Excluded::NoNumber, "no number given")));
        assert_eq!(reasons[1].unwrap().0, Excluded::InvalidNumber);
        assert_eq!(reasons[2], Some((Excluded::MissingVariable, "no value for name")));
        assert_eq!(reasons[3], None);
        assert_eq!(reasons[4], Some((Excluded::Duplicate, "the same number as line 5")));
        assert_eq!(reasons[5], Some((Excluded::MissingVariable, "no value for name, offer")));
        assert_eq!(reasons[6], Some((Excluded::TooLong, "1605 characters, at most 1600; emoji count as two")));
        assert_eq!(reasons[7], Some((Excluded::TooLong, "1606 characters, at most 1600; emoji count as two")));
        assert_eq!(reasons[8], None); // D10
        assert_eq!(planned[9].to, "an answering machine that speaks for a l");
        assert_eq!((planned[1].to.as_str(), planned[2].to.as_str()), ("555", "+12125550161"));
        assert_eq!(summary.going + summary.excluded.values().sum::<u32>(), 10);
    }

    #[test]
    fn what_a_row_is_billed_as_is_what_its_text_takes() {
        let [one, two, accents] = ["a".repeat(160), "a".repeat(161), "é".repeat(160)];
        let rows: [&[&str]; 3] = [&["+12125550161", &one], &["+12125550162", &two], &["+447700900117", &accents]];

        let (sms, summary) = weighed(&terms("{text}"), &["phone", "text"], &rows);
        let mms = Terms { channel: Channel::Mms, media_urls: vec!["https://a.example/b.png".into()], ..terms("{text}") };
        let (mms, of_mms) = weighed(&mms, &["phone", "text"], &rows);

        assert_eq!(sms.iter().map(Row::units).collect::<Vec<_>>(), [Some(1), Some(2), Some(1)]);
        assert_eq!((summary.units, summary.by_units, summary.cost.0), (4, BTreeMap::from([(1, 2), (2, 1)]), 3 * 7_500 + 50_000));
        assert_eq!((summary.north_american, summary.going), (2, 3));
        assert_eq!(mms.iter().map(Row::units).collect::<Vec<_>>(), [Some(1); 3]);
        assert_eq!(of_mms.units, 3);
    }

    #[test]
    fn what_programs_write_for_nothing_is_nothing() {
        let terms = with("offer", "10%", terms("Hi {name|friend}: {offer}"));
        for nothing in ["NULL", "null", "nan", "NaN", "#N/A", "N/A", "n/a", "None", "-"] {
            let rows: [&[&str]; 3] = [
                &["+12125550161", nothing, nothing, "2026-01-15"],
                &[nothing, "Ana", "", "2026-01-15"],
                &["+12125550162", "Nan", "", nothing],
            ];
            let (rows, _) = weighed(&terms, &["phone", "name", "offer", "last_order_date"], &rows);

            assert_eq!(values(&rows[0]), ["", "10%"], "{nothing}");
            assert_eq!((why(&rows[1]), rows[1].to.as_str()), (Some((Excluded::NoNumber, "no number given")), ""));
            assert_eq!(why(&rows[2]), Some((Excluded::UnknownDate, "no date of the last order")));
        }
        let (rows, _) = weighed(&terms, &["phone", "name"], &[&["+12125550161", "Nan"]]);
        assert_eq!(values(&rows[0]), ["Nan", "10%"]);
    }

    #[test]
    fn who_wants_nothing_comes_after_the_date_and_before_the_same_number() {
        let columns = ["phone", "last_order_date", "opted_out"];
        let rows: [&[&str]; 4] = [
            &["+12125550161", "2026-01-15", ""],
            &["+12125550161", "2026-01-15", "yes"],
            &["+12125550161", "2026-11-23", "yes"],
            &["12", "2026-01-15", "yes"],
        ];
        let (rows, _) = weighed(&terms("Hi"), &columns, &rows);

        let reasons: Vec<_> = rows.iter().map(|row| why(row).map(|(why, _)| why)).collect();
        let (out, late, bad) = (Excluded::OptedOut, Excluded::NotLapsed, Excluded::InvalidNumber);
        assert_eq!(reasons, [None, Some(out), Some(late), Some(bad)]);
    }

    #[test]
    fn no_cell_is_too_long_to_be_stored() {
        let long = "x".repeat(60_000);
        let rows: [&[&str]; 3] = [&["+12125550161", "Ana", &long], &["+12125550161", "", &long], &[&long, "Ana", ""]];
        let (rows, _) = weighed(&terms("Hi {name} {note|}"), &["phone", "name", "note"], &rows);
        assert_eq!(why(&rows[0]), Some((Excluded::TooLong, "the values have 60003 bytes together, at most 16000")));
        assert_eq!(why(&rows[1]), Some((Excluded::MissingVariable, "no value for name")));
        assert_eq!((why(&rows[2]).unwrap().0, rows[2].to.len()), (Excluded::InvalidNumber, LONGEST_QUOTE));

        let (settings, terms, layout) = (settings(), terms("Hi"), layout(&["contact_id"], Whom::Contact(0)));
        let recipe = Recipe::new(&settings, &terms, &layout, TODAY).unwrap();
        let weigh = |id: &str| {
            let candidate = recipe.read(2, |_| id);
            recipe.weigh(candidate, Known::default(), &mut Seen::default(), &mut Summary::default())
        };
        let row = weigh(&long);
        assert_eq!((row.to.len(), &row.contact, why(&row).unwrap().0), (LONGEST_QUOTE, &None, Excluded::UnknownContact));
        assert_eq!(weigh(&long[..LONGEST_ID]).contact.unwrap().len(), LONGEST_ID);
    }

    #[test]
    fn a_row_counts_once_it_is_counted() {
        let (settings, terms, layout) = (settings(), terms("Hi"), layout(&["phone"], Whom::Number(0)));
        let recipe = Recipe::new(&settings, &terms, &layout, TODAY).unwrap();
        let (mut seen, mut summary) = (Seen::default(), Summary::default());
        let judge = |seen: &Seen| recipe.judge(recipe.read(2, |_| "+12125550161"), Known::default(), seen);

        let judged = judge(&seen);
        assert_eq!((judge(&seen) == judged, summary.rows), (true, 0));
        recipe.count(&judged, &mut seen, &mut summary);

        assert_eq!(why(&judge(&seen).row).unwrap().0, Excluded::Duplicate);
        assert_eq!((summary.rows, summary.going), (1, 1));
    }

    #[test]
    fn a_message_that_says_nothing_does_not_go() {
        let (rows, _) = weighed(&terms("{text}"), &["phone", "text"], &[&["+12125550161", "\u{200b} "]]);

        assert_eq!(why(&rows[0]), Some((Excluded::MissingVariable, "the message would be empty")));
    }

    #[test]
    fn a_contact_is_reached_at_the_number_of_the_channel() {
        let number = PhoneNumber::from_e164("+12125550161").unwrap();
        let ana = Contact {
            id: "S1".into(),
            name: "Ana".into(),
            attributes: BTreeMap::from([("nick".to_string(), "Annie".to_string())]),
            whatsapp: Number::Unusable("ask at the desk".into()),
            ..Contact::unknown(number)
        };
        let nobody = Contact { phone: Number::Absent, ..ana.clone() };
        let settings = settings();
        let weigh = |channel: Channel, known: Known<'_>| {
            let terms = Terms { channel, ..terms("{name}, {nick|} {school_name}") };
            let layout = layout(&["contact_id"], Whom::Contact(0));
            let recipe = Recipe::new(&settings, &terms, &layout, TODAY).unwrap();
            let candidate = recipe.read(7, |_| "S1");
            assert_eq!(candidate.whom, Recipient::Contact("S1".into()));
            recipe.weigh(candidate, known, &mut Seen::default(), &mut Summary::default())
        };
        let known = |contact| Known { contact: Some(contact), opted_out: false };

        let row = weigh(Channel::Sms, known(&ana));
        assert_eq!((row.to.as_str(), row.contact.as_deref(), row.line), ("+12125550161", Some("S1"), 7));
        assert_eq!(values(&row), ["Ana", "Annie", "Pizza Palace"]);
        let row = weigh(Channel::Whatsapp, known(&ana));
        assert_eq!((row.to.as_str(), why(&row).unwrap().0), ("ask at the desk", Excluded::InvalidNumber));
        assert_eq!(why(&weigh(Channel::Sms, known(&nobody))).unwrap().0, Excluded::NoNumber);
        let row = weigh(Channel::Sms, Known::default());
        assert_eq!((row.contact.as_deref(), why(&row).unwrap().0), (Some("S1"), Excluded::UnknownContact));
        let out = Known { contact: Some(&ana), opted_out: true };
        assert_eq!(why(&weigh(Channel::Sms, out)).unwrap().0, Excluded::OptedOut);
    }

    #[test]
    fn a_resumed_campaign_knows_which_numbers_went() {
        let rows: [&[&str]; 3] = [&["+12125550161"], &["+12125550161"], &["+447700900117"]];
        let (planned, _) = weighed(&terms("Hi"), &["phone"], &rows);
        let known = Seen::of_rows(&planned);
        assert_eq!(known, [(12_125_550_161, 2), (447_700_900_117, 4)]);

        let (settings, terms, layout) = (settings(), terms("Hi"), layout(&["phone"], Whom::Number(0)));
        let recipe = Recipe::new(&settings, &terms, &layout, TODAY).unwrap();
        let again = recipe.read(9, |_| "+44 7700 900117");
        let row = recipe.weigh(again, Known::default(), &mut Seen::new(known), &mut Summary::default());

        assert_eq!(why(&row), Some((Excluded::Duplicate, "the same number as line 4")));
    }

    #[test]
    fn an_unreadable_row_is_counted() {
        let (settings, terms, layout) = (settings(), terms("Hi"), layout(&["phone"], Whom::Number(0)));
        let recipe = Recipe::new(&settings, &terms, &layout, TODAY).unwrap();
        let mut summary = Summary::default();

        let row = recipe.weigh(Recipe::unreadable(3), Known::default(), &mut Seen::default(), &mut summary);

        assert_eq!((row.line, why(&row)), (3, Some((Excluded::Unreadable, ""))));
        assert_eq!((summary.rows, summary.excluded[&Excluded::Unreadable]), (1, 1));
    }
}
