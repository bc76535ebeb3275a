//! `payments.csv`: what is owed, by whom, until when.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::lesson::first_version;
use crate::domain::money::{Currency, Micros, Money};
use crate::domain::payment::{Payment, PaymentStatus};
use crate::domain::tenant::Settings;

use super::roster::Roster;
use super::table::{Row, Table, form, word};
use super::{FileError, Report, quoted};

const REQUIRED: [&str; 4] = ["id", "student", "amount", "due_date"];
const OPTIONAL: [&str; 3] = ["currency", "course", "status"];

/// Reads the payments. A payment's student is one contact: nobody can be asked for an unknown one's money.
///
/// # Errors
/// [`FileError::MissingColumns`] if the header lacks one of the four required columns.
pub fn payments(
    file: &str,
    bytes: &[u8],
    settings: &Settings,
    roster: &Roster,
    report: &mut Report,
) -> Result<Vec<Payment>, FileError> {
    payments_and_columns(file, bytes, settings, roster, report).map(|(payments, _)| payments)
}

/// The payments, and which columns the file has, by [`attribute_key`](crate::domain::contact::attribute_key).
///
/// # Errors
/// As [`payments`].
pub fn payments_and_columns(
    file: &str,
    bytes: &[u8],
    settings: &Settings,
    roster: &Roster,
    report: &mut Report,
) -> Result<(Vec<Payment>, BTreeSet<String>), FileError> {
    let table = Table::read(file, bytes, &REQUIRED, &OPTIONAL)?;
    let mut ids = HashSet::new();
    let mut payments = Vec::new();
    for mut row in table.rows() {
        let read = payment(&mut row, settings, roster, &ids);
        if let Some(payment) = row.finish(read, report) {
            ids.insert(payment.id.clone());
            payments.push(payment);
        }
    }
    Ok((payments, table.names()))
}

fn payment(row: &mut Row<'_>, settings: &Settings, roster: &Roster, ids: &HashSet<String>) -> Option<Payment> {
    let id = row.new_id(ids);
    let contact = row.required_as("student", |id| known_contact(id, roster));
    let amount = row.required_as("amount", form(Micros::parse, "an amount (150.00)"));
    let due_date = row.required_as("due_date", form(calendar_date, "a date (2026-11-24)"));
    let currency = row.optional("currency", form(Currency::parse, "a currency"));
    let course = row.field("course");
    let status = row.optional("status", word(PaymentStatus::parse, "due, paid, void"));
    let currency = currency.unwrap_or_else(|| settings.budget.currency.clone());
    Some(Payment {
        id: id?,
        contact: contact?,
        amount: Money { amount: amount?, currency },
        due_date: due_date?,
        course: (!course.is_empty()).then(|| course.to_string()),
        status: status.unwrap_or(PaymentStatus::Due),
        version: first_version(),
        changed_at: Timestamp::UNIX_EPOCH,
    })
}

fn known_contact(id: &str, roster: &Roster) -> Result<String, String> {
    if roster.is_contact(id) { Ok(id.to_string()) } else { Err(format!("no contact {}", quoted(id))) }
}

/// `2026-03-09` and nothing else: `3/9/2026` is March here and September there.
pub fn calendar_date(text: &str) -> Option<Date> {
    let form = text.bytes().enumerate().all(|(at, b)| if matches!(at, 4 | 7) { b == b'-' } else { b.is_ascii_digit() });
    if text.len() == 10 && form { text.parse().ok() } else { None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::contacts;
    use super::super::tests::{places, tenant};
    use super::*;

    fn read(text: &str) -> (Vec<Payment>, Report) {
        let mut report = Report::default();
        let people = "id,name,phone,groups\nS1,Ana,,Choir\n";
        let roster = Roster::new(&contacts("contacts.csv", people.as_bytes(), &tenant(), &mut report).unwrap());
        let payments = payments("payments.csv", text.as_bytes(), &tenant(), &roster, &mut report).unwrap();
        (payments, report)
    }

    #[test]
    fn amounts_and_currencies_are_read_as_schools_write_them() {
        let (payments, report) = read(
            "ID;Student;Amount;Due Date;Currency;Status\r\n\
             P1;S1;150;2026-03-09;;\r\n\
             P2;S1;1,250.50;2026-03-10;eur;PAID\r\n\
             P3;S1;0.00;2026-03-10;;void\r\n",
        );

        assert_eq!(report, Report::default());
        let amounts: Vec<String> = payments.iter().map(|payment| payment.amount.to_string()).collect();
        assert_eq!(amounts, ["$150.00", "€1,250.50", "$0.00"]);
        assert_eq!(payments[0].due_date, jiff::civil::date(2026, 3, 9));
        let statuses: Vec<_> = payments.iter().map(|payment| payment.status).collect();
        assert_eq!(statuses, [PaymentStatus::Due, PaymentStatus::Paid, PaymentStatus::Void]);
    }

    #[test]
    fn every_bad_column_is_reported_in_order() {
        let (payments, report) = read(
            "id,student,amount,due_date,currency,status\n\
             ,,,,,\n\
             ,,,,dollars,owed\n\
             P1,S98,12O.00,3/9/2026,,\n\
             P1,Choir,\"49,00\",2026-02-29,,\n\
             P1,S1,-20.00,2026-03-09T10:00,,\n\
             P1,S1,5,2026-03-09,,\n\
             P1,S1,5,2026-03-09,,\n",
        );

        assert_eq!(payments.len(), 1);
        assert_eq!(places(&report)[..6], ["3 id", "3 student", "3 amount", "3 due_date", "3 currency", "3 status"]);
        assert_eq!(
            places(&report)[6..],
            ["4 student", "4 amount", "4 due_date", "5 student", "5 amount", "5 due_date", "6 amount", "6 due_date", "8 id"]
        );
        assert_eq!(report.bad[6].reason, "no contact 'S98'");
        assert_eq!(report.bad[7].reason, "not an amount (150.00): '12O.00'");
        assert_eq!(report.bad[8].reason, "not a date (2026-11-24): '3/9/2026'");
    }
}
