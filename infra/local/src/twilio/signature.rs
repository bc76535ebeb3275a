//! `X-Twilio-Signature`, as Twilio makes it. Checking it is the product's business.
//!
//! Source: twilio.com/docs/usage/security, and the validators of Twilio's Python and Node SDKs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// Signs a POST of `params` to `url`, which has no fragment.
///
/// Parameters are sorted by name, then value; a pair that repeats counts once.
pub fn sign(auth_token: &str, url: &str, params: &[(String, String)]) -> String {
    let mut pairs: Vec<&(String, String)> = params.iter().collect();
    pairs.sort_unstable();
    pairs.dedup();
    let mut text = url.to_owned();
    for (name, value) in pairs {
        text.push_str(name);
        text.push_str(value);
    }
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, auth_token.as_bytes());
    STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_worked_example_of_twilios_documentation() {
        let params = params(&[
            ("Digits", "1234"),
            ("To", "+18005551212"),
            ("From", "+14158675310"),
            ("Caller", "+14158675310"),
            ("CallSid", "CA1234567890ABCDE"),
        ]);

        let signature = sign("12345", "https://example.com/myapp.php?foo=1&bar=2", &params);

        assert_eq!(signature, "L/OH5YylLD5NRKLltdqwSvS0BnU=");
    }

    #[test]
    fn values_of_one_name_are_sorted() {
        let params = params(&[("A", "2"), ("A", "1")]);

        let signature = sign("1c892n40nd03kdnc0112slzkl3091j20", "https://hooks.example.com/t/acme/inbound", &params);

        assert_eq!(signature, "Wd1a8bxtZASOsvAvX+6/zGZPKdc=");
    }

    #[test]
    fn a_request_without_parameters_signs_its_url() {
        let signature = sign("1c892n40nd03kdnc0112slzkl3091j20", "https://hooks.example.com/x", &[]);

        assert_eq!(signature, "QS0ydL6YuXTLtiJxmlT2FasU5f8=");
    }
}
