//! Values that stand in many inputs: numbers, amounts, days and clocks, zones, lists, cron, templates, URLs.

use std::borrow::Cow;

use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use shared::domain::local_time::{Clock, QuietHours, Zone, parse_start};
use shared::domain::media;
use shared::domain::money::{Currency, Micros, Money};
use shared::domain::phone::{PhoneNumber, Region, Strictness};
use shared::domain::recipients;
use shared::domain::recurrence::Recurrence;
use shared::domain::template::{Template, TemplateError};
use shared::files::calendar_date;

use super::every;
use super::garbage::{WORDS, text};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn zone(name: &str) -> Zone {
    Zone::parse(name).unwrap()
}

#[test]
fn a_number_that_is_read_is_in_e164_and_reads_as_itself() {
    const PARTS: &[&str] = &[
        "0",
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
        "7",
        "8",
        "9",
        "212",
        "555",
        "7700",
        "151",
        "+",
        "+1",
        "+44",
        "+49",
        "00",
        "011",
        "(",
        ")",
        " ",
        "-",
        ".",
        "/",
        "x",
        "ext.",
        "#",
        "whatsapp:",
        "\u{a0}",
        "\u{200b}",
        "\u{2013}",
        "\u{ff11}",
        "٣",
        "é",
    ];
    let written = vec(select(PARTS), 0..18).prop_map(|parts| parts.concat());
    let inputs = (prop_oneof![3 => written, 1 => text(4)], select(vec!["US", "GB", "DE"]), any::<bool>());
    every(250, inputs, |(text, region, is_strict)| {
        let region = Region::try_from(region.to_string()).unwrap();
        let strictness = if is_strict { Strictness::Valid } else { Strictness::Possible };
        let Ok(number) = PhoneNumber::parse(&text, &region, strictness) else { return Ok(()) };
        let digits = number.e164().strip_prefix('+').unwrap_or_default();
        let is_e164 = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        // Germany has numbers that are longer than E.164 allows.
        prop_assert!(is_e164 && (5..=17).contains(&digits.len()), "{} digits", digits.len());
        let shown = format!("{number:?}");
        prop_assert!(!shown.contains(digits), "{shown}");
        // Of what is nobody's, a prefix may be left that goes the second time.
        if number.is_valid() {
            prop_assert_eq!(PhoneNumber::from_e164(number.e164()), Some(number));
        }
        Ok(())
    });
}

#[test]
fn an_amount_that_is_read_is_written_so_that_it_is_read_again() {
    let inputs = prop_oneof![text(4), any::<u64>().prop_map(|n| n.to_string()), "[0-9]{0,3}(,[0-9]{3}){0,3}([.][0-9]{0,7})?"];
    every(1_500, (inputs, text(2)), |(written, code)| {
        let currency = Currency::parse(&code).unwrap_or(Currency::usd());
        prop_assert_eq!(Currency::parse(&currency.to_string()), Some(currency.clone()));
        let Some(amount) = Micros::parse(&written) else { return Ok(()) };
        prop_assert!(amount >= Micros(0));
        prop_assert_eq!(Micros::parse(&amount.to_string()), Some(amount));
        let shown = Money { amount, currency }.to_string();
        prop_assert!(shown.ends_with(|c: char| c.is_ascii_digit()) && shown.contains('.'), "{shown}");
        Ok(())
    });
}

#[test]
fn a_day_is_what_is_written_and_a_clock_reads_as_itself() {
    let day = prop_oneof![text(3), "[0-9]{4}-[0-9]{2}-[0-9]{2}", "[0-9]{1,2}/[0-9]{1,2}/[0-9]{2,4}"];
    let clock = prop_oneof![text(3), "[0-9]{1,2}:[0-9]{2}( ?[-–] ?[0-9]{1,2}:[0-9]{2})?"];
    every(1_500, (day, clock), |(day, clock)| {
        if let Some(date) = calendar_date(&day) {
            prop_assert_eq!(date.to_string(), day);
        }
        if let Some(read) = Clock::parse(&clock) {
            prop_assert_eq!(Clock::parse(&String::from(read)), Some(read));
        }
        if let Some(QuietHours { from, to }) = QuietHours::parse(&clock) {
            let written = format!("{}-{}", String::from(from), String::from(to));
            prop_assert_eq!(QuietHours::parse(&written), Some(QuietHours { from, to }));
        }
        Ok(())
    });
}

