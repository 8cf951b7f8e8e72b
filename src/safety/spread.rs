//! Commands run once for each item, or on another machine: xargs, parallel, fd, ssh.

use super::directory::Directory;
use super::shells::SHELLS;
use super::walk::{Command, Walker};
use super::word::{Flow, HIDDEN, NETWORK, PRIVATE, Place, Span, UNKNOWN, Word};
use super::wrap::{after_options, join, own_options};
use crate::request::Shell;

/// An item that comes through a pipe: near enough for the rules.
fn unseen(name: &str, span: Span) -> Word {
    Word { place: Place::Unseen, ..Word::new(name, span) }
}

impl Walker {
    /// `xargs rm`: the command with the items of the pipe behind it, or in place of `-I X`.
    pub(super) fn xargs(&mut self, command: &Command) -> Flow {
        let valued = "-I -i -J -n -P -L -d -s -a -E -S -R --max-args --max-procs --delimiter --arg-file --jobs -j --colsep --replace";
        let mut rest = after_options(&command.args, valued).to_vec();
        if command.name == "parallel" && own_options(command, valued).has("--dry-run --dryrun") {
            return Flow::unseen(0);
        }
        if let Some(at) = rest.iter().position(|word| word.text.starts_with(":::")) {
            let items: Vec<Word> = rest[at + 1..].iter().map(|word| unseen(&word.text, word.span)).collect();
            rest.truncate(at);
            if rest.is_empty() {
                items.iter().for_each(|item| drop(self.run_word(item)));
                return Flow::unseen(0);
            }
            return self.each_name(&rest, &items, "{}", command.span);
        }
        let item = |name: &str| unseen(name, command.span);
        let items: Vec<Word> = match (&command.stdin.names, &command.stdin.text) {
            (Some(names), _) => names.iter().map(|name| item(name)).collect(),
            (None, Some(text)) if own_options(command, valued).has("-I -J --replace -i -L -d -0") => {
                text.lines().map(item).collect()
            }
            (None, Some(text)) => text.split_whitespace().map(item).collect(),
            (None, None) => vec![item(UNKNOWN.encode_utf8(&mut [0; 4]))],
        };
        if rest.is_empty() {
            if command.name == "parallel" {
                let flow = command.stdin.clone();
                return self.feed(&flow, command.span, true);
            }
            return command.stdin.clone();
        }
        let mark = own_options(command, valued).value_of("-I -J --replace").map_or("{}".into(), |word| word.text);
        let program = rest.first().map_or("", |word| word.text.as_str()).to_owned();
        let last = rest.last().map_or("", |word| word.text.as_str());
        let code =
            SHELLS.contains(&program.as_str()) && rest.len() > 1 && (last.ends_with('c') || last.starts_with(&mark));
        if code && command.stdin.text.is_none() && command.stdin.names.is_none() {
            self.unseen_code(command.span);
        }
        if code && command.stdin.taint & (NETWORK | HIDDEN) != 0 {
            self.flag(if command.stdin.taint & NETWORK != 0 { "network-code" } else { "hidden-code" }, command.span);
        }
        let deletes = rest.iter().any(|w| {
            matches!(
                w.text.as_str(),
                "delete" | "rm" | "rmi" | "terminate-instances" | "del" | "DEL" | "unlink" | "UNLINK"
            )
        });
        if deletes
            && rest.len() > 1
            && matches!(program.as_str(), "docker" | "podman" | "kubectl" | "aws" | "redis-cli" | "gcloud")
            && rest[1].text != "rmi"
        {
            self.flag("many-remote", command.span);
        }
        self.each_name(&rest, &items, &mark, command.span)
    }

