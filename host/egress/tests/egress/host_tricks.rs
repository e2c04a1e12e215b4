//! Spellings of hosts that parsers, resolvers and filters have read
//! differently: here one parser reads them once, and what it read is judged.

use keyway_egress::AddressClass::{CloudMetadata, Loopback, Private, Public, Unspecified};
use keyway_egress::{AddressClass, EgressError, classify};
use keyway_model::net::{HostName, Method, NetError, RequestUrl};

use crate::support::{Bench, Upstream, reply};

/// Hosts that are an address, whatever they look like.
const ADDRESSES: [(&str, &str, AddressClass); 42] = [
    // Decimal, hexadecimal and octal, in one to four parts.
    ("2130706433", "127.0.0.1", Loopback),
    ("2130706433.", "127.0.0.1", Loopback),
    ("0x7f000001", "127.0.0.1", Loopback),
    ("0X7F000001", "127.0.0.1", Loopback),
    ("0x7F.1", "127.0.0.1", Loopback),
    ("017700000001", "127.0.0.1", Loopback),
    ("0177.0.0.1", "127.0.0.1", Loopback),
    ("0177.0.0.0x1", "127.0.0.1", Loopback),
    ("127.0x0.00.1", "127.0.0.1", Loopback),
    ("127.1", "127.0.0.1", Loopback),
    ("127.0.1", "127.0.0.1", Loopback),
    ("127.65535", "127.0.255.255", Loopback),
    ("127.0.0.1.", "127.0.0.1", Loopback),
    ("000000177.0.0.01", "127.0.0.1", Loopback),
    ("0", "0.0.0.0", Unspecified),
    ("0x", "0.0.0.0", Unspecified),
    ("00000", "0.0.0.0", Unspecified),
    ("0.0.0.0", "0.0.0.0", Unspecified),
    ("2852039166", "169.254.169.254", CloudMetadata),
    ("0xa9fea9fe", "169.254.169.254", CloudMetadata),
    ("169.254.43518", "169.254.169.254", CloudMetadata),
    ("0251.0376.0251.0376", "169.254.169.254", CloudMetadata),
    ("10.1", "10.0.0.1", Private),
    ("3232235777", "192.168.1.1", Private),
    // Full-width, circled and other digits and dots that become ASCII.
    ("１２７.0.0.1", "127.0.0.1", Loopback),
    ("①②⑦.⓪.⓪.①", "127.0.0.1", Loopback),
    ("127。0。0。1", "127.0.0.1", Loopback),
    ("127．0．0．1", "127.0.0.1", Loopback),
    ("127｡0｡0｡1", "127.0.0.1", Loopback),
    ("𝟭𝟮𝟳.𝟬.𝟬.𝟭", "127.0.0.1", Loopback),
    ("0ｘ7f.1", "127.0.0.1", Loopback),
    // Percent-encoded in a URL.
    ("%31%32%37.0.0.1", "127.0.0.1", Loopback),
    ("127%2e0%2E0%2e1", "127.0.0.1", Loopback),
    // Soft hyphens vanish.
    ("127\u{ad}.0.0.1", "127.0.0.1", Loopback),
    // IPv6 in every form.
    ("[::1]", "::1", Loopback),
    ("[0:0:0:0:0:0:0:1]", "::1", Loopback),
    ("[0000:0000:0000:0000:0000:0000:0000:0001]", "::1", Loopback),
    ("[::]", "::", Unspecified),
    ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1", Loopback),
    ("[::FFFF:7F00:1]", "::ffff:127.0.0.1", Loopback),
    ("[64:ff9b::7f00:1]", "64:ff9b::7f00:1", Loopback),
    ("8.8.8.8", "8.8.8.8", Public),
];

