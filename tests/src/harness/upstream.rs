//! The order system that deployments of the tests reach.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{Process, http, program, ready, secret};

/// The order system.
pub(crate) struct Upstream {
    pub(crate) port: u16,
    pub(crate) token: String,
    _process: Process,
}

impl Upstream {
    /// Starts one; its authority's certificate and its token go into `dir`.
    pub(super) fn start(dir: &Path) -> Self {
        let token = format!(
            "ords_{}",
            hex::encode(dir.file_name().unwrap().as_encoded_bytes())
        );
        secret(&dir.join("token.txt"), &token);
        let mut command = Command::new(program());
        command
            .current_dir(dir)
            .args(["demo-upstream", "--token-file", "token.txt", "--clear"]);
        let (process, value) = ready(&mut command).unwrap();
        Self {
            port: value["port"].as_u64().unwrap() as u16,
            token,
            _process: process,
        }
    }

    /// `GET /control/effects`.
    pub(crate) fn effects(&self) -> Value {
        http(self.address(), "GET", "/control/effects", None).1
    }

    /// `POST /control/mode`.
    pub(crate) fn mode(&self, mode: &str) {
        let (status, _) = http(
            self.address(),
            "POST",
            "/control/mode",
            Some(&json!({ "mode": mode })),
        );
        assert!(status < 300, "mode {mode}: {status}");
    }

    /// Adds an order as another client would.
    pub(crate) fn add_order(&self, order: &Value) {
        let (status, _) = http(self.address(), "POST", "/control/orders", Some(order));
        assert!(status < 300, "{status}");
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }
}

/// The order system over TLS, in a directory of its own.
pub(crate) struct TlsUpstream {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) port: u16,
    pub(crate) token: String,
    _process: Process,
}

impl TlsUpstream {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let token = "ords_of-the-tests-over-tls".to_owned();
        secret(&dir.path().join("upstream-token.txt"), &token);
        let mut command = Command::new(program());
        command.current_dir(dir.path()).args([
            "demo-upstream",
            "--token-file",
            "upstream-token.txt",
            "--ca-out",
            "ca.pem",
        ]);
        let (process, value) = ready(&mut command).unwrap();
        Self {
            dir,
            port: value["port"].as_u64().unwrap() as u16,
            token,
            _process: process,
        }
    }
}
