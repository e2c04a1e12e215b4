//! Scratch files of one guest call: what changes them is decided, recorded,
//! done and closed; what reads them is decided by the grant and counted.
//!
//! A record says how many bytes were written and never where or what: names
//! and contents are the tenant's.

use std::sync::Arc;

use keyway_authz::{DenialReason, Ending, Entry, Inward, OutcomeKind, ScratchChange, ScratchEdit};
use keyway_ipc::{HostReply, ScratchCall, ScratchRefusal, Trap};
use keyway_model::{ScratchName, ScratchNameError};
use keyway_store::{Scratch, ScratchError};

use crate::invocation::Invocation;
use crate::over::Over;

impl Invocation {
    /// Serves one call of scratch files. A name that is none is refused before
    /// anything is decided on.
    pub(crate) async fn scratch_call(&self, call: ScratchCall) -> HostReply {
        // Counted before it is decided: a flood of denials is a flood, too.
        let _pass = match self.meters.scratch().await {
            Ok(pass) => pass,
            Err(over) => return self.scratch_over(call, over).await,
        };
        let changed = |edit: Result<ScratchEdit, ScratchNameError>| async {
            match edit {
                Ok(edit) => self.scratch_change(edit).await,
                Err(error) => HostReply::Scratch(Err(bad_name(error))),
            }
        };
        match call {
            ScratchCall::Open { name } => changed(name.parse().map(ScratchEdit::Open)).await,
            ScratchCall::Remove { name } => changed(name.parse().map(ScratchEdit::Remove)).await,
            ScratchCall::Write {
                name,
                offset,
                bytes,
            } => {
                let edit = |name| ScratchEdit::Write(name, offset, Arc::from(&*bytes));
                changed(name.parse().map(edit)).await
            }
            ScratchCall::Read {
                name,
                offset,
                length,
            } => match name.parse() {
                Ok(name) => self.scratch_read(name, offset, length).await,
                Err(error) => HostReply::ScratchBytes(Err(bad_name(error))),
            },
            ScratchCall::List => self.scratch_list().await,
        }
    }

    /// A call beyond the rate: of what would have changed something, there is a
    /// record.
    async fn scratch_over(&self, call: ScratchCall, over: Over) -> HostReply {
        let (reason, remedy) = (DenialReason::Limit, over.to_string());
        let refusal = ScratchRefusal::Limit(remedy.clone());
        let edit = match call {
            ScratchCall::Read { .. } => {
                self.deny_inward(Inward::ScratchRead, reason, remedy);
                return HostReply::ScratchBytes(Err(refusal));
            }
            ScratchCall::List => {
                self.deny_inward(Inward::ScratchList, reason, remedy);
                return HostReply::ScratchFiles(Err(refusal));
            }
            ScratchCall::Open { name } => name.parse().map(ScratchEdit::Open),
            ScratchCall::Remove { name } => name.parse().map(ScratchEdit::Remove),
            ScratchCall::Write {
                name,
                offset,
                bytes,
            } => {
                let edit = |name| ScratchEdit::Write(name, offset, Arc::from(&*bytes));
                name.parse().map(edit)
            }
        };
        match edit {
            Ok(edit) => {
                let denial = self.grant.deny_scratch_because(edit, reason, remedy);
                self.deny("a scratch file".to_owned(), denial).await;
                HostReply::Scratch(Err(refusal))
            }
            Err(error) => HostReply::Scratch(Err(bad_name(error))),
        }
    }

    /// Changes a file: outward, so decided, recorded, done and closed.
    async fn scratch_change(&self, edit: ScratchEdit) -> HostReply {
        let decided = match self.standing() {
            Err(lost) => {
                let (reason, remedy) = (lost.reason, lost.remedy);
                Err(self.grant.deny_scratch_because(edit, reason, remedy))
            }
            Ok(()) => self.grant.decide_scratch(edit),
        };
        let permit = match decided {
            Ok(permit) => permit,
            Err(denial) => {
                self.deny("a scratch file".to_owned(), denial).await;
                return HostReply::Scratch(Err(ScratchRefusal::Denied));
            }
        };
        match permit.record(&self.recorder).await {
            Ok(entry) => self.change_file(entry).await,
            Err(error) => HostReply::Trap(Trap::Host(error.to_string())),
        }
    }

