//! Errors about names say what was probably meant.

use crate::functions::{Row, Style, TABLE};

/// The known name that is closest to `name`, if one is close.
pub(crate) fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const DISTANCE_MAX: usize = 2;
    known
        .into_iter()
        .map(|candidate| {
            (
                distance(&name.to_lowercase(), &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= DISTANCE_MAX && distance < &candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}

/// The names, for an error text.
pub(crate) fn listed<'a>(known: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = known.into_iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// What to use instead of a function that there is not.
pub(crate) fn unknown_function(name: &str) -> String {
    match name {
        "matches" => "regular expressions are not offered; use `contains`, `startsWith` or `split`",
        "timestamp" | "duration" | "now" => "there are no times; pass them as strings",
        "uint" => "use `int`",
        "type" | "dyn" => "there are no type values; `has`, `int` and `string` cover most uses",
        _ => {
            let names = || TABLE.iter().map(|row| row.name);
            return match closest(name, names()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known: {}", listed(names())),
            };
        }
    }
    .to_owned()
}

/// How a function is called.
pub(crate) fn usage(row: &Row) -> String {
    let arguments = |count: usize| vec!["…"; count].join(", ");
    let least = *row.arguments.start();
    let global = format!("`{}({})`", row.name, arguments(least));
    let method = format!("`x.{}({})`", row.name, arguments(least.saturating_sub(1)));
    match row.style {
        Style::Global => format!("write {global}"),
        Style::Method => format!("write {method}"),
        Style::Both => format!("write {global} or {method}"),
    }
}

/// The edit distance of Levenshtein.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (to, above) in b.iter().zip(row.iter().skip(1)) {
            let replaced = diagonal + usize::from(from != *to);
            left = replaced.min(left + 1).min(above + 1);
            next.push(left);
            diagonal = *above;
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_name_that_was_meant() {
        assert_eq!(closest("tirgger", ["job", "trigger"]), Some("trigger"));
        assert_eq!(closest("startswith", ["startsWith"]), Some("startsWith"));
        assert_eq!(closest("elephant", ["job", "trigger"]), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
