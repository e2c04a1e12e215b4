//! One expression: parsed by the `cel` crate, its names checked, and written as
//! a tree.

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo};
use serde_json::{Value as Json, json};

use super::names::{closest, listed, unknown_function, usage};
use super::nesting;
use super::place::Place;
use super::{DEPTH_MAX, Names, Problem, SOURCE_BYTES_MAX};
use crate::functions::{Function, Style, TABLE};
use crate::tree::EachKind;

/// The tree of `source`, which stands at `offset` in `text`. What is wrong is
/// added to `problems`, and the answer is then of no use.
pub(crate) fn expression(
    text: &str,
    source: &str,
    offset: usize,
    pointer: &str,
    depth: usize,
    names: &Names<'_>,
    problems: &mut Vec<Problem>,
) -> Json {
    let place = Place {
        text,
        source,
        offset,
        pointer,
    };
    if source.len() > SOURCE_BYTES_MAX {
        let message = format!("the expression has more than {SOURCE_BYTES_MAX} bytes");
        problems.push(place.problem(0, message, "split it over several transform steps"));
        return Json::Null;
    }
    if nesting::depth(source) + depth > DEPTH_MAX {
        let message = format!("the expression is nested more than {DEPTH_MAX} levels deep");
        problems.push(place.problem(0, message, "split it over several transform steps"));
        return Json::Null;
    }
    // An environment without macros: `map` and its kind stay calls, so that
    // the tree holds one node for them.
    match cel::Env::default()
        .with_optional_support(false)
        .parser()
        .parse_with_source_info(source)
    {
        Ok((parsed, positions)) => {
            let mut compiler = Compiler {
                place,
                positions,
                names,
                locals: Vec::new(),
                depth,
                problems,
            };
            compiler.tree(&parsed)
        }
        Err(errors) => {
            // Later errors are mostly echoes of the first.
            if let Some(error) = errors.errors.first() {
                let at = place.offset_of(error.pos);
                let message = error.msg.trim_start_matches("Syntax error: ").to_owned();
                problems.push(place.problem(at, message, "see docs/expressions.md for the syntax"));
            }
            Json::Null
        }
    }
}

struct Compiler<'a, 'p> {
    place: Place<'a>,
    positions: SourceInfo,
    names: &'a Names<'a>,
    /// Variables of the macros around the node at hand.
    locals: Vec<String>,
    depth: usize,
    problems: &'p mut Vec<Problem>,
}

impl Compiler<'_, '_> {
    fn tree(&mut self, node: &IdedExpr) -> Json {
        if self.depth >= DEPTH_MAX {
            let message = format!("the expression is nested more than {DEPTH_MAX} levels deep");
            return self.wrong(node, message, "split it over several transform steps");
        }
        self.depth += 1;
        let tree = match &node.expr {
            Expr::Literal(literal) => self.literal(node, literal),
            Expr::Ident(name) => self.variable(node, name),
            Expr::Select(select) => self.select(node, select),
            Expr::Call(call) => self.call(node, call),
            Expr::List(list) => {
                let mut parts = vec![json!("list")];
                parts.extend(list.elements.iter().map(|item| self.tree(item)));
                Json::Array(parts)
            }
            Expr::Map(map) => self.map(node, &map.entries),
            Expr::Struct(message) => self.wrong(
                node,
                format!(
                    "`{}{{…}}` makes a message, and there are no message types",
                    message.type_name
                ),
                "make a map: `{'name': value}`",
            ),
            Expr::Comprehension(_) | Expr::Unspecified => self.wrong(
                node,
                "the parser made a node that is not known here".to_owned(),
                "write the expression in another way and report this one",
            ),
        };
        self.depth -= 1;
        tree
    }

