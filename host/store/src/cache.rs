//! What the store keeps in memory: sealed credentials, and where webhooks lead.
//! Never anything opened.

use std::collections::HashMap;
use std::sync::Arc;

use keyway_model::{ConnectionId, RecipeId, Scope};
use keyway_vault::Envelope;
use parking_lot::RwLock;

use crate::change::After;

/// How many credentials are kept; beyond it, all are dropped and read again.
const CREDENTIALS_MAX: usize = 10_000;

/// A credential as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct SealedCredential {
    pub(crate) version: u64,
    pub(crate) envelope: Arc<Envelope>,
}

#[derive(Debug, Default)]
struct Credentials {
    generation: u64,
    known: HashMap<(Scope, ConnectionId), SealedCredential>,
}

/// The caches, kept in step by the writer.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    credentials: RwLock<Credentials>,
    webhooks: RwLock<HashMap<[u8; 32], (Scope, RecipeId)>>,
}

impl Cache {
    pub(crate) fn credential(
        &self,
        scope: Scope,
        connection: ConnectionId,
    ) -> Option<SealedCredential> {
        self.credentials
            .read()
            .known
            .get(&(scope, connection))
            .cloned()
    }

    /// A mark to take before reading the database, for [`Cache::keep`].
    pub(crate) fn generation(&self) -> u64 {
        self.credentials.read().generation
    }

    /// Keeps what was read, unless some credential changed since `generation`.
    pub(crate) fn keep(
        &self,
        generation: u64,
        scope: Scope,
        connection: ConnectionId,
        credential: SealedCredential,
    ) {
        let mut credentials = self.credentials.write();
        if credentials.generation == generation {
            if credentials.known.len() >= CREDENTIALS_MAX {
                credentials.known.clear();
            }
            credentials.known.insert((scope, connection), credential);
        }
    }

    pub(crate) fn webhook(&self, path_hash: &[u8; 32]) -> Option<(Scope, RecipeId)> {
        self.webhooks.read().get(path_hash).copied()
    }

    /// Learns what became durable.
    pub(crate) fn learn(&self, after: &After) {
        match after {
            After::Credential(scope, connection) => {
                let mut credentials = self.credentials.write();
                credentials.generation += 1;
                credentials.known.remove(&(*scope, *connection));
            }
            After::Webhook(hash, scope, recipe) => {
                self.webhooks.write().insert(*hash, (*scope, *recipe));
            }
            After::NoWebhook(scope, recipe) => {
                self.webhooks
                    .write()
                    .retain(|_, target| *target != (*scope, *recipe));
            }
        }
    }
}
