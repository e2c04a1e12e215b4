//! Finds a secret however it is written: each character may be escaped in a
//! way of its own, and an encoded text may be broken into lines.
//!
//! Most of a body is passed over by the two bytes that a match can begin with,
//! many bytes at a time; what is left is looked at one by one.

use aho_corasick::{Span, packed};
use zeroize::Zeroizing;

/// The longest way of writing one character: `&#x000026;`.
const CHARACTER_BYTES_MAX: usize = 10;

/// A byte of an encoded text and the line break before it, `\r\n` escaped.
const BROKEN_BYTES_MAX: usize = 5;

/// What entities of HTML stand for.
const ENTITIES: [(u8, &[u8]); 6] = [
    (b'&', b"&amp;"),
    (b'<', b"&lt;"),
    (b'>', b"&gt;"),
    (b'"', b"&quot;"),
    (b'\'', b"&apos;"),
    (b' ', b"&nbsp;"),
];

/// Line breaks as they may stand inside an encoded text, raw and in JSON.
const BREAKS: [&[u8]; 4] = [b"\r\n", b"\n", b"\\r\\n", b"\\n"];

enum Pattern {
    /// A secret, of which every byte may be written in any way.
    Loose(Zeroizing<Vec<u8>>),
    /// An encoded form, which may be broken into lines.
    Broken(Zeroizing<Vec<u8>>),
}

/// Everything that is looked for.
pub(super) struct Patterns {
    all: Vec<Pattern>,
    beginnings: Beginnings,
    longest: usize,
    bytes: usize,
}

/// Which pairs of bytes something that is looked for can begin with.
enum Beginnings {
    /// For the vector instructions of this machine.
    Few(packed::Searcher),
    /// A bit for each pair: there are too many, or this machine has no such instructions.
    Many(Vec<u64>),
}

impl Patterns {
    /// Secrets as they are, and forms of them.
    pub(super) fn of(secrets: Vec<Zeroizing<Vec<u8>>>, forms: Vec<Zeroizing<Vec<u8>>>) -> Self {
        let loose = secrets.into_iter().map(Pattern::Loose);
        let all: Vec<Pattern> = loose
            .chain(forms.into_iter().map(Pattern::Broken))
            .collect();
        let mut pairs: Vec<[u8; 2]> = all.iter().flat_map(Pattern::beginnings).collect();
        pairs.sort_unstable();
        pairs.dedup();
        let beginnings = Beginnings::of(&pairs);
        let longest = all.iter().map(Pattern::bytes_max).max().unwrap_or(0);
        let own: usize = all.iter().map(Pattern::bytes).sum();
        let bytes = own + beginnings.bytes();
        Self {
            all,
            beginnings,
            longest,
            bytes,
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Bytes that the longest match can have.
    pub(super) const fn longest(&self) -> usize {
        self.longest
    }

    /// Bytes of memory that they take.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first match that begins at `from` or behind it, and before `until`:
    /// where it begins and where the longest one from there ends. Gives up when
    /// `steps`, in which it counts what it looks at, exceeds `most`.
    pub(super) fn find(
        &self,
        bytes: &[u8],
        from: usize,
        until: usize,
        steps: &mut u64,
        most: u64,
    ) -> Found {
        let mut from = from;
        while let Some(at) = self.beginnings.next(bytes, from, until) {
            *steps += 1;
            if *steps > most {
                return Found::TooMuchWork { at };
            }
            let ends = self.all.iter();
            let end = ends
                .filter_map(|pattern| pattern.end(bytes, at, steps, most))
                .max();
            if *steps > most {
                return Found::TooMuchWork { at };
            }
            if let Some(end) = end {
                return Found::Match { at, end };
            }
            from = at + 1;
        }
        Found::Nothing
    }
}

/// What a search comes to.
pub(super) enum Found {
    /// A match.
    Match { at: usize, end: usize },
    /// It was given up here.
    TooMuchWork { at: usize },
    /// No match begins in what was searched.
    Nothing,
}

impl Beginnings {
    fn of(pairs: &[[u8; 2]]) -> Self {
        let searcher = packed::Config::new().builder().extend(pairs).build();
        searcher.map_or_else(|| Self::Many(bits(pairs)), Self::Few)
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Few(searcher) => searcher.memory_usage(),
            Self::Many(bits) => size_of_val(bits.as_slice()),
        }
    }

    /// The first place from `from` on, and before `until`, at which a match can begin.
    fn next(&self, bytes: &[u8], from: usize, until: usize) -> Option<usize> {
        // The second byte may lie behind what is searched.
        let end = until.saturating_add(1).min(bytes.len());
        let searched = bytes.get(from..end)?;
        match self {
            Self::Few(searcher) => {
                let span = Span { start: from, end };
                Some(searcher.find_in(bytes, span)?.start())
            }
            Self::Many(bits) => {
                let pairs = searched.iter().zip(searched.iter().skip(1));
                let mut is_beginning = pairs.map(|(first, second)| is_set(bits, *first, *second));
                Some(from + is_beginning.position(|is_set| is_set)?)
            }
        }
    }
}

fn bits(pairs: &[[u8; 2]]) -> Vec<u64> {
    let mut bits = vec![0; 1 << 10];
    for [first, second] in pairs {
        let (word, bit) = bit(*first, *second);
        if let Some(word) = bits.get_mut(word) {
            *word |= bit;
        }
    }
    bits
}

fn bit(first: u8, second: u8) -> (usize, u64) {
    let index = usize::from(first) << 8 | usize::from(second);
    (index >> 6, 1 << (index & 63))
}

fn is_set(bits: &[u64], first: u8, second: u8) -> bool {
    let (word, bit) = bit(first, second);
    bits.get(word).is_some_and(|word| word & bit != 0)
}

impl Pattern {
    fn bytes_max(&self) -> usize {
        match self {
            Self::Loose(secret) => secret.len() * CHARACTER_BYTES_MAX,
            Self::Broken(form) => form.len() * BROKEN_BYTES_MAX,
        }
    }

