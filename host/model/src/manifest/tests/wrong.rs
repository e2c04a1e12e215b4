//! Each wrong manifest, with the place and the remedy that it is answered with.

use super::ORDERS;
use crate::manifest::Manifest;

/// The error of the good manifest with `from` replaced by `to`.
fn error(from: &str, to: &str) -> String {
    assert!(ORDERS.contains(from), "{from}");
    match Manifest::parse(&ORDERS.replacen(from, to, 1)) {
        Ok(_) => "no error".to_owned(),
        Err(e) => e.to_string(),
    }
}

#[test]
fn every_wrong_manifest_is_answered_with_its_line_and_a_remedy() {
    let cases = [
        (
            "effect = \"keyed\"",
            "efect = \"keyed\"",
            "41:1: unknown field `efect` in `actions.create`; did you mean `effect`?",
        ),
        (
            "[auth]",
            "[oauth]",
            "34:2: unknown field `oauth` in the manifest; did you mean `auth`?",
        ),
        (
            "kind = \"port\"",
            "kin = \"port\"",
            "14:1: unknown field `kin` in `parameters.port`; did you mean `kind`?",
        ),
        ("version = \"0.1.0\"", "version = \"one\"", "4:11: "),
        (
            "version = \"0.1.0\"",
            "version = 1",
            "4:11: `connector.version` is a TOML integer; write a text in quotes",
        ),
        (
            "version = \"0.1.0\"\n",
            "",
            "2:2: `connector` has no `version`; add `version = \"0.1.0\"`",
        ),
        (
            "name = \"orders\"",
            "name = \"Orders\"",
            "3:8: `Orders` is not a name: write 1 to 63 characters",
        ),
        (
            "\"state\"]",
            "\"stat\"]",
            "7:32: `connector.capabilities[2]` does not know `stat`; did you mean `state`?",
        ),
        (
            "\"state\"]",
            "\"log\"]",
            "7:32: `connector.capabilities[2]` repeats an earlier entry; remove it",
        ),
        (
            "[\"http\", \"log\", ",
            "[\"log\", ",
            "43:1: `actions.create.uses` needs the capability `http`; add \"http\"",
        ),
        (
            "default = \"8443\"",
            "default = \"0\"",
            "16:11: `0` is not a port: write 1 to 65535; write a port in quotes",
        ),
        (
            "\"{shop}.example.com\"",
            "\"{shp}.example.com\"",
            "26:8: unknown parameter `shp`; did you mean `shop`?",
        ),
        (
            "\"{shop}.example.com\"",
            "\"{port}.example.com\"",
            "26:8: parameter `port` is of kind `port`; declare it with kind = \"host\" or \"text\"",
        ),
        (
            "\"{shop}.example.com\"",
            "\"{shop}.com\"",
            "26:8: in `{shop}.com` fewer than two literal labels",
        ),
        (
            "\"{shop}.example.com\"",
            "\"x{shop}.example.com\"",
            "26:8: in `x{shop}.example.com` the parameter is not a whole label",
        ),
        (
            "\"{shop}.example.com\"",
            "\"{shop}.{how}.example.com\"",
            "26:8: `{shop}.{how}.example.com` holds more than one parameter",
        ),
        (
            "\"{shop}.example.com\"",
            "\"api.{shop}\"",
            "26:8: in `api.{shop}` the parameter is not a whole label before literal ones",
        ),
        (
            "\"{shop}.example.com\"",
            "\"{shop}.0.0.1\"",
            "26:8: `{shop}.0.0.1` would be an address, not a name",
        ),
        (
            "\"files.example.com\"",
            "\"https://files.example.com\"",
            "32:8: `https://files.example.com` is not a host name or address; write a host",
        ),
        (
            "\"files.example.com\"",
            "\"FILES.example.com\"",
            "32:8: `FILES.example.com` is read as `files.example.com`",
        ),
        (
            "[\"https\", \"http\"]",
            "[\"https\"]",
            "25:10: a parameter chooses the scheme, but `schemes` leaves no choice",
        ),
        (
            "[\"https\", \"http\"]",
            "[\"ftp\"]",
            "24:12: scheme `ftp` is not supported",
        ),
        (
            "port = \"{port}\"",
            "port = 65536",
            "27:8: not a port; write a number from 1 to 65535",
        ),
        (
            "role = \"upload\"",
            "role = \"uploads\"",
            "30:8: `destinations.files.role` does not know `uploads`; did you mean `upload`?",
        ),
        (
            "destinations = [\"api\"]",
            "destinations = [\"apo\"]",
            "37:17: unknown destination `apo`; did you mean `api`?",
        ),
        (
            "header = \"X-Api-Key\"",
            "header = \"Host\"",
            "36:10: header `host` belongs to the host",
        ),
        (
            "header = \"X-Api-Key\"",
            "header = \"k\"\nquery = \"k\"",
            "37:1: an API key goes to `header` or to `query`, not to both",
        ),
        (
            "header = \"X-Api-Key\"\n",
            "",
            "34:2: `auth` has no `header`; add `header = \"x-api-key\"` or `query = \"key\"`",
        ),
        (
            "scheme = \"api-key\"",
            "scheme = \"bearer\"",
            "36:1: `auth.header` has no meaning here: only scheme \"api-key\" has one; remove it",
        ),
        (
            "effect = \"keyed\"",
            "effect = \"once\"",
            "42:1: an action of effect `once` sends no idempotency key; write effect = \"keyed\"",
        ),
        (
            "idempotency_header = \"Idempotency-Key\"\n",
            "",
            "39:10: `actions.create` has no `idempotency_header`",
        ),
        (
            "destination = \"api\", methods = [\"POST\"]",
            "destination = \"ap\", methods = [\"POST\"]",
            "43:25: unknown destination `ap`; did you mean `api`?",
        ),
        (
            "[\"POST\"]",
            "[\"post\"]",
            "43:43: method `post` is not supported",
        ),
        (
            "[\"POST\"]",
            "[]",
            "43:42: `actions.create.uses[0].methods` is empty; list at least one",
        ),
        (
            "paths = [\"/orders\"]",
            "paths = [\"orders\"]",
            "43:61: `orders` is not a path template: it must begin with `/`",
        ),
        (
            "minimum = 0",
            "minimun = 0",
            "50:29: unknown schema keyword `minimun`; did you mean `minimum`?",
        ),
        (
            "minimum = 0",
            "minimum = \"0\"",
            "50:39: not a number; write a number without quotes",
        ),
        (
            "type = \"object\"\nrequired",
            "required",
            "45:17: `actions.create.input` has no `type`; add `type = \"object\"`",
        ),
        (
            "{ type = \"number\", minimum = 0 }",
            "{ \"$ref\" = \"#/x\" }",
            "50:12: unknown schema keyword `$ref`; write the schema out where it is used",
        ),
        (
            "minimum = 0",
            "default = 2026-01-01",
            "50:39: has no form in JSON",
        ),
        (
            "minimum = 0",
            "not = { sensitive = true }",
            "50:37: `sensitive` inside a condition marks nothing",
        ),
        (
            "sensitive = true",
            "sensitive = \"yes\"",
            "51:40: `sensitive` is not true or false",
        ),
        (
            "kind = \"poll\"",
            "kind = \"webhook\"",
            "59:8: `triggers.new_orders.kind` does not know `webhook`; write `poll`",
        ),
        (
            "[actions.create]",
            "[actions.\"Create!\"]",
            "39:10: `Create!` is not a name",
        ),
        ("title = \"Orders\"", "title = \"Orders", "5:"),
        (
            "title = \"Orders\"",
            "title = \"Or\u{202e}sredro\"",
            "5:9: `connector.title` is empty, too long, or has a character that does not show",
        ),
        (
            "[check]",
            "[check]\nurl = 1",
            "63:1: unknown field `url` in `check`; write `uses`",
        ),
    ];
    let mut wrong = Vec::new();
    for (from, to, expected) in cases {
        let found = error(from, to);
        if !found.starts_with(&format!("connector.toml:{expected}")) {
            wrong.push(format!("{to}\n  expected {expected}\n  found    {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
