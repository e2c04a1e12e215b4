//! Follow one job: what the machine says is done, and what came of it is told
//! to the machine and journaled.
//!
//! A line becomes durable before any later effect, reply or wait: lines gather
//! in the run ([`crate::journal`]) and are written with the next intent, or
//! with the job's end. So a job that calls one action commits twice.

use std::sync::Arc;
use std::time::Duration;

use keyway_authz::Principal;
use keyway_fair::{Admission, Wish};
use keyway_gate::resource::RecipeRecord;
use keyway_gate::{Active, Gate, LineOf};
use keyway_ipc::fair::Groups;
use keyway_model::limit::{JOBS_AT_ONCE_MAX, LimitSet, SEGMENT_ATTEMPTS_MAX};
use keyway_model::{JobId, Json, RecipeId, Scope, Timestamp};
use keyway_store::{StoreError, Unit};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::accepted::{Accepted, Answer, answer, tell};
use crate::act::Called;
use crate::definition::{Definition, DefinitionError};
use crate::definitions::Definitions;
use crate::job::{JobRecord, JobSummary, JournalRow};
use crate::journal::About;
use crate::live::{Live, NoRoom, Room};
use crate::machine::{Entry, Machine, MachineError, Next};
use crate::pollers::Pollers;
use crate::runner::{EvaluateError, StepRunner};

/// How long a job that could not be written waits before it goes on.
pub(crate) const STALL_PAUSE: Duration = Duration::from_secs(1);

/// The engine: every job that runs on this node.
#[derive(Debug)]
pub struct Jobs {
    pub(crate) gate: Arc<Gate>,
    pub(crate) runner: Arc<dyn StepRunner>,
    /// Places for jobs that run.
    places: Admission<()>,
    /// Jobs of one tenant take turns with those of others.
    turns: Mutex<Groups>,
    pub(crate) definitions: Definitions,
    pub(crate) live: Live,
    pub(crate) pollers: Pollers,
}

/// One job that runs.
pub(crate) struct Run {
    pub(crate) scope: Scope,
    pub(crate) id: JobId,
    pub(crate) record: JobRecord,
    pub(crate) owner: Principal,
    pub(crate) unit: Unit,
    /// Held up for the other jobs of its version.
    #[expect(dead_code, reason = "the machine has what it needs of it")]
    pub(crate) definition: Arc<Definition>,
    pub(crate) machine: Machine,
    /// Lines of the journal that are not in the unit yet.
    pub(crate) lines: Vec<JournalRow>,
    pub(crate) caller: Option<oneshot::Sender<Answer>>,
    /// Why nobody knows what the last call has done, where that is so.
    pub(crate) unsure: Option<String>,
    pub(crate) room: Room,
    /// Whether it is, or waits.
    pub(crate) active: Active,
}

