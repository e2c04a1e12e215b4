//! Inward calls: decided by the grant, limited, and counted in the one record
//! of their invocation. Serving one takes the [`Admitted`] of the decision.

use std::sync::atomic::Ordering;

use futures_util::future::BoxFuture;
use keyway_authz::{Admitted, DenialReason, Inward, Record, Tally};
use keyway_ipc::{CallOutcome, HostReply, RequestId, StateRefusal, Trap, Usage};
use keyway_model::EntryId;
use keyway_model::limit::{CallLimits, table};

use crate::invocation::Invocation;
use crate::lane::Line;
use crate::mask::Search;
use crate::masked;
use crate::over::{Over, within};
use crate::seen::SeenDenial;

/// What of its connection a guest asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ConnectionRead {
    Parameter,
    Scopes,
}

impl ConnectionRead {
    const fn inward(self) -> Inward {
        match self {
            Self::Parameter => Inward::ConnectionParameter,
            Self::Scopes => Inward::ConnectionScopes,
        }
    }
}

impl Invocation {
    /// Decides one inward call. A denial is counted, and kept for people once.
    pub(crate) fn admit(&self, call: Inward) -> Option<Admitted> {
        let decided = match self.standing() {
            Ok(()) => self
                .grant
                .decide_inward(call)
                .map_err(|denied| (DenialReason::Capability, denied.remedy)),
            Err(lost) => Err((lost.reason, lost.remedy)),
        };
        match decided {
            Ok(admitted) => Some(admitted),
            Err((reason, remedy)) => {
                self.deny_inward(call, reason, remedy);
                None
            }
        }
    }

    /// Counts a denial of an inward call, and keeps it for people once.
    pub(crate) fn deny_inward(&self, call: Inward, reason: DenialReason, remedy: String) {
        let mut seen = self.seen.lock();
        seen.inward_denied = seen.inward_denied.saturating_add(1);
        seen.say_once(SeenDenial {
            asked: call.name().to_owned(),
            reason,
            remedy,
        });
    }

    /// Keeps lines of the log, and counts those that are too many.
    pub(crate) fn log(&self, mut lines: Vec<keyway_ipc::LogLine>) {
        let Some(_admitted) = self.admit(Inward::LogWrite) else {
            return;
        };
        let mut seen = self.seen.lock();
        let (kept, over) = self.log_lines_kept(seen.log.len() as u64, &lines);
        if let Some(over) = over {
            let dropped = u32::try_from(lines.len() - kept).unwrap_or(u32::MAX);
            // It is said once, so it is put into words once: a flood drops very many.
            if seen.log_lines_dropped == 0 {
                seen.say_once(dropped_lines(over.to_string()));
            }
            seen.log_lines_dropped = seen.log_lines_dropped.saturating_add(dropped);
        }
        lines.truncate(kept);
        let mut effort = self.log_effort.lock();
        let mask = self.mask.get();
        let mut search = mask.map(|mask| Search::after(mask, *effort));
        let clean = lines
            .into_iter()
            .map(|line| masked::line(line, search.as_mut()));
        seen.log.extend(clean);
        *effort = search.map_or(*effort, |search| search.effort());
    }

    /// How many of these lines are kept, beside so many; and what the others exceed.
    fn log_lines_kept(&self, before: u64, lines: &[keyway_ipc::LogLine]) -> (usize, Option<Over>) {
        let CallLimits {
            log_lines_max,
            log_bytes_max,
            ..
        } = self.limits;
        let mut over = None;
        let within_limits = lines.iter().zip(before + 1..).take_while(|(line, count)| {
            let more = line.message.len() as u64;
            let bytes = self.log_bytes.fetch_add(more, Ordering::Relaxed) + more;
            let checked = within("log_lines_max", *count, log_lines_max.into())
                .and_then(|()| within("log_bytes_max", bytes, log_bytes_max.into()));
            over = checked.err();
            over.is_none()
        });
        let count = within_limits.count();
        match self.meters.log(count) {
            (kept, None) => (kept, over),
            (kept, rate) => (kept, rate),
        }
    }

