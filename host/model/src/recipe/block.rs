//! The reader of blocks: lists of steps, which may hold blocks themselves.

use std::collections::HashMap;

use super::error::{Errors, Place};
use super::fields::Fields;
use super::reply::header_name_is_free;
use super::step::{Action, Foreach, If, Respond, Step, StepKind, Stop, StopOutcome};
use super::template::{Expression, Template};
use super::tree::{Content, Located, cut};
use super::words::{self, StepId};
use crate::limit::{RECIPE_DEPTH_MAX, RECIPE_STEPS_MAX};
use crate::manifest::suggest;

/// A kind, by the field that names it, and the fields that go with it.
const KINDS: [(&str, &[&str]); 6] = [
    ("transform", &["id", "transform"]),
    ("action", &["id", "action", "connection", "input", "mask"]),
    ("if", &["id", "if", "then", "else"]),
    ("foreach", &["id", "foreach", "as", "steps"]),
    ("respond", &["id", "respond"]),
    ("stop", &["id", "stop"]),
];

/// The recipe's own block. `answers` says whether somebody waits for a reply.
pub(super) fn read_all(node: &Located, answers: bool, errors: &mut Errors) -> Option<Vec<Step>> {
    let mut reader = Reader {
        answers,
        ids: HashMap::new(),
        variables: Vec::new(),
        depth: 0,
        errors,
    };
    reader.block(node, "steps")
}

struct Reader<'e> {
    answers: bool,
    /// The ids so far, with their lines.
    ids: HashMap<StepId, usize>,
    /// The variables of the `foreach` steps around this place.
    variables: Vec<StepId>,
    depth: usize,
    errors: &'e mut Errors,
}

