//! Which country a number belongs to, by Google's metadata.

use rlibphonenumber::PHONE_NUMBER_UTIL;

use super::phone::PhoneNumber;

/// As ISO 3166 writes it: `US`. `None` for a number of no country's plan.
pub fn country(number: &PhoneNumber) -> Option<String> {
    let parsed = PHONE_NUMBER_UTIL.parse(number.e164(), None).ok()?;
    PHONE_NUMBER_UTIL.get_region_for_number(&parsed).map(|region| region.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn countries_that_share_a_prefix_are_told_apart() {
        for (number, expected) in [("+12125550161", Some("US")), ("+16135550161", Some("CA")), ("+442079460958", Some("GB"))] {
            assert_eq!(country(&PhoneNumber::from_e164(number).unwrap()).as_deref(), expected, "{number}");
        }
        assert_eq!(country(&PhoneNumber::from_e164("+15551234567").unwrap()), None, "area code 555 is nobody's");
    }
}
