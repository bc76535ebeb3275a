//! A customer file as a restaurant really has one, made up: a BOM, quotes and line breaks inside values, numbers in every
//! spelling, the same guest twice, letters where a number should be. And what must become of each row, which is known from
//! how the row was made, not from reading it back.
//!
//! Any row can be made by itself, so a file of any size needs no memory.

use std::collections::{BTreeMap, HashSet};

use jiff::ToSpan;
use jiff::civil::Date;

/// The tenant that the text names.
pub const TENANT: &str = "Blue Door";
/// It says who sends it and how to opt out: the guard rails have nothing to add.
pub const BODY: &str = "Blue Door: Hi {customer_name}, your {favourite_dish|table} is waiting! Reply STOP to opt out.";
pub const LAPSED_AFTER_DAYS: u32 = 30;
/// The columns' names, with what web pages and address books leave around them.
pub const HEADER: &str = "\u{feff}Customer Name;\u{200b}Phone Number\u{a0};last_order_date;Favourite Dish;Notes\r\n";

/// A file of so many rows; the same seed makes the same file.
#[derive(Clone, Copy, Debug)]
pub struct Messy {
    pub rows: u32,
    pub seed: u64,
    /// Dates of orders are counted back from it.
    pub today: Date,
}

/// A row as it stands in the file, and what it was made of.
pub struct Made {
    /// With the blank lines before it and its line end.
    pub text: String,
    /// Blank lines before it; lines of its own.
    blank: u32,
    lines: u32,
    name: String,
    phone: Phone,
    /// How many days ago they ordered last, if that can be read.
    ordered: Option<u32>,
    dish: String,
}

enum Phone {
    Absent,
    Bad,
    /// The number that belongs to the row of this place.
    Of(u32),
}

/// What must become of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The first physical line of the row; the header is line 1.
    pub line: u32,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The number in E.164, and every character of the text.
    Goes { to: String, body: String },
    /// The word for why not.
    Excluded(&'static str),
}

impl Outcome {
    /// `goes`, or why not.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Goes { .. } => "goes",
            Outcome::Excluded(why) => why,
        }
    }
}

/// Somebody who wants no texts, or none of one category.
#[derive(Clone, Debug)]
pub struct OptOut {
    pub number: String,
    /// `None` for everything.
    pub category: Option<&'static str>,
}

impl Messy {
    pub fn file(&self) -> Vec<u8> {
        let mut file = HEADER.to_string();
        (0..self.rows).for_each(|at| file.push_str(&self.row(at).text));
        file.into_bytes()
    }

    /// One number in a hundred has opted out: of everything, of marketing, or of what does not matter here.
    pub fn opt_outs(&self) -> Vec<OptOut> {
        let categories = [None, Some("marketing"), Some("payments")];
        let chosen = (0..self.rows).filter(|at| Dice::of(!self.seed, *at).below(100) == 0);
        chosen.zip(categories.into_iter().cycle()).map(|(at, category)| OptOut { number: self.number(at), category }).collect()
    }

    /// Those of them whom no marketing may reach.
    pub fn stopped(&self) -> HashSet<String> {
        let stopped = self.opt_outs().into_iter().filter(|opt_out| opt_out.category != Some("payments"));
        stopped.map(|opt_out| opt_out.number).collect()
    }

    /// What must become of each row, in the order of the file, where the numbers in `stopped` have opted out.
    pub fn expected(&self, stopped: &HashSet<String>) -> Vec<Expected> {
        let mut line = 2;
        let mut gone = HashSet::new();
        let expected = |at| {
            let made = self.row(at);
            let first = line + made.blank;
            line = first + made.lines;
            Expected { line: first, outcome: self.outcome(&made, stopped, &mut gone) }
        };
        (0..self.rows).map(expected).collect()
    }

    /// By the first reason that applies; `gone` are the numbers of earlier rows that go.
    fn outcome(&self, made: &Made, stopped: &HashSet<String>, gone: &mut HashSet<String>) -> Outcome {
        let to = match made.phone {
            Phone::Absent => return Outcome::Excluded("no_number"),
            Phone::Bad => return Outcome::Excluded("invalid_number"),
            Phone::Of(at) => self.number(at),
        };
        let Some(days) = made.ordered else { return Outcome::Excluded("unknown_date") };
        if days < LAPSED_AFTER_DAYS {
            return Outcome::Excluded("not_lapsed");
        }
        if stopped.contains(&to) {
            return Outcome::Excluded("opted_out");
        }
        if gone.contains(&to) {
            return Outcome::Excluded("duplicate");
        }
        if made.name.is_empty() {
            return Outcome::Excluded("missing_variable");
        }
        let dish = if made.dish.is_empty() { "table" } else { &made.dish };
        let body = format!("Blue Door: Hi {}, your {dish} is waiting! Reply STOP to opt out.", made.name);
        if body.encode_utf16().count() > 1600 {
            return Outcome::Excluded("too_long");
        }
        gone.insert(to.clone());
        Outcome::Goes { to, body }
    }

    /// The number that belongs to a place, in E.164; no two places have the same.
    pub fn number(&self, at: u32) -> String {
        format!("+1{}", self.digits(at))
    }

