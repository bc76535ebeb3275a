//! Phone numbers: parsed once at the edge, E.164 ever after (requirements D1).
//!
//! Google's metadata decides what is possible and valid; this file only decides what we accept.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use rlibphonenumber::enums::{NumberLengthType, PhoneNumberFormat, Region as Country};
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber as Parsed};
use serde::{Deserialize, Serialize};

/// An ISO 3166 region that completes national numbers: `US`, `GB`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Region(String);

impl Region {
    fn country(&self) -> Option<Country> {
        Country::from_str(&self.0).ok()
    }
}

impl TryFrom<String> for Region {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let code = text.trim().to_ascii_uppercase();
        match Country::from_str(&code) {
            Ok(country) if PHONE_NUMBER_UTIL.get_country_code_for_region(country).is_some() => Ok(Self(code)),
            _ => Err(format!("unknown region: '{text}'")),
        }
    }
}

impl From<Region> for String {
    fn from(region: Region) -> Self {
        region.0
    }
}

/// How picky a tenant is about numbers (D1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// *Possible* numbers, and explicit `+` numbers of 10 to 15 digits, are accepted.
    Possible,
    /// Only *valid* numbers: the range is assigned in its country's plan.
    Valid,
}

/// A number that can be handed to Twilio: `+` and 10 to 15 digits in almost every case.
///
/// `Debug` masks it; whoever needs the digits says [`PhoneNumber::e164`]. Two are the same if their digits are.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct PhoneNumber {
    e164: String,
    /// `None` until somebody asks: the metadata takes ten times as long to say it as all the rest.
    valid: Option<bool>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    e164: String,
    valid: bool,
}

impl From<Stored> for PhoneNumber {
    fn from(Stored { e164, valid }: Stored) -> Self {
        Self { e164, valid: Some(valid) }
    }
}

impl From<PhoneNumber> for Stored {
    fn from(number: PhoneNumber) -> Self {
        Self { valid: number.is_valid(), e164: number.e164 }
    }
}

impl PartialEq for PhoneNumber {
    fn eq(&self, other: &Self) -> bool {
        self.e164 == other.e164
    }
}

impl Eq for PhoneNumber {}

impl PartialOrd for PhoneNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PhoneNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        self.e164.cmp(&other.e164)
    }
}

impl Hash for PhoneNumber {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.e164.hash(state);
    }
}

/// Why a text is no usable number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhoneError {
    #[error("no number given")]
    Empty,
    #[error("not a phone number")]
    NotANumber,
    #[error("not a possible number in its country")]
    Impossible,
    #[error("a number without its area code cannot be reached from elsewhere")]
    LocalOnly,
    #[error("not a valid number, and this tenant accepts only valid ones")]
    NotValid,
}

impl PhoneNumber {
    /// Reads a number as people write it.
    ///
    /// National digits are completed with `region`; a `whatsapp:` prefix is dropped.
    ///
    /// # Errors
    /// [`PhoneError`] says what is wrong; the caller reports it for this recipient and goes on.
    pub fn parse(text: &str, region: &Region, strictness: Strictness) -> Result<Self, PhoneError> {
        let text = strip_channel(text.trim());
        if text.is_empty() {
            return Err(PhoneError::Empty);
        }
        if strictness == Strictness::Possible
            && let Some(number) = plain(text, region)
        {
            return Ok(number);
        }
        let parsed = possible(text, region);
        let number = match (parsed, strictness) {
            (Err(error), Strictness::Possible) => explicit(text).ok_or(error)?,
            (parsed, _) => parsed?,
        };
        if !is_settled(&number, region) {
            return Err(PhoneError::Impossible);
        }
        match strictness {
            Strictness::Valid if !number.is_valid() => Err(PhoneError::NotValid),
            _ => Ok(number),
        }
    }

    /// Reads a number as [`PhoneNumber::e164`] writes it.
    pub fn from_e164(text: &str) -> Option<Self> {
        let region = Region("US".into());
        text.starts_with('+').then(|| Self::parse(text, &region, Strictness::Possible).ok())?
    }

    /// The number in E.164: `+15551234567`.
    pub fn e164(&self) -> &str {
        &self.e164
    }

    /// Whether the number lies in an assigned range of its country; a warning when not (D1).
    pub fn is_valid(&self) -> bool {
        self.valid.unwrap_or_else(|| read(&self.e164, None).is_some_and(|reading| reading.valid))
    }

