//! A deterministic mutator: the same seed and corpus give the same inputs.
//!
//! It takes a file of the corpus and changes it in a few places: bits, bytes,
//! pieces that are cut, doubled, moved or taken from another file, and words of
//! the target's language. It does not look at coverage; libFuzzer does.

/// A small generator of random numbers (SplitMix64), which needs no state
/// but one word and no dependency.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator with this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if `end` is 0.
    pub const fn below(&mut self, end: usize) -> usize {
        if end == 0 {
            return 0;
        }
        (self.next() % end as u64) as usize
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        // Most pieces are short, as most faults are local.
        let most = [4, 16, 64, length][self.below(4)];
        let end = start + self.below(most.min(length - start) + 1);
        start..end
    }
}

/// Makes inputs out of a corpus.
#[derive(Debug)]
pub struct Mutator<'a> {
    random: Random,
    corpus: &'a [Vec<u8>],
    tokens: &'a [&'a str],
    bytes_max: usize,
}

impl<'a> Mutator<'a> {
    /// A mutator over `corpus`, which knows `tokens` and makes nothing longer
    /// than `bytes_max`.
    pub const fn new(
        seed: u64,
        corpus: &'a [Vec<u8>],
        tokens: &'a [&'a str],
        bytes_max: usize,
    ) -> Self {
        Self {
            random: Random::new(seed),
            corpus,
            tokens,
            bytes_max,
        }
    }

    /// The next input.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut bytes = self.any_of_corpus();
        for _ in 0..=self.random.below(6) {
            self.change(&mut bytes);
        }
        bytes.truncate(self.bytes_max);
        bytes
    }

    fn any_of_corpus(&mut self) -> Vec<u8> {
        let index = self.random.below(self.corpus.len());
        self.corpus.get(index).cloned().unwrap_or_default()
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.random.below(bytes.len() + 1);
        match self.random.below(10) {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << self.random.below(8);
                }
            }
            1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte =
                        [0, 1, 0x7f, 0x80, 0xff, self.random.next() as u8][self.random.below(6)];
                }
            }
            2 => bytes.insert(at, self.random.next() as u8),
            3 => drop(bytes.drain(self.random.range(bytes.len()))),
            4 => {
                let piece = bytes[self.random.range(bytes.len())].to_vec();
                insert(bytes, at, &piece);
            }
            5 => {
                let other = self.any_of_corpus();
                let piece = other[self.random.range(other.len())].to_vec();
                insert(bytes, at, &piece);
            }
            6 | 7 => {
                let token = self.tokens.get(self.random.below(self.tokens.len()));
                insert(bytes, at, token.copied().unwrap_or_default().as_bytes());
            }
            8 => {
                let range = self.random.range(bytes.len());
                for byte in &mut bytes[range] {
                    *byte = self.random.next() as u8;
                }
            }
            _ => {
                let many = self.random.below(200);
                let piece = bytes[self.random.range(bytes.len())].to_vec();
                if piece.len() * many <= self.bytes_max {
                    insert(bytes, at, &piece.repeat(many));
                }
            }
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    bytes.splice(at..at, piece.iter().copied());
}
