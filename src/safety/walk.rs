//! Follows a command line the way the shell would run it: every simple command with its words resolved, every pipe
//! with what flows through it, every inner script as deep as [`MAX_DEPTH`].
//!
//! The syntax tree comes from tree-sitter, which recovers from errors; where it could not make sense of the text a
//! plain token scan looks at the same text again, so that an error never hides a command.

use std::collections::HashMap;

use tree_sitter::{Node, Tree};

use super::directory::Directory;
use super::grammar::{Effort, as_read, parse};
use super::redirect::{add_span, glued_word};
use super::touch::Touch;
use super::word::{ENDLESS, Flow, HIDDEN, NETWORK, SECRET, SOME, Span, TYPED, Taint, Word};
use super::{Finding, Risk, rules};
use crate::request::Shell;

/// Nesting that is followed: scripts in scripts, substitutions, blocks.
const MAX_DEPTH: usize = 64;
/// Findings kept; worse ones take the place of lesser ones.
const MAX_FINDINGS: usize = 64;
/// Simple commands looked at before the rest is called unseen.
const MAX_COMMANDS: usize = 1500;
/// Bytes of inner scripts parsed, all together.
const MAX_PARSED: usize = 24 * 1024;
/// Words passed to commands, all together: wrappers of wrappers hand the same words on.
const MAX_WORDS: usize = 20_000;
/// Longest text read at one time.
pub(super) const MAX_TEXT: usize = 8 * 1024;

/// Words of the grammar that stand before a command where the syntax tree or the token scan took them for its name.
const RESERVED: &[&str] = &[
    "then", "else", "elif", "if", "do", "while", "until", "!", "{", "}", "and", "or", "not", "begin", "fi", "done",
    "esac", "end",
];

/// A simple command as it will run.
#[derive(Debug)]
pub(super) struct Command {
    /// The last part of the command word's path.
    pub(super) name: String,
    pub(super) args: Vec<Word>,
    pub(super) stdin: Flow,
    pub(super) span: Span,
}

/// The state of a shell that reads the line from left to right.
pub(super) struct Walker {
    pub(super) shell: Shell,
    pub(super) findings: Vec<Finding>,
    /// Variables set on this line: their possible values.
    pub(super) variables: HashMap<String, (Vec<String>, Taint)>,
    /// Functions defined on this line: their bodies.
    pub(super) functions: HashMap<String, String>,
    /// Aliases set on this line.
    pub(super) aliases: HashMap<String, String>,
    /// Global ones, of zsh.
    pub(super) globals: HashMap<String, String>,
    /// Files written on this line.
    pub(super) files: HashMap<String, Flow>,
    /// What runs behind each `>(…)` of this line.
    pub(super) sinks: HashMap<String, String>,
    /// Where the line has changed to.
    pub(super) directory: Directory,
    /// The commands run with administrator rights.
    pub(super) root: bool,
    /// The commands run as somebody else, whose home is another.
    pub(super) other_user: bool,
    pub(super) touches: Vec<Touch>,
    /// Paths in them.
    pub(super) touched_paths: usize,
    /// The line was read near enough for the rules, not for paths.
    pub(super) guesses: bool,
    /// The span that findings of an inner script carry.
    origin: Option<Span>,
    /// How deep scripts, blocks and defaults stand in one another here.
    pub(super) depth: usize,
    commands: usize,
    words_passed: usize,
    parsed: usize,
    effort: Effort,
    /// The name of the last simple command, for redirections around it.
    pub(super) last_name: String,
    /// The name of the command before the last pipe.
    pub(super) last_piped: String,
    /// The last command of the last `$(…)`.
    pub(super) last_substituted: String,
    /// Words that stand behind a command's redirections, by the command's node.
    pub(super) late_words: HashMap<usize, Vec<Span>>,
    /// The words of every command so far.
    #[cfg(fuzzing)]
    pub(super) calls: Vec<Vec<String>>,
}

