//! Requests that arrive at a constant rate, whether or not earlier ones were answered.
//!
//! Latency counts from when a request was meant to leave, not from when a connection was free for it: what waits because
//! the other side is slow has waited. A closed loop would leave exactly those moments out.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};

use crate::load::{self, Outcome, Plan, Share};

/// How long after the last arrival replies are waited for.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// What to send, and how often.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "arrivals")]
pub struct Options {
    /// The load; `--connections` is the most that are under way at once.
    #[command(flatten)]
    pub load: load::Options,
    /// Arrivals per second.
    #[arg(long)]
    pub rate: f64,
}

type Arrivals = Rc<Mutex<mpsc::UnboundedReceiver<Instant>>>;

/// Runs the load; wants a current-thread runtime inside a [`tokio::task::LocalSet`].
///
/// # Errors
/// If the body cannot be read or the URL is not a clear one.
pub async fn run(options: Options) -> anyhow::Result<Outcome> {
    anyhow::ensure!(options.rate > 0.0, "--rate must be above 0");
    let interval = Duration::try_from_secs_f64(1.0 / options.rate).context("--rate")?;
    let plan = Rc::new(Plan::new(&options.load)?);
    let share = Rc::new(RefCell::new(Share::default()));
    let (arrive, arrivals) = mpsc::unbounded_channel();
    let until = plan.until;
    // On a thread of its own: the runtime's timers are good to a millisecond only.
    let pacer = std::thread::spawn(move || pace(Instant::now(), interval, until, &arrive));
    let arrivals = Rc::new(Mutex::new(arrivals));
    let connections: Vec<_> = (0..options.load.connections)
        .map(|_| connection(Rc::clone(&plan), Rc::clone(&arrivals), Rc::clone(&share)))
        .map(tokio::task::spawn_local)
        .collect();
    let all = futures_of(connections);
    let in_time = tokio::time::timeout_at((until + DRAIN_MAX).into(), all).await;
    let sent = pacer
        .join()
        .map_err(|_| anyhow::anyhow!("the pacer panicked"))?;
    let mut share = share.take();
    match in_time {
        Ok(ended) => ended?,
        Err(_) => share.failed(format!(
            "of {sent} requests some had no reply {DRAIN_MAX:?} later"
        )),
    }
    Ok(share.outcome(plan.seconds()))
}

async fn futures_of(connections: Vec<tokio::task::JoinHandle<()>>) -> anyhow::Result<()> {
    for connection in connections {
        connection.await.context("a connection panicked")?;
    }
    Ok(())
}

/// Says when each request is meant to leave, at that moment; how many there were.
fn pace(
    from: Instant,
    interval: Duration,
    until: Instant,
    arrive: &mpsc::UnboundedSender<Instant>,
) -> u64 {
    let mut intended = from;
    let mut sent = 0;
    while intended < until {
        std::thread::sleep(intended.saturating_duration_since(Instant::now()));
        if arrive.send(intended).is_err() {
            return sent;
        }
        sent += 1;
        intended += interval;
    }
    sent
}

/// Takes one arrival after the other; a failure is counted, and the next gets a new connection.
async fn connection(plan: Rc<Plan>, arrivals: Arrivals, share: Rc<RefCell<Share>>) {
    let mut open = None;
    let mut buffer = Vec::with_capacity(8 * 1024);
    loop {
        let Some(intended) = arrivals.lock().await.recv().await else {
            return;
        };
        match exchange(&plan, &mut open, &mut buffer).await {
            Ok(()) if intended >= plan.measured_from => {
                share.borrow_mut().latencies.add(intended.elapsed());
            }
            Ok(()) => {}
            Err(fault) => {
                open = None;
                share.borrow_mut().failed(format!("{fault:#}"));
            }
        }
    }
}

async fn exchange(
    plan: &Plan,
    open: &mut Option<TcpStream>,
    buffer: &mut Vec<u8>,
) -> anyhow::Result<()> {
    let stream = match open {
        Some(stream) => stream,
        None => open.insert(plan.connect().await?),
    };
    plan.exchange(stream, buffer).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn the_options_of_both_generators_stand_beside_each_other() {
        use clap::Parser as _;
        let given = ["arrivals", "--url", "http://127.0.0.1:1/", "--rate", "2.5"];
        let options = Cli::try_parse_from(given).map(|cli| cli.options);
        assert!(options.is_ok_and(|options| options.rate == 2.5));
    }

    #[test]
    fn arrivals_keep_their_rate_when_nobody_takes_them() {
        let (arrive, mut arrivals) = mpsc::unbounded_channel();
        let started = Instant::now();
        let interval = Duration::from_millis(1);
        let sent = pace(
            started,
            interval,
            started + Duration::from_millis(20),
            &arrive,
        );
        let first = arrivals.try_recv();
        let second = arrivals.try_recv();
        assert_eq!(sent, 20);
        assert_eq!((first, second), (Ok(started), Ok(started + interval)));
    }
}