#[test]
fn a_start_is_an_instant_that_reads_as_itself() {
    let written = prop_oneof![
        text(4),
        select(WORDS).prop_map(str::to_string),
        "[0-9]{4}-(0[1-9]|1[0-2])-[0-3][0-9][ Tt][0-2][0-9]:[0-5][0-9](:[0-6][0-9])?([.][0-9]{1,9})?(Z|z|[+-][0-2][0-9]:[0-5][0-9])?",
    ];
    let zones = ["UTC", "America/New_York", "Pacific/Kiritimati"].map(zone).to_vec();
    every(1_500, (written, select(zones)), |(written, zone)| {
        let Some(start) = parse_start(&written, &zone) else { return Ok(()) };
        // Before the year 0 there are six digits, which nobody's lessons have.
        if start >= at("0000-01-01T00:00:00Z") {
            prop_assert_eq!(parse_start(&start.to_string(), &zone), Some(start));
        }
        Ok(())
    });
}

#[test]
fn a_zone_reads_as_its_name() {
    const NAMES: &[&str] =
        &["america/new_york", "UTC", "Z", "EST5EDT", "US/Eastern", "Etc/GMT+5", "Etc/Unknown", "posix/UTC", "../UTC", "+05:00"];
    let spoilt = (select(NAMES), text(2)).prop_map(|(name, more)| name.to_string() + &more);
    let names = prop_oneof![2 => select(NAMES).prop_map(str::to_string), 1 => spoilt];
    every(400, names, |name| {
        if let Ok(zone) = Zone::parse(&name) {
            prop_assert_eq!(Zone::parse(zone.name()), Ok(zone));
        }
        Ok(())
    });
}

#[test]
fn a_list_of_recipients_is_the_same_line_by_line() {
    every(600, text(30), |text| {
        let entries = recipients::split(&text);
        prop_assert!(entries.iter().all(|entry| !entry.is_empty() && !entry.contains([',', ';', '\n', '\t'])), "{entries:?}");
        let lines = entries.join("\r\n");
        prop_assert_eq!(recipients::split(&lines), entries);
        Ok(())
    });
}

/// What is accepted has an occurrence ahead, or is known to have none, and each is later than the one before.
#[test]
fn a_cron_expression_names_a_value_in_each_field_and_goes_on() {
    const MINUTE: &[&str] = &["0", "30", "*", "*/15", "1-5", "1,59", "60", "-1", "5-1", "*/0", "/5", ",", "1,", "x", "é", "1#2"];
    const DAY: &[&str] = &["*", "?", "1", "15", "28", "L", "LW", "15W", "1-7", "*/2", ",", "32", "0", "W", "1é"];
    const MONTH: &[&str] = &["*", "*", "*", "1", "JAN-MAR", "7,8", ",", "13", "é"];
    const WEEKDAY: &[&str] = &["*", "*", "1-5", "MON", "sun,sat", "7", "5#2", "5L", "+1", ",", "8", "MONDAY", "1é"];
    let fields = (select(MINUTE), select(MINUTE), select(DAY), select(MONTH), select(WEEKDAY));
    let five = fields.prop_map(|(minute, hour, day, month, weekday)| [minute, hour, day, month, weekday].join(" "));
    let others = select(vec!["@daily", "@hourly", "@reboot", "@", "0 9 * *"]).prop_map(str::to_string);
    let written = prop_oneof![8 => five, 1 => text(3), 1 => others];
    let zones = ["UTC", "America/New_York", "Australia/Lord_Howe"].map(zone).to_vec();
    // The last two are where clocks go forward and back.
    let starts = ["2026-03-10T16:00:00Z", "2026-03-08T06:59:59Z", "2026-11-01T05:30:00Z"].map(at).to_vec();
    every(250, (written, select(zones), select(starts)), |(cron, zone, start)| {
        let Ok(recurrence) = Recurrence::parse(&cron, zone, None) else { return Ok(()) };
        let says_something = |field: &str| field.contains(|c: char| c.is_ascii_alphanumeric() || matches!(c, '*' | '?'));
        // In a field of commas nothing is ever found, after a long search.
        prop_assert!(cron.split_whitespace().all(says_something), "{cron:?} is accepted");
        let mut last = start;
        for _ in 0..3 {
            let Some(next) = recurrence.next_after(last) else { break };
            prop_assert!(next > last, "{next} after {last}");
            last = next;
        }
        Ok(())
    });
}

