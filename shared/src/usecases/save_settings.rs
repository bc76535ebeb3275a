//! Changes a tenant's settings, by compare-and-set: two who change them at once do not undo each other.

use jiff::Timestamp;

use super::dispatch::claim;
use super::plan_reminders::{plan_tenant_lessons, plan_tenant_payments};
use crate::context::{Context, ContextError};
use crate::domain::compose::FieldError;
use crate::domain::money::Micros;
use crate::domain::reminder::Kind;
use crate::domain::tenant::{Settings, TenantId};
use crate::store::tenants::{self, Stored};
use crate::store::{StoreError, Table, meter};

/// A change of settings.
pub struct Change<'a, F> {
    /// What they become.
    pub next: F,
    /// Only if they still are one of these versions.
    pub only: Option<&'a [String]>,
    /// Whether it says something about when reminders go: they are planned again, also by the second try of a
    /// change whose first stored the settings and got no further.
    pub replans: bool,
}

/// Why settings were not changed.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    #[error("{} of the settings cannot be right", .0.len())]
    Invalid(Vec<FieldError>),
    /// Somebody else changed them meanwhile: read them again.
    #[error("the settings have changed meanwhile")]
    Changed,
    #[error(transparent)]
    Context(#[from] ContextError),
}

impl From<StoreError> for SaveError {
    fn from(error: StoreError) -> Self {
        Self::Context(error.into())
    }
}

/// Others may change the settings between our looks so often.
const TRIES: u32 = 8;

/// Stores what `change` makes of the settings, and plans at once what is due within 48 hours by them (D4).
///
/// Whether the tenant is suspended is the platform's to say, and stays as it is.
///
/// # Errors
/// [`SaveError::Invalid`] names every field; [`SaveError::Changed`]: read them again, and change those.
pub async fn save_settings<F>(cx: &Context, tenant: &TenantId, change: Change<'_, F>, now: Timestamp) -> Result<Stored, SaveError>
where
    F: Fn(&Settings) -> Result<Settings, Vec<FieldError>>,
{
    let table = cx.table().await?;
    for _ in 0..TRIES {
        let known = read(table, tenant).await?;
        if change.only.is_some_and(|versions| !versions.contains(&known.version)) {
            return Err(SaveError::Changed);
        }
        let mut next = (change.next)(&known.settings).map_err(SaveError::Invalid)?;
        next.suspended = known.settings.suspended;
        check_currency(table, tenant, &known.settings, &next, now).await?;
        let is_same = next == known.settings;
        if is_same || tenants::replace_settings(table, tenant, &next, &known).await? {
            cx.forget(tenant);
            if change.replans || moves_reminders(&known.settings, &next) {
                plan_tenant_lessons(cx, tenant, now).await?;
                plan_tenant_payments(cx, tenant, now).await?;
            }
            let version = if is_same { known.version } else { tenants::version(&next)? };
            return Ok(Stored { settings: next, version });
        }
    }
    Err(SaveError::Changed)
}

/// The meter counts in one currency: while the month has used something, it stays. What was simulated is nobody's money.
async fn check_currency(
    table: &Table,
    tenant: &TenantId,
    old: &Settings,
    new: &Settings,
    now: Timestamp,
) -> Result<(), SaveError> {
    let (old_currency, currency) = (&old.budget.currency, &new.budget.currency);
    if old_currency == currency || meter::used(table, tenant, &claim::month(old, false, now)).await? == Micros::default() {
        return Ok(());
    }
    let reason = format!(
        "this month has used some of its budget, in {old_currency}: change the currency to {currency} when the next month has \
         begun, before anything is sent"
    );
    Err(SaveError::Invalid(vec![FieldError::new("budget.currency", "currency_in_use", reason)]))
}

/// Changes what is stored, whatever others change of it meanwhile. Whether there was anything to change.
pub(super) async fn adjust_settings(
    cx: &Context,
    tenant: &TenantId,
    change: impl Fn(&mut Settings),
) -> Result<bool, ContextError> {
    let table = cx.table().await?;
    for _ in 0..TRIES {
        let known = read(table, tenant).await?;
        let mut next = known.settings.clone();
        change(&mut next);
        if next == known.settings {
            return Ok(false);
        }
        if tenants::replace_settings(table, tenant, &next, &known).await? {
            cx.forget(tenant);
            return Ok(true);
        }
    }
    Err(StoreError::Unreachable("a tenant's settings kept changing".into()).into())
}

async fn read(table: &Table, tenant: &TenantId) -> Result<Stored, ContextError> {
    tenants::stored(table, tenant).await?.ok_or_else(|| ContextError::NoTenant(tenant.clone()))
}

/// Whether reminders may be due at other instants than before.
fn moves_reminders(old: &Settings, new: &Settings) -> bool {
    let offsets = [Kind::LessonReminder, Kind::PaymentReminder].iter().any(|kind| old.offsets(*kind) != new.offsets(*kind));
    offsets || old.payment_time != new.payment_time || old.time_zone != new.time_zone
}
