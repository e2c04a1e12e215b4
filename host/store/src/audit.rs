//! The audit log of one tenant: listing, export, checkpoints.
//!
//! Records are written through [`Unit`](crate::Unit), and by nothing here but
//! the sweep at start, which closes what a former process left open.

mod checkpoint;
mod export;
mod leaves;
mod list;
mod sweep;

use std::fmt;
use std::sync::Arc;

use keyway_model::TenantId;

pub(crate) use checkpoint::Notary;
pub use export::Export;
pub use list::{AuditFilter, AuditRecord};

use crate::store::Inner;

/// A view of one tenant's log.
#[derive(Clone)]
pub struct AuditLog {
    store: Arc<Inner>,
    tenant: TenantId,
}

impl AuditLog {
    pub(crate) const fn new(store: Arc<Inner>, tenant: TenantId) -> Self {
        Self { store, tenant }
    }

    /// Whose log it is.
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// How many durable records it has.
    pub fn size(&self) -> u64 {
        self.store.heads.size(self.tenant)
    }

    fn tenant_bytes(&self) -> Vec<u8> {
        self.tenant.to_bytes().to_vec()
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditLog({}, {} records)", self.tenant, self.size())
    }
}
