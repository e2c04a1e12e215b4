//! What holds for one call: platform, workspace and manifest together.

use super::{FRAMED_BYTES_MAX, Level, LimitName, LimitSet, Limits, SCRATCH_NAME_BYTES_MAX};

/// Limits of what travels in one frame between broker and worker, and the most bytes of
/// each that they count.
pub(super) const FRAMED: [(&str, usize); 7] = [
    ("value_bytes_max", 1),
    ("host_call_bytes_max", 1),
    ("state_value_bytes_max", 1),
    ("response_header_bytes_max", 1),
    ("log_bytes_max", 1),
    ("log_line_bytes_max", 1),
    ("scratch_files_max", SCRATCH_NAME_BYTES_MAX),
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
        for (name, each) in FRAMED {
            let most = (FRAMED_BYTES_MAX / each) as u64;
            let value = name.parse().map_or(0, |name| ceiling.value(name));
            if value > most {
                return Err(format!(
                    "`{name}` = {value} is more than travels between broker and worker at once, {most} by `FRAMED_BYTES_MAX` ({FRAMED_BYTES_MAX}): say less"
                ));
            }
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
