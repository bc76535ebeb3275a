//! The files of campaigns: in every form in which they come, in parts, and what is told of each row of one.

use axum::http::StatusCode;
use local::host::Host;
use serde_json::{Value, json};

use crate::campaigns::{
    SECOND, TICK, begin, complete, count, finish, look, number, pass, plan, preview, put_part, quick_machine, receive, report,
    rows, sent, text,
};
use crate::machine::{get_page, post_multipart, quiet_machine};

/// The records of a CSV file, as a spreadsheet reads them.
fn records(file: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut is_quoted = false;
    let mut chars = file.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if is_quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => record.push(std::mem::take(&mut cell)),
            '\n' if !is_quoted => {
                record.push(std::mem::take(&mut cell));
                records.push(std::mem::take(&mut record));
            }
            '\r' if !is_quoted => {}
            c => cell.push(c),
        }
    }
    records
}

/// A file as they are: S2-16, B12.
const MESSY: &str = concat!(
    "Name;Phone Number;Note\r\n",
    "\"Doe, John\";(212) 555-0001;hello\r\n",
    "\r\n",
    "\"Zoë\r\n",
    "Müller\";212.555.0002;\"a \"\"quoted\"\" note\"\r\n",
    "Ana;+12125550003;\r\n",
    ";;\r\n",
    "Ben;2125550001;the same as John's\r\n",
    ";+12125550004;nobody's\r\n",
    "Eve;12345;\r\n",
    "Joe;;\r\n",
    "=2+5;+12125550005;\r\n",
    "Kim;=1+1;\r\n",
    "Lou;+1-212-555-0006\r\n",
    "Ida;call the office;\r\n",
);
/// The line, and what becomes of it.
const OF_MESSY: [(u64, &str); 11] = [
    (2, ""),
    (4, ""),
    (6, ""),
    (8, "duplicate"),
    (9, "missing_variable"),
    (10, "invalid_number"),
    (11, "no_number"),
    (12, ""),
    (13, "invalid_number"),
    (14, ""),
    (15, "invalid_number"),
];

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(bytes).collect()
}

/// B12: how Excel, Numbers and old programs write the same file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_read_in_every_form_in_which_it_comes() {
    let host = quiet_machine(|_| {}).await;
    let fields = [("body", "Linden: hi {name}. Reply STOP.")];
    let shown = async |bytes: &[u8]| {
        let (status, mut shown) =
            post_multipart(&host, "staff", "/campaigns/preview", None, &fields, Some(("a.csv", bytes))).await;
        assert_eq!(status, StatusCode::OK, "{shown}");
        // A line ends in what the file has.
        let said = shown["samples"][1]["body"].as_str().unwrap().replace("\r\n", "\n");
        shown["samples"][1]["body"] = json!(said);
        shown
    };

    let plain = shown(MESSY.as_bytes()).await;

    assert_eq!((count(&plan(&plain)["rows"]), count(&plan(&plain)["going"])), (11, 5), "{plain}");
    assert_eq!(plain["samples"][1]["body"], "Linden: hi Zoë\nMüller. Reply STOP.");
    let latin: Vec<u8> = MESSY.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let unix = MESSY.replace("\r\n", "\n");
    for (form, bytes) in [
        ("a BOM", format!("\u{feff}{MESSY}").into_bytes()),
        ("UTF-16", utf16(MESSY, u16::to_le_bytes)),
        ("UTF-16, the other way round", utf16(MESSY, u16::to_be_bytes)),
        ("Windows-1252", latin),
        ("LF", unix.clone().into_bytes()),
        ("no end of the last line", unix.trim_end().as_bytes().to_vec()),
        ("tabs", unix.replace(';', "\t").into_bytes()),
    ] {
        assert_eq!(shown(&bytes).await, plain, "{form}");
    }
    let commas = "name,phone\n\"Doe, John\",2125550001\n".as_bytes();
    let (_, one) = post_multipart(&host, "staff", "/campaigns/preview", None, &fields, Some(("a.csv", commas))).await;
    assert_eq!(one["samples"][0]["body"], "Linden: hi Doe, John. Reply STOP.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_column_of_numbers_is_found_by_its_name_or_told() {
    let host = quiet_machine(|_| {}).await;
    for header in ["Phone Number", "phone_number", "PHONE", "Phone-Number", "mobile", "Mobile Number", "Cell Phone", "\"phone\""]
    {
        let file = format!("Customer Name,{header},town\nAna,2125550001,Rome\n");
        let shown = preview(&host, &json!({ "body": "Hi {customer_name} of {Town}", "customerList": file })).await;
        assert_eq!(shown["samples"][0]["to"], number(1), "{header}");
        assert!(shown["samples"][0]["body"].as_str().unwrap().contains("Hi Ana of Rome"), "{shown}");
    }
    let two = "phone,Ruf Nr,name\n2125550001,2125550002,Ana\n";
    let told = json!({ "body": "Hi {name}", "customerList": two, "phoneColumn": "ruf_nr" });
    assert_eq!(preview(&host, &told).await["samples"][0]["to"], number(2));
    // Nor is a name always called so.
    for (header, variable) in
        [("name", "customer_name"), ("Full Name", "name"), ("Customer Name", "name"), ("First Name", "name")]
    {
        let asked = json!({ "body": format!("Hi {{{variable}}}"), "customerList": format!("{header},phone\nAna,2125550001\n") });
        let said = preview(&host, &asked).await["samples"][0]["body"].to_string();
        assert!(said.contains("Hi Ana"), "{variable} of {header}: {said}");
    }
}

