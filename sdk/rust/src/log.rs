//! The job's log. Lines are masked and bounded before anyone can read them.

use crate::Context;
use crate::bindings::keyway::host::log as host;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// For the author of the connector.
    Debug,
    /// For whoever reads the job.
    Info,
    /// Something was wrong and was worked around.
    Warn,
    /// Something was wrong and the call will fail.
    Error,
}

impl Context {
    /// Adds one line to the job's log. A line over 4 KiB is cut; after 1,000
    /// lines in one call further lines are dropped.
    pub fn log(&self, level: Level, message: &str) {
        let level = match level {
            Level::Debug => host::Level::Debug,
            Level::Info => host::Level::Info,
            Level::Warn => host::Level::Warn,
            Level::Error => host::Level::Error,
        };
        host::write(level, message);
    }
}

/// Logs a line for the author of the connector: `debug!(context, "page {n}")`.
#[macro_export]
macro_rules! debug {
    ($context:expr, $($text:tt)+) => {
        $context.log($crate::Level::Debug, &::std::format!($($text)+))
    };
}

/// Logs a line for whoever reads the job: `info!(context, "found {n}")`.
#[macro_export]
macro_rules! info {
    ($context:expr, $($text:tt)+) => {
        $context.log($crate::Level::Info, &::std::format!($($text)+))
    };
}

/// Logs that something was wrong and was worked around.
#[macro_export]
macro_rules! warn {
    ($context:expr, $($text:tt)+) => {
        $context.log($crate::Level::Warn, &::std::format!($($text)+))
    };
}

/// Logs that something was wrong and the call will fail.
#[macro_export]
macro_rules! error {
    ($context:expr, $($text:tt)+) => {
        $context.log($crate::Level::Error, &::std::format!($($text)+))
    };
}
