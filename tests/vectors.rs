//! Vectors from elsewhere: Twilio's segment calculator, Google's phone library, Twilio's SDKs.

use serde_json::Value;
use shared::domain::phone::{self, Length, PhoneNumber, Region, Strictness};
use shared::domain::segments::{Encoding, encoding, segments};
use shared::domain::smart_encoding::smart_encoded;
use shared::twilio::signature::{Algorithm, verify, verify_json};

fn lines(file: &str) -> Vec<Value> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(file);
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn segments_agree_with_twilios_calculator() {
    for vector in lines("segments.jsonl") {
        let body = vector["body"].as_str().unwrap();
        let body = if vector["smart"] == true { smart_encoded(body) } else { body.to_string() };
        let name = match encoding(&body) {
            Encoding::Gsm7 => "GSM-7",
            Encoding::Ucs2 => "UCS-2",
        };
        assert_eq!(name, vector["encoding"], "{vector}");
        assert_eq!(segments(&body), vector["segments"], "{vector}");
    }
}

#[test]
fn phone_numbers_agree_with_libphonenumber() {
    for vector in lines("phones.jsonl") {
        let region = vector["region"].as_str().map(|region| Region::try_from(region.to_string()).unwrap());
        let reading = phone::read(vector["input"].as_str().unwrap(), region.as_ref());
        assert_eq!(reading.as_ref().map(|reading| reading.e164.as_str()), vector["parsed"].as_str(), "{vector}");
        let Some(reading) = reading else { continue };
        assert_eq!(reading.length == Length::Possible, vector["reason"] == "IS_POSSIBLE", "{vector}");
        assert_eq!(reading.length != Length::Impossible, vector["possible"] == true, "{vector}");
        assert_eq!(reading.valid, vector["valid"] == true, "{vector}");
        assert_eq!(reading.valid.then_some(reading.e164.as_str()), vector["e164"].as_str(), "{vector}");
    }
}

/// What we make of the same inputs: possible ones are accepted by default, valid ones by the strict.
#[test]
fn our_two_levels_follow_the_vectors() {
    for vector in lines("phones.jsonl") {
        let Some(region) = vector["region"].as_str() else { continue };
        let region = Region::try_from(region.to_string()).unwrap();
        let input = vector["input"].as_str().unwrap();
        if input.to_lowercase().contains("whatsapp") || input.chars().count() > 250 {
            continue; // we strip the prefix and the blanks, which the library does not
        }
        let strict = PhoneNumber::parse(input, &region, Strictness::Valid).ok();
        assert_eq!(strict.as_ref().map(PhoneNumber::e164), vector["e164"].as_str(), "{vector}");
        if vector["reason"] == "IS_POSSIBLE" {
            let number = PhoneNumber::parse(input, &region, Strictness::Possible).unwrap();
            assert_eq!((number.e164(), number.is_valid()), (vector["parsed"].as_str().unwrap(), vector["valid"] == true));
        }
    }
}

#[test]
fn signatures_are_accepted_as_twilios_sdks_accept_them() {
    for vector in lines("signatures.jsonl") {
        let text = |field: &str| vector[field].as_str().unwrap();
        let pair = |pair: &Value| (pair[0].as_str().unwrap().to_string(), pair[1].as_str().unwrap().to_string());
        let params: Vec<(String, String)> = vector["params"].as_array().into_iter().flatten().map(pair).collect();
        let accepted = match (Algorithm::from_settings(vector["signature_settings_header"].as_str()), vector["body"].as_str()) {
            (None, _) => false,
            (Some(algorithm), Some(body)) => {
                verify_json(algorithm, [text("auth_token")], text("url"), body.as_bytes(), text("signature"))
            }
            (Some(algorithm), None) => verify(algorithm, [text("auth_token")], text("url"), &params, text("signature")),
        };
        assert_eq!(accepted, vector["valid"] == true, "{vector}");
    }
}

/// The local Twilio signs as Twilio does: what it signs is what the vectors of Twilio's SDKs have, byte for byte.
#[test]
fn the_local_twilio_signs_as_twilios_sdks_do() {
    let mut signed = 0;
    for vector in lines("signatures.jsonl") {
        let text = |field: &str| vector[field].as_str().unwrap();
        // Those whose URL was signed as it stands, by the token alone.
        let is_plain = vector["valid"] == true && vector["body"].is_null() && vector["signature_settings_header"].is_null();
        let url = vector["signed_url"].as_str().unwrap_or(text("url"));
        if !is_plain || url.contains('#') || url.contains('@') {
            continue;
        }
        let pair = |pair: &Value| (pair[0].as_str().unwrap().to_string(), pair[1].as_str().unwrap().to_string());
        let params: Vec<(String, String)> = vector["params"].as_array().into_iter().flatten().map(pair).collect();
        let ours = local::twilio::sign(text("auth_token"), url, &params);
        if ours == text("signature") {
            signed += 1;
        } else {
            // Signed with or without its port, which the verifier allows for.
            assert!(verify(Algorithm::Sha1, [text("auth_token")], text("url"), &params, text("signature")), "{vector}");
        }
    }
    assert!(signed >= 20, "{signed}");
}
