//! The numbers that are for sale: made up, and always the same ones.
//!
//! Each is one of those that its country sets aside for fiction, so it is nobody's: NANP 555-01XX, Ofcom's and
//! the Bundesnetzagentur's numbers for drama, the ACMA's for creative works. Which country asks for an address,
//! and what a number can do, is made up as well: enough that both happen.

use super::phone_number::Capabilities;

/// A number for sale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) phone_number: String,
    pub(super) capabilities: Capabilities,
    pub(super) address_requirements: &'static str,
}

/// The numbers of one kind in one country.
struct Stock {
    country: &'static str,
    kind: &'static str,
    /// What stands before the last two digits.
    blocks: &'static [&'static str],
}

const TOLL_FREE_BLOCKS: &[&str] = &["+180055501", "+188855501", "+187755501", "+186655501", "+185555501"];

const STOCKS: [Stock; 10] = [
    Stock {
        country: "US",
        kind: "Local",
        blocks: &["+141555501", "+121255501", "+131255501", "+151255501", "+120655501", "+180855501", "+130555501"],
    },
    Stock { country: "US", kind: "TollFree", blocks: TOLL_FREE_BLOCKS },
    Stock { country: "CA", kind: "Local", blocks: &["+141655501", "+160455501", "+151455501"] },
    Stock { country: "CA", kind: "TollFree", blocks: TOLL_FREE_BLOCKS },
    Stock { country: "GB", kind: "Local", blocks: &["+4420794600", "+4416149600"] },
    Stock { country: "GB", kind: "Mobile", blocks: &["+4477009000"] },
    Stock { country: "GB", kind: "TollFree", blocks: &["+4480815700"] },
    Stock { country: "DE", kind: "Local", blocks: &["+4930231250"] },
    Stock { country: "AU", kind: "Local", blocks: &["+612555000"] },
    Stock { country: "AU", kind: "Mobile", blocks: &["+614915700"] },
];

/// Area codes of Canada, in which the United States have no numbers.
const CANADIAN: [&str; 24] = [
    "204", "226", "236", "250", "289", "306", "343", "403", "416", "418", "437", "438", "450", "506", "514", "519", "604", "613",
    "647", "705", "778", "819", "902", "905",
];
const TOLL_FREE: [&str; 8] = ["800", "822", "833", "844", "855", "866", "877", "888"];
/// The area code in which nothing is for sale, as with Twilio's test credentials; and one that is no area's.
const SOLD_OUT: [&str; 2] = ["533", "555"];

/// What is for sale of a kind in a country; none if there is no such kind there. An area code is heeded only
/// where numbers begin with +1.
pub(super) fn offers(country: &str, kind: &str, area_code: Option<&str>) -> Option<Vec<Offer>> {
    let stock = STOCKS.iter().find(|stock| stock.country == country && stock.kind == kind)?;
    let area_code = area_code.filter(|_| matches!(country, "US" | "CA"));
    let blocks: Vec<String> = match area_code {
        Some(area) if is_sold(country, kind, area) => vec![format!("+1{area}55501")],
        Some(_) => Vec::new(),
        None => stock.blocks.iter().map(|block| (*block).to_owned()).collect(),
    };
    Some(blocks.iter().flat_map(|block| of_block(block)).collect())
}

/// Whether `text` can be an area code at all.
pub(super) fn is_area_code(text: &str) -> bool {
    text.len() == 3
        && text.starts_with(|first: char| ('2'..='9').contains(&first))
        && text.bytes().all(|digit| digit.is_ascii_digit())
}

/// Whose address is asked for by who buys a number.
pub(super) fn address_requirements(phone_number: &str) -> &'static str {
    if phone_number.starts_with("+49") {
        "local"
    } else if phone_number.starts_with("+61") {
        "any"
    } else {
        "none"
    }
}

/// What a number can do. Of those that begin with +1, one in ten takes no pictures, and one no messages at all.
pub(super) fn capabilities(phone_number: &str) -> Capabilities {
    let all = Capabilities::ALL;
    if phone_number.starts_with("+1") {
        let is_offered = phone_number.get(5..10) == Some("55501");
        return match phone_number.bytes().last() {
            Some(b'8') if is_offered => Capabilities { mms: false, ..all },
            Some(b'9') if is_offered => Capabilities { sms: false, mms: false, ..all },
            _ => all,
        };
    }
    let is_mobile = ["+447", "+491", "+614"].iter().any(|prefix| phone_number.starts_with(prefix));
    Capabilities { sms: is_mobile, mms: false, ..all }
}

