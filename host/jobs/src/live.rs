//! Which jobs run or wait, what they hold in memory, and whether there is room for
//! more of either.
//!
//! Room is taken before a job is stored, whatever starts it (an event, a poll, a
//! rerun), grows with what its steps give, and is free again when the job has
//! ended. A workspace holds at most as much as is free, so that some together cannot
//! keep the others out. Never refuses a job that is durable already: that one takes
//! its room without asking.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use keyway_model::limit::{JOB_BYTES_MAX, JOBS_MAX, Quotas};
use keyway_model::{JobId, TenantId};
use parking_lot::Mutex;

/// The jobs that run or wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live(Arc<Mutex<Jobs>>);

#[derive(Debug, Default)]
struct Jobs {
    ids: HashSet<JobId>,
    all: Held,
    tenants: HashMap<TenantId, Held>,
}

/// So many jobs, and what they hold together.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    jobs: u64,
    bytes: u64,
}

/// Room for one job, free again when this is dropped.
#[derive(Debug)]
#[must_use = "the room is free again when this is dropped"]
pub struct Room {
    live: Live,
    tenant: TenantId,
    bytes: u64,
}

/// There is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` ({value}) is exceeded")]
pub struct NoRoom {
    /// The limit's name.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
}

impl Live {
    /// How many run or wait.
    pub(crate) fn count(&self) -> usize {
        usize::try_from(self.0.lock().all.jobs).unwrap_or(usize::MAX)
    }

    /// Whether this one does.
    pub(crate) fn contains(&self, id: JobId) -> bool {
        self.0.lock().ids.contains(&id)
    }

    /// Notes that a job begins; `false` if it has begun before.
    pub(crate) fn begin(&self, id: JobId) -> bool {
        self.0.lock().ids.insert(id)
    }

    /// Notes that it goes on no more.
    pub(crate) fn end(&self, id: JobId) {
        self.0.lock().ids.remove(&id);
    }

    /// Room for one more job of a workspace, which holds so many bytes.
    pub(crate) fn room(
        &self,
        tenant: TenantId,
        bytes: u64,
        quotas: &Quotas,
    ) -> Result<Room, NoRoom> {
        let mut jobs = self.0.lock();
        jobs.check(tenant, Held { jobs: 1, bytes }, quotas)?;
        Ok(self.take(&mut jobs, tenant, bytes))
    }

    /// Room for a job that is durable already.
    pub(crate) fn room_anyway(&self, tenant: TenantId, bytes: u64) -> Room {
        self.take(&mut self.0.lock(), tenant, bytes)
    }

    fn take(&self, jobs: &mut Jobs, tenant: TenantId, bytes: u64) -> Room {
        for held in [&mut jobs.all, jobs.tenants.entry(tenant).or_default()] {
            held.jobs += 1;
            held.bytes += bytes;
        }
        Room {
            live: self.clone(),
            tenant,
            bytes,
        }
    }
}

impl Jobs {
    /// Whether a workspace may have so much more.
    fn check(&self, tenant: TenantId, more: Held, quotas: &Quotas) -> Result<(), NoRoom> {
        let own = self.tenants.get(&tenant).copied().unwrap_or_default();
        let share = |max: u64, all: u64, own: u64| max.saturating_sub(all) + own;
        let jobs_max: u64 = quotas.jobs_per_workspace_max.into();
        let bytes_max = quotas.job_bytes_per_workspace_max;
        for (name, value, held, more, most) in [
            (
                "jobs_per_workspace_max",
                jobs_max,
                own.jobs,
                more.jobs,
                jobs_max,
            ),
            (
                "job_bytes_per_workspace_max",
                bytes_max,
                own.bytes,
                more.bytes,
                bytes_max,
            ),
            (
                "JOBS_MAX",
                JOBS_MAX as u64,
                own.jobs,
                more.jobs,
                share(JOBS_MAX as u64, self.all.jobs, own.jobs) / 2,
            ),
            (
                "JOB_BYTES_MAX",
                JOB_BYTES_MAX,
                own.bytes,
                more.bytes,
                share(JOB_BYTES_MAX, self.all.bytes, own.bytes) / 2,
            ),
        ] {
            if more > 0 && held.saturating_add(more) > most {
                return Err(NoRoom { name, value });
            }
        }
        Ok(())
    }

    /// Whether the jobs under way of a workspace may have so many bytes more. What others
    /// hold ends none of them as long as its workspace holds no more than an equal part.
    fn check_growth(&self, tenant: TenantId, more: u64, quotas: &Quotas) -> Result<(), NoRoom> {
        let held = self.tenants.get(&tenant).map_or(0, |held| held.bytes);
        let wanted = held.saturating_add(more);
        let own_max = quotas.job_bytes_per_workspace_max;
        let workspaces = self.tenants.len().max(1) as u64;
        let is_full = self.all.bytes.saturating_add(more) > JOB_BYTES_MAX;
        let (name, value) = if more == 0 {
            return Ok(());
        } else if wanted > own_max {
            ("job_bytes_per_workspace_max", own_max)
        } else if is_full && wanted > JOB_BYTES_MAX / workspaces {
            ("JOB_BYTES_MAX", JOB_BYTES_MAX)
        } else {
            return Ok(());
        };
        Err(NoRoom { name, value })
    }
}

