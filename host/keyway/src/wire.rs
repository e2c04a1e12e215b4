//! The one place where the parts meet: store, vault, roles, gate, workers,
//! engine.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use keyway_egress::{Egress, EgressConfig, SystemResolver};
use keyway_gate::{
    Active, Ceiling, Ended, Gate, Held, Invocation, LineOf, LogicInput, Presence, Registry, Room,
    WorkerGone, run_logic,
};
use keyway_ipc::{CallOutcome, Entrance, Trap};
use keyway_jobs::{EvaluateError, Jobs, StepRunner};
use keyway_model::limit::{GUEST_CALLS_PER_WORKER_MAX, LimitSet, Limits, PlatformLimits};
use keyway_model::time::Clock;
use keyway_model::{Digest, Scope, TenantId};
use keyway_roles::Roles;
use keyway_runtime::CompileLimits;
use keyway_store::{Store, StoreOptions};

use crate::artifacts::{Artifacts, CompileError, Keeping};
use crate::config::Config;
use crate::confined::Confined;
use crate::deployment::Deployment;
use crate::workers::{self, NoLane, Workers};

/// The expression component, built with this program.
pub(crate) const EXPRESSIONS: &[u8] = include_bytes!(env!("KEYWAY_EXPRESSIONS"));

/// The file with the root key, inside the data directory.
pub const ROOT_KEY: &str = "root.key";

/// Runs guests on the deployment's workers.
#[derive(Debug)]
pub struct Runner {
    artifacts: Arc<Artifacts>,
    workers: Arc<Workers>,
    gate: Arc<Gate>,
    expressions: Digest,
}

impl Runner {
    /// A lane whose worker has the component, as long as it is held, unless the
    /// component may not run. Whoever starts the call does so at once: a verdict
    /// ends those that have started.
    async fn lane_with(&self, tenant: TenantId, digest: Digest) -> Result<Held, NotLoaded> {
        let held = self.loaded(tenant, digest).await?;
        self.workers.stands(&digest)?;
        Ok(held)
    }

    async fn loaded(&self, tenant: TenantId, digest: Digest) -> Result<Held, NotLoaded> {
        let lane = match self.workers.lane(tenant, digest).await?.hold(digest) {
            Ok(held) => {
                self.artifacts.note_use(digest);
                return Ok(held);
            }
            Err(lane) => lane,
        };
        let owner = self.owner(tenant, digest);
        let component = async || self.component(digest).await;
        let code = self.artifacts.code(owner, digest, component).await?;
        lane.load(owner, digest, || Ok(code.share()?)).await
    }

    /// Whose share of the room for code a component takes when `tenant` calls it.
    /// Everybody's expressions are nobody's.
    fn owner(&self, tenant: TenantId, digest: Digest) -> TenantId {
        match digest == self.expressions {
            true => keyway_store::PLATFORM.tenant,
            false => tenant,
        }
    }

    async fn component(&self, digest: Digest) -> Result<Vec<u8>, CompileError> {
        if digest == self.expressions {
            return Ok(EXPRESSIONS.to_vec());
        }
        let found = self.gate.store().artifact(digest).await;
        found
            .map_err(|error| CompileError::Refused(error.to_string()))?
            .ok_or_else(|| {
                CompileError::Refused(format!(
                    "the artifact {digest} is not there: install it again"
                ))
            })
    }

    async fn logic(
        &self,
        scope: Scope,
        entrance: Entrance,
        presence: &Presence,
        active: &Active,
    ) -> Result<String, EvaluateError> {
        let input = LogicInput::of(entrance)?;
        let limits = self.gate.limits(scope, &LimitSet::default());
        let (tenant, component) = (scope.tenant, self.expressions);
        let ready = async {
            let place = self.gate.place_for_logic(scope, &limits).await;
            (place, self.lane_with(tenant, component).await)
        };
        let call = async {
            let (_place, lane) = tokio::select! {
                ready = ready => ready,
                () = presence.gone() => return Err(EvaluateError::Cancelled),
            };
            let lane = lane?;
            let (outcome, _) = run_logic(&lane, tenant, component, input, &limits, presence).await;
            Ok(outcome)
        };
        tokio::select! {
            () = active.begin() => {}
            () = presence.gone() => return Err(EvaluateError::Cancelled),
        }
        match active.of(call).await? {
            CallOutcome::Value(answer) => Ok(answer),
            CallOutcome::Trap(Trap::Cancelled(_)) => Err(EvaluateError::Cancelled),
            CallOutcome::Trap(Trap::WorkerGone) => Err(EvaluateError::WorkerGone),
            CallOutcome::Trap(trap) => Err(EvaluateError::Failed(trap.to_string())),
            CallOutcome::LogicError(text) => Err(EvaluateError::Failed(text)),
            CallOutcome::Failure(failure) => Err(EvaluateError::Failed(failure.to_string())),
            CallOutcome::Batch(_) => {
                Err(EvaluateError::Failed("not an answer of logic".to_owned()))
            }
        }
    }
}

