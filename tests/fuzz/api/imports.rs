//! Files that come through the API: a school's tables and calendars, a campaign's customers.

use axum::http::{Method, StatusCode};
use proptest::prelude::*;
use serde_json::Value;

use super::{Api, Request};
use crate::fuzz::calendars::SERIES;
use crate::fuzz::garbage::{Raw, damage, damaged};
use crate::fuzz::{every, few_rows, lines};

fn posted(path: &str, content_type: &'static str, file: Vec<u8>) -> Request {
    Request::with_body(Method::POST, path, content_type, file)
}

/// Whether an import of so few rows is over, and tells of lines that the file has.
fn is_over(job: &Value, last: u64) -> bool {
    let errors = job["errors"].as_array().unwrap();
    let has_lines = errors.iter().all(|error| error["line"].as_u64().is_none_or(|line| (1..=last).contains(&line)));
    job["state"] == "done" && job["done"] == job["total"] && has_lines
}

#[test]
fn a_damaged_table_is_imported_row_by_row() {
    let api = Api::new();
    for (path, file) in
        [("/contacts/import", "contacts.csv"), ("/lessons/import", "lessons.csv"), ("/payments/import", "payments.csv")]
    {
        every(25, damaged(vec![few_rows(file)]), |Raw(bytes)| {
            let last = lines(&bytes);
            let answer = api.ask(posted(path, "text/csv", bytes));
            prop_assert!(answer.is_honest(), "{answer:?}");
            if answer.status == StatusCode::ACCEPTED {
                let job = answer.json();
                prop_assert!(is_over(&job, last), "{job}");
                let rows = job["total"].as_u64().unwrap() + job["refused"].as_u64().unwrap();
                prop_assert!(rows < last, "{job}");
            }
            Ok(())
        });
    }
}

#[test]
fn a_damaged_calendar_is_imported_event_by_event() {
    let api = Api::new();
    every(20, damaged(vec![SERIES.into()]), |Raw(bytes)| {
        let last = lines(&bytes);
        let answer = api.ask(posted("/lessons/import", "text/calendar", bytes));
        prop_assert!(answer.is_honest(), "{answer:?}");
        let job = answer.json();
        prop_assert!(answer.status != StatusCode::ACCEPTED || is_over(&job, last), "{job}");
        Ok(())
    });
}

/// A file may be as large as a request, and all of it may stand in one place of it: an item of the table holds less.
#[test]
fn a_file_with_more_in_one_place_than_an_item_holds_is_refused_or_imported() {
    let api = Api::new();
    let long = "x".repeat(500_000);
    let columns: String = (0..20_000).map(|at| format!(",column of the school {at}")).collect();
    for file in [
        format!("id,name,phone\nA,{long},2125550161\n"),
        format!("id,name,phone\nA,Ana,{long}\n"),
        format!("id,name,phone\nA,\"{}", "Ana,2125550161\n".repeat(40_000)),
        format!("id,name,phone,{long}\nA,Ana,2125550161,x\n"),
        format!("id,name,phone{columns}\nA,Ana,2125550161\n"),
    ] {
        let start: String = file.chars().take(40).collect();
        let last = lines(file.as_bytes());
        let answer = api.ask(posted("/contacts/import", "text/csv", file.into_bytes()));
        assert!(answer.is_honest(), "{start}…: {}", answer.status);
        assert!(answer.status != StatusCode::ACCEPTED || is_over(&answer.json(), last), "{start}…");
        assert!(answer.body.0.len() <= 50_000, "{start}…: {} bytes", answer.body.0.len());
    }
}

const CUSTOMERS: &str = "Phone Number,Customer Name,Last Order Date\n(212) 555-0161,Ana Ruiz,2026-01-09\n\
                         212-555-0162;x,\"Osei, Ben\",soon\n,Nobody,\n(212) 555-0161,Ana,\n";

/// As a page posts it.
fn form(file: &[u8]) -> Vec<u8> {
    let head = "--fuzz\r\nContent-Disposition: form-data; name=\"body\"\r\n\r\nLinden: hi {name|there}. Reply STOP.\r\n\
                --fuzz\r\nContent-Disposition: form-data; name=\"customerList\"; filename=\"a.csv\"\r\n\
                Content-Type: text/csv\r\n\r\n";
    [head.as_bytes(), file, b"\r\n--fuzz--\r\n"].concat()
}

#[test]
fn every_customer_of_a_damaged_file_gets_a_message_or_a_reason() {
    let api = Api::new();
    every(60, (damaged(vec![CUSTOMERS.into()]), damage(), 0u8..3), |(Raw(file), damage, is_damaged)| {
        let form = form(&file);
        let Raw(form) = if is_damaged == 0 { damage.done_to(&form) } else { Raw(form) };
        let answer = api.ask(posted("/campaigns/preview", "multipart/form-data; boundary=fuzz", form));
        prop_assert!(answer.is_honest(), "{answer:?}");
        if answer.status == StatusCode::OK {
            let plan = &answer.json()["plan"];
            let excluded = plan["excluded"].as_object().unwrap().values().map(|count| count.as_u64().unwrap());
            prop_assert_eq!(plan["rows"].as_u64(), Some(plan["going"].as_u64().unwrap() + excluded.sum::<u64>()), "{}", plan);
        }
        Ok(())
    });
}
