//! What is signed or sealed: it passes as it was, and not with anything else in one place of it.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::{SignedDuration, Timestamp};
use local::tokens::{self, TokenKey};
use local::twilio::sign;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use ring::digest;
use shared::store::seal::{KeySecret, Keyring};
use shared::twilio::signature::{Algorithm, verify, verify_json};

use super::every;
use super::garbage::{Raw, damage, raw, text, with_one_changed};

const TOKEN: &str = "a token of this school's";
const WEBHOOK: &str = "https://hooks.example/twilio/sample/status";

fn is_good(url: &str, params: &[(String, String)], signature: &str) -> bool {
    verify(Algorithm::Sha1, [TOKEN], url, params, signature)
}

fn url() -> impl Strategy<Value = String> {
    "https://hooks[.]example/twilio/sample/[a-z/]{0,12}([?][a-z0-9=&%]{0,20})?"
}

fn params() -> impl Strategy<Value = Vec<(String, String)>> {
    vec(("[A-Za-z0-9]{1,8}", ".{1,8}"), 1..5)
}

#[test]
fn a_signature_is_good_for_the_url_that_was_signed() {
    every(300, (url(), params(), any::<Index>(), any::<char>()), |(url, params, place, to)| {
        let signature = sign(TOKEN, &url, &params);
        prop_assert!(is_good(&url, &params, &signature));
        prop_assert!(!verify(Algorithm::Sha1, ["another token"], &url, &params, &signature));
        let other = with_one_changed(&url, place, to);
        prop_assert_eq!(is_good(&other, &params, &signature), other == url, "{:?}", other);
        Ok(())
    });
}

/// Neither their order counts, nor how often a pair is there.
#[test]
fn a_signature_is_good_for_the_parameters_that_were_signed() {
    let change = (any::<Index>(), any::<bool>(), any::<Index>(), any::<char>());
    every(300, (url(), params(), change), |(url, params, (pair, is_name, place, to))| {
        let signature = sign(TOKEN, &url, &params);
        let mut again: Vec<(String, String)> = params.iter().rev().cloned().collect();
        again.push(params[0].clone());
        prop_assert!(is_good(&url, &again, &signature));
        let mut others = params.clone();
        let (name, value) = &mut others[pair.index(params.len())];
        let changed = if is_name { name } else { value };
        *changed = with_one_changed(changed, place, to);
        let is_same = BTreeSet::from_iter(&others) == BTreeSet::from_iter(&params);
        prop_assert_eq!(is_good(&url, &others, &signature), is_same, "{:?}", others);
        Ok(())
    });
}

#[test]
fn no_other_signature_is_good() {
    let signature = sign(TOKEN, WEBHOOK, &[]);
    assert!(is_good(WEBHOOK, &[], &signature));
    every(500, (any::<Index>(), any::<char>(), text(6)), |(place, to, text)| {
        let other = with_one_changed(&signature, place, to);
        prop_assert_eq!(is_good(WEBHOOK, &[], &other), other == signature, "{:?}", other);
        prop_assert!(!is_good(WEBHOOK, &[], &text));
        Ok(())
    });
}

#[test]
fn a_body_of_json_is_good_as_its_url_has_its_hash() {
    let bare = sign(TOKEN, WEBHOOK, &[]);
    every(300, (raw(), damage()), |(Raw(body), damage)| {
        let hash = digest::digest(&digest::SHA256, &body);
        let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let url = format!("{WEBHOOK}?bodySHA256={hash}");
        let signature = sign(TOKEN, &url, &[]);
        let is_good = |body: &[u8]| verify_json(Algorithm::Sha1, [TOKEN], &url, body, &signature);
        prop_assert!(is_good(&body));
        let Raw(other) = damage.done_to(&body);
        prop_assert_eq!(is_good(&other), other == body);
        prop_assert!(!verify_json(Algorithm::Sha1, [TOKEN], WEBHOOK, &body, &bare));
        Ok(())
    });
}

#[test]
fn a_token_of_this_machine_is_good_letter_by_letter_and_for_a_month() {
    let key = TokenKey::new(b"a key of this installation");
    let now: Timestamp = "2026-03-10T16:00:00Z".parse().unwrap();
    let token = tokens::mint(&key, "sample", "staff", now).unwrap();
    assert!(tokens::verify(&key, &token, now + SignedDuration::from_hours(24 * 31)).is_none());
    every(500, (any::<Index>(), any::<char>(), text(8)), |(place, to, text)| {
        let other = with_one_changed(&token, place, to);
        prop_assert_eq!(tokens::verify(&key, &other, now).is_some(), other == token, "{:?}", other);
        prop_assert!(tokens::verify(&key, &text, now).is_none());
        Ok(())
    });
}

fn keyring() -> Keyring {
    let key = |byte: u8| BASE64.encode([byte; 32]);
    let keys = BTreeMap::from([("k1".to_string(), key(1)), ("k2".to_string(), key(2))]);
    Keyring::new(&KeySecret { current: "k2".to_string(), keys, hash: key(3) }).unwrap()
}

#[test]
fn a_sealed_field_opens_in_its_place_and_as_it_is() {
    let keyring = keyring();
    every(400, (text(2), text(2), raw(), any::<Index>(), 1u8..=255), |(place, other, Raw(plain), at, bits)| {
        let sealed = keyring.seal(&place, &plain);
        prop_assert_eq!(keyring.open(&place, &sealed), Ok(plain.clone()));
        prop_assert_eq!(keyring.open(&other, &sealed).is_ok(), other == place);
        let mut changed = sealed.clone();
        changed[at.index(sealed.len())] ^= bits;
        prop_assert!(keyring.open(&place, &changed).is_err());
        prop_assert!(keyring.open(&place, &plain).is_err());
        Ok(())
    });
}

#[test]
fn what_is_signed_for_a_purpose_is_good_for_that_alone() {
    let keyring = keyring();
    every(400, (text(2), text(5), any::<Index>(), any::<char>()), |(purpose, text, place, to)| {
        let signature = keyring.sign(&purpose, &text);
        prop_assert!(keyring.is_signed(&purpose, &text, &signature));
        let other = with_one_changed(&signature, place, to);
        prop_assert_eq!(keyring.is_signed(&purpose, &text, &other), other == signature, "{:?}", other);
        // Where the one ends and the other begins is signed as well.
        prop_assert_eq!(keyring.is_signed(&(purpose + &text), "", &signature), text.is_empty());
        Ok(())
    });
}