    /// Ten digits as the North American plan has them: an area code from 201 and an exchange from 200 on.
    fn digits(&self, at: u32) -> String {
        const EXCHANGES: u64 = 800;
        const LINES: u64 = 10_000;
        const ALL: u64 = 789 * EXCHANGES * LINES;
        // A prime that `ALL` has no factor in common with: each place falls elsewhere.
        const STEP: u64 = 2_654_435_761;
        let place = (u64::from(at) * STEP + self.seed % ALL) % ALL;
        let (area, exchange, line) = (201 + place / (EXCHANGES * LINES), 200 + place / LINES % EXCHANGES, place % LINES);
        let area = match (area, exchange) {
            // Twilio's magic numbers and the sender; and the sample's contacts.
            (500, 555) => 990,
            (555, _) => 991,
            (area, _) => area,
        };
        format!("{area:03}{exchange:03}{line:04}")
    }

    pub fn row(&self, at: u32) -> Made {
        let dice = &mut Dice::of(self.seed, at);
        let (phone, written) = self.phone(dice, at);
        let (ordered, date) = self.date(dice);
        let name = match phone {
            // Who leaves everything out is no row.
            Phone::Absent => "Walk-in".to_string(),
            Phone::Bad | Phone::Of(_) => name(dice),
        };
        let dish = dish(dice);
        let notes = notes(dice);
        let mut cells = vec![padded(dice, &name), padded(dice, &written), padded(dice, &date), padded(dice, &dish), notes.into()];
        // Old programs leave out what is empty at the end, others write more columns than they have.
        while cells.len() > 3 && cells.last().is_some_and(String::is_empty) && dice.below(3) == 0 {
            cells.pop();
        }
        if dice.below(100) == 0 {
            cells.extend([String::new(), "x".to_string()]);
        }
        let cells: Vec<String> = cells.iter().map(|cell| quoted(dice, cell)).collect();
        let row = format!("{}\r\n", cells.join(";"));
        let blank = match dice.below(200) {
            0 => "\r\n",
            1 => ";;;;\r\n",
            2 => " ;\u{a0};\r\n\r\n",
            _ => "",
        };
        let lines = |text: &str| text.matches('\n').count() as u32;
        let (blanks, own) = (lines(blank), lines(&row));
        Made { text: format!("{blank}{row}"), blank: blanks, lines: own, name, phone, ordered, dish }
    }

    /// One in twenty is no number, one in twenty that of an earlier place.
    fn phone(&self, dice: &mut Dice, at: u32) -> (Phone, String) {
        const BAD: [&str; 6] = ["call the office", "555", "5551234", "212-555-012", "+12345678901234567", "unknown"];
        match dice.below(100) {
            0 => (Phone::Absent, String::new()),
            1..5 => (Phone::Bad, dice.pick(&BAD).to_string()),
            5..10 if at > 0 => {
                let earlier = dice.below(at);
                (Phone::Of(earlier), spelt(dice, &self.digits(earlier)))
            }
            _ => (Phone::Of(at), spelt(dice, &self.digits(at))),
        }
    }

    /// One in a hundred cannot be read; one in five is too young, some by a day.
    fn date(&self, dice: &mut Dice) -> (Option<u32>, String) {
        const UNREADABLE: [&str; 4] = ["last summer", "2026-02-30", "?", ""];
        let days = match dice.below(1000) {
            0..10 => return (None, dice.pick(&UNREADABLE).to_string()),
            10..210 => dice.below(LAPSED_AFTER_DAYS),
            210..250 => LAPSED_AFTER_DAYS,
            _ => LAPSED_AFTER_DAYS + dice.below(700),
        };
        let day = self.today.saturating_sub(i64::from(days).days());
        let written = match dice.below(20) {
            0 => format!("{}/{}/{}", day.month(), day.day(), day.year()),
            1 => format!("{}/{}/{}", day.year(), day.month(), day.day()),
            2 => format!("{day} 18:30"),
            _ => day.to_string(),
        };
        (Some(days), written)
    }
}

/// How many rows each word is said of: `goes`, or why not.
pub fn counts(expected: &[Expected]) -> BTreeMap<&'static str, u32> {
    let mut counts = BTreeMap::new();
    for row in expected {
        *counts.entry(row.outcome.word()).or_default() += 1;
    }
    counts
}

/// Those that go, each with its text.
pub fn going(expected: &[Expected]) -> BTreeMap<String, String> {
    let goes = |row: &Expected| match &row.outcome {
        Outcome::Goes { to, body } => Some((to.clone(), body.clone())),
        Outcome::Excluded(_) => None,
    };
    expected.iter().filter_map(goes).collect()
}

