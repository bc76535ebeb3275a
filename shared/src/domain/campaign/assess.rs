//! What becomes of each row: whom it is for, whether it gets the message, what that says and costs.
//!
//! A row is judged in steps, so that the table is asked about many at once: [`Recipe::read`] says whom it is for,
//! [`Recipe::judge`] decides by what is known of them, [`Recipe::count`] adds it to the rest. One reason is told, the
//! first of: whom it is for, the last order, who wants nothing, an earlier row to the same number, what the text lacks.

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::Timestamp;
use jiff::civil::Date;

use super::layout::{Layout, Whom};
use super::summary::Summary;
use super::{Excluded, Fate, Row, Terms};
use crate::domain::channel::Channel;
use crate::domain::compose::{
    FieldError, LARGEST_VARIABLES, LONGEST_BODY, as_people_read, billed_units, is_visible, known_value,
};
use crate::domain::consent::normalised;
use crate::domain::contact::{Category, Contact, Number, attribute_key};
use crate::domain::direct::Direct;
use crate::domain::local_time::Zone;
use crate::domain::phone::{PhoneError, PhoneNumber};
use crate::domain::policy;
use crate::domain::school_event::{LONGEST_ID, is_id};
use crate::domain::tenant::Settings;

/// Columns that stand for each other where the exact one is absent, the best first.
const NAMES: [&str; 4] = ["name", "customername", "fullname", "firstname"];
/// The columns of the last order as [`plain`] has them, the best first (S2-16).
const LAST_ORDER: &[&str] = &[
    "lastorderdate",
    "dateoflastorder",
    "lastorder",
    "lastorderat",
    "lastorderon",
    "lastordered",
    "lastorderedat",
    "lastorderedon",
    "mostrecentorderdate",
    "mostrecentorder",
    "latestorderdate",
    "latestorder",
    "lastvisit",
    "lastvisitdate",
    "lastvisitat",
    "lastvisiton",
    "lastvisited",
    "lastvisitedat",
    "dateoflastvisit",
    "mostrecentvisit",
    "lastpurchase",
    "lastpurchasedate",
    "lastpurchaseat",
    "lastpurchaseon",
    "lastpurchased",
    "lastpurchasedat",
    "lastpurchasedon",
    "dateoflastpurchase",
    "mostrecentpurchase",
    "mostrecentpurchasedate",
    "lasttransaction",
    "lasttransactiondate",
    "lasttransactionat",
    "lasttransactionon",
    "lastsale",
    "lastsaledate",
    "lastbooking",
    "lastbookingdate",
    "lastreservation",
    "lastreservationdate",
    "lastappointment",
    "lastappointmentdate",
    "lastseen",
    "lastseenat",
    "lastseenon",
    // German.
    "letztebestellung",
    "letztesbestelldatum",
    "datumletztebestellung",
    "datumderletztenbestellung",
    "letzterauftrag",
    "letzterkauf",
    "letztereinkauf",
    "letzterbesuch",
    "letztebuchung",
    "letztereservierung",
    // French.
    "dernierecommande",
    "datedernierecommande",
    "datededernierecommande",
    "datedeladernierecommande",
    "dernierachat",
    "datedernierachat",
    "datedudernierachat",
    "dernierevisite",
    "datedernierevisite",
    "datedeladernierevisite",
    "dernierereservation",
    // Spanish; Italian and Portuguese share some.
    "ultimopedido",
    "fechaultimopedido",
    "fechadelultimopedido",
    "fechadeultimopedido",
    "ultimacompra",
    "fechaultimacompra",
    "fechadelaultimacompra",
    "fechadeultimacompra",
    "ultimavisita",
    "fechaultimavisita",
    "fechadelaultimavisita",
    "ultimareserva",
    // Italian.
    "ultimoordine",
    "dataultimoordine",
    "datadellultimoordine",
    "ultimoacquisto",
    "dataultimoacquisto",
    "datadellultimoacquisto",
    "dataultimavisita",
    "ultimaprenotazione",
    // Portuguese.
    "dataultimopedido",
    "datadoultimopedido",
    "ultimaencomenda",
    "dataultimacompra",
    "datadaultimacompra",
    "datadaultimavisita",
    // Dutch.
    "laatstebestelling",
    "datumlaatstebestelling",
    "laatstebesteldatum",
    "laatsteorder",
    "laatsteaankoop",
    "datumlaatsteaankoop",
    "laatstebezoek",
    "datumlaatstebezoek",
    "laatstereservering",
    "laatsteboeking",
];
/// Columns that say who wants nothing at all.
const OPTED_OUT: &[&str] = &[
    "opted_out",
    "opt_out",
    "sms_opted_out",
    "sms_opt_out",
    "unsubscribed",
    "sms_unsubscribed",
    "do_not_text",
    "do_not_sms",
    "do_not_message",
    "do_not_contact",
    "dnd",
];
/// Columns that say who agreed to advertising. Those of e-mail alone are not among them.
const AGREED: &[&str] = &[
    "accepts_sms_marketing",
    "sms_marketing",
    "sms_marketing_consent",
    "sms_marketing_status",
    "marketing_consent",
    "sms_consent",
    "text_consent",
    "consent",
    "opted_in",
    "opt_in",
    "sms_opted_in",
    "sms_opt_in",
    "marketing_opt_in",
    "subscribed",
    "sms_subscribed",
    "accepts_sms",
    "accepts_marketing",
];
/// The column of what somebody wants nothing of.
const OPTED_OUT_CATEGORIES: &str = "opted_out_categories";
const YES: &[&str] = &["yes", "y", "true", "t", "1", "1.0", "on", "x", "ja", "oui", "si", "sí", "sim", "wahr", "vrai", "vero"];
const NO: &[&str] = &["no", "n", "false", "f", "0", "0.0", "off", "nein", "nee", "non", "nao", "não", "falsch", "faux", "falso"];
/// No, whatever was asked.
const UNSUBSCRIBED: &[&str] = &["unsubscribed", "opted out", "opted_out", "opted-out", "optedout"];
/// Fewer digits are no number.
const FEWEST_DIGITS: usize = 7;
/// From then on somebody counts as lapsed who ordered so many days ago (D11).
const LAPSED_AFTER_DAYS: u32 = 30;
/// So much of what a row has instead of a number is kept, in characters.
const LONGEST_QUOTE: usize = 40;

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

