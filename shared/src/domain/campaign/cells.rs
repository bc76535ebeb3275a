//! What stands in a cell: what a number is written as, what is written for nothing, how much of it is quoted.

use super::{Excluded, Refusal};
use crate::domain::phone::{PhoneError, PhoneNumber};
use crate::domain::tenant::Settings;

/// Fewer digits are no number.
const FEWEST_DIGITS: usize = 7;
/// So much of what a row has instead of a number is kept, in characters.
pub(super) const LONGEST_QUOTE: usize = 40;

/// As much of a cell as is told of it.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(LONGEST_QUOTE).collect()
}

/// A cell, or nothing if that is what programs mean by it.
pub(super) fn or_nothing(cell: &str) -> &str {
    match cell {
        "NULL" | "null" | "(null)" | "<null>" | "\\N" | "nan" | "NaN" | "NaT" | "<NA>" | "None" | "#N/A" | "N/A" | "n/a"
        | "#REF!" | "#VALUE!" | "#NAME?" | "#DIV/0!" | "-" | "--" | "\u{2013}" | "\u{2014}" => "",
        _ => cell,
    }
}

/// The number in a cell as spreadsheets and address books leave it: as a number with a fraction, or one of several. Of
/// several, the first that can be used.
pub(super) fn number(written: &str, settings: &Settings) -> Result<PhoneNumber, Refusal> {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::pizza_palace as settings;
    use super::*;

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
}