impl Walker {
    pub(super) fn new(shell: Shell) -> Self {
        Self {
            shell,
            findings: Vec::new(),
            variables: HashMap::new(),
            functions: HashMap::new(),
            aliases: HashMap::new(),
            globals: HashMap::new(),
            files: HashMap::new(),
            sinks: HashMap::new(),
            directory: Directory::start(),
            root: false,
            other_user: false,
            touches: Vec::new(),
            touched_paths: 0,
            guesses: false,
            origin: None,
            depth: 0,
            commands: 0,
            words_passed: 0,
            parsed: 0,
            effort: Effort::default(),
            last_name: String::new(),
            last_piped: String::new(),
            last_substituted: String::new(),
            late_words: HashMap::new(),
            #[cfg(fuzzing)]
            calls: Vec::new(),
        }
    }

    /// Notes the rule `name` at `span`.
    pub(super) fn flag(&mut self, name: &'static str, span: Span) {
        let (risk, reason) = rules::effect(name);
        self.note(name, span, risk, reason);
    }

    /// Notes a finding once, at its worst.
    pub(super) fn note(&mut self, rule: &str, span: Span, risk: Risk, reason: &str) {
        let span = self.origin.unwrap_or(span);
        let finding = Finding { rule: rule.into(), span, risk, reason: reason.into() };
        let known = self.findings.iter().position(|f| f.rule == rule && f.span == span);
        match known.or_else(|| self.findings.iter().position(|f| f.risk < risk && self.findings.len() >= MAX_FINDINGS))
        {
            Some(at) if self.findings[at].risk < risk => self.findings[at] = finding,
            None if self.findings.len() < MAX_FINDINGS => self.findings.push(finding),
            _ => {}
        }
    }

    /// What is read now came out of a word.
    pub(super) fn in_script(&self) -> bool {
        self.origin.is_some()
    }

    /// Runs a script that came out of a word; findings carry the word's span.
    pub(super) fn inner(&mut self, text: &str, stdin: Flow, span: Span) -> Flow {
        self.inner_as(text, self.shell, stdin, span)
    }

    /// As [`Self::inner`], in another shell's syntax.
    pub(super) fn inner_as(&mut self, text: &str, shell: Shell, stdin: Flow, span: Span) -> Flow {
        let outer = (self.origin, self.shell);
        self.origin = Some(self.origin.unwrap_or(span));
        self.shell = shell;
        let flow = self.run(text, stdin);
        (self.origin, self.shell) = outer;
        flow
    }

    /// Runs a whole script.
    pub(super) fn run(&mut self, text: &str, stdin: Flow) -> Flow {
        self.parsed += text.len();
        if text.len() > MAX_TEXT || self.parsed > MAX_PARSED || self.depth >= MAX_DEPTH {
            self.flag("too-long", (0, text.len().min(MAX_TEXT)));
            return Flow::unseen(HIDDEN);
        }
        let (read, expanded) = as_read(text, self.shell);
        if expanded {
            self.origin = Some(self.origin.unwrap_or((0, text.len())));
        }
        self.guesses |= self.shell != Shell::Fish && read != text;
        let text = read;
        self.depth += 1;
        let flow = match parse(&text, self.shell, &self.effort) {
            Some(tree) => self.tree(&tree, &text, stdin),
            None => {
                self.flag("too-long", (0, text.len()));
                self.tokens(&text)
            }
        };
        self.depth -= 1;
        flow
    }

    fn tree(&mut self, tree: &Tree, text: &str, stdin: Flow) -> Flow {
        let flow = self.node(tree.root_node(), text, stdin);
        if tree.root_node().has_error() {
            self.flag("unparsed", (0, text.len()));
            self.tokens(text);
        }
        flow
    }

    /// Goes one level deeper, or says that the text is too deep to be read. The caller comes back up.
    pub(super) fn deeper(&mut self, span: Span) -> bool {
        if self.depth >= MAX_DEPTH {
            self.flag("too-long", span);
            return false;
        }
        self.depth += 1;
        true
    }

    /// Runs one node of the syntax tree, of either grammar.
    pub(super) fn node(&mut self, node: Node, text: &str, stdin: Flow) -> Flow {
        if !self.deeper(span_of(node)) {
            return self.tokens(&text[node.byte_range()]);
        }
        let flow = self.statement(node, text, stdin);
        self.depth -= 1;
        flow
    }