/// Why no worker has a component.
#[derive(Debug, thiserror::Error)]
enum NotLoaded {
    /// It was lost before it could be told to run anything.
    #[error(transparent)]
    Gone(#[from] WorkerGone),
    #[error(transparent)]
    NoLane(#[from] NoLane),
    #[error(transparent)]
    NoCode(#[from] CompileError),
    #[error("the compiled code cannot be given to a worker: {0}")]
    Io(#[from] std::io::Error),
}

impl From<NotLoaded> for Trap {
    fn from(error: NotLoaded) -> Self {
        match error {
            NotLoaded::Gone(WorkerGone) => Self::WorkerGone,
            NotLoaded::NoLane(_) | NotLoaded::NoCode(_) | NotLoaded::Io(_) => {
                Self::Component(error.to_string())
            }
        }
    }
}

impl From<NotLoaded> for EvaluateError {
    fn from(error: NotLoaded) -> Self {
        match error {
            NotLoaded::Gone(WorkerGone) => Self::WorkerGone,
            NotLoaded::NoLane(_) | NotLoaded::NoCode(_) | NotLoaded::Io(_) => {
                Self::Failed(format!("the expression component: {error}"))
            }
        }
    }
}

#[async_trait]
impl StepRunner for Runner {
    async fn evaluate(
        &self,
        scope: Scope,
        request: String,
        active: &Active,
    ) -> Result<String, EvaluateError> {
        let entrance = Entrance::Run { input: request };
        self.logic(scope, entrance, &Presence::always(), active)
            .await
    }

    async fn check(
        &self,
        scope: Scope,
        request: String,
        presence: &Presence,
    ) -> Result<String, EvaluateError> {
        let entrance = Entrance::CheckExpressions { request };
        let active = self.gate.active(scope.tenant, LineOf::Logic);
        self.logic(scope, entrance, presence, &active).await
    }

    async fn run(&self, invocation: &Invocation, entrance: Entrance) -> Ended {
        let (tenant, artifact) = (invocation.scope().tenant, invocation.artifact());
        let ready = async {
            let place = invocation.place().await;
            (place, self.lane_with(tenant, artifact).await)
        };
        let gone = || async {
            invocation.presence().gone().await;
            Ended::without_running(Presence::cancelled())
        };
        let call = async {
            let (_place, lane) = tokio::select! {
                ready = ready => ready,
                ended = gone() => return ended,
            };
            match lane {
                Ok(lane) => invocation.run(&lane, entrance).await,
                Err(error) => Ended::without_running(error.into()),
            }
        };
        tokio::select! {
            () = invocation.active().begin() => {}
            ended = gone() => return ended,
        }
        invocation.active().of(call).await
    }
}

/// Where a deployment is, and how it is set up.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The data directory.
    pub data: PathBuf,
    /// The platform's configuration.
    pub config: Config,
    /// The program that workers are.
    pub program: PathBuf,
    /// The time.
    pub clock: Clock,
}

/// Puts a deployment together. Nothing listens yet, and no job runs.
pub(crate) async fn assemble(plan: Plan) -> Result<Arc<Deployment>> {
    let Plan {
        data,
        config,
        program,
        clock,
    } = plan;
    let limits = config.platform_limits().map_err(anyhow::Error::msg)?;
    let store = open_store(&data, clock.clone()).await?;
    let roles = Arc::new(Roles::new().context("the roles' own policies")?);
    let registry = Arc::new(Registry::default());
    let gate = Gate::new(
        egress(&config, &limits.ceiling)?,
        store.clone(),
        roles.clone(),
        registry,
        ceiling(&config, limits),
        clock,
    );
    let confined = Confined {
        program,
        user: config.workers.user,
        compile: CompileLimits {
            cpu_seconds_max: config.workers.compile_cpu_seconds_max,
            memory_bytes_max: config.workers.compile_memory_bytes_max,
            guest_memory_bytes_max: limits.ceiling.call.memory_bytes_max,
            guest_table_elements_max: limits.ceiling.call.table_elements_max.into(),
        },
        compile_wall_seconds_max: config.workers.compile_wall_seconds_max,
        is_weaker: config.workers.dangerous_weaker_worker,
    };
    let cache_key = crate::deployment::cache_key(&store).await?;
    let room = Room {
        pieces_max: config.workers.components_held_max,
        ..Room::default()
    };
    let keeping = Keeping {
        dir: data.join("cache"),
        key: cache_key.expose().to_vec(),
        cached_bytes_max: config.workers.code_cached_bytes_max,
        room,
    };
    let (artifacts, forged) =
        Artifacts::new(confined.clone(), keeping).context("the cache directory")?;
    let artifacts = Arc::new(artifacts);
    let expressions = Digest::of(EXPRESSIONS);
    let component = async || Ok(EXPRESSIONS.to_vec());
    artifacts
        .code(keyway_store::PLATFORM.tenant, expressions, component)
        .await
        .context("the expression component")?;
    let plan = workers::WorkerPlan {
        confined,
        lanes: config.workers.lanes(),
        room,
        limits: limits.ceiling.call,
        worker_memory_bytes_max: config.workers.worker_memory_bytes_max,
        cpu_seconds_max: config.workers.cpu_seconds_max,
    };
    let (workers, mut notices) =
        Workers::start(plan, config.workers.processes(), expressions).await?;
    let runner = Arc::new(Runner {
        artifacts: Arc::clone(&artifacts),
        workers: Arc::clone(&workers),
        gate: Arc::clone(&gate),
        expressions,
    });
    let jobs = Jobs::new(Arc::clone(&gate), runner);
    let deployment = Deployment::new(gate, roles, artifacts, workers, jobs, config);
    deployment.record_start().await?;
    deployment.load().await?;
    deployment.note_the_start(&mut notices).await?;
    tokio::spawn(Arc::clone(&deployment).follow_notices(notices));
    tokio::spawn(Arc::clone(&deployment).follow_forged(forged));
    tokio::spawn(a_timer_before_all_others());
    Ok(deployment)
}

/// A timer that ends before all others makes the runtime wake itself, by a system
/// call, when it is set. Nearly all are set for seconds, for each request: with
/// this one before them they cost nothing.
async fn a_timer_before_all_others() {
    let mut each_second = tokio::time::interval(Duration::from_secs(1));
    loop {
        each_second.tick().await;
    }
}

async fn open_store(data: &Path, clock: Clock) -> Result<Store> {
    let options = StoreOptions {
        dir: data.to_owned(),
        clock,
    };
    Store::open(options, ROOT_KEY)
        .await
        .with_context(|| format!("data directory {}", data.display()))
}

fn egress(config: &Config, limits: &Limits) -> Result<Egress> {
    let read = |field: &str, paths: &[PathBuf]| {
        let text = |path: &PathBuf| {
            std::fs::read_to_string(path)
                .with_context(|| format!("[egress] {field}: {}", path.display()))
        };
        paths.iter().map(text).collect::<Result<Vec<_>>>()
    };
    let allowed = config
        .egress
        .allow
        .iter()
        .map(|place| keyway_egress::AllowedPlace {
            host: place.host.clone(),
            port: place.port,
            cleartext: place.cleartext,
            addresses: place.addresses.clone(),
        });
    // A public address of this very machine is not the outside.
    let interfaces = if_addrs::get_if_addrs().context("the addresses of this machine")?;
    let resolver = match config.egress.name_servers.as_slice() {
        [] => SystemResolver::new(),
        servers => SystemResolver::asking(servers),
    };
    let bounds = keyway_egress::Bounds::of(limits);
    let egress = EgressConfig {
        resolver: Arc::new(resolver),
        allowed: allowed.collect(),
        extra_roots_pem: read("ca_files", &config.egress.ca_files)?,
        revoked_pem: read("crl_files", &config.egress.crl_files)?,
        also_denied: interfaces.iter().map(if_addrs::Interface::ip).collect(),
        limits: bounds.limits,
        timeouts: bounds.timeouts,
    };
    Egress::new(egress).context("[egress]")
}

fn ceiling(config: &Config, limits: PlatformLimits) -> Ceiling {
    Ceiling {
        limits,
        guest_calls: config.workers.processes() * GUEST_CALLS_PER_WORKER_MAX as usize,
        hosts_denied: config.egress.deny_hosts.clone(),
        cleartext: config
            .egress
            .allow
            .iter()
            .filter(|place| place.cleartext)
            .map(|place| (place.host.clone(), place.port))
            .collect(),
    }
}
