//! One resolved simple command: what it does, by its own rule or by the table, and what it prints.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::Risk;
use super::rules::{Effect, PROGRAMS, Rule, VALUE_OPTIONS};
use super::scan::is_token_name;
use super::target;
use super::text::deceptive_name;
use super::walk::{Command, Walker};
use super::word::{Flow, HIDDEN, NETWORK, Place, SECRET, SHELL, TOKEN, UNKNOWN, Word};
use crate::request::Shell;

impl Command {
    /// Any of these options is there; short ones also inside a cluster.
    pub(super) fn has(&self, options: &str) -> bool {
        options.split(' ').any(|option| self.options().any(|arg| option_matches(arg, option)))
    }

    /// As [`Self::has`], long ones also abbreviated as GNU programs take them.
    pub(super) fn has_gnu(&self, options: &str) -> bool {
        let long = |option: &str| option.starts_with("--");
        let short = |arg: &str, option: &str| arg.len() > 3 && long(arg) && long(option) && option.starts_with(arg);
        self.has(options) || options.split(' ').any(|option| self.options().any(|arg| short(arg, option)))
    }

    fn options(&self) -> impl Iterator<Item = &str> {
        self.args
            .iter()
            .map(|word| word.text.as_str())
            .take_while(|arg| *arg != "--")
            .filter(|arg| arg.starts_with('-'))
    }

    /// Everything that is not an option (or stands after `--`).
    pub(super) fn operands(&self) -> impl Iterator<Item = &Word> {
        self.operands_after("")
    }

    /// The operands, where the options in `valued` take the next word.
    pub(super) fn operands_after(&self, valued: &str) -> impl Iterator<Item = &Word> {
        let valued: Vec<String> = valued.split_whitespace().map(str::to_owned).collect();
        let (mut bare, mut skip) = (false, false);
        self.args.iter().filter(move |word| {
            if std::mem::take(&mut skip) {
                return false;
            }
            if bare || !word.is_option() {
                return true;
            }
            bare = word.text == "--";
            skip = valued.contains(&word.text);
            false
        })
    }

    /// The value of an option: the next word, or what follows `=` or the letter.
    pub(super) fn value_of(&self, options: &str) -> Option<Word> {
        for (at, word) in self.args.iter().enumerate() {
            for option in options.split(' ') {
                let rest = match word.text.strip_prefix(option) {
                    Some("") => return self.args.get(at + 1).cloned(),
                    Some(rest) if option.starts_with("--") => rest.strip_prefix('='),
                    Some(rest) if option.len() == 2 => Some(rest),
                    _ => None,
                };
                if let Some(rest) = rest {
                    return Some(word.with_text(rest));
                }
            }
        }
        None
    }

    /// The word behind short options that end in `letter`: `-o FILE`, `-fsSLo FILE`.
    pub(super) fn behind_cluster(&self, letter: char) -> Option<&Word> {
        let ends = |word: &Word| word.is_option() && !word.text.starts_with("--") && word.text.ends_with(letter);
        self.args.get(self.args.iter().position(ends)? + 1)
    }

    pub(super) fn taint(&self) -> u8 {
        self.args.iter().fold(0, |taint, word| taint | word.taint)
    }
}

fn option_matches(arg: &str, option: &str) -> bool {
    if arg == option || arg.strip_prefix(option).is_some_and(|rest| rest.starts_with('=')) {
        return true;
    }
    let letter = option.strip_prefix('-').filter(|rest| rest.len() == 1).and_then(|rest| rest.chars().next());
    let cluster = arg.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
    matches!((letter, cluster), (Some(c), Some(rest)) if rest.chars().take_while(|x| x.is_ascii_alphabetic()).any(|x| x == c))
}

impl Walker {
    /// Runs `command`, whose command word is `word`.
    pub(super) fn execute(&mut self, word: &Word, command: Command) -> Flow {
        if let Some(c) = deceptive_name(&command.name)
            && !command.name.contains(UNKNOWN)
        {
            let reason = format!("the command's name holds U+{:04X}, which only looks like another letter", c as u32);
            self.note("deceptive-name", word.span, Risk::Dangerous, &reason);
            return Flow::unseen(HIDDEN);
        }
        if let Some(flow) = self.unseen(word, &command) {
            return flow;
        }
        if self.is_pattern(word, &command.name) {
            return self.found_command(word, command);
        }
        if is_help(&command) {
            return Flow::unseen(0);
        }
        if let Some(flow) = self.unwrap(&command, word) {
            return flow;
        }
        self.fetched_file(word, &command);
        self.reach(&command);
        self.files_touched(&command);
        self.table(&command);
        self.network(&command);
        self.show(&command);
        self.output(&command)
    }