#[test]
fn a_template_filled_with_its_own_variables_has_the_same_ones() {
    let written = prop_oneof![
        text(12),
        vec(
            select(vec!["Hi ", "{name}", "{{name}}", "{nick|there}", "{x|}", "{a_1}", "{", "}", "}}", "{}", "{a b}", "{é}"]),
            0..8
        )
        .prop_map(|parts| parts.concat()),
    ];
    every(1_000, written, |source| {
        let template = match Template::parse(&source) {
            Ok(template) => template,
            Err(error) => {
                let (TemplateError::Unclosed(at) | TemplateError::BadName(_, at)) = error;
                prop_assert!((1..=source.chars().count()).contains(&at));
                prop_assert!(error.to_string().chars().count() <= 200, "{error}");
                return Ok(());
            }
        };
        prop_assert_eq!(template.as_str(), &source);
        let variables = template.variables();
        prop_assert_eq!(variables.is_empty(), !source.contains('{'));
        let filled = template.render(|name| Some(Cow::Owned(format!("{{{name}}}")))).unwrap();
        let again = Template::parse(&filled).unwrap();
        prop_assert_eq!(again.variables(), variables);
        let needed = template.missing(|_| None);
        prop_assert_eq!(template.render(|_| None).is_ok(), needed.is_empty(), "{:?}", needed);
        Ok(())
    });
}

/// Whoever fetches an accepted URL fetches what was looked at.
#[test]
fn a_url_is_refused_once_it_could_be_read_in_two_ways() {
    const ACCEPTED: &[&str] = &[
        "https://example.com/a.jpg",
        "http://media.example.com:8080/x/y?z=1#top",
        "https://8.8.8.8/a.jpg",
        "HTTPS://Example.com",
        "https://[2606:4700::1111]/a",
    ];
    assert!(ACCEPTED.iter().all(|url| media::check(url).is_ok()));
    every(
        400,
        (select(ACCEPTED), any::<Index>(), select(vec![" ", "\t", "\n", "\0", "\\", "\u{a0}", "\u{85}"])),
        |(url, place, sign)| {
            let (before, after) = url.split_at(place.index(url.len() + 1));
            let (scheme, rest) = url.split_once("://").unwrap();
            for changed in [format!("{before}{sign}{after}"), format!("{scheme}://somebody@{rest}")] {
                prop_assert!(media::check(&changed).is_err(), "{changed:?}");
            }
            Ok(())
        },
    );
    every(400, text(8), |text| {
        for url in [text.clone(), format!("https://{text}"), format!("https://example.com{text}")] {
            let is_accepted = media::check(&url).is_ok();
            prop_assert!(!is_accepted || url.to_ascii_lowercase().starts_with("http"), "{url:?}");
            prop_assert!(!is_accepted || !url.contains(char::is_whitespace), "{url:?}");
        }
        Ok(())
    });
}