/// Only those go whose last order is long enough ago (S2-15).
struct Lapse {
    column: usize,
    after_days: u32,
    today: Date,
    /// Whether `3/5/2026` is in March.
    is_american: bool,
}

/// A column that says who wants nothing.
struct Consent {
    column: usize,
    /// As people are told of it.
    name: &'static str,
    says: Says,
}

/// What a column of consent says.
#[derive(Clone, Copy)]
enum Says {
    OptedOut,
    Agreed,
    /// A list of what somebody wants nothing of; this category matters.
    Without(Category),
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

/// Why a row gets nothing.
#[derive(Clone, Debug, PartialEq)]
struct Refusal {
    why: Excluded,
    detail: Option<String>,
}

impl Refusal {
    fn new(why: Excluded, detail: impl Into<String>) -> Self {
        Self { why, detail: Some(detail.into()) }
    }
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
            lapse: lapse(settings, terms, layout, today)?,
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

impl Lapse {
    /// What the last order speaks against, by the day of it that is written in a row.
    fn refusal(&self, written: &str, zone: &Zone) -> Option<Refusal> {
        if written.is_empty() {
            return Some(Refusal::new(Excluded::UnknownDate, "no date of the last order"));
        }
        let Some(day) = day(written, self.is_american, zone, self.today) else {
            let detail = format!("'{}' is no date such as 2026-11-24", shortened(written));
            return Some(Refusal::new(Excluded::UnknownDate, detail));
        };
        let ago = (self.today - day).get_days();
        let is_lapsed = i64::from(ago) >= i64::from(self.after_days);
        (!is_lapsed).then(|| Refusal::new(Excluded::NotLapsed, format!("last order on {day}")))
    }
}

impl Consent {
    /// What a cell of the column speaks against. An empty one and an unknown word say nothing.
    fn refusal(&self, cell: &str) -> Option<Refusal> {
        let is_any = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(cell));
        let is_out = match self.says {
            Says::OptedOut => is_any(YES) || is_any(UNSUBSCRIBED),
            Says::Agreed => is_any(NO) || is_any(UNSUBSCRIBED),
            Says::Without(category) => cell.split([';', '|', ',']).any(|name| Category::parse(name.trim()) == Some(category)),
        };
        is_out.then(|| Refusal::new(Excluded::OptedOut, format!("{} says '{}'", self.name, shortened(cell))))
    }
}

/// The columns that say who wants nothing of `category`. Whether somebody agreed matters for advertising alone.
fn consents(layout: &Layout, category: Category) -> Vec<Consent> {
    let columns: Vec<String> = layout.columns.iter().map(|column| plain(column)).collect();
    let agreed = if category == Category::Marketing { AGREED } else { &[] };
    let all = OPTED_OUT.iter().map(|name| (*name, Says::OptedOut));
    let all = all.chain([(OPTED_OUT_CATEGORIES, Says::Without(category))]);
    let all = all.chain(agreed.iter().map(|name| (*name, Says::Agreed)));
    let found = all.filter_map(|(name, says)| {
        let key = plain(name);
        let column = columns.iter().position(|known| *known == key)?;
        Some(Consent { column, name, says })
    });
    found.collect()
}

/// The name of a column in letters and digits alone, without case and accents.
fn plain(name: &str) -> String {
    normalised(name).replace(' ', "")
}

/// # Errors
/// The file has no column of the last order, though somebody asked for those who lapsed.
fn lapse(settings: &Settings, terms: &Terms, layout: &Layout, today: Date) -> Result<Option<Lapse>, FieldError> {
    let columns: Vec<String> = layout.columns.iter().map(|column| plain(column)).collect();
    let column = LAST_ORDER.iter().find_map(|key| columns.iter().position(|known| known.as_str() == *key));
    let after_days = match (terms.lapsed_after_days, column) {
        (Some(0), _) | (None, None) => return Ok(None),
        (Some(days), _) => days,
        (None, Some(_)) => LAPSED_AFTER_DAYS,
    };
    let Some(column) = column else {
        let reason = "the file has no column of the last order: call it last_order_date, or leave lapsedAfterDays out";
        return Err(FieldError::new("lapsedAfterDays", "no_such_column", reason));
    };
    let is_american = String::from(settings.default_region.clone()) == "US";
    Ok(Some(Lapse { column, after_days, today, is_american }))
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

fn shortened(text: &str) -> String {
    text.chars().take(LONGEST_QUOTE).collect()
}

/// A cell, or nothing if that is what programs mean by it.
fn or_nothing(cell: &str) -> &str {
    match cell {
        "NULL" | "null" | "(null)" | "<null>" | "\\N" | "nan" | "NaN" | "NaT" | "<NA>" | "None" | "#N/A" | "N/A" | "n/a"
        | "#REF!" | "#VALUE!" | "#NAME?" | "#DIV/0!" | "-" | "--" | "\u{2013}" | "\u{2014}" => "",
        _ => cell,
    }
}

/// The number in a cell as spreadsheets and address books leave it: as a number with a fraction, or one of several. Of
/// several, the first that can be used.
fn number(written: &str, settings: &Settings) -> Result<PhoneNumber, Refusal> {
    let text = without_fraction(written);
    if is_rounded(text) {
        let detail = "the spreadsheet has rounded it: format the column as text, enter the numbers again and save it";
        return Err(Refusal::new(Excluded::InvalidNumber, detail));
    }
    let parse = |text: &str| PhoneNumber::parse(text, &settings.default_region, settings.strictness());
    let several = numbers_in(text);
    let is_at_front = |part: &str| text.split_once(part).is_some_and(|(before, _)| !before.bytes().any(|b| b.is_ascii_digit()));
    let found = match several.as_slice() {
        [first, _, ..] => several.iter().find_map(|part| parse(part).ok()).map_or_else(|| parse(first), Ok),
        // A slash may be part of a number; what stands behind one need not be whole.
        [first] if is_at_front(first) => parse(text).or_else(|_| parse(first)),
        _ => parse(text),
    };
    found.map_err(|error| {
        let why = if error == PhoneError::Empty { Excluded::NoNumber } else { Excluded::InvalidNumber };
        Refusal::new(why, error.to_string())
    })
}

/// `15112345678` of `15112345678.0`, which is how some programs write a column of numbers.
pub(crate) fn without_fraction(text: &str) -> &str {
    let Some((whole, "0" | "00")) = text.rsplit_once(['.', ',']) else { return text };
    let digits = whole.strip_prefix('+').unwrap_or(whole);
    let is_number = digits.len() >= FEWEST_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    if is_number { whole } else { text }
}

/// `1.51123E+10`: the digits are lost.
fn is_rounded(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return false };
    let mantissa = mantissa.strip_prefix('+').unwrap_or(mantissa);
    let exponent = exponent.strip_prefix('+').unwrap_or(exponent);
    mantissa.starts_with(|c: char| c.is_ascii_digit())
        && mantissa.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b','))
        && !exponent.is_empty()
        && exponent.bytes().all(|b| b.is_ascii_digit())
}

