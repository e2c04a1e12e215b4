//! Which code reaches out of its process, by name: connections, listeners,
//! files, programs. Each rule lists the few places that may, with the reason;
//! the list holds nothing that is not needed, and a rule finds what is planted.
//!
//! clippy refuses most of the same calls, `deny.toml` the libraries behind them;
//! this looks at the text, so that neither a new way of calling nor an
//! `#[expect]` in another place goes unseen.

use std::path::Path;

use crate::harness::root;
use crate::tidy::{LAYERS, dependencies, sources};

struct Rule {
    what: &'static str,
    words: &'static [&'static str],
    allowed: &'static [(&'static str, &'static str)],
}

const CONNECTIONS: Rule = Rule {
    what: "opens a connection or resolves a name",
    words: &[
        "TcpStream::connect",
        "TcpSocket",
        "UdpSocket",
        "UnixStream::connect",
        "UnixDatagram",
        "to_socket_addrs",
        "ToSocketAddrs",
        "lookup_host",
        "getaddrinfo",
        "hickory_resolver",
        "connect_timeout",
        "net::socket",
        "net::connect",
        "HttpConnector",
        "client::legacy",
        "hyper::client",
        "http1::handshake",
        "http2::handshake",
        "socket_with",
        "libc::socket",
        "SYS_socket",
        "socket2",
    ],
    allowed: &[
        ("host/egress/src/", "the only way out"),
        (
            "host/keyway/src/cli/client.rs",
            "the command line, to its own deployment",
        ),
        (
            "host/keyway/src/demo/caller.rs",
            "the demo's caller, to the demo's deployment",
        ),
    ],
};

const LISTENERS: Rule = Rule {
    what: "listens",
    words: &[
        "TcpListener",
        "UnixListener",
        "net::bind",
        "net::listen",
        "net::accept",
    ],
    allowed: &[(
        "host/keyway/src/serve.rs",
        "the API's socket and listener, and the webhooks'",
    )],
};

const FILES: Rule = Rule {
    what: "touches files",
    words: &[
        "std::fs",
        "tokio::fs",
        "File::",
        "OpenOptions",
        "rustix::fs",
        "cap_std",
    ],
    allowed: &[
        ("host/confine/src/limits.rs", "what the process itself uses"),
        ("host/keyway/src/artifacts/", "the store of compiled code"),
        ("host/keyway/src/bench.rs", "reads what it measures"),
        ("host/keyway/src/bench/", "reads what it measures"),
        (
            "host/keyway/src/cli/audit.rs",
            "exports, and what is verified",
        ),
        (
            "host/keyway/src/cli/connection.rs",
            "roots and client certificates of an author",
        ),
        (
            "host/keyway/src/cli/connector.rs",
            "artifacts and manifests of an author",
        ),
        (
            "host/keyway/src/cli/credential.rs",
            "a credential from a file of its owner's",
        ),
        ("host/keyway/src/cli/recipe.rs", "recipes of an author"),
        ("host/keyway/src/config.rs", "the configuration"),
        ("host/keyway/src/confined.rs", "which users have processes"),
        (
            "host/keyway/src/workers/age.rs",
            "how long a worker computed",
        ),
        ("host/keyway/src/demo/", "the demo's own folder"),
        ("host/keyway/src/scaffold.rs", "a new connector's folder"),
        (
            "host/keyway/src/serve.rs",
            "the socket's file and its rights",
        ),
        (
            "host/keyway/src/wire.rs",
            "the data directory, once at the start",
        ),
        (
            "host/runtime/src/sealed.rs",
            "memory files, which have no name",
        ),
        ("host/store/src/home.rs", "the data directory"),
        (
            "host/store/src/scratch/",
            "sealed pages of scratch files, in one directory",
        ),
        ("host/vault/src/root_file.rs", "the file of the root key"),
    ],
};