/// S2-44, S2-52, S2-55; lessons B12 (formulas), B13, B14.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_report_accounts_for_every_row_by_its_line() {
    let host = quick_machine(|_| {}).await;
    let file = format!("\u{feff}{MESSY}");
    let id = begin(&host, &json!({ "body": "Linden: hi {name}. Reply STOP.", "customerList": file })).await;
    let done = finish(&host, &id).await;
    receive(&host).await;

    let all = rows(&host, &id).await;

    let told: Vec<(u64, &str)> = all.iter().map(|row| (count(&row["line"]), text(row, "reason"))).collect();
    assert_eq!(told, OF_MESSY);
    let numbered: Vec<u64> = all.iter().map(|row| count(&row["row"])).collect();
    assert_eq!(numbered, (0..11).collect::<Vec<u64>>());
    for row in &all {
        let goes = text(row, "reason").is_empty();
        assert_eq!(text(row, "outcome"), if goes { "delivered" } else { "excluded" }, "{row}");
        assert_eq!(
            (row["messageId"].is_string(), row["cost"].is_string(), row["sentAt"].is_string()),
            (goes, goes, goes),
            "{row}"
        );
    }
    let detail = |line: u64| text(all.iter().find(|row| row["line"] == line).unwrap(), "detail");
    assert!(detail(8).contains("line 2"), "{}", detail(8));
    assert!(detail(9).contains("name"), "{}", detail(9));
    let to: Vec<&str> = all.iter().filter(|row| row["outcome"] == "delivered").map(|row| text(row, "to")).collect();
    assert_eq!(to, [1, 2, 3, 5, 6].map(number));
    let summary = plan(&done);
    let excluded: u64 = summary["excluded"].as_object().unwrap().values().map(count).sum();
    assert_eq!((count(&summary["rows"]), count(&summary["going"]), excluded), (11, 5, 6));

    assert_eq!(report(&host, &id, "", 3).await, all, "by page");
    let kept = report(&host, &id, "&outcome=excluded", 2).await;
    assert_eq!(kept, all.iter().filter(|row| row["outcome"] == "excluded").cloned().collect::<Vec<_>>());
    assert_eq!(report(&host, &id, "&outcome=delivered", 2).await.len(), 5);
    for limit in [3, 5_000] {
        assert_spreadsheet(&host, &id, limit, &all).await;
    }
}

/// A column of a file, as JSON has it.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_string();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