impl Reader<'_> {
    fn block(&mut self, node: &Located, path: &str) -> Option<Vec<Step>> {
        let Content::List(elements) = &node.content else {
            let message = format!("`{path}` is {}", node.type_word());
            self.errors.add(
                node.place,
                path,
                message,
                "write a list of steps: `- id: …`",
            );
            return None;
        };
        if elements.is_empty() {
            let message = format!("`{path}` has no step");
            self.errors.add(
                node.place,
                path,
                message,
                "write at least one step, or remove the field",
            );
            return None;
        }
        if self.depth == RECIPE_DEPTH_MAX {
            let message =
                format!("blocks are nested more than {RECIPE_DEPTH_MAX} deep (RECIPE_DEPTH_MAX)");
            self.errors.add(
                node.place,
                path,
                message,
                "split the recipe, or compute the choice in one expression",
            );
            return None;
        }
        self.depth += 1;
        let steps: Vec<Option<Step>> = elements
            .iter()
            .enumerate()
            .map(|(index, element)| self.step(element, &format!("{path}[{index}]")))
            .collect();
        self.depth -= 1;
        let steps = steps.into_iter().collect::<Option<Vec<Step>>>()?;
        self.refuse_steps_after_a_stop(&steps, path);
        Some(steps)
    }

    fn refuse_steps_after_a_stop(&mut self, steps: &[Step], path: &str) {
        for pair in steps.windows(2) {
            if let [
                Step {
                    kind: StepKind::Stop(_),
                    ..
                },
                next,
            ] = pair
            {
                let message = format!("`{}` never runs: the step before it ends the job", next.id);
                self.errors.add(
                    next.place,
                    path,
                    message,
                    "remove it, or move it before the stop",
                );
            }
        }
    }

    fn step(&mut self, node: &Located, path: &str) -> Option<Step> {
        let fields = Fields::of(node, path, "the step", self.errors)?;
        let (kind, known) = self.kind_of(&fields)?;
        fields.allow(known, self.errors);
        let id = self.id(&fields, kind);
        let kind = match kind {
            "transform" => fields
                .optional(kind)
                .map(|node| StepKind::Transform(Template::of(node))),
            "action" => self.action(&fields).map(StepKind::Action),
            "if" => self.choice(&fields).map(StepKind::If),
            "foreach" => self.foreach(&fields).map(StepKind::Foreach),
            "respond" => self.respond(&fields).map(StepKind::Respond),
            _ => self.stop(&fields).map(StepKind::Stop),
        };
        Some(Step {
            id: id?,
            place: node.place,
            kind: kind?,
        })
    }

    /// The one kind that the fields name.
    fn kind_of(&mut self, fields: &Fields<'_>) -> Option<(&'static str, &'static [&'static str])> {
        let mut named = KINDS
            .into_iter()
            .filter(|(kind, _)| fields.optional(kind).is_some());
        match (named.next(), named.next()) {
            (Some(kind), None) => Some(kind),
            (Some((one, _)), Some((other, _))) => {
                let message = format!("the step has two kinds: `{one}` and `{other}`");
                self.errors.add(
                    fields.place,
                    &fields.path,
                    message,
                    "write one step for each",
                );
                None
            }
            (None, _) => {
                let kinds = KINDS.map(|(kind, _)| kind);
                let all = KINDS.iter().flat_map(|(_, known)| known.iter().copied());
                let all: std::collections::BTreeSet<&str> = all.collect();
                let stranger = fields.names().find(|key| !all.contains(key.name.as_str()));
                let (place, message, remedy) = match stranger {
                    Some(key) => (
                        key.place,
                        format!("unknown field `{}` in the step", cut(&key.name)),
                        suggest::remedy(&key.name, kinds),
                    ),
                    None => (
                        fields.place,
                        "the step does not say what to do".to_owned(),
                        format!("add one of `{}`", kinds.join("`, `")),
                    ),
                };
                self.errors.add(place, &fields.path, message, remedy);
                None
            }
        }
    }

    fn id(&mut self, fields: &Fields<'_>, kind: &str) -> Option<StepId> {
        let number = self.ids.len() + 1;
        if number == RECIPE_STEPS_MAX + 1 {
            let message =
                format!("the recipe has more than {RECIPE_STEPS_MAX} steps (RECIPE_STEPS_MAX)");
            self.errors
                .add(fields.place, &fields.path, message, "split the recipe");
        }
        let path = fields.path_of("id");
        let (id, place) = match fields.optional("id") {
            Some(node) => (words::step_id(node, &path, self.errors)?, node.place),
            None if matches!(kind, "respond" | "stop") => {
                (StepId::generated(kind, number), fields.place)
            }
            None => {
                let node = fields.required("id", &format!("id: my_{kind}"), self.errors)?;
                (words::step_id(node, &path, self.errors)?, node.place)
            }
        };
        if let Some(first) = self.ids.insert(id.clone(), place.line) {
            let message = format!("the id `{id}` is used twice");
            self.errors.add(
                place,
                &path,
                message,
                format!("choose another; line {first} has it, too"),
            );
        }
        Some(id)
    }

    fn action(&mut self, fields: &Fields<'_>) -> Option<Action> {
        let names = fields.optional("action");
        let names =
            names.and_then(|node| words::dotted(node, &fields.path_of("action"), self.errors));
        let connection = fields
            .required("connection", "connection: shop", self.errors)
            .and_then(|node| words::name(node, &fields.path_of("connection"), self.errors));
        let mask = match fields.optional("mask") {
            Some(node) => words::yes_or_no(node, &fields.path_of("mask"), self.errors),
            None => Some(false),
        };
        let nothing = || Template::constant(serde_json::Map::new(), fields.place);
        let input = fields.optional("input").map_or_else(nothing, Template::of);
        let (connector, action) = names?;
        Some(Action {
            connector,
            action,
            connection: connection?,
            input,
            mask: mask?,
        })
    }

    fn choice(&mut self, fields: &Fields<'_>) -> Option<If> {
        let condition = self.expression(fields, "if");
        let then = fields.required("then", "then: [ … ]", self.errors);
        let then = then.and_then(|node| self.block(node, &fields.path_of("then")));
        let otherwise = match fields.optional("else") {
            Some(node) => self.block(node, &fields.path_of("else")),
            None => Some(Vec::new()),
        };
        Some(If {
            condition: condition?,
            then: then?,
            otherwise: otherwise?,
        })
    }

    fn foreach(&mut self, fields: &Fields<'_>) -> Option<Foreach> {
        let items = self.expression(fields, "foreach");
        let variable = match fields.optional("as") {
            Some(node) => words::step_id(node, &fields.path_of("as"), self.errors)
                .map(|variable| (variable, node.place)),
            None => "item".parse().ok().map(|variable| (variable, fields.place)),
        };
        if let Some((name, place)) = &variable {
            self.refuse_shadowing(name, *place, fields);
        }
        let body = fields.required("steps", "steps: [ … ]", self.errors);
        self.variables
            .extend(variable.iter().map(|(name, _)| name.clone()));
        let steps = body.and_then(|node| self.block(node, &fields.path_of("steps")));
        self.variables
            .truncate(self.variables.len() - usize::from(variable.is_some()));
        Some(Foreach {
            items: items?,
            variable: variable?.0,
            steps: steps?,
        })
    }

    fn refuse_shadowing(&mut self, name: &StepId, place: Place, fields: &Fields<'_>) {
        if self.variables.contains(name) {
            let message = format!("a `foreach` around this one calls its item `{name}`, too");
            self.errors.add(
                place,
                &fields.path_of("as"),
                message,
                "choose another name: `as: inner`",
            );
        }
    }

    fn expression(&mut self, fields: &Fields<'_>, name: &str) -> Option<Expression> {
        Expression::of(fields.optional(name)?, &fields.path_of(name), self.errors)
    }

    fn respond(&mut self, fields: &Fields<'_>) -> Option<Respond> {
        if !self.answers {
            let message = "nobody waits for a reply: the trigger is not a webhook";
            self.errors.add(
                fields.place,
                &fields.path,
                message,
                "remove the step, or write `trigger: { webhook: {} }`",
            );
        }
        let path = fields.path_of("respond");
        let fields = Fields::of(fields.optional("respond")?, &path, "`respond`", self.errors)?;
        fields.allow(&["status", "headers", "body"], self.errors);
        let constant = |value: serde_json::Value| Template::constant(value, fields.place);
        let status = fields
            .optional("status")
            .map_or_else(|| constant(200.into()), Template::of);
        if status.is_constant()
            && !status
                .value
                .as_u64()
                .is_some_and(|code| (200..=599).contains(&code))
        {
            let message = format!(
                "`{}` is not a final HTTP status",
                cut(&status.value.to_string())
            );
            self.errors.add(
                status.place,
                &fields.path_of("status"),
                message,
                "write a number from 200 to 599",
            );
        }
        let headers = fields.optional("headers");
        let headers_fit =
            headers.is_none_or(|node| self.headers_fit(node, &fields.path_of("headers")));
        let body = fields
            .optional("body")
            .map_or_else(|| constant(serde_json::Value::Null), Template::of);
        headers_fit.then(|| Respond {
            status,
            headers: headers.map(Template::of),
            body,
        })
    }

    fn headers_fit(&mut self, node: &Located, path: &str) -> bool {
        let Some(fields) = Fields::of(node, path, "`headers`", self.errors) else {
            return false;
        };
        for key in fields.names().filter(|key| !header_name_is_free(&key.name)) {
            let message = format!("a reply cannot set the header `{}`", cut(&key.name));
            self.errors.add(
                key.place,
                path,
                message,
                "remove it; Keyway frames the reply itself",
            );
        }
        fields.names().all(|key| {
            let value = fields.optional(&key.name);
            value.is_some_and(|value| {
                words::text(value, &fields.path_of(&key.name), self.errors).is_some()
            })
        })
    }

    fn stop(&mut self, fields: &Fields<'_>) -> Option<Stop> {
        let path = fields.path_of("stop");
        let fields = Fields::of(fields.optional("stop")?, &path, "`stop`", self.errors)?;
        fields.allow(&["outcome", "reason"], self.errors);
        let outcome = fields.required("outcome", "outcome: succeeded", self.errors)?;
        let path = fields.path_of("outcome");
        let outcome = match words::text(outcome, &path, self.errors)? {
            "succeeded" => Some(StopOutcome::Succeeded),
            "failed" => Some(StopOutcome::Failed),
            other => {
                let message = format!("`{}` is not an outcome", cut(other));
                let remedy = suggest::remedy(other, ["succeeded", "failed"]);
                self.errors.add(outcome.place, &path, message, remedy);
                None
            }
        };
        let reason = match fields.optional("reason") {
            Some(node) => words::text(node, &fields.path_of("reason"), self.errors)
                .map(|_| Template::of(node)),
            None => Some(Template::constant("", fields.place)),
        };
        Some(Stop {
            outcome: outcome?,
            reason: reason?,
        })
    }
}
