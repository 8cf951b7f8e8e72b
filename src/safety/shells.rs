//! Shells and what they are given to run: `sh -c`, a script, what flows in, `eval` and `source`.

use super::walk::{Command, Walker};
use super::word::{Flow, NETWORK, PIPE_FILE, SHELL, UNKNOWN, Word};
use super::wrap::join;
use crate::request::Shell;

pub(super) const SHELLS: &[&str] = &["sh", "bash", "zsh", "dash", "ksh", "ash", "fish", "mksh", "rbash", "csh", "tcsh"];

/// Programs whose output is meant for `eval`.
const SETUP: &[&str] = &[
    "ssh-agent",
    "brew",
    "direnv",
    "starship",
    "zoxide",
    "pyenv",
    "rbenv",
    "nodenv",
    "jenv",
    "fnm",
    "mise",
    "opam",
    "dircolors",
    "atuin",
    "fzf",
    "thefuck",
    "keychain",
    "gpg-agent",
    "conda",
    "minikube",
    "docker-machine",
    "cmdai",
    "luarocks",
    "resize",
    "lesspipe",
    "register-python-argcomplete",
    "gh",
    "kubectl",
    "helm",
    "pip",
    "npm",
    "rustup",
    "poetry",
    "uv",
    "nvm",
    "asdf",
    "navi",
    "mcfly",
    "pkgx",
];

impl Walker {
    /// `sh -c code`, `sh file`, `sh` at the end of a pipe, `sh` alone.
    pub(super) fn shell_program(&mut self, command: &Command) -> Flow {
        // It only checks the syntax.
        let mut options = command.args.iter().take_while(|word| word.is_option());
        if options.any(|word| matches!(word.text.as_str(), "-n" | "--no-execute")) {
            return Flow::unseen(0);
        }
        let at = command.args.iter().position(|w| w.is_option() && !w.text.starts_with("--") && w.text.contains('c'));
        if let Some(at) =
            at.filter(|at| command.args[..*at].iter().all(|word| word.is_option() || word.text == "pipefail"))
        {
            let is_code = |word: &Word| !word.is_option() || word.text.contains(' ');
            let Some(code) = command.args[at + 1..].iter().position(is_code).map(|code| at + 1 + code) else {
                return Flow::default();
            };
            let outer = self.variables.clone();
            // The word behind the code is `$0`.
            if let Some(given) = command.args.get(code + 2..).filter(|given| !given.is_empty()) {
                self.set_positional(given);
            }
            let flow = self.shell_code(command, &command.args[code]);
            self.variables = outer;
            return flow;
        }
        if command.name == "fish"
            && let Some(code) = command.value_of("--command -C --init-command")
        {
            return self.shell_code(command, &code);
        }
        let file = command.operands_after("-o -O --rcfile --init-file").find(|word| word.text != "-");
        match file.filter(|_| !command.has("-s")) {
            Some(file) if !is_stdin(&file.text) => self.script(&file.clone(), command),
            _ if command.stdin.present => {
                let flow = command.stdin.clone();
                self.feed_as(&flow, command)
            }
            _ if self.root => {
                self.flag("root-shell", command.span);
                Flow::unseen(SHELL)
            }
            _ => Flow { present: true, taint: SHELL, ..Flow::default() },
        }
    }

    fn feed_as(&mut self, flow: &Flow, command: &Command) -> Flow {
        let outer = self.shell;
        self.shell = shell_of(&command.name);
        let out = self.feed(flow, command.span, true);
        self.shell = outer;
        out
    }

    fn shell_code(&mut self, command: &Command, code: &Word) -> Flow {
        let flow = Flow { taint: code.taint, ..Flow::text(code.text.clone()) };
        let outer = self.shell;
        self.shell = shell_of(&command.name);
        let out = if code.taint == 0 && !code.unseen() {
            self.inner(&code.text, command.stdin.clone(), code.span)
        } else {
            self.feed(&flow, code.span, true)
        };
        self.shell = outer;
        out
    }

    /// A script file: what this line wrote into it, or fetched.
    pub(super) fn script(&mut self, file: &Word, command: &Command) -> Flow {
        let known = self.files.get(&file.text).or(self.files.get(file.text.trim_start_matches("./"))).cloned();
        let taint = file.taint;
        match known {
            Some(flow) if flow.taint & NETWORK != 0 || flow.text.is_some() => return self.feed(&flow, file.span, true),
            Some(flow) => return self.feed(&Flow { text: None, ..flow }, file.span, true),
            None if taint & NETWORK != 0 => self.flag("network-code", file.span),
            None if file.text.starts_with("http://") || file.text.starts_with("https://") => {
                self.flag("network-code", file.span)
            }
            None if file.text.contains(UNKNOWN) && file.unseen() => self.unseen_code(file.span),
            None if self.root => self.flag("unseen-code-root", command.span),
            None => {}
        }
        Flow::unseen(taint)
    }

    pub(super) fn source(&mut self, command: &Command) -> Flow {
        match command.operands().next().cloned() {
            Some(file) if !is_stdin(&file.text) => {
                if file.text.starts_with(PIPE_FILE) && SETUP.contains(&self.last_substituted.as_str()) {
                    return Flow::default();
                }
                if file.taint & NETWORK != 0 || self.files.contains_key(&file.text) {
                    return self.script(&file, command);
                }
                if file.unseen() {
                    self.unseen_code(file.span);
                }
                Flow::default()
            }
            _ if command.stdin.present => {
                let flow = command.stdin.clone();
                if self.shell == Shell::Fish
                    && flow.text.is_none()
                    && flow.taint == 0
                    && SETUP.contains(&self.last_piped.as_str())
                {
                    return Flow::default();
                }
                self.feed(&flow, command.span, true)
            }
            _ => Flow::default(),
        }
    }

    /// `eval`: its words joined are a script. Output of well-known set-up programs is trusted.
    pub(super) fn eval(&mut self, command: &Command) -> Flow {
        let code = join(match command.args.split_first() {
            Some((first, rest)) if first.text == "--" => rest,
            _ => &command.args,
        });
        if code.text.is_empty() {
            return Flow::default();
        }
        if code.unseen() && code.taint == 0 && SETUP.contains(&self.last_substituted.as_str()) {
            return Flow::default();
        }
        self.run_word(&Word { span: command.span, ..code })
    }
}

fn shell_of(name: &str) -> Shell {
    if name == "fish" { Shell::Fish } else { Shell::Bash }
}

pub(super) fn is_stdin(path: &str) -> bool {
    matches!(path, "-" | "/dev/stdin" | "/proc/self/fd/0" | "/dev/fd/0")
}
