//! What a guest is to be given, before it is called: no longer than its limit,
//! and such as its connector declares.
//!
//! In this order: what it costs to look at an input grows with its length.

use std::sync::Arc;

use keyway_ipc::{CallOutcome, Entrance, Trap, Usage};
use keyway_model::limit::CallLimits;
use keyway_store::Unit;
use serde_json::Value;

use crate::Gate;
use crate::grant::{Basis, Purpose};
use crate::over::within;
use crate::registry::Connector;
use crate::schema::SchemaError;

/// Why a guest is not given an input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is longer than `value_bytes_max`: what a call with it would end with.
    #[error(transparent)]
    TooLong(Trap),
    /// It cannot be looked into.
    #[error("it is nested too deeply; make it flatter")]
    TooDeep,
    /// It is not what the connector takes.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

impl Connector {
    /// Whether a guest that is called for `purpose` can be given this.
    ///
    /// # Errors
    ///
    /// [`Unfit`], before any call is made.
    pub fn takes(
        &self,
        purpose: &Purpose,
        entrance: &Entrance,
        limits: &CallLimits,
    ) -> Result<(), Unfit> {
        let bytes = entrance.bytes() as u64;
        within("value_bytes_max", bytes, limits.value_bytes_max.into())
            .map_err(|over| Unfit::TooLong(over.into()))?;
        let (Entrance::Action { input, .. } | Entrance::Poll { input, .. }) = entrance else {
            return Ok(());
        };
        let input: Value = serde_json::from_str(input).map_err(|_| Unfit::TooDeep)?;
        match purpose {
            Purpose::Action(name) => self.schemas.check_action(name, &input)?,
            Purpose::Trigger(name) => self.schemas.check_trigger(name, &input)?,
            Purpose::Check => {}
        }
        Ok(())
    }
}

impl Gate {
    /// Leaves the record of a call that is not made since its input is over its limit,
    /// to be written with the unit's next durable write.
    pub fn record_unfit(self: &Arc<Self>, basis: &Basis, unit: &Unit, unfit: &Unfit) {
        let Unfit::TooLong(trap) = unfit else { return };
        // Without a grant there is no call, and that is what is told of.
        if let Ok(invocation) = self.open(basis.clone(), unit.clone(), None) {
            invocation.record_tally(&Usage::default(), &CallOutcome::Trap(trap.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use keyway_authz::Principal;
    use keyway_model::{Digest, Timestamp};

    use super::*;
    use crate::resource::ConnectorRecord;

    const MANIFEST: &str = "[connector]\nname = 'a'\nversion = '1.0.0'\ntitle = 'A'\ncapabilities = ['http']\n[actions.b]\ntitle = 'B'\n[triggers.c]\ntitle = 'C'\nkind = 'poll'\n";

    /// What becomes of this input of the action, and of the trigger, which both take
    /// an empty object.
    fn taken(input: &str, value_bytes_max: u32) -> [Result<(), Unfit>; 2] {
        let at = Timestamp::from_micros(1);
        let connector = Connector::of(ConnectorRecord {
            digest: Digest::of(b"a"),
            name: "a".parse().unwrap(),
            version: "1.0.0".to_owned(),
            manifest: MANIFEST.to_owned(),
            imports: Vec::new(),
            bytes: 0,
            installed_at: at,
            installed_by: Principal::Platform(0),
        })
        .unwrap();
        let limits = CallLimits {
            value_bytes_max,
            ..CallLimits::default()
        };
        let (name, input) = ("b".to_owned(), input.to_owned());
        let action = Entrance::Action {
            name,
            input: input.clone(),
        };
        let poll = Entrance::Poll {
            name: "c".to_owned(),
            input,
            cursor: None,
        };
        [
            connector.takes(&Purpose::Action("b".parse().unwrap()), &action, &limits),
            connector.takes(&Purpose::Trigger("c".parse().unwrap()), &poll, &limits),
        ]
    }

    #[test]
    fn an_input_over_its_bytes_is_refused_by_name_before_it_is_looked_at() {
        let unfit = r#"{"x":1}"#;
        for result in taken(unfit, 7) {
            let too_long = Unfit::TooLong(Trap::Limit {
                name: "value_bytes_max".to_owned(),
                value: 7,
            });
            assert_eq!(result, Err(too_long));
        }
        // With its name it has a byte more.
        for result in taken(unfit, 8) {
            assert!(matches!(result, Err(Unfit::Schema(_))), "{result:?}");
        }
        assert_eq!(taken("{}", 3), [Ok(()), Ok(())]);
    }

    #[test]
    fn an_input_that_cannot_be_looked_into_is_refused() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        let too_deep = || Err(Unfit::TooDeep);
        assert_eq!(taken(&deep, 1_000), [too_deep(), too_deep()]);
    }
}
