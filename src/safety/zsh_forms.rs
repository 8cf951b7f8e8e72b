//! Rewrites zsh's short forms of loops, conditions and functions into those that the grammar of bash knows.
//!
//! Unlike [`super::zsh`] this changes lengths, so findings then point at the whole text.

use super::word::{closing, skip_quoted};

/// The text in bash's forms; `None` where it has no short form.
pub(super) fn expand(text: &str) -> Option<String> {
    const SIGNS: &[&str] =
        &["for ", "foreach ", "if ", "while ", "until ", "() {", "(){", "always", "repeat ", "select ", "}"];
    if text.len() > 2048 || !SIGNS.iter().any(|sign| text.contains(sign)) {
        return None;
    }
    let forms = Forms { text, depth: 0 };
    let out = forms.list(text, 0)?;
    (out != text).then_some(out)
}

struct Forms<'t> {
    text: &'t str,
    depth: usize,
}

impl Forms<'_> {
    /// Rewrites one list of commands; `None` where something does not fit.
    fn list(&self, text: &str, depth: usize) -> Option<String> {
        if depth > 8 || self.depth > 8 || self.text.is_empty() {
            return None;
        }
        let mut out = String::with_capacity(text.len() + 16);
        let mut at = 0;
        let mut begins = true;
        let bytes = text.as_bytes();
        while at < text.len() {
            let rest = &text[at..];
            if begins && let Some((form, taken)) = self.form(rest, depth) {
                out.push_str(&form);
                at += taken;
                begins = false;
                continue;
            }
            match bytes[at] {
                b'\\' => {
                    let len = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                    out.push_str(&rest[..len]);
                    at += len;
                    begins = false;
                    continue;
                }
                b'\'' | b'"' => {
                    let end = (skip_quoted(bytes, at) + 1).min(text.len());
                    out.push_str(text.get(at..end)?);
                    at = end;
                    begins = false;
                    continue;
                }
                b'$' if matches!(bytes.get(at + 1), Some(b'{' | b'(')) => {
                    let (open, shut) = if bytes[at + 1] == b'{' { (b'{', b'}') } else { (b'(', b')') };
                    let end = closing(text, at + 1, open, shut)? + 1;
                    out.push_str(text.get(at..end)?);
                    at = end;
                    begins = false;
                    continue;
                }
                b';' | b'\n' | b'|' | b'&' => begins = true,
                b' ' | b'\t' => {}
                _ => begins = begins && starts_list(rest),
            }
            let c = rest.chars().next()?;
            out.push(c);
            at += c.len_utf8();
        }
        Some(out)
    }

    /// A short form that `rest` begins with, rewritten, and the bytes it took.
    fn form(&self, rest: &str, depth: usize) -> Option<(String, usize)> {
        let word = rest.split([' ', '\t', '\n', '(', ';']).next()?;
        match word {
            "for" | "foreach" | "select" => self.each(rest, word.len(), depth),
            "if" | "while" | "until" => self.condition(rest, word, depth),
            "repeat" => {
                let count = rest[6..].trim_start();
                let body_at = rest.len() - count.len() + count.find(' ')?;
                let (body, taken) = self.body(&rest[body_at..], depth)?;
                Some((format!("{{ {body}; }}"), body_at + taken))
            }
            "{" => {
                let end = closing(rest, 0, b'{', b'}')?;
                let after = rest[end + 1..].trim_start();
                let inner = self.list(rest.get(1..end)?, depth + 1)?;
                let first = format!("{{ {}; }}", trimmed(&inner));
                let Some(tail) = after.strip_prefix("always") else { return Some((first, end + 1)) };
                let tail_at = rest.len() - tail.len();
                let (body, taken) = self.body(&rest[tail_at..], depth)?;
                Some((format!("{first}; {{ {body}; }}"), tail_at + taken))
            }
            "" if rest.starts_with("()") => {
                let block = rest[2..].trim_start();
                let at = rest.len() - block.len();
                let end = closing(block, 0, b'{', b'}').filter(|_| block.starts_with('{'))?;
                let inner = self.list(&block[1..end], depth + 1)?;
                let after = &block[end + 1..];
                let stop = end_of_command(after);
                Some((format!("set -- {}; {{ {}; }}", after[..stop].trim(), trimmed(&inner)), at + end + 1 + stop))
            }
            _ => {
                let name = rest
                    .find("()")
                    .filter(|at| rest[..*at].trim_end().chars().all(|c| c.is_alphanumeric() || "_-".contains(c)))?;
                let block = rest[name + 2..].trim_start();
                let at = rest.len() - block.len();
                let end = closing(block, 0, b'{', b'}').filter(|_| block.starts_with('{'))?;
                let inner = self.list(&block[1..end], depth + 1)?;
                Some((format!("{}() {{ {}; }}", rest[..name].trim(), trimmed(&inner)), at + end + 1))
            }
        }
    }

    /// `for x (a b) cmd`, `for x in a b; cmd`, with or without braces.
    fn each(&self, rest: &str, start: usize, depth: usize) -> Option<(String, usize)> {
        let after = rest[start..].trim_start();
        let name_end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
        let (name, tail) = after.split_at(name_end);
        let tail = tail.trim_start();
        let (words, body) = if tail.starts_with('(') {
            let end = closing(tail, 0, b'(', b')')?;
            (&tail[1..end], &tail[end + 1..])
        } else {
            let list = tail.strip_prefix("in ")?;
            let end = end_of_command(list);
            (&list[..end], list.get(end + 1..)?)
        };
        let lead = body.trim_start_matches([' ', ';', '\n']);
        if lead.starts_with("do ") || lead.starts_with("do\n") || name.is_empty() {
            return None;
        }
        let at = rest.len() - lead.len();
        let (inner, taken) = self.body(lead, depth)?;
        Some((format!("for {name} in {}; do {inner}; done", words.trim()), at + taken))
    }

    /// `if [[ a ]] { b } else { c }`, `while (( a )) { b }`.
    fn condition(&self, rest: &str, word: &str, depth: usize) -> Option<(String, usize)> {
        let test = rest[word.len()..].trim_start();
        let close = if test.starts_with("[[") {
            "]]"
        } else if test.starts_with("((") {
            "))"
        } else {
            return None;
        };
        let test_end = test.find(close)? + 2;
        let block = test[test_end..].trim_start();
        if !block.starts_with('{') {
            return None;
        }
        let mut at = rest.len() - block.len();
        let (body, taken) = self.body(block, depth)?;
        at += taken;
        if word != "if" {
            return Some((format!("{word} {}; do {body}; done", &test[..test_end]), at));
        }
        let mut out = format!("if {}; then {body}", &test[..test_end]);
        let after = rest[at..].trim_start();
        if let Some(other) = after.strip_prefix("else") {
            at = rest.len() - other.len();
            let (body, taken) = self.body(other, depth)?;
            out.push_str(&format!("; else {body}"));
            at += taken;
        }
        Some((out + "; fi", at))
    }

    /// A block in braces or one command: its text, and the bytes it took.
    fn body(&self, rest: &str, depth: usize) -> Option<(String, usize)> {
        let block = rest.trim_start();
        let at = rest.len() - block.len();
        if block.starts_with('{') && !block.starts_with("{}") {
            let end = closing(block, 0, b'{', b'}')?;
            let inner = self.list(&block[1..end], depth + 1)?;
            return Some((trimmed(&inner).to_owned(), at + end + 1));
        }
        let end = end_of_command(block);
        let inner = self.list(&block[..end], depth + 1)?;
        (!inner.trim().is_empty()).then(|| (trimmed(&inner).to_owned(), at + end))
    }
}

fn trimmed(list: &str) -> &str {
    list.trim().trim_end_matches(';').trim()
}

/// The text stands before a command: after `then`, `do`, `{` and their kind.
fn starts_list(rest: &str) -> bool {
    rest.starts_with(['{', '(', '!'])
}

/// Where an unquoted `;`, newline or unmatched bracket ends the command.
fn end_of_command(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut open) = (0, 0usize);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'\'' | b'"' => at = skip_quoted(bytes, at),
            b'(' | b'{' => open += 1,
            b')' | b'}' if open == 0 => return at,
            b')' | b'}' => open -= 1,
            b';' | b'\n' if open == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    text.len()
}