    /// Whether the number belongs to the North American plan, whose quiet hours are law.
    pub fn is_north_american(&self) -> bool {
        self.e164.starts_with("+1")
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask(&self.e164))
    }
}

/// `+1555•••4567`: enough to recognise a number, not enough to call it.
pub fn mask(number: &str) -> String {
    let digits: Vec<char> = number.chars().collect();
    if digits.len() <= 8 {
        return "•".repeat(digits.len().min(4));
    }
    let head: String = digits[..digits.len().min(5)].iter().collect();
    let tail: String = digits[digits.len() - 4..].iter().collect();
    format!("{head}•••{tail}")
}

/// Drops `whatsapp:` in any case: libphonenumber would swallow it silently.
fn strip_channel(text: &str) -> &str {
    match text.get(..9) {
        Some(prefix) if prefix.eq_ignore_ascii_case("whatsapp:") => text[9..].trim(),
        _ => text,
    }
}

fn possible(text: &str, region: &Region) -> Result<PhoneNumber, PhoneError> {
    let parsed = parsed(text, Some(region)).ok_or(PhoneError::NotANumber)?;
    match length(&parsed) {
        Length::Possible => Ok(PhoneNumber { e164: e164(&parsed), valid: None }),
        Length::LocalOnly => Err(PhoneError::LocalOnly),
        Length::Impossible => Err(PhoneError::Impossible),
    }
}

/// Whether a number is still the same when it is read back, as whatever is stored is. Of `+49 0020…` each reading takes
/// one 0 more for the one that people dial at home.
fn is_settled(number: &PhoneNumber, region: &Region) -> bool {
    let may_have_more = number.e164.bytes().skip(2).take(3).any(|digit| digit == b'0');
    !may_have_more || possible(&number.e164, region).map_or(true, |again| again.e164 == number.e164)
}

/// What Google's metadata makes of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    pub e164: String,
    pub length: Length,
    pub valid: bool,
}

/// Whether a number has a length that its country uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    Possible,
    /// Only without its area code, from nearby.
    LocalOnly,
    Impossible,
}

/// libphonenumber reads no more than this.
const LONGEST: usize = 250;

/// Reads a text with or without a region for national numbers; `None` for what is no number at all.
pub fn read(text: &str, region: Option<&Region>) -> Option<Reading> {
    let parsed = parsed(text, region)?;
    Some(Reading { e164: e164(&parsed), length: length(&parsed), valid: PHONE_NUMBER_UTIL.is_valid_number(&parsed) })
}

fn parsed(text: &str, region: Option<&Region>) -> Option<Parsed> {
    if text.chars().count() > LONGEST {
        return None;
    }
    PHONE_NUMBER_UTIL.parse(text, region.and_then(Region::country)).ok()
}

fn length(parsed: &Parsed) -> Length {
    match PHONE_NUMBER_UTIL.is_possible_number_with_reason(parsed) {
        Ok(NumberLengthType::IsPossible) => Length::Possible,
        Ok(NumberLengthType::IsPossibleLocalOnly) => Length::LocalOnly,
        Err(_) => Length::Impossible,
    }
}

fn e164(parsed: &Parsed) -> String {
    PHONE_NUMBER_UTIL.format(parsed, PhoneNumberFormat::E164).into_owned()
}

/// A number of the North American plan in digits and the usual marks between them, which is what most lists hold: the
/// plan's ten digits begin with 2 to 9, and nothing else in it has their length. Everything else is the metadata's to say.
fn plain(text: &str, region: &Region) -> Option<PhoneNumber> {
    let mut digits = [0; 11];
    let mut count = 0;
    let (is_international, rest) = text.strip_prefix('+').map_or((false, text), |rest| (true, rest));
    if is_international && !rest.starts_with('1') {
        return None;
    }
    for c in rest.chars() {
        match c {
            '0'..='9' if count < digits.len() => {
                digits[count] = c as u8;
                count += 1;
            }
            ' ' | '-' | '.' | '(' | ')' | '\u{a0}' | '\u{200b}' | '\u{2010}'..='\u{2015}' => {}
            _ => return None,
        }
    }
    let national = match (count, digits[0]) {
        (11, b'1') => &digits[1..],
        (10, _) if !is_international => &digits[..10],
        _ => return None,
    };
    let is_at_home = is_international || matches!(region.0.as_str(), "US" | "CA");
    let fits = is_at_home && (b'2'..=b'9').contains(&national[0]);
    let national = std::str::from_utf8(national).ok().filter(|_| fits)?;
    Some(PhoneNumber { e164: format!("+1{national}"), valid: None })
}

