//! What is typed by this program itself, and by the benches.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Worker {
    /// Compiles one component from standard input to standard output
    #[arg(long)]
    pub(crate) compile: bool,
    /// The largest linear memory that a guest may be allowed, in bytes
    #[arg(long, value_name = "BYTES")]
    pub(crate) memory_bytes_max: Option<usize>,
    /// The most table elements that a guest may be allowed
    #[arg(long, value_name = "COUNT")]
    pub(crate) table_elements_max: Option<usize>,
    /// Linear memory of all guests together, or memory of the compiler, in bytes
    #[arg(long, value_name = "BYTES")]
    pub(crate) worker_memory_bytes_max: Option<u64>,
    /// Time of the compiler on a processor, in seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) cpu_seconds_max: Option<u64>,
    /// The broker's process
    #[arg(long, value_name = "PID", default_value_t = 0)]
    pub(crate) broker: u32,
    /// The user that root becomes
    #[arg(long, value_name = "UID")]
    pub(crate) user: Option<u32>,
    /// Compiles although a layer of confinement is missing
    #[arg(long)]
    pub(crate) weaker: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchComponent {
    /// The component to measure with
    #[arg(long)]
    pub(crate) component: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct BenchHttp {
    /// The connector `hostile`, which calls what it is told
    #[arg(long)]
    pub(crate) component: PathBuf,
    /// The upstream's port on 127.0.0.1
    #[arg(long)]
    pub(crate) port: u16,
    /// Calls under way at once
    #[arg(long, default_value_t = 64)]
    pub(crate) concurrency: usize,
    /// Seconds that are measured
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
    /// Seconds before that, which are not
    #[arg(long, default_value_t = 1.0)]
    pub(crate) warmup: f64,
    /// Keeps broker and workers on one core
    #[arg(long)]
    pub(crate) core: Option<usize>,
    /// Acknowledges records at once and keeps none
    #[arg(long)]
    pub(crate) no_store: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchStream {
    /// The connector `bench`, which moves bodies
    #[arg(long)]
    pub(crate) component: PathBuf,
    /// The upstream's port on 127.0.0.1
    #[arg(long)]
    pub(crate) port: u16,
    /// The body, in MiB
    #[arg(long, default_value_t = 1024)]
    pub(crate) mib: u64,
}

#[derive(Debug, Args)]
pub(crate) struct BenchReplace {
    /// Workers that are killed
    #[arg(long, default_value_t = 100)]
    pub(crate) rounds: usize,
    /// Stops each instead, and measures from when the broker has noticed
    #[arg(long)]
    pub(crate) wedged: bool,
}
