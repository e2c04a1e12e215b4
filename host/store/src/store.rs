//! [`Store`]: the handle on everything durable of one deployment.

use std::fmt;
use std::sync::Arc;

use keyway_authz::log::{LogKey, VerifierKey, origin};
use keyway_authz::{Closing, Recorder};
use keyway_model::{
    Clock, DeploymentId, Digest, Environment, JobId, JobState, RecipeId, Scope, TenantId,
};
use keyway_vault::Secret;
use sqlx::{Row, SqlitePool};

use crate::audit::{AuditLog, Notary};
use crate::cache::Cache;
use crate::change::{After, Change, Statement, value};
use crate::directory::Directory;
use crate::error::StoreError;
use crate::heads::Heads;
use crate::home::Home;
use crate::keys::Keys;
use crate::row;
use crate::scratch::Room;
use crate::tenant::TenantStore;
use crate::unit::Unit;
use crate::writer::Writer;

/// The store of one deployment. Clones share it.
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Inner>);

/// What all views of the store share.
pub(crate) struct Inner {
    pub(crate) deployment: DeploymentId,
    pub(crate) clock: Clock,
    pub(crate) keys: Keys,
    pub(crate) reads: SqlitePool,
    pub(crate) cache: Arc<Cache>,
    pub(crate) heads: Arc<Heads>,
    pub(crate) log_key: LogKey,
    pub(crate) notary: Notary,
    pub(crate) scratch: Arc<Room>,
    pub(crate) runtime: tokio::runtime::Handle,
    // After all that writes: the thread ends when the last handle is dropped.
    pub(crate) writer: Arc<Writer>,
    // Last: the directory is free for another only when the writer has ended.
    pub(crate) home: Home,
}

/// A job that has not ended, of any tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnfinishedJob {
    /// Whose it is.
    pub scope: Scope,
    /// Which.
    pub id: JobId,
    /// Of which recipe.
    pub recipe: RecipeId,
    /// In which version.
    pub recipe_version: u32,
    /// Where it is.
    pub state: JobState,
}

/// The scope in which what belongs to the platform is kept and recorded. It
/// has keys like any other, and no workspace.
pub const PLATFORM: Scope = Scope {
    tenant: TenantId::from_bits(0),
    environment: Environment::Production,
};

