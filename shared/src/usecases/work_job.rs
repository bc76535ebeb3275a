//! Works off a job, step by step. A step may be repeated; each notes how far it got.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::delete_tenant::delete_tenant_step;
use super::forget_contact::forget_step;
use super::import::import_step;
use crate::context::{Context, ContextError};
use crate::domain::tenant::TenantId;
use crate::store::jobs::{self, Job, JobKind, Stage, Step};

/// A run stops after so long, and the next tick goes on.
const LONGEST: Duration = Duration::from_secs(20);

/// Goes on with `job` as far as there is time. The job as it is then.
pub async fn work_job(cx: &Context, tenant: &TenantId, mut job: Job, now: Timestamp) -> Result<Job, ContextError> {
    let started = Instant::now();
    while job.stage == Stage::Working && job.due_at <= now {
        let step = match job.kind {
            JobKind::ImportContacts | JobKind::ImportLessons | JobKind::ImportPayments => {
                Box::pin(import_step(cx, tenant, &mut job, now)).await?
            }
            JobKind::ForgetContact => Box::pin(forget_step(cx, tenant, &mut job, now)).await?,
            JobKind::DeleteTenant => Box::pin(delete_tenant_step(cx, tenant, &mut job, now)).await?,
        };
        match step {
            Step::More => {}
            Step::Later(at) => job.due_at = at,
            Step::Done => {
                jobs::drop_rows(cx.table().await?, tenant, &job).await?;
                job.finish(now);
            }
        }
        // Whoever was faster goes on with it.
        if !jobs::update(cx.table().await?, tenant, &mut job).await? || started.elapsed() > LONGEST {
            break;
        }
    }
    Ok(job)
}