impl Room {
    /// Grows to what the job holds now.
    pub(crate) fn grow(&mut self, bytes: u64, quotas: &Quotas) -> Result<(), NoRoom> {
        let more = bytes.saturating_sub(self.bytes);
        let mut jobs = self.live.0.lock();
        jobs.check_growth(self.tenant, more, quotas)?;
        jobs.all.bytes += more;
        jobs.tenants.entry(self.tenant).or_default().bytes += more;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut jobs = self.live.0.lock();
        jobs.all.jobs -= 1;
        jobs.all.bytes -= self.bytes;
        if let Some(own) = jobs.tenants.get_mut(&self.tenant) {
            own.jobs -= 1;
            own.bytes -= self.bytes;
            if own.jobs == 0 {
                jobs.tenants.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn quotas(jobs: u32, bytes: u64) -> Quotas {
        Quotas {
            jobs_per_workspace_max: jobs,
            job_bytes_per_workspace_max: bytes,
            ..Quotas::default()
        }
    }

    /// Takes room until there is none; what the refusal names.
    fn fill(live: &Live, tenant: u128, bytes: u64, quotas: &Quotas) -> (Vec<Room>, NoRoom) {
        let mut held = Vec::new();
        while held.len() <= JOBS_MAX {
            match live.room(TenantId::from_bits(tenant), bytes, quotas) {
                Ok(room) => held.push(room),
                Err(error) => return (held, error),
            }
        }
        unreachable!("there is no end of it");
    }

    #[test]
    fn workspaces_that_fill_what_there_is_leave_room_for_another() {
        let live = Live::default();
        let (greedy, why) = fill(&live, 1, 1, &quotas(u32::MAX, u64::MAX));
        assert_eq!(greedy.len(), JOBS_MAX / 2);
        assert_eq!(why.to_string(), "`JOBS_MAX` (8192) is exceeded");
        let own = Quotas::default();
        let more: Vec<_> = (2..8)
            .map(|tenant| fill(&live, tenant, 1, &own).0)
            .collect();
        assert!(more.iter().all(|held| !held.is_empty()));
        assert!(live.room(TenantId::from_bits(9), 1, &own).is_ok());
        drop((greedy, more));
        assert_eq!(live.count(), 0);
        let (held, why) = fill(&live, 1, 1, &own);
        assert_eq!(held.len(), 2_048);
        assert_eq!(
            why.to_string(),
            "`jobs_per_workspace_max` (2048) is exceeded"
        );
    }

    #[test]
    fn what_jobs_hold_is_bounded_by_workspace_and_in_all_and_is_given_back() {
        let live = Live::default();
        let mib = 1 << 20;
        let (held, why) = fill(&live, 1, mib, &quotas(u32::MAX, 10 * mib));
        assert_eq!((held.len(), why.name), (10, "job_bytes_per_workspace_max"));
        drop(held);
        let no_own = quotas(u32::MAX, u64::MAX);
        let (held, why) = fill(&live, 1, 64 * mib, &no_own);
        assert_eq!(held.len() as u64, JOB_BYTES_MAX / 2 / (64 * mib));
        assert_eq!(why.name, "JOB_BYTES_MAX");
        assert!(live.room(TenantId::from_bits(2), 64 * mib, &no_own).is_ok());
        drop(held);
        let jobs = live.0.lock();
        assert_eq!((jobs.all.bytes, jobs.tenants.len()), (0, 0));
    }

    #[test]
    fn a_job_that_grows_beyond_what_there_is_room_for_is_told_and_holds_what_it_held() {
        let live = Live::default();
        let tenant = TenantId::from_bits(1);
        let own = quotas(2, 100);
        let mut room = live.room(tenant, 40, &own).unwrap();
        let _other = live.room(tenant, 40, &own).unwrap();
        assert_eq!(room.grow(60, &own), Ok(()));
        let over = NoRoom {
            name: "job_bytes_per_workspace_max",
            value: 100,
        };
        assert_eq!(room.grow(61, &own), Err(over));
        assert_eq!(room.grow(60, &own), Ok(()));
        assert_eq!(live.0.lock().all.bytes, 100);
        // A limit that was lowered meanwhile ends no job that grows no more.
        assert_eq!(room.grow(60, &quotas(1, 10)), Ok(()));
        drop(room);
        assert_eq!(live.0.lock().all.bytes, 40);
    }

    #[test]
    fn what_other_workspaces_hold_ends_no_job_that_holds_little() {
        let live = Live::default();
        let no_own = quotas(u32::MAX, u64::MAX);
        let mib = 1 << 20;
        let mut victim = live.room(TenantId::from_bits(1), mib, &no_own).unwrap();
        let sixth = |tenant| live.room_anyway(TenantId::from_bits(tenant), JOB_BYTES_MAX / 6);
        let _others: Vec<_> = (2..7).map(sixth).collect();
        let mut large = sixth(7);
        assert!(live.0.lock().all.bytes > JOB_BYTES_MAX - 5);
        assert_eq!(victim.grow(64 * mib, &no_own), Ok(()));
        let refused = large.grow(JOB_BYTES_MAX / 6 + mib, &no_own);
        assert_eq!(refused.map_err(|over| over.name), Err("JOB_BYTES_MAX"));
    }

    #[test]
    fn a_job_that_is_durable_already_takes_its_room_and_is_counted() {
        let live = Live::default();
        let own = quotas(3, u64::MAX);
        let (_held, _) = fill(&live, 1, 1, &own);
        let _resumed = live.room_anyway(TenantId::from_bits(1), 7);
        assert_eq!(live.0.lock().all.bytes, 10);
        let room = live.room(TenantId::from_bits(1), 1, &quotas(4, u64::MAX));
        assert!(room.is_err());
    }
}