    /// A command word that cannot be seen.
    fn unseen(&mut self, word: &Word, command: &Command) -> Option<Flow> {
        if word.text.trim().is_empty() && word.taint == 0 {
            return Some(Flow::default());
        }
        let hidden_name = command.name.contains(UNKNOWN) || command.name.is_empty();
        if word.taint & NETWORK != 0 {
            self.flag("network-code", word.span);
        } else if word.taint & HIDDEN != 0 {
            self.flag("hidden-code", word.span);
        } else if hidden_name {
            self.flag(if self.root { "unseen-command-root" } else { "unseen-command" }, word.span);
            let recursive = command
                .args
                .first()
                .is_some_and(|arg| matches!(arg.text.as_str(), "-rf" | "-fr" | "-r" | "-R" | "-Rf"));
            if recursive {
                let operands: Vec<Word> = command.operands().cloned().collect();
                operands.iter().for_each(|path| self.touch(Effect::DeleteTree, path));
            }
        } else {
            return None;
        }
        Some(Flow::unseen(word.taint))
    }

    /// The command word is a pattern that the shell fills in: `/bin/r[m]`.
    fn is_pattern(&self, word: &Word, name: &str) -> bool {
        let is_class = || name.split_once('[').is_some_and(|(_, rest)| rest.chars().skip(1).any(|c| c == ']'));
        self.shell != Shell::Fish && matches!(word.place, Place::Text) && (name.contains(['*', '?']) || is_class())
    }

    /// Runs the worst that the pattern `word` may find.
    fn found_command(&mut self, word: &Word, command: Command) -> Flow {
        const WORST: &[&str] = &[
            "rm", "dd", "shred", "sh", "bash", "chmod", "chown", "mv", "find", "curl", "nc", "python3", "perl", "tee",
        ];
        self.flag(if self.root { "unseen-command-root" } else { "unseen-command" }, word.span);
        let pattern = glob::Pattern::new(&command.name).ok();
        match pattern.and_then(|pattern| WORST.iter().find(|name| pattern.matches(name))) {
            Some(name) => self.execute(&Word::new(*name, word.span), Command { name: (*name).into(), ..command }),
            None => Flow::unseen(word.taint),
        }
    }

    /// Runs text as a script of this shell, and says why when it cannot be seen.
    pub(super) fn run_word(&mut self, code: &Word) -> Flow {
        let flow = Flow { taint: code.taint, ..Flow::text(code.text.clone()) };
        self.feed(&flow, code.span, true)
    }

    /// Text that flows into an interpreter. `shell`: it is shell code, so what is known of it is read.
    pub(super) fn feed(&mut self, flow: &Flow, span: super::word::Span, shell: bool) -> Flow {
        if flow.taint & NETWORK != 0 {
            self.flag("network-code", span);
        }
        if flow.taint & HIDDEN != 0 {
            self.flag("hidden-code", span);
        }
        match &flow.text {
            Some(text) if Word::new(text.as_str(), span).unseen() => self.unseen_code(span),
            Some(text) if shell => return self.inner(text, Flow::default(), span),
            Some(text) => self.code(text, span),
            None => self.unseen_code(span),
        }
        Flow::unseen(flow.taint & (NETWORK | HIDDEN) | SHELL)
    }

    pub(super) fn unseen_code(&mut self, span: super::word::Span) {
        self.flag(if self.root { "unseen-code-root" } else { "unseen-code" }, span);
    }

    /// `./x` after `curl -o x`, or after the line wrote known text into it.
    fn fetched_file(&mut self, word: &Word, command: &Command) {
        let path = word.text.trim_start_matches("./");
        let Some(flow) = self.files.get(path).or(self.files.get(&word.text)).cloned() else { return };
        if flow.taint & NETWORK != 0 {
            self.flag("fetch-run", command.span);
        } else if flow.text.is_some() || flow.taint & HIDDEN != 0 {
            self.feed(&flow, command.span, true);
        }
    }

    /// Every row of the table that fits.
    pub(super) fn table(&mut self, command: &Command) {
        static INDEX: OnceLock<HashMap<&str, Vec<&Rule>>> = OnceLock::new();
        let index = INDEX.get_or_init(|| {
            let mut index: HashMap<&str, Vec<&Rule>> = HashMap::new();
            for rule in PROGRAMS {
                let programs = rule.command.split(' ').next().unwrap_or("");
                programs.split('|').for_each(|program| index.entry(program).or_default().push(rule));
            }
            index
        });
        let Some(rules) = index.get(command.name.as_str()) else { return };
        let valued = VALUE_OPTIONS.iter().find(|(programs, _)| programs.split('|').any(|p| p == command.name));
        let operands: Vec<&str> =
            command.operands_after(valued.map_or("", |(_, options)| options)).map(|word| word.text.as_str()).collect();
        for rule in rules.iter().filter(|rule| fits(rule, command, &operands)) {
            self.note(rule.name, command.span, rule.risk, rule.reason);
        }
    }