/// A number as one of many people writes it.
fn spelt(dice: &mut Dice, digits: &str) -> String {
    let (area, exchange, line) = (&digits[..3], &digits[3..6], &digits[6..]);
    match dice.below(9) {
        0 => format!("({area}) {exchange}-{line}"),
        1 => format!("{area}-{exchange}-{line}"),
        2 => format!("+1 {area} {exchange} {line}"),
        3 => format!("1{digits}"),
        4 => digits.to_string(),
        5 => format!("{area}.{exchange}.{line}"),
        6 => format!("+1{digits}"),
        7 => format!("({area})\u{a0}{exchange}\u{a0}{line}"),
        // As telephones copy from their address books.
        _ => format!("\u{202a}+1 ({area}) {exchange}\u{2011}{line}\u{202c}"),
    }
}

/// Three in a hundred are missing.
fn name(dice: &mut Dice) -> String {
    const FIRST: [&str; 14] =
        ["Ana", "Ben", "Chloé", "Dai", "Zoë", "José", "Łukasz", "Søren", "Mary Ann", "李", "Наталья", "Émilie", "Aoife", "Tom"];
    const LAST: [&str; 10] =
        ["Ruiz", "O’Neill", "O'Brien", "Müller", "Nguyễn", "Smith", "van der Berg", "García-López", "Öztürk", "Lee"];
    let (first, last) = (dice.pick(&FIRST), dice.pick(&LAST));
    match dice.below(100) {
        0..3 => String::new(),
        3..5 => format!("{first} {last} 🎉"),
        5..7 => format!("{first} \"Pepe\" {last}"),
        7..9 => format!("{last}; {first}"),
        9 => format!("{first}\n{last}"),
        10..20 => first.to_string(),
        _ => format!("{first} {last}"),
    }
}

fn dish(dice: &mut Dice) -> String {
    const DISHES: [&str; 6] = ["pizza", "crème brûlée", "tacos", "phở", "fish; chips", "steak"];
    match dice.below(1000) {
        // Longer than Twilio takes.
        0..3 => "very ".repeat(340) + "long noodles",
        3..400 => dice.pick(&DISHES).to_string(),
        _ => String::new(),
    }
}

fn notes(dice: &mut Dice) -> &'static str {
    match dice.below(40) {
        0 => "allergic to nuts;\r\ncalls \"first\"",
        1 => "window table,\nno cat",
        2 => "=HYPERLINK(\"x\")",
        3..6 => "regular",
        _ => "",
    }
}

/// With what surrounds a value without being seen.
fn padded(dice: &mut Dice, value: &str) -> String {
    match dice.below(40) {
        0 => format!("\u{a0}{value} "),
        1 => format!("{value}\u{200b}"),
        2 => format!(" {value}\u{feff}"),
        _ => value.to_string(),
    }
}

/// In quotes where it must be, and here and there where it need not.
fn quoted(dice: &mut Dice, cell: &str) -> String {
    let must_be = cell.contains([';', '"', '\n', '\r']);
    if must_be || dice.below(50) == 0 { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_string() }
}

/// Chance that is the same each time: xorshift64*.
struct Dice(u64);

impl Dice {
    /// Of one row: neighbours have nothing in common.
    fn of(seed: u64, at: u32) -> Self {
        let mut state = seed.wrapping_add((u64::from(at) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Self((state ^ (state >> 31)).max(1))
    }

    fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        ((high * u64::from(end)) >> 32) as u32
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u32) as usize]
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const MESSY: Messy = Messy { rows: 20_000, seed: 7, today: date(2026, 3, 10) };

    #[test]
    fn no_two_places_have_the_same_number() {
        let numbers: HashSet<String> = (0..MESSY.rows).map(|at| MESSY.number(at)).collect();

        assert_eq!(numbers.len(), MESSY.rows as usize);
        assert!(numbers.iter().all(|number| number.len() == 12 && &number[2..3] >= "2" && &number[5..6] >= "2"));
    }

    #[test]
    fn a_row_of_each_kind_is_made_about_as_often_as_in_life() {
        let counts = counts(&MESSY.expected(&MESSY.stopped()));
        let share = |word: &str| f64::from(counts[word]) / f64::from(MESSY.rows) * 100.0;

        assert!((60.0..75.0).contains(&share("goes")), "{counts:?}");
        assert!((17.0..21.0).contains(&share("not_lapsed")), "{counts:?}");
        assert!((2.0..5.0).contains(&share("duplicate")), "{counts:?}");
        assert!((3.0..5.0).contains(&share("invalid_number")), "{counts:?}");
        assert!((1.5..3.5).contains(&share("missing_variable")), "{counts:?}");
        for word in ["no_number", "unknown_date", "opted_out", "too_long"] {
            assert!((0.1..2.0).contains(&share(word)), "{word}: {counts:?}");
        }
    }

    #[test]
    fn a_row_stands_on_the_line_that_is_said() {
        let file = String::from_utf8(MESSY.file()).unwrap();
        let lines: Vec<&str> = file.split('\n').collect();

        let mut with_breaks = 0;
        for (row, at) in MESSY.expected(&HashSet::new()).iter().zip(0..) {
            let made = MESSY.row(at);
            let own = made.text.split('\n').nth(made.blank as usize).unwrap();
            assert_eq!(lines[row.line as usize - 1], own, "row {at}");
            with_breaks += usize::from(made.lines > 1);
        }
        assert!(with_breaks > 100, "{with_breaks}");
    }
}
