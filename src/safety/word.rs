//! Words as the shell will see them: quotes taken off, variables filled in where this line sets them.
//!
//! What cannot be known stands in the text as a private-use character, which no command can contain because
//! [`super::text`] refuses it first: so every rule keeps working on plain `&str`.

use std::{borrow::Cow, rc::Rc};

use super::touch::Search;

/// Text that is not known and may be empty.
pub(super) const UNKNOWN: char = '\u{e000}';
/// Text that is not known but not empty: `${X:?}`, `$$`, a date.
pub(super) const SOME: char = '\u{e003}';
/// Where the shell will split an unquoted value into fields.
pub(super) const SPLIT: char = '\u{e004}';
/// A process substitution used as a file.
pub(super) const PIPE_FILE: char = '\u{e005}';

/// Before a character that a pattern would read, where quotes take its meaning away. Only in values on their way to
/// words; a word's text has none.
pub(super) const QUOTED: char = '\u{e006}';
/// In a value that is only near what the shell will see: good enough for a rule, not for a path. As [`QUOTED`].
pub(super) const GUESSED: char = '\u{e007}';

/// What a value is made of, as bits.
pub(super) type Taint = u8;
/// It came from the network.
pub(super) const NETWORK: Taint = 1;
/// It was decoded, unpacked or scrambled: the reader cannot see it.
pub(super) const HIDDEN: Taint = 2;
/// It holds the content of a credential file or the whole environment.
pub(super) const SECRET: Taint = 4;
/// It holds a variable whose name says token or password.
pub(super) const TOKEN: Taint = 8;
/// It is what an interactive shell prints.
pub(super) const SHELL: Taint = 16;
/// It holds what a person typed into a shell: no secret to show, but one to send away.
pub(super) const TYPED: Taint = 64;
/// What is not for other machines.
pub(super) const PRIVATE: Taint = SECRET | TYPED;
/// It never ends: `/dev/zero`.
pub(super) const ENDLESS: Taint = 32;

/// Byte range in the command the person sees.
pub(super) type Span = (usize, usize);

/// The first byte of every marker in UTF-8.
const MARK: u8 = 0xee;

/// `value` without [`QUOTED`] and [`GUESSED`].
pub(super) fn unmarked(value: &str) -> String {
    if value.as_bytes().contains(&MARK) { value.replace([QUOTED, GUESSED], "") } else { value.to_owned() }
}

/// `text` as a value that only comes near to what it will be.
pub(super) fn guessed(text: &str) -> String {
    format!("{GUESSED}{text}")
}

/// One word of a simple command.
#[derive(Clone, Debug, Default)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) taint: Taint,
    pub(super) span: Span,
    pub(super) place: Place,
}

/// What a word is as a path, where its text alone does not say it.
#[derive(Clone, Debug, Default)]
pub(super) enum Place {
    /// What the text says, its patterns and its `~` included.
    #[default]
    Text,
    /// The text with [`QUOTED`] before what is no pattern.
    Marked(String),
    /// As the text says, and one of several that are tried one after the other.
    OneOf,
    /// What a search finds.
    Found(Rc<Search>),
    /// Something that the text only comes near to.
    Unseen,
}

impl Word {
    pub(super) fn new(text: impl Into<String>, span: Span) -> Self {
        Self { text: text.into(), taint: 0, span, place: Place::Text }
    }

    /// The words of one value, which still has its marks; `several` where it is one of many.
    pub(super) fn of_value(value: &str, taint: Taint, span: Span, several: bool) -> Vec<Self> {
        let guessed = value.as_bytes().contains(&MARK) && value.contains(GUESSED);
        let value = if guessed { Cow::Owned(unmarked(value)) } else { Cow::Borrowed(value) };
        let place = |field: &str| match () {
            () if guessed || several && field.contains(QUOTED) => Place::Unseen,
            () if field.as_bytes().contains(&MARK) && field.contains(QUOTED) => Place::Marked(field.to_owned()),
            () if several => Place::OneOf,
            () => Place::Text,
        };
        let fields = value.split(SPLIT).filter(|field| !field.is_empty() || !value.contains(SPLIT));
        fields.map(|field| Self { text: unmarked(field), taint, span, place: place(field) }).collect()
    }

    /// The word as a value again, with its marks.
    pub(super) fn into_value(self) -> String {
        match self.place {
            Place::Text | Place::OneOf => self.text,
            Place::Marked(value) => value,
            Place::Found(_) | Place::Unseen => format!("{GUESSED}{}", self.text),
        }
    }

    /// A part of the word, or the word with something in it replaced.
    pub(super) fn with_text(&self, text: impl Into<String>) -> Self {
        let place = if matches!(self.place, Place::Text) { Place::Text } else { Place::Unseen };
        Self { text: text.into(), place, ..*self }
    }

    /// Nothing of the word can be seen.
    pub(super) fn unseen(&self) -> bool {
        self.text.contains(UNKNOWN) && self.text.chars().all(|c| matches!(c, UNKNOWN | SOME | ' ' | '\n' | SPLIT))
    }

    pub(super) fn is_option(&self) -> bool {
        self.text.starts_with('-') && self.text.len() > 1
    }
}

/// A value that flows: a variable, a file written on this line, or what runs through a pipe.
#[derive(Clone, Debug, Default)]
pub(super) struct Flow {
    /// There is something to read at all (a pipe, a redirection), as opposed to the keyboard.
    pub(super) present: bool,
    /// The text, when it is known to the last letter (markers may stand in it).
    pub(super) text: Option<String>,
    /// Paths or patterns, when it is a list of files.
    pub(super) names: Option<Vec<String>>,
    pub(super) taint: Taint,
}