    /// What the worker may tell the guest by itself: every declared parameter
    /// that has a value, if the grant holds them. A guest that asks without
    /// the grant is answered by [`Invocation::connection_read`].
    pub(crate) fn parameters(&self) -> Option<Vec<(String, String)>> {
        let _admitted = self.grant.decide_inward(Inward::ConnectionParameter).ok()?;
        let declared = self.basis.connector.manifest.parameters.iter();
        let values = declared.filter_map(|(name, parameter)| {
            let set = self.basis.connection.parameters.get(name.as_str());
            let value = set
                .cloned()
                .or_else(|| parameter.default.as_ref().map(ToString::to_string))?;
            Some((name.to_string(), value))
        });
        Some(values.collect())
    }

    /// Answers a read of the connection at once, or when it is its turn.
    pub(crate) async fn connection(
        &self,
        line: Line,
        request: RequestId,
        read: ConnectionRead,
    ) -> Option<BoxFuture<'_, RequestId>> {
        if self.meters.connection_now() {
            line.reply(request, self.connection_read(read)).await;
            return None;
        }
        Some(Box::pin(async move {
            let reply = self.connection_read_in_turn(read).await;
            line.reply(request, reply).await;
            request
        }))
    }

    /// Reads of the connection: none has scopes yet, and a parameter that the worker
    /// was not given is denied, or not there.
    fn connection_read(&self, read: ConnectionRead) -> HostReply {
        self.seen.lock().connection_reads += 1;
        let admitted = self.admit(read.inward());
        match read {
            ConnectionRead::Parameter => {
                if admitted.is_some() {
                    tracing::error!("a worker asks for a parameter that it was given");
                }
                HostReply::Parameter(None)
            }
            ConnectionRead::Scopes => HostReply::Scopes(Vec::new()),
        }
    }

    /// The same, where it has to wait for its turn. There is no error of these reads:
    /// who waits too long is ended.
    async fn connection_read_in_turn(&self, read: ConnectionRead) -> HostReply {
        if let Err(over) = self.meters.connection().await {
            self.deny_inward(read.inward(), DenialReason::Limit, over.to_string());
            return HostReply::Trap(over.into());
        }
        self.connection_read(read)
    }

    /// Reads state: inward, so the grant alone decides, and it is counted.
    pub(crate) async fn state_get(&self, key: &str) -> HostReply {
        self.seen.lock().state_reads += 1;
        if let Some(refused) = self.beyond_limits(key) {
            return refused;
        }
        let Some(_admitted) = self.admit(Inward::StateGet) else {
            return HostReply::State(Err(StateRefusal::Denied));
        };
        match self.store.state(self.basis.connection.id, key).await {
            Ok(value) => HostReply::State(Ok(value)),
            Err(error) => HostReply::Trap(Trap::Host(error.to_string())),
        }
    }

    /// The answer to who asks for a key that is none, which no worker passes on.
    fn beyond_limits(&self, key: &str) -> Option<HostReply> {
        let refusal = StateRefusal::unless_within(&self.limits, key, None).err()?;
        if let StateRefusal::Limit(limit) = &refusal {
            self.deny_inward(Inward::StateGet, DenialReason::Limit, limit.clone());
        }
        Some(HostReply::State(Err(refusal)))
    }

    /// The same, where it has to wait for its turn.
    pub(crate) async fn state_get_in_turn(&self, key: &str) -> HostReply {
        if let Some(refused) = self.beyond_limits(key) {
            return refused;
        }
        if let Err(over) = self.meters.read().await {
            self.deny_inward(Inward::StateGet, DenialReason::Limit, over.to_string());
            return HostReply::State(Err(StateRefusal::Limit(over.to_string())));
        }
        self.state_get(key).await
    }

    /// The invocation's record of its inward calls and of its end, written with
    /// the next durable write; none where there was no such call and the guest
    /// ended by itself.
    pub(crate) fn record_tally(&self, usage: &Usage, outcome: &CallOutcome) {
        if usage.log_lines_dropped > 0 {
            let (lines, bytes) = (self.limits.log_lines_max, self.limits.log_bytes_max);
            let over =
                format!("`log_lines_max` ({lines}) or `log_bytes_max` ({bytes}) is exceeded");
            self.seen.lock().say_once(dropped_lines(over));
        }
        if usage.bodies_refused > 0 {
            let bytes_max = self.limits.request_body_bytes_max;
            self.seen.lock().say_once(SeenDenial {
                asked: "the body of a request".to_owned(),
                reason: DenialReason::Limit,
                remedy: format!(
                    "`request_body_bytes_max` ({bytes_max}) is exceeded: raise it, or send less"
                ),
            });
        }
        let mut seen = self.seen.lock();
        // People are told of those that never left the worker, too.
        seen.log_lines_dropped = seen
            .log_lines_dropped
            .saturating_add(usage.log_lines_dropped);
        let tally = Tally {
            id: EntryId::random(),
            at: self.gate.clock.now(),
            actor: self.basis.actor.clone(),
            log_lines: u32::try_from(seen.log.len()).unwrap_or(u32::MAX),
            log_lines_dropped: seen.log_lines_dropped,
            connection_reads: seen.connection_reads.saturating_add(usage.parameter_reads),
            state_reads: seen.state_reads,
            scratch_reads: seen.scratch_reads,
            denied: seen.inward_denied.saturating_add(usage.bodies_refused),
            ended: ended_by_host(outcome),
        };
        // Some of these are a worker's word: their sum may be anything.
        let counts = [
            tally.log_lines,
            tally.log_lines_dropped,
            tally.connection_reads,
            tally.state_reads,
            tally.scratch_reads,
            tally.denied,
        ];
        if counts.iter().any(|count| *count > 0) || tally.ended.is_some() {
            self.unit.record(Record::Tally(tally));
        }
    }
}

