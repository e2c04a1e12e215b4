//! Why a guest's state is not read or changed.

use keyway_model::limit::CallLimits;
use serde::{Deserialize, Serialize};

/// Why state was not read or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateRefusal {
    /// Not granted.
    Denied,
    /// A limit, named with its value.
    Limit(String),
}

impl StateRefusal {
    /// Whether a key, and what is to be put under it, are within a call's limits.
    /// Both sides look: the worker, so that nothing else leaves it, and the broker,
    /// which does not believe that.
    ///
    /// # Errors
    ///
    /// The limit that is exceeded.
    pub fn unless_within(limits: &CallLimits, key: &str, value: Option<&str>) -> Result<(), Self> {
        let key_bytes_max = limits.state_key_bytes_max;
        if key.is_empty() || key.len() > key_bytes_max as usize {
            return Err(Self::Limit(format!(
                "state_key_bytes_max ({key_bytes_max}); a key is at least 1 byte"
            )));
        }
        let value_bytes_max = limits.state_value_bytes_max;
        if value.is_some_and(|value| value.len() > value_bytes_max as usize) {
            return Err(Self::Limit(format!(
                "state_value_bytes_max ({value_bytes_max})"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_held_to_their_limits_by_name() {
        let limits = CallLimits {
            state_key_bytes_max: 3,
            state_value_bytes_max: 5,
            ..CallLimits::default()
        };
        let refused = |key, value| match StateRefusal::unless_within(&limits, key, value) {
            Err(StateRefusal::Limit(text)) => text.split(' ').next().map(ToOwned::to_owned),
            Ok(()) | Err(StateRefusal::Denied) => None,
        };
        assert_eq!(refused("key", None), None);
        assert_eq!(refused("key", Some("value")), None);
        for key in ["", "keys"] {
            let name = Some("state_key_bytes_max".to_owned());
            assert_eq!(refused(key, None), name);
            assert_eq!(refused(key, Some("v")), name);
        }
        let name = Some("state_value_bytes_max".to_owned());
        assert_eq!(refused("key", Some("values")), name);
    }
}
