//! Garbage to read: what nobody would write, and what somebody wrote that was damaged on its way.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

/// Bytes, which are shown as text.
#[derive(Clone, PartialEq, Eq)]
pub struct Raw(pub Vec<u8>);

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// What readers stumble over: ends, quotes, delimiters, what is not seen, other scripts, escapes, numbers that are none.
/// No two of them make a whole telephone number: an id of a school's may be logged.
const PIECES: &[&str] = &[
    "\0",
    "\r",
    "\n",
    "\r\n",
    "\t",
    " ",
    "\u{b}",
    "\u{1b}",
    "\u{85}",
    "\u{a0}",
    "\u{ad}",
    "\u{feff}",
    "\u{200b}",
    "\u{202e}",
    "\u{2028}",
    "\u{fffe}",
    "\"",
    "\"\"",
    "'",
    ",",
    ";",
    "|",
    ":",
    "=",
    "&",
    "?",
    "#",
    "@",
    "*",
    "+",
    "-",
    "/",
    "..",
    "\\",
    "\\u0000",
    "\\ud800",
    "%",
    "%00",
    "%zz",
    "%C3",
    "{",
    "}",
    "{{",
    "{x}",
    "{x|y}",
    "[",
    "]",
    "<",
    "</",
    "<![CDATA[",
    "]]>",
    "&#0;",
    "&amp;",
    "é",
    "e\u{301}",
    "€",
    "ß",
    "İ",
    "😀",
    "👩\u{200d}👧",
    "שלום",
    "٣",
    "\u{ff11}",
    "0",
    "1",
    "-1",
    "007",
    "1,000.50",
    "-99999999999999999999",
    "1e999",
    "0x7f",
    "NaN",
    "null",
    "2026-03-10",
    "16:00",
    "T160000Z",
    "9999-12-30T21:00:00Z",
    "-009999-01-03T00:00:00Z",
    "BEGIN:VEVENT",
    "END:VEVENT",
    "STOP",
    "S01",
    "x",
    "name",
];

/// A text of at most so many odd pieces, or of any characters.
pub fn text(most: usize) -> impl Strategy<Value = String> {
    prop_oneof![3 => vec(select(PIECES), 0..=most).prop_map(|pieces| pieces.concat()), 1 => ".{0,30}"]
}

/// Bytes of no meaning.
pub fn raw() -> impl Strategy<Value = Raw> {
    prop_oneof![vec(any::<u8>(), 0..200), text(20).prop_map(String::into_bytes)].prop_map(Raw)
}

/// One of these, damaged or not.
pub fn damaged(whole: Vec<Vec<u8>>) -> impl Strategy<Value = Raw> {
    (select(whole), damage()).prop_map(|(whole, damage)| damage.done_to(&whole))
}

/// What happens to bytes on their way.
#[derive(Clone, Debug)]
pub struct Damage(Vec<Edit>);

#[derive(Clone, Debug)]
enum Edit {
    Set(Index, u8),
    Insert(Index, &'static str),
    /// So many are missing.
    Cut(Index, usize),
    /// So many come twice.
    Repeat(Index, usize),
    /// One is another wherever it stands.
    Swap(u8, u8),
    /// Nothing follows.
    End(Index),
}

pub fn damage() -> impl Strategy<Value = Damage> {
    vec(edit(), 0..5).prop_map(Damage)
}

fn edit() -> impl Strategy<Value = Edit> {
    const SIGNS: &[u8] = b",;\t|\"\r\n:= ";
    prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        4 => (any::<Index>(), select(PIECES)).prop_map(|(at, piece)| Edit::Insert(at, piece)),
        2 => (any::<Index>(), 1usize..40).prop_map(|(at, length)| Edit::Cut(at, length)),
        2 => (any::<Index>(), 1usize..120).prop_map(|(at, length)| Edit::Repeat(at, length)),
        1 => (select(SIGNS), select(SIGNS)).prop_map(|(from, to)| Edit::Swap(from, to)),
        1 => any::<Index>().prop_map(Edit::End),
    ]
}