impl Store {
    /// Which deployment this is.
    pub fn deployment(&self) -> DeploymentId {
        self.0.deployment
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// A unit of work whose records go to the log of `scope`.
    pub fn unit(&self, scope: Scope) -> Unit {
        Unit::new(Arc::clone(&self.0), scope)
    }

    /// A recorder that writes each record in a group of its own.
    pub fn recorder(&self, scope: Scope) -> Recorder {
        Recorder::new(Arc::new(self.unit(scope)), scope, self.0.clock.clone())
    }

    /// The view of one tenant in one environment.
    pub fn tenant(&self, scope: Scope) -> TenantStore {
        TenantStore::new(Arc::clone(&self.0), scope)
    }

    /// The platform's directory: workspaces and tokens.
    pub fn directory(&self) -> Directory {
        Directory::new(Arc::clone(&self.0))
    }

    /// The audit log of `tenant`.
    pub fn audit(&self, tenant: TenantId) -> AuditLog {
        AuditLog::new(Arc::clone(&self.0), tenant)
    }

    /// The public key of the log of `tenant`, with which an export is verified.
    ///
    /// # Errors
    ///
    /// None for a store that is open.
    pub fn audit_key(&self, tenant: TenantId) -> Result<VerifierKey, StoreError> {
        Ok(self
            .0
            .log_key
            .verifier(&origin(self.0.deployment, tenant))?)
    }

    /// Writes an outcome and the changes that it describes in one transaction.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; then none of it was written.
    pub async fn commit(&self, closing: Closing, changes: Vec<Change>) -> Result<(), StoreError> {
        let (scope, record) = closing.into_parts();
        let unit = self.unit(scope);
        changes.into_iter().for_each(|change| unit.push(change));
        unit.record(record);
        let committed = unit.commit().await;
        if committed.is_err() {
            drop(unit.take_pending());
        }
        committed
    }

    /// Writes an outcome with which nothing else changes.
    ///
    /// # Errors
    ///
    /// As [`Store::commit`].
    pub async fn commit_alone(&self, closing: Closing) -> Result<(), StoreError> {
        self.commit(closing, Vec::new()).await
    }

    /// Keeps an artifact. It is third-party code, the same for everybody.
    pub fn put_artifact(&self, digest: Digest, bytes: Vec<u8>) -> Change {
        let sql = "INSERT OR IGNORE INTO artifact (digest, bytes) VALUES (?, ?)";
        Change::of(Statement::new(
            sql,
            vec![value::blob(*digest.as_bytes()), value::blob(bytes)],
        ))
    }

    /// The artifact with this digest. It is checked: what is returned has it.
    ///
    /// # Errors
    ///
    /// When the database cannot be read, or the stored bytes were changed.
    pub async fn artifact(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("SELECT bytes FROM artifact WHERE digest = ?")
            .bind(digest.as_bytes().to_vec())
            .fetch_optional(&self.0.reads)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let bytes: Vec<u8> = row.try_get(0)?;
        // Megabytes are hashed where nobody waits for the thread.
        let hashed = tokio::task::spawn_blocking(move || (Digest::of(&bytes), bytes));
        let (found, bytes) = hashed.await.map_err(|_| StoreError::Closed)?;
        if found == digest {
            Ok(Some(bytes))
        } else {
            Err(StoreError::encoding(
                "artifact",
                "its bytes do not have its digest: they were changed",
            ))
        }
    }

    /// Where the webhook with this SHA-256 of its path's secret part leads.
    pub fn webhook(&self, path_hash: &[u8; 32]) -> Option<(Scope, RecipeId)> {
        self.0.cache.webhook(path_hash)
    }

    /// Every job that has not ended, oldest first.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn unfinished_jobs(&self) -> Result<Vec<UnfinishedJob>, StoreError> {
        let sql = "SELECT tenant, environment, id, recipe, recipe_version, state FROM job \
            WHERE state IN (1, 2) ORDER BY created, rowid";
        let rows = sqlx::query(sql).fetch_all(&self.0.reads).await?;
        rows.iter()
            .map(|one| {
                Ok(UnfinishedJob {
                    scope: row::scope(one)?,
                    id: JobId::from_bytes(row::bytes(one, "id")?),
                    recipe: RecipeId::from_bytes(row::bytes(one, "recipe")?),
                    recipe_version: row::number(one, "recipe_version")?,
                    state: row::job_state(one)?,
                })
            })
            .collect()
    }

    /// 32 bytes that are this deployment's own, for `purpose`: they can be had
    /// again, and only with the root key.
    ///
    /// # Errors
    ///
    /// When the platform's keys cannot be used.
    pub async fn platform_secret(&self, purpose: &'static str) -> Result<Secret, StoreError> {
        let bytes = self
            .0
            .keys
            .mac(PLATFORM, &[b"platform secret", purpose.as_bytes()])
            .await?;
        Ok(Secret::new(bytes.to_vec()))
    }

    /// Signs a checkpoint for every log that grew since its last one.
    ///
    /// # Errors
    ///
    /// The first failure, after all logs were tried.
    pub async fn make_checkpoints(&self) -> Result<(), StoreError> {
        let mut first = Ok(());
        for (tenant, _) in self
            .0
            .heads
            .sizes()
            .into_iter()
            .filter(|(_, size)| *size > 0)
        {
            if let Err(error) = self.audit(tenant).make_checkpoint().await {
                tracing::error!(%tenant, %error, "no checkpoint");
                first = first.and(Err(error));
            }
        }
        first
    }

    /// Whether some log has 1,000 records, or records of 10 seconds, that no
    /// checkpoint covers.
    pub fn checkpoint_due(&self) -> bool {
        self.0.notary.due(&self.0.heads, self.0.clock.now())
    }
}

impl Inner {
    pub(crate) async fn load_webhooks(&self) -> Result<(), StoreError> {
        let rows = sqlx::query("SELECT path_hash, tenant, environment, recipe FROM webhook")
            .fetch_all(&self.reads)
            .await?;
        for one in &rows {
            let recipe = RecipeId::from_bytes(row::bytes(one, "recipe")?);
            self.cache.learn(&After::Webhook(
                row::bytes(one, "path_hash")?,
                row::scope(one)?,
                recipe,
            ));
        }
        Ok(())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Store({}, {})",
            self.deployment,
            self.home.path().display()
        )
    }
}
