//! The routes of the API, as `docs/api.md` lists them.

use crate::harness::root;

/// Every route: method, path, operation.
pub(crate) fn documented() -> Vec<(String, String, String)> {
    let page = std::fs::read_to_string(root().join("docs/api.md")).unwrap();
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        match cells.as_slice() {
            ["", method, path, operation, ""] if path.starts_with("/api/v1") => Some((
                (*method).to_owned(),
                (*path).to_owned(),
                (*operation).to_owned(),
            )),
            _ => None,
        }
    });
    rows.collect()
}

/// Whether a path is one that `template` stands for.
pub(crate) fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template
            .iter()
            .zip(&path)
            .all(|(pattern, part)| pattern.starts_with('{') || pattern == part)
}

/// What is recorded for a documented route: the operation of the row that fits
/// best, names before placeholders.
pub(crate) fn operation_of(method: &str, path: &str) -> String {
    let rows = documented();
    let fitting = rows
        .iter()
        .filter(|row| row.0 == method && fits(&row.1, path));
    let best = fitting.min_by_key(|row| row.1.matches('{').count());
    best.unwrap_or_else(|| panic!("{method} {path} is not in docs/api.md"))
        .2
        .clone()
}
