//! A list of numbers as people paste it (S1-25, S1-32, S1-37). What is a number, [`super::phone`] decides.

/// The entries of a list, trimmed, in order; empty ones are dropped, repeated ones are kept.
///
/// A new line, a tab (cells of a spreadsheet), a comma or a semicolon ends an entry: numbers have none of them.
pub fn split(text: &str) -> Vec<&str> {
    text.split(is_separator).map(|entry| entry.trim_matches(is_blank)).filter(|entry| !entry.is_empty()).collect()
}

fn is_separator(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\t' | ',' | ';' | '\u{2028}' | '\u{2029}')
}

/// White space, and what is copied along unseen: the BOM, zero-width characters, marks of direction
/// (phones put U+202A and U+202C around a contact's number).
fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_commas_and_semicolons_separate() {
        let both = ["+15551234567", "+15557654321"];

        assert_eq!(split("+15551234567\n+15557654321"), both); // S1-37
        assert_eq!(split("+15551234567,+15557654321"), both);
        assert_eq!(split("+15551234567; +15557654321"), both);
        assert_eq!(split("+15551234567\r\n+15557654321\r\n"), both);
        assert_eq!(split("+15551234567\t+15557654321"), both);
        assert_eq!(split("\t+15551234567 ,\r\n +15557654321;,\n\n;"), both);
    }

    #[test]
    fn a_number_keeps_what_people_write_in_it() {
        assert_eq!(split(" (555) 123-4567 , 555-123-4567\n1 555 123 "), ["(555) 123-4567", "555-123-4567", "1 555 123"]);
        assert_eq!(split("call the office\n+0987654321"), ["call the office", "+0987654321"]);
    }

    #[test]
    fn what_cannot_be_seen_is_trimmed() {
        assert_eq!(split("\u{feff}5551234567\n\u{200b}5557654321\u{200d}"), ["5551234567", "5557654321"]);
        assert_eq!(split("\u{202a}+1 555 123 4567\u{202c},\u{a0}\u{2060}"), ["+1 555 123 4567"]);
    }

    #[test]
    fn nothing_but_separators_is_an_empty_list() {
        for text in ["", " ", "\r\n", ",;,\n\t", "\u{feff}"] {
            assert_eq!(split(text), Vec::<&str>::new(), "{text:?}");
        }
    }

    #[test]
    fn order_and_repetition_are_kept() {
        assert_eq!(split("b,a,b"), ["b", "a", "b"]);
    }
}
