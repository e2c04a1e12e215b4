//! Beginnings of guest calls, of which a tenant has few at once beside others.
//!
//! What most calls do, they do in their first moments, on a processor; a call that
//! waits for an upstream, or that computes for long, costs others little (the long ones
//! stand back for them). So it is the beginnings of a tenant that are bounded while
//! another tenant has calls, too: with a flood of quick calls the machine has no more
//! to do at once than it can, and who comes with one call finds a processor. A tenant
//! that is alone begins as many as it likes, since what is done together costs less.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyway_fair::{Admission, Place, Wish};
use keyway_model::TenantId;
use keyway_model::limit::CALLS_BEGINNING_PER_CORE_MAX;
use parking_lot::Mutex;

use crate::admission::LineOf;

/// How long a call counts as one that begins, unless it sends a request or ends before.
const BEGINNING: Duration = Duration::from_millis(20);

/// How long after its last call a tenant still counts as company of the others.
const COMPANY: Duration = Duration::from_secs(10);

/// More than there can be guest calls.
const ALL: usize = 1 << 20;

/// The beginnings of all guest calls.
#[derive(Debug)]
pub(crate) struct Beginnings {
    places: Admission<LineOf>,
    beside_others_max: usize,
    company: Mutex<Company>,
}

/// The two tenants whose calls came last, and when.
#[derive(Debug, Default)]
struct Company {
    last: Option<(TenantId, Instant)>,
    before: Option<(TenantId, Instant)>,
}

/// One call's beginning, which is over when the call sends a request, when it has
/// lasted a while, or when it ends. Clones are of the same one.
#[derive(Clone, Debug)]
#[must_use = "it is over when the last of its clones is dropped"]
pub struct Beginning {
    place: Arc<Mutex<Option<Place<LineOf>>>>,
    /// Whether others wait for it to be over.
    is_beside_others: bool,
}

impl Company {
    /// Notes a call of this tenant, and says whether another one's was not long ago.
    fn joined_by(&mut self, tenant: TenantId, now: Instant) -> bool {
        match &mut self.last {
            Some((last, at)) if *last == tenant => *at = now,
            _ => self.before = self.last.replace((tenant, now)),
        }
        let is_near = |(_, at): (_, Instant)| now.saturating_duration_since(at) < COMPANY;
        self.before.is_some_and(is_near)
    }
}

impl Beginnings {
    /// On so many processors.
    pub(crate) fn on(processors: usize) -> Self {
        Self {
            places: Admission::of(ALL),
            beside_others_max: CALLS_BEGINNING_PER_CORE_MAX.saturating_mul(processors.max(1)),
            company: Mutex::default(),
        }
    }

    /// Waits until one more call of the tenant may begin, by turns of its lines.
    pub(crate) async fn enter(&self, tenant: TenantId, line: LineOf) -> Beginning {
        let is_beside_others = self.company.lock().joined_by(tenant, Instant::now());
        let tenant_max = if is_beside_others {
            self.beside_others_max
        } else {
            usize::MAX
        };
        let wish = Wish {
            tenant,
            tenant_max,
            line,
            line_max: usize::MAX,
        };
        Beginning {
            place: Arc::new(Mutex::new(Some(self.places.enter(wish).await))),
            is_beside_others,
        }
    }
}

impl Beginning {
    /// It is over.
    pub(crate) fn end(&self) {
        drop(self.place.lock().take());
    }

    /// Makes the call that begins, and is over with it, if not before.
    pub async fn of<F: Future>(self, call: F) -> F::Output {
        let mut call = pin!(call);
        if self.is_beside_others {
            match tokio::time::timeout(BEGINNING, &mut call).await {
                Ok(ended) => return ended,
                Err(_) => self.end(),
            }
        }
        call.await
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const LINE: LineOf = LineOf::Logic;

    fn tenants() -> [TenantId; 2] {
        [TenantId::random(), TenantId::random()]
    }

    /// As many as begin at once.
    fn begun(beginnings: &Beginnings, tenant: TenantId, wanted: usize) -> Vec<Beginning> {
        let wish = || beginnings.enter(tenant, LINE).now_or_never();
        std::iter::from_fn(wish).take(wanted).collect()
    }

    #[test]
    fn a_tenant_that_is_alone_begins_as_many_calls_as_it_likes() {
        let beginnings = Beginnings::on(1);
        let [alone, _] = tenants();
        assert_eq!(begun(&beginnings, alone, 500).len(), 500);
    }

    #[test]
    fn beside_others_few_calls_of_a_tenant_begin_at_once() {
        let beginnings = Beginnings::on(2);
        let [flood, victim] = tenants();
        let _one = begun(&beginnings, victim, 1);
        let mut of_flood = begun(&beginnings, flood, 500);
        assert_eq!(of_flood.len(), CALLS_BEGINNING_PER_CORE_MAX * 2);
        assert_eq!(begun(&beginnings, victim, 1).len(), 1, "who has few begins");
        drop(of_flood.pop());
        assert_eq!(begun(&beginnings, flood, 1).len(), 1, "one is over");
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
    async fn a_call_that_lasts_or_ends_begins_no_more() {
        let beginnings = Beginnings::on(1);
        let [flood, victim] = tenants();
        let _one = begun(&beginnings, victim, 1);
        let mut all = begun(&beginnings, flood, 500);
        assert!(beginnings.enter(flood, LINE).now_or_never().is_none());
        all.pop().unwrap().of(async {}).await;
        let next = beginnings.enter(flood, LINE).now_or_never();
        let long = next.unwrap().of(std::future::pending::<()>());
        let waiting = beginnings.enter(flood, LINE);
        tokio::select! {
            () = long => unreachable!("it has no end"),
            begun = waiting => drop(begun),
        }
    }
}
