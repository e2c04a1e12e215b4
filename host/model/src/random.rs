//! Random bytes for what must not be guessed and is no key: ids and salts.
//!
//! Drawing a thousand bytes costs little more than drawing sixteen, so each
//! thread draws them together. What was given out is erased.

use std::cell::RefCell;

const DRAWN_BYTES: usize = 1 << 10;

struct Stock {
    bytes: [u8; DRAWN_BYTES],
    given: usize,
}

thread_local! {
    static STOCK: RefCell<Stock> = const {
        RefCell::new(Stock {
            bytes: [0; DRAWN_BYTES],
            given: DRAWN_BYTES,
        })
    };
}

/// Bytes of the operating system's random source that nobody else is given.
/// `N` is at most 1,024.
pub fn bytes<const N: usize>() -> [u8; N] {
    const { assert!(N <= DRAWN_BYTES, "more bytes than are drawn at once") };
    STOCK.with_borrow_mut(|stock| {
        if DRAWN_BYTES - stock.given < N {
            aws_lc_rs::rand::fill(&mut stock.bytes)
                .expect("the operating system's random source never fails");
            stock.given = 0;
        }
        let mut given = [0; N];
        let end = stock.given + N;
        if let Some(next) = stock.bytes.get_mut(stock.given..end) {
            given.copy_from_slice(next);
            next.fill(0);
        }
        stock.given = end;
        given
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_bytes_are_given_twice_and_none_stay() {
        let mut seen = HashSet::new();
        for _ in 0..1_000 {
            assert!(seen.insert(bytes::<16>()));
            assert!(seen.insert({
                let mut padded = [0; 16];
                padded[..12].copy_from_slice(&bytes::<12>());
                padded
            }));
        }
        let other = std::thread::spawn(|| (0..100).map(|_| bytes::<16>()).collect::<Vec<_>>());
        assert!(
            other
                .join()
                .is_ok_and(|other| other.iter().all(|one| seen.insert(*one)))
        );
        STOCK.with_borrow(|stock| {
            assert!(stock.bytes.iter().take(stock.given).all(|byte| *byte == 0));
        });
    }
}
