//! A limit that is exceeded, and what one guest call has sent and received.

use std::sync::atomic::{AtomicU64, Ordering};

use keyway_ipc::Trap;
use keyway_model::limit::CallLimits;

/// A limit that is exceeded, by its name in `keyway_model::limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` ({value}) is exceeded")]
pub(crate) struct Over {
    pub(crate) name: &'static str,
    pub(crate) value: u64,
}

impl From<Over> for Trap {
    fn from(over: Over) -> Self {
        Self::Limit {
            name: over.name.to_owned(),
            value: over.value,
        }
    }
}

/// Bytes of bodies of one guest call, over all of its requests.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    out: AtomicU64,
    back: AtomicU64,
}

impl Traffic {
    /// Counts bytes of a request body of which `so_far` were sent, these
    /// included.
    pub(crate) fn sent(&self, bytes: usize, so_far: u64, limits: &CallLimits) -> Result<(), Over> {
        let all = grown(&self.out, bytes);
        within(
            "request_body_bytes_max",
            so_far,
            limits.request_body_bytes_max,
        )?;
        within("bytes_out_max", all, limits.bytes_out_max)
    }

    /// Counts bytes of a response body of which `so_far` were received, these
    /// included.
    pub(crate) fn received(
        &self,
        bytes: usize,
        so_far: u64,
        limits: &CallLimits,
    ) -> Result<(), Over> {
        let all = grown(&self.back, bytes);
        within(
            "response_body_bytes_max",
            so_far,
            limits.response_body_bytes_max,
        )?;
        within("bytes_in_max", all, limits.bytes_in_max)
    }
}

fn grown(sum: &AtomicU64, bytes: usize) -> u64 {
    let bytes = bytes as u64;
    sum.fetch_add(bytes, Ordering::Relaxed)
        .saturating_add(bytes)
}

/// Whether `count` is not above a limit.
pub(crate) fn within(name: &'static str, count: u64, value: u64) -> Result<(), Over> {
    if count > value {
        return Err(Over { name, value });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tight() -> CallLimits {
        CallLimits {
            request_body_bytes_max: 10,
            bytes_out_max: 15,
            response_body_bytes_max: 10,
            bytes_in_max: 15,
            ..CallLimits::default()
        }
    }

    #[test]
    fn one_body_and_all_bodies_together_have_limits_of_their_own() {
        let (traffic, limits) = (Traffic::default(), tight());
        assert_eq!(traffic.sent(10, 10, &limits), Ok(()));
        let over = |result: Result<(), Over>| result.map_err(|over| (over.name, over.value));
        assert_eq!(
            over(traffic.sent(6, 6, &limits)),
            Err(("bytes_out_max", 15))
        );
        assert_eq!(
            over(traffic.sent(11, 11, &limits)),
            Err(("request_body_bytes_max", 10))
        );
        assert_eq!(traffic.received(10, 10, &limits), Ok(()));
        assert_eq!(
            over(traffic.received(6, 6, &limits)),
            Err(("bytes_in_max", 15))
        );
        assert_eq!(
            over(traffic.received(11, 11, &limits)),
            Err(("response_body_bytes_max", 10))
        );
    }
}
