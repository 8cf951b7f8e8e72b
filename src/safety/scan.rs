//! Turns raw words into resolved ones.

use std::borrow::Cow;

use super::walk::{MAX_TEXT, Walker, some};
use super::word::{
    Flow, GUESSED, HIDDEN, PIPE_FILE, QUOTED, SOME, SPLIT, Span, TOKEN, Taint, UNKNOWN, Word, closing, expand_braces,
    skip_quoted, unescape, unmarked,
};
use crate::request::Shell;

/// Words that one raw word may become.
const MAX_WORDS: usize = 64;

/// How the text around a character is quoted.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Bare,
    Double,
    Document,
}

/// The text so far, in every variant that the variables allow.
struct Built {
    variants: Vec<String>,
    taint: Taint,
}

impl Built {
    fn push(&mut self, c: char) {
        self.variants.iter_mut().for_each(|text| text.push(c));
    }

    /// Text that no pattern is read from.
    fn push_quoted(&mut self, part: &str) {
        match part.contains(is_special) {
            true => self.push_str(&quoted(part)),
            false => self.push_str(part),
        }
    }

    fn push_str(&mut self, part: &str) {
        self.variants.iter_mut().for_each(|text| text.push_str(part));
        if self.variants.iter().any(|text| text.len() > MAX_TEXT) {
            self.variants = vec![UNKNOWN.to_string()];
            self.taint |= HIDDEN;
        }
    }

    fn push_any(&mut self, values: &[String]) {
        match values {
            [one] => self.push_str(one),
            _ if self.variants.len() * values.len() > MAX_WORDS => self.push(UNKNOWN),
            _ => {
                let before = std::mem::take(&mut self.variants);
                self.variants = before.iter().flat_map(|a| values.iter().map(move |b| format!("{a}{b}"))).collect();
            }
        }
    }
}

impl Walker {
    /// The words that the shell makes of one raw word.
    pub(super) fn words(&mut self, raw: &str, span: Span) -> Vec<Word> {
        if raw.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/' | b':' | b',' | b'='))
        {
            return vec![Word::new(raw, span)];
        }
        let mut words = Vec::new();
        for raw in expand_braces(raw, MAX_WORDS) {
            let built = self.build(&raw, Mode::Bare, span);
            let several = built.variants.len() > 1;
            words.extend(built.variants.iter().flat_map(|value| Word::of_value(value, built.taint, span, several)));
        }
        words
    }

    /// A value that is not split, as on the right of `=`, with its marks.
    pub(super) fn value(&mut self, raw: &str, span: Span) -> (String, Taint) {
        let built = self.build(raw, Mode::Bare, span);
        let text = built.variants.into_iter().next().unwrap_or_default();
        (quoted_patterns(&text.replace(SPLIT, " ")), built.taint)
    }

    /// The text of a here-document that is not quoted.
    pub(super) fn document(&mut self, raw: &str, span: Span) -> (String, Taint) {
        let built = self.build(raw, Mode::Document, span);
        (unmarked(&built.variants.into_iter().next().unwrap_or_default()), built.taint)
    }

    fn build(&mut self, raw: &str, mode: Mode, span: Span) -> Built {
        let mut built = Built { variants: vec![String::with_capacity(raw.len())], taint: 0 };
        self.scan(raw, mode, span, &mut built);
        built
    }

    fn scan(&mut self, raw: &str, mode: Mode, span: Span, built: &mut Built) {
        if !self.deeper(span) {
            built.push(UNKNOWN);
            return;
        }
        self.scan_here(raw, mode, span, built);
        self.depth -= 1;
    }

    fn scan_here(&mut self, raw: &str, mode: Mode, span: Span, built: &mut Built) {
        let bytes = raw.as_bytes();
        let fish = self.shell == Shell::Fish;
        let mut at = 0;
        while at < raw.len() {
            let rest = &raw[at..];
            let Some(c) = rest.chars().next() else { break };
            at += match c {
                '\\' if fish && mode == Mode::Bare => {
                    fish_escape(rest, built).unwrap_or_else(|| escape(rest, mode, built))
                }
                '\\' => escape(rest, mode, built),
                '\'' if mode == Mode::Bare => {
                    let end = if fish { fish_quote_end(bytes, at) } else { skip_quoted(bytes, at) };
                    built.push_quoted(&raw[at + 1..end]);
                    end + 1 - at
                }
                '"' if mode == Mode::Bare => {
                    let end = skip_quoted(bytes, at);
                    self.scan(&raw[at + 1..end], Mode::Double, span, built);
                    end + 1 - at
                }
                '$' => self.dollar(rest, mode, span, built),
                '`' if !fish => {
                    let (code, taken) = backticked(rest);
                    self.substitute(&code, mode, span, built);
                    taken
                }
                '(' if fish && mode == Mode::Bare => match closing(rest, 0, b'(', b')') {
                    Some(end) => {
                        self.substitute(&rest[1..end], mode, span, built);
                        end + 1
                    }
                    None => 1,
                },
                '<' | '>' if mode == Mode::Bare && rest[1..].starts_with('(') => self.pipe_file(rest, span, built),
                _ => {
                    if mode == Mode::Double && is_special(c) {
                        built.push(QUOTED);
                    }
                    built.push(c);
                    c.len_utf8()
                }
            };
        }
    }

