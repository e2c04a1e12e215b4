//! What can be typed.

mod connector;
mod hidden;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use keyway_model::{AlarmId, Environment, JobId, Name, TokenId};

pub(crate) use connector::{
    CallLocally, ConnectionVerb, ConnectorVerb, CredentialSource, TlsSource,
};
pub(crate) use hidden::{BenchComponent, BenchHttp, BenchReplace, BenchStream, Worker};

/// Runs third-party connectors and untrusted recipe logic in sandboxes that
/// hold no secrets and reach nothing they were not granted.
#[derive(Debug, Parser)]
#[command(name = "keyway", version, propagate_version = true)]
pub struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What every verb takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// The data directory, whose socket is asked
    #[arg(long, global = true, default_value = "keyway-data", value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// A loopback listener to ask instead of the socket, e.g. http://127.0.0.1:8701
    #[arg(long, global = true, value_name = "URL", requires = "token_file")]
    pub(crate) url: Option<String>,
    /// A file of mode 0600 that holds the token for --url
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The workspace; not needed where there is only one
    #[arg(long, short, global = true, value_name = "NAME")]
    pub(crate) workspace: Option<Name>,
    /// The environment: development, test or production
    #[arg(
        long,
        short,
        global = true,
        default_value = "development",
        value_name = "NAME"
    )]
    pub(crate) environment: Environment,
    /// Prints JSON for programs instead of tables for people
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Runs a deployment: a broker, its workers, the API and the webhook listener
    Serve(Serve),
    /// Tells the story of a deployment in five acts, on a fresh data directory
    Demo(Demo),
    /// Workspaces: one for each isolated customer
    #[command(subcommand)]
    Workspace(WorkspaceVerb),
    /// Tokens of API clients
    #[command(subcommand)]
    Token(TokenVerb),
    /// Connectors: write, build, inspect, install, approve
    #[command(subcommand)]
    Connector(ConnectorVerb),
    /// Connections to outside systems
    #[command(subcommand)]
    Connection(ConnectionVerb),
    /// Recipes: what runs
    #[command(subcommand)]
    Recipe(RecipeVerb),
    /// Jobs: each run of a recipe
    #[command(subcommand)]
    Job(JobVerb),
    /// The audit log: read, export, verify
    #[command(subcommand)]
    Audit(AuditVerb),
    /// Alarms: what a person must see
    #[command(subcommand)]
    Alarm(AlarmVerb),
    #[command(hide = true)]
    Worker(Worker),
    #[command(hide = true)]
    DemoUpstream(keyway_upstream::Options),
    #[command(hide = true)]
    BenchInstance(BenchComponent),
    #[command(hide = true)]
    BenchHostCall(BenchComponent),
    #[command(hide = true)]
    BenchHttp(BenchHttp),
    #[command(hide = true)]
    BenchStream(BenchStream),
    #[command(hide = true)]
    BenchReplace(BenchReplace),
}

#[derive(Debug, Subcommand)]
pub(crate) enum AlarmVerb {
    /// Lists alarms: open ones first, of each the newest first
    List,
    /// Says that an alarm was looked at; a component in quarantine runs again
    Ack {
        /// The alarm, as `alarm list` shows it
        #[arg(value_name = "ALARM")]
        alarm: AlarmId,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The platform's configuration, keyway.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Demo {
    /// Keeps the deployment running after the last act
    #[arg(long)]
    pub(crate) serve: bool,
    /// Where the built connectors are
    #[arg(long, value_name = "DIR", default_value = "target/guests")]
    pub(crate) artifacts: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorkspaceVerb {
    /// Creates a workspace
    Create {
        /// Its name
        name: Name,
    },
    /// Lists workspaces, for the platform administrator
    List,
    /// Shows one workspace
    Show {
        /// Its name
        name: Name,
    },
    /// What a workspace may consume
    #[command(subcommand)]
    Limits(LimitsVerb),
}

#[derive(Debug, Subcommand)]
pub(crate) enum LimitsVerb {
    /// Shows every limit of a workspace in one environment
    Show {
        /// The workspace
        name: Name,
    },
    /// Lowers limits of a workspace in one environment, from the next call on
    Set {
        /// The workspace
        name: Name,
        /// For example cpu_ms_max=1000; cpu_ms_max=default gives it back
        #[arg(required = true, value_name = "LIMIT=VALUE")]
        limits: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Creates a token and prints its secret part, once
    Create {
        /// admin, operator or analyst
        #[arg(long)]
        role: String,
        /// What it is for
        #[arg(long)]
        label: String,
        /// How many days it lives, at most 365
        #[arg(long, default_value_t = 90)]
        days: u32,
        /// Works in every environment, not only in --environment
        #[arg(long)]
        all_environments: bool,
    },
    /// Lists tokens, without their secret parts
    List,
    /// Revokes a token; its owner's running jobs stop at their next host call
    Revoke {
        /// The token's id
        id: TokenId,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RecipeVerb {
    /// Checks a recipe, without a deployment
    Validate {
        /// The recipe, YAML or JSON
        file: PathBuf,
    },
    /// Stores a recipe as its next version
    Apply {
        /// The recipe, YAML or JSON
        file: PathBuf,
    },
    /// Lists recipes
    List,
    /// Shows a recipe
    Show {
        /// Its name
        name: Name,
    },
    /// Prints the JSON Schema of recipes, for editors
    Schema,
    /// Lets a recipe take events
    Start {
        /// Its name
        name: Name,
    },
    /// Makes a recipe take no more events; jobs that run go on
    Stop {
        /// Its name
        name: Name,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobVerb {
    /// Lists jobs, newest first
    List {
        /// Only those of this recipe
        #[arg(long)]
        recipe: Option<Name>,
        /// Only those in this state
        #[arg(long)]
        state: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Shows a job's steps, masked
    Show {
        /// The job
        id: JobId,
    },
    /// Runs a job again
    Rerun {
        /// The job
        id: JobId,
        /// `failed`: from the step that failed; `trigger`: from the beginning
        #[arg(long, default_value = "failed", value_parser = ["failed", "trigger"])]
        from: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditVerb {
    /// Lists the newest records
    List {
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Prints records as they come
    Tail {
        /// Ends after so many records
        #[arg(long)]
        count: Option<u32>,
    },
    /// Writes the whole log with its signed checkpoint, to be verified anywhere
    Export {
        /// Where to [default: standard output]
        #[arg(long, short)]
        out: Option<PathBuf>,
        /// Where the public key goes
        #[arg(long, value_name = "FILE")]
        key_out: Option<PathBuf>,
    },
    /// Verifies an exported log, offline
    Verify {
        /// The export
        file: PathBuf,
        /// The deployment's public key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
}
