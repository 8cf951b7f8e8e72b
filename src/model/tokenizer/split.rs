//! Cuts text into the words inside which merges are made, as each model's own regular expression does.
//!
//! Written by hand over characters: the expressions look ahead, which the `regex` crate does not, and 40 lines are
//! faster than any engine. The expressions stand at each function as llama.cpp has them (`llama-vocab.cpp`).

use super::letters::{is_letter, is_number};

/// Which expression cuts the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Splitter {
    Qwen2,
    SmolLm,
}

impl Splitter {
    /// By `tokenizer.ggml.pre`.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        match name {
            "qwen2" => Ok(Self::Qwen2),
            "smollm" => Ok(Self::SmolLm),
            other => Err(format!("pre-tokenizer \"{}\" is not supported (known: qwen2, smollm)", other.escape_debug())),
        }
    }

    pub(super) fn split<'t>(self, text: &'t str, mut word: impl FnMut(&'t str)) {
        match self {
            Self::Qwen2 => each(text, qwen2, &mut word),
            // Numbers are cut out one by one before the rest is looked at: `\p{N}`.
            Self::SmolLm => {
                for part in text.split_inclusive(is_number) {
                    let (rest, number) = part.split_at(part.trim_end_matches(is_number).len());
                    each(rest, gpt2, &mut word);
                    each(number, <str>::len, &mut word);
                }
            }
        }
    }
}

/// Calls `word` with the words of `text`; `first` gives the length of the first one, which is not 0.
fn each<'t>(mut text: &'t str, first: impl Fn(&str) -> usize, word: &mut impl FnMut(&'t str)) {
    while !text.is_empty() {
        let (head, rest) = text.split_at(first(text));
        word(head);
        text = rest;
    }
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
fn qwen2(text: &str) -> usize {
    let Some(first) = text.chars().next() else { return 0 };
    if let Some(length) = contraction(text, |byte| byte.to_ascii_lowercase()) {
        return length;
    }
    let prefix = if is_letter(first) || is_number(first) || is_newline(first) { 0 } else { first.len_utf8() };
    if let Some(end) = run(text, prefix, is_letter) {
        return end;
    }
    if is_number(first) {
        return first.len_utf8();
    }
    if let Some(end) = run(text, usize::from(first == ' '), is_other) {
        return run(text, end, is_newline).unwrap_or(end);
    }
    let space = run(text, 0, char::is_whitespace).unwrap_or(text.len());
    match text[..space].rfind(is_newline) {
        Some(newline) => newline + 1,
        None => without_last(text, space),
    }
}

/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
fn gpt2(text: &str) -> usize {
    if let Some(length) = contraction(text, |byte| byte) {
        return length;
    }
    let prefix = usize::from(text.starts_with(' '));
    let word = run(text, prefix, is_letter).or_else(|| run(text, prefix, is_number));
    if let Some(end) = word.or_else(|| run(text, prefix, is_other)) {
        return end;
    }
    let space = run(text, 0, char::is_whitespace).unwrap_or(text.len());
    without_last(text, space)
}

/// `\s+(?!\S)|\s+`: before a word, the last space of several goes to the word.
fn without_last(text: &str, space: usize) -> usize {
    let last = text[..space].chars().next_back().map_or(0, char::len_utf8);
    if space < text.len() && last < space { space - last } else { space }
}

/// The length of `'s`, `'re` and the like at the start of the text.
fn contraction(text: &str, fold: impl Fn(u8) -> u8) -> Option<usize> {
    let rest = text.strip_prefix('\'')?.as_bytes();
    let first = fold(*rest.first()?);
    if matches!(first, b's' | b't' | b'm' | b'd') {
        return Some(2);
    }
    let second = fold(*rest.get(1)?);
    matches!((first, second), (b'r' | b'v', b'e') | (b'l', b'l')).then_some(3)
}

/// Where the run of such characters that begins at `start` ends; `None` if there is not even one.
fn run(text: &str, start: usize, wanted: impl Fn(char) -> bool) -> Option<usize> {
    let rest = &text[start..];
    let length = rest.find(|character| !wanted(character)).unwrap_or(rest.len());
    (length > 0).then_some(start + length)
}

fn is_newline(character: char) -> bool {
    matches!(character, '\r' | '\n')
}

/// `[^\s\p{L}\p{N}]`; `\s` is White_Space in all the engines that were looked at, and in std.
fn is_other(character: char) -> bool {
    !(character.is_whitespace() || is_letter(character) || is_number(character))
}

#[cfg(test)]
mod tests {
    use super::Splitter;

    fn words(splitter: Splitter, text: &str) -> Vec<&str> {
        let mut words = Vec::new();
        splitter.split(text, |word| words.push(word));
        words
    }

    #[test]
    fn qwen2_cuts_where_its_expression_cuts() {
        let cut = |text| words(Splitter::Qwen2, text).join("|");
        assert_eq!(cut("I'm  you'RE it'll o'clock"), "I|'m| | you|'RE| it|'ll| o|'clock");
        assert_eq!(cut("a123 4 x"), "a|1|2|3| |4| x");
        assert_eq!(cut("ls -la\n\n  \n\tcat"), "ls| -|la|\n\n  \n|\tcat");
        assert_eq!(cut("a\nb\rc -d"), "a|\n|b|\r|c| -|d");
        assert_eq!(cut("x  \r\n"), "x|  \r\n");
        assert_eq!(cut("end   "), "end|   ");
        assert_eq!(cut(" !!\r\n\nx"), " !!\r\n\n|x");
        assert_eq!(cut("e\u{301}te\u{301}"), "e|\u{301}te|\u{301}");
    }

    #[test]
    fn smollm_cuts_numbers_out_first() {
        let cut = |text| words(Splitter::SmolLm, text).join("|");
        assert_eq!(cut("a  12 b's 'S"), "a|  |1|2| b|'s| '|S");
        assert_eq!(cut("x \n\n y"), "x| \n\n| y");
    }
}
