//! How many host calls are under way.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::over::Over;

/// Room for so many at once.
#[derive(Debug)]
pub(super) struct Room {
    name: &'static str,
    permits: Arc<Semaphore>,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    max: u32,
    /// Those under way beyond the limit since it was lowered: so many that end make
    /// no room.
    surplus: usize,
}

impl Room {
    pub(super) fn new(name: &'static str, max: u32) -> Self {
        Self {
            name,
            permits: Arc::new(Semaphore::new(max as usize)),
            held: Mutex::new(Held { max, surplus: 0 }),
        }
    }

    /// Holds it to another number; what is under way stays so.
    pub(super) fn hold_to(&self, max: u32) {
        let mut held = self.held.lock();
        if let Some(fewer) = held.max.checked_sub(max) {
            let fewer = fewer as usize;
            held.surplus += fewer - self.permits.forget_permits(fewer);
        } else {
            let more = (max - held.max) as usize;
            let forgiven = more.min(held.surplus);
            held.surplus -= forgiven;
            self.permits.add_permits(more - forgiven);
        }
        held.max = max;
    }

    /// Takes a place, waiting for it until `deadline`.
    pub(super) async fn place(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Over> {
        loop {
            // Whoever waits comes first here, too: it is given what becomes free.
            let permit = match Arc::clone(&self.permits).try_acquire_owned() {
                Ok(permit) => permit,
                Err(_) => self.place_in_turn(deadline).await?,
            };
            let mut held = self.held.lock();
            if held.surplus == 0 {
                return Ok(permit);
            }
            held.surplus -= 1;
            permit.forget();
        }
    }

    async fn place_in_turn(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Over> {
        match timeout_at(deadline, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(self.over()),
        }
    }

    fn over(&self) -> Over {
        Over {
            name: self.name,
            value: self.held.lock().max.into(),
        }
    }
}
