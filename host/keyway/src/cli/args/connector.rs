//! What can be typed of connectors and connections.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use keyway_model::{Digest, Name};

#[derive(Debug, Subcommand)]
pub(crate) enum ConnectorVerb {
    /// Makes a new connector crate that builds and works
    New {
        /// Its name, and the name of its directory
        name: Name,
    },
    /// Builds the crate in a directory into one .wasm with the manifest inside
    Build {
        /// The crate's directory
        #[arg(default_value = ".")]
        path: PathBuf,
        /// Where the artifact goes [default: NAME.wasm in the crate's directory]
        #[arg(long, short)]
        out: Option<PathBuf>,
        /// Leaves it to the install to refuse imports that are not declared
        #[arg(long, hide = true)]
        unchecked: bool,
    },
    /// Runs one action of an artifact, without a deployment, and shows what it did
    Call(CallLocally),
    /// Shows on one page what an artifact can do
    Inspect {
        /// The artifact
        file: PathBuf,
    },
    /// Installs an artifact; it runs only when it is approved
    Install {
        /// The artifact
        file: PathBuf,
    },
    /// Shows the capability page and asks; scripts pass --digest
    Approve {
        /// The connector's name or digest
        connector: String,
        /// The digest that you have read the page of: approves without asking
        #[arg(long)]
        digest: Option<Digest>,
        /// Why
        #[arg(long, default_value = "")]
        why: String,
        /// Only these capabilities, comma-separated
        #[arg(long, value_delimiter = ',')]
        capabilities: Option<Vec<String>>,
        /// Ends after so many days
        #[arg(long)]
        days: Option<u32>,
    },
    /// Revokes the approval; stops the next host call of running jobs
    Revoke {
        /// The connector's digest
        digest: Digest,
    },
    /// Lists installed connectors
    List,
    /// Shows an installed connector with its approvals
    Show {
        /// The connector's name or digest
        connector: String,
    },
}

/// `connector call`.
#[derive(Debug, Args)]
pub(crate) struct CallLocally {
    /// The artifact
    pub(crate) file: PathBuf,
    /// The action; `check` runs the connection's check
    pub(crate) action: String,
    /// A JSON file with the input
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// A parameter of the connection
    #[arg(long = "parameter", value_name = "NAME=VALUE")]
    pub(crate) parameters: Vec<String>,
    /// A file of mode 0600 with the credential
    #[arg(long, value_name = "FILE")]
    pub(crate) credential_file: Option<PathBuf>,
    /// A certificate in PEM to trust beside the public roots
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Vec<PathBuf>,
    /// A place to reach although its address is not public
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) allow: Vec<String>,
}

/// What a connection says about TLS.
#[derive(Debug, Args)]
pub(crate) struct TlsSource {
    /// Trusts the certificates in this PEM file, and no other roots
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// The server's public key must be this one: sha256/ and base64; repeatable
    #[arg(long = "pin", value_name = "PIN")]
    pub(crate) pins: Vec<String>,
    /// Shows this client certificate, a PEM file, where the credential goes
    #[arg(long, value_name = "FILE", requires = "client_key_file")]
    pub(crate) client_certificate: Option<PathBuf>,
    /// The key of the client certificate, a PEM file that only you can read
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    pub(crate) client_key_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConnectionVerb {
    /// Creates a connection; the credential comes from a prompt, a file or a descriptor
    Create {
        /// Its name
        name: Name,
        /// For which connector
        #[arg(long)]
        connector: Name,
        /// A parameter that the manifest asks for
        #[arg(long = "parameter", value_name = "NAME=VALUE")]
        parameters: Vec<String>,
        /// Binds it to this host, whatever the manifest says; repeatable
        #[arg(long = "host")]
        hosts: Vec<String>,
        #[command(flatten)]
        credential: CredentialSource,
        #[command(flatten)]
        tls: Box<TlsSource>,
    },
    /// Lists connections, without their credentials
    List,
    /// Asks the upstream whether it accepts the credential
    Check {
        /// Its name
        name: Name,
    },
}

/// Where a secret comes from. Never an argument, never the environment.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct CredentialSource {
    /// A file of mode 0600 that holds it
    #[arg(long, value_name = "FILE")]
    pub(crate) credential_file: Option<PathBuf>,
    /// An open descriptor to read it from
    #[arg(long, value_name = "N")]
    pub(crate) credential_fd: Option<u32>,
    /// It needs none
    #[arg(long)]
    pub(crate) no_credential: bool,
}