    /// `$…` in all its forms; returns the bytes taken.
    fn dollar(&mut self, rest: &str, mode: Mode, span: Span, built: &mut Built) -> usize {
        let bytes = rest.as_bytes();
        match bytes.get(1) {
            Some(b'(') if rest.starts_with("$((") => {
                built.push(SOME);
                let end = closing(rest, 1, b'(', b')');
                self.substitutions_in(end.map_or("", |end| &rest[3..end]), span);
                end.map_or(rest.len(), |end| end + 1)
            }
            Some(b'(') => {
                let end = closing(rest, 1, b'(', b')').unwrap_or(rest.len());
                self.substitute(&rest[2..end], mode, span, built);
                end + 1
            }
            Some(b'{') => {
                let end = closing(rest, 1, b'{', b'}').unwrap_or(rest.len());
                self.braced(&rest[2..end], mode, span, built);
                end + 1
            }
            Some(b'\'') if mode == Mode::Bare => {
                let mut end = 2;
                while end < bytes.len() && bytes[end] != b'\'' {
                    end += if bytes[end] == b'\\' { 2 } else { 1 };
                }
                built.push_quoted(&unescape(&rest[2..end.min(rest.len())]));
                end + 1
            }
            Some(b'"') if mode == Mode::Bare => 1,
            Some(sign @ (b'@' | b'*' | b'1'..=b'9')) if self.variables.contains_key("@") => {
                let name = if *sign == b'*' { "@".to_owned() } else { (*sign as char).to_string() };
                let (texts, taint) = self.variables.get(&name).cloned().unwrap_or_default();
                built.taint |= taint;
                built.push_any(&texts);
                2
            }
            Some(b'@' | b'*' | b'#' | b'?' | b'$' | b'!' | b'-' | b'0'..=b'9') => {
                built.push(if matches!(bytes[1], b'@' | b'*' | b'0'..=b'9' | b'!') { UNKNOWN } else { SOME });
                2
            }
            Some(b) if b.is_ascii_alphabetic() || *b == b'_' => {
                let name: &str = rest[1..].split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or("");
                self.variable(name, mode, built);
                let index = if self.shell == Shell::Fish { fish_index(&rest[1 + name.len()..]) } else { "" };
                if index.contains('(') {
                    self.build(index, Mode::Bare, span);
                }
                1 + name.len() + index.len()
            }
            _ => {
                built.push('$');
                1
            }
        }
    }