/// What may be a number each, where a cell has several: `a ::: b`, `a; b`, `a / b`.
fn numbers_in(text: &str) -> Vec<&str> {
    const BETWEEN: [char; 6] = [';', ',', '/', '|', '\n', '\r'];
    if !text.contains(BETWEEN) && !text.contains(':') {
        return Vec::new();
    }
    let parts = text.split(BETWEEN).flat_map(|part| part.split(":::")).map(str::trim);
    parts.filter(|part| part.bytes().filter(u8::is_ascii_digit).count() >= FEWEST_DIGITS).collect()
}

/// The day that people or programs wrote, with or without a time: `2026-03-09` and `2026/3/9`, `9.3.2026`, `3/9/2026` as it
/// is meant where the tenant is, `9 March 2026`. Of the year, the century may be left out. `None` for anything else: the
/// number of a day in Excel may be any number.
fn day(text: &str, is_american: bool, zone: &Zone, today: Date) -> Option<Date> {
    day_in_digits(text, is_american, zone, today).or_else(|| day_in_words(text, today))
}

fn day_in_digits(text: &str, is_american: bool, zone: &Zone, today: Date) -> Option<Date> {
    let (date, clock) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(text[at + 1..].trim_start())),
        None => (text, None),
    };
    if let Some(clock) = clock {
        if !clock.contains(':') || !clock.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        // An instant: on which day that was depends on where.
        if clock.contains(['Z', 'z', '+', '-'])
            && let Ok(at) = text.parse::<Timestamp>()
        {
            return Some(zone.wall(at).date());
        }
    }
    let separator = date.chars().find(|c| !c.is_ascii_digit())?;
    let (first, rest) = date.split_once(separator)?;
    let (second, third) = rest.split_once(separator)?;
    match separator {
        '-' | '/' if first.len() == 4 => Date::new(year(first)?, day_or_month(second)?, day_or_month(third)?).ok(),
        '-' | '/' => {
            let (first, second, in_year) = (day_or_month(first)?, day_or_month(second)?, year(third)?);
            let (month, day) = if is_american { (first, second) } else { (second, first) };
            // A thirteenth month says that they wrote it the other way round.
            let date = Date::new(in_year, month, day).or_else(|_| Date::new(in_year, day, month)).ok()?;
            of_this_century(date, third, today)
        }
        '.' => of_this_century(Date::new(year(third)?, day_or_month(second)?, day_or_month(first)?).ok()?, third, today),
        _ => None,
    }
}

