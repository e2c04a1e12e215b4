//! Finds a secret however it is written: each character may be escaped in a
//! way of its own, and an encoded text may be broken into lines.

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
    /// Which pairs of bytes something that is looked for can begin with.
    beginnings: Vec<u64>,
    longest: usize,
}

impl Patterns {
    /// Secrets as they are, and forms of them.
    pub(super) fn of(secrets: Vec<Zeroizing<Vec<u8>>>, forms: Vec<Zeroizing<Vec<u8>>>) -> Self {
        let loose = secrets.into_iter().map(Pattern::Loose);
        let all: Vec<Pattern> = loose
            .chain(forms.into_iter().map(Pattern::Broken))
            .collect();
        let mut beginnings = vec![0; 1 << 10];
        for pattern in &all {
            pattern.begin(&mut beginnings);
        }
        let longest = all.iter().map(Pattern::bytes_max).max().unwrap_or(0);
        Self {
            all,
            beginnings,
            longest,
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Bytes that the longest match can have.
    pub(super) const fn longest(&self) -> usize {
        self.longest
    }

    /// Where the longest match that begins at `at` ends. Counts what it looks
    /// at in `steps`.
    pub(super) fn match_at(&self, bytes: &[u8], at: usize, steps: &mut u64) -> Option<usize> {
        *steps += 1;
        let first = *bytes.get(at)?;
        if let Some(second) = bytes.get(at + 1)
            && !is_set(&self.beginnings, first, *second)
        {
            return None;
        }
        self.all
            .iter()
            .filter_map(|pattern| pattern.end(bytes, at, steps))
            .max()
    }
}

fn bit(first: u8, second: u8) -> (usize, u64) {
    let index = usize::from(first) << 8 | usize::from(second);
    (index >> 6, 1 << (index & 63))
}

fn set(beginnings: &mut [u64], first: u8, second: u8) {
    let (word, bit) = bit(first, second);
    if let Some(word) = beginnings.get_mut(word) {
        *word |= bit;
    }
}

fn is_set(beginnings: &[u64], first: u8, second: u8) -> bool {
    let (word, bit) = bit(first, second);
    beginnings.get(word).is_some_and(|word| word & bit != 0)
}

impl Pattern {
    fn bytes_max(&self) -> usize {
        match self {
            Self::Loose(secret) => secret.len() * CHARACTER_BYTES_MAX,
            Self::Broken(form) => form.len() * BROKEN_BYTES_MAX,
        }
    }

    /// Marks every pair of bytes that a match can begin with.
    fn begin(&self, beginnings: &mut [u64]) {
        match self {
            Self::Broken(form) => {
                if let [first, second, ..] = form.as_slice() {
                    for second in [*second, b'\r', b'\n', b'\\'] {
                        set(beginnings, *first, second);
                    }
                }
            }
            Self::Loose(secret) => {
                if let [first, second, ..] = secret.as_slice() {
                    for second in [*second, b'%', b'\\', b'&', b'=', b'+'] {
                        set(beginnings, *first, second);
                        // A space may be a plus.
                        if *first == b' ' {
                            set(beginnings, b'+', second);
                        }
                    }
                }
                // What follows these depends on the byte; there are few of them.
                for escape in [b'%', b'\\', b'&', b'='] {
                    (0..=u8::MAX).for_each(|second| set(beginnings, escape, second));
                }
            }
        }
    }

    fn end(&self, bytes: &[u8], at: usize, steps: &mut u64) -> Option<usize> {
        match self {
            Self::Loose(secret) => loose(secret, bytes, at, steps),
            Self::Broken(form) => broken(form, bytes, at, steps),
        }
    }
}

/// A byte may be readable in two ways (`%` is itself, or begins `%25`), so the
/// places where the next one may begin are a small set.
fn loose(secret: &[u8], bytes: &[u8], at: usize, steps: &mut u64) -> Option<usize> {
    let mut places = vec![at];
    let mut next = Vec::new();
    for byte in secret {
        for place in places.drain(..) {
            *steps += 1;
            ways(*byte, bytes.get(place..).unwrap_or_default(), |length| {
                let end = place + length;
                if !next.contains(&end) {
                    next.push(end);
                }
            });
        }
        std::mem::swap(&mut places, &mut next);
        if places.is_empty() {
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

fn broken(form: &[u8], bytes: &[u8], at: usize, steps: &mut u64) -> Option<usize> {
    let mut place = at;
    for (index, wanted) in form.iter().enumerate() {
        *steps += 1;
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
