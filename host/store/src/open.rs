//! Opens a data directory: takes it, brings its schema up to date, checks that
//! it belongs to the root key, and closes what a former process left open.

use std::path::PathBuf;
use std::sync::Arc;

use keyway_authz::log::LogKey;
use keyway_model::{Clock, DeploymentId, TenantId};
use keyway_vault::{
    KeyClass, KeyLimits, Keyring, Place, PlatformKeyName, RootFileError, RootKey, RootKeyProvider,
    VaultError, WrappedKey, new_platform_key,
};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection, SqlitePool};

use crate::audit::Notary;
use crate::cache::Cache;
use crate::change::{Statement, value};
use crate::error::StoreError;
use crate::heads::Heads;
use crate::home::{Home, HomeError};
use crate::keys::{Keys, fresh_bytes, new_tenant_keys};
use crate::row;
use crate::scratch::Room;
use crate::store::{Inner, PLATFORM, Store};
use crate::writer::{SetupError, Writer};

/// The tables, as this program knows them.
static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Connections for reading.
const READERS: u32 = 4;

/// Where the store is, and what time it is.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The data directory; made if it is not there.
    pub dir: PathBuf,
    /// The clock.
    pub clock: Clock,
}

/// Why a data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The root key's file.
    #[error(transparent)]
    RootFile(#[from] RootFileError),
    /// The schema is of a newer program.
    #[error(
        "{} was written by a newer Keyway (schema {found}, and this program knows {known}): use that version, or restore a backup from before it", .path.display()
    )]
    NewerSchema {
        /// The data directory.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema of this program.
        known: i64,
    },
    /// The root key is another one.
    #[error("{} belongs to another root key: {source}", .path.display())]
    OtherRoot {
        /// The data directory.
        path: PathBuf,
        /// Which keys they are.
        source: VaultError,
    },
    /// The schema cannot be brought up to date.
    #[error("the database cannot be brought up to date")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The writer cannot start.
    #[error(transparent)]
    Writer(#[from] SetupError),
    /// The database or its keys.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<VaultError> for OpenError {
    fn from(error: VaultError) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Opens the data directory with the root key in `root_key_file` inside it,
    /// which is made together with the database and never after it.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub async fn open(options: StoreOptions, root_key_file: &str) -> Result<Self, OpenError> {
        let home = Home::take(&options.dir)?;
        migrate(&home).await?;
        let path = options.dir.join(root_key_file);
        let root = if is_new(&home).await? {
            RootKey::open_or_create(&path)?
        } else {
            RootKey::open(&path)?
        };
        Self::assemble(options, home, Arc::new(root)).await
    }

    /// Opens the data directory with a root key that is kept elsewhere.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub async fn open_with(
        options: StoreOptions,
        root: Arc<dyn RootKeyProvider>,
    ) -> Result<Self, OpenError> {
        let home = Home::take(&options.dir)?;
        migrate(&home).await?;
        Self::assemble(options, home, root).await
    }

    async fn assemble(
        options: StoreOptions,
        home: Home,
        root: Arc<dyn RootKeyProvider>,
    ) -> Result<Self, OpenError> {
        let clock = options.clock;
        let heads = Arc::new(Heads::default());
        let cache = Arc::new(Cache::default());
        let writer = Arc::new(Writer::start(
            &home.database(),
            Arc::clone(&heads),
            Arc::clone(&cache),
            &tokio::runtime::Handle::current(),
        )?);
        let reads = readers(&home).await?;
        let (deployment, ring) = keyring(&home, &reads, &writer, root, &clock).await?;
        let keys = Keys::new(ring, reads.clone(), Arc::clone(&writer), clock.clone());
        let log_key = log_key(&keys, &reads, &writer, deployment).await?;
        let inner = Inner {
            deployment,
            clock,
            keys,
            reads,
            cache,
            heads,
            log_key,
            notary: Notary::default(),
            scratch: Room::open(home.path())?,
            runtime: tokio::runtime::Handle::current(),
            writer,
            home,
        };
        inner.load_webhooks().await?;
        let store = Self(Arc::new(inner));
        store.close_left_behind().await?;
        Ok(store)
    }

    /// Loads where each log ends, and closes as `unknown` what nobody will
    /// close any more.
    async fn close_left_behind(&self) -> Result<(), StoreError> {
        let mut tenants: Vec<TenantId> = self
            .directory()
            .workspaces()
            .await?
            .into_iter()
            .map(|workspace| workspace.tenant)
            .collect();
        tenants.push(PLATFORM.tenant);
        for tenant in tenants {
            self.audit(tenant).close_left_behind().await?;
        }
        Ok(())
    }
}

async fn migrate(home: &Home) -> Result<(), OpenError> {
    let options = SqliteConnectOptions::new().filename(home.database());
    let mut connection = options.connect().await?;
    let known = MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0);
    let found = schema(&mut connection).await?;
    if found > known {
        return Err(OpenError::NewerSchema {
            path: home.path().to_owned(),
            found,
            known,
        });
    }
    if found < known {
        MIGRATIONS.run(&mut connection).await?;
    }
    connection.close().await?;
    Ok(())
}

