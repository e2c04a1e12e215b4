//! Callers without a token: what was refused to them is recorded once in a while.

use keyway_authz::{Principal, Resource};
use keyway_store::PLATFORM;

use super::Deployment;
use crate::strangers::Strangers;

impl Deployment {
    /// The rates of those whom nobody knows.
    pub(crate) const fn strangers(&self) -> &Strangers {
        &self.strangers
    }

    /// Records what was refused to strangers since the last time: in the platform's
    /// log, since they are nobody's.
    pub(crate) async fn record_strangers(&self) {
        for refused in self.strangers.take_refused() {
            let resource = Resource {
                kind: "route",
                id: refused.peer,
                scope: None,
            };
            let why = (refused.reason, refused.text.as_str());
            let (who, operation) = (Principal::Nobody, refused.operation);
            let recorded = self.gate.refuse(who, operation, resource, PLATFORM, why);
            if let Err(error) = recorded.await {
                tracing::error!(%error, refused = refused.text, "refused calls could not be recorded");
            }
        }
    }
}
