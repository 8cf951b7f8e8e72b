//! One resolved simple command: what it does, by its own rule or by the table, and what it prints.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::Risk;
use super::rules::{Effect, PROGRAMS, Rule, VALUE_OPTIONS};
use super::scan::is_token_name;
use super::target;
use super::text::deceptive_name;
use super::walk::{Command, Walker, some};
use super::word::{Flow, HIDDEN, NETWORK, PRIVATE, SECRET, SHELL, TOKEN, UNKNOWN, Word, unescape};
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

    fn taint(&self) -> u8 {
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

    /// What the command prints, as far as it can be known.
    fn output(&mut self, command: &Command) -> Flow {
        let taint = command.taint() | command.stdin.taint;
        let operands: Vec<&Word> = command.operands().collect();
        let text = |text: String| Flow { taint, ..Flow::text(text) };
        match command.name.as_str() {
            "echo" | "print" => text(echo(command)),
            "printf" => text(printf(&operands)),
            "cat" | "tee" | "tac" | "nl" if operands.is_empty() || command.name == "tee" => {
                Flow { present: true, taint, ..command.stdin.clone() }
            }
            "cat" => {
                let read = |word: &&Word| if word.text == "-" { command.stdin.clone() } else { self.read(word) };
                let flows: Vec<Flow> = operands.iter().map(read).collect();
                let mut out = Flow { taint, ..Flow::default() };
                flows.into_iter().for_each(|flow| out.then(flow));
                out
            }
            ":" | "true" | "cd" | "mkdir" | "touch" | "rm" | "cp" | "mv" | "chmod" | "sleep" | "test" | "["
            | "wait" => Flow::default(),
            "pwd" => Flow::text("."),
            "mktemp" => Flow::text("/tmp/tmp.x"),
            "date" | "whoami" | "id" | "hostname" | "uname" | "nproc" | "uuidgen" | "seq" | "wc" | "tty" | "arch" => {
                Flow::text(some())
            }
            "which" | "dirname" | "realpath" | "readlink"
                if operands.iter().any(|word| !word.text.contains(UNKNOWN)) =>
            {
                text(operands.last().map_or(String::new(), |word| known_path(&command.name, &word.text)))
            }
            "dirname" => Flow::text("."),
            "git" if command.args.iter().any(|word| word.text == "--show-toplevel") => Flow::text("."),
            "env" | "printenv" | "set" | "export" | "declare" if operands.is_empty() => Flow::unseen(SECRET),
            "find" | "fd" | "fdfind" => self.find_names(command),
            "ls" | "dir" | "exa" | "eza" if operands.is_empty() => Flow::names(vec!["./*".into()]),
            "ls" => Flow {
                taint,
                ..Flow::names(operands.iter().map(|word| format!("{}/*", word.text.trim_end_matches("/*"))).collect())
            },
            "grep" | "rg" | "ag" | "head" | "tail" | "sort" | "uniq" | "fzf" | "awk" | "sed"
                if command.stdin.names.is_some() =>
            {
                Flow { present: true, text: None, names: command.stdin.names.clone(), taint }
            }
            "curl" | "wget" | "aria2c" | "lynx" | "http" | "https" | "xh" | "nc" | "ncat" | "netcat" | "telnet"
            | "w3m" | "fetch" | "socat" | "ftp" | "lwp-request" | "GET" | "links" | "curlie" | "dig" | "nslookup"
            | "ssh" => Flow::unseen(taint | NETWORK),
            "openssl" if command.args.iter().any(|word| word.text == "s_client") => Flow::unseen(taint | NETWORK),
            "string" if self.shell == Shell::Fish => self.string_output(command, taint),
            _ if prints_secret(command) => Flow::unseen(taint | SECRET),
            "gsutil" | "aws" | "gh" | "host"
                if command
                    .args
                    .iter()
                    .any(|word| matches!(word.text.as_str(), "cat" | "cp" | "view" | "api" | "-t")) =>
            {
                Flow::unseen(taint | NETWORK)
            }
            _ if decodes(command) => Flow::unseen(taint | HIDDEN),
            _ => self.other_output(command, taint),
        }
    }

    /// fish's `string join`, `unescape`, `replace`: the text, where it can be known.
    fn string_output(&mut self, command: &Command, taint: u8) -> Flow {
        let mut operands = command.operands_after("-n -m").map(|word| word.text.clone());
        let verb = operands.next().unwrap_or_default();
        let glue = if verb == "join" { operands.next().unwrap_or_default() } else { " ".to_owned() };
        let mut words: Vec<String> = operands.collect();
        if words.is_empty() {
            words.extend(command.stdin.text.clone());
        }
        if words.is_empty() {
            return Flow::unseen(taint);
        }
        let text = words.join(&glue);
        match verb.as_str() {
            "join" | "collect" | "trim" | "lower" | "join0" => Flow { taint, ..Flow::text(text) },
            "unescape" => Flow { taint, ..Flow::text(unescape(&text)) },
            "split" => Flow { taint, ..Flow::text(words.get(1..).unwrap_or(&[]).join(" ")) },
            "escape" => Flow { taint, ..Flow::text(text) },
            _ => Flow::unseen(taint),
        }
    }

    fn other_output(&mut self, command: &Command, taint: u8) -> Flow {
        let of_file = |word: &Word| match self.files.get(&word.text) {
            Some(flow) => flow.taint,
            None => self.read(word).taint & PRIVATE,
        };
        Flow::unseen(command.operands().map(of_file).fold(taint, |all, taint| all | taint))
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
    let asks = |arg: &str| matches!(arg, "--help" | "--version");
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

/// Tools that print a key, a password or a token: the program, then words that must stand among its own.
const SECRET_PRINTERS: &[(&str, &str)] = &[
    ("gh|glab|hub", "auth token"),
    ("gcloud", "auth print-access-token"),
    ("gcloud", "auth print-identity-token"),
    ("gcloud", "auth application-default print-access-token"),
    ("gcloud", "secrets versions access"),
    ("aws", "secretsmanager get-secret-value"),
    ("aws", "configure get"),
    ("aws", "configure export-credentials"),
    ("aws", "sts get-session-token"),
    ("aws", "ssm --with-decryption"),
    ("aws", "ecr get-login-password"),
    ("az", "account get-access-token"),
    ("az", "keyvault secret show"),
    ("security", "find-generic-password"),
    ("security", "find-internet-password"),
    ("pass|gopass", "show"),
    ("op", "read"),
    ("bw", "get"),
    ("vault", "read"),
    ("vault", "kv get"),
    ("secret-tool", "lookup"),
    ("heroku", "auth:token"),
    ("kubectl|oc|k", "get secret"),
    ("kubectl|oc|k", "config view --raw"),
    ("oc", "whoami -t"),
    ("doctl", "auth token"),
    ("gpg|gpg2", "--export-secret-keys"),
    ("git", "credential fill"),
    ("npm", "token"),
];

fn prints_secret(command: &Command) -> bool {
    let has = |wanted: &str| command.args.iter().any(|word| word.text == wanted);
    SECRET_PRINTERS
        .iter()
        .any(|(names, words)| names.split('|').any(|name| name == command.name) && words.split(' ').all(has))
}

/// What `echo` prints.
fn echo(command: &Command) -> String {
    let flags = command
        .args
        .iter()
        .take_while(|word| matches!(word.text.as_str(), "-e" | "-n" | "-ne" | "-en" | "-E" | "-r" | "--"))
        .count();
    let words: Vec<&str> = command.args[flags..].iter().map(|word| word.text.as_str()).collect();
    let text = words.join(" ");
    if command.args[..flags].iter().any(|word| word.text.contains('e')) { unescape(&text) } else { text }
}

/// What `printf` prints: near enough for text that goes into a shell.
fn printf(operands: &[&Word]) -> String {
    let Some((format, values)) = operands.split_first() else { return String::new() };
    let format = unescape(&format.text);
    let mut values = values.iter().map(|word| word.text.as_str());
    let mut out = String::new();
    for (index, part) in format.split('%').enumerate() {
        match part.chars().next() {
            _ if index == 0 => out.push_str(part),
            Some('s' | 'b' | 'q') => {
                let value = values.next().unwrap_or("");
                out.push_str(&if part.starts_with('b') { unescape(value) } else { value.to_owned() });
                out.push_str(&part[1..]);
            }
            _ => out.push(super::word::SOME),
        }
    }
    values.for_each(|value| out.push_str(&format!("{value}\n")));
    out
}

fn known_path(name: &str, path: &str) -> String {
    match name {
        "dirname" => path.rsplit_once('/').map_or(".", |(dir, _)| if dir.is_empty() { "/" } else { dir }).to_owned(),
        _ => path.to_owned(),
    }
}

/// Programs that turn one text into another that the reader did not see.
fn decodes(command: &Command) -> bool {
    match command.name.as_str() {
        "base64" | "base32" | "basenc" => command.has("-d -D --decode -di"),
        "xxd" => command.has("-r"),
        "openssl" => command.has("-d"),
        "rev" | "tr" | "uudecode" | "zcat" | "gunzip" | "gzip" | "bunzip2" | "xz" | "unxz" | "zstd" | "bzcat"
        | "xzcat" | "gpg" | "rot13" | "caesar" | "dd" | "iconv" => true,
        "python" | "python3" | "perl" | "ruby" | "node" | "php" => true,
        _ => false,
    }
}
