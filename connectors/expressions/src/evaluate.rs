//! Evaluates a tree. A problem is a text for the author of the recipe: it names
//! places and types, never values, which may be sensitive.

use std::rc::Rc;

use crate::functions;
use crate::operators::{apply, negate};
use crate::tree::{Each, EachKind, Tree};
use crate::value::{Members, Value, member};

/// The variables that an expression sees.
#[derive(Debug, Default)]
pub(crate) struct Scope<'t> {
    variables: Members,
    /// Variables of macros, innermost last.
    locals: Vec<(&'t str, Value)>,
}

impl<'t> Scope<'t> {
    pub(crate) fn new(variables: Members) -> Self {
        Self {
            variables,
            locals: Vec::new(),
        }
    }

    /// Makes `output` visible as `steps.<id>`.
    pub(crate) fn set_step(&mut self, id: &str, output: Value) {
        let steps = match self
            .variables
            .iter_mut()
            .position(|(name, _)| &**name == "steps")
        {
            Some(position) => position,
            None => {
                self.variables
                    .push((Rc::from("steps"), Value::Map(Rc::default())));
                self.variables.len() - 1
            }
        };
        if let Some((_, Value::Map(steps))) = self.variables.get_mut(steps) {
            let steps = Rc::make_mut(steps);
            steps.retain(|(known, _)| &**known != id);
            steps.push((Rc::from(id), output));
        }
    }

    pub(crate) fn evaluate(&mut self, tree: &'t Tree) -> Result<Value, String> {
        match tree {
            Tree::Literal(value) => Ok(value.clone()),
            Tree::Variable(name) => self.variable(name),
            Tree::Field(operand, name) => {
                let operand_value = self.evaluate(operand)?;
                field(&operand_value, name, operand)
            }
            Tree::Has(operand, name) => match self.evaluate(operand)? {
                Value::Map(members) => Ok(Value::Bool(member(&members, name).is_some())),
                other => Err(format!(
                    "`has` asks a map, but {} is {}",
                    place(operand),
                    other.type_name()
                )),
            },
            Tree::List(items) => self.evaluate_all(items).map(Value::list),
            Tree::Map(entries) => self.map(entries),
            Tree::Text(parts) => self.text(parts),
            Tree::Conditional(parts) => {
                let [condition, then, otherwise] = &**parts;
                let chosen = if self.condition(condition)? {
                    then
                } else {
                    otherwise
                };
                self.evaluate(chosen)
            }
            Tree::Logic { decisive, sides } => self.logic(*decisive, sides),
            Tree::Not(operand) => self.condition(operand).map(|value| Value::Bool(!value)),
            Tree::Negate(operand) => negate(&self.evaluate(operand)?),
            Tree::Binary(operator, sides) => {
                let [left, right] = &**sides;
                apply(*operator, &self.evaluate(left)?, &self.evaluate(right)?)
            }
            Tree::Call(function, arguments) => {
                functions::call(*function, &self.evaluate_all(arguments)?)
            }
            Tree::Each(each) => self.each(each),
        }
    }

    fn evaluate_all(&mut self, trees: &'t [Tree]) -> Result<Vec<Value>, String> {
        trees.iter().map(|tree| self.evaluate(tree)).collect()
    }

    fn variable(&self, name: &str) -> Result<Value, String> {
        if let Some((_, value)) = self.locals.iter().rev().find(|(known, _)| *known == name) {
            return Ok(value.clone());
        }
        member(&self.variables, name)
            .cloned()
            .ok_or_else(|| format!("`{name}` is not set here"))
    }

    /// The value of a tree that must be a bool.
    pub(crate) fn condition(&mut self, tree: &'t Tree) -> Result<bool, String> {
        match self.evaluate(tree)? {
            Value::Bool(value) => Ok(value),
            other => Err(format!(
                "a condition must be a bool, this one is {}",
                other.type_name()
            )),
        }
    }

    // One decisive side decides even if the other fails, whichever comes first.
    fn logic(&mut self, decisive: bool, sides: &'t [Tree; 2]) -> Result<Value, String> {
        let [left, right] = sides;
        let left = self.condition(left);
        if left == Ok(decisive) {
            return Ok(Value::Bool(decisive));
        }
        let right = self.condition(right)?;
        if right == decisive {
            Ok(Value::Bool(decisive))
        } else {
            left.map(Value::Bool)
        }
    }