impl Damage {
    pub fn done_to(&self, whole: &[u8]) -> Raw {
        let mut bytes = whole.to_vec();
        self.0.iter().for_each(|edit| edit.apply(&mut bytes));
        Raw(bytes)
    }
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let size = bytes.len();
        let place = |at: &Index| at.index(size + 1);
        let part = |at: &Index, length: usize| place(at)..size.min(place(at) + length);
        match self {
            Self::Set(at, byte) => {
                if let Some(there) = bytes.get_mut(place(at)) {
                    *there = *byte;
                }
            }
            Self::Insert(at, piece) => insert(bytes, place(at), piece.as_bytes()),
            Self::Cut(at, length) => _ = bytes.drain(part(at, *length)),
            Self::Repeat(at, length) => {
                let part = part(at, *length);
                let again = bytes[part.clone()].to_vec();
                insert(bytes, part.end, &again);
            }
            Self::Swap(from, to) => bytes.iter_mut().filter(|byte| **byte == *from).for_each(|byte| *byte = *to),
            Self::End(at) => bytes.truncate(place(at)),
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    let tail = bytes.split_off(at);
    bytes.extend_from_slice(piece);
    bytes.extend(tail);
}

/// Values that are likely somewhere, and wrong elsewhere. Numbers have spaces, for the same reason.
pub const WORDS: &[&str] = &[
    "",
    "x",
    "S01",
    "S05",
    "Strings",
    "L01",
    "P01",
    "order_ready",
    "nobody",
    "+1 212 555 0188",
    "(212) 555-0189",
    "whatsapp:+1 212 555 0188",
    "sms",
    "mms",
    "whatsapp",
    "both",
    "marketing",
    "lessons",
    "scheduled",
    "cancelled",
    "paid",
    "lesson_reminder",
    "delivered",
    "day",
    "open",
    "true",
    "0",
    "1",
    "5",
    "200",
    "4294967296",
    "25.00",
    "9000000000000",
    "USD",
    "US",
    "UTC",
    "America/New_York",
    "21:00-08:00",
    "09:30",
    "0 9 * * *",
    "24h",
    "2026-03-10",
    "2026-03-11T15:00:00Z",
    "2026-03-11 15:00",
    "9999-12-30T21:00:00Z",
    "-009999-01-03T00:00:00Z",
    "https://example.com/a.jpg",
    "{name}!",
    "STOP",
];

/// Names that are fields somewhere, and elsewhere none.
pub const NAMES: &[&str] = &[
    "x",
    "id",
    "to",
    "from",
    "body",
    "name",
    "limit",
    "cursor",
    "order",
    "status",
    "search",
    "group",
    "number",
    "contact",
    "contactId",
    "amount",
    "by",
    "days",
    "confirm",
    "campaign",
    "template",
    "category",
    "kind",
    "state",
    "outcome",
    "detail",
    "time",
    "tenant",
];

/// What becomes of JSON in the hands of somebody who reads no description.
#[derive(Clone, Debug)]
pub struct Twists(Vec<(Index, Twist)>);

#[derive(Clone, Debug)]
enum Twist {
    Put(Value),
    Add(&'static str, Value),
    Take,
}

pub fn twists() -> impl Strategy<Value = Twists> {
    let twist = prop_oneof![
        3 => value().prop_map(Twist::Put),
        1 => (select(NAMES), value()).prop_map(|(name, value)| Twist::Add(name, value)),
        2 => Just(Twist::Take),
    ];
    vec((any::<Index>(), twist), 0..4).prop_map(Twists)
}

fn value() -> impl Strategy<Value = Value> {
    let odd = vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1e300),
        json!([]),
        json!([[]]),
        json!({}),
        json!({ "x": { "x": null } }),
    ];
    prop_oneof![3 => select(WORDS).prop_map(Value::from), 2 => text(3).prop_map(Value::from), 2 => select(odd)]
}

impl Twists {
    pub fn done_to(&self, whole: &Value) -> Value {
        let mut value = whole.clone();
        for (at, twist) in &self.0 {
            let places = places(&value);
            let place: &String = at.get(&places);
            twist.apply(place, &mut value);
        }
        value
    }
}

impl Twist {
    fn apply(&self, place: &str, whole: &mut Value) {
        match self {
            Self::Put(value) => {
                if let Some(there) = whole.pointer_mut(place) {
                    *there = value.clone();
                }
            }
            Self::Add(name, value) => {
                if let Some(Value::Object(fields)) = whole.pointer_mut(place) {
                    fields.insert((*name).to_string(), value.clone());
                }
            }
            Self::Take => take(place, whole),
        }
    }
}

fn take(place: &str, whole: &mut Value) {
    let Some((parent, name)) = place.rsplit_once('/') else { return };
    match whole.pointer_mut(parent) {
        Some(Value::Object(fields)) => _ = fields.remove(&name.replace("~1", "/").replace("~0", "~")),
        Some(Value::Array(values)) => {
            if let Ok(at) = name.parse::<usize>() {
                values.remove(at);
            }
        }
        _ => {}
    }
}

/// Every place in a value, as a JSON pointer; the whole is the last.
fn places(value: &Value) -> Vec<String> {
    let mut all = Vec::new();
    note_places(value, String::new(), &mut all);
    all
}

fn note_places(value: &Value, at: String, all: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                note_places(value, format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), all);
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                note_places(value, format!("{at}/{index}"), all);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    all.push(at);
}

/// The text with another character in the place of one.
pub fn with_one_changed(text: &str, at: Index, to: char) -> String {
    let at = at.index(text.chars().count());
    text.chars().enumerate().map(|(index, c)| if index == at { to } else { c }).collect()
}
