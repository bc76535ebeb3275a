//! What a body is billed as: GSM-7 or UCS-2, and in how many segments.
//!
//! Source of the alphabet and the limits: 3GPP TS 23.038, §6.2.1.

use serde::Serialize;

/// How a body travels; one character outside GSM-7 makes the whole body UCS-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Encoding {
    #[serde(rename = "GSM-7")]
    Gsm7,
    #[serde(rename = "UCS-2")]
    Ucs2,
}

/// The ASCII characters that are one septet in GSM-7.
const BASIC: &str = "\n\r !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

/// The ASCII characters that are two septets, an escape and a letter.
const EXTENSION: &str = "\u{c}[\\]^{|}~";

/// How many septets each ASCII character takes: very many texts are counted.
static ASCII: [u8; 128] = {
    let mut widths = [0; 128];
    let (basic, extension) = (BASIC.as_bytes(), EXTENSION.as_bytes());
    let mut at = 0;
    while at < basic.len() {
        widths[basic[at] as usize] = 1;
        at += 1;
    }
    at = 0;
    while at < extension.len() {
        widths[extension[at] as usize] = 2;
        at += 1;
    }
    widths
};

/// Which encoding `body` needs.
pub fn encoding(body: &str) -> Encoding {
    if body.chars().all(is_gsm7) { Encoding::Gsm7 } else { Encoding::Ucs2 }
}

/// How many segments `body` is billed as.
///
/// GSM-7 fits 160 septets in one segment, 153 in each of several; UCS-2 fits 70 and 67 UTF-16
/// units. Neither an escaped character nor a surrogate pair is ever split between two segments,
/// so a long body can need one more than its length divided by the limit. An empty body is one.
pub fn segments(body: &str) -> u32 {
    match encoding(body) {
        Encoding::Gsm7 => pack(body.chars().map(septets), 160, 153),
        Encoding::Ucs2 => pack(body.chars().map(|c| c.len_utf16() as u32), 70, 67),
    }
}

/// Whether GSM-7 has a character.
pub fn is_gsm7(c: char) -> bool {
    septets(c) > 0
}

/// 0 for a character that GSM-7 does not have.
fn septets(c: char) -> u32 {
    match c {
        '\0'..='\x7f' => u32::from(ASCII[c as usize]),
        '¡' | '£' | '¤' | '¥' | '§' | '¿' | 'Ä' | 'Å' | 'Æ' | 'Ç' | 'É' | 'Ñ' | 'Ö' | 'Ø' | 'Ü' | 'ß' | 'à' | 'ä' | 'å' | 'æ'
        | 'è' | 'é' | 'ì' | 'ñ' | 'ò' | 'ö' | 'ø' | 'ù' | 'ü' | 'Γ' | 'Δ' | 'Θ' | 'Λ' | 'Ξ' | 'Π' | 'Σ' | 'Φ' | 'Ψ' | 'Ω' => {
            1
        }
        '€' => 2,
        _ => 0,
    }
}

fn pack(units: impl Iterator<Item = u32> + Clone, single: u32, each: u32) -> u32 {
    if units.clone().sum::<u32>() <= single {
        return 1;
    }
    let mut segments = 1;
    let mut used = 0;
    for width in units {
        if used + width > each {
            segments += 1;
            used = 0;
        }
        used += width;
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_packed_not_divided() {
        assert_eq!(segments(""), 1);
        assert_eq!(segments(&"a".repeat(160)), 1);
        assert_eq!(segments(&"a".repeat(161)), 2);
        assert_eq!(segments(&"€".repeat(80)), 1);
        let straddles = format!("{}|{}", "a".repeat(152), "a".repeat(152));
        assert_eq!(segments(&straddles), 3, "an escape pair is not split (lessons B9)");
        let straddles = format!("{0}😀{0}", "á".repeat(66));
        assert_eq!(segments(&straddles), 3, "a surrogate pair is not split (lessons B9)");
    }

    /// The alphabet as 3GPP has it, in the order of its tables.
    const ONE: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§\
¿abcdefghijklmnopqrstuvwxyzäöñüà";
    const TWO: &str = "\u{c}^{}\\[~]|€";

    #[test]
    fn every_character_takes_as_many_septets_as_the_alphabet_says() {
        assert_eq!((ONE.chars().count(), TWO.chars().count()), (127, 10));
        for c in '\0'..='\u{ffff}' {
            let listed = if TWO.contains(c) { 2 } else { u32::from(ONE.contains(c)) };
            assert_eq!(septets(c), listed, "{c:?}");
        }
        assert_eq!(encoding("ç"), Encoding::Ucs2);
        assert_eq!(encoding("`"), Encoding::Ucs2);
        assert_eq!(encoding("😀"), Encoding::Ucs2);
    }
}
