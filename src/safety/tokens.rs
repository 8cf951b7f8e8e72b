//! Reads raw text where no syntax tree could be had: words and the operators between them, so that an error hides no
//! command.

use super::scan::fish_quote_end;
use super::walk::Walker;
use super::word::{Flow, Word, closing, skip_quoted};
use crate::request::Shell;

impl Walker {
    /// Reads text without a syntax tree: cuts at operators and runs each piece as a simple command.
    pub(super) fn tokens(&mut self, text: &str) -> Flow {
        let mut flow = Flow::default();
        for (piece, piped) in pieces(text, self.shell) {
            let words: Vec<Word> = raw_words(piece).flat_map(|raw| self.words(raw, (0, text.len()))).collect();
            let words: Vec<Word> = self.take_redirects(words);
            let input = if piped { flow } else { Flow::default() };
            flow = self.call(words, input, (0, text.len()));
            flow.present = true;
        }
        Flow::unseen(flow.taint)
    }

    /// Takes `> file` out of plain tokens.
    fn take_redirects(&mut self, words: Vec<Word>) -> Vec<Word> {
        let mut kept: Vec<Word> = Vec::new();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let operator = word.text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '&');
            let Some(rest) = operator.strip_prefix('>') else {
                kept.push(word);
                continue;
            };
            let append = rest.starts_with('>');
            let rest = rest.trim_start_matches(['>', '|', '!']);
            let target = if rest.is_empty() { words.next() } else { Some(Word::new(rest, word.span)) };
            if let Some(target) = target.filter(|target| !target.text.starts_with('&')) {
                self.write(&target, &Flow::unseen(0), append);
            }
        }
        kept
    }
}

/// Cuts at unquoted `;`, `|`, `&`, newline and brackets; says for each piece whether it reads from a pipe.
fn pieces(text: &str, shell: Shell) -> Vec<(&str, bool)> {
    let bytes = text.as_bytes();
    let (mut found, mut from, mut at, mut piped) = (Vec::new(), 0, 0, false);
    let mut closes = true;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'\'' if shell == Shell::Fish => at = fish_quote_end(bytes, at),
            b'\'' | b'"' => at = skip_quoted(bytes, at),
            b'$' if closes && bytes.get(at + 1) == Some(&b'(') => {
                let end = closing(text, at + 1, b'(', b')');
                closes = end.is_some();
                at = end.unwrap_or(at);
            }
            b'&' if at > 0 && bytes[at - 1] == b'>' || bytes.get(at + 1) == Some(&b'>') => {}
            b';' | b'|' | b'&' | b'\n' | b'(' | b')' => {
                found.push((&text[from..at], piped));
                let pipe = bytes[at] == b'|'
                    && bytes.get(at + 1) != Some(&b'|')
                    && bytes.get(at.wrapping_sub(1)) != Some(&b'|');
                piped = pipe && at > 0 && bytes[at - 1] != b'>';
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    found.push((&text[from.min(text.len())..], piped));
    found.retain(|(piece, _)| !piece.trim().is_empty());
    found
}

/// Splits at blanks that are neither quoted nor in a substitution.
pub(super) fn raw_words(piece: &str) -> impl Iterator<Item = &str> {
    let bytes = piece.as_bytes();
    let (mut words, mut at, mut from, mut closes) = (Vec::new(), 0, None, true);
    while at < bytes.len() {
        if bytes[at].is_ascii_whitespace() {
            if let Some(start) = from.take() {
                words.push(&piece[start..at]);
            }
        } else {
            from.get_or_insert(at);
            match bytes[at] {
                b'\\' => at += 1,
                b'\'' | b'"' | b'`' => at = skip_quoted(bytes, at),
                b'$' | b'<' | b'>' if closes && matches!(bytes.get(at + 1), Some(b'(' | b'{')) => {
                    let (open, shut) = if bytes[at + 1] == b'(' { (b'(', b')') } else { (b'{', b'}') };
                    let end = closing(piece, at + 1, open, shut);
                    closes = end.is_some();
                    at = end.unwrap_or(at);
                }
                _ => {}
            }
        }
        at += 1;
    }
    words.extend(from.map(|start| &piece[start..]));
    words.into_iter()
}
