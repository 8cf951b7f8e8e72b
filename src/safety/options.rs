//! Options and variables of ordinary programs whose value is a command.

use super::edit::option_values;
use super::scan::is_token_name;
use super::walk::{Command, Walker};
use super::word::{Flow, Span, TOKEN, Word, guessed, unmarked};

/// Programs, and their options that take a command of the shell.
#[rustfmt::skip]
const COMMAND_OPTIONS: &[(&str, &str)] = &[
    ("tar|gtar|bsdtar", "-I --use-compress-program --to-command --rsh-command -F --info-script --new-volume-script"),
    ("split|gsplit", "--filter"),
    ("sort|gsort", "--compress-program"),
    ("man", "-P --pager -H --html"),
    ("rsync", "-e --rsh --rsync-path"),
    ("scp|sftp", "-S"),
    ("npm|npx|pnpm|yarn|bunx", "-c --call"),
    ("nix-shell|nix", "--run --command -c"),
    ("rg", "--pre --hostname-bin"),
    ("fzf", "--preview"),
    ("ansible", "-a --args"),
    ("zip", "-TT --unzip-command"),
    ("nodemon", "-x --exec"),
    ("cargo", "-s --shell"),
    ("runuser|sg|setsid|capsh", "-c --command"),
    ("gcloud", "--command"),
    ("vagrant", "-c --command"),
    ("fly|flyctl", "-C --command"),
    ("tcpdump", "-z"),
    ("openvpn", "--up --down --route-up"),
    ("multitail", "-l"),
    ("docker|podman", "--health-cmd"),
    ("flatpak", "--command"),
    ("git-filter-repo|git", "--env-filter --tree-filter --index-filter --msg-filter --commit-filter --parent-filter --tag-name-filter"),
    ("borg", "--rsh --content-from-command"),
    ("restic|rclone", "--password-command --stdin-from-command"),
    ("fossil|hg", "--ssh"),
    ("xterm|urxvt|konsole|alacritty|st|gnome-terminal|xfce4-terminal|lxterminal|terminator|rxvt", "-e -x --command"),
];

/// Programs whose option or first word carries another language that can run commands.
#[rustfmt::skip]
const SCRIPT_OPTIONS: &[(&str, &str)] = &[
    ("emacs|emacsclient", "--eval -eval -e --execute"),
    ("gdb|gdb-multiarch", "-ex -eval-command --eval-command -iex"),
    ("lldb", "-o -O --one-line"),
    ("lftp|ftp|sftp", "-c -e"),
    ("mysql|mariadb|psql|sqlite3|duckdb", "-e -c --execute --command -cmd"),
    ("r2|radare2|rizin", "-c"),
    ("msfconsole", "-x"),
];

/// Words before shell code in those languages.
const ESCAPES: &[&str] =
    &["shell ", "platform shell ", "!", "\\! ", "\\!", "system ", ".shell ", ".system ", "make ", "| "];

/// Variables whose value a program runs as a command.
#[rustfmt::skip]
const COMMAND_VARIABLES: &[&str] = &[
    "EDITOR", "VISUAL", "PAGER", "MANPAGER", "GIT_PAGER", "GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "GIT_SSH_COMMAND",
    "GIT_SSH", "GIT_EXTERNAL_DIFF", "GIT_ASKPASS", "SSH_ASKPASS", "SUDO_ASKPASS", "SUDO_EDITOR", "BROWSER", "LESSOPEN",
    "LESSCLOSE", "PROMPT_COMMAND", "RSYNC_RSH", "CVS_RSH", "FZF_DEFAULT_COMMAND", "FZF_CTRL_T_COMMAND",
    "FZF_ALT_C_COMMAND", "GIT_PROXY_COMMAND", "SYSTEMD_EDITOR", "SYSTEMD_PAGER", "PSQL_EDITOR", "PSQL_PAGER", "BAT_PAGER",
    "DELTA_PAGER", "AWS_PAGER", "GH_PAGER", "GH_EDITOR", "KUBE_EDITOR", "FCEDIT", "HGEDITOR", "SVN_EDITOR", "SVN_SSH",
    "TAR_RSH", "BORG_RSH", "BORG_PASSCOMMAND", "RESTIC_PASSWORD_COMMAND", "TEXEDIT", "HOMEBREW_EDITOR",
    "RUSTC_WRAPPER",
];

/// Variables that name a file which a shell or interpreter reads at its start.
const SCRIPT_VARIABLES: &[&str] = &["BASH_ENV", "ENV", "PYTHONSTARTUP", "ZDOTDIR", "INPUTRC", "GIT_CONFIG_GLOBAL"];

/// Variables in which the shell carries out `$(…)` at each prompt or trace line.
const PROMPTS: &[&str] = &["PS0", "PS1", "PS2", "PS4", "PROMPT", "RPROMPT"];

impl Walker {
    /// Runs the commands that options carry.
    pub(super) fn command_options(&mut self, command: &Command) {
        for (programs, options) in COMMAND_OPTIONS {
            if programs.split('|').any(|program| program == command.name) {
                for code in options.split(' ').flat_map(|option| values(command, option)) {
                    if !code.text.is_empty() && !code.is_option() {
                        self.run_word(&code);
                    }
                }
            }
        }
        for (programs, options) in SCRIPT_OPTIONS {
            if programs.split('|').any(|program| program == command.name) {
                for code in options.split(' ').flat_map(|option| values(command, option)) {
                    self.script_option(&code, command);
                }
            }
        }
    }

