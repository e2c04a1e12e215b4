//! Asks a deployment over its API.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{TcpStream, UnixStream};

use super::args::Global;
use super::credential::read_secret_file;
use crate::api::types::{Problem, Workspace};

/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// A client of one deployment.
pub(crate) struct Client {
    way: Way,
    global: Global,
}

enum Way {
    Socket(std::path::PathBuf),
    Listener { authority: String, token: String },
}

impl Client {
    /// The client that the command line describes.
    pub(crate) fn new(global: &Global) -> Result<Self> {
        let way = match (&global.url, &global.token_file) {
            (Some(url), Some(file)) => {
                let authority = url
                    .strip_prefix("http://")
                    .map(|rest| rest.trim_end_matches('/').to_owned())
                    .with_context(|| format!("--url {url}: write http://127.0.0.1:PORT"))?;
                let token = String::from_utf8(read_secret_file(file)?.expose().to_vec())?;
                Way::Listener { authority, token }
            }
            _ => Way::Socket(global.data.join(crate::serve::SOCKET)),
        };
        Ok(Self {
            way,
            global: global.clone(),
        })
    }

    /// `GET`s JSON.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        parse(&self.call(Method::GET, path, Bytes::new(), "application/json")?)
    }

    /// `GET`s text.
    pub(crate) fn get_text(&self, path: &str) -> Result<String> {
        Ok(String::from_utf8(
            self.call(Method::GET, path, Bytes::new(), "text/plain")?
                .to_vec(),
        )?)
    }

    /// `POST`s JSON and reads JSON.
    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        let body = serde_json::to_vec(body)?;
        parse(&self.call(Method::POST, path, body.into(), "application/json")?)
    }

    /// `POST`s bytes and reads JSON.
    pub(crate) fn post_bytes<T: DeserializeOwned>(&self, path: &str, body: Vec<u8>) -> Result<T> {
        parse(&self.call(Method::POST, path, body.into(), "application/wasm")?)
    }

    /// The path of something in the workspace and environment that are meant.
    pub(crate) fn scoped(&self, rest: &str) -> Result<String> {
        let workspace = match &self.global.workspace {
            Some(name) => name.to_string(),
            None => self.only_workspace()?,
        };
        Ok(format!(
            "/api/v1/workspaces/{workspace}/{}/{rest}",
            self.global.environment
        ))
    }

    fn only_workspace(&self) -> Result<String> {
        if let Way::Listener { .. } = self.way {
            bail!("a token lists no workspaces: say which is meant with --workspace");
        }
        let all: Vec<Workspace> = self.get("/api/v1/workspaces")?;
        match all.as_slice() {
            [one] => Ok(one.name.to_string()),
            [] => bail!("there is no workspace yet: run `keyway workspace create NAME`"),
            several => {
                let names: Vec<_> = several.iter().map(|w| w.name.as_str()).collect();
                bail!(
                    "there are several workspaces: say which with --workspace ({})",
                    names.join(", ")
                )
            }
        }
    }

    fn call(&self, method: Method, path: &str, body: Bytes, content: &str) -> Result<Bytes> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let mut request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", "keyway")
                .header("content-type", content);
            if let Way::Listener { token, .. } = &self.way {
                request = request.header("authorization", format!("Bearer {}", token.trim()));
            }
            let request = request.body(Full::new(body))?;
            let (status, answer) = match &self.way {
                Way::Socket(path) => {
                    exchange(TokioIo::new(connect_socket(path).await?), request).await?
                }
                Way::Listener { authority, .. } => {
                    exchange(TokioIo::new(connect_listener(authority).await?), request).await?
                }
            };
            if status.is_success() {
                Ok(answer)
            } else {
                Err(problem(status, &answer))
            }
        })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the command line asks a deployment; it is no part of one"
)]
async fn connect_socket(path: &Path) -> Result<UnixStream> {
    UnixStream::connect(path).await.with_context(|| {
        format!(
            "no deployment answers at {}: start one with `keyway serve --data {}`, or name its directory with --data",
            path.display(),
            path.parent().unwrap_or(Path::new(".")).display()
        )
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the command line asks a deployment; it is no part of one"
)]
async fn connect_listener(authority: &str) -> Result<TcpStream> {
    TcpStream::connect(authority)
        .await
        .with_context(|| format!("no deployment answers at http://{authority}"))
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes)>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    let driver = tokio::spawn(connection);
    let reply = sender
        .send_request(request)
        .await
        .context("the deployment ended the connection")?;
    let status = reply.status();
    let body = http_body_util::Limited::new(reply.into_body(), ANSWER_BYTES_MAX);
    let bytes = body
        .collect()
        .await
        .map_err(|error| anyhow!("reading the answer: {error}"))?
        .to_bytes();
    driver.abort();
    Ok((status, bytes))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .context("the deployment's answer is not understood; is it of the same version?")
}

fn problem(status: StatusCode, body: &[u8]) -> anyhow::Error {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => anyhow!("{}", problem.error.message),
        Err(_) => anyhow!("the deployment answered {status}"),
    }
}
