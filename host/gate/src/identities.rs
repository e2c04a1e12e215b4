//! TLS settings of connections, read once and not for each request.
//!
//! What is kept is found by scope and connection, and is used only while it was
//! made of the very settings and the very key that a request has in hand: what
//! has changed is read again, and nobody gets what was made for another.

use std::collections::HashMap;
use std::sync::Arc;

use keyway_egress::TlsSettings;
use keyway_model::{ConnectionId, Digest, Scope, TenantId};
use parking_lot::Mutex;

use crate::resource::ConnectionRecord;

/// Settings that are kept, and those among them of one tenant.
const KEPT_MAX: usize = 256;
const KEPT_OF_ONE_MAX: usize = 32;

/// The settings that were used last.
#[derive(Debug, Default)]
pub(crate) struct Identities(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    read: HashMap<Id, Read>,
    uses: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Id {
    scope: Scope,
    connection: ConnectionId,
    shows: Shows,
}

/// Whether a request shows the connection's client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Shows {
    Certificate,
    Nothing,
}

#[derive(Debug)]
struct Read {
    /// What the settings were made of.
    record: Arc<ConnectionRecord>,
    key: Option<Digest>,
    settings: Arc<TlsSettings>,
    last_use: u64,
}

impl Identities {
    /// What a connection says about TLS, if anything; with its client
    /// certificate only if the key of that is given.
    ///
    /// # Errors
    ///
    /// What is wrong, in words without any of the key.
    pub(crate) fn of(
        &self,
        scope: Scope,
        record: &Arc<ConnectionRecord>,
        client_key_pem: Option<&str>,
    ) -> Result<Option<Arc<TlsSettings>>, String> {
        if record.tls.is_empty() {
            return Ok(None);
        }
        let id = Id {
            scope,
            connection: record.id,
            shows: client_key_pem.map_or(Shows::Nothing, |_| Shows::Certificate),
        };
        let key = client_key_pem.map(|pem| Digest::of(pem.as_bytes()));
        if let Some(settings) = self.0.lock().known(&id, record, key) {
            return Ok(Some(settings));
        }
        // Not under the lock: this takes milliseconds.
        let settings = Arc::new(record.tls.settings(client_key_pem)?);
        let read = Read {
            record: Arc::clone(record),
            key,
            settings: Arc::clone(&settings),
            last_use: 0,
        };
        self.0.lock().keep(id, read);
        Ok(Some(settings))
    }
}

impl Known {
    fn known(
        &mut self,
        id: &Id,
        record: &Arc<ConnectionRecord>,
        key: Option<Digest>,
    ) -> Option<Arc<TlsSettings>> {
        self.uses += 1;
        let read = self.read.get_mut(id)?;
        let is_same = Arc::ptr_eq(&read.record, record) || read.record.tls == record.tls;
        if !is_same || read.key != key {
            return None;
        }
        read.record = Arc::clone(record);
        read.last_use = self.uses;
        Some(Arc::clone(&read.settings))
    }

    /// A tenant with many connections makes room among its own.
    fn keep(&mut self, id: Id, read: Read) {
        let tenant = id.scope.tenant;
        let of_one = |it: &&Id| it.scope.tenant == tenant;
        if self.read.keys().filter(of_one).count() >= KEPT_OF_ONE_MAX {
            self.forget_oldest(|it| it == tenant);
        } else if self.read.len() >= KEPT_MAX {
            self.forget_oldest(|_| true);
        }
        let last_use = self.uses;
        self.read.insert(id, Read { last_use, ..read });
    }

    fn forget_oldest(&mut self, of: impl Fn(TenantId) -> bool) {
        let among = self.read.iter().filter(|(id, _)| of(id.scope.tenant));
        let oldest = among.min_by_key(|(_, read)| read.last_use);
        if let Some(id) = oldest.map(|(id, _)| *id) {
            self.read.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests;