/// The newest migration that was applied; 0 for a new database.
async fn schema(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let table = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'";
    if sqlx::query(table)
        .fetch_optional(&mut *connection)
        .await?
        .is_none()
    {
        return Ok(0);
    }
    let newest = sqlx::query("SELECT coalesce(max(version), 0) FROM _sqlx_migrations");
    newest.fetch_one(connection).await?.try_get(0)
}

/// Whether the database is not a deployment yet.
async fn is_new(home: &Home) -> Result<bool, OpenError> {
    let options = SqliteConnectOptions::new()
        .filename(home.database())
        .read_only(true);
    let mut connection = options.connect().await?;
    let found = sqlx::query("SELECT 1 FROM meta")
        .fetch_optional(&mut connection)
        .await?;
    connection.close().await?;
    Ok(found.is_none())
}

async fn readers(home: &Home) -> Result<SqlitePool, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(home.database())
        .read_only(true);
    SqlitePoolOptions::new()
        .min_connections(1)
        .max_connections(READERS)
        .connect_with(options)
        .await
}

/// The deployment and its keyring. A new database becomes a deployment, with
/// the platform's keys, in one transaction.
async fn keyring(
    home: &Home,
    reads: &SqlitePool,
    writer: &Writer,
    root: Arc<dyn RootKeyProvider>,
    clock: &Clock,
) -> Result<(DeploymentId, Arc<Keyring>), OpenError> {
    let load = |deployment, root, platform_key: &WrappedKey<PlatformKeyName>| {
        let ring = Keyring::new(
            deployment,
            root,
            platform_key,
            clock.clone(),
            KeyLimits::default(),
        );
        ring.map(Arc::new).map_err(|error| other_root(home, error))
    };
    if let Some(found) = sqlx::query("SELECT deployment, platform_key FROM meta")
        .fetch_optional(reads)
        .await?
    {
        let deployment = DeploymentId::from_bytes(row::bytes(&found, "deployment")?);
        let platform_key = WrappedKey::from_bytes(&row::blob(&found, "platform_key")?)?;
        return Ok((deployment, load(deployment, root, &platform_key)?));
    }
    let deployment = DeploymentId::random();
    let platform_key = new_platform_key(root.as_ref(), deployment)?;
    let values = vec![
        value::id(deployment.bits()),
        value::blob(root.id().to_bytes()),
        value::blob(platform_key.to_bytes()),
        value::time(clock.now()),
    ];
    let sql = "INSERT INTO meta (singleton, deployment, root_key, platform_key, created) VALUES (1, ?, ?, ?, ?)";
    let mut writes = vec![Statement::new(sql, values).into()];
    let ring = load(
        deployment,
        root,
        &WrappedKey::from_bytes(&platform_key.to_bytes())?,
    )?;
    writes.extend(
        new_tenant_keys(&ring, PLATFORM.tenant)?
            .into_iter()
            .map(Into::into),
    );
    writer
        .write(writes)
        .await
        .map_err(|refused| refused.error)?;
    tracing::info!(%deployment, path = %home.path().display(), "a new deployment");
    Ok((deployment, ring))
}

/// The key that signs checkpoints; it is made, and sealed, once.
async fn log_key(
    keys: &Keys,
    reads: &SqlitePool,
    writer: &Writer,
    deployment: DeploymentId,
) -> Result<LogKey, OpenError> {
    let place = Place {
        table: "meta",
        column: "signing_key",
        row: deployment.bits(),
        row_version: 0,
    };
    let stored: Option<Vec<u8>> = sqlx::query("SELECT signing_key FROM meta")
        .fetch_one(reads)
        .await?
        .try_get(0)?;
    let unusable = || StoreError::encoding("signing key", "it is not 32 bytes");
    if let Some(sealed) = stored {
        let seed = keys.open(PLATFORM, "signing key", &place, sealed).await?;
        return Ok(LogKey::from_seed(seed.as_bytes()).ok_or_else(unusable)?);
    }
    let seed = fresh_bytes();
    let sealed = keys
        .seal(PLATFORM, KeyClass::Directory, &place, &*seed)
        .await?;
    let update = Statement::new(
        "UPDATE meta SET signing_key = ?",
        vec![value::blob(sealed.into_bytes())],
    );
    writer
        .write(vec![update.into()])
        .await
        .map_err(|refused| refused.error)?;
    Ok(LogKey::from_seed(&*seed).ok_or_else(unusable)?)
}

fn other_root(home: &Home, error: VaultError) -> OpenError {
    if let source @ VaultError::OtherRoot { .. } = error {
        let path = home.path().to_owned();
        return OpenError::OtherRoot { path, source };
    }
    error.into()
}
