//! Honest load: requests at fixed times, whatever became of those before.
//!
//! Latency counts from the time at which a request was due, not from when it
//! could be sent: a system that holds up its callers does not look better for
//! it. Nothing here knows what else is going on.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::harness::{order, raw, split};

/// Requests that may be under way at once; more than ever are.
const CALLERS: usize = 16;

/// What a window of honest load came to.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// From due to answered, in order of size.
    pub(crate) took: Vec<Duration>,
    /// Those that were not answered as they should be.
    pub(crate) failed: Vec<String>,
}

impl Window {
    /// The time that `percent` of the requests needed at most.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.took.len() * percent).div_ceil(100).max(1);
        self.took[rank - 1]
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.took.extend(other.took);
        self.took.sort();
        self.failed.extend(other.failed);
    }
}

/// The honest workspace's caller.
pub(crate) struct Victim {
    address: SocketAddr,
    path: String,
    number: Arc<AtomicU32>,
}

impl Victim {
    pub(crate) fn new(hook: &str) -> Self {
        let (address, path) = split(hook);
        Self {
            address,
            path,
            number: Arc::new(AtomicU32::new(1)),
        }
    }

    /// Sends `requests`, one every `interval`, and waits for all answers.
    pub(crate) fn window(&self, requests: u32, interval: Duration) -> Window {
        let (send, due) = mpsc::channel::<Instant>();
        let due = Arc::new(Mutex::new(due));
        let window = Arc::new(Mutex::new(Window::default()));
        let start = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..CALLERS {
                let (due, window) = (Arc::clone(&due), Arc::clone(&window));
                scope.spawn(move || {
                    loop {
                        let at = due.lock().unwrap().recv();
                        let Ok(at) = at else { return };
                        let answered = self.send();
                        let took = at.elapsed();
                        let mut window = window.lock().unwrap();
                        window.took.push(took);
                        window.failed.extend(answered.err());
                    }
                });
            }
            for number in 0..requests {
                let at = start + interval * number;
                // Waits for the time at which the request is due, and for nothing else.
                std::thread::park_timeout(at.saturating_duration_since(Instant::now()));
                send.send(at).unwrap();
            }
            drop(send);
        });
        let mut window = Arc::into_inner(window).unwrap().into_inner().unwrap();
        window.took.sort();
        window
    }

    fn send(&self) -> Result<(), String> {
        let body = order(self.number.fetch_add(1, Ordering::Relaxed)).to_string();
        match raw(self.address, "POST", &self.path, &[], body.as_bytes()) {
            Ok((200, _)) => Ok(()),
            Ok((status, answer)) => Err(format!("{status}: {}", String::from_utf8_lossy(&answer))),
            Err(error) => Err(error.to_string()),
        }
    }
}