/// `+` with 10 to 15 digits, the first not 0, kept as written though its country's plan says no (D1, S1-45).
fn explicit(text: &str) -> Option<PhoneNumber> {
    let rest = text.strip_prefix('+').or_else(|| text.strip_prefix('+'))?;
    if rest.chars().any(|c| !c.is_ascii_digit() && !" -.()/\u{a0}".contains(c)) {
        return None;
    }
    let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
    let fits = (10..=15).contains(&digits.len()) && !digits.starts_with('0');
    fits.then(|| PhoneNumber { e164: format!("+{digits}"), valid: Some(false) })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_another_number_when_it_is_read_back_is_none() {
        let read = |text: &str| PhoneNumber::parse(text, &us(), Strictness::Possible).map(|number| number.e164);

        assert_eq!(read("+4900201000"), Err(PhoneError::Impossible));
        assert_eq!(read("+49 (0) 30 901820"), Ok("+4930901820".into()));
        assert_eq!(read("+39 06 698 12345"), Ok("+390669812345".into()), "in Italy the 0 is part of it");
    }

    fn us() -> Region {
        Region::try_from("US".to_string()).unwrap()
    }

    #[test]
    fn the_seed_formats_give_the_output_of_d1() {
        for (text, e164) in [
            ("5551234567", "+15551234567"),          // S1-43
            ("15551234567", "+15551234567"),         // S1-44
            ("+1234567890", "+1234567890"),          // S1-45, S2-19
            ("(555) 123-4567", "+15551234567"),      // S1-30
            ("555-123-4567", "+15551234567"),        // S1-29
            ("1234567890", "+11234567890"),          // S2-18
            ("(123) 456-7890", "+11234567890"),      // S2-20
            ("123-456-7890", "+11234567890"),        // S2-21
            ("1987654321", "+11987654321"),          // S2-17
            ("whatsapp:+1234567890", "+1234567890"), // S0-22
            ("WhatsApp: 5551234567", "+15551234567"),
            ("+44 (0)7700 900117", "+447700900117"),
        ] {
            assert_eq!(PhoneNumber::parse(text, &us(), Strictness::Possible).unwrap().e164(), e164, "{text}");
        }
    }

    #[test]
    fn what_no_network_can_reach_is_refused() {
        for text in ["", "  ", "+0987654321", "call the office", "555", "5551234", "+1", "+12345678901234567"] {
            assert!(PhoneNumber::parse(text, &us(), Strictness::Possible).is_err(), "{text}");
        }
    }

    #[test]
    fn a_strict_tenant_accepts_only_valid_numbers() {
        assert!(PhoneNumber::parse("5551234567", &us(), Strictness::Valid).is_err());
        assert!(PhoneNumber::parse("+1234567890", &us(), Strictness::Valid).is_err());
        assert!(PhoneNumber::parse("212 555 0161", &us(), Strictness::Valid).unwrap().is_valid());
    }

    /// What the short way reads, the metadata reads alike.
    #[test]
    fn a_plain_number_is_what_the_metadata_makes_of_it() {
        let mut random = 7u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let mut read = 0;
        for _ in 0..20_000 {
            let digits: String = (0..9 + next(4)).map(|_| char::from(b'0' + next(10) as u8)).collect();
            let marks = ["", " ", "-", ".", ") ", "\u{a0}", "\u{200b}", "\u{2013}", "/", " (", "x", "+"];
            let prefix = ["", "", "+", "+1", "1", "1 ", "(", "+1 (", "++", "00", "011"][next(11) as usize];
            let mut text = prefix.to_string();
            for digit in digits.chars() {
                if next(4) == 0 {
                    let kinds = if next(20) == 0 { 12 } else { 8 };
                    text.push_str(marks[next(kinds) as usize]);
                }
                text.push(digit);
            }
            for code in ["US", "CA", "GB"] {
                let region = Region::try_from(code.to_string()).unwrap();
                let Some(short) = plain(text.trim(), &region) else { continue };
                let long = possible(text.trim(), &region).unwrap();
                assert_eq!((short.e164(), short.is_valid()), (long.e164(), long.is_valid()), "{text} in {code}");
                read += 1;
            }
        }
        assert!(read > 4_000, "{read}");
    }

    #[test]
    fn debug_never_shows_a_whole_number() {
        let number = PhoneNumber::parse("5551234567", &us(), Strictness::Possible).unwrap();
        assert_eq!(format!("{number:?}"), "+1555•••4567");
    }
}
