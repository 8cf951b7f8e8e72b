//! Tools whose subcommands run commands: git, containers, terminal multiplexers, project runners.

use super::Risk;
use super::directory::Directory;
use super::walk::{Command, Walker};
use super::word::{Flow, Word};
use super::wrap::{after_options, join};

impl Walker {
    /// `docker exec`, `docker run -v`, `compose run`.
    pub(super) fn container(&mut self, command: &Command) -> Option<Flow> {
        let operands: Vec<usize> =
            command.args.iter().enumerate().filter(|(_, word)| !word.is_option()).map(|(at, _)| at).collect();
        let verb =
            operands.iter().take(4).find(|at| matches!(command.args[**at].text.as_str(), "exec" | "run" | "create"))?;
        let tail = &command.args[verb + 1..];
        let valued = super::rules::VALUE_OPTIONS
            .iter()
            .find(|(names, _)| names.starts_with("docker|"))
            .map_or("", |(_, valued)| valued);
        let rest = after_options(tail, valued);
        let own = &tail[..tail.len() - rest.len()];
        let text = join(own).text;
        let all = text.contains("-v /:")
            || text.contains("--volume /:")
            || text.contains("--volume=/:")
            || text.contains("source=/,")
            || text.contains("src=/,");
        if text.contains("--privileged")
            || all
            || text.contains("docker.sock")
            || text.contains("--pid=host")
            || text.contains("--pid host")
        {
            self.flag("host-container", command.span);
        }
        let mounted =
            own.iter().any(|word| word.text.starts_with("-v") || matches!(word.text.as_str(), "--volume" | "--mount"));
        let inner = rest.get(1..).unwrap_or(&[]);
        if (command.args[*verb].text == "exec" || mounted) && !inner.is_empty() {
            let outer = (self.root, std::mem::replace(&mut self.directory, Directory::elsewhere()));
            self.root = false;
            self.behind(inner, command.stdin.clone(), command.span);
            (self.root, self.directory) = outer;
        }
        None
    }

    pub(super) fn kubectl_exec(&mut self, command: &Command) -> Option<Flow> {
        command.args.iter().take(6).position(|word| word.text == "exec")?;
        let at = command.args.iter().position(|word| word.text == "--")?;
        let outer = std::mem::replace(&mut self.directory, Directory::elsewhere());
        self.behind(&command.args[at + 1..], command.stdin.clone(), command.span);
        self.directory = outer;
        Some(Flow::unseen(0))
    }

    /// git runs commands from its settings, and has subcommands that run others.
    pub(super) fn git(&mut self, command: &Command) -> Option<Flow> {
        let texts: Vec<&str> = command.args.iter().map(|word| word.text.as_str()).collect();
        for (at, word) in command.args.iter().enumerate() {
            let previous = if at > 0 { texts[at - 1] } else { "" };
            if let Some(words) = git_alias(previous, &word.text) {
                self.run_word(&Word { text: format!("git {words}"), ..word.clone() });
            }
            let code = match word.text.split_once('=') {
                Some((key, value)) if previous == "-c" => git_setting(key, value),
                Some((key @ ("--upload-pack" | "--receive-pack" | "--exec"), value)) if key.len() > 2 => Some(value),
                _ => git_setting(previous, &word.text).or(matches!(
                    previous,
                    "--exec" | "-x" | "foreach" | "run" | "--tree-filter"
                )
                .then_some(&word.text)),
            };
            if let Some(code) = code.filter(|code| !code.is_empty() && !code.starts_with('-')) {
                self.run_word(&Word { text: code.into(), ..word.clone() });
            }
            if word.text.starts_with("ext::") {
                self.run_word(&Word { text: word.text[5..].into(), ..word.clone() });
            }
        }
        let verb = texts.iter().take(6).position(|text| matches!(*text, "run" | "foreach"));
        if let Some(at) = verb.filter(|at| *at > 0 && matches!(texts[at - 1], "bisect" | "submodule")) {
            let rest: &[Word] = after_options(&command.args[at + 1..], "");
            match rest {
                [] => {}
                [code] => drop(self.run_word(code)),
                _ => drop(self.behind(rest, Flow::default(), command.span)),
            }
        }
        self.git_push(command, &texts);
        self.git_discard(command, &texts);
        self.git_config(command, &texts);
        None
    }

