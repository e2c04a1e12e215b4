//! Bodies of calls while they are read: places for so many at once, by turns of
//! workspaces and, inside one, of callers. A body that comes slowly holds memory
//! before anything else of its call is counted.

use keyway_authz::Principal;
use keyway_fair::{Admission, Place, Wish};
use keyway_model::limit::{
    API_BODIES_MAX, API_BODIES_PER_CALLER_MAX, API_BODY_BYTES_MAX, ARTIFACT_BODIES_MAX,
    ARTIFACT_BODIES_PER_CALLER_MAX,
};
use keyway_store::PLATFORM;

use super::turnstile::Caller;

/// Places for bodies, those of artifacts by themselves.
#[derive(Debug)]
pub(super) struct Bodies {
    short: Admission<Principal>,
    artifacts: Admission<Principal>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self {
            short: Admission::of(API_BODIES_MAX),
            artifacts: Admission::of(ARTIFACT_BODIES_MAX),
        }
    }
}

impl Bodies {
    /// A place for a body of up to so many bytes, when it is its caller's turn; of none it
    /// needs none.
    pub(super) async fn place(
        &self,
        caller: &Caller,
        bytes_max: usize,
    ) -> Option<Place<Principal>> {
        let (places, line_max) = match bytes_max {
            0 => return None,
            1..=API_BODY_BYTES_MAX => (&self.short, API_BODIES_PER_CALLER_MAX),
            _ => (&self.artifacts, ARTIFACT_BODIES_PER_CALLER_MAX),
        };
        let wish = Wish {
            tenant: caller.workspace.unwrap_or(PLATFORM.tenant),
            tenant_max: usize::MAX,
            line: caller.principal,
            line_max,
        };
        Some(places.enter(wish).await)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use keyway_model::limit::{ARTIFACT_BYTES_MAX, ApiLimits};
    use keyway_model::{TenantId, TokenId};

    use super::*;

    /// A caller in a workspace of its own.
    fn caller(number: usize) -> Caller {
        Caller {
            principal: Principal::Token(TokenId::from_bits(number as u128)),
            workspace: Some(TenantId::from_bits(number as u128)),
            limits: ApiLimits::default(),
        }
    }

    #[test]
    fn all_workspaces_together_have_so_many_bodies_at_once_and_artifacts_have_their_own() {
        let bodies = Bodies::default();
        let enter = |number, bytes_max| bodies.place(&caller(number), bytes_max).now_or_never();
        assert!(enter(0, 0).is_some_and(|place| place.is_none()));
        let mut all = Vec::new();
        for (bytes_max, most) in [
            (API_BODY_BYTES_MAX, API_BODIES_MAX),
            (ARTIFACT_BYTES_MAX, ARTIFACT_BODIES_MAX),
        ] {
            let places = (0..most).map(|number| enter(number, bytes_max));
            let mut held: Vec<_> = places.flatten().flatten().collect();
            assert_eq!(held.len(), most);
            assert!(enter(most, bytes_max).is_none(), "it waits");
            held.pop();
            held.extend(enter(most, bytes_max).flatten());
            assert_eq!(held.len(), most);
            all.push(held);
        }
    }

    #[test]
    fn one_caller_has_so_many_bodies_at_once_and_leaves_the_rest_to_others() {
        let bodies = Bodies::default();
        // Two callers of one workspace.
        let of = |number| Caller {
            workspace: Some(TenantId::from_bits(1)),
            ..caller(number)
        };
        for (bytes_max, most) in [
            (API_BODY_BYTES_MAX, API_BODIES_PER_CALLER_MAX),
            (ARTIFACT_BYTES_MAX, ARTIFACT_BODIES_PER_CALLER_MAX),
        ] {
            let enter = |number| {
                bodies
                    .place(&of(number), bytes_max)
                    .now_or_never()
                    .flatten()
            };
            let held: Vec<_> = (0..=most).filter_map(|_| enter(1)).collect();
            assert_eq!(held.len(), most);
            assert!(enter(2).is_some());
        }
    }
}