    fn map(&mut self, entries: &'t [(Tree, Tree)]) -> Result<Value, String> {
        let mut members = Members::with_capacity(entries.len());
        for (key, value) in entries {
            let Value::String(key) = self.evaluate(key)? else {
                return Err("the keys of a map must be strings".to_owned());
            };
            if member(&members, &key).is_some() {
                return Err(format!("the key `{key}` appears twice in one map"));
            }
            let value = self.evaluate(value)?;
            members.push((key, value));
        }
        Ok(Value::Map(Rc::new(members)))
    }

    fn text(&mut self, parts: &'t [Tree]) -> Result<Value, String> {
        let mut text = String::new();
        for part in parts {
            functions::display(&self.evaluate(part)?, &mut text)
                .map_err(|problem| format!("{problem}, in `${{{}}}`", place(part)))?;
        }
        Ok(Value::String(text.into()))
    }

    fn each(&mut self, each: &'t Each) -> Result<Value, String> {
        let items = match self.evaluate(&each.range)? {
            Value::List(items) => items,
            Value::Map(members) => Rc::new(
                members
                    .iter()
                    .map(|(key, _)| Value::String(key.clone()))
                    .collect(),
            ),
            other => {
                return Err(format!(
                    "only lists and maps have elements, {} is {}",
                    place(&each.range),
                    other.type_name()
                ));
            }
        };
        match each.kind {
            EachKind::All => self.quantify(each, &items, false),
            EachKind::Exists => self.quantify(each, &items, true),
            EachKind::ExistsOne => {
                let mut found = 0_usize;
                for item in items.iter() {
                    found += usize::from(self.with(each, item, &each.body, Self::condition)?);
                }
                Ok(Value::Bool(found == 1))
            }
            EachKind::Filter => {
                let mut kept = Vec::new();
                for item in items.iter() {
                    if self.with(each, item, &each.body, Self::condition)? {
                        kept.push(item.clone());
                    }
                }
                Ok(Value::list(kept))
            }
            EachKind::Map => {
                let mut mapped = Vec::with_capacity(items.len());
                for item in items.iter() {
                    let wanted = match &each.filter {
                        Some(filter) => self.with(each, item, filter, Self::condition)?,
                        None => true,
                    };
                    if wanted {
                        mapped.push(self.with(each, item, &each.body, Self::evaluate)?);
                    }
                }
                Ok(Value::list(mapped))
            }
        }
    }

    // `exists` is decided by one true, `all` by one false, even if the
    // condition fails for other elements.
    fn quantify(
        &mut self,
        each: &'t Each,
        items: &[Value],
        decisive: bool,
    ) -> Result<Value, String> {
        let mut problem = None;
        for item in items {
            match self.with(each, item, &each.body, Self::condition) {
                Ok(value) if value == decisive => return Ok(Value::Bool(decisive)),
                Ok(_) => {}
                Err(text) => problem = problem.or(Some(text)),
            }
        }
        problem.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn with<T>(
        &mut self,
        each: &'t Each,
        item: &Value,
        tree: &'t Tree,
        evaluate: impl Fn(&mut Self, &'t Tree) -> Result<T, String>,
    ) -> Result<T, String> {
        self.locals.push((&each.variable, item.clone()));
        let result = evaluate(self, tree);
        self.locals.pop();
        result
    }
}

fn field(operand: &Value, name: &str, tree: &Tree) -> Result<Value, String> {
    match operand {
        Value::Map(members) => member(members, name).cloned().ok_or_else(|| {
            format!(
                "{} has no `{name}`; use `has({}.{name}) ? … : …` if it may be absent",
                place(tree),
                place(tree).trim_matches('`')
            )
        }),
        other => Err(format!(
            "{} is {} and has no `{name}`",
            place(tree),
            other.type_name()
        )),
    }
}

/// A tree as the author wrote it, if it is a path; else only its kind.
fn place(tree: &Tree) -> String {
    fn path(tree: &Tree) -> Option<String> {
        match tree {
            Tree::Variable(name) => Some(name.to_string()),
            Tree::Field(operand, name) => path(operand).map(|operand| format!("{operand}.{name}")),
            _ => None,
        }
    }
    path(tree).map_or_else(|| "the value".to_owned(), |path| format!("`{path}`"))
}