/// `15-Jan-2026`, `Thursday, January 15th, 2026 10:30`: the clock and what follows it is passed over.
fn day_in_words(text: &str, today: Date) -> Option<Date> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let named = |names: &[&str], word: &str| names.iter().position(|name| word.len() >= 3 && name.starts_with(word));
    let (mut month, mut numbers) = (None, Vec::new());
    for word in text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '-' | '/' | '.')).filter(|word| !word.is_empty()) {
        if word.contains(':') {
            break;
        }
        let word = word.to_ascii_lowercase();
        if let Some(at) = named(&MONTHS, &word) {
            month = Some(i8::try_from(at + 1).ok()?);
        } else if named(&DAYS, &word).is_none() && !matches!(word.as_str(), "of" | "the" | "at") {
            numbers.push(word);
        }
        if numbers.len() > 2 {
            return None;
        }
    }
    let [first, second] = numbers.as_slice() else { return None };
    let (in_month, in_year) = if first.len() == 4 && year(first).is_some() { (second, first) } else { (first, second) };
    let ordinal = ["st", "nd", "rd", "th"].iter().find_map(|ending| in_month.strip_suffix(ending));
    let in_month = day_or_month(ordinal.unwrap_or(in_month))?;
    of_this_century(Date::new(year(in_year)?, month?, in_month).ok()?, in_year, today)
}

