//! What opens something: a place in a listing, the claims of a token, the link of a page.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::SignedDuration;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;
use shared::store::contacts;
use shared::usecases::preferences_link::{read_link, sign_link};

use super::{Api, Request, encoded};
use crate::fuzz::every;
use crate::fuzz::garbage::{Raw, damaged, text, with_one_changed};
use crate::machine::tenant;

const LISTINGS: &[&str] = &[
    "/messages?",
    "/messages?order=latest&",
    "/calls?",
    "/contacts?",
    "/contacts?group=Strings&",
    "/groups/Strings?",
    "/templates?",
    "/templates/order_ready/versions?",
    "/lessons?",
    "/payments?",
    "/campaigns?",
    "/conversations?",
    "/opt-outs?",
    "/audit?",
];

#[test]
fn a_cursor_is_a_place_or_refused_by_its_name() {
    const PLACES: [&str; 8] = [
        "2026-03-10T16:00:00Z#msg_00000000000000000000000000000000",
        "2026-03-10T16:00:00.000Z#x",
        "2026-03-11#L01",
        "-009999-01-03T00:00:00Z#x",
        "S01",
        "Strings#S01",
        "order_ready",
        "3 7",
    ];
    let places = PLACES.map(|place| place.as_bytes().to_vec()).to_vec();
    let made = damaged(places).prop_map(|Raw(place)| URL_SAFE_NO_PAD.encode(place));
    let api = Api::new();
    every(250, (select(LISTINGS), prop_oneof![3 => made, 1 => text(4)]), |(listing, cursor)| {
        let answer = api.ask(Request::get(&format!("{listing}cursor={}", encoded(&cursor))));
        prop_assert!(answer.is_honest(), "{answer:?}");
        if answer.status.as_u16() == 422 {
            let problem = answer.json();
            prop_assert_eq!(&problem["errors"][0]["field"], "cursor");
        }
        Ok(())
    });
}

#[test]
fn nobody_sees_what_is_not_their_own() {
    const TENANTS: &[&str] = &["sample", "sample", "Sample", "sample ", "other", "", "*", "sample,other"];
    const ROLES: &[&str] = &["viewer", "staff", "admin", "Admin", "admin ", "platform", "", "viewer,admin"];
    let claims = (option::weighted(0.9, select(TENANTS)), option::weighted(0.9, select(ROLES)), text(2));
    let api = Api::new();
    every(250, (claims, select(vec!["sample", "sample", "Sample", "other", "*"])), |((tenant, role, subject), path)| {
        let is_own =
            path == "sample" && tenant == Some(path) && role.is_some_and(|role| ["viewer", "staff", "admin"].contains(&role));
        let mut claims = json!({ "sub": subject });
        for (name, value) in [("tenant", tenant), ("role", role)] {
            if let Some(value) = value {
                claims[name] = json!(value);
            }
        }
        let request = Request { path: format!("/v1/tenants/{path}/contacts"), claims: Some(claims), ..Request::get("") };
        let answer = api.ask(request);
        prop_assert!(answer.is_honest(), "{answer:?}");
        prop_assert_eq!(answer.status.is_success(), is_own, "{:?}", answer.status);
        prop_assert!(is_own || matches!(answer.status.as_u16(), 401 | 403 | 404), "{}", answer.status);
        Ok(())
    });
}

#[test]
fn a_link_opens_letter_by_letter_and_until_it_expires() {
    let api = Api::new();
    let (cx, now) = (&api.host.cx, api.host.clock.now());
    let token = api.runtime.block_on(async {
        let contact = contacts::get(cx.table().await.unwrap(), &tenant(), "S01").await.unwrap().unwrap();
        sign_link(cx, &tenant(), &contact, now + SignedDuration::from_hours(1)).await.unwrap()
    });
    let opens = |token: &str, at| api.runtime.block_on(read_link(cx, token, at)).unwrap().is_some();
    assert!(opens(&token, now) && !opens(&token, now + SignedDuration::from_hours(2)));
    every(150, (any::<Index>(), any::<char>(), text(6)), |(place, to, text)| {
        let other = with_one_changed(&token, place, to);
        prop_assert_eq!(opens(&other, now), other == token, "{:?}", other);
        prop_assert!(!opens(&text, now));
        let answer = api.ask(Request { path: format!("/v1/preferences/{}", encoded(&other)), claims: None, ..Request::get("") });
        prop_assert!(answer.is_honest(), "{answer:?}");
        prop_assert_eq!(answer.status.is_success(), other == token, "{:?}", other);
        Ok(())
    });
}
