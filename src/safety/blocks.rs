//! Loops, functions and assignments: where values come from, and what repeats.

use tree_sitter::Node;

use super::tokens::raw_words;
use super::walk::{Command, Walker, children, is_word, span_of};
use super::word::{Flow, GUESSED, HIDDEN, NETWORK, SPLIT, Span, Taint, UNKNOWN, Word, closing, guessed};
use crate::request::Shell;

impl Walker {
    pub(super) fn for_loop(&mut self, node: Node, text: &str, stdin: Flow) -> Flow {
        let kids = children(node);
        let mut cursor = node.walk();
        let values: Vec<Span> = node.children_by_field_name("value", &mut cursor).map(span_of).collect();
        let mut texts = Vec::new();
        let mut taint = 0;
        for (from, to) in values {
            for word in self.words(&text[from..to], (from, to)) {
                taint |= word.taint;
                texts.push(word.into_value());
            }
        }
        if texts.is_empty() {
            texts.push(UNKNOWN.to_string());
        }
        if let Some(name) = node.child_by_field_name("variable") {
            self.variables.insert(text[name.byte_range()].to_owned(), (texts, taint));
        }
        let mut out = Flow::default();
        for kid in kids.into_iter().filter(|kid| kid.is_named() && !is_word(kid.kind())) {
            out.then(self.node(kid, text, stdin.clone()));
        }
        out
    }

    pub(super) fn while_loop(&mut self, node: Node, text: &str, stdin: Flow) -> Flow {
        let whole = &text[node.byte_range()];
        let condition = whole.trim_start_matches("while").trim_start();
        let endless = condition.starts_with("true") || condition.starts_with(':');
        let waits = ["sleep", "wait", "read", "break", "inotifywait"].iter().any(|word| whole.contains(word));
        if endless && !waits && (whole.contains(">>") || whole.contains("& ") && !whole.contains("&& ")) {
            self.flag("endless-loop", span_of(node));
        }
        self.read_variables(whole, &stdin);
        self.sequence(node, text, stdin)
    }

    /// `while read -r x` takes its values from the pipe.
    pub(super) fn read_variables(&mut self, whole: &str, stdin: &Flow) {
        let Some(rest) = whole.split("read ").nth(1) else { return };
        let names: Vec<String> = stdin.names.iter().flatten().map(|name| format!("{GUESSED}{name}")).collect();
        let names = if names.is_empty() { vec![UNKNOWN.to_string()] } else { names };
        let words = rest.split([';', '\n']).next().unwrap_or("").split_whitespace();
        for name in words.filter(|word| !word.starts_with('-')) {
            self.variables.insert(name.to_owned(), (names.clone(), stdin.taint & (NETWORK | HIDDEN)));
        }
    }

    /// A function's body is judged where it stands: if every part of the line runs, so does it.
    pub(super) fn function(&mut self, node: Node, text: &str) -> Flow {
        let name = node.child_by_field_name("name").map_or("", |name| &text[name.byte_range()]);
        let whole = &text[node.byte_range()];
        let body = whole.split_once(name).map_or("", |(_, body)| body);
        let calls =
            body.split([' ', ';', '|', '&', '(', ')', '{', '}', '\n', '\t']).filter(|word| *word == name).count();
        let forks = body.replace("&&", "").contains('&');
        if calls >= 2 || calls == 1 && forks {
            self.flag("fork-bomb", span_of(node));
        }
        let before = (self.directory.clone(), self.last_name.clone());
        if !self.functions.contains_key(name) && body.contains('$') && body.len() < 1024 {
            let body = node.child_by_field_name("body").map_or(body, |body| &text[body.byte_range()]);
            self.functions.insert(name.to_owned(), body.to_owned());
        }
        self.sequence(node, text, Flow::default());
        (self.directory, self.last_name) = before;
        Flow::default()
    }

    /// `set -- a b`: the words that `"$@"` stands for.
    pub(super) fn positional(&mut self, command: &Command) {
        let given = command.args.iter().position(|word| word.text == "--" || !word.is_option());
        let Some(at) = given else { return };
        let words = &command.args[at..];
        let words = if words[0].text == "--" { &words[1..] } else { words };
        self.set_positional(words);
    }

    /// `$1` and those behind it, and `"$@"`.
    pub(super) fn set_positional(&mut self, words: &[Word]) {
        let taint = words.iter().fold(0, |all, word| all | word.taint);
        let all = words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(&SPLIT.to_string());
        for (at, word) in words.iter().enumerate().take(9) {
            self.variables.insert((at + 1).to_string(), (vec![guessed(&word.text)], word.taint));
        }
        self.variables.insert("@".into(), (vec![guessed(&all)], taint));
    }

    /// A function of this line called with words: its body again, with them in the place of `$1` and `"$@"`.
    pub(super) fn call_function(&mut self, command: &Command) -> Flow {
        let Some(body) = self.functions.get(&command.name).cloned().filter(|_| !command.args.is_empty()) else {
            return Flow::unseen(0);
        };
        let outer = self.variables.clone();
        if self.shell == Shell::Fish {
            let texts = command.args.iter().map(|word| guessed(&word.text)).collect();
            self.variables.insert("argv".into(), (texts, 0));
        } else {
            self.set_positional(&command.args);
        }
        self.functions.remove(&command.name);
        let flow = self.inner(&body, command.stdin.clone(), command.span);
        self.functions.insert(command.name.clone(), body);
        self.variables = outer;
        flow
    }

    /// `NAME=value` before a command counts for what follows too: the command may be a shell that reads it.
    pub(super) fn prefix_assignment(&mut self, raw: &str, span: Span, lasting: bool) {
        self.assignment(raw, span);
        let name = raw.split('=').next().unwrap_or("");
        self.command_variable(name, span);
        if !lasting && matches!(name, "LD_PRELOAD" | "LD_AUDIT" | "DYLD_INSERT_LIBRARIES") {
            self.flag(if self.root { "unseen-code-root" } else { "preload" }, span);
        }
    }

    /// `NAME=value`, `NAME=(a b)`, `NAME+=value`, `NAME[index]=value`.
    pub(super) fn assignment(&mut self, raw: &str, span: Span) -> Flow {
        let end = raw.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(raw.len());
        let (name, mut rest) = raw.split_at(end);
        if rest.starts_with('[') {
            let Some(end) = closing(rest, 0, b'[', b']') else { return Flow::default() };
            self.substitutions_in(&rest[1..end], span);
            rest = &rest[end + 1..];
        }
        let adds = rest.starts_with('+');
        let Some(value) = rest.trim_start_matches('+').strip_prefix('=') else { return Flow::default() };
        let inside = value.strip_prefix('(').and_then(|value| value.strip_suffix(')'));
        let values: Vec<(String, Taint)> = match inside {
            Some(items) => {
                let words = raw_words(items).flat_map(|item| self.words(item, span));
                words.map(|word| (word.taint, word.into_value())).map(|(taint, value)| (value, taint)).collect()
            }
            None => vec![self.value(value, span)],
        };
        let taint = values.iter().fold(0, |all, (_, taint)| all | taint);
        let mut texts: Vec<String> = values.into_iter().map(|(value, _)| value).collect();
        if let (true, Some((before, _))) = (adds, self.variables.get(name)) {
            texts = before.iter().flat_map(|a| texts.iter().map(move |b| format!("{a}{b}"))).take(16).collect();
        }
        self.variables.insert(name.to_owned(), (texts, taint));
        Flow::default()
    }
}
