//! [`TenantStore`]: one tenant in one environment, and nobody else.
//!
//! The scope is given once, when the view is made; no method takes another.
//! Content is sealed before it leaves the caller's task and opened after it is
//! back in it, under keys that open nothing of any other scope.

mod credential;
mod job;
mod poll;
mod resource;
mod state;
mod webhook;

use std::fmt;
use std::sync::Arc;

use keyway_model::Scope;
use keyway_vault::{KeyClass, Place};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use job::{JobOf, StoredJob};
pub use resource::{Kind, NewResource, RowId, StoredResource};

use crate::error::StoreError;
use crate::store::Inner;

/// A view of one tenant in one environment.
#[derive(Clone)]
pub struct TenantStore {
    pub(crate) store: Arc<Inner>,
    scope: Scope,
}

impl TenantStore {
    pub(crate) const fn new(store: Arc<Inner>, scope: Scope) -> Self {
        Self { store, scope }
    }

    /// Whose view it is.
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    fn tenant_bytes(&self) -> Vec<u8> {
        self.scope.tenant.to_bytes().to_vec()
    }

    fn environment_code(&self) -> i64 {
        i64::from(self.scope.environment.code())
    }

    /// Turns `value` into JSON and seals it.
    async fn seal<T: Serialize + ?Sized>(
        &self,
        what: &'static str,
        class: KeyClass,
        place: &Place,
        value: &T,
    ) -> Result<Vec<u8>, StoreError> {
        let plain = zeroize::Zeroizing::new(
            serde_json::to_vec(value).map_err(|error| StoreError::encoding(what, error))?,
        );
        Ok(self
            .store
            .keys
            .seal(self.scope, class, place, &plain)
            .await?
            .into_bytes())
    }

    /// Opens what [`TenantStore::seal`] sealed.
    async fn open<T: DeserializeOwned>(
        &self,
        what: &'static str,
        place: &Place,
        envelope: Vec<u8>,
    ) -> Result<T, StoreError> {
        let plain = self
            .store
            .keys
            .open(self.scope, what, place, envelope)
            .await?;
        serde_json::from_slice(plain.as_bytes()).map_err(|error| StoreError::encoding(what, error))
    }
}

impl fmt::Debug for TenantStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "TenantStore({}, {})",
            self.scope.tenant, self.scope.environment
        )
    }
}
