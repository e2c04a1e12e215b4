//! The lock-down, step by step.

use std::io;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetStatus, Scope,
};
use rustix::process::{DumpableBehavior, Gid, Pid, Signal, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::filter;
use crate::kernel;
use crate::layer::{Layer, LayerState, Report};
use crate::limits::{self, Limits};

/// How much a confined process stands back (`nice`) when processors are short:
/// guests do not keep the broker from serving other guests, people and the disk.
const STANDS_BACK: i32 = 10;

/// How much further a thread stands back that computes only for long.
const STANDS_FURTHER_BACK: i32 = 5;

/// Has the calling thread stand back for the others of its process. Where it may not,
/// nothing is less safe.
pub fn stand_back() {
    rustix::process::nice(STANDS_FURTHER_BACK).ok();
}

/// Has the calling thread compute when hardly any other thread of the machine would, and
/// whoever is woken take its processor at once.
pub fn stand_back_for_all() {
    if kernel::only_when_idle().is_err() {
        stand_back();
    }
}

/// What a confined process is told by the broker that starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The user that root becomes; without root, the broker's user stays.
    pub user: Option<u32>,
    /// The broker.
    pub broker: u32,
}

/// A process that has given up its descriptors and its user, and can still
/// open things.
#[derive(Debug)]
pub struct Confinement {
    broker: Option<u32>,
    report: Report,
}

/// A process that can open nothing, and can still start threads.
#[derive(Debug)]
pub struct Threaded {
    data_bytes: io::Result<u64>,
    report: Report,
}

impl Confinement {
    /// The first thing that a confined process does, alone and with nothing open
    /// but its three standard descriptors.
    pub fn begin(start: Start) -> Self {
        let mut report = Report::default();
        report.put_result(Layer::Descriptors, kernel::close_inherited());
        report.put(Layer::User, leave_root(start.user));
        Self {
            broker: Some(start.broker),
            report,
        }
    }

    /// For tests that run guests inside their own process, and nothing else.
    pub fn dangerous_none() -> Self {
        Self {
            broker: None,
            report: Report::default(),
        }
    }

    /// Before any thread is started, after the engine is made.
    pub fn before_threads(self) -> Threaded {
        let Self { broker, mut report } = self;
        let data_bytes = limits::data_bytes();
        if let Some(broker) = broker {
            // Of this thread and of those that it starts. Where it may not, nothing
            // is less safe.
            rustix::process::nice(STANDS_BACK).ok();
            report.put_result(
                Layer::NoNewPrivileges,
                rustix::thread::set_no_new_privs(true),
            );
            report.put_result(
                Layer::NotDumpable,
                rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable),
            );
            report.put_result(Layer::ParentDeath, end_with(broker));
            report.put(Layer::Landlock, give_up_files());
        }
        Threaded { data_bytes, report }
    }
}

impl Threaded {
    /// When every thread exists that the process will have: the last step.
    /// Nothing that a guest made may have been read yet.
    pub fn close(self, limits: &Limits) -> Report {
        let Self {
            data_bytes,
            mut report,
        } = self;
        if report.layers().is_empty() {
            return report;
        }
        let limited = data_bytes.and_then(|now| limits.set(now));
        report.put_result(Layer::Limits, limited);
        let written_or_run = match kernel::refuse_exec_gain() {
            Ok(()) => LayerState::Held,
            Err(error) => LayerState::Covered(format!(
                "this kernel has no such switch ({error}); the filter refuses the same"
            )),
        };
        report.put(Layer::WriteXorExecute, written_or_run);
        report.put_result(Layer::Filter, filter::install());
        report
    }
}

/// Root becomes `user`, without groups and without a way back; and nobody keeps a right
/// that its files do not give it: neither one that whoever started the broker gave it, nor
/// one that flags of its process keep over the change of user.
fn leave_root(user: Option<u32>) -> LayerState {
    let left = become_user(user);
    match give_up_capabilities() {
        Ok(()) => left,
        Err(error) => LayerState::Refused(format!("capabilities are kept: {error}")),
    }
}

fn become_user(user: Option<u32>) -> LayerState {
    if !rustix::process::geteuid().is_root() {
        return LayerState::Covered(
            "the broker is not root and cannot give its workers another user; capabilities are given up".to_owned(),
        );
    }
    let Some(user) = user.filter(|user| *user != 0) else {
        return LayerState::Refused("root would run guests".to_owned());
    };
    let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(user));
    let changed = rustix::thread::set_thread_groups(&[])
        .and_then(|()| rustix::thread::set_thread_res_gid(gid, gid, gid))
        .and_then(|()| rustix::thread::set_thread_res_uid(uid, uid, uid))
        // The change took it; the engine needs it to see its own page map.
        .and_then(|()| rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable));
    match changed {
        Ok(()) => LayerState::Held,
        // A container may have a root that cannot become anybody else. It is left with no
        // right that its files do not give it, and those no layer lets it open.
        Err(error) => LayerState::Covered(format!(
            "the broker may not choose a user ({error}); capabilities are given up, and the filter and Landlock refuse every file"
        )),
    }
}

fn give_up_capabilities() -> rustix::io::Result<()> {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none)
}

/// Ends when the broker's thread does that started it, at once if it is gone.
fn end_with(broker: u32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let parent = rustix::process::getppid().map(Pid::as_raw_nonzero);
    if parent.and_then(|pid| u32::try_from(pid.get()).ok()) == Some(broker) {
        Ok(())
    } else {
        Err(io::Error::other("the broker is gone"))
    }
}

/// No right to any file, to any port, to sockets and processes outside.
fn give_up_files() -> LayerState {
    let newest = ABI::V6;
    let restricted = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(newest))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(newest)))
        .and_then(|rules| rules.scope(Scope::from_all(newest)))
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self);
    match restricted {
        Err(error) => LayerState::Refused(error.to_string()),
        Ok(status) => match status.ruleset {
            RulesetStatus::FullyEnforced => LayerState::Held,
            RulesetStatus::PartiallyEnforced => LayerState::Covered(
                "this kernel knows no rules for ports or for sockets and signals; the filter refuses the same"
                    .to_owned(),
            ),
            RulesetStatus::NotEnforced => {
                LayerState::Refused("the kernel or the container does not have it".to_owned())
            }
        },
    }
}
