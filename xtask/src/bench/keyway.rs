//! Keyway's side of the rig: everything that is set up through its command line, in one place.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use super::figure::Work;
use super::peer::Peer;
use super::rig::Upstream;
use crate::artifacts::{Profile, binary, guests};
use crate::shell::{self, root, tool};

const WORKSPACE: &str = "bench";
const CONNECTOR: &str = "orders";
const CONNECTION: &str = "shop";
const RIVAL: &str = "rival";
const HOSTILE: &str = "hostile";

/// A serving Keyway with the work's recipe started.
#[derive(Debug)]
pub(crate) struct Keyway {
    pub(crate) process: Peer,
    pub(crate) webhook: String,
    prepared: Prepared,
}

/// A data directory that can be served.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    data: PathBuf,
    config: PathBuf,
    workspace: &'static str,
}

/// Serves a fresh data directory and brings it to where the webhook takes orders.
pub(crate) fn prepare_keyway(
    folder: &Path,
    work: Work,
    upstream: &Upstream,
) -> anyhow::Result<Keyway> {
    let prepared = Prepared::new(folder, upstream)?;
    let process = prepared.serve()?;
    prepared.keyway(&["workspace", "create", WORKSPACE])?;
    let artifact = prepared.build(&folder.join("orders.wasm"))?;
    prepared.install(CONNECTOR, &artifact)?;

    prepared.connect((CONNECTION, CONNECTOR), upstream)?;
    let recipe = match work {
        Work::W1 => "w1",
        Work::W2 => "w2",
    };
    let webhook = prepared.start_recipe(recipe)?;
    Ok(Keyway {
        process,
        webhook,
        prepared,
    })
}

impl Keyway {
    /// Makes a workspace of a hostile tenant beside the one that is there; the webhooks of its recipes.
    pub(crate) fn add_rival<const N: usize>(
        &self,
        recipes: [&str; N],
        upstream: &Upstream,
    ) -> anyhow::Result<[String; N]> {
        let rival = self.prepared.of_workspace(RIVAL);
        rival.keyway(&["workspace", "create", RIVAL])?;
        rival.install(HOSTILE, &guests().join("hostile.wasm"))?;
        rival.connect(("target", HOSTILE), upstream)?;
        let mut hooks = [const { String::new() }; N];
        for (hook, recipe) in hooks.iter_mut().zip(recipes) {
            *hook = rival.start_recipe(recipe)?;
        }
        Ok(hooks)
    }
}

/// Installs and approves as many connectors as wanted, and stops.
pub(crate) fn prepare_start(
    folder: &Path,
    connectors: usize,
    upstream: &Upstream,
) -> anyhow::Result<Prepared> {
    let prepared = Prepared::new(folder, upstream)?;
    let process = prepared.serve()?;
    prepared.keyway(&["workspace", "create", WORKSPACE])?;
    let artifact = prepared.build(&folder.join("orders.wasm"))?;
    for at in 0..connectors {
        let name = format!("shop{at:02}");
        let renamed = folder.join(format!("{name}.wasm"));
        rename(&artifact, &name, &renamed)?;
        prepared.install(&name, &renamed)?;
    }
    drop(process);
    Ok(prepared)
}

/// Copies an artifact under another connector name of the same length, which keeps the section's length true.
fn rename(artifact: &Path, name: &str, renamed: &Path) -> anyhow::Result<()> {
    let (old, new) = (
        format!("name = \"{CONNECTOR}\""),
        format!("name = \"{name}\""),
    );
    anyhow::ensure!(
        old.len() == new.len(),
        "`{name}` is not as long as `{CONNECTOR}`"
    );
    let mut bytes =
        std::fs::read(artifact).with_context(|| format!("cannot read {}", artifact.display()))?;
    let at = bytes
        .windows(old.len())
        .position(|part| part == old.as_bytes());
    let place = at.and_then(|at| bytes.get_mut(at..at + old.len()));
    place
        .context("the artifact's manifest does not name the connector")?
        .copy_from_slice(new.as_bytes());
    std::fs::write(renamed, bytes).with_context(|| format!("cannot write {}", renamed.display()))
}

