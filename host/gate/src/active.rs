//! What is active: jobs, and guest calls beside them, that do not wait for a disk or an
//! upstream. A tenant has few of them at once beside others.
//!
//! What a job does before it waits it does on processors: its guests' and the broker's.
//! So it is the active ones of a tenant that are bounded while another tenant has some,
//! too: with a flood of quick jobs the machine has no more to do at once than it can, and
//! who comes with one job finds a processor. Who waits, or computes for long, is not
//! counted: the first costs nothing, and the long ones stand back for others. A tenant that is alone is not bounded, since what is
//! done together costs less.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyway_fair::{Admission, Place, Wish};
use keyway_model::TenantId;
use keyway_model::limit::{ACTIVE_MS_MAX, ACTIVE_PER_CORE_MAX, COMPANY_SECONDS_MAX};
use parking_lot::Mutex;

use crate::Gate;
use crate::admission::LineOf;

/// How long a guest call computes before it is not counted any more.
const COMPUTING: Duration = Duration::from_millis(ACTIVE_MS_MAX);

/// How long after its last call a tenant still counts as company of the others.
const COMPANY: Duration = Duration::from_secs(COMPANY_SECONDS_MAX);

/// More than there can be.
const ALL: usize = 1 << 20;

/// All that are active.
#[derive(Debug)]
pub(crate) struct Actives {
    places: Admission<LineOf>,
    beside_others_max: usize,
    company: Mutex<Company>,
}

/// The two tenants that were active last, and when.
#[derive(Debug, Default)]
struct Company {
    last: Option<(TenantId, Instant)>,
    before: Option<(TenantId, Instant)>,
}

/// One job, or one guest call that is of none: active or not. Clones are of the same
/// one.
#[derive(Clone, Debug)]
pub struct Active(Arc<One>);

#[derive(Debug)]
struct One {
    all: Arc<Actives>,
    tenant: TenantId,
    line: LineOf,
    /// None also where no other tenant is: who is active alone keeps no place from those
    /// that become so when one has come.
    place: Mutex<Option<Place<LineOf>>>,
}

impl Company {
    /// Notes that this tenant is active, and says whether another was not long ago.
    fn joined_by(&mut self, tenant: TenantId, now: Instant) -> bool {
        match &mut self.last {
            Some((last, at)) if *last == tenant => *at = now,
            _ => self.before = self.last.replace((tenant, now)),
        }
        let is_near = |(_, at): (_, Instant)| now.saturating_duration_since(at) < COMPANY;
        self.before.is_some_and(is_near)
    }
}

impl Actives {
    /// On so many processors.
    pub(crate) fn on(processors: usize) -> Arc<Self> {
        Arc::new(Self {
            places: Admission::of(ALL),
            beside_others_max: ACTIVE_PER_CORE_MAX.saturating_mul(processors.max(1)),
            company: Mutex::default(),
        })
    }
}

impl Gate {
    /// A job of this tenant, or a guest call that is of none; not active yet.
    pub fn active(&self, tenant: TenantId, line: LineOf) -> Active {
        Active::new(&self.actives, tenant, line)
    }
}

impl Active {
    fn new(all: &Arc<Actives>, tenant: TenantId, line: LineOf) -> Self {
        Self(Arc::new(One {
            all: Arc::clone(all),
            tenant,
            line,
            place: Mutex::default(),
        }))
    }

    /// Waits until it may be active, by turns of its tenant's lines, unless it is.
    pub async fn begin(&self) {
        let one = &*self.0;
        if one.place.lock().is_some() {
            return;
        }
        if !one.all.company.lock().joined_by(one.tenant, Instant::now()) {
            return;
        }
        let wish = Wish {
            tenant: one.tenant,
            tenant_max: one.all.beside_others_max,
            line: one.line,
            line_max: usize::MAX,
        };
        let place = one.all.places.enter(wish).await;
        one.place.lock().replace(place);
    }

    /// It waits, or has ended.
    pub fn end(&self) {
        drop(self.0.place.lock().take());
    }

    /// Makes a guest call of it, which counts as long as it may; what is waited for
    /// inside, a place, a worker or its code, counts as well.
    pub async fn of<F: Future>(&self, call: F) -> F::Output {
        let mut call = pin!(call);
        if self.0.place.lock().is_some() {
            match tokio::time::timeout(COMPUTING, &mut call).await {
                Ok(ended) => return ended,
                Err(_) => self.end(),
            }
        }
        call.await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const LINE: LineOf = LineOf::Logic;

    fn tenants() -> [TenantId; 2] {
        [TenantId::random(), TenantId::random()]
    }

    /// As many as are active at once.
    fn begun(all: &Arc<Actives>, tenant: TenantId, wanted: usize) -> Vec<Active> {
        let one = || {
            let active = Active::new(all, tenant, LINE);
            active.begin().now_or_never().map(|()| active)
        };
        std::iter::from_fn(one).take(wanted).collect()
    }

    #[test]
    fn a_tenant_that_is_alone_has_as_many_active_as_it_likes() {
        let all = Actives::on(1);
        let [alone, _] = tenants();
        assert_eq!(begun(&all, alone, 500).len(), 500);
    }

    #[test]
    fn beside_others_few_of_a_tenant_are_active_at_once() {
        let all = Actives::on(2);
        let [flood, victim] = tenants();
        let _one = begun(&all, victim, 1);
        let of_flood = begun(&all, flood, 500);
        assert_eq!(of_flood.len(), ACTIVE_PER_CORE_MAX * 2);
        assert_eq!(begun(&all, victim, 1).len(), 1, "who has few may");
        of_flood.iter().take(1).for_each(Active::end);
        assert_eq!(begun(&all, flood, 500).len(), 1, "one waits");
    }

    #[test]
    fn who_became_active_alone_keeps_nobody_waiting_when_others_have_come() {
        let all = Actives::on(1);
        let [alone, other] = tenants();
        let _long = begun(&all, alone, 500);
        let _one = begun(&all, other, 1);
        let later = begun(&all, alone, 500);
        assert_eq!(later.len(), ACTIVE_PER_CORE_MAX);
    }

    #[test]
    fn company_lasts_for_a_while() {
        let ([one, other], now) = (tenants(), Instant::now());
        let mut company = Company::default();
        assert!(!company.joined_by(one, now));
        assert!(company.joined_by(other, now));
        assert!(company.joined_by(one, now + COMPANY / 2));
        assert!(company.joined_by(other, now + COMPANY));
        assert!(!company.joined_by(other, now + COMPANY * 2));
    }

    #[tokio::test]
    async fn a_call_that_computes_for_long_is_not_counted_and_a_short_one_is() {
        let all = Actives::on(1);
        let [flood, victim] = tenants();
        let _one = begun(&all, victim, 1);
        let of_flood = begun(&all, flood, 500);
        let waiting = Active::new(&all, flood, LINE);
        assert!(waiting.begin().now_or_never().is_none());
        let Some(first) = of_flood.first() else {
            unreachable!("some are active");
        };
        first.of(async {}).await;
        assert!(waiting.begin().now_or_never().is_none(), "it goes on");
        let next = async {
            tokio::select! {
                () = first.of(std::future::pending::<()>()) => unreachable!("it has no end"),
                () = waiting.begin() => {}
            }
        };
        let next = tokio::time::timeout(COMPUTING * 500, next).await;
        assert!(next.is_ok(), "it counts for ever");
    }
}
