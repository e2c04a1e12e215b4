//! Text of foreign origin on its way to a terminal or a log: what would move
//! the cursor, start a line of its own or reorder what follows is not text.

/// Whether a character may be shown as it is. Not so: controls (of which a
/// terminal makes commands), separators of lines, and marks of direction, by
/// which one text can look like another.
pub fn is_plain(character: char) -> bool {
    let reorders = matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    let ends_a_line = matches!(character, '\u{2028}' | '\u{2029}');
    character == '\t' || !(character.is_control() || reorders || ends_a_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_not_plain() {
        for character in
            "\u{1b}\r\n\u{0}\u{7}\u{8}\u{9b}\u{7f}\u{202e}\u{2066}\u{200f}\u{61c}\u{2028}".chars()
        {
            assert!(!is_plain(character), "{character:?}");
        }
        assert!("plain\ttext, äöü, 日本, שלום, •".chars().all(is_plain));
    }
}
