//! CSV for spreadsheets: what people and machines wrote must not come alive as a formula there.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

/// A file of `rows` under `header`, to be saved as `name`.
pub fn file(name: &str, columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Response {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Into memory: it cannot fail.
    let _ = writer.write_record(columns);
    for row in rows {
        let _ = writer.write_record(row.into_iter().map(harmless));
    }
    let bytes = writer.into_inner().unwrap_or_default();
    let mut response = ([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], bytes).into_response();
    if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

/// A cell that no spreadsheet takes for a formula (owasp.org, CSV Injection). A number in E.164 is none.
fn harmless(cell: String) -> String {
    let is_number = cell.strip_prefix('+').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()));
    if !is_number && cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_formula_is_text() {
        assert_eq!(harmless("=HYPERLINK(\"x\")".into()), "'=HYPERLINK(\"x\")");
        assert_eq!(harmless("+1+1".into()), "'+1+1");
        assert_eq!(harmless("+15550100201".into()), "+15550100201");
        assert_eq!(harmless("Moved away".into()), "Moved away");
    }
}