    /// Secrets on the screen.
    fn show(&mut self, command: &Command) {
        const READERS: &[&str] = &[
            "cat",
            "bat",
            "less",
            "more",
            "head",
            "tail",
            "strings",
            "xxd",
            "od",
            "hexdump",
            "nl",
            "tac",
            "base64",
            "awk",
            "sed",
            "grep",
            "rg",
            "cut",
            "view",
            "batcat",
            "jq",
            "yq",
            "diff",
            "sort",
            "most",
            "pygmentize",
            "glow",
        ];
        let reads = READERS.contains(&command.name.as_str());
        let secret = command.operands().any(|word| reads && target::is_secret(&word.text, self.cwd()));
        let prints = matches!(command.name.as_str(), "echo" | "printf" | "print");
        let token = prints && command.taint() & (TOKEN | SECRET) != 0
            || command.name == "printenv" && command.operands().any(|word| is_token_name(&word.text));
        if secret || token {
            self.flag("show-secret", command.span);
        }
    }
}

/// `git push` with `--force` matches `git push`, `-f --force`.
fn fits(rule: &Rule, command: &Command, operands: &[&str]) -> bool {
    let mut wanted = rule.command.split(' ').skip(1);
    let leads = wanted.by_ref().enumerate().all(|(at, pattern)| {
        operands.get(at).is_some_and(|operand| pattern.split('|').any(|one| word_fits(one, operand)))
    });
    leads
        && (rule.need.is_empty() || any_needed(rule.need, command, operands))
        && !any_needed(rule.unless, command, operands)
}

fn word_fits(pattern: &str, operand: &str) -> bool {
    match pattern.strip_prefix('…') {
        Some(start) => operand.starts_with(start),
        None => pattern == "*" || pattern == operand || pattern == operand.trim_matches('"'),
    }
}

fn any_needed(needs: &str, command: &Command, operands: &[&str]) -> bool {
    needs
        .split(' ')
        .filter(|need| !need.is_empty())
        .any(|need| need.split('&').all(|one| needed(one, command, operands)))
}

fn needed(one: &str, command: &Command, operands: &[&str]) -> bool {
    if one == "!operands" {
        return operands.is_empty();
    }
    if one == "*" {
        return !operands.is_empty();
    }
    if let Some(part) = one.strip_prefix('…') {
        return command.args.iter().any(|word| word.text.contains(part));
    }
    if one.starts_with('-') {
        return command.has(one);
    }
    let exact = one.strip_prefix('=').unwrap_or(one);
    command.args.iter().any(|word| word.text == exact || word.text.strip_suffix("=0").is_some_and(|_| exact == "0"))
}

/// Asks for help or the version, and so does nothing else.
fn is_help(command: &Command) -> bool {
    const RUNNERS: &[&str] = &[
        "sudo", "doas", "env", "xargs", "find", "sh", "bash", "zsh", "dash", "fish", "ksh", "ssh", "docker", "podman",
        "kubectl", "echo", "printf", "eval", "time", "nohup", "timeout", "nice", "watch", "python3", "python", "node",
        "perl", "ruby", "exec", "command", "trap", "alias", "git", "busybox", "su", "xvfb-run", "parallel", "setsid",
        "builtin", "ionice", "stdbuf", "flock", "chroot",
    ];
    // To others `-help` is `-h elp`.
    let one_dash = matches!(command.name.as_str(), "terraform" | "tofu" | "packer" | "vault" | "consul" | "nomad");
    let asks = |arg: &str| matches!(arg, "--help" | "--version") || one_dash && arg == "-help";
    let first = command.args.first().map_or("", |word| word.text.as_str());
    if matches!(first, "--help" | "--version" | "-h" | "-V" | "help" | "version") && command.args.len() == 1 {
        return !matches!(first, "-h") || !matches!(command.name.as_str(), "shutdown" | "halt" | "free" | "df" | "du");
    }
    if command.name == "aws" && command.args.last().is_some_and(|word| word.text == "help") {
        return true;
    }
    if command.name == "git" {
        let first_operand = command.args.iter().position(|word| !word.is_option());
        return first_operand.is_some() && command.args.iter().skip(1).take(6).any(|word| asks(&word.text));
    }
    if matches!(command.name.as_str(), "docker" | "podman" | "kubectl") {
        let runs = command.args.iter().any(|word| matches!(word.text.as_str(), "run" | "exec" | "create" | "debug"));
        return !runs && command.options().any(asks);
    }
    !RUNNERS.contains(&command.name.as_str()) && command.options().any(asks)
}
