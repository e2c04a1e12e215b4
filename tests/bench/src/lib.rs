//! What Keyway's speed is measured with and against: a load generator and the native bounds.
//!
//! A bound does the same visible work as Keyway with none of its promises: no sandbox, no gate, no sealing. It exists so
//! that a figure says how far from the floor of this very machine it is, in the same minute. Nothing here may be used by
//! the product, and a bound is built as well as its author can: a slow bound would flatter Keyway.

pub mod affinity;
pub mod arrivals;
pub mod bare;
pub mod bound;
pub mod decide;
pub mod echo;
pub mod frames;
pub mod history;
pub mod latency;
pub mod load;
pub mod plain;
pub mod program;
pub mod proxy;
pub mod reply;
pub mod work;