    fn statement(&mut self, node: Node, text: &str, stdin: Flow) -> Flow {
        match node.kind() {
            "command" | "declaration_command" | "unset_command" => self.simple(node, text, stdin),
            "variable_assignment" => {
                self.prefix_assignment(&text[node.byte_range()], span_of(node), true);
                Flow::default()
            }
            "pipeline" | "pipe" => self.pipeline(node, text, stdin),
            "list" => self.list(list_parts(node), text, &stdin),
            "redirected_statement" | "redirect_statement" => self.redirected(node, text, stdin),
            "for_statement" => self.for_loop(node, text, stdin),
            "while_statement" => self.while_loop(node, text, stdin),
            "function_definition" => self.function(node, text),
            "subshell" | "command_substitution" | "process_substitution" => {
                let before = self.directory.clone();
                let flow = self.sequence(node, text, stdin);
                self.directory = before;
                flow
            }
            "comment" | "heredoc_body" | "heredoc_start" | "heredoc_end" => Flow::default(),
            "word" | "string" | "expansion" | "concatenation" | "double_quote_string" => {
                self.words(&text[node.byte_range()], span_of(node));
                Flow::default()
            }
            _ => self.sequence(node, text, stdin),
        }
    }

    /// Children one after the other; a change of directory is no longer certain after a `;`.
    pub(super) fn sequence(&mut self, node: Node, text: &str, stdin: Flow) -> Flow {
        let mut out = Flow::default();
        for child in children(node).into_iter().filter(|child| child.is_named()) {
            out.then(self.node(child, text, stdin.clone()));
            if let Some((_, certain)) = &mut self.directory.changed {
                *certain &= node.kind() == "conditional_execution";
            }
        }
        out
    }

    /// The commands of a list, one after the other.
    pub(super) fn list(&mut self, parts: Vec<Node>, text: &str, stdin: &Flow) -> Flow {
        let mut out = Flow::default();
        parts.into_iter().for_each(|part| out.then(self.node(part, text, stdin.clone())));
        out
    }

    fn pipeline(&mut self, node: Node, text: &str, stdin: Flow) -> Flow {
        let mut stages = Vec::new();
        flatten(node, &mut stages);
        let mut flow = stdin;
        for stage in stages {
            flow = self.node(stage, text, flow);
            flow.present = true;
            self.last_piped.clone_from(&self.last_name);
        }
        flow
    }

    /// A simple command: its assignments, words and own redirections.
    fn simple(&mut self, node: Node, text: &str, stdin: Flow) -> Flow {
        let (mut raws, mut redirects): (Vec<Span>, Vec<Node>) = (Vec::new(), Vec::new());
        let mut assigned = Vec::new();
        for child in children(node) {
            match child.kind() {
                "variable_assignment" if node.kind() == "command" => assigned.push(child),
                "file_redirect" | "herestring_redirect" | "heredoc_redirect" | "stream_redirect" => {
                    redirects.push(child)
                }
                "comment" | "\n" => {}
                _ => add_span(&mut raws, child),
            }
        }
        raws.extend(redirects.iter().filter_map(|node| glued_word(*node, text)));
        raws.extend(self.late_words.remove(&node.id()).unwrap_or_default());
        raws.sort_unstable();
        // In `nc host 9 0<in` the 0 is one word more to the grammar.
        raws.retain(|(from, to)| {
            let after = text[*to..].strip_prefix(['<', '>']);
            let redirects = after.is_some_and(|after| !after.starts_with('('));
            !redirects || text[*from..*to].bytes().any(|b| !b.is_ascii_digit())
        });
        let mut words = Vec::new();
        let bare = raws.is_empty();
        for child in assigned {
            self.prefix_assignment(&text[child.byte_range()], span_of(child), bare);
        }
        for (from, to) in raws {
            words.extend(self.words(&text[from..to], (from, to)));
        }
        let mut input = stdin;
        let redirects = self.redirects(redirects, text, &mut input);
        let out = self.call(words, input, span_of(node));
        self.apply(&redirects, out)
    }