/// Hosts that are a name, in the one form that is decided on and sent.
const NAMES: [(&str, &str); 18] = [
    ("LOCALHOST", "localhost"),
    ("localhost.", "localhost"),
    ("ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "localhost"),
    ("ｌｏｃａｌｈｏｓｔ", "localhost"),
    ("loc\u{200b}alhost", "localhost"),
    ("loc\u{ad}alhost", "localhost"),
    ("l%6fcalhost", "localhost"),
    ("UPSTREAM.test", "upstream.test"),
    ("upstream。test", "upstream.test"),
    ("ｕｐｓｔｒｅａｍ.test", "upstream.test"),
    ("upstream.test.", "upstream.test"),
    // Names that look like another one stay what they are.
    ("аpple.test", "xn--pple-43d.test"),
    ("xn--pple-43d.test", "xn--pple-43d.test"),
    ("XN--PPLE-43D.test", "xn--pple-43d.test"),
    ("bücher.test", "xn--bcher-kva.test"),
    ("BÜCHER.test", "xn--bcher-kva.test"),
    ("straße.test", "xn--strae-oqa.test"),
    ("faß.de", "xn--fa-hia.de"),
];

/// Texts that are no request URL.
const REFUSED: [&str; 66] = [
    // Numbers that are no address, and names that end like one.
    "http://127.0.0.256/",
    "http://x.256/",
    "http://4294967296/",
    "http://0x100000000/",
    "http://1.2.3.4.5/",
    "http://127.0.0.1.0x/",
    "http://name.1/",
    "http://0x7f.0.0.08/",
    "http://127..0.1/",
    "http://127.0.0.1../",
    // IPv6 with a zone, without brackets, with rests.
    "http://[fe80::1%eth0]/",
    "http://[fe80::1%25eth0]/",
    "http://[::1%2531]/",
    "http://::1/",
    "http://[::1/",
    "http://[::1]x/",
    "http://x[::1]/",
    "http://[127.0.0.1]/",
    "http://[::127.0.0.1.2]/",
    "http://[v1.fe80::]/",
    // User information, in all its disguises.
    "http://user@upstream.test/",
    "http://user:pass@upstream.test/",
    "http://:@upstream.test:80@evil.test/",
    "http://upstream.test:80@evil.test/",
    "http://upstream.test%40evil.test/",
    "http://upstream.test%00.evil.test/",
    "http://:pass@upstream.test/",
    // Separators in the host.
    "http://upstream.test\\@evil.test/",
    "http://evil.test\\.upstream.test/",
    "http:\\\\upstream.test/",
    "http://upstream.test%2f.evil.test/",
    "http://upstream.test%5c.evil.test/",
    "http://upstream.test%23.evil.test/",
    "http://upstream.test%3f.evil.test/",
    "http://up stream.test/",
    "http://upstream.test%20/",
    "http://up|stream.test/",
    "http://up^stream.test/",
    "http://<upstream.test>/",
    // Control characters, which the WHATWG parser would drop.
    "http://upstream.test\r\n/",
    "http://up\tstream.test/",
    "ht\ntp://upstream.test/",
    " http://upstream.test/",
    "http://upstream.test/ ",
    "http://upstream.test/\0",
    "http://upstream.test/\u{7f}",
    "http://upstream.test/a\u{85}b",
    "http://upstream.test/?a=b\r\nx-injected: 1",
    // Names that are none.
    "http:///",
    "http://./",
    "http://../",
    "http://.upstream.test/",
    "http://upstream..test/",
    "http://xn--a.test/",
    "http://xn--.test/",
    // Ports.
    "http://upstream.test:0/",
    "http://upstream.test:99999/",
    "http://upstream.test:65536/",
    "http://upstream.test:-1/",
    "http://upstream.test:8x/",
    "http://upstream.test:８０/",
    // Targets that are not whole.
    "upstream.test:443",
    "/path",
    "//upstream.test/",
    "*",
    "",
];

const SCHEMES: [&str; 20] = [
    "file:///etc/passwd",
    "file://upstream.test/etc/passwd",
    "ftp://upstream.test/",
    "gopher://upstream.test/_x",
    "dict://upstream.test:11211/stat",
    "jar:http://upstream.test!/",
    "ldap://upstream.test/",
    "ldaps://upstream.test/",
    "tftp://upstream.test/x",
    "unix:/var/run/docker.sock",
    "unix://var/run/docker.sock",
    "ws://upstream.test/",
    "wss://upstream.test/",
    "data:text/plain,x",
    "blob:http://upstream.test/x",
    "javascript:alert(1)",
    "about:blank",
    "netdoc:///etc/passwd",
    "view-source:http://upstream.test/",
    "httpx://upstream.test/",
];

fn host_of(host: &str) -> Result<HostName, NetError> {
    let url: RequestUrl = format!("http://{host}:8080/x").parse()?;
    assert_eq!(url.origin.port, 8080, "{host}");
    Ok(url.origin.host)
}

#[test]
fn a_host_that_is_an_address_is_judged_as_that_address() {
    for (host, means, class) in ADDRESSES {
        let parsed = host_of(host).unwrap_or_else(|error| panic!("{host}: {error}"));
        assert_eq!(parsed.ip(), Some(means.parse().unwrap()), "{host}");
        assert_eq!(classify(parsed.ip().unwrap()), class, "{host}");
    }
}

#[test]
fn a_host_that_is_a_name_has_one_form() {
    for (host, form) in NAMES {
        let parsed = host_of(host).unwrap_or_else(|error| panic!("{host}: {error}"));
        assert_eq!((parsed.as_str(), parsed.ip()), (form, None), "{host}");
        assert_eq!(
            form.parse::<HostName>().unwrap(),
            parsed,
            "as in a manifest"
        );
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_no_url() {
    let read: Vec<_> = REFUSED
        .iter()
        .filter_map(|text| text.parse::<RequestUrl>().ok().map(|url| (text, url)))
        .collect();
    assert!(read.is_empty(), "{read:#?}");
    for url in SCHEMES {
        let error = url.parse::<RequestUrl>().unwrap_err();
        let refused = matches!(error, NetError::Scheme(_) | NetError::NotAUrl(_));
        assert!(refused, "{url}: {error:?}");
    }
}

#[test]
fn methods_that_open_a_tunnel_or_echo_headers_do_not_exist() {
    for method in [
        "CONNECT",
        "TRACE",
        "TRACK",
        "DEBUG",
        "PRI",
        "PROPFIND",
        "get",
        "Get",
        "GET ",
        " GET",
        "GET / HTTP/1.1\r\nx: ",
        "",
        "G\0ET",
        "ＧＥＴ",
    ] {
        assert!(method.parse::<Method>().is_err(), "{method:?}");
    }
}

#[tokio::test]
async fn no_spelling_of_an_address_that_is_not_public_reaches_it() {
    let upstream = Upstream::answering(reply("", b"")).await;
    let bench = Bench::builder().build();
    for (host, _, class) in ADDRESSES.iter().filter(|(_, _, class)| *class != Public) {
        let url = format!("http://{host}:{}/", upstream.port);
        let EgressError::AddressDenied { class: found, .. } = bench.get(&url).await.unwrap_err()
        else {
            panic!("{host}")
        };
        assert_eq!(found, *class, "{host}");
    }
    assert_eq!(upstream.seen.connections(), 0);
}

#[tokio::test]
async fn a_name_is_sent_in_the_form_that_was_decided_on() {
    let upstream = Upstream::answering(reply("", b"")).await;
    let bench = Bench::builder()
        .allow("upstream.test", upstream.port)
        .build();
    let spellings: Vec<&str> = NAMES
        .iter()
        .filter_map(|(host, form)| (*form == "upstream.test").then_some(*host))
        .collect();
    for host in &spellings {
        let url = format!("http://{host}:{}/", upstream.port);
        bench.get(&url).await.unwrap();
    }
    let requests = upstream.seen.requests();
    assert_eq!(requests.len(), spellings.len());
    let line = format!("\r\nhost: upstream.test:{}\r\n", upstream.port);
    for request in requests {
        assert_eq!(request.matches(&line).count(), 1, "{request}");
    }
}
