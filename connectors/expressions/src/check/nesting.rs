//! How deep an expression is nested, before it is parsed.
//!
//! The parser recurses a dozen frames for each bracket and some for each
//! operator of a chain, and a guest's stack has 64 KiB. Measured in the
//! sandbox: 15 brackets and chains of 60 operators fit, 20 lists or calls do not.

use super::template::quoted;

const LEVELS_OF_A_BRACKET: usize = 4;

/// The levels of nesting: four for a bracket, one for an operator, counted
/// over the brackets that are open at once. Strings do not count.
pub(crate) fn depth(source: &str) -> usize {
    let mut open = Vec::new();
    let mut here = 0_usize;
    let mut outside = 0_usize;
    let mut deepest = 0;
    let mut before = ' ';
    let mut position = 0;
    while let Some(rest) = source.get(position..) {
        let Some(next) = rest.chars().next() else {
            break;
        };
        position += match next {
            '\'' | '"' => quoted(rest, next, matches!(before, 'r' | 'R')).unwrap_or(rest.len()),
            _ => next.len_utf8(),
        };
        match next {
            '(' | '[' | '{' => {
                open.push(here);
                outside += here + LEVELS_OF_A_BRACKET;
                here = 0;
            }
            ')' | ']' | '}' => {
                here = open.pop().unwrap_or_default();
                outside = outside.saturating_sub(here + LEVELS_OF_A_BRACKET);
                // What follows a call or an index is one more link of a chain.
                here += 1;
            }
            ',' => here = 0,
            '.' | '+' | '-' | '*' | '/' | '%' | '!' | '?' | '<' | '>' | '=' | '&' | '|'
                if next != before =>
            {
                here += 1;
            }
            '!' | '-' => here += 1,
            _ => {}
        }
        deepest = deepest.max(outside + here);
        before = next;
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::depth;

    #[test]
    fn brackets_and_chains_count_and_neighbours_do_not() {
        assert_eq!(depth("((1))"), 8);
        assert_eq!(depth("1 + 2 + 3"), 2);
        assert_eq!(depth("[a.b, c.d, e.f]"), 5);
        assert_eq!(depth("--1"), 2);
        assert_eq!(depth("a && b == c"), 2);
    }

    #[test]
    fn strings_do_not_count() {
        assert_eq!(depth("'((((....' + \"[[[[\""), 1);
        assert_eq!(depth(r"r'\' + '(('"), 1);
    }
}
