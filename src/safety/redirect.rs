//! Redirections and here-documents: what a command reads, where its output goes, and the words behind them.
//!
//! To the grammar, all words behind `>` are targets; to bash only the first is, and the rest belongs to the command:
//! `rm >log -rf /`.

use tree_sitter::Node;

use super::walk::{Walker, children, is_word, list_parts, span_of};
use super::word::{Flow, NETWORK, Span, UNKNOWN, Word};

/// One redirection: `2>`, `<`, `>>`, …
#[derive(Debug)]
pub(super) struct Redirect {
    operator: String,
    target: Word,
    /// It is not for what the command prints, but for its errors or a stream of its own: `2>`.
    aside: bool,
}

impl Walker {
    pub(super) fn redirected(&mut self, node: Node, text: &str, stdin: Flow) -> Flow {
        let (mut body, mut redirects, mut tails, mut late) = (None, Vec::new(), Vec::new(), Vec::new());
        let mut document = None;
        for child in children(node).into_iter().filter(|child| child.is_named()) {
            match child.kind() {
                "heredoc_redirect" => {
                    late.extend(body.and_then(|body: Node| lost_dash(text, body.end_byte(), child)));
                    document = Some(self.here_document(child, text));
                    for part in children(child).into_iter().filter(|part| part.is_named()) {
                        match part.kind() {
                            "file_redirect" => redirects.push(part),
                            "heredoc_start" | "heredoc_body" | "heredoc_end" | "file_descriptor" => {}
                            kind if is_word(kind) => add_span(&mut late, part),
                            _ => tails.push(part),
                        }
                    }
                }
                "file_redirect" | "herestring_redirect" | "stream_redirect" => redirects.push(child),
                _ => body = Some(child),
            }
        }
        // To the grammar, what stands behind the last command of a list belongs to all of it.
        let mut before = Flow::default();
        if let Some(list) = body.filter(|body| body.kind() == "list") {
            let mut parts = list_parts(list);
            body = parts.pop();
            before = self.list(parts, text, &stdin);
        }
        self.last_name.clear();
        late.extend(redirects.iter().filter_map(|node| glued_word(*node, text)));
        late.extend(redirects.iter().flat_map(|node| destinations(*node).into_iter().skip(1)));
        late.sort_unstable();
        if let Some(command) = body.and_then(last_command) {
            self.late_words.insert(command.id(), std::mem::take(&mut late));
        }
        let mut input = document.unwrap_or(stdin);
        let redirects = self.redirects(redirects, text, &mut input);
        let mut out = match body {
            Some(body) => self.node(body, text, input.clone()),
            None => Flow::text(""),
        };
        if !late.is_empty() {
            let words = late.into_iter().flat_map(|(from, to)| self.words(&text[from..to], (from, to))).collect();
            out.then(self.call(words, input, span_of(node)));
        }
        let mut out = self.apply(&redirects, out);
        for tail in tails {
            out = self.node(tail, text, out);
        }
        before.then(out);
        before
    }

    /// Reads the redirections: input ones become `input`, output ones are returned.
    pub(super) fn redirects(&mut self, nodes: Vec<Node>, text: &str, input: &mut Flow) -> Vec<Redirect> {
        let mut outputs = Vec::new();
        for node in nodes {
            let end = destinations(node).first().map_or(node.end_byte(), |first| first.1);
            let start = glued_word(node, text).map_or(node.start_byte(), |word| word.1);
            let whole = &text[start..end];
            let raw = whole.trim_start_matches(|c: char| c.is_ascii_digit());
            let aside = !matches!(&whole[..whole.len() - raw.len()], "" | "1");
            let end = raw.find(|c| !matches!(c, '<' | '>' | '&' | '|' | '?')).unwrap_or(raw.len());
            let (operator, rest) = raw.split_at(end);
            let rest = rest.trim_start();
            let Some(target) = self.words(rest, span_of(node)).into_iter().next() else { continue };
            match operator {
                "<<<" => {
                    *input = Flow { taint: target.taint, ..Flow::text(target.text) };
                    if let Some(text) = input.text.as_ref().filter(|text| text.contains(UNKNOWN)) {
                        input.text = (!text.chars().all(|c| c == UNKNOWN)).then(|| text.clone());
                    }
                }
                "<" => *input = self.read(&target),
                "<&" if target.taint & NETWORK != 0 => *input = Flow::unseen(NETWORK),
                "<&" | "" => {}
                _ => outputs.push(Redirect { operator: operator.into(), target, aside }),
            }
        }
        outputs
    }

