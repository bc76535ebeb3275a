//! Takes over a whole school: settings, contacts, lessons, payments. Everything is planned at once.

use jiff::Timestamp;

use super::{save_lessons::save_lessons, save_payments::save_payments};
use crate::context::{Context, ContextError};
use crate::domain::contact::Contact;
use crate::domain::lesson::Lesson;
use crate::domain::payment::Payment;
use crate::domain::tenant::{Settings, TenantId};
use crate::store::{contacts, tenants};

/// A school's records.
#[derive(Clone, Debug)]
pub struct School {
    pub settings: Settings,
    pub contacts: Vec<Contact>,
    pub lessons: Vec<Lesson>,
    pub payments: Vec<Payment>,
}

/// Stores `school` and plans its reminders. Repeating it changes nothing.
pub async fn save_school(cx: &Context, tenant: &TenantId, school: &School, now: Timestamp) -> Result<(), ContextError> {
    let table = cx.table().await?;
    tenants::put_settings(table, tenant, &school.settings).await?;
    cx.forget(tenant);
    contacts::put_many(table, tenant, &school.contacts).await?;
    let lessons = school.lessons.iter().cloned().map(|lesson| Lesson { changed_at: now, ..lesson }).collect();
    save_lessons(cx, tenant, lessons, now).await?;
    let payments = school.payments.iter().cloned().map(|payment| Payment { changed_at: now, ..payment }).collect();
    save_payments(cx, tenant, payments, now).await
}
