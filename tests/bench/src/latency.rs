//! Latencies as people read them: percentiles of every single request, no buckets.

use std::time::Duration;

/// Latencies of one run, in nanoseconds.
#[derive(Debug, Default)]
pub struct Latencies {
    nanos: Vec<u64>,
}

impl Latencies {
    /// Adds one; what does not fit 64 bits of nanoseconds took 584 years.
    pub fn add(&mut self, latency: Duration) {
        self.nanos
            .push(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds those of another part of the same run.
    pub fn merge(&mut self, mut other: Self) {
        self.nanos.append(&mut other.nanos);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.nanos.len()
    }

    /// The value that `percent` of all latencies do not exceed, in microseconds; 0 for an empty run.
    pub fn percentile_us(&mut self, percent: usize) -> f64 {
        if self.nanos.is_empty() {
            return 0.0;
        }
        let at = (self.nanos.len() - 1) * percent.min(100) / 100;
        let (_, nanos, _) = self.nanos.select_nth_unstable(at);
        Duration::from_nanos(*nanos).as_secs_f64() * 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::Latencies;
    use std::time::Duration;

    #[test]
    fn percentiles_of_one_to_a_hundred_are_the_numbers_themselves() {
        let mut all = Latencies::default();
        (1..=101)
            .rev()
            .for_each(|us| all.add(Duration::from_micros(us)));
        assert!((all.percentile_us(50) - 51.0).abs() < 1e-9);
        assert!((all.percentile_us(99) - 100.0).abs() < 1e-9);
        assert!(Latencies::default().percentile_us(50).abs() < 1e-9);
    }
}
