//! Expressions as they are stored: JSON in which a scalar stands for itself and
//! an array is an operation, `["+", ["v", "index"], 1]`. Documented in
//! `docs/expressions.md`; the checker writes it and [`Tree`] reads it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use crate::functions::Function;
use crate::operators::Operator;
use crate::value::{Value, ValueVisitor};

#[derive(Debug)]
pub(crate) enum Tree {
    Literal(Value),
    /// `["v", name]`
    Variable(Box<str>),
    /// `[".", operand, name]`
    Field(Box<Tree>, Box<str>),
    /// `["has", operand, name]`
    Has(Box<Tree>, Box<str>),
    /// `["list", item…]`
    List(Vec<Tree>),
    /// `["map", key, value, key, value…]`
    Map(Vec<(Tree, Tree)>),
    /// `["text", part…]`: the parts of a template string, joined.
    Text(Vec<Tree>),
    /// `["?:", condition, then, otherwise]`
    Conditional(Box<[Tree; 3]>),
    /// `["&&", left, right]`, `["||", left, right]`: the value decides alone.
    Logic {
        decisive: bool,
        sides: Box<[Tree; 2]>,
    },
    /// `["!", operand]`
    Not(Box<Tree>),
    /// `["neg", operand]`
    Negate(Box<Tree>),
    /// `["+", left, right]` and its kind; `["at", list, index]`
    Binary(Operator, Box<[Tree; 2]>),
    /// `["f", name, argument…]`; a method's target is the first argument.
    Call(Function, Vec<Tree>),
    /// `["each", macro, range, variable, filter or null, body]`
    Each(Box<Each>),
}

/// A macro over the elements of a list or the keys of a map.
#[derive(Debug)]
pub(crate) struct Each {
    pub(crate) kind: EachKind,
    pub(crate) range: Tree,
    pub(crate) variable: Box<str>,
    /// Of the three-argument `map`.
    pub(crate) filter: Option<Tree>,
    pub(crate) body: Tree,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EachKind {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

impl EachKind {
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "all" => Self::All,
            "exists" => Self::Exists,
            "exists_one" | "existsOne" => Self::ExistsOne,
            "map" => Self::Map,
            "filter" => Self::Filter,
            _ => return None,
        })
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an expression tree")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Literal(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Literal(Value::Bool(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Tree, E> {
        ValueVisitor.visit_i64(value).map(Tree::Literal)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Tree, E> {
        ValueVisitor.visit_u64(value).map(Tree::Literal)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Tree, E> {
        // A literal of the recipe is a double whatever its size.
        Ok(Tree::Literal(Value::Double(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Literal(Value::string(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let name: Name = next(&mut seq)?;
        let tree = operation(&name.0, &mut seq)?;
        match seq.next_element::<serde::de::IgnoredAny>()? {
            None => Ok(tree),
            Some(_) => Err(A::Error::custom(format_args!(
                "`{}` has too many parts",
                name.0
            ))),
        }
    }
}

fn operation<'de, A: SeqAccess<'de>>(name: &str, seq: &mut A) -> Result<Tree, A::Error> {
    Ok(match name {
        "lit" => Tree::Literal(next(seq)?),
        "bytes" => Tree::Literal(bytes(&next::<Name, A>(seq)?.0)?),
        "v" => Tree::Variable(next::<Name, A>(seq)?.0),
        "." => Tree::Field(next(seq)?, next::<Name, A>(seq)?.0),
        "has" => Tree::Has(next(seq)?, next::<Name, A>(seq)?.0),
        "list" => Tree::List(rest(seq)?),
        "text" => Tree::Text(rest(seq)?),
        "map" => Tree::Map(entries(seq)?),
        "?:" => Tree::Conditional(Box::new([next(seq)?, next(seq)?, next(seq)?])),
        "&&" | "||" => Tree::Logic {
            decisive: name == "||",
            sides: Box::new([next(seq)?, next(seq)?]),
        },
        "!" => Tree::Not(next(seq)?),
        "neg" => Tree::Negate(next(seq)?),
        "f" => {
            let function: Name = next(seq)?;
            let known = Function::of(&function.0)
                .ok_or_else(|| A::Error::custom(format_args!("no function `{}`", function.0)))?;
            Tree::Call(known, rest(seq)?)
        }
        "each" => each(seq)?,
        _ => match Operator::of(name) {
            Some(operator) => Tree::Binary(operator, Box::new([next(seq)?, next(seq)?])),
            None => return Err(A::Error::custom(format_args!("no operation `{name}`"))),
        },
    })
}

fn each<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<Tree, A::Error> {
    let name: Name = next(seq)?;
    let kind = EachKind::of(&name.0)
        .ok_or_else(|| A::Error::custom(format_args!("no macro `{}`", name.0)))?;
    Ok(Tree::Each(Box::new(Each {
        kind,
        range: next(seq)?,
        variable: next::<Name, A>(seq)?.0,
        filter: next(seq)?,
        body: next(seq)?,
    })))
}

fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(seq: &mut A) -> Result<T, A::Error> {
    seq.next_element()?
        .ok_or_else(|| A::Error::custom("an operation lacks a part"))
}

fn rest<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<Vec<Tree>, A::Error> {
    let mut parts = Vec::new();
    while let Some(part) = seq.next_element()? {
        parts.push(part);
    }
    Ok(parts)
}

fn entries<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<Vec<(Tree, Tree)>, A::Error> {
    let mut entries = Vec::new();
    while let Some(key) = seq.next_element()? {
        entries.push((key, next(seq)?));
    }
    Ok(entries)
}

fn bytes<E: Error>(text: &str) -> Result<Value, E> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text)
        .map_err(E::custom)?;
    Ok(Value::Bytes(bytes.into()))
}

struct Name(Box<str>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<str>::deserialize(deserializer).map(Name)
    }
}
