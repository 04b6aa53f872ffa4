//! Bounded quotes of what a caller sent, for error messages.

/// Longest quote, in bytes, without the mark that says it was cut.
pub(crate) const EXCERPT_BYTES_MAX: usize = 80;

/// The start of `text`, control characters escaped, cut at a character boundary.
///
/// An error message repeats what was sent; a message of a megabyte, or one with line breaks or terminal
/// sequences in it, must not end up in a log as it is.
pub(crate) fn excerpt(text: &str) -> String {
    let mut quote = String::with_capacity(text.len().min(EXCERPT_BYTES_MAX + 4));
    for character in text.chars() {
        if quote.len() + character.len_utf8() > EXCERPT_BYTES_MAX {
            quote.push_str("...");
            break;
        }
        if character.is_control() {
            quote.extend(character.escape_default());
        } else {
            quote.push(character);
        }
    }
    quote
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_text_is_quoted_whole_and_long_text_is_cut() {
        assert_eq!(excerpt("09:00"), "09:00");
        assert_eq!(excerpt("a\nb\u{1b}"), "a\\nb\\u{1b}");
        let long = excerpt(&"é".repeat(1000));
        assert!(long.ends_with("...") && long.len() <= EXCERPT_BYTES_MAX + 12);
    }
}
