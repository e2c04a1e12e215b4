//! Counts the bytes of a socket for whose account it is.

use std::io;
use std::sync::Arc;

use crate::quota::{Account, Way};
use crate::watched::{Watch, Watched};

/// A socket whose bytes are counted, as they are on the wire.
pub(crate) type Metered<T> = Watched<T, Meter>;

/// Counts for an account.
#[derive(Debug)]
pub(crate) struct Meter(Arc<Account>);

impl<T> Metered<T> {
    pub(crate) const fn new(inner: T, account: Arc<Account>) -> Self {
        Self::by(Meter(account), inner)
    }
}

impl Watch for Meter {
    fn read(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !bytes.is_empty() {
            self.0.moved(Way::In, bytes.len());
        }
        Ok(())
    }

    fn wrote(&mut self, bytes: &[u8]) {
        self.0.moved(Way::Out, bytes.len());
    }
}
