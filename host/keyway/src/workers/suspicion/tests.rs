//! Which ends of workers count against whom.

use super::*;

const SEGV: Crash = Crash::Ended { signal: Some(11) };

fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

fn digests<const N: usize>(names: [&str; N]) -> BTreeSet<Digest> {
    names.map(digest).into()
}

/// A crash in the component's own worker.
fn own(suspicion: &mut Suspicion, name: &str, crash: Crash, now: Instant) -> Option<Notice> {
    suspicion.crashed(Some(digest(name)), &digests([name]), crash, now)
}

/// A crash in a worker that several may use.
fn shared<const N: usize>(
    suspicion: &mut Suspicion,
    names: [&str; N],
    crash: Crash,
) -> Option<Notice> {
    suspicion.crashed(None, &digests(names), crash, Instant::now())
}

#[test]
fn a_component_that_ended_its_own_workers_is_quarantined() {
    let mut suspicion = Suspicion::default();
    let now = Instant::now();
    assert_eq!(shared(&mut suspicion, ["bad"], SEGV), None);
    assert!(suspicion.is_alone(&digest("bad"), now));
    for second in 1..COMPONENT_CRASHES_MAX as u64 {
        let now = now + Duration::from_secs(second);
        assert_eq!(own(&mut suspicion, "bad", SEGV, now), None);
    }
    let told = own(&mut suspicion, "bad", SEGV, now + Duration::from_secs(9));
    assert!(
        matches!(told, Some(Notice::Quarantined { component, .. }) if component == digest("bad"))
    );
    assert!(suspicion.quarantined(&digest("bad")).is_some());
}

#[test]
fn nothing_in_a_shared_worker_is_held_against_whoever_was_there() {
    let mut suspicion = Suspicion::default();
    let forbidden = Crash::by(Some(libc::SIGSYS));
    for _ in 0..10 {
        let told = shared(&mut suspicion, ["good"], forbidden);
        assert!(matches!(told, Some(Notice::Forbidden { .. })), "{told:?}");
        assert_eq!(shared(&mut suspicion, ["bad", "good"], SEGV), None);
    }
    let now = Instant::now();
    assert!(suspicion.is_alone(&digest("good"), now));
    assert!(!suspicion.is_alone(&digest("good"), now + PROBATION));
    assert_eq!(suspicion.quarantined(&digest("good")), None);
}

#[test]
fn a_forbidden_system_call_among_others_is_told_each_time_with_all_who_were_there() {
    let mut suspicion = Suspicion::new(Some(digest("own")));
    let forbidden = Crash::by(Some(libc::SIGSYS));
    for names in [["bad", "good"], ["bad", "good"], ["bad", "late"]] {
        let [one, other] = names;
        let told = shared(&mut suspicion, [one, other, "own"], forbidden);
        let components = digests(names);
        assert_eq!(told, Some(Notice::Forbidden { components }));
        for name in names {
            assert!(suspicion.is_alone(&digest(name), Instant::now()));
            assert_eq!(suspicion.quarantined(&digest(name)), None);
        }
    }
    // Another end of a worker of many is told of nobody.
    for crash in [SEGV, Crash::Wedged, Crash::Killed, Crash::Spent] {
        assert_eq!(shared(&mut suspicion, ["bad", "good"], crash), None);
    }
}

#[test]
fn crashes_that_lie_far_apart_do_not_count_together() {
    let mut suspicion = Suspicion::default();
    let mut now = Instant::now();
    for _ in 0..10 {
        now += STRIKE_WINDOW + Duration::from_secs(1);
        assert_eq!(own(&mut suspicion, "rare", SEGV, now), None);
    }
}

#[test]
fn one_forbidden_system_call_is_enough() {
    let mut suspicion = Suspicion::default();
    let crash = Crash::by(Some(libc::SIGSYS));
    let told = own(&mut suspicion, "bad", crash, Instant::now());
    assert!(matches!(told, Some(Notice::Quarantined { why, .. }) if why.contains("system call")));
}

#[test]
fn a_wedged_worker_costs_company_and_nothing_more() {
    let mut suspicion = Suspicion::default();
    let now = Instant::now();
    assert_eq!(own(&mut suspicion, "slow", Crash::Wedged, now), None);
    assert!(suspicion.is_alone(&digest("slow"), now));
    assert_eq!(suspicion.quarantined(&digest("slow")), None);
}

#[test]
fn a_component_that_wedges_its_own_workers_again_and_again_is_told_of_and_runs_on() {
    let mut suspicion = Suspicion::default();
    let mut now = Instant::now();
    for _ in 0..3 {
        for _ in 1..COMPONENT_CRASHES_MAX {
            assert_eq!(own(&mut suspicion, "slow", Crash::Wedged, now), None);
        }
        let told = Notice::Wedged {
            component: digest("slow"),
            workers: COMPONENT_CRASHES_MAX,
        };
        let wedged = own(&mut suspicion, "slow", Crash::Wedged, now);
        assert_eq!(wedged, Some(told));
        assert_eq!(suspicion.quarantined(&digest("slow")), None);
    }
    // Those that lie far apart do not count together.
    for _ in 0..10 {
        now += STRIKE_WINDOW + Duration::from_secs(1);
        assert_eq!(own(&mut suspicion, "slow", Crash::Wedged, now), None);
    }
}

#[test]
fn a_component_whose_own_workers_are_killed_again_and_again_is_told_of_and_runs_on() {
    let mut suspicion = Suspicion::default();
    let mut now = Instant::now();
    // By the kernel for want of memory, and by its limit on processor time: both count.
    let mut signals = [libc::SIGKILL, libc::SIGXCPU].into_iter().cycle();
    let mut killed = |suspicion: &mut Suspicion, now| {
        let crash = Crash::by(signals.next());
        own(suspicion, "large", crash, now)
    };
    for _ in 0..3 {
        for _ in 1..COMPONENT_CRASHES_MAX {
            assert_eq!(killed(&mut suspicion, now), None);
        }
        let told = Notice::Killed {
            component: digest("large"),
            workers: COMPONENT_CRASHES_MAX,
        };
        assert_eq!(killed(&mut suspicion, now), Some(told));
        assert_eq!(suspicion.quarantined(&digest("large")), None);
    }
    for _ in 0..10 {
        now += STRIKE_WINDOW + Duration::from_secs(1);
        assert_eq!(killed(&mut suspicion, now), None);
    }
}

#[test]
fn the_hosts_own_component_is_never_kept_from_running() {
    let mut suspicion = Suspicion::new(Some(digest("own")));
    for _ in 0..10 {
        shared(&mut suspicion, ["own"], SEGV);
    }
    assert_eq!(suspicion.quarantined(&digest("own")), None);
    assert!(!suspicion.is_alone(&digest("own"), Instant::now()));
}

#[test]
fn what_is_released_begins_anew_and_alone() {
    let mut suspicion = Suspicion::default();
    let now = Instant::now();
    for _ in 0..COMPONENT_CRASHES_MAX {
        own(&mut suspicion, "bad", SEGV, now);
    }
    assert!(suspicion.quarantined(&digest("bad")).is_some());
    suspicion.release(&digest("bad"), now);
    assert_eq!(suspicion.quarantined(&digest("bad")), None);
    assert!(suspicion.is_alone(&digest("bad"), now));
    assert_eq!(own(&mut suspicion, "bad", SEGV, now), None);
}