/// Why a job does not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriveError {
    /// So many jobs run or wait already, or they hold so much.
    #[error("no further job is taken on: {0}; try again later")]
    NoRoom(#[from] NoRoom),
    /// Nothing can be recorded, so nothing may happen; the job goes on later.
    #[error("the job cannot go on: {0}")]
    Stalled(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A defect of ours.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The stored recipe cannot be read.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The recipe is gone.
    #[error("the recipe of this job is not there")]
    NoRecipe,
}

impl Jobs {
    /// An engine over `gate` whose guests `runner` runs.
    pub fn new(gate: Arc<Gate>, runner: Arc<dyn StepRunner>) -> Arc<Self> {
        Arc::new(Self {
            gate,
            runner,
            places: Admission::of(JOBS_AT_ONCE_MAX),
            turns: Mutex::default(),
            definitions: Definitions::default(),
            live: Live::default(),
            pollers: Pollers::default(),
        })
    }

    /// Who runs guests.
    pub fn runner(&self) -> &Arc<dyn StepRunner> {
        &self.runner
    }

    /// How many jobs run now.
    pub fn running(&self) -> usize {
        self.live.count()
    }

    /// Accepts an event of `recipe`. If the recipe answers its caller, event,
    /// first steps and first intent share one commit, for nothing is
    /// acknowledged before the answer; else the event is durable on return.
    ///
    /// # Errors
    ///
    /// [`DriveError`]; then nothing was accepted.
    pub async fn accept(
        self: &Arc<Self>,
        scope: Scope,
        recipe: &RecipeRecord,
        trigger: Json,
    ) -> Result<Accepted, DriveError> {
        let room = self.room(scope, trigger.text().len())?;
        let definition = self.definition_in_force(scope, recipe)?;
        let accepted_at = self.gate.clock().now();
        let id = JobId::at(accepted_at);
        let record = JobRecord {
            recipe: recipe.id,
            name: recipe.name.clone(),
            version: recipe.version,
            trigger,
            accepted_at,
            keys_of: id,
            reruns: None,
        };
        let unit = self.gate.store().unit(scope);
        unit.push(
            self.gate
                .store()
                .tenant(scope)
                .create_job(id, record.of(), &record)
                .await?,
        );
        let answers = definition.answers_its_caller();
        if !answers {
            unit.commit().await?;
        }
        let machine = Machine::new(
            &definition,
            record.trigger.clone(),
            record.facts(id),
            Vec::new(),
        );
        let (caller, answer) = oneshot::channel();
        let accepted_unit = unit.clone();
        let run = Run {
            scope,
            id,
            record,
            owner: recipe.owner,
            unit,
            definition,
            machine,
            lines: Vec::new(),
            caller: answers.then_some(caller),
            unsure: None,
            room,
            active: self.active(scope, recipe.id),
        };
        self.spawn(run);
        Ok(Accepted {
            id,
            answer: answers.then_some(answer),
            unit: accepted_unit,
        })
    }

    /// A job of a recipe, not active yet.
    pub(crate) fn active(&self, scope: Scope, recipe: RecipeId) -> Active {
        self.gate.active(scope.tenant, LineOf::Recipe(recipe))
    }

    /// Room for one more job of this scope, before it is stored; what is known of it
    /// already has so many bytes.
    ///
    /// # Errors
    ///
    /// [`DriveError::NoRoom`].
    pub fn room(&self, scope: Scope, bytes: usize) -> Result<Room, DriveError> {
        let quotas = self.gate.limits(scope, &LimitSet::default()).quotas;
        Ok(self.live.room(scope.tenant, bytes as u64, &quotas)?)
    }

    /// Lets the room of a job grow with what its steps gave; a job that has none
    /// ends. The lines of the journal for it.
    fn room_grown(&self, run: &mut Run, now: Timestamp) -> Vec<Entry> {
        let quotas = self.gate.limits(run.scope, &LimitSet::default()).quotas;
        match run.room.grow(run.machine.bytes() as u64, &quotas) {
            Err(over) if run.machine.outcome().is_none() => {
                let text = format!("what the job holds is more than there is room for: {over}");
                run.machine.over(text, now)
            }
            Ok(()) | Err(_) => Vec::new(),
        }
    }

    pub(crate) fn spawn(self: &Arc<Self>, run: Run) {
        let (id, tenant) = (run.id, run.scope.tenant);
        if self.live.begin(id) {
            // Half of a random id tells tenants apart well enough.
            let group = u64::try_from(tenant.bits() >> 64).unwrap_or_default();
            self.turns.lock().spawn(group, Arc::clone(self).drive(run));
        }
    }

    /// Drives one job to its end. A job that cannot be recorded waits and goes
    /// on from its journal; a defect leaves it where it is, for the next start.
    async fn drive(self: Arc<Self>, mut run: Run) {
        let (scope, id) = (run.scope, run.id);
        let place = self.places.enter(Wish {
            tenant: scope.tenant,
            tenant_max: usize::MAX,
            line: (),
            line_max: usize::MAX,
        });
        let place = place.await;
        loop {
            let error = match self.steps(&mut run).await {
                Ok(()) => break,
                Err(error) => error,
            };
            tracing::error!(job = %id, %error, "a job does not go on");
            if !matches!(error, DriveError::Store(_) | DriveError::Stalled(_)) {
                break;
            }
            run.active.end();
            drop(run.caller.take());
            drop(run.unit.take_pending());
            tokio::time::sleep(STALL_PAUSE).await;
            match self.rebuilt(scope, id).await {
                Some(rebuilt) => run = rebuilt,
                None => break,
            }
        }
        drop(place);
        self.live.end(id);
    }

    async fn steps(&self, run: &mut Run) -> Result<(), DriveError> {
        loop {
            run.active.begin().await;
            match run.machine.next()? {
                Next::Evaluate { request } => self.evaluate(run, request).await?,
                Next::Act(act) => match self.act(run, act).await? {
                    Went::On => {}
                    Went::Unknown(why) => {
                        self.look_again(run).await?;
                        run.unsure = Some(why);
                    }
                },
                Next::Finished { outcome } => {
                    self.write_journal(run).await?;
                    let summary = JobSummary::of(&outcome, run.unsure.as_deref());
                    let store = self.gate.store().tenant(run.scope);
                    run.unit.push(
                        store
                            .finish_job(run.id, outcome.state(), summary.as_ref())
                            .await?,
                    );
                    run.active.end();
                    run.unit.commit().await?;
                    answer(run, outcome.state());
                    return Ok(());
                }
            }
        }
    }

    /// Evaluates a segment. A reply that it gives is sent as soon as it is
    /// durable, unless the job ends with it anyway.
    async fn evaluate(&self, run: &mut Run, request: String) -> Result<(), DriveError> {
        let mut attempts = 0;
        let evaluated = loop {
            let evaluated = self
                .runner
                .evaluate(run.scope, request.clone(), &run.active);
            match evaluated.await {
                Err(EvaluateError::WorkerGone) if attempts < SEGMENT_ATTEMPTS_MAX => attempts += 1,
                other => break other,
            }
        };
        let now = self.gate.clock().now();
        let entries = match evaluated {
            Ok(response) => run.machine.evaluated(&response, now)?,
            Err(error) => run.machine.unevaluable(error.to_string(), now),
        };
        run.journal(entries, None);
        let ended = self.room_grown(run, now);
        run.journal(ended, None);
        let waits = run.caller.is_some() && run.machine.outcome().is_none();
        if waits && let Some(reply) = run.machine.reply().cloned() {
            self.write_journal(run).await?;
            run.active.end();
            run.unit.commit().await?;
            tell(run, Answer::Reply(reply));
        }
        Ok(())
    }

    async fn act(&self, run: &mut Run, act: crate::machine::Act) -> Result<Went, DriveError> {
        let now = || self.gate.clock().now();
        let prepared = match self.prepare(run, &act) {
            Ok(prepared) => prepared,
            Err(failure) => {
                let entries = run.machine.acted(&act.key, Err(failure), now())?;
                run.journal(entries, None);
                return Ok(Went::On);
            }
        };
        if !prepared.effect.repeats() {
            let mark = run.machine.started(prepared.effect, now())?;
            run.journal(vec![mark], None);
        }
        // Durable with the call's first intent, and so before its first effect.
        self.write_journal(run).await?;
        match self.call(run, &prepared).await? {
            Called::Unknown(why) => Ok(Went::Unknown(why)),
            Called::Ended(ended) => {
                let (result, ended) = *ended;
                let result = result.map_err(|failure| ended.seen.explained(failure));
                let entries = run.machine.acted(&act.key, result, now())?;
                let connector = &prepared.basis.connector.record;
                let about = About {
                    connector: (connector.digest, connector.name.clone()),
                    seen: ended.seen,
                };
                run.journal(entries, Some(about));
                let ended = self.room_grown(run, now());
                run.journal(ended, None);
                Ok(Went::On)
            }
        }
    }

    /// Builds the machine again from what is durable, which settles what an
    /// attempt without an outcome means.
    async fn look_again(&self, run: &mut Run) -> Result<(), DriveError> {
        self.write_journal(run).await?;
        run.unit.commit().await?;
        let caller = run.caller.take();
        *run = self.rebuild(run.scope, run.id, caller).await?;
        Ok(())
    }
}

/// Whether a job went on.
enum Went {
    On,
    Unknown(String),
}