    fn literal(&mut self, node: &IdedExpr, literal: &LiteralValue) -> Json {
        match literal {
            LiteralValue::Null => Json::Null,
            LiteralValue::Boolean(value) => json!(value.inner()),
            LiteralValue::Int(value) => json!(value.inner()),
            LiteralValue::Double(value) if value.inner().is_finite() => json!(value.inner()),
            LiteralValue::Double(_) => self.wrong(
                node,
                "the number is too large".to_owned(),
                "write a smaller one",
            ),
            LiteralValue::String(value) => json!(value.inner()),
            LiteralValue::Bytes(value) => {
                use base64::Engine;
                json!([
                    "bytes",
                    base64::engine::general_purpose::STANDARD.encode(value.inner())
                ])
            }
            LiteralValue::UInt(value) => self.wrong(
                node,
                "JSON has no unsigned integers".to_owned(),
                &format!("write `{}`", value.inner()),
            ),
        }
    }

    fn variable(&mut self, node: &IdedExpr, name: &str) -> Json {
        let known = &self.names.variables;
        if !self.locals.iter().any(|local| local == name) && !known.contains(&name) {
            let all = || known.iter().copied();
            let remedy = match closest(name, all()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None if self.names.steps.contains(&name) => {
                    format!("write `steps.{name}`")
                }
                None => format!("known here: {}", listed(all())),
            };
            return self.wrong(node, format!("there is no variable `{name}`"), &remedy);
        }
        json!(["v", name])
    }

    fn select(&mut self, node: &IdedExpr, select: &SelectExpr) -> Json {
        if self.is_steps(&select.operand) {
            self.step(node, &select.field);
        }
        let operand = self.tree(&select.operand);
        json!([".", operand, select.field])
    }

    fn is_steps(&self, node: &IdedExpr) -> bool {
        matches!(&node.expr, Expr::Ident(name) if name == "steps")
            && !self.locals.iter().any(|local| local == "steps")
    }

    fn step(&mut self, node: &IdedExpr, name: &str) {
        if self.names.steps.contains(&name) {
            return;
        }
        let all = || self.names.steps.iter().copied();
        let remedy = match closest(name, all()) {
            Some(meant) => format!("did you mean `steps.{meant}`?"),
            None => format!("known: {}", listed(all())),
        };
        self.wrong(
            node,
            format!("step `{name}` does not run before this one"),
            &remedy,
        );
    }

