//! What holds for one call: platform, workspace and manifest together.

use super::{FRAMED_BYTES_MAX, Level, LimitName, LimitSet, Limits};

/// Limits of what travels in one frame between broker and worker.
const FRAMED: [&str; 4] = [
    "value_bytes_max",
    "host_call_bytes_max",
    "state_value_bytes_max",
    "response_header_bytes_max",
];

/// The platform's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlatformLimits {
    /// What holds where nobody asks for anything else.
    pub default: Limits,
    /// What nobody goes beyond; nowhere below the default.
    pub ceiling: Limits,
}

/// A value that is above the platform's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` = {value} is above the platform's {ceiling}: {remedy}")]
pub struct AboveCeiling {
    /// The limit.
    pub name: LimitName,
    /// What was asked for.
    pub value: u64,
    /// The most that the platform allows.
    pub ceiling: u64,
    /// What to do.
    pub remedy: &'static str,
}

impl PlatformLimits {
    /// The platform's limits with `raised` as what manifests may ask for at
    /// most.
    ///
    /// # Errors
    ///
    /// If something of `raised` is below what holds anyway, is not a manifest's to ask
    /// for, or is more than travels in a frame.
    pub fn new(default: Limits, raised: &LimitSet) -> Result<Self, String> {
        let mut ceiling = default;
        for (name, value) in raised.entries() {
            let held = default.value(name);
            if value < held {
                return Err(format!(
                    "the ceiling of `{name}`, {value}, is below its limit, {held}: raise the one or lower the other"
                ));
            }
            ceiling.put(name, value);
        }
        if let Some(name) = raised.beyond_manifests() {
            return Err(format!(
                "no manifest may ask for `{name}`: set it in [limits] and leave it out of [ceiling]"
            ));
        }
        let mut framed = FRAMED
            .iter()
            .filter_map(|name| name.parse::<LimitName>().ok());
        if let Some(name) = framed.find(|name| ceiling.value(*name) > FRAMED_BYTES_MAX as u64) {
            return Err(format!(
                "`{name}` = {} is more than travels between broker and worker at once, `FRAMED_BYTES_MAX` ({FRAMED_BYTES_MAX}): say less",
                ceiling.value(name)
            ));
        }
        Ok(Self { default, ceiling })
    }

    /// Whether a workspace, or a manifest, may have these.
    ///
    /// # Errors
    ///
    /// [`AboveCeiling`] for the first that is too large.
    pub fn allows(&self, set: &LimitSet) -> Result<(), AboveCeiling> {
        for (name, value) in set.entries() {
            let ceiling = self.ceiling.value(name);
            if value > ceiling {
                return Err(AboveCeiling {
                    name,
                    value,
                    ceiling,
                    remedy: "ask for less, or have the platform administrator raise it in keyway.toml",
                });
            }
        }
        Ok(())
    }
}

/// What holds for a call: what the manifest asks for, else the platform's
/// default; but never more than the platform's ceiling, nor than what the
/// workspace set.
pub fn effective(platform: &PlatformLimits, workspace: &LimitSet, manifest: &LimitSet) -> Limits {
    let mut limits = platform.default;
    let heard = |level| move |(name, _): &(LimitName, u64)| name.info().level >= level;
    for (name, asked) in manifest.entries().filter(heard(Level::Manifest)) {
        limits.put(name, asked.min(platform.ceiling.value(name)));
    }
    for (name, lowered) in workspace.entries().filter(heard(Level::Workspace)) {
        limits.put(name, lowered.min(limits.value(name)));
    }
    limits
}