    /// `${…}`: the variable, a default, a guard or a cut-off part.
    fn braced(&mut self, inside: &str, mode: Mode, span: Span, built: &mut Built) {
        if inside.starts_with('#') {
            return built.push(SOME);
        }
        if self.shell == Shell::Zsh
            && let Some((mark, rest)) = zsh_flag(inside)
        {
            return self.flagged(mark, rest, mode, span, built);
        }
        let inside = inside.trim_start_matches(['!', '_', '=', '^']);
        let end = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len());
        let (name, operator) = inside.split_at(end);
        let operator = operator.strip_prefix("[@]").or(operator.strip_prefix("[*]")).unwrap_or(operator);
        let known = self.variables.contains_key(name) || matches!(name, "HOME" | "PWD" | "SHELL");
        match operator.trim_start_matches(':').chars().next() {
            None => self.variable(name, mode, built),
            Some('?') if !known => built.push(SOME),
            Some('?') => self.variable(name, mode, built),
            Some('-' | '=') if !known => {
                let default = operator.trim_start_matches(':')[1..].to_owned();
                built.push(GUESSED);
                self.scan(&default, if mode == Mode::Bare { Mode::Bare } else { Mode::Double }, span, built);
            }
            Some('-' | '=') => self.variable(name, mode, built),
            _ if self.variables.get(name).is_some_and(|(texts, _)| texts.iter().all(|text| text.contains('*'))) => {
                built.push(GUESSED);
                self.variable(name, mode, built);
            }
            Some(_) => {
                self.substitutions_in(operator, span);
                built.push(UNKNOWN);
            }
        }
    }

    /// zsh's `${(z)x}` is split into words, `${(e)x}` carried out, `${(g::)x}` decoded.
    fn flagged(&mut self, mark: char, rest: &str, mode: Mode, span: Span, built: &mut Built) {
        let mut inner = Built { variants: vec![String::new()], taint: 0 };
        self.braced(rest, Mode::Bare, span, &mut inner);
        built.taint |= inner.taint;
        let values: Vec<String> = inner
            .variants
            .iter()
            .map(|value| match mark {
                'E' => self.document(&unmarked(value), span).0,
                'G' => unescape(value),
                _ if mode == Mode::Bare => value.replace([' ', '\n', '\t'], &SPLIT.to_string()),
                _ => value.clone(),
            })
            .collect();
        built.push_any(&values);
    }

    /// Commands hidden in the pattern part of `${x%$(cmd)}`.
    pub(super) fn substitutions_in(&mut self, text: &str, span: Span) {
        if text.contains("$(") || text.contains('`') {
            self.build(text, Mode::Double, span);
        }
    }

    fn variable(&mut self, name: &str, mode: Mode, built: &mut Built) {
        let (values, taint) = match (self.variables.get(name), name) {
            (Some(known), _) => known.clone(),
            (None, "HOME") => (vec!["~".into()], 0),
            (None, "PWD") => (vec![".".into()], 0),
            (None, "SHELL") => (vec!["/bin/sh".into()], 0),
            (None, "IFS") => (vec![" ".into()], 0),
            (None, "XDG_CACHE_HOME") => (vec![format!("{GUESSED}~/.cache")], 0),
            (None, "XDG_CONFIG_HOME") => (vec![format!("{GUESSED}~/.config")], 0),
            (
                None,
                "USER" | "LOGNAME" | "HOSTNAME" | "RANDOM" | "UID" | "EUID" | "PPID" | "SECONDS" | "EPOCHSECONDS",
            ) => (vec![some()], 0),
            _ => (vec![UNKNOWN.to_string()], if is_token_name(name) { TOKEN } else { 0 }),
        };
        built.taint |= taint;
        if mode == Mode::Bare && self.shell == Shell::Bash {
            let marks = self.variables.get("IFS").and_then(|(texts, _)| texts.first());
            let marks: Vec<char> = marks.map_or(vec![' ', '\n', '\t'], |text| unmarked(text).chars().collect());
            let split: Vec<String> =
                values.iter().map(|value| open_patterns(value).replace(&marks[..], &SPLIT.to_string())).collect();
            return built.push_any(&split);
        }
        built.push_any(&values);
    }

    /// `$(code)`: what it does counts, and what it prints is put in.
    fn substitute(&mut self, code: &str, mode: Mode, span: Span, built: &mut Built) {
        let (directory, name) = (self.directory.clone(), self.last_name.clone());
        let flow = self.inner(code, Flow::default(), span);
        self.last_substituted = std::mem::replace(&mut self.last_name, name);
        self.directory = directory;
        built.taint |= flow.taint;
        if code.trim() != "pwd" {
            built.push(GUESSED);
        }
        match (flow.text, flow.names) {
            (Some(text), _) => {
                let text = text.trim_end_matches('\n');
                let bare = mode == Mode::Bare && self.shell != Shell::Fish;
                let split = if bare { text.replace([' ', '\n'], &SPLIT.to_string()) } else { text.to_owned() };
                built.push_str(&split);
            }
            (None, Some(names)) => built.push_any(&names),
            (None, None) => built.push(UNKNOWN),
        }
    }

    /// `<(code)`: a file whose content is what the code prints. `>(code)`: one whose content the code reads.
    fn pipe_file(&mut self, rest: &str, span: Span, built: &mut Built) -> usize {
        let end = closing(rest, 1, b'(', b')').unwrap_or(rest.len());
        let code = &rest[2.min(end)..end];
        let is_sink = rest.starts_with('>');
        let name = self.last_name.clone();
        let flow = self.inner(code, if is_sink { Flow::unseen(0) } else { Flow::default() }, span);
        self.last_substituted = std::mem::replace(&mut self.last_name, name);
        let name = format!("{PIPE_FILE}{}", self.files.len());
        built.push_str(&name);
        built.taint |= flow.taint;
        if is_sink {
            self.sinks.insert(name.clone(), code.to_owned());
        }
        self.files.insert(name, Flow { present: true, ..flow });
        end + 1
    }
}