/// Tells people why lines of the log are missing.
fn dropped_lines(over: String) -> SeenDenial {
    SeenDenial {
        asked: Inward::LogWrite.name().to_owned(),
        reason: DenialReason::Limit,
        remedy: format!("{over}: raise it, or log less"),
    }
}

/// Why a guest did not end by itself; never in the guest's words.
fn ended_by_host(outcome: &CallOutcome) -> Option<String> {
    let CallOutcome::Trap(trap) = outcome else {
        return None;
    };
    Some(match trap {
        Trap::Limit { name, value } => match known_limit(name) {
            Some(name) => format!("it exceeded {name} ({value})"),
            None => format!("it exceeded a limit ({value})"),
        },
        Trap::Guest(_) => "it broke off".to_owned(),
        Trap::WorkerGone => "its worker ended".to_owned(),
        Trap::Cancelled(_) => "nobody waited for it any more".to_owned(),
        Trap::Spoiled(_) => "what it relied on was changed by somebody else".to_owned(),
        Trap::Host(_) => "the host could not serve it".to_owned(),
        Trap::Component(_) => "the component cannot run".to_owned(),
    })
}

/// The name of a limit, if it is one: what a worker says may be anything.
fn known_limit(said: &str) -> Option<&'static str> {
    table()
        .map(|limit| limit.name)
        .find(|name| name.eq_ignore_ascii_case(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(name: &str) -> Option<String> {
        let (name, value) = (name.to_owned(), 7);
        ended_by_host(&CallOutcome::Trap(Trap::Limit { name, value }))
    }

    #[test]
    fn the_record_of_an_end_names_a_limit_and_nothing_else_that_a_worker_says() {
        for known in ["cpu_ms_max", "STACK_BYTES_MAX", "FIELD_BYTES_MAX"] {
            assert_eq!(ended(known), Some(format!("it exceeded {known} (7)")));
        }
        let made_up = ["", "cpu_ms_max\n", "a password", &"x".repeat(1 << 20)];
        for made_up in made_up {
            let said = ended(made_up);
            assert_eq!(said.as_deref(), Some("it exceeded a limit (7)"));
        }
        let words = "words of a guest".to_owned();
        for trap in [
            Trap::Guest(words.clone()),
            Trap::Cancelled(words.clone()),
            Trap::Host(words.clone()),
            Trap::Spoiled(words.clone()),
            Trap::Component(words),
        ] {
            let said = ended_by_host(&CallOutcome::Trap(trap)).unwrap_or_default();
            assert!(!said.is_empty() && !said.contains("words"), "{said}");
        }
    }
}