/// In four digits, or in two of this century.
fn year(text: &str) -> Option<i16> {
    let year = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<i16>().ok())??;
    match text.len() {
        4 => Some(year),
        2 => Some(2000 + year),
        _ => None,
    }
}

/// A day whose year was written so. One of two digits that were still to come is of another century; somewhere it is
/// tomorrow already.
fn of_this_century(date: Date, year: &str, today: Date) -> Option<Date> {
    (year.len() == 4 || date <= today.tomorrow().unwrap_or(today)).then_some(date)
}

fn day_or_month(text: &str) -> Option<i8> {
    ((1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::layout::TextEncoding;
    use super::*;
    use crate::domain::template::{NamedTemplate, Template};

    const TODAY: Date = Date::constant(2026, 11, 24);

    fn settings() -> Settings {
        let json = r#"{"name": "Pizza Palace", "timeZone": "America/New_York", "defaultRegion": "US",
            "budget": {"currency": "USD"}}"#;
        serde_json::from_str(json).unwrap()
    }

    fn terms(text: &str) -> Terms {
        let text = NamedTemplate {
            name: String::new(),
            category: Category::Marketing,
            text: Template::parse(text).unwrap(),
            active: true,
            content_sid: None,
            content_variables: Vec::new(),
        };
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
    fn who_lapsed_is_asked_for_or_not() {
        let file = |days: Option<u32>, columns: &[&str]| {
            let (settings, terms) = (settings(), Terms { lapsed_after_days: days, ..terms("Hi") });
            let layout = layout(columns, Whom::Number(0));
            let recipe = Recipe::new(&settings, &terms, &layout, TODAY)?;
            let read = |date: &'static str| {
                let candidate = recipe.read(2, |column| if column == 0 { "+12125550161" } else { date });
                candidate.cells.err().map(|refusal| refusal.why)
            };
            Ok::<_, FieldError>([read("2026-11-24"), read("2026-11-25"), read("2026-08-26"), read("45231")])
        };
        let (late, unknown) = (Some(Excluded::NotLapsed), Some(Excluded::UnknownDate));

        assert_eq!(file(None, &["phone", "Last Visit"]).unwrap(), [late, late, None, unknown]);
        assert_eq!(file(Some(90), &["phone", "last_order"]).unwrap(), [late, late, None, unknown]);
        assert_eq!(file(Some(91), &["phone", "last_order"]).unwrap(), [late, late, late, unknown]);
        assert_eq!(file(Some(0), &["phone", "last_order"]).unwrap(), [None; 4]);
        assert_eq!(file(None, &["phone", "birthday"]).unwrap(), [None; 4]);
        let error = file(Some(30), &["phone", "birthday"]).unwrap_err();
        assert_eq!((error.field.as_str(), error.code.as_str()), ("lapsedAfterDays", "no_such_column"));
    }

    #[test]
    fn days_are_read_as_people_and_programs_write_them() {
        let zone = Zone::parse("America/New_York").unwrap();
        for (text, american, elsewhere) in [
            ("2026-11-01", "2026-11-01", "2026-11-01"),
            ("2026-11-01 08:15", "2026-11-01", "2026-11-01"),
            ("2026-11-01T23:59:59.999", "2026-11-01", "2026-11-01"),
            ("2026-11-02T03:30:00Z", "2026-11-01", "2026-11-01"), // still the 1st in New York
            ("2026-11-02 14:22:31 -0500", "2026-11-02", "2026-11-02"),
            ("2026/11/1", "2026-11-01", "2026-11-01"),
            ("3/5/2026", "2026-03-05", "2026-05-03"),
            ("03-05-2026 2:30 PM", "2026-03-05", "2026-05-03"),
            ("12/25/2025", "2025-12-25", "2025-12-25"),
            ("25/12/2025", "2025-12-25", "2025-12-25"),
            ("5.3.2026", "2026-03-05", "2026-03-05"),
            ("3/5/26", "2026-03-05", "2026-05-03"),
            ("1/15/26", "2026-01-15", "2026-01-15"),
            ("15.1.26 10:30", "2026-01-15", "2026-01-15"),
            ("11/25/26", "2026-11-25", "2026-11-25"), // tomorrow, which it may be there
            ("15-Jan-2026", "2026-01-15", "2026-01-15"),
            ("15-Oct-25", "2025-10-15", "2025-10-15"),
            ("2026-Sep-05", "2026-09-05", "2026-09-05"),
            ("Jan 15, 2026", "2026-01-15", "2026-01-15"),
            ("Oct 5, 2026 10:30 PM", "2026-10-05", "2026-10-05"),
            ("15 January 2026", "2026-01-15", "2026-01-15"),
            ("Thursday, January 15th, 2026 at 10:30", "2026-01-15", "2026-01-15"),
            ("Thu, 15 Jan 2026 10:00:00 +0000", "2026-01-15", "2026-01-15"),
            ("Thu Jan 15 2026 10:00:00 GMT+0100 (CET)", "2026-01-15", "2026-01-15"),
        ] {
            assert_eq!(day(text, true, &zone, TODAY).unwrap().to_string(), american, "{text}");
            assert_eq!(day(text, false, &zone, TODAY).unwrap().to_string(), elsewhere, "{text}");
        }
        let of_another_century = ["12/24/99", "11/26/26", "24.12.31", "15-Jan-99", "Jan 15, 27"];
        let unnamed = ["15 Foo 2026", "May 2026", "Jan 15", "Jan 15 16, 2026", "Feb 30, 2026", "last January"];
        let unclear =
            ["", "45231", "2026", "next Tuesday", "3/5/026", "2026.11.01", "2026-11", "2026-11/01", "2026-11-01 Sunday"];
        let wrong = ["2026-02-30", "30/2/2026", "13/13/2026", "2026-11-01-", "+026-11-01", "٢٠٢٦-١١-٠١"];
        for text in unclear.into_iter().chain(wrong).chain(of_another_century).chain(unnamed) {
            assert_eq!((day(text, true, &zone, TODAY), day(text, false, &zone, TODAY)), (None, None), "{text}");
        }
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
    fn a_number_is_read_as_spreadsheets_and_address_books_leave_it() {
        let region = |code: &str| Settings { default_region: code.to_string().try_into().unwrap(), ..settings() };
        let (us, de) = (region("US"), region("DE"));
        for (written, settings, e164) in [
            ("12125550161.0", &us, "+12125550161"),
            ("2125550161.00", &us, "+12125550161"),
            ("212.555.0160", &us, "+12125550160"),
            ("15112345678.0", &de, "+4915112345678"),
            ("+4915112345678,0", &de, "+4915112345678"),
            ("2125550161 ::: 2125550162", &us, "+12125550161"),
            ("212 555 0161; 212 555 0162", &us, "+12125550161"),
            ("(212) 555-0161 / (212) 555-0162", &us, "+12125550161"),
            ("+12125550161,+12125550162", &us, "+12125550161"),
            ("555-0161, 212-555-0162", &us, "+12125550162"),
            ("n/a; 212 555 0162", &us, "+12125550162"),
            ("212-555-0161 / 0162", &us, "+12125550161"),
            ("030 12345678 / 0151 12345678", &de, "+493012345678"),
            ("0151/12345678", &de, "+4915112345678"),
            ("0151 / 12345678", &de, "+4915112345678"),
            ("2125550161 x5", &us, "+12125550161"),
        ] {
            assert_eq!(number(written, settings).unwrap().e164(), e164, "{written}");
        }
        for rounded in ["2.125550123E9", "1.21256E+10", "4,91511E+12", "+1.5e10"] {
            let Refusal { why, detail } = number(rounded, &de).unwrap_err();
            assert!(why == Excluded::InvalidNumber && detail.unwrap().contains("rounded"), "{rounded}");
        }
        for (bad, why) in
            [("", Excluded::NoNumber), ("555, 556", Excluded::InvalidNumber), ("212/5550161999", Excluded::InvalidNumber)]
        {
            assert_eq!(number(bad, &us).unwrap_err().why, why, "{bad}");
        }
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
    fn who_wants_nothing_by_the_file_gets_nothing() {
        let out = |category: Category, column: &str, cell: &str| {
            let terms = Terms { category, ..terms("Hi") };
            let (rows, _) = weighed(&terms, &["phone", column], &[&["+12125550161", cell]]);
            why(&rows[0]).map(|(why, detail)| (why, detail.to_string()))
        };
        let opted_out = |detail: &str| Some((Excluded::OptedOut, detail.to_string()));
        let (marketing, schedule) = (Category::Marketing, Category::Schedule);

        for column in ["opted_out", "Opted Out?", "optedout", "Unsubscribed", "do_not_text", "DND", "sms-opt-out"] {
            for yes in ["yes", "TRUE", "1", "y", "On", "unsubscribed"] {
                assert!(out(marketing, column, yes).is_some() && out(schedule, column, yes).is_some(), "{column} {yes}");
            }
            for no in ["no", "FALSE", "0", "", "maybe", "subscribed"] {
                assert_eq!(out(marketing, column, no), None, "{column} {no}");
            }
        }
        for column in ["Accepts SMS Marketing", "sms_marketing", "marketing_consent", "SMS Consent", "consent", "Opted-In"] {
            for no in ["no", "FALSE", "0", "n", "off", "Unsubscribed"] {
                assert!(out(marketing, column, no).is_some() && out(schedule, column, no).is_none(), "{column} {no}");
            }
            for yes in ["yes", "true", "1", "subscribed", "", "pending"] {
                assert_eq!(out(marketing, column, yes), None, "{column} {yes}");
            }
        }
        assert_eq!(out(marketing, "Opted Out", "Yes"), opted_out("opted_out says 'Yes'"));
        assert_eq!(out(marketing, "accepts_marketing", "no"), opted_out("accepts_marketing says 'no'"));
        let listed = "lessons; Marketing";
        assert_eq!(out(marketing, "opted_out_categories", listed), opted_out("opted_out_categories says 'lessons; Marketing'"));
        assert!(out(Category::Lessons, "Opted Out Categories", "payments|lessons").is_some());
        assert_eq!(out(schedule, "opted_out_categories", listed), None);
        assert_eq!(out(marketing, "accepts_email_marketing", "no"), None);
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
    fn the_last_order_is_found_in_many_languages() {
        for column in [
            "last_order_on",
            "Last Transaction",
            "last_seen_at",
            "Most Recent Order",
            "last_purchased_at",
            "Letzte Bestellung",
            "Date de la dernière commande",
            "Última compra",
            "Data dell'ultimo ordine",
            "Data do último pedido",
            "Laatste bestelling",
        ] {
            let (rows, _) = weighed(&terms("Hi"), &["phone", column], &[&["+12125550161", "2026-11-23"]]);
            assert_eq!(why(&rows[0]).map(|(why, _)| why), Some(Excluded::NotLapsed), "{column}");
        }
        for vague in ["order_date", "date", "last order id", "birthday"] {
            let (rows, _) = weighed(&terms("Hi"), &["phone", vague], &[&["+12125550161", "2026-11-23"]]);
            assert_eq!(why(&rows[0]), None, "{vague}");
        }
        assert!(LAST_ORDER.iter().all(|name| plain(name) == *name));
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
