//! Linear memory of all calls of a worker together.
//!
//! Each call has a limit of its own; these are over sums, so that many calls at
//! once end one by one, by name, and not all of them with the worker. One
//! workspace has at most so much as its quota says, and never more than is left
//! for all others: whoever comes next finds room, however many flood.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// What is taken of the memory that all calls share.
#[derive(Debug)]
pub(crate) struct Memory {
    bytes_max: u64,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    bytes: u64,
    /// By group of calls; none of a group that has taken nothing.
    groups: HashMap<u64, u64>,
}

/// There is not so much left: the limit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full {
    /// By its name.
    pub(crate) name: &'static str,
    /// Its value.
    pub(crate) bytes_max: u64,
}

/// The memory as one call sees it: what its group may take of it.
#[derive(Debug)]
pub(crate) struct Share {
    memory: Arc<Memory>,
    group: u64,
    bytes_max: u64,
}

impl Memory {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            taken: Mutex::default(),
        }
    }

    /// What a group may take, if its quota is `bytes_max`.
    pub(crate) fn share(self: &Arc<Self>, group: u64, bytes_max: u64) -> Share {
        Share {
            memory: Arc::clone(self),
            group,
            bytes_max,
        }
    }
}

impl Share {
    /// Takes `bytes` more.
    pub(crate) fn take(&self, bytes: u64) -> Result<(), Full> {
        let mut taken = self.memory.taken.lock();
        let of_group = taken.groups.get(&self.group).copied().unwrap_or(0);
        let of_group = of_group.saturating_add(bytes);
        if of_group > self.bytes_max {
            return Err(Full {
                name: "memory_bytes_per_workspace_max",
                bytes_max: self.bytes_max,
            });
        }
        let all = taken.bytes.saturating_add(bytes);
        // As much as it has itself stays free for the others.
        if all.saturating_add(of_group) > self.memory.bytes_max {
            return Err(Full {
                name: "worker_memory_bytes_max",
                bytes_max: self.memory.bytes_max,
            });
        }
        taken.bytes = all;
        taken.groups.insert(self.group, of_group);
        Ok(())
    }

    /// Gives back what was taken.
    pub(crate) fn give_back(&self, bytes: u64) {
        let mut taken = self.memory.taken.lock();
        taken.bytes -= bytes;
        if let Some(of_group) = taken.groups.get_mut(&self.group) {
            *of_group -= bytes;
            if *of_group == 0 {
                taken.groups.remove(&self.group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(taken: Result<(), Full>) -> Option<(&'static str, u64)> {
        taken.err().map(|full| (full.name, full.bytes_max))
    }

    #[test]
    fn a_workspace_takes_no_more_than_its_quota_and_has_again_what_it_gave_back() {
        let memory = Arc::new(Memory::new(1_000));
        let (first, second) = (memory.share(1, 100), memory.share(1, 100));
        assert_eq!(limit(first.take(60)), None);
        let quota = Some(("memory_bytes_per_workspace_max", 100));
        assert_eq!(limit(second.take(41)), quota);
        assert_eq!(limit(second.take(u64::MAX)), quota);
        assert_eq!(limit(second.take(40)), None);
        first.give_back(60);
        assert_eq!(limit(first.take(60)), None);
        // What it is lowered to holds from the next call on.
        assert_eq!(
            limit(memory.share(1, 50).take(1)),
            Some(("memory_bytes_per_workspace_max", 50))
        );
    }

    #[test]
    fn a_workspace_leaves_as_much_as_it_has_and_so_do_several() {
        let memory = Arc::new(Memory::new(100));
        let of = |group| memory.share(group, u64::MAX);
        let all = Some(("worker_memory_bytes_max", 100));
        assert_eq!(limit(of(1).take(51)), all);
        assert_eq!(limit(of(1).take(50)), None);
        assert_eq!(limit(of(1).take(1)), all);
        assert_eq!(limit(of(2).take(25)), None);
        assert_eq!(limit(of(2).take(1)), all);
        assert_eq!(limit(of(3).take(12)), None);
        assert_eq!(limit(of(3).take(u64::MAX)), all);
        of(1).give_back(50);
        assert_eq!(limit(of(3).take(19)), None);
    }

    #[test]
    fn nothing_is_kept_of_a_workspace_that_has_given_everything_back() {
        let memory = Arc::new(Memory::new(100));
        for group in 0..1_000 {
            let share = memory.share(group, 50);
            assert_eq!(limit(share.take(50)), None);
            share.give_back(50);
        }
        assert!(memory.taken.lock().groups.is_empty());
    }
}
