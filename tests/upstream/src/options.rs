//! What a person, or the `keyway demo`, sets at start.

use std::path::PathBuf;

/// How the order system is started. The same options are the command line of the `keyway-upstream` binary.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Port on 127.0.0.1 to listen on; 0 takes a free one, which the ready line names.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// File that holds the bearer token which callers must present.
    #[arg(long, value_name = "FILE")]
    pub token_file: PathBuf,
    /// File to write the certificate authority to, as PEM.
    #[arg(long, value_name = "FILE", required_unless_present = "clear")]
    pub ca_out: Option<PathBuf>,
    /// Serve clear HTTP/1.1 instead of TLS; for benches on loopback only.
    #[arg(long, conflicts_with = "ca_out")]
    pub clear: bool,
}
