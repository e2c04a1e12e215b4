//! What an administrator is told of workers: each of these becomes an alarm.

use std::collections::BTreeSet;

use keyway_gate::AlarmKind;
use keyway_model::Digest;
use keyway_model::limit::{COMPONENT_RAN_SECONDS_MAX, SUSPECTS_MAX};

use super::suspicion::{PROBATION, STRIKE_WINDOW};

/// Components that a text names, and that a subject does; of further ones each tells
/// how many. A worker may see many within minutes.
const NAMED_IN_TEXT: usize = 64;
const NAMED_IN_SUBJECT: usize = 4;

/// Something that happened to workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A component runs no more.
    Quarantined {
        /// Which.
        component: Digest,
        /// Why, for people.
        why: String,
    },
    /// A worker that several components may use tried a system call that no worker makes.
    Forbidden {
        /// Those that had been in it not long before, without the host's own.
        components: BTreeSet<Digest>,
    },
    /// A component's own workers did not end calls, and were killed.
    Wedged {
        /// Which.
        component: Digest,
        /// How many.
        workers: usize,
    },
    /// A component's own workers were killed by somebody else, or had used up their time.
    Killed {
        /// Which.
        component: Digest,
        /// How many.
        workers: usize,
    },
    /// A worker was started that lacks layers of confinement.
    Weaker {
        /// Those that nobody was told of before.
        layers: Vec<String>,
    },
}

impl Notice {
    /// The kind of its alarm.
    pub(crate) const fn kind(&self) -> AlarmKind {
        match self {
            Self::Quarantined { .. } => AlarmKind::ComponentQuarantined,
            Self::Forbidden { .. } => AlarmKind::ForbiddenSystemCall,
            Self::Wedged { .. } => AlarmKind::WedgedWorkers,
            Self::Killed { .. } => AlarmKind::KilledWorkers,
            Self::Weaker { .. } => AlarmKind::WeakerWorkers,
        }
    }

    /// Which thing it is about. An alarm that is open is not raised again about the same.
    pub(crate) fn subject(&self) -> String {
        match self {
            Self::Quarantined { component, .. }
            | Self::Wedged { component, .. }
            | Self::Killed { component, .. } => component.to_string(),
            Self::Forbidden { components } if components.is_empty() => "workers".to_owned(),
            Self::Forbidden { components } => named(components, NAMED_IN_SUBJECT),
            Self::Weaker { layers } => layers.join(", "),
        }
    }

    /// What has happened, and what to do, for people.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Quarantined { why, .. } => why.clone(),
            Self::Forbidden { components } => forbidden(components),
            Self::Wedged { workers, .. } => format!(
                "{workers} of its own workers within {} s did not end a call and were killed. A \
                 machine that is too busy looks the same, so the component runs on; if others do \
                 well on the machine, look at the component (docs/confinement.md)",
                STRIKE_WINDOW.as_secs(),
            ),
            Self::Killed { workers, .. } => format!(
                "{workers} of its own workers within {} s were killed by somebody else (the kernel, \
                 where memory is short), or had used up their time on processors. A machine that \
                 is too small looks the same, so the component runs on; if others do well on the \
                 machine, look at the component (docs/confinement.md)",
                STRIKE_WINDOW.as_secs(),
            ),
            Self::Weaker { layers } => format!(
                "workers run without: {}; the configuration says dangerous_weaker_worker",
                layers.join(", ")
            ),
        }
    }
}

fn forbidden(components: &BTreeSet<Digest>) -> String {
    let what = "a worker that several components may use tried a system call that no worker \
                makes (signal 31), as code would that got out of its sandbox";
    if components.is_empty() {
        return format!(
            "{what}. No component but the host's own had been in it during its last \
             {COMPONENT_RAN_SECONDS_MAX} s (docs/confinement.md)"
        );
    }
    format!(
        "{what}. Any of those that had been in it during its last {COMPONENT_RAN_SECONDS_MAX} s \
         may have done so: {}. Look at them: they run on, each in a worker of its own for the next \
         {} s ({SUSPECTS_MAX} of them at once), and one that does it there is quarantined \
         (docs/confinement.md)",
        named(components, NAMED_IN_TEXT),
        PROBATION.as_secs(),
    )
}

/// The first of them, in the order of their digests, and how many there are beside.
fn named(components: &BTreeSet<Digest>, count: usize) -> String {
    let first = components.iter().take(count);
    let first: Vec<String> = first.map(Digest::to_string).collect();
    match components.len().saturating_sub(count) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn components(count: u8) -> BTreeSet<Digest> {
        (0..count).map(|number| Digest::of(&[number])).collect()
    }

    fn forbidden(count: u8) -> Notice {
        let components = components(count);
        Notice::Forbidden { components }
    }

    #[test]
    fn a_forbidden_system_call_names_who_was_there_and_what_to_do() {
        let notice = forbidden(3);
        for component in components(3) {
            let named = component.to_string();
            assert!(notice.text().contains(&named), "{}", notice.text());
            assert!(notice.subject().contains(&named), "{}", notice.subject());
        }
        assert!(notice.text().contains("signal 31"), "{}", notice.text());
        assert!(notice.text().contains("docs/confinement.md"));
        // Of nobody it says so.
        assert_eq!(forbidden(0).subject(), "workers");
        assert!(forbidden(0).text().contains("host's own"));
    }

    #[test]
    fn however_many_were_there_so_many_are_named_and_the_rest_is_counted() {
        let notice = forbidden(200);
        for (text, named, more, bytes_max) in [
            (notice.text(), NAMED_IN_TEXT, "and 136 more", 6_000),
            (notice.subject(), NAMED_IN_SUBJECT, "and 196 more", 400),
        ] {
            assert_eq!(text.matches("sha256:").count(), named, "{text}");
            assert!(text.contains(more), "{text}");
            assert!(text.len() < bytes_max, "{}", text.len());
        }
    }

    #[test]
    fn notices_about_different_things_have_different_subjects() {
        assert_eq!(forbidden(3).subject(), forbidden(3).subject());
        assert_ne!(forbidden(3).subject(), forbidden(2).subject());
        let weaker = |layer: &str| Notice::Weaker {
            layers: vec![layer.to_owned()],
        };
        assert_ne!(weaker("landlock").subject(), weaker("limits").subject());
    }
}
