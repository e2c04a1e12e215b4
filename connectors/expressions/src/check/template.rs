//! Templates: JSON whose strings may hold `${ expression }`.

use serde_json::{Value as Json, json};

use super::place::position;
use super::{DEPTH_MAX, Names, Problem, compile};

/// The tree of a template. Parts without an expression stay literals.
pub(crate) fn compile(value: &Json, names: &Names<'_>, problems: &mut Vec<Problem>) -> Json {
    let mut compiler = Compiler { names, problems };
    let part = compiler.part(value, "", 1);
    part.into_tree()
}

/// A literal stays JSON for as long as possible, so that a large constant is
/// one node and not thousands.
enum Part {
    Literal(Json),
    Tree(Json),
}

impl Part {
    fn into_tree(self) -> Json {
        match self {
            Self::Tree(tree) => tree,
            Self::Literal(value @ (Json::Array(_) | Json::Object(_))) => json!(["lit", value]),
            Self::Literal(scalar) => scalar,
        }
    }
}

struct Compiler<'a, 'p> {
    names: &'a Names<'a>,
    problems: &'p mut Vec<Problem>,
}

impl Compiler<'_, '_> {
    fn part(&mut self, value: &Json, pointer: &str, depth: usize) -> Part {
        if depth > DEPTH_MAX {
            self.problems.push(Problem::of_place(
                pointer,
                &format!("the template is nested more than {DEPTH_MAX} levels deep"),
                "build the inner part in a step of its own",
            ));
            return Part::Literal(Json::Null);
        }
        match value {
            Json::Null | Json::Bool(_) | Json::Number(_) => Part::Literal(value.clone()),
            Json::String(text) => self.text(text, pointer, depth),
            Json::Array(items) => {
                let parts: Vec<Part> = items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| self.part(item, &format!("{pointer}/{index}"), depth + 1))
                    .collect();
                list(parts)
            }
            Json::Object(members) => {
                let mut parts = Vec::with_capacity(members.len());
                for (key, value) in members {
                    let escaped = key.replace('~', "~0").replace('/', "~1");
                    let pointer = format!("{pointer}/{escaped}");
                    if key.contains("${") {
                        self.problems.push(Problem::of_place(
                            &pointer,
                            "the name of a member cannot be computed",
                            "write the whole object as one expression: `${ {key: value} }`",
                        ));
                    }
                    parts.push((key.clone(), self.part(value, &pointer, depth + 1)));
                }
                map(parts)
            }
        }
    }

    fn text(&mut self, text: &str, pointer: &str, depth: usize) -> Part {
        let pieces = match pieces(text) {
            Ok(pieces) => pieces,
            Err(problem) => {
                self.problems.push(Problem {
                    pointer: pointer.to_owned(),
                    ..problem
                });
                return Part::Literal(Json::Null);
            }
        };
        let mut parts = Vec::with_capacity(pieces.len());
        for piece in &pieces {
            parts.push(match piece {
                Piece::Literal(literal) => json!(literal),
                Piece::Expression { source, offset } => compile::expression(
                    text,
                    source,
                    *offset,
                    pointer,
                    depth,
                    self.names,
                    self.problems,
                ),
            });
        }
        match pieces.as_slice() {
            [] => Part::Literal(json!("")),
            [Piece::Literal(literal)] => Part::Literal(json!(literal)),
            [Piece::Expression { .. }] => Part::Tree(parts.pop().unwrap_or_default()),
            _ => {
                parts.insert(0, json!("text"));
                Part::Tree(Json::Array(parts))
            }
        }
    }
}

fn list(parts: Vec<Part>) -> Part {
    if parts.iter().all(|part| matches!(part, Part::Literal(_))) {
        let literal = |part| match part {
            Part::Literal(value) | Part::Tree(value) => value,
        };
        return Part::Literal(parts.into_iter().map(literal).collect());
    }
    let mut tree = vec![json!("list")];
    tree.extend(parts.into_iter().map(Part::into_tree));
    Part::Tree(Json::Array(tree))
}

