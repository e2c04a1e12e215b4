//! `keyway.toml`: the platform's configuration. Strict: what is not known is
//! refused with its line.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use keyway_model::Name;
use keyway_model::limit::{
    CODE_CACHED_BYTES_MAX, COMPILE_CPU_SECONDS_MAX, COMPILE_MEMORY_BYTES_MAX,
    COMPILE_WALL_SECONDS_MAX, COMPONENTS_HELD_MAX, LimitSet, Limits, PlatformLimits,
    WEBHOOK_BODY_BYTES_MAX, WEBHOOK_REPLY_MS_MAX, WORKER_CPU_SECONDS_MAX, WORKER_LANES_MAX,
    WORKER_MEMORY_BYTES_MAX,
};
use keyway_model::net::HostName;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// The platform's configuration. Everything has a default.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen.
    pub listen: Listen,
    /// How far guests may reach.
    pub egress: EgressConfig,
    /// What holds where nobody asks for anything else.
    pub limits: Limits,
    /// What a manifest may ask for at most, where that is more.
    pub ceiling: LimitSet,
    /// How many processes run guests.
    pub workers: WorkersConfig,
    /// What callers may send.
    pub webhook: WebhookConfig,
}

/// `[listen]`: where callers reach Keyway.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Where webhooks arrive. Port 0 takes any free port.
    pub webhook: SocketAddr,
    /// Where the API listens beside its Unix socket; only with tokens, only on
    /// a loopback address.
    pub api: Option<SocketAddr>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            webhook: SocketAddr::from(([127, 0, 0, 1], 8700)),
            api: None,
        }
    }
}

/// `[egress]`: how far guests may reach.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct EgressConfig {
    /// `[[egress.allow]]`: places that are reachable although their address is
    /// not public.
    pub allow: Vec<AllowedPlace>,
    /// Certificates in PEM that are trusted beside the public roots.
    pub ca_files: Vec<PathBuf>,
    /// Lists of revoked certificates in PEM, read at the start.
    pub crl_files: Vec<PathBuf>,
    /// Hosts that nobody may reach.
    pub deny_hosts: Vec<HostName>,
    /// The name servers to ask, as `address:port`; without any, the machine's.
    pub name_servers: Vec<SocketAddr>,
}

/// One place that is reachable although its address is not public.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedPlace {
    /// The host, exactly.
    pub host: HostName,
    /// The port, exactly.
    pub port: u16,
    /// Whether a credential may travel there without TLS.
    #[serde(default)]
    pub cleartext: bool,
    /// The addresses that the host may have there; without any, all but those
    /// of a cloud's metadata and the like.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
}

/// `[workers]`: the processes that run guests.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkersConfig {
    /// Worker processes for everyone; 0 means one for each core.
    pub processes: usize,
    /// Threads in each, up to `WORKER_LANES_MAX`.
    #[serde(deserialize_with = "so_many_lanes")]
    pub threads: usize,
    /// Linear memory of all guests of one process together, in bytes.
    pub worker_memory_bytes_max: u64,
    /// Time of one process on processors over its life, in seconds, 2 or more: at half
    /// of it, another takes its place.
    #[serde(deserialize_with = "two_or_more")]
    pub cpu_seconds_max: u64,
    /// Time on a processor for compiling one component, in seconds.
    pub compile_cpu_seconds_max: u64,
    /// Time from start to end for compiling one component, in seconds.
    pub compile_wall_seconds_max: u64,
    /// Memory for compiling one component, in bytes.
    pub compile_memory_bytes_max: u64,
    /// Components whose code the broker, and each thread of a worker, has at hand.
    pub components_held_max: usize,
    /// Compiled code on the disk, in bytes.
    pub code_cached_bytes_max: u64,
    /// The user that workers run as where the broker is root; each gets one of its
    /// own, if none is named.
    pub user: Option<u32>,
    /// Workspaces that have workers of their own.
    pub own: Vec<Name>,
    /// Runs guests although the kernel or the container refuses a layer of
    /// their confinement.
    pub dangerous_weaker_worker: bool,
}

impl Default for WorkersConfig {
    fn default() -> Self {
        Self {
            processes: 0,
            threads: 1,
            worker_memory_bytes_max: WORKER_MEMORY_BYTES_MAX,
            cpu_seconds_max: WORKER_CPU_SECONDS_MAX,
            compile_cpu_seconds_max: COMPILE_CPU_SECONDS_MAX,
            compile_wall_seconds_max: COMPILE_WALL_SECONDS_MAX,
            compile_memory_bytes_max: COMPILE_MEMORY_BYTES_MAX,
            components_held_max: COMPONENTS_HELD_MAX,
            code_cached_bytes_max: CODE_CACHED_BYTES_MAX,
            user: None,
            own: Vec::new(),
            dangerous_weaker_worker: false,
        }
    }
}

impl WorkersConfig {
    /// Worker processes for everyone.
    pub fn processes(&self) -> usize {
        match self.processes {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            processes => processes,
        }
    }

    /// Threads in each worker.
    pub fn lanes(&self) -> usize {
        self.threads.max(1)
    }
}

/// `[webhook]`: what callers may send.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookConfig {
    /// Bytes of a body, at most.
    pub body_bytes_max: usize,
    /// How long a caller waits for a `respond`, in milliseconds, before it
    /// gets 202.
    pub reply_ms_max: u64,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self {
            body_bytes_max: WEBHOOK_BODY_BYTES_MAX,
            reply_ms_max: WEBHOOK_REPLY_MS_MAX,
        }
    }
}

/// A worker takes no more.
fn so_many_lanes<'de, D: Deserializer<'de>>(given: D) -> Result<usize, D::Error> {
    let threads = usize::deserialize(given)?;
    if threads > WORKER_LANES_MAX {
        let why = format!(
            "threads = {threads} is more than a worker takes, `WORKER_LANES_MAX` ({WORKER_LANES_MAX}): say less, or have more processes"
        );
        return Err(D::Error::custom(why));
    }
    Ok(threads)
}

/// Half of less is no time to work in.
fn two_or_more<'de, D: Deserializer<'de>>(given: D) -> Result<u64, D::Error> {
    let seconds = u64::deserialize(given)?;
    if seconds < 2 {
        let why = "cpu_seconds_max is too little for a worker to do anything: say 2 or more";
        return Err(D::Error::custom(why));
    }
    Ok(seconds)
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("{path}: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line, and what is wrong.
        message: String,
    },
    /// The API would listen to the world.
    #[error(
        "{path}: [listen] api = \"{api}\" is not a loopback address: put a proxy with TLS before it"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// The address.
        api: SocketAddr,
    },
}

impl Config {
    /// The limits of `[limits]` and `[ceiling]`.
    ///
    /// # Errors
    ///
    /// What does not fit of the two, in words.
    pub fn platform_limits(&self) -> Result<PlatformLimits, String> {
        PlatformLimits::new(self.limits, &self.ceiling)
    }

    /// Reads a configuration file; without one, the defaults hold.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with the line of what is wrong.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let config: Self = toml::from_str(&text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            message: error.to_string(),
        })?;
        if let Err(message) = config.platform_limits() {
            let path = path.to_owned();
            return Err(ConfigError::Parse { path, message });
        }
        match config.listen.api {
            Some(api) if !api.ip().is_loopback() => Err(ConfigError::Open {
                path: path.to_owned(),
                api,
            }),
            _ => Ok(config),
        }
    }
}
