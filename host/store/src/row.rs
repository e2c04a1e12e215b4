//! Reads typed values out of a row. A value of a wrong shape is damage.

use keyway_model::{Environment, JobState, Scope, TenantId, Timestamp};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::error::StoreError;

fn damaged(column: &str) -> StoreError {
    StoreError::encoding(
        "stored row",
        format!("`{column}` is not what Keyway writes there"),
    )
}

pub(crate) fn bytes<const N: usize>(row: &SqliteRow, column: &str) -> Result<[u8; N], StoreError> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|_| damaged(column))
}

pub(crate) fn optional_bytes<const N: usize>(
    row: &SqliteRow,
    column: &str,
) -> Result<Option<[u8; N]>, StoreError> {
    let bytes: Option<&[u8]> = row.try_get(column)?;
    bytes
        .map(|bytes| bytes.try_into().map_err(|_| damaged(column)))
        .transpose()
}

pub(crate) fn blob(row: &SqliteRow, column: &str) -> Result<Vec<u8>, StoreError> {
    Ok(row.try_get(column)?)
}

pub(crate) fn number<T: TryFrom<i64>>(row: &SqliteRow, column: &str) -> Result<T, StoreError> {
    let number: i64 = row.try_get(column)?;
    T::try_from(number).map_err(|_| damaged(column))
}

pub(crate) fn time(row: &SqliteRow, column: &str) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_micros(row.try_get(column)?))
}

pub(crate) fn optional_time(
    row: &SqliteRow,
    column: &str,
) -> Result<Option<Timestamp>, StoreError> {
    let micros: Option<i64> = row.try_get(column)?;
    Ok(micros.map(Timestamp::from_micros))
}

pub(crate) fn environment(row: &SqliteRow) -> Result<Environment, StoreError> {
    Environment::from_code(number(row, "environment")?).ok_or_else(|| damaged("environment"))
}

pub(crate) fn scope(row: &SqliteRow) -> Result<Scope, StoreError> {
    let tenant = TenantId::from_bytes(bytes(row, "tenant")?);
    Ok(Scope {
        tenant,
        environment: environment(row)?,
    })
}

pub(crate) fn job_state(row: &SqliteRow) -> Result<JobState, StoreError> {
    JobState::from_code(number(row, "state")?).ok_or_else(|| damaged("state"))
}