    fn bytes(&self) -> usize {
        let (Self::Loose(text) | Self::Broken(text)) = self;
        size_of::<Self>() + text.capacity()
    }

    /// Every pair of bytes that a match can begin with.
    fn beginnings(&self) -> Vec<[u8; 2]> {
        match self {
            Self::Broken(form) => match form.as_slice() {
                [first, second, ..] => [*second, b'\r', b'\n', b'\\']
                    .map(|second| [*first, second])
                    .to_vec(),
                _ => Vec::new(),
            },
            Self::Loose(secret) => match secret.as_slice() {
                [first, second, ..] => written(*first, *second),
                _ => Vec::new(),
            },
        }
    }

    /// Where it ends that begins at `at`; `None` also if `steps` exceeds `most`.
    fn end(&self, bytes: &[u8], at: usize, steps: &mut u64, most: u64) -> Option<usize> {
        match self {
            Self::Loose(secret) => loose(secret, bytes, at, steps, most),
            Self::Broken(form) => broken(form, bytes, at, steps, most),
        }
    }
}

/// The first two bytes of every way to write `first`, and `second` behind it.
fn written(first: u8, second: u8) -> Vec<[u8; 2]> {
    let mut pairs = Vec::new();
    let plain = if first == b' ' {
        vec![first, b'+']
    } else {
        vec![first]
    };
    for first in plain {
        pairs.extend([second, b'%', b'\\', b'&', b'=', b'+'].map(|second| [first, second]));
    }
    // The first digit of two; `u32::from_str_radix` takes a sign, too.
    for digits in [
        format!("{first:02x}"),
        format!("{first:02X}"),
        "+".to_owned(),
    ] {
        pairs.extend(
            digits
                .bytes()
                .take(1)
                .flat_map(|digit| [[b'%', digit], [b'=', digit]]),
        );
    }
    pairs.extend([b'u', b'x', first].map(|escaped| [b'\\', escaped]));
    let letters = b"nrtbf"
        .iter()
        .filter(|letter| named(**letter) == Some(first));
    pairs.extend(letters.map(|letter| [b'\\', *letter]));
    pairs.push([b'&', b'#']);
    let entities = ENTITIES.iter().filter(|(meant, _)| *meant == first);
    pairs.extend(entities.filter_map(|(_, name)| name.first_chunk().copied()));
    pairs
}

/// A byte may be readable in two ways (`%` is itself, or begins `%25`), so the
/// places where the next one may begin are a small set.
fn loose(secret: &[u8], bytes: &[u8], at: usize, steps: &mut u64, most: u64) -> Option<usize> {
    let mut places = vec![at];
    let mut next = Vec::new();
    for byte in secret {
        for place in places.drain(..) {
            *steps += 1;
            ways(*byte, bytes.get(place..).unwrap_or_default(), |length| {
                next.push(place + length);
            });
        }
        next.sort_unstable();
        next.dedup();
        std::mem::swap(&mut places, &mut next);
        if places.is_empty() || *steps > most {
            return None;
        }
    }
    places.into_iter().max()
}

/// Every length at which `byte` may be written at the beginning of `text`.
fn ways(byte: u8, text: &[u8], mut found: impl FnMut(usize)) {
    let Some(first) = text.first() else { return };
    if *first == byte || (*first == b'+' && byte == b' ') {
        found(1);
    }
    let hexadecimal = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        let digits = std::str::from_utf8(digits).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let wanted = Some(u32::from(byte));
    match first {
        b'%' | b'=' if hexadecimal(1..3) == wanted => found(3),
        b'\\' => match text.get(1) {
            Some(b'u') if hexadecimal(2..6) == wanted => found(6),
            Some(b'x') if hexadecimal(2..4) == wanted => found(4),
            Some(escaped) if *escaped == byte || named(*escaped) == Some(byte) => found(2),
            _ => {}
        },
        b'&' => entity(byte, text, found),
        _ => {}
    }
}

/// What a one-letter escape of JSON stands for.
const fn named(escaped: u8) -> Option<u8> {
    match escaped {
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        b'b' => Some(8),
        b'f' => Some(12),
        _ => None,
    }
}

fn entity(byte: u8, text: &[u8], mut found: impl FnMut(usize)) {
    for (meant, name) in ENTITIES {
        if meant == byte && text.starts_with(name) {
            found(name.len());
        }
    }
    let Some(reference) = text.strip_prefix(b"&#") else {
        return;
    };
    let end = reference
        .iter()
        .take(CHARACTER_BYTES_MAX - 2)
        .position(|digit| *digit == b';');
    let Some(digits) = end.and_then(|end| reference.get(..end)) else {
        return;
    };
    let Ok(text) = std::str::from_utf8(digits) else {
        return;
    };
    let number = match text.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    if number == Ok(u32::from(byte)) {
        found(b"&#;".len() + digits.len());
    }
}

fn broken(form: &[u8], bytes: &[u8], at: usize, steps: &mut u64, most: u64) -> Option<usize> {
    let mut place = at;
    for (index, wanted) in form.iter().enumerate() {
        *steps += 1;
        if *steps > most {
            return None;
        }
        if index > 0 && bytes.get(place) != Some(wanted) {
            let rest = bytes.get(place..).unwrap_or_default();
            place += BREAKS.iter().find(|line| rest.starts_with(line))?.len();
        }
        if bytes.get(place) != Some(wanted) {
            return None;
        }
        place += 1;
    }
    Some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text without a pattern, in which every byte is about as frequent.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        std::iter::repeat_with(next)
            .flatten()
            .take(length)
            .collect()
    }

    #[test]
    fn both_ways_to_pass_over_bytes_stop_at_the_same_places() {
        let secret = Pattern::Loose(Zeroizing::new(b"~token".to_vec()));
        let form = Pattern::Broken(Zeroizing::new(b"fnRva2Vu".to_vec()));
        let pairs = [secret.beginnings(), form.beginnings()].concat();
        let few = Beginnings::of(&pairs);
        assert!(matches!(few, Beginnings::Few(_)) || cfg!(not(target_arch = "x86_64")));
        let many = Beginnings::Many(bits(&pairs));
        let text = noise(1 << 18);
        let places = |beginnings: &Beginnings| {
            let mut places = Vec::new();
            while let Some(at) =
                beginnings.next(&text, places.last().map_or(0, |last| last + 1), text.len())
            {
                places.push(at);
            }
            places
        };
        let found = places(&many).len();
        assert!(found > 10, "{found} of {pairs:?}");
        assert_eq!(places(&few), places(&many));
    }
}
