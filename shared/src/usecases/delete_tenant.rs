//! Deletes a tenant for good, for the platform: first nothing more can come to be, then everything goes, slice by
//! slice, and only the entry of the directory and the job itself stay to tell of it.
//!
//! What is the tenant's own at Twilio is left as it is: its account and its numbers are not ours.

use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::save_settings::adjust_settings;
use crate::context::{Context, ContextError, twilio_secret};
use crate::domain::tenant::TenantId;
use crate::secrets;
use crate::store::jobs::{self, Created, Job, JobKind, Step};
use crate::store::keys::Lane;
use crate::store::tenants::{self, Entry, TenantState};
use crate::store::{StoreError, Table, erase_tenant, keys};

/// What became of a wish to delete a tenant.
#[derive(Clone, Debug, PartialEq)]
pub enum Deletion {
    /// It is under way, or done.
    Begun(Box<Entry>, Box<Job>),
    /// It must be suspended first: nobody deletes by one slip what is in use.
    NotSuspended,
    Unknown,
}

/// How long we wait until no process believes settings and credentials any more that it has read before.
const BELIEVED: SignedDuration = SignedDuration::from_mins(2);
/// No installation has messages of before.
const FIRST_DAY: Date = date(2025, 1, 1);
/// Nothing is planned further ahead, in days: two years, and some.
const AHEAD: i32 = 740;
/// So many days of the log are looked through in one step, while they are empty.
const DAYS: usize = 100;
/// Others may change the directory between our looks so often.
const TRIES: u32 = 8;

/// Where the job is. The order is the work's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    /// The credentials go: no webhook is believed any more, nothing can be sent.
    #[default]
    Account,
    /// What waits goes, so that nothing wakes up.
    Waiting,
    /// The same, after this entry.
    WaitingAfter(String),
    /// The same of lists and campaigns: these stop.
    Bulk,
    BulkAfter(String),
    /// The settings go: from then on there is no such tenant.
    Settings,
    Asked,
    Campaigns,
    Messages(Date),
    Numbers,
    Contacts,
    Templates,
    Rest,
    Entry,
}

/// Begins the deletion of a suspended tenant, or tells how far it is.
pub async fn delete_tenant(
    cx: &Context,
    tenant: &TenantId,
    by: Option<String>,
    now: Timestamp,
) -> Result<Deletion, ContextError> {
    let table = cx.table().await?;
    for _ in 0..TRIES {
        let Some(known) = tenants::entry(table, tenant).await? else { return Ok(Deletion::Unknown) };
        let mut job = Job::new(tenant, JobKind::DeleteTenant, "delete tenant", String::new(), by.clone(), now);
        // By then every process knows that it is suspended.
        job.due_at = now + BELIEVED;
        let entry = match known.state {
            TenantState::Active => return Ok(Deletion::NotSuspended),
            TenantState::Suspended => {
                // Whoever suspended it may have come no further than the directory.
                adjust_settings(cx, tenant, |settings| settings.suspended = true).await?;
                let mut entry = Entry {
                    state: TenantState::Deleting,
                    changed_at: Some(now),
                    changed_by: by.clone(),
                    job: Some(job.id.clone()),
                    ..known
                };
                if !tenants::update_entry(table, tenant, &mut entry).await? {
                    continue;
                }
                entry
            }
            TenantState::Deleting => known,
            TenantState::Deleted => match jobs::get(table, tenant, &job.id).await? {
                Some(done) => return Ok(Deletion::Begun(Box::new(known), Box::new(done))),
                None => return Ok(Deletion::Unknown),
            },
        };
        // Also by whoever asks again: the first may have come no further than the directory.
        return match jobs::create::<String>(table, tenant, job, &[], &[]).await? {
            Created::New(job) | Created::Known(job) => Ok(Deletion::Begun(Box::new(entry), job)),
            Created::TooLarge => Err(StoreError::Unreachable("a job without rows did not fit".into()).into()),
        };
    }
    Err(StoreError::Unreachable("the directory kept changing".into()).into())
}