    /// Runs resolved words; the first is the command word.
    pub(super) fn call(&mut self, mut words: Vec<Word>, stdin: Flow, span: Span) -> Flow {
        let reserved = words.iter().take_while(|word| RESERVED.contains(&word.text.as_str())).count();
        words.drain(..reserved);
        while words.first().is_some_and(|word| is_assignment(&word.text)) {
            let word = words.remove(0);
            self.prefix_assignment(&word.text, word.span, words.is_empty());
        }
        if words.is_empty() {
            return Flow::default();
        }
        self.words_passed += words.len();
        self.commands += 1;
        if self.depth >= MAX_DEPTH || self.commands > MAX_COMMANDS || self.words_passed > MAX_WORDS {
            self.flag("too-long", span);
            return Flow::unseen(HIDDEN);
        }
        #[cfg(fuzzing)]
        self.calls.push(words.iter().map(|word| word.text.clone()).collect());
        if let Some(flow) = self.aliased(&words, &stdin, span) {
            return flow;
        }
        let first = words.remove(0);
        self.depth += 1;
        let name = first.text.rsplit('/').next().unwrap_or("").to_owned();
        self.root_program(&first, span);
        self.last_name.clone_from(&name);
        let flow = self.execute(&first, Command { name, args: words, stdin, span });
        self.depth -= 1;
        flow
    }

    /// What a file holds: known if this line wrote it.
    pub(super) fn read(&self, word: &Word) -> Flow {
        if let Some(flow) = self.files.get(&word.text) {
            return flow.clone();
        }
        let secret = super::target::is_secret(&word.text, self.cwd());
        let typed = super::target::is_history(&word.text, self.cwd());
        match word.text.as_str() {
            "/dev/null" => return Flow::text(""),
            text if text.starts_with("/dev/tcp/") => return Flow::unseen(NETWORK),
            _ => {}
        }
        let endless = matches!(word.text.as_str(), "/dev/zero" | "/dev/urandom" | "/dev/random");
        Flow::unseen(
            word.taint
                | if secret { SECRET } else { 0 }
                | if typed { TYPED } else { 0 }
                | if endless { ENDLESS } else { 0 },
        )
    }
}

/// `NAME=…`, as a word.
pub(super) fn is_assignment(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit())
    })
}

/// A known part for a value that is never empty.
pub(super) fn some() -> String {
    SOME.to_string()
}

pub(super) fn span_of(node: Node) -> Span {
    (node.start_byte(), node.end_byte())
}

pub(super) fn children(node: Node) -> Vec<Node> {
    let mut cursor = node.walk();
    node.children(&mut cursor).collect()
}

/// `a && b || c`, which the grammar nests to the left as deep as the list is long.
pub(super) fn list_parts(list: Node) -> Vec<Node> {
    let mut parts = Vec::new();
    let mut here = list;
    loop {
        let kids: Vec<Node> = children(here).into_iter().filter(|child| child.is_named()).collect();
        let [left, right @ ..] = kids.as_slice() else { break };
        parts.extend(right.iter().rev().copied());
        if left.kind() != "list" {
            parts.push(*left);
            break;
        }
        here = *left;
    }
    parts.reverse();
    parts
}

/// fish nests pipes; bash does not.
fn flatten<'t>(node: Node<'t>, stages: &mut Vec<Node<'t>>) {
    for child in children(node).into_iter().filter(|child| child.is_named()) {
        if matches!(child.kind(), "pipeline" | "pipe") {
            flatten(child, stages);
        } else {
            stages.push(child);
        }
    }
}

pub(super) fn is_word(kind: &str) -> bool {
    matches!(
        kind,
        "word"
            | "string"
            | "raw_string"
            | "concatenation"
            | "simple_expansion"
            | "expansion"
            | "variable_name"
            | "number"
            | "command_substitution"
            | "glob"
            | "variable_expansion"
            | "double_quote_string"
            | "single_quote_string"
            | "brace_expression"
            | "brace_expansion"
            | "home_dir_expansion"
            | "ansi_c_string"
    )
}
