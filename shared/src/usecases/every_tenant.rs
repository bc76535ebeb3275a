//! How a run over every tenant ends: one tenant's trouble does not keep the others waiting, and is not passed over.

use crate::context::ContextError;
use crate::store::StoreError;

/// Why a run over every tenant did not do everything. Repeating it is safe.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not begin.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// For so many tenants it failed, and went on with the next. Each is in the log, with why.
    #[error("tenants for whom it failed, each of whom the log tells of: {0}")]
    Tenants(usize),
}

impl From<StoreError> for RunError {
    fn from(error: StoreError) -> Self {
        Self::Context(error.into())
    }
}

/// What a run came to that `failed` for so many tenants.
pub(super) fn ended<T>(done: T, failed: usize) -> Result<T, RunError> {
    if failed == 0 { Ok(done) } else { Err(RunError::Tenants(failed)) }
}