/// The letter that [`super::zsh`] left for a flag, and what follows it.
fn zsh_flag(inside: &str) -> Option<(char, &str)> {
    let mark = inside.strip_prefix('_')?.chars().next().filter(|mark| matches!(mark, 'E' | 'G' | 'Z'))?;
    inside[2..].starts_with('_').then(|| (mark, inside[2..].trim_start_matches('_')))
}

/// A character that means more than itself in a path, if no quotes are around it.
fn is_special(c: char) -> bool {
    matches!(c, '*' | '?' | '[' | '(' | '{' | '~')
}

fn quoted(text: &str) -> String {
    text.chars().flat_map(|c| is_special(c).then_some(QUOTED).into_iter().chain([c])).collect()
}

/// `x=*.c` keeps the pattern as text.
fn quoted_patterns(value: &str) -> String {
    if !value.contains(is_special) {
        return value.to_owned();
    }
    let mut last = ' ';
    let mark = |c: char| {
        let bare = is_special(c) && c != '~' && std::mem::replace(&mut last, c) != QUOTED;
        last = c;
        bare.then_some(QUOTED).into_iter().chain([c])
    };
    value.chars().flat_map(mark).collect()
}

/// bash reads patterns in the value of a variable without quotes.
fn open_patterns(value: &str) -> Cow<'_, str> {
    if !value.contains(QUOTED) {
        return Cow::Borrowed(value);
    }
    let open = |value: String, c: char| value.replace(&format!("{QUOTED}{c}"), &c.to_string());
    Cow::Owned(['*', '?', '['].into_iter().fold(value.to_owned(), open))
}

/// A backslash: what it stands for; returns the bytes taken.
fn escape(rest: &str, mode: Mode, built: &mut Built) -> usize {
    let Some(next) = rest[1..].chars().next() else {
        built.push('\\');
        return 1;
    };
    if next != '\n' {
        if mode != Mode::Bare && !matches!(next, '$' | '`' | '"' | '\\') {
            built.push('\\');
        }
        if mode != Mode::Document && is_special(next) {
            built.push(QUOTED);
        }
        built.push(next);
    }
    1 + next.len_utf8()
}

/// `\x72` and its kind, which fish reads outside of quotes too; returns the bytes taken.
fn fish_escape(rest: &str, built: &mut Built) -> Option<usize> {
    let (radix, most, from) = match rest.as_bytes().get(1)? {
        b'x' | b'X' => (16, 2, 2),
        b'u' => (16, 4, 2),
        b'U' => (16, 8, 2),
        b'0'..=b'7' => (8, 3, 1),
        _ => return None,
    };
    let digits = rest[from..].bytes().take(most).take_while(|digit| (*digit as char).is_digit(radix)).count();
    let number = u32::from_str_radix(&rest[from..from + digits], radix).ok()?;
    built.push(char::from_u32(number).unwrap_or(UNKNOWN));
    Some(from + digits)
}

/// The code of a backtick substitution that `rest` begins with, and the bytes taken.
fn backticked(rest: &str) -> (String, usize) {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() && bytes[at] != b'`' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    let end = at.min(rest.len());
    (rest[1..end].replace("\\`", "`"), (end + 1).min(rest.len()))
}

/// In fish `\'` does not end a single-quoted string.
pub(super) fn fish_quote_end(bytes: &[u8], at: usize) -> usize {
    let mut here = at + 1;
    while here < bytes.len() && bytes[here] != b'\'' {
        here += if bytes[here] == b'\\' { 2 } else { 1 };
    }
    here.min(bytes.len())
}

/// fish's `[1]` or `[1..3]` after a variable, if it stands there.
fn fish_index(rest: &str) -> &str {
    let end = if rest.starts_with('[') { closing(rest, 0, b'[', b']') } else { None };
    end.map_or("", |end| &rest[..=end])
}

/// A variable whose name says that its value is a secret.
pub(super) fn is_token_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "API_KEY", "APIKEY", "PRIVATE_KEY", "ACCESS_KEY", "CREDENTIAL"]
        .iter()
        .any(|part| name.contains(part))
}