const PROGRAMS: Rule = Rule {
    what: "starts a program",
    words: &["Command::new", "process::Command", "execve", "posix_spawn"],
    allowed: &[
        (
            "host/keyway/src/confined.rs",
            "workers and the compiler, confined",
        ),
        ("host/keyway/src/demo/", "the demo's own deployment"),
        ("host/keyway/src/scaffold.rs", "cargo, for an author"),
    ],
};

const WEAKENINGS: Rule = Rule {
    what: "weakens a promise",
    words: &["dangerous_recording_into", "dangerous_none"],
    allowed: &[
        (
            "host/gate/src/invocation.rs",
            "where records elsewhere are made possible",
        ),
        (
            "host/confine/src/steps.rs",
            "where tests run guests unconfined",
        ),
        (
            "host/keyway/src/bench/",
            "measures what the gate costs without a disk",
        ),
    ],
};

/// Who says whether a certificate holds.
const VERIFIERS: Rule = Rule {
    what: "says whether a certificate holds",
    words: &[
        ".dangerous()",
        "with_custom_certificate_verifier",
        "set_certificate_verifier",
        "ServerCertVerifier",
        "ServerCertVerified",
        "HandshakeSignatureValid",
        "client::danger",
        "danger_accept_invalid",
    ],
    allowed: &[
        ("host/egress/src/tls.rs", "sets the library's verifier up"),
        (
            "host/egress/src/pin.rs",
            "asks the library's verifier, and then for the pin",
        ),
    ],
};

const RULES: [&Rule; 6] = [
    &CONNECTIONS,
    &LISTENERS,
    &FILES,
    &PROGRAMS,
    &WEAKENINGS,
    &VERIFIERS,
];

/// The code of a file: no comments, and not the tests at its end.
fn code(text: &str) -> String {
    let own = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let uncommented = |line: &str| match line.find("//") {
        Some(at) if !line[..at].ends_with(':') => line[..at].to_owned() + "\n",
        _ => line.to_owned() + "\n",
    };
    own.lines().map(uncommented).collect()
}

impl Rule {
    /// What of `text`, the file at `path`, is against the rule.
    fn broken_by(&self, path: &str, text: &str) -> Option<String> {
        let code = code(text);
        let word = self.words.iter().find(|word| code.contains(*word))?;
        let is_allowed = self
            .allowed
            .iter()
            .any(|(place, _)| path.starts_with(place));
        (!is_allowed).then(|| format!("{path} {}: `{word}`", self.what))
    }
}

/// Every file of the host that is not a test's, by its path in the repository.
fn files() -> Vec<(String, String)> {
    let mut found = Vec::new();
    sources(&root().join("host"), &mut found);
    let read = |path: &Path| {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        (name, std::fs::read_to_string(path).unwrap())
    };
    let is_ours = |(name, _): &(String, String)| {
        !name.ends_with("/tests.rs")
            && !name.ends_with("/foreign.rs")
            && !name.ends_with("/build.rs")
    };
    found
        .iter()
        .map(|path| read(path))
        .filter(is_ours)
        .collect()
}

fn holds(rule: &Rule) {
    let files = files();
    assert!(files.len() > 200, "{} files", files.len());
    let broken: Vec<String> = files
        .iter()
        .filter_map(|(path, text)| rule.broken_by(path, text))
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");
    for (place, reason) in rule.allowed {
        let is_needed = files.iter().any(|(path, text)| {
            let code = code(text);
            path.starts_with(place) && rule.words.iter().any(|word| code.contains(word))
        });
        assert!(
            is_needed,
            "{place} ({reason}) needs no exemption: nothing in it {}",
            rule.what
        );
    }
}

#[test]
fn no_crate_but_the_way_out_opens_a_connection_or_resolves_a_name() {
    holds(&CONNECTIONS);
}

#[test]
fn nothing_but_a_bench_asks_for_what_weakens_a_promise() {
    holds(&WEAKENINGS);
}