    fn here_document(&mut self, node: Node, text: &str) -> Flow {
        let kids = children(node);
        let find = |kind: &str| kids.iter().find(|kid| kid.kind() == kind).map(|kid| &text[kid.byte_range()]);
        let body = find("heredoc_body").unwrap_or("");
        let quoted = find("heredoc_start").is_some_and(|start| start.contains(['\'', '"', '\\']));
        if quoted {
            return Flow::text(body);
        }
        let (text, taint) = self.document(body, span_of(node));
        Flow { taint, ..Flow::text(text) }
    }

    /// Sends `out` where the redirections say.
    pub(super) fn apply(&mut self, redirects: &[Redirect], mut out: Flow) -> Flow {
        for redirect in redirects {
            let target = &redirect.target;
            let digits = target.text.chars().all(|c| c.is_ascii_digit() || c == '-');
            if redirect.operator == ">&" && digits || target.text.is_empty() {
                continue;
            }
            let errors = Flow::unseen(0);
            let flow = if redirect.aside { &errors } else { &out };
            if target.text.starts_with("/dev/tcp/") || target.text.starts_with("/dev/udp/") {
                self.network_file(target, flow);
            } else {
                let body = Flow { present: !self.last_name.is_empty(), ..flow.clone() };
                self.write(target, &body, redirect.operator.contains(">>"));
                // fish's >? leaves a file alone that is there.
                if !redirect.operator.contains(">>") && !redirect.operator.contains('?') {
                    self.written(std::slice::from_ref(target));
                }
            }
            if !redirect.aside {
                out = Flow::default();
            }
        }
        out
    }
}

/// The word `-` between a command that ends at `from` and a here-document: the grammar reads it as a part of neither, or of
/// `<<`.
fn lost_dash(text: &str, from: usize, document: Node) -> Option<Span> {
    let between = text.get(from..document.end_byte())?;
    let at = from + between.len() - between.trim_start_matches([' ', '\t']).len();
    let after = text[at..].strip_prefix('-')?;
    after.starts_with([' ', '\t', '<']).then_some((at, at + 1))
}

/// The word before a redirection that the grammar takes for its number: `-k2` in `sort <a -k2<b`.
pub(super) fn glued_word(node: Node, text: &str) -> Option<Span> {
    let number = node.child_by_field_name("descriptor")?;
    let is_word = |number: &str| !number.starts_with('{') && number.bytes().any(|b| !b.is_ascii_digit());
    is_word(&text[number.byte_range()]).then(|| span_of(number))
}

/// The words that the grammar has for targets of a redirection.
fn destinations(node: Node) -> Vec<Span> {
    let mut found = Vec::new();
    node.children_by_field_name("destination", &mut node.walk()).for_each(|child| add_span(&mut found, child));
    found
}

/// Adds a node, to the span before it where no space is between them: one word.
pub(super) fn add_span(spans: &mut Vec<Span>, node: Node) {
    match spans.last_mut() {
        Some(last) if last.1 == node.start_byte() => last.1 = node.end_byte(),
        _ => spans.push(span_of(node)),
    }
}

/// The command that words behind a redirection of `body` belong to.
fn last_command(body: Node) -> Option<Node> {
    match body.kind() {
        "command" | "declaration_command" | "unset_command" => Some(body),
        "pipeline" | "list" | "negated_command" | "redirected_statement" => {
            last_command(body.named_child(body.named_child_count().checked_sub(1)? as u32)?)
        }
        _ => None,
    }
}
