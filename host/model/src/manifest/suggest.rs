//! "Did you mean": the known word that a wrong word was probably meant to be.

/// Words for a remedy: the nearest of `known`, or all of them.
pub(crate) fn remedy<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let mut known: Vec<&str> = known.into_iter().collect();
    known.sort_unstable();
    match (nearest(wrong, known.iter().copied()), known.len()) {
        (Some(word), _) => format!("did you mean `{word}`?"),
        (None, 0) => "there is none to choose from: declare it, or remove this".to_owned(),
        (None, 1) => format!("write `{}`", known.concat()),
        (None, _) => format!("write one of `{}`", known.join("`, `")),
    }
}

/// The word that is probably meant, if one is near enough.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|word| (distance(wrong, word), word))
        .filter(|(far, word)| *far <= word.chars().count().div_ceil(3))
        .min()
        .map(|(_, word)| word)
}

/// How many characters must be changed, added or removed to get from `a` to
/// `b`; texts over 64 characters count as far from everything.
fn distance(a: &str, b: &str) -> usize {
    if a.len().max(b.len()) > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (above, from) in a.chars().enumerate() {
        let mut left = above + 1;
        let mut next = vec![left];
        for (to, pair) in b.chars().zip(row.windows(2)) {
            let (diagonal, up) = match pair {
                [diagonal, up] => (*diagonal, *up),
                _ => break,
            };
            left = (diagonal + usize::from(from != to))
                .min(up + 1)
                .min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_guessed_and_nonsense_is_not() {
        assert_eq!(
            remedy("efect", ["effect", "title"]),
            "did you mean `effect`?"
        );
        assert_eq!(
            remedy("zzz", ["effect", "title"]),
            "write one of `effect`, `title`"
        );
        assert_eq!(remedy("zzz", ["effect"]), "write `effect`");
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
