//! Gets keys when they are missing: from the database, or new ones, which are
//! durable before anything is sealed under them.
//!
//! The quick path takes what the keyring holds and never waits. What it lacks
//! it names as a [`Need`], and the slow path provides it.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::hmac;
use keyway_model::{ConnectionId, Environment, Scope, TenantId, Timestamp};
use keyway_vault::{
    DataKeyName, Envelope, KeyClass, KeyId, Keyring, NewKey, Place, Plaintext, ScopeKeys, Secret,
    TenantKeyName, Term, VaultError, WrappedKey,
};
use parking_lot::RwLock;
use sqlx::{Row, SqlitePool};

use crate::change::{Statement, value};
use crate::error::StoreError;
use crate::writer::Writer;

/// How often the slow path may be taken for one operation.
const ATTEMPTS: usize = 8;

/// How long the key for MACs is kept, as long as the keyring keeps keys.
const INDEX_KEY_HELD: std::time::Duration = std::time::Duration::from_secs(300);

const INSERT_KEY: &str = "INSERT INTO wrapped_key \
    (id, tenant, environment, class, subject, period, term, wrapped) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";

/// What the quick path lacks.
#[derive(Debug)]
enum Need {
    /// The scope's tenant keys.
    Scope,
    /// The key that seals this class in the present period.
    SealingKey(KeyClass),
    /// Another one, because that has sealed as much as a key may.
    FreshKey(KeyClass),
    /// The key with this id.
    OpeningKey(KeyId),
}

impl Need {
    /// What would help against `error`; the error itself if nothing would.
    fn after(error: VaultError) -> Result<Self, VaultError> {
        if let VaultError::ScopeNotLoaded(_) = error {
            Ok(Self::Scope)
        } else if let VaultError::NoSealingKey { class, .. } = error {
            Ok(Self::SealingKey(class))
        } else if let VaultError::KeyUsedUp(class) = error {
            Ok(Self::FreshKey(class))
        } else if let VaultError::KeyNotLoaded(id) = error {
            Ok(Self::OpeningKey(id))
        } else {
            Err(error)
        }
    }
}

/// All keys of the deployment, as far as they are needed.
#[derive(Debug)]
pub(crate) struct Keys {
    ring: Arc<Keyring>,
    reads: SqlitePool,
    writer: Arc<Writer>,
    clock: keyway_model::Clock,
    index: RwLock<HashMap<Scope, (Timestamp, Arc<hmac::Key>)>>,
    providing: tokio::sync::Mutex<()>,
}

impl Keys {
    pub(crate) fn new(
        ring: Arc<Keyring>,
        reads: SqlitePool,
        writer: Arc<Writer>,
        clock: keyway_model::Clock,
    ) -> Self {
        Self {
            ring,
            reads,
            writer,
            clock,
            index: RwLock::default(),
            providing: tokio::sync::Mutex::default(),
        }
    }

    /// Seals `plaintext` for `place`, if the keys are at hand.
    pub(crate) fn seal_now(
        &self,
        scope: Scope,
        class: KeyClass,
        place: &Place,
        plaintext: &[u8],
    ) -> Result<Envelope, VaultError> {
        self.ring.scope(scope)?.seal(class, place, plaintext)
    }

    /// Seals `plaintext` for `place`.
    pub(crate) async fn seal(
        &self,
        scope: Scope,
        class: KeyClass,
        place: &Place,
        plaintext: &[u8],
    ) -> Result<Envelope, StoreError> {
        self.with(scope, "value", |keys| keys.seal(class, place, plaintext))
            .await
    }

    /// Seals the credential of `connection`.
    pub(crate) async fn seal_secret(
        &self,
        scope: Scope,
        connection: ConnectionId,
        version: u64,
        secret: &Secret,
    ) -> Result<Envelope, StoreError> {
        self.with(scope, "credential", |keys| {
            keys.seal_secret(connection, version, secret)
        })
        .await
    }

    /// Opens what was sealed for `place`. `what` names it in the error.
    pub(crate) async fn open(
        &self,
        scope: Scope,
        what: &'static str,
        place: &Place,
        envelope: Vec<u8>,
    ) -> Result<Plaintext, StoreError> {
        let envelope = Envelope::from_bytes(envelope)?;
        self.with(scope, what, |keys| keys.open(place, &envelope))
            .await
    }

