//! `carillon serve`.

use std::path::PathBuf;

use super::Outcome;

pub async fn serve(_state: Option<PathBuf>, _data: Option<PathBuf>) -> Outcome {
    Err("not yet".into())
}
