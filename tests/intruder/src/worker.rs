//! A worker that was taken over: a broker starts it, hands it a lane and has its word that it
//! is ready, as of any other; and it is locked in as any other. Then the first call has it try
//! what the call names.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};

use keyway_confine::{Confinement, Limits, Report, Start};
use keyway_ipc::{End, Entrance, LayerReport, LayerState, Link, Standing, ToBroker, ToWorker};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::attempts::{self, Prepared};

/// With the options of `keyway worker`, of which it needs two. Comes back only if nothing
/// that it tried has ended it.
pub(crate) fn run(options: &[String], limits: &Limits) -> io::Result<()> {
    let confinement = Confinement::begin(Start {
        user: option(options, "--user="),
        broker: option(options, "--broker=").unwrap_or_default(),
    });
    let end = receive_lane()?;
    // It asks who its parent is, which a worker may not.
    let prepared = attempts::prepare("");
    let threaded = confinement.before_threads();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let link: Link<ToBroker, ToWorker> = {
        let _inside = runtime.enter();
        keyway_ipc::over_pipes(end)?
    };
    let report = threaded.close(limits);
    if let Some((layer, why)) = report.refused().next() {
        let refused = format!("not confined: {layer}: {why}");
        return Err(io::Error::other(refused));
    }
    runtime.block_on(serve(link, standing(&report), prepared))
}

/// How it stands, in the words of the lane.
fn standing(report: &Report) -> Standing {
    use keyway_confine::LayerState::{Covered, Held, Refused};
    let layers = report.layers().iter().map(|report| LayerReport {
        layer: report.layer.name().to_owned(),
        state: match &report.state {
            Held => LayerState::Held,
            Covered(how) => LayerState::Covered(how.clone()),
            Refused(why) => LayerState::Refused(why.clone()),
        },
    });
    Standing {
        quick_reset: false,
        layers: layers.collect(),
    }
}

/// What a number among the options is.
fn option(options: &[String], name: &str) -> Option<u32> {
    let mut said = options
        .iter()
        .filter_map(|option| option.strip_prefix(name));
    said.next()?.parse().ok()
}

/// The descriptors of the one lane, once the broker has sent all that it sends.
fn receive_lane() -> io::Result<End> {
    let control = io::stdin();
    let mut lane = None;
    loop {
        let mut byte = [0; 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(End::DESCRIPTORS))];
        let mut message = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(
            control.as_fd(),
            &mut [IoSliceMut::new(&mut byte)],
            &mut message,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        if received.bytes == 0 {
            return lane.ok_or_else(|| io::Error::other("no lane came"));
        }
        for part in message.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = part {
                let descriptors: Vec<OwnedFd> = descriptors.collect();
                let descriptors: [OwnedFd; End::DESCRIPTORS] = descriptors
                    .try_into()
                    .map_err(|_| io::Error::other("a lane came without all of its descriptors"))?;
                lane = Some(End::from_descriptors(descriptors));
            }
        }
    }
}

/// Says that it is ready, and waits for a call that names attempts.
async fn serve(
    link: Link<ToBroker, ToWorker>,
    standing: Standing,
    prepared: Prepared,
) -> io::Result<()> {
    let Link {
        sender,
        mut receiver,
    } = link;
    let ready = sender.send(ToBroker::Ready(standing));
    ready.await.map_err(io::Error::other)?;
    while let Some(incoming) = receiver.receive().await.map_err(io::Error::other)? {
        if let ToWorker::Invoke(invoke) = incoming.message
            && let Entrance::Action { name, input } = &invoke.entrance
        {
            return try_all(name, &prepared.with(input));
        }
    }
    Ok(())
}

/// Tries one after the other. Each must be refused, and the last must end the process.
fn try_all(names: &str, prepared: &Prepared) -> io::Result<()> {
    for name in names.split(' ') {
        let attempt = attempts::find(name);
        let attempt = attempt.ok_or_else(|| io::Error::other("there is no such attempt"))?;
        if attempt(prepared).is_ok() {
            return Err(io::Error::other(format!("{name} worked")));
        }
    }
    Err(io::Error::other("it goes on"))
}