    async fn change_file(&self, entry: Entry<ScratchChange>) -> HostReply {
        let bytes_out = match entry.operation().edit() {
            ScratchEdit::Write(_, _, bytes) => bytes.len() as u64,
            ScratchEdit::Open(_) | ScratchEdit::Remove(_) => 0,
        };
        let answer = match self.scratch().change(&entry).await {
            Ok(length) => {
                let done = Ending::of(OutcomeKind::Done);
                self.unit.close(entry.close(Ending { bytes_out, ..done }));
                return HostReply::Scratch(Ok(length));
            }
            Err(error) => refused(error),
        };
        let ending = match &answer {
            Ok(refusal) => Ending::of(OutcomeKind::Refused).because(words(refusal)),
            Err(trap) => Ending::of(OutcomeKind::Failed).because(trap.to_string()),
        };
        self.unit.close(entry.close(ending));
        answer.map_or_else(HostReply::Trap, |refusal| HostReply::Scratch(Err(refusal)))
    }

    /// Reads a file: inward, so the grant alone decides, and it is counted.
    async fn scratch_read(&self, name: ScratchName, offset: u64, length: u32) -> HostReply {
        self.seen.lock().scratch_reads += 1;
        let Some(admitted) = self.admit(Inward::ScratchRead) else {
            return HostReply::ScratchBytes(Err(ScratchRefusal::Denied));
        };
        match self.scratch().read(&admitted, name, offset, length).await {
            Ok(bytes) => HostReply::ScratchBytes(Ok(bytes.into())),
            Err(error) => refused(error).map_or_else(HostReply::Trap, |refusal| {
                HostReply::ScratchBytes(Err(refusal))
            }),
        }
    }

    async fn scratch_list(&self) -> HostReply {
        self.seen.lock().scratch_reads += 1;
        let Some(admitted) = self.admit(Inward::ScratchList) else {
            return HostReply::ScratchFiles(Err(ScratchRefusal::Denied));
        };
        let files = self.scratch().list(&admitted).await;
        let told = |(name, bytes): (ScratchName, u64)| (name.as_str().to_owned(), bytes);
        HostReply::ScratchFiles(Ok(files.into_iter().map(told).collect()))
    }

    fn scratch(&self) -> &Scratch {
        self.scratch
            .get_or_init(|| self.store.scratch(&self.limits))
    }

    /// Removes the call's files, if it had any, before anyone hears that the
    /// call has ended. A call that is given up half-way drops them instead.
    pub(crate) async fn end_scratch(&self) {
        if let Some(scratch) = self.scratch.get() {
            scratch.end().await;
        }
    }
}

/// What the guest is told; what it cannot act on ends it.
fn refused(error: ScratchError) -> Result<ScratchRefusal, Trap> {
    match error {
        ScratchError::Limit { name, value } => {
            Ok(ScratchRefusal::Limit(format!("{name} ({value})")))
        }
        ScratchError::NotFound => Ok(ScratchRefusal::NotFound),
        ScratchError::BehindEnd => Ok(ScratchRefusal::BehindEnd),
        ScratchError::Tampered => {
            let reason = ScratchError::Tampered.to_string();
            tracing::error!("{reason}");
            Err(Trap::Spoiled(reason))
        }
        lasting @ (ScratchError::Io { .. } | ScratchError::Vault(_) | ScratchError::Ending | _) => {
            Err(Trap::Host(lasting.to_string()))
        }
    }
}

fn bad_name(error: ScratchNameError) -> ScratchRefusal {
    ScratchRefusal::BadName(error.to_string())
}

fn words(refusal: &ScratchRefusal) -> String {
    match refusal {
        ScratchRefusal::Limit(text) | ScratchRefusal::BadName(text) => text.clone(),
        ScratchRefusal::Denied => "not granted".to_owned(),
        ScratchRefusal::NotFound => "there is no file of that name".to_owned(),
        ScratchRefusal::BehindEnd => "the offset is behind the end of the file".to_owned(),
    }
}