/// The report as a file says what `rows` say, page by page, each under a header; nothing in it is a formula.
async fn assert_spreadsheet(host: &Host, id: &str, limit: u32, rows: &[Value]) {
    let first = format!("/campaigns/{id}/rows.csv?limit={limit}");
    let (mut path, mut at) = (first.clone(), 0);
    loop {
        let (headers, file) = get_page(host, "viewer", &path).await;
        assert!(headers["content-type"].to_str().unwrap().starts_with("text/csv"), "{headers:?}");
        let mut page = records(&file).into_iter();
        let header = page.next().unwrap();
        for record in page {
            for (name, cell) in header.iter().zip(&record) {
                let value = &rows[at][camel_case(name).as_str()];
                let told = value.as_str().map_or_else(|| value.to_string(), str::to_string);
                let told = if value.is_null() { String::new() } else { told };
                let is_number = told.strip_prefix('+').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
                let is_formula = told.starts_with(['=', '+', '-', '@']) && !is_number;
                assert_eq!(*cell, if is_formula { format!("'{told}") } else { told }, "{name} of row {at}");
            }
            at += 1;
        }
        for name in ["line", "to", "outcome", "reason", "status", "segments", "cost"] {
            assert!(header.iter().any(|known| known == name), "{header:?}");
        }
        let Some(link) = headers.get("link").map(|link| link.to_str().unwrap()) else { break };
        assert!(link.starts_with('<') && link.ends_with(r#">; rel="next""#), "{link}");
        let cursor = link.split_once("cursor=").unwrap().1.split(['>', '&']).next().unwrap();
        path = format!("{first}&cursor={cursor}");
    }
    assert_eq!(at, rows.len());
}

/// B12: wherever the file is cut, a row is a row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_comes_in_parts_in_any_order_and_as_often_as_it_takes() {
    let host = quick_machine(|_| {}).await;
    let file = "\u{feff}phone,name\r\n2125550001,Ana\r\n2125550002,\"Zoë\r\nMüller\"\r\n2125550003,Ben\r\n";
    let bytes = file.as_bytes();
    // In the middle of a row, of a character, and within the quotes between CR and LF.
    let at = |text: &str| file.find(text).unwrap();
    let cuts = [at("50001"), at("ë") + 1, at("\nM")];
    let parts = [&bytes[..cuts[0]], &bytes[cuts[0]..cuts[1]], &bytes[cuts[1]..cuts[2]], &bytes[cuts[2]..]];
    let id = begin(&host, &json!({ "body": "Linden: hi {name}. Reply STOP.", "upload": true })).await;
    pass(&host, TICK, TICK).await;
    assert_eq!(look(&host, &id).await["stage"], "uploading");

    for part in [3, 0, 1] {
        assert_eq!(put_part(&host, &id, part, parts[part]).await, StatusCode::NO_CONTENT);
    }
    let (status, problem) = complete(&host, &id, 4).await;
    assert_eq!((status, text(&problem["errors"][0], "field")), (StatusCode::UNPROCESSABLE_ENTITY, "parts"), "{problem}");
    assert!(problem["errors"][0]["reason"].as_str().unwrap().contains('2'), "it says which: {problem}");
    assert_eq!(put_part(&host, &id, 2, b"not what it should be").await, StatusCode::NO_CONTENT);
    for part in [2, 0, 2] {
        assert_eq!(put_part(&host, &id, part, parts[part]).await, StatusCode::NO_CONTENT);
    }
    assert_eq!(complete(&host, &id, 4).await.0, StatusCode::ACCEPTED);
    assert_eq!(complete(&host, &id, 4).await.0, StatusCode::ACCEPTED);
    assert_eq!(put_part(&host, &id, 0, parts[0]).await, StatusCode::CONFLICT);
    let done = finish(&host, &id).await;
    assert_eq!(complete(&host, &id, 4).await.0, StatusCode::ACCEPTED);
    assert_eq!(put_part(&host, &id, 0, parts[0]).await, StatusCode::CONFLICT);

    assert_eq!((done["stage"].as_str(), count(&plan(&done)["rows"])), (Some("done"), 3), "{done}");
    let mut said: Vec<String> = sent(&host).into_iter().map(|(_, body)| body.replace("\r\n", "\n")).collect();
    said.sort();
    let expected = ["Ana", "Ben", "Zoë\nMüller"].map(|name| format!("Linden: hi {name}. Reply STOP."));
    assert_eq!(said, expected);
    let lines: Vec<u64> = rows(&host, &id).await.iter().map(|row| count(&row["line"])).collect();
    assert_eq!(lines, [2, 3, 5]);
    let left = host.aws.items().into_iter().filter(|item| item["sk"]["S"].as_str().unwrap().starts_with("FILE#"));
    assert_eq!(left.count(), 0, "the file goes once it is planned");
}

/// As above, in the form in which it is hardest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_may_be_cut_at_any_byte() {
    let file = utf16("name;phone\r\n\"A\r\n🎻\";2125550001\r\nB;2125550002", u16::to_le_bytes);
    let host = quick_machine(|settings| settings.pacing.sms = Some(1_000)).await;
    for cut in (1..file.len()).step_by(5) {
        let id = begin(&host, &json!({ "body": "Linden: hi {name}. Reply STOP.", "upload": true, "hold": true })).await;
        assert_eq!(put_part(&host, &id, 0, &file[..cut]).await, StatusCode::NO_CONTENT);
        assert_eq!(put_part(&host, &id, 1, &file[cut..]).await, StatusCode::NO_CONTENT);
        assert_eq!(complete(&host, &id, 2).await.0, StatusCode::ACCEPTED);
        pass(&host, SECOND, SECOND).await;
        let lines: Vec<(u64, String)> =
            rows(&host, &id).await.iter().map(|row| (count(&row["line"]), text(row, "to").to_string())).collect();
        assert_eq!(lines, [(2, number(1)), (4, number(2))], "cut at {cut}: {}", look(&host, &id).await);
    }
}

/// What cannot be known before all of it is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_cannot_be_used_fails_and_says_why() {
    let host = quick_machine(|_| {}).await;
    for (file, lapsed, word) in [("customer,town\nAna,Rome\n", None, "town"), ("phone,name\n2125550001,Ana\n", Some(30), "order")]
    {
        let mut asked = json!({ "body": "Linden: hello. Reply STOP.", "upload": true });
        if let Some(days) = lapsed {
            asked["lapsedAfterDays"] = json!(days);
        }
        let id = begin(&host, &asked).await;
        assert_eq!(put_part(&host, &id, 0, file.as_bytes()).await, StatusCode::NO_CONTENT);
        let (status, answer) = complete(&host, &id, 1).await;
        // At once or once it is planned: it is said.
        let told = if status == StatusCode::ACCEPTED {
            let failed = finish(&host, &id).await;
            assert_eq!(failed["stage"], "failed", "{failed}");
            text(&failed, "failure").to_string()
        } else {
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
            answer.to_string()
        };
        assert!(told.contains(word), "{told}");
    }
    assert!(sent(&host).is_empty());
}