fn map(parts: Vec<(String, Part)>) -> Part {
    if parts
        .iter()
        .all(|(_, part)| matches!(part, Part::Literal(_)))
    {
        let literal = |(key, part)| match part {
            Part::Literal(value) | Part::Tree(value) => (key, value),
        };
        return Part::Literal(Json::Object(parts.into_iter().map(literal).collect()));
    }
    let mut tree = vec![json!("map")];
    for (key, part) in parts {
        tree.push(Json::String(key));
        tree.push(part.into_tree());
    }
    Part::Tree(Json::Array(tree))
}

#[derive(Debug, PartialEq)]
enum Piece<'a> {
    Literal(String),
    Expression { source: &'a str, offset: usize },
}

/// Cuts a string at its `${ … }`; `$${` stands for a literal `${`.
fn pieces(text: &str) -> Result<Vec<Piece<'_>>, Problem> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            literal.push_str(before);
            literal.push_str("${");
            rest = after;
            continue;
        }
        literal.push_str(before);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
        }
        let offset = text.len() - after.len();
        let Some((source, later)) =
            closing_brace(after).and_then(|end| Some((after.get(..end)?, after.get(end + 1..)?)))
        else {
            let (line, column) = position(text, offset);
            return Err(Problem {
                line,
                column,
                source: after.to_owned(),
                ..Problem::of_place(
                    "",
                    "`${` is never closed by `}`",
                    "close the expression, or write `$${` for a literal `${`",
                )
            });
        };
        pieces.push(Piece::Expression { source, offset });
        rest = later;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

/// Where the expression at the start of `text` ends. Braces inside strings and
/// inside map literals do not end it.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut before = ' ';
    let mut position = 0;
    while let Some(rest) = text.get(position..) {
        let next = rest.chars().next()?;
        match next {
            '\'' | '"' => {
                position += quoted(rest, next, matches!(before, 'r' | 'R'))?;
                before = next;
                continue;
            }
            '{' => depth += 1,
            '}' if depth == 0 => return Some(position),
            '}' => depth -= 1,
            _ => {}
        }
        before = next;
        position += next.len_utf8();
    }
    None
}

/// The length of the quoted string at the start of `text`, quotes included.
pub(crate) fn quoted(text: &str, quote: char, raw: bool) -> Option<usize> {
    let triple: String = [quote; 3].iter().collect();
    let end = if text.starts_with(&triple) {
        triple
    } else {
        quote.to_string()
    };
    let mut position = end.len();
    loop {
        let rest = text.get(position..)?;
        if rest.starts_with(&end) {
            return Some(position + end.len());
        }
        let next = rest.chars().next()?;
        position += next.len_utf8();
        if next == '\\' && !raw {
            position += text.get(position..)?.chars().next()?.len_utf8();
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn sources(text: &str) -> Vec<&str> {
        let pieces = pieces(text).unwrap();
        pieces
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Expression { source, .. } => Some(source),
                Piece::Literal(_) => None,
            })
            .collect()
    }

    #[test]
    fn braces_inside_strings_and_maps_do_not_end_an_expression() {
        assert_eq!(
            sources("a ${ {'x': '}'}.x } b ${y}"),
            [" {'x': '}'}.x ", "y"]
        );
        assert_eq!(sources(r#"${ "\"}" }"#), [r#" "\"}" "#]);
        assert_eq!(sources(r"${ r'\' + '}' }"), [r" r'\' + '}' "]);
        assert_eq!(sources("${ '''}'}''' }"), [" '''}'}''' "]);
    }

    #[test]
    fn a_doubled_dollar_is_a_literal() {
        assert_eq!(
            pieces("$${x}").unwrap(),
            [Piece::Literal("${x}".to_owned())]
        );
        assert_eq!(sources("$${x} ${y}"), ["y"]);
        assert_eq!(pieces("5 $").unwrap(), [Piece::Literal("5 $".to_owned())]);
    }

    #[test]
    fn an_expression_that_is_never_closed_is_refused_with_its_place() {
        let problem = pieces("line\n ${ x").unwrap_err();
        assert_eq!((problem.line, problem.column), (2, 4));
    }
}
