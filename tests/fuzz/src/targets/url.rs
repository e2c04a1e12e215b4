//! URLs and hosts as guests and manifests write them.
//!
//! What is accepted has one reading: written out of its parts it is read as the
//! same parts, here and by the parser that writes the request; it holds nothing
//! that another parser could take for something else; a host that any reader
//! could take for an address is one, and is never classified as public where the
//! standard library knows better.

use std::net::{IpAddr, Ipv4Addr};

use keyway_egress::{AddressClass, classify};
use keyway_model::net::{HostName, RequestUrl};

use super::Target;

pub(super) const TARGET: Target = Target {
    name: "url",
    run,
    tokens: &[
        "https://",
        "http://",
        "HTTP://",
        "ftp://",
        "//",
        "@",
        ":",
        ":0",
        ":443",
        ":65536",
        "#",
        "?",
        "/../",
        "/./",
        "/%2e%2e/",
        "%2f",
        "%5c",
        "%00",
        "\\",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[fe80::1%25eth0]",
        "0x7f.1",
        "0177.0.0.1",
        "2130706433",
        "127.1",
        "0",
        "localhost.",
        "１２７",
        "。",
        "．",
        "①",
        "xn--",
        "xn--a",
        "ß",
        "\u{200d}",
        "\u{ad}",
        "example.com",
        "..",
        "-",
        "_",
        "*",
        "%",
        " ",
        "\t",
        "\r\n",
        ";",
        "&",
        "=",
        "%252e",
        "%u2215",
    ],
    input_bytes_max: 1 << 10,
    memory_bytes_max: 16 << 20,
    test_inputs: 20_000,
};

fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(url) = text.parse::<RequestUrl>() {
        request(&url);
    }
    if let Ok(name) = text.parse::<HostName>() {
        host(&name);
    }
}

fn request(url: &RequestUrl) {
    host(&url.origin.host);
    assert!(url.origin.port > 0, "a port is never 0");
    let line = url.path_and_query();
    assert!(
        url.path.starts_with('/'),
        "{line}: a path begins with a slash"
    );
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'\\');
    assert!(
        line.bytes().all(is_plain),
        "{line:?}: only what a request line may hold"
    );
    let is_dots = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    };
    assert!(
        !url.path.split('/').any(is_dots),
        "{line}: a dot segment is left"
    );

    let written = format!("{}{line}", url.origin);
    let again: RequestUrl = written.parse().expect("what was accepted is accepted");
    assert_eq!(*url, again, "{written} is read in one way only");
    let sent: http::Uri = written.parse().expect("it can be sent");
    assert_eq!(sent.path(), url.path, "{written}");
    assert_eq!(sent.query(), url.query.as_deref(), "{written}");
    assert_eq!(sent.port_u16(), Some(url.origin.port), "{written}");
    let sent_host = sent.host().unwrap_or_default();
    let bare = sent_host.trim_start_matches('[').trim_end_matches(']');
    assert_eq!(bare, url.origin.host.as_str(), "{written}");
}

fn host(host: &HostName) {
    let text = host.as_str();
    assert_eq!(
        text.parse::<HostName>().as_ref(),
        Ok(host),
        "{text} is its own normal form"
    );
    assert!(
        !text.is_empty() && text.is_ascii() && !text.ends_with('.'),
        "{text:?}"
    );
    assert!(
        !text.bytes().any(|byte| byte.is_ascii_uppercase()),
        "{text}"
    );
    let is_allowed = |byte: u8| {
        byte.is_ascii_graphic()
            && !matches!(
                byte,
                b'/' | b'@' | b'?' | b'#' | b'\\' | b'[' | b']' | b'%' | b'<' | b'>' | b'^' | b'|'
            )
    };
    assert!(text.bytes().all(is_allowed), "{text:?}");
    if let Some(ip) = host.ip() {
        // Nothing that is written as an address escapes its classification.
        assert!(
            !is_special(ip) || classify(ip) != AddressClass::Public,
            "{text} is no place that anyone reaches from anywhere"
        );
    } else {
        let is_named = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        assert!(
            text.bytes().all(is_named),
            "{text} is neither a name nor an address"
        );
        assert_eq!(
            loosely(text),
            None,
            "{text}: some readers take it for an address"
        );
    }
}

/// Whether the standard library knows that an address is not public. It knows
/// fewer of those than we do, and says nothing of the others.
fn is_special(ip: IpAddr) -> bool {
    // IPv4 that is written as IPv6 is what it reaches.
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_unspecified()
                || v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_documentation()
        }
        IpAddr::V6(v6) => {
            v6.is_unspecified()
                || v6.is_loopback()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.is_multicast()
        }
    }
}

/// An address, as the most generous readers take it: decimal, octal or
/// hexadecimal numbers, one to four of them.
fn loosely(text: &str) -> Option<IpAddr> {
    let number = |part: &str| match part {
        "" => None,
        _ if part.starts_with("0x") => u32::from_str_radix(&part[2..], 16)
            .ok()
            .or((part == "0x").then_some(0)),
        _ if part.starts_with('0') => u32::from_str_radix(part, 8).ok(),
        _ => part.parse().ok(),
    };
    let parts: Vec<u32> = text.split('.').map(number).collect::<Option<_>>()?;
    (parts.len() <= 4).then_some(IpAddr::V4(Ipv4Addr::from(parts[0])))
}