    fn script_option(&mut self, code: &Word, command: &Command) {
        for part in code.text.split([';', '\n']) {
            let part = part.trim();
            if let Some(shell) = ESCAPES.iter().find_map(|start| part.strip_prefix(start)) {
                self.run_word(&Word { text: shell.into(), ..code.clone() });
            }
        }
        if matches!(command.name.as_str(), "emacs" | "emacsclient" | "gdb" | "lldb" | "gdb-multiarch") {
            self.last_name.clone_from(&command.name);
            let text = code.text.trim_start_matches("python ").trim_start_matches("script ");
            self.code(text, code.span);
        }
    }

    /// `make --eval`, `make -f -`, `make SHELL=…`: `$(shell …)` and recipes are commands.
    pub(super) fn make(&mut self, command: &Command) {
        let mut texts = values(command, "--eval");
        texts.extend(values(command, "-E"));
        let from_stdin = command.value_of("-f --file --makefile").is_some_and(|file| file.text == "-");
        let file = command.value_of("-f --file --makefile").and_then(|file| self.files.get(&file.text).cloned());
        if let Some(text) = file.and_then(|flow| flow.text).or(command.stdin.text.clone().filter(|_| from_stdin)) {
            texts.push(Word::new(text, command.span));
        } else if from_stdin && command.stdin.present {
            self.feed(&command.stdin.clone(), command.span, true);
        }
        for word in texts.iter().chain(command.args.iter().filter(|word| word.text.contains("$(shell"))) {
            for (at, _) in word.text.match_indices("$(shell ") {
                let end = super::word::closing(&word.text, at + 1, b'(', b')').unwrap_or(word.text.len());
                self.run_word(&Word { text: word.text[at + 8..end].into(), ..word.clone() });
            }
            for line in word.text.lines() {
                let recipe = line.strip_prefix('\t').or(line.split_once(';').map(|(_, recipe)| recipe));
                if let Some(recipe) = recipe {
                    let text = recipe.trim_start_matches(['@', '-', '+', ' ']).replace("$$", "$");
                    self.run_word(&Word { text, ..word.clone() });
                }
            }
        }
    }

    /// A variable whose value some program runs, set before a command or for the session.
    pub(super) fn command_variable(&mut self, name: &str, span: Span) {
        let Some((values, taint)) = self.variables.get(name).cloned() else { return };
        for text in values {
            let code = Word { taint, ..Word::new(unmarked(&text), span) };
            if code.text.is_empty() || code.unseen() {
                continue;
            }
            let bare = code.text.trim_start_matches('|').trim_start_matches('-').replace(" %s", " x");
            if COMMAND_VARIABLES.contains(&name) {
                self.run_word(&Word { text: bare, ..code });
            } else if SCRIPT_VARIABLES.contains(&name) {
                let known = self.files.get(&code.text).cloned();
                known.into_iter().for_each(|flow| drop(self.feed(&flow, span, true)));
            } else if PROMPTS.contains(&name) && code.text.contains("$(") {
                self.document(&code.text, span);
            } else if name == "PERL5OPT" || name == "RUBYOPT" || name == "NODE_OPTIONS" {
                let file = code.text.split(['=', ' ']).next_back().and_then(|file| self.files.get(file).cloned());
                file.into_iter().for_each(|flow| drop(self.feed(&flow, span, false)));
            }
        }
    }

    /// `NAME=value` as an argument of `export` and its kind.
    pub(super) fn exported(&mut self, command: &Command) {
        let words: Vec<Word> =
            command.operands().filter(|word| super::walk::is_assignment(&word.text)).cloned().collect();
        for word in words {
            let Some((name, value)) = word.text.split_once('=') else { continue };
            let secret = if is_token_name(name) { TOKEN } else { 0 };
            self.variables.insert(name.to_owned(), (vec![guessed(value)], word.taint | secret));
            self.command_variable(name, word.span);
        }
    }

    /// `set NAME values…` in fish.
    pub(super) fn fish_set(&mut self, command: &Command) {
        if command.has("-q --query -S --show -n --names -e --erase -a --append -p --prepend") {
            return;
        }
        let mut operands = command.operands();
        let Some(name) = operands.next().map(|word| word.text.clone()) else { return };
        let values: Vec<&Word> = operands.collect();
        let taint = values.iter().fold(0, |all, word| all | word.taint);
        let texts: Vec<String> = values.iter().map(|word| guessed(&word.text)).take(16).collect();
        if texts.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return;
        }
        self.variables.insert(name.clone(), (texts, taint));
        self.command_variable(&name, command.span);
    }

    /// Text that goes to a database server as it is, over a bare connection.
    pub(super) fn raw_statements(&mut self, text: &str, span: Span) {
        let upper = text.to_ascii_uppercase();
        if ["FLUSHALL", "FLUSHDB", "SHUTDOWN", "FLUSH_ALL", "CONFIG SET DIR", "SLAVEOF", "REPLICAOF"].iter().any(
            |verb| {
                upper.lines().any(|line| line.trim_start_matches(|c: char| !c.is_ascii_alphabetic()).starts_with(verb))
            },
        ) {
            self.flag("server-empty", span);
        }
    }

    /// Runs shell text for its effect alone.
    pub(super) fn run_text(&mut self, text: &str, span: Span) {
        self.inner(text, Flow::default(), span);
    }
}

/// The values of one option, in either spelling, as often as it is given.
fn values(command: &Command, option: &str) -> Vec<Word> {
    if option.starts_with("--") {
        return option_values(command, "", &format!("{option}="));
    }
    option_values(command, option, "")
}