    /// Runs words with `names` put in place of `mark`, or behind them.
    pub(super) fn each_name(&mut self, words: &[Word], names: &[Word], mark: &str, span: Span) -> Flow {
        if let [code] = words
            && code.text.contains(' ')
        {
            let names = if names.is_empty() { vec![Word::new(UNKNOWN, span)] } else { names.to_vec() };
            for name in names {
                let text = if code.text.contains(mark) {
                    code.text.replace(mark, &name.text)
                } else {
                    format!("{} {}", code.text, name.text)
                };
                self.run_word(&Word { text, ..code.clone() });
            }
            return Flow::unseen(0);
        }
        let mut out = Vec::new();
        let in_place = !mark.is_empty() && words.iter().any(|word| word.text.contains(mark));
        for word in words {
            if word.text == mark {
                out.extend(names.iter().map(|name| Word { taint: word.taint, span: word.span, ..name.clone() }));
            } else if in_place && word.text.contains(mark) {
                let shell = word.text.contains(' ');
                let name = names.first().map_or("", |name| name.text.as_str());
                let name = if shell && name.contains(' ') { UNKNOWN.to_string() } else { name.to_owned() };
                out.push(Word { taint: word.taint, ..unseen(&word.text.replace(mark, &name), word.span) });
            } else {
                out.push(word.clone());
            }
        }
        if !in_place {
            out.extend(names.iter().map(|name| Word { span, ..name.clone() }));
        }
        self.behind(&out, Flow::default(), span)
    }

    /// zsh's `zargs -- names -- command`.
    pub(super) fn zargs(&mut self, command: &Command) -> Option<Flow> {
        let mut parts = command.args.split(|word| word.text == "--");
        parts.next();
        let names = parts.next()?.iter().map(|word| unseen(&word.text, word.span)).collect::<Vec<_>>();
        let words: Vec<Word> = parts.flatten().cloned().collect();
        (!words.is_empty()).then(|| self.each_name(&words, &names, "{}", command.span))
    }

    /// The words behind `marker` and `operands` more are a command.
    pub(super) fn after_word(&mut self, command: &Command, marker: &str, operands: usize) -> Option<Flow> {
        let at = command.args.iter().position(|word| word.text == marker)?;
        let rest = command.args.get(at + 1 + operands..).unwrap_or(&[]);
        (!rest.is_empty()).then(|| self.behind(rest, command.stdin.clone(), command.span))
    }

    pub(super) fn fd_exec(&mut self, command: &Command) -> Option<Flow> {
        let at = command
            .args
            .iter()
            .position(|word| matches!(word.text.as_str(), "-x" | "-X" | "--exec" | "--exec-batch"))?;
        let names = self.find_names(command).names.unwrap_or_default();
        let names: Vec<Word> = names.iter().map(|name| unseen(name, command.span)).collect();
        Some(self.each_name(&command.args[at + 1..], &names, "{}", command.span))
    }

    pub(super) fn ssh(&mut self, command: &Command) -> Option<Flow> {
        let valued = "-b -c -D -E -e -F -I -i -J -L -l -m -O -o -p -Q -R -S -W -w";
        for word in &command.args {
            let option = word.text.trim_start_matches("-o");
            for key in ["ProxyCommand", "LocalCommand", "KnownHostsCommand"] {
                if let Some(code) = option.strip_prefix(key) {
                    self.run_word(&Word { text: code.trim_start_matches(['=', ' ']).into(), ..word.clone() });
                }
            }
        }
        if own_options(command, valued).has("-L -R -D -W -w") {
            self.flag("listen", command.span);
        }
        // Options may stand behind the host too, and `--` ends them.
        let behind = after_options(&command.args, valued);
        // A variable with several values stands here as several words.
        let hosts = behind.iter().take_while(|word| word.span == behind[0].span).count();
        let rest = after_options(behind.get(hosts..).unwrap_or(&[]), valued).to_vec();
        if command.stdin.taint & PRIVATE != 0 {
            self.flag("send-secret", command.span);
        }
        if rest.is_empty() {
            if command.stdin.present {
                let flow = command.stdin.clone();
                self.feed(&flow, command.span, true);
            }
            return Some(Flow::unseen(NETWORK));
        }
        let code = join(&rest);
        let directory = std::mem::replace(&mut self.directory, Directory::elsewhere());
        let outer = (self.root, directory, self.shell);
        (self.root, self.shell) = (false, Shell::Bash);
        self.inner(&code.text, command.stdin.clone(), command.span);
        (self.root, self.directory, self.shell) = outer;
        Some(Flow::unseen(NETWORK))
    }
}