    fn map(&mut self, node: &IdedExpr, entries: &[cel::common::ast::IdedEntryExpr]) -> Json {
        let mut parts = vec![json!("map")];
        for entry in entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else {
                return self.wrong(
                    node,
                    "this is not a map".to_owned(),
                    "write `{'name': value}`",
                );
            };
            if let Expr::Literal(literal) = &entry.key.expr
                && !matches!(literal, LiteralValue::String(_))
            {
                let remedy = "write `{'name': value}`";
                self.wrong(
                    &entry.key,
                    "the keys of a map must be strings".to_owned(),
                    remedy,
                );
            }
            parts.push(self.tree(&entry.key));
            parts.push(self.tree(&entry.value));
        }
        Json::Array(parts)
    }

    fn call(&mut self, node: &IdedExpr, call: &CallExpr) -> Json {
        if let Some(name) = operation(&call.func_name) {
            return self.operation(name, &call.args);
        }
        if let (Some(target), Some(kind)) = (&call.target, EachKind::of(&call.func_name)) {
            return self.each(node, kind, target, call);
        }
        if call.func_name == "has" && call.target.is_none() {
            return match call.args.as_slice() {
                [
                    IdedExpr {
                        expr: Expr::Select(select),
                        ..
                    },
                ] => {
                    let mut tree = self.select(node, select);
                    if let Some(name) = tree.get_mut(0) {
                        *name = json!("has");
                    }
                    tree
                }
                _ => self.wrong(
                    node,
                    "`has` takes one field".to_owned(),
                    "write `has(trigger.body.name)`",
                ),
            };
        }
        self.function(node, call)
    }

    fn operation(&mut self, name: &str, arguments: &[IdedExpr]) -> Json {
        let mut parts = vec![json!(name)];
        if let (
            "at",
            [
                target,
                IdedExpr {
                    expr: Expr::Literal(LiteralValue::String(step)),
                    id,
                },
            ],
        ) = (name, arguments)
            && self.is_steps(target)
        {
            self.step(
                &IdedExpr {
                    id: *id,
                    expr: Expr::Unspecified,
                },
                step.inner(),
            );
        }
        parts.extend(arguments.iter().map(|argument| self.tree(argument)));
        Json::Array(parts)
    }

    fn each(&mut self, node: &IdedExpr, kind: EachKind, range: &IdedExpr, call: &CallExpr) -> Json {
        let (variable, filter, body) = match (kind, call.args.as_slice()) {
            (EachKind::Map, [variable, filter, body]) => (variable, Some(filter), body),
            (_, [variable, body]) => (variable, None, body),
            _ => {
                let message = format!("`{}` takes a variable and an expression", call.func_name);
                let remedy = format!("write `list.{}(x, … x …)`", call.func_name);
                return self.wrong(node, message, &remedy);
            }
        };
        let Expr::Ident(name) = &variable.expr else {
            let message = format!("the first argument of `{}` is a variable", call.func_name);
            return self.wrong(variable, message, "write a plain name, for example `x`");
        };
        let range = self.tree(range);
        self.locals.push(name.clone());
        let filter = filter.map(|filter| self.tree(filter));
        let body = self.tree(body);
        self.locals.pop();
        json!(["each", call.func_name, range, name, filter, body])
    }

    fn function(&mut self, node: &IdedExpr, call: &CallExpr) -> Json {
        let (name, target) = match &call.target {
            Some(target) => match &target.expr {
                Expr::Ident(namespace) if namespace == "base64" => {
                    (format!("base64.{}", call.func_name), None)
                }
                _ => (call.func_name.clone(), Some(target)),
            },
            None => (call.func_name.clone(), None),
        };
        let Some(function) = Function::of(&name) else {
            let remedy = unknown_function(&name);
            return self.wrong(node, format!("there is no function `{name}`"), &remedy);
        };
        let Some(row) = TABLE.iter().find(|row| row.function == function) else {
            return Json::Null;
        };
        let count = call.args.len() + usize::from(target.is_some());
        let styled = match row.style {
            Style::Global => target.is_none(),
            Style::Method => target.is_some(),
            Style::Both => true,
        };
        if !styled || !row.arguments.contains(&count) {
            let message = format!("`{name}` is not called like this");
            return self.wrong(node, message, &usage(row));
        }
        let mut parts = vec![json!("f"), json!(row.name)];
        parts.extend(target.map(|target| self.tree(target)));
        parts.extend(call.args.iter().map(|argument| self.tree(argument)));
        Json::Array(parts)
    }

    fn wrong(&mut self, node: &IdedExpr, message: String, remedy: &str) -> Json {
        let at = self.positions.offset_for(node.id);
        let at = at
            .and_then(|(start, _)| usize::try_from(start).ok())
            .unwrap_or_default();
        self.problems.push(self.place.problem(at, message, remedy));
        Json::Null
    }
}

/// The name in a tree of an operator of the parser.
fn operation(parsed: &str) -> Option<&'static str> {
    Some(match parsed {
        "_?_:_" => "?:",
        "_&&_" => "&&",
        "_||_" => "||",
        "!_" => "!",
        "-_" => "neg",
        "_+_" => "+",
        "_-_" => "-",
        "_*_" => "*",
        "_/_" => "/",
        "_%_" => "%",
        "_==_" => "==",
        "_!=_" => "!=",
        "_<_" => "<",
        "_<=_" => "<=",
        "_>_" => ">",
        "_>=_" => ">=",
        "@in" => "in",
        "_[_]" => "at",
        _ => return None,
    })
}