    pub(super) fn git_push(&mut self, command: &Command, texts: &[&str]) {
        if !texts.contains(&"push") || texts.contains(&"stash") || command.has("-n --dry-run") {
            return;
        }
        let refs: Vec<&str> =
            command.operands_after("-C -c -o --repo").map(|word| word.text.as_str()).skip(2).collect();
        let deletes = command.has("-d --delete");
        for name in refs {
            let main = |name: &str| {
                matches!(
                    name.trim_start_matches("refs/heads/"),
                    "main" | "master" | "production" | "release" | "trunk" | "prod"
                )
            };
            if name.starts_with('+') {
                self.flag("git-force-push", command.span);
            }
            let removed = name.strip_prefix(':').or(deletes.then_some(name));
            if removed.is_some_and(main) {
                self.flag("git-delete-main", command.span);
            } else if removed.is_some() {
                self.flag("git-delete-remote", command.span);
            }
        }
    }

    /// `git checkout -- file`, `git checkout .`, `git checkout src/main.rs`.
    pub(super) fn git_discard(&mut self, command: &Command, texts: &[&str]) {
        let operands: Vec<&Word> = command.operands_after("-C -c").collect();
        if operands.first().is_none_or(|word| word.text != "checkout") {
            return;
        }
        let named_file = |text: &str| {
            text == "."
                || text.rsplit('/').next().and_then(|last| last.rsplit_once('.')).is_some_and(|(stem, end)| {
                    !stem.is_empty() && !end.is_empty() && end.chars().all(|c| c.is_ascii_alphabetic())
                })
        };
        let files = texts.contains(&"--") || operands.iter().skip(1).any(|word| named_file(&word.text));
        if files && !command.has("-b") {
            self.flag("git-discard", command.span);
        }
    }

    pub(super) fn git_config(&mut self, command: &Command, texts: &[&str]) {
        let operands = command.operands_after("-C -c -f --file --type").filter(|word| word.text != "--").count();
        let reads = command.has("--get --get-all --list -l --get-regexp --show-origin")
            || texts.iter().any(|text| matches!(*text, "get" | "list"));
        let changes =
            operands >= 3 || command.has("--unset --unset-all --remove-section --add -e --edit --replace-all");
        if texts.first() == Some(&"config") && changes && !reads {
            self.note("git-config", command.span, Risk::Caution, "changes git's settings");
        }
    }

    /// `tmux new -d 'cmd'`, `screen -dm cmd`.
    pub(super) fn terminal(&mut self, command: &Command) -> Option<Flow> {
        let code = command.args.iter().filter(|word| word.text.contains(' ')).cloned().collect::<Vec<_>>();
        code.iter().for_each(|word| drop(self.run_word(word)));
        if command.name == "screen" && command.has("-d -dm -dmS") {
            return self.prefix(command, "-S -dmS -c -h -T", 0);
        }
        if command.args.iter().any(|word| matches!(word.text.as_str(), "kill-server" | "kill-session" | "quit")) {
            self.flag("kill", command.span);
        }
        None
    }

    /// `poetry run x`, `uv run x`.
    pub(super) fn runner(&mut self, command: &Command, word: &Word) -> Option<Flow> {
        let at = command.args.iter().position(|arg| matches!(arg.text.as_str(), "run" | "exec"))?;
        let rest = after_options(&command.args[at + 1..], "-n --name -p --with --python --project");
        let _ = word;
        Some(self.behind(rest, command.stdin.clone(), command.span))
    }
}

/// The git command that an alias without `!` stands for.
fn git_alias<'v>(previous: &'v str, text: &'v str) -> Option<&'v str> {
    let (key, value) = if previous == "-c" { text.split_once('=')? } else { (previous, text) };
    key.strip_prefix("alias.").map(|_| value).filter(|value| !value.starts_with(['!', '-']))
}

/// The code in a git setting that is a command.
fn git_setting<'v>(key: &str, value: &'v str) -> Option<&'v str> {
    let lower = key.to_ascii_lowercase();
    if lower.starts_with("alias.") || lower.starts_with("credential.") {
        return value.strip_prefix('!');
    }
    let commands = [
        "core.pager",
        "core.sshcommand",
        "core.editor",
        "core.fsmonitor",
        "sequence.editor",
        "diff.external",
        "gpg.program",
        "core.askpass",
        "core.gitproxy",
    ];
    commands.contains(&lower.as_str()).then_some(value)
}