/// Whether a number has in it what is looked for: digits, letters as on a telephone's keys, `*` for any digit;
/// after a `+`, at its beginning.
pub(super) fn contains(phone_number: &str, pattern: &str) -> bool {
    let digits: Vec<u8> = phone_number.bytes().filter(u8::is_ascii_digit).collect();
    let wanted: Vec<u8> = pattern.trim_start_matches('+').bytes().map(key).collect();
    if wanted.is_empty() {
        return true;
    }
    let fits = |window: &[u8]| window.iter().zip(&wanted).all(|(digit, wanted)| *wanted == b'*' || digit == wanted);
    let places = if pattern.starts_with('+') { 1 } else { usize::MAX };
    digits.windows(wanted.len()).take(places).any(fits)
}

fn of_block(block: &str) -> impl Iterator<Item = Offer> {
    // People in examples have the lower numbers.
    (50..100).chain(0..50).map(move |last: u8| {
        let phone_number = format!("{block}{last:02}");
        Offer {
            capabilities: capabilities(&phone_number),
            address_requirements: address_requirements(&phone_number),
            phone_number,
        }
    })
}

/// Whether numbers of that kind have that area code in that country.
fn is_sold(country: &str, kind: &str, area: &str) -> bool {
    let is_canadian = CANADIAN.contains(&area);
    let is_right = match (TOLL_FREE.contains(&area), country) {
        (true, _) => kind == "TollFree",
        (false, "CA") => kind == "Local" && is_canadian,
        (false, _) => kind == "Local" && !is_canadian,
    };
    is_right && is_area_code(area) && !SOLD_OUT.contains(&area)
}

/// The digit of a letter's key.
fn key(character: u8) -> u8 {
    match character.to_ascii_lowercase() {
        b'a'..=b'c' => b'2',
        b'd'..=b'f' => b'3',
        b'g'..=b'i' => b'4',
        b'j'..=b'l' => b'5',
        b'm'..=b'o' => b'6',
        b'p'..=b's' => b'7',
        b't'..=b'v' => b'8',
        b'w'..=b'z' => b'9',
        other => other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn first(country: &str, kind: &str, area_code: Option<&str>) -> Option<String> {
        offers(country, kind, area_code)?.into_iter().next().map(|offer| offer.phone_number)
    }

    #[test]
    fn numbers_have_the_area_code_that_was_asked_for() {
        assert_eq!(first("US", "Local", Some("303")).as_deref(), Some("+13035550150"));
        assert_eq!(first("CA", "Local", Some("416")).as_deref(), Some("+14165550150"));
        assert_eq!(first("US", "TollFree", Some("888")).as_deref(), Some("+18885550150"));
        assert_eq!(first("GB", "Local", Some("303")).as_deref(), Some("+442079460050"));
        for (country, kind, area) in [
            ("US", "Local", "416"),
            ("CA", "Local", "303"),
            ("US", "Local", "800"),
            ("US", "TollFree", "303"),
            ("US", "Local", "533"),
            ("US", "Local", "555"),
            ("US", "Local", "12"),
        ] {
            assert_eq!(offers(country, kind, Some(area)), Some(Vec::new()), "{country} {kind} {area}");
        }
    }

    #[test]
    fn there_is_no_such_kind_everywhere() {
        assert!(offers("US", "Mobile", None).is_none());
        assert!(offers("XX", "Local", None).is_none());
        assert!(offers("us", "Local", None).is_none());
    }

    #[test]
    fn every_number_is_of_its_countrys_length_and_sold_once() {
        let lengths = [("+1", 12), ("+44", 13), ("+49", 13), ("+61", 12)];
        for stock in STOCKS {
            let offers = offers(stock.country, stock.kind, None).unwrap();
            let numbers: std::collections::HashSet<&str> = offers.iter().map(|offer| offer.phone_number.as_str()).collect();
            assert_eq!(numbers.len(), stock.blocks.len() * 100);
            for number in numbers {
                let (_, length) = lengths.iter().find(|(prefix, _)| number.starts_with(prefix)).unwrap();
                assert_eq!(number.len(), *length, "{number}");
            }
        }
    }

    #[test]
    fn not_every_number_can_do_everything() {
        let can = |number: &str| {
            let can = capabilities(number);
            (can.voice, can.sms, can.mms)
        };

        assert_eq!(can("+14155550150"), (true, true, true));
        assert_eq!(can("+14155550158"), (true, true, false));
        assert_eq!(can("+14155550159"), (true, false, false));
        assert_eq!(can("+15559990009"), (true, true, true));
        assert_eq!(can("+442079460050"), (true, false, false));
        assert_eq!(can("+447700900050"), (true, true, false));
    }

    #[test]
    fn a_pattern_is_looked_for_anywhere_or_after_a_plus_at_the_beginning() {
        let number = "+14155550150";

        for pattern in ["", "415", "4*5", "0150", "+1415", "+1*1", "jkl", "LJJ0"] {
            assert!(contains(number, pattern), "{pattern}");
        }
        for pattern in ["416", "+415", "01501", "141555501500", "415 555"] {
            assert!(!contains(number, pattern), "{pattern}");
        }
    }
}
