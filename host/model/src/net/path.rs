//! Path templates: which paths a destination covers.
//!
//! A template is literal segments, `{name}` for exactly one non-empty
//! segment, and a final `/**` for any rest. Matching works on the
//! percent-encoded path of a [`super::RequestUrl`], segment by segment.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which paths are covered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PathTemplate {
    segments: Vec<Segment>,
    rest: Rest,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Segment {
    Literal(String),
    Any(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Rest {
    Nothing,
    Anything,
}

/// Why a text is not a path template.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("`{template}` is not a path template: {reason}")]
pub struct PathTemplateError {
    template: String,
    reason: &'static str,
}

impl PathTemplate {
    /// Whether `path`, percent-encoded and beginning with `/`, is covered.
    pub fn covers(&self, path: &str) -> bool {
        let Some(path) = path.strip_prefix('/') else {
            return false;
        };
        let mut given = path.split('/');
        for segment in &self.segments {
            let fits = match (segment, given.next()) {
                (Segment::Literal(literal), Some(text)) => literal == text,
                (Segment::Any(_), Some(text)) => !text.is_empty(),
                (_, None) => false,
            };
            if !fits {
                return false;
            }
        }
        match self.rest {
            Rest::Anything => true,
            Rest::Nothing => given.next().is_none(),
        }
    }
}

impl FromStr for PathTemplate {
    type Err = PathTemplateError;

    fn from_str(text: &str) -> Result<Self, PathTemplateError> {
        let refuse = |reason| PathTemplateError {
            template: text.chars().take(200).collect(),
            reason,
        };
        let path = text
            .strip_prefix('/')
            .ok_or_else(|| refuse("it must begin with `/`"))?;
        let (path, rest) = match path.strip_suffix("**") {
            Some("") => (None, Rest::Anything),
            Some(path) => {
                let path = path
                    .strip_suffix('/')
                    .ok_or_else(|| refuse("`**` must be a segment of its own"))?;
                (Some(path), Rest::Anything)
            }
            None => (Some(path), Rest::Nothing),
        };
        let segments = path
            .into_iter()
            .flat_map(|path| path.split('/'))
            .map(|segment| parse_segment(segment).map_err(refuse))
            .collect::<Result<Vec<_>, _>>()?;
        if is_ambiguous(text) {
            return Err(refuse("it holds a dot segment or an encoded `/` or `\\`"));
        }
        Ok(Self { segments, rest })
    }
}

fn parse_segment(text: &str) -> Result<Segment, &'static str> {
    if let Some(name) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
        let named =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        return if named {
            Ok(Segment::Any(name.to_owned()))
        } else {
            Err("a `{name}` is made of letters, digits and `_`")
        };
    }
    if text.contains(['{', '}', '*', '?', '#', '\\'])
        || text.chars().any(|c| c.is_control() || c == ' ')
    {
        return Err("a segment is either literal or one `{name}`; `**` may only stand at the end");
    }
    Ok(Segment::Literal(text.to_owned()))
}

/// Whether servers may read `path` as another path than it seems.
pub(super) fn is_ambiguous(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    // Encoded once, and once more for whoever decodes twice.
    let hides_a_separator = ["2f", "5c", "00"]
        .iter()
        .any(|code| lower.contains(&format!("%{code}")) || lower.contains(&format!("%25{code}")))
        || lower.contains("%252e")
        || lower.contains("%u");
    // Some servers cut a segment's parameters off, and then look at its dots.
    let is_dot_segment = |segment: &str| {
        let plain = segment.replace("%2e", ".").replace("%3b", ";");
        matches!(plain.split(';').next(), Some("." | ".."))
    };
    hides_a_separator || lower.split('/').any(is_dot_segment)
}

impl TryFrom<String> for PathTemplate {
    type Error = PathTemplateError;
    fn try_from(text: String) -> Result<Self, PathTemplateError> {
        text.parse()
    }
}

impl From<PathTemplate> for String {
    fn from(template: PathTemplate) -> Self {
        template.to_string()
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Any(name) => write!(f, "/{{{name}}}")?,
            }
        }
        match self.rest {
            Rest::Anything => f.write_str("/**"),
            Rest::Nothing => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_covers_what_it_says_and_nothing_else() {
        let cases = [
            (
                "/orders",
                &["/orders"][..],
                &["/orders/", "/orders/1", "/order", "/Orders", "orders"][..],
            ),
            (
                "/orders/{id}",
                &["/orders/1"],
                &["/orders", "/orders/", "/orders/1/items", "/orders//"],
            ),
            ("/**", &["/", "/a", "/a/b"], &[""]),
            ("/v1/**", &["/v1/", "/v1/a/b"], &["/v2/a", "/v"]),
            ("/", &["/"], &["/a"]),
        ];
        for (template, covered, uncovered) in cases {
            let parsed: PathTemplate = template.parse().expect("the case is a template");
            assert_eq!(parsed.to_string(), template);
            for path in covered {
                assert!(parsed.covers(path), "{template} {path}");
            }
            for path in uncovered {
                assert!(!parsed.covers(path), "{template} {path}");
            }
        }
    }

    #[test]
    fn a_template_that_could_be_misread_is_refused() {
        for template in [
            "orders",
            "/a*",
            "/**/x",
            "/{}",
            "/{a-b}",
            "/a{b}",
            "/../x",
            "/%2e%2e/x",
            "/a%2Fb",
            "/a b",
        ] {
            assert!(template.parse::<PathTemplate>().is_err(), "{template}");
        }
    }
}