    /// Does `work` with the scope's keys, providing what is missing.
    pub(crate) async fn with<T>(
        &self,
        scope: Scope,
        what: &'static str,
        work: impl Fn(&ScopeKeys) -> Result<T, VaultError>,
    ) -> Result<T, StoreError> {
        for _ in 0..ATTEMPTS {
            let error = match self.ring.scope(scope).and_then(|keys| work(&keys)) {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            self.provide(scope, what, Need::after(error)?).await?;
        }
        Err(StoreError::Vault(Arc::new(VaultError::ScopeNotLoaded(
            scope,
        ))))
    }

    /// The MAC of `parts` under the scope's own key, each part with its length.
    pub(crate) async fn mac(&self, scope: Scope, parts: &[&[u8]]) -> Result<[u8; 32], StoreError> {
        let key = self.index_key(scope).await?;
        let mut context = hmac::Context::with_key(&key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut out = [0; 32];
        out.copy_from_slice(context.sign().as_ref());
        Ok(out)
    }

    /// New tenant keys for every environment of `tenant`, to be stored with it.
    pub(crate) async fn new_tenant(&self, tenant: TenantId) -> Result<Vec<Statement>, StoreError> {
        let ring = Arc::clone(&self.ring);
        blocking(move || new_tenant_keys(&ring, tenant)).await
    }

    async fn provide(
        &self,
        scope: Scope,
        what: &'static str,
        need: Need,
    ) -> Result<(), StoreError> {
        let _one_at_a_time = self.providing.lock().await;
        match need {
            Need::Scope if self.ring.scope(scope).is_ok() => Ok(()),
            Need::Scope => self.load_scope(scope).await,
            Need::SealingKey(class) => match self.stored_key(scope, class).await? {
                Some(stored) => Ok(self.ring.scope(scope)?.load(&stored)?),
                None => self.make_key(scope, class).await,
            },
            Need::FreshKey(class) => self.make_key(scope, class).await,
            Need::OpeningKey(id) => self.load_data_key(scope, what, id).await,
        }
    }

    async fn load_scope(&self, scope: Scope) -> Result<(), StoreError> {
        let sql =
            "SELECT wrapped FROM wrapped_key WHERE tenant = ? AND environment = ? AND class = 0";
        let rows = sqlx::query(sql)
            .bind(scope.tenant.to_bytes().to_vec())
            .bind(i64::from(scope.environment.code()))
            .fetch_all(&self.reads)
            .await?;
        let mut wrapped = Vec::with_capacity(rows.len());
        for row in &rows {
            wrapped.push(WrappedKey::<TenantKeyName>::from_bytes(row.try_get(0)?)?);
        }
        let ring = Arc::clone(&self.ring);
        blocking(move || ring.load(scope, &wrapped).map(drop)).await?;
        Ok(())
    }

    /// The newest stored key of `class` for the present period.
    async fn stored_key(
        &self,
        scope: Scope,
        class: KeyClass,
    ) -> Result<Option<WrappedKey<DataKeyName>>, StoreError> {
        let sql = "SELECT wrapped FROM wrapped_key WHERE tenant = ? AND environment = ? AND class = ? \
            AND subject = ? AND period = ? ORDER BY term DESC LIMIT 1";
        let row = sqlx::query(sql)
            .bind(scope.tenant.to_bytes().to_vec())
            .bind(i64::from(scope.environment.code()))
            .bind(i64::from(class.code()))
            .bind(class.subject().to_be_bytes().to_vec())
            .bind(class.period_at(self.clock.now()))
            .fetch_optional(&self.reads)
            .await?;
        row.map(|row| Ok(WrappedKey::from_bytes(row.try_get(0)?)?))
            .transpose()
    }

    /// A new key of `class`, durable before it is used.
    async fn make_key(&self, scope: Scope, class: KeyClass) -> Result<(), StoreError> {
        let keys = self.ring.scope(scope)?;
        let new = keys.new_data_key(class)?;
        self.writer
            .write(vec![insert_data_key(&new).into()])
            .await
            .map_err(|refused| refused.error)?;
        Ok(keys.load(&new.stored())?)
    }

    async fn load_data_key(
        &self,
        scope: Scope,
        what: &'static str,
        id: KeyId,
    ) -> Result<(), StoreError> {
        let sql = "SELECT wrapped FROM wrapped_key WHERE id = ? AND tenant = ? AND environment = ?";
        let row = sqlx::query(sql)
            .bind(id.to_bytes().to_vec())
            .bind(scope.tenant.to_bytes().to_vec())
            .bind(i64::from(scope.environment.code()))
            .fetch_optional(&self.reads)
            .await?
            .ok_or(StoreError::Erased(what))?;
        Ok(self
            .ring
            .scope(scope)?
            .load(&WrappedKey::<DataKeyName>::from_bytes(row.try_get(0)?)?)?)
    }

    async fn index_key(&self, scope: Scope) -> Result<Arc<hmac::Key>, StoreError> {
        let now = self.clock.now();
        if let Some((at, key)) = self.index.read().get(&scope)
            && now.since(*at) <= INDEX_KEY_HELD
        {
            return Ok(Arc::clone(key));
        }
        let place = Place {
            table: "index_key",
            column: "sealed",
            row: 0,
            row_version: 0,
        };
        let stored = match self.stored_index_key(scope).await? {
            Some(stored) => stored,
            None => {
                let fresh = fresh_bytes();
                let sealed = self
                    .seal(scope, KeyClass::Directory, &place, &*fresh)
                    .await?;
                let insert = Statement::new(
                    "INSERT OR IGNORE INTO index_key (tenant, environment, sealed) VALUES (?, ?, ?)",
                    vec![
                        value::tenant(scope),
                        value::environment(scope),
                        value::blob(sealed.into_bytes()),
                    ],
                );
                self.writer
                    .write(vec![insert.into()])
                    .await
                    .map_err(|refused| refused.error)?;
                self.stored_index_key(scope)
                    .await?
                    .ok_or(StoreError::NotFound("index key"))?
            }
        };
        let opened = self.open(scope, "index key", &place, stored).await?;
        let key = Arc::new(hmac::Key::new(hmac::HMAC_SHA256, opened.as_bytes()));
        self.index.write().insert(scope, (now, Arc::clone(&key)));
        Ok(key)
    }

    async fn stored_index_key(&self, scope: Scope) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("SELECT sealed FROM index_key WHERE tenant = ? AND environment = ?")
            .bind(scope.tenant.to_bytes().to_vec())
            .bind(i64::from(scope.environment.code()))
            .fetch_optional(&self.reads)
            .await?;
        row.map(|row| row.try_get(0))
            .transpose()
            .map_err(Into::into)
    }
}

/// The first tenant keys of `tenant`, one for each environment, to be stored.
pub(crate) fn new_tenant_keys(
    ring: &Keyring,
    tenant: TenantId,
) -> Result<Vec<Statement>, VaultError> {
    Environment::ALL
        .into_iter()
        .map(|environment| {
            ring.new_tenant_key(
                Scope {
                    tenant,
                    environment,
                },
                Term::FIRST,
            )
        })
        .map(|made| made.map(|key| insert_tenant_key(&key)))
        .collect()
}

/// 32 random bytes.
pub(crate) fn fresh_bytes() -> zeroize::Zeroizing<[u8; 32]> {
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(&mut *bytes).expect("the operating system's random source never fails");
    bytes
}

/// Runs what may ask a device or a service for the root key.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VaultError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(StoreError::Closed),
    }
}

fn insert_data_key(key: &NewKey<DataKeyName>) -> Statement {
    let name = key.name();
    let values = vec![
        value::blob(name.id.to_bytes()),
        value::tenant(name.scope),
        value::environment(name.scope),
        value::count(u64::from(name.class.code())),
        value::id(name.class.subject()),
        rusqlite::types::Value::Integer(name.period),
        value::count(u64::from(name.term.0)),
        value::blob(key.to_bytes()),
    ];
    Statement::new(INSERT_KEY, values)
}

/// Class 0 stands for tenant keys.
fn insert_tenant_key(key: &NewKey<TenantKeyName>) -> Statement {
    let name = key.name();
    let values = vec![
        value::blob(name.id.to_bytes()),
        value::tenant(name.scope),
        value::environment(name.scope),
        value::count(0),
        value::id(0),
        value::count(0),
        value::count(u64::from(name.term.0)),
        value::blob(key.to_bytes()),
    ];
    Statement::new(INSERT_KEY, values)
}
