//! The decision on a change of scratch files: the grant holds the capability,
//! or it does not. Which file it is about is never part of a denial.

use keyway_model::manifest::Capability;

use super::{Denial, DenialReason, Grant, capability_remedy};
use crate::operation::{Operation, ScratchChange, ScratchEdit};
use crate::permit::Permit;
use crate::record::Target;

impl Grant {
    /// Decides one change of the call's scratch files.
    ///
    /// # Errors
    ///
    /// A [`Denial`] if the grant does not hold the capability `scratch`.
    pub fn decide_scratch(&self, edit: ScratchEdit) -> Result<Permit<ScratchChange>, Denial> {
        let change = ScratchChange { edit };
        if self.capabilities.contains(Capability::Scratch) {
            let rule = format!("{}: capability scratch", self.source);
            return Ok(Permit::mint(change, self.actor.clone(), rule));
        }
        let remedy = capability_remedy(Capability::Scratch);
        Err(self.deny_scratch(change.name(), DenialReason::Capability, remedy))
    }

    /// A denial of a change of scratch files for a reason that the gate found.
    pub fn deny_scratch_because(
        &self,
        edit: ScratchEdit,
        reason: DenialReason,
        remedy: String,
    ) -> Denial {
        self.deny_scratch(ScratchChange { edit }.name(), reason, remedy)
    }

    fn deny_scratch(&self, operation: &str, reason: DenialReason, remedy: String) -> Denial {
        let (actor, operation) = (self.actor.clone(), operation.to_owned());
        Denial::new(actor, operation, Target::Scratch, reason, remedy)
    }
}