/// Goes one step further. Repeating a step finds less to take away, or nothing.
pub async fn delete_tenant_step(cx: &Context, tenant: &TenantId, job: &mut Job, now: Timestamp) -> Result<Step, ContextError> {
    let table = cx.table().await?;
    let entry = tenants::entry(table, tenant).await?.filter(|entry| entry.state == TenantState::Deleting);
    let Some(entry) = entry else { return Ok(Step::Done) };
    let part: Part = serde_json::from_value(job.state.clone()).unwrap_or_default();
    let (next, step) = match part {
        Part::Account => {
            secrets::delete(&cx.secrets, &cx.config.secret(&twilio_secret(tenant))).await?;
            cx.forget(tenant);
            (Part::Waiting, Step::Later(now + BELIEVED))
        }
        Part::Waiting => (waiting(table, tenant, job, Lane::First, None).await?, Step::More),
        Part::WaitingAfter(entry) => (waiting(table, tenant, job, Lane::First, Some(&entry)).await?, Step::More),
        Part::Bulk => (waiting(table, tenant, job, Lane::Bulk, None).await?, Step::More),
        Part::BulkAfter(entry) => (waiting(table, tenant, job, Lane::Bulk, Some(&entry)).await?, Step::More),
        Part::Settings => {
            erase_tenant::settings(table, tenant).await?;
            cx.forget(tenant);
            (Part::Asked, Step::Later(now + BELIEVED))
        }
        Part::Asked => (after(part, erase_tenant::asked(table, tenant, &job.id).await?, Part::Campaigns), Step::More),
        Part::Campaigns => {
            (after(part, erase_tenant::campaigns(table, tenant).await?, Part::Messages(first_day(&entry))), Step::More)
        }
        Part::Messages(day) => (messages(table, tenant, &entry, job, day, now).await?, Step::More),
        Part::Numbers => (after(part, erase_tenant::numbers(table, tenant).await?, Part::Contacts), Step::More),
        Part::Contacts => (after(part, erase_tenant::contacts(table, tenant).await?, Part::Templates), Step::More),
        Part::Templates => (after(part, erase_tenant::templates(table, tenant).await?, Part::Rest), Step::More),
        Part::Rest => {
            let months = months(first_day(&entry), keys::day(now));
            (after(part, erase_tenant::rest(table, tenant, &months).await?, Part::Entry), Step::More)
        }
        Part::Entry => {
            // The name is the tenant's, too.
            let mut gone =
                Entry { name: String::new(), state: TenantState::Deleted, changed_at: Some(now), reason: None, ..entry };
            // Whoever was faster is written over by the next step.
            let is_written = tenants::update_entry(table, tenant, &mut gone).await?;
            (Part::Entry, if is_written { Step::Done } else { Step::More })
        }
    };
    job.state = serde_json::to_value(next).unwrap_or_default();
    Ok(step)
}

/// Goes on through what waits in a lane, after the entry `after`.
async fn waiting(table: &Table, tenant: &TenantId, job: &Job, lane: Lane, after: Option<&str>) -> Result<Part, StoreError> {
    let next = erase_tenant::waiting(table, tenant, &job.id, lane, after).await?;
    Ok(match lane {
        Lane::First => next.map_or(Part::Bulk, Part::WaitingAfter),
        Lane::Bulk => next.map_or(Part::Settings, Part::BulkAfter),
    })
}

/// The part after `part`, once all of that is gone.
fn after(part: Part, is_all: bool, next: Part) -> Part {
    if is_all { next } else { part }
}

fn first_day(entry: &Entry) -> Date {
    // Somebody may have been told of a day before the tenant was made.
    entry.created_at.map_or(FIRST_DAY, |at| keys::day(at).saturating_sub(2.days()))
}

/// Goes on through the log from `day`.
async fn messages(
    table: &Table,
    tenant: &TenantId,
    entry: &Entry,
    job: &mut Job,
    mut day: Date,
    now: Timestamp,
) -> Result<Part, ContextError> {
    let last = keys::day(now).saturating_add(AHEAD.days());
    job.total = days_between(first_day(entry), last);
    for _ in 0..DAYS {
        if !erase_tenant::messages(table, tenant, day).await? {
            break;
        }
        if day >= last {
            return Ok(Part::Numbers);
        }
        day = day.saturating_add(1.days());
    }
    job.done = days_between(first_day(entry), day).min(job.total);
    Ok(Part::Messages(day))
}

fn days_between(from: Date, to: Date) -> u32 {
    from.until(to).map_or(0, |span| u32::try_from(span.get_days()).unwrap_or_default())
}

/// The first day of each month from `from` to `to`.
fn months(from: Date, to: Date) -> Vec<Date> {
    let mut months = Vec::new();
    let mut month = from.first_of_month();
    while month <= to {
        months.push(month);
        month = month.saturating_add(1.month());
    }
    months
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_month_is_named_once() {
        let named: Vec<String> = months(date(2025, 11, 30), date(2026, 2, 1)).iter().map(Date::to_string).collect();
        assert_eq!(named, ["2025-11-01", "2025-12-01", "2026-01-01", "2026-02-01"]);
        assert_eq!(months(date(2026, 2, 1), date(2026, 2, 28)).len(), 1);
    }

    #[test]
    fn a_job_that_has_not_begun_begins_with_the_account() {
        assert_eq!(serde_json::from_value::<Part>(serde_json::Value::Null).unwrap_or_default(), Part::Account);
        for part in [Part::Messages(date(2026, 3, 10)), Part::WaitingAfter("2026-03-10T15:00:00.000Z#school#msg_1".into())] {
            assert_eq!(serde_json::from_value::<Part>(serde_json::to_value(&part).unwrap_or_default()).ok(), Some(part));
        }
    }
}
