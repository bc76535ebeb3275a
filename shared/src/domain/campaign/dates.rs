//! Days, as people and programs write them.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::local_time::Zone;

/// The day that people or programs wrote, with or without a time: `2026-03-09` and `2026/3/9`, `9.3.2026`, `3/9/2026` as it
/// is meant where the tenant is, `9 March 2026`. Of the year, the century may be left out. `None` for anything else: the
/// number of a day in Excel may be any number.
pub(super) fn day(text: &str, is_american: bool, zone: &Zone, today: Date) -> Option<Date> {
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
    use super::*;

    const TODAY: Date = Date::constant(2026, 11, 24);

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
}