#[test]
fn nothing_switches_the_verification_of_certificates_off() {
    holds(&VERIFIERS);
    // The one verifier that is not the library's is the one that asks the library's,
    // and it accepts in one place, which is behind that.
    let count = |file: &str, word: &str| {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        code(&text).matches(word).count()
    };
    for (file, word, times) in [
        ("host/egress/src/tls.rs", ".dangerous()", 1),
        ("host/egress/src/tls.rs", "ClientConfig::builder", 1),
        ("host/egress/src/pin.rs", "ServerCertVerifier for", 1),
        ("host/egress/src/pin.rs", "ServerCertVerified::assertion", 0),
        (
            "host/egress/src/pin.rs",
            "HandshakeSignatureValid::assertion",
            0,
        ),
    ] {
        assert_eq!(count(file, word), times, "{file}: `{word}`");
    }
}

#[test]
fn nothing_but_the_server_listens() {
    holds(&LISTENERS);
}

#[test]
fn files_are_touched_only_where_it_is_their_owners_task() {
    holds(&FILES);
}

#[test]
fn programs_are_started_only_for_workers_compilers_and_authors() {
    holds(&PROGRAMS);
}

#[test]
fn a_call_that_is_planted_somewhere_else_is_found() {
    for rule in RULES {
        for word in rule.words {
            let text = format!("//! A module.\nfn f() {{ {word}(x) }}\n");
            let found = rule.broken_by("host/gate/src/http.rs", &text);
            assert!(found.is_some_and(|found| found.contains(word)), "{word}");
            // In a comment it is nothing, and in a place that may, neither.
            let comment = format!("/// Never calls {word}.\nfn f() {{}}\n");
            assert_eq!(rule.broken_by("host/gate/src/http.rs", &comment), None);
            assert_eq!(rule.broken_by(rule.allowed[0].0, &text), None);
        }
    }
}

#[test]
fn only_the_way_out_and_the_server_know_http_and_tls() {
    for library in ["hyper", "hyper-util", "tokio-rustls"] {
        let users: Vec<&str> = LAYERS
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| dependencies(name).iter().any(|known| known == library))
            .collect();
        assert_eq!(users, ["keyway-egress", "keyway"], "{library}");
    }
}

/// The versions that `deny.toml` refuses by name, and since when it was looked at.
#[test]
fn known_broken_versions_are_refused_and_their_list_is_dated() {
    let read = |file: &str| std::fs::read_to_string(root().join(file)).unwrap();
    let deny: toml::Table = read("deny.toml").parse().unwrap();
    let lock: toml::Table = read("Cargo.lock").parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    let mut looked_at = Vec::new();
    for entry in deny["bans"]["deny"].as_array().unwrap() {
        let Some((name, broken)) = entry["crate"].as_str().unwrap().split_once(':') else {
            continue;
        };
        let broken: semver::VersionReq = broken.parse().unwrap();
        let mut found = packages
            .iter()
            .filter(|package| package["name"].as_str() == Some(name))
            .peekable();
        assert!(found.peek().is_some(), "{name} is not in use any more");
        for package in found {
            let version: semver::Version = package["version"].as_str().unwrap().parse().unwrap();
            assert!(
                !broken.matches(&version),
                "{name} {version} is known to be broken"
            );
        }
        looked_at.push(name);
    }
    for name in ["wasmtime", "rustls", "rustls-webpki", "libsqlite3-sys"] {
        assert!(looked_at.contains(&name), "{name} is not in the list");
    }
    let page = read("docs/advisories.md");
    let date = page
        .split("**looked at last on ")
        .nth(1)
        .and_then(|rest| rest.get(..10))
        .unwrap();
    let date: jiff::civil::Date = date.parse().unwrap();
    assert!(read("deny.toml").contains(&format!("looked at last on {date}")));
    let ci = read(".ci/run");
    assert!(
        ci.contains("check licenses bans sources"),
        "CI looks at deny.toml"
    );
}
