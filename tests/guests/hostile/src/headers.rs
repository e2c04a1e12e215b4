//! Builds headers that nobody should have to read.

use wasip2::http::types::Fields;

/// Adds values until the host says no.
pub(crate) fn flood() -> String {
    let fields = Fields::new();
    let value = [b'v'; 512];
    for added in 0..40_000 {
        if let Err(error) = fields.append(&format!("name-{added}"), &value) {
            return format!("{{\"added\":{added},\"error\":\"{error:?}\"}}");
        }
    }
    r#"{"outcome":"survived"}"#.to_owned()
}

/// More entries at once than an index of them can hold.
pub(crate) fn list() -> String {
    let entries: Vec<_> = (0..33_000)
        .map(|entry| (format!("n{entry}"), Vec::new()))
        .collect();
    match Fields::from_list(&entries) {
        Ok(_) => r#"{"outcome":"survived"}"#.to_owned(),
        Err(error) => format!("{{\"error\":\"{error:?}\"}}"),
    }
}

/// Names and values that would break a request apart; those that were taken.
pub(crate) fn names() -> String {
    let names = [
        "",
        " ",
        "a b",
        "a:b",
        "a\r\nb",
        "\u{e9}",
        "a\0",
        "a,b",
        "(a)",
        "Host",
        "Transfer-Encoding",
        "connection",
        "proxy-authorization",
        "Keep-Alive",
        "upgrade",
        ":method",
    ];
    let values: [&[u8]; 4] = [b"a\r\nb: c", b"a\0", b"\n", b"a\rb"];
    let mut taken = Vec::new();
    for name in names {
        if Fields::new().append(name, b"value").is_ok() {
            taken.push(name.to_owned());
        }
    }
    for value in values {
        if Fields::new().append("x-name", value).is_ok() {
            taken.push(format!("{value:?}"));
        }
    }
    format!("{{\"taken\":{taken:?}}}")
}

/// As much in each as is allowed, and as many as are allowed.
pub(crate) fn hoard() {
    let mut hoard = Vec::new();
    let value = [b'v'; 4_000];
    loop {
        let fields = Fields::new();
        while fields.append("name", &value).is_ok() {}
        hoard.push(fields);
    }
}