impl Prepared {
    /// Writes the platform's configuration: the upstream is the one private, clear destination.
    fn new(folder: &Path, upstream: &Upstream) -> anyhow::Result<Self> {
        let config = folder.join("keyway.toml");
        let port = upstream.port;
        let text = format!(
            "[listen]\nwebhook = \"127.0.0.1:0\"\n\n[[egress.allow]]\nhost = \"127.0.0.1\"\nport = {port}\ncleartext = true\n"
        );
        std::fs::write(&config, text)
            .with_context(|| format!("cannot write {}", config.display()))?;
        Ok(Self {
            data: folder.join("data"),
            config,
            workspace: WORKSPACE,
        })
    }

    /// The same deployment, for another workspace of it.
    fn of_workspace(&self, workspace: &'static str) -> Self {
        Self {
            workspace,
            ..self.clone()
        }
    }

    /// Connects a connector to the upstream.
    fn connect(
        &self,
        (connection, connector): (&str, &str),
        upstream: &Upstream,
    ) -> anyhow::Result<()> {
        let port = format!("port={}", upstream.port);
        let create = ["connection", "create", connection, "--connector", connector];
        let place = [
            "--parameter",
            "host=127.0.0.1",
            "--parameter",
            &port,
            "--parameter",
            "scheme=http",
        ];
        let credential = ["--credential-file", text(&upstream.token_file)?];
        self.keyway(&[create.as_slice(), &place, &credential].concat())?;
        Ok(())
    }

    /// Applies and starts a recipe of the bench; where its events go.
    fn start_recipe(&self, recipe: &str) -> anyhow::Result<String> {
        let file = root().join(format!("tests/bench/{recipe}.yaml"));
        self.keyway(&["recipe", "apply", text(&file)?])?;
        self.keyway(&["recipe", "start", recipe])?;
        let shown = json(&self.keyway(&["recipe", "show", recipe, "--json"])?)?;
        let webhook = shown.get("webhook_url").and_then(Value::as_str);
        Ok(webhook
            .context("the recipe shows no webhook_url")?
            .to_owned())
    }

    /// Starts `keyway serve` and waits for the line that says that it is ready.
    fn serve(&self) -> anyhow::Result<Peer> {
        let mut command = tool(binary("keyway", Profile::Release), &["serve", "--data"]);
        command.arg(&self.data).arg("--config").arg(&self.config);
        Ok(Peer::start_until_ready("keyway serve", &mut command)?.0)
    }

    /// Serves until ready, stops, and says how long it took to get ready.
    pub(crate) fn start_once(&self) -> anyhow::Result<Duration> {
        let started = Instant::now();
        let process = self.serve()?;
        let took = started.elapsed();
        drop(process);
        Ok(took)
    }

    /// Builds the connector of the bench.
    fn build(&self, artifact: &Path) -> anyhow::Result<PathBuf> {
        let folder = root().join("connectors/orders");
        self.keyway(&[
            "connector",
            "build",
            text(&folder)?,
            "--out",
            text(artifact)?,
        ])?;
        Ok(artifact.to_path_buf())
    }

    /// Installs an artifact and approves exactly its digest.
    fn install(&self, name: &str, artifact: &Path) -> anyhow::Result<()> {
        let artifact = text(artifact)?;
        self.keyway(&["connector", "install", artifact])?;
        let page = json(&self.keyway(&["connector", "inspect", artifact, "--json"])?)?;
        let digest = page
            .get("digest")
            .and_then(Value::as_str)
            .context("no digest")?;
        self.keyway(&[
            "connector",
            "approve",
            name,
            "--digest",
            digest,
            "--why",
            "bench",
        ])?;
        Ok(())
    }

    /// One verb of the command line, against this data directory; what it printed.
    fn keyway(&self, args: &[&str]) -> anyhow::Result<String> {
        let mut command = tool(binary("keyway", Profile::Release), args);
        command.arg("--data").arg(&self.data);
        shell::output(command.args(["--workspace", self.workspace]))
    }
}

fn json(printed: &str) -> anyhow::Result<Value> {
    serde_json::from_str(printed).with_context(|| format!("not JSON: `{printed}`"))
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str()
        .with_context(|| format!("{} is not text", path.display()))
}