impl Flow {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { present: true, text: Some(text.into()), ..Self::default() }
    }

    pub(super) fn unseen(taint: Taint) -> Self {
        Self { present: true, taint, ..Self::default() }
    }

    pub(super) fn names(names: Vec<String>) -> Self {
        Self { present: true, names: Some(names), ..Self::default() }
    }

    /// What follows this output on the same stream.
    pub(super) fn then(&mut self, next: Self) {
        if !next.present {
            return;
        }
        self.text = match (self.present, self.text.take(), next.text) {
            (false, _, text) => text,
            (true, Some(a), Some(b)) => Some(format!("{a}\n{b}")),
            // What can be seen is still judged beside what cannot.
            (true, None, Some(b)) if self.names.is_none() => Some(format!("{UNKNOWN}\n{b}")),
            (true, Some(a), None) if next.names.is_none() => Some(format!("{a}\n{UNKNOWN}")),
            _ => None,
        };
        self.names = next.names.or(self.names.take());
        self.taint |= next.taint;
        self.present = true;
    }
}

/// The raw words that brace expansion makes of one raw word; quoting is left as it is.
pub(super) fn expand_braces(raw: &str, limit: usize) -> Vec<String> {
    let Some((open, commas, close)) = brace_group(raw) else { return vec![raw.to_owned()] };
    let mut words = Vec::new();
    let mut from = open + 1;
    for end in commas.into_iter().chain([close]) {
        let word = format!("{}{}{}", &raw[..open], &raw[from..end], &raw[close + 1..]);
        from = end + 1;
        if words.len() >= limit {
            words.push(UNKNOWN.to_string());
            break;
        }
        words.extend(expand_braces(&word, limit / 2));
    }
    words
}

/// The first unquoted `{a,b}`: the positions of its brace, of its commas and of its closing brace.
fn brace_group(raw: &str) -> Option<(usize, Vec<usize>, usize)> {
    let bytes = raw.as_bytes();
    let mut stack: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'\'' => at = skip_quoted(bytes, at),
            b'"' => at = skip_quoted(bytes, at),
            b'$' if matches!(bytes.get(at + 1), Some(b'{')) => at = closing(raw, at + 1, b'{', b'}')?,
            b'$' if matches!(bytes.get(at + 1), Some(b'(')) => at = closing(raw, at + 1, b'(', b')')?,
            b'{' => stack.push((at, Vec::new())),
            b',' => stack.last_mut().into_iter().for_each(|(_, commas)| commas.push(at)),
            b'}' => {
                if let Some((open, commas)) = stack.pop()
                    && !commas.is_empty()
                {
                    return Some((open, commas, at));
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The position of the closing quote for the one at `at`, or the end. `"$(a "b")"` is one string.
pub(super) fn skip_quoted(bytes: &[u8], at: usize) -> usize {
    quote_end(bytes, at, 0)
}

/// The position of the bracket that closes the one at `at`; quotes are stepped over.
pub(super) fn closing(text: &str, at: usize, open: u8, shut: u8) -> Option<usize> {
    bracket_end(text.as_bytes(), at, open, shut, 0)
}

/// Strings in substitutions in strings that are followed; the stack is finite.
const MAX_QUOTE_DEPTH: usize = 24;

fn quote_end(bytes: &[u8], at: usize, depth: usize) -> usize {
    let quote = bytes[at];
    let mut here = at + 1;
    while here < bytes.len() && bytes[here] != quote {
        if quote == b'"' && bytes[here] == b'\\' {
            here += 1;
        } else if quote == b'"' && bytes[here] == b'$' && bytes.get(here + 1) == Some(&b'(') && depth < MAX_QUOTE_DEPTH
        {
            here = bracket_end(bytes, here + 1, b'(', b')', depth + 1).unwrap_or(bytes.len());
        }
        here += 1;
    }
    here.min(bytes.len())
}

fn bracket_end(bytes: &[u8], at: usize, open: u8, shut: u8, depth: usize) -> Option<usize> {
    let (mut nesting, mut here) = (0usize, at);
    while here < bytes.len() {
        match bytes[here] {
            b'\\' => here += 1,
            b'\'' | b'"' => here = quote_end(bytes, here, depth + 1),
            b if b == open => nesting += 1,
            b if b == shut && nesting == 1 && shut == b')' && in_case(&bytes[at..here]) => {}
            b if b == shut => {
                // None is open where the text does not begin with one.
                nesting = nesting.checked_sub(1)?;
                if nesting == 0 {
                    return Some(here);
                }
            }
            _ => {}
        }
        here += 1;
    }
    None
}

/// The text stands in a `case` whose patterns end in a lone `)`.
fn in_case(text: &[u8]) -> bool {
    let count = |word: &[u8]| text.windows(word.len()).filter(|part| *part == word).count();
    text.len() < 2048 && count(b"case ") > count(b"esac")
}

/// C-style escapes as in `$'…'`, `printf` and `echo -e`.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let Some(kind) = rest.next() else { break };
        let mut number = |radix: u32, most: usize, first: u32| {
            let mut value = first;
            for _ in 0..most {
                let Some(digit) = rest.peek().and_then(|c| c.to_digit(radix)) else { break };
                value = value.wrapping_mul(radix).wrapping_add(digit);
                rest.next();
            }
            char::from_u32(value).unwrap_or(UNKNOWN)
        };
        match kind {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'e' | 'E' => out.push('\u{1b}'),
            'x' => out.push(number(16, 2, 0)),
            'u' => out.push(number(16, 4, 0)),
            'U' => out.push(number(16, 8, 0)),
            '0'..='7' => out.push(number(8, if kind == '0' { 3 } else { 2 }, kind as u32 - 48)),
            'c' => break,
            other => out.push(other),
        }
    }
    out
}
