//! Programs that run other programs: what stands behind them is what counts.

use super::Risk;
use super::directory::Base;
use super::shells::SHELLS;
use super::walk::{Command, Walker};
use super::word::{Flow, NETWORK, Span, UNKNOWN, Word};
use crate::request::Shell;

/// Programs whose remaining words are a command: their options that take a value, and how many operands come first.
#[rustfmt::skip]
const PREFIXES: &[(&str, &str, usize)] = &[
    ("nohup|setsid|builtin|noglob|nocorrect|caffeinate|unbuffer|proxychains|proxychains4|torsocks|rlwrap|catchsegv|dbus-run-session|tsocks|fakeroot|eatmydata|entr|chronic|ts|pv-run|sem|-|coproc|torify", "-a -i -w -t -u", 0),
    ("time|gtime", "-f --format -o --output", 0),
    ("nice", "-n --adjustment", 0),
    ("ionice", "-c -n -p -u --class --classdata", 0),
    ("chrt|taskset", "-p", 1),
    ("timeout|gtimeout", "-k -s --kill-after --signal", 1),
    ("stdbuf", "-i -o -e", 0),
    ("exec", "-a", 0),
    ("ld-linux-x86-64.so.2|ld-linux-aarch64.so.1|ld-linux.so.2|ld-musl-x86_64.so.1|ld.so", "--library-path --preload --argv0", 0),
    ("dtach|abduco", "-n -A -c -e", 1),
    ("env", "-u -C -P -S --unset --chdir --split-string", 0),
    ("chroot|systemd-nspawn|arch-chroot", "--userspec --groups -D -M -u", 1),
    ("unshare|nsenter|systemd-run|firejail|bwrap|numactl|cgexec|prlimit|systemd-inhibit|setpriv|setarch|linux64|faketime|aws-vault|valgrind|proot|fakechroot|start-stop-daemon|strace|ltrace|perf", "-o -e -p -t -S -G -u -n -P -g --target --uid --gid --unit --property --description --what --why --slice --setenv", 0),
    ("sudo|doas|pkexec|run0", "-u -g -h -p -C -r -t -T -U -D -R --user --group --host --prompt --chdir --chroot --role --type --close-from --other-user", 0),
    ("busybox|toybox", "", 0),
    ("hyperfine|xvfb-run|dotenv|op|infisical|doppler", "-w -r -n -s --warmup --runs --name", 0),
];
/// Those behind which a path may name something else than here.
const OTHER_ROOTS: &[&str] =
    &["chroot", "systemd-nspawn", "arch-chroot", "nsenter", "unshare", "bwrap", "firejail", "systemd-run"];
const INTERPRETERS: &[&str] = &[
    "python",
    "python3",
    "python2",
    "perl",
    "ruby",
    "node",
    "nodejs",
    "php",
    "lua",
    "deno",
    "bun",
    "Rscript",
    "tclsh",
    "osascript",
    "pwsh",
    "ipython",
    "irb",
    "guile",
    "julia",
    "pypy3",
    "powershell",
    "expect",
    "luajit",
    "wish",
    "sbcl",
    "racket",
    "groovy",
    "scala",
    "elixir",
    "jshell",
    "octave",
    "gjs",
    "qjs",
    "crystal",
    "ocaml",
    "R",
];

/// Options of systemd-run with which it starts nothing now.
const TIMERS: &str = "--on-active --on-boot --on-startup --on-unit-active --on-unit-inactive --on-calendar";

/// Variables that name what edits a file for another program.
const EDITORS: &[&str] = &["EDITOR", "VISUAL", "SUDO_EDITOR"];

impl Walker {
    /// Runs what `command` runs; `None` if it is no wrapper.
    pub(super) fn unwrap(&mut self, command: &Command, word: &Word) -> Option<Flow> {
        let name = command.name.as_str();
        if matches!(name, "sudo" | "doas" | "pkexec" | "run0") {
            return Some(self.sudo(command));
        }
        if SHELLS.contains(&name) {
            return Some(self.shell_program(command));
        }
        if is_interpreter(name) {
            return self.interpreter(command);
        }
        if let Some((_, valued, operands)) = PREFIXES.iter().find(|(names, ..)| names.split('|').any(|one| one == name))
        {
            return self.prefix(command, valued, *operands);
        }
        match name {
            "command"
                if !matches!(
                    command.args.first().map(|word| word.text.as_str()),
                    Some("-v" | "-V" | "-pv" | "-pV")
                ) =>
            {
                self.prefix(command, "", 0)
            }
            "command" => Some(Flow::text(command.operands().next().map_or(String::new(), |word| word.text.clone()))),
            "xargs" | "parallel" => Some(self.xargs(command)),
            "eval" => Some(self.eval(command)),
            "source" | "." => Some(self.source(command)),
            "trap" => command.operands().next().map(|code| self.run_word(&code.clone())),
            "alias" | "abbr" => self.alias(command),
            "export" | "declare" | "typeset" | "local" | "readonly" => {
                self.exported(command);
                None
            }
            "set" if self.shell == Shell::Fish => {
                self.fish_set(command);
                None
            }
            "set" => {
                self.positional(command);
                None
            }
            "hash" => {
                if let (Some(path), Some(name)) = (command.value_of("-p"), command.args.last()) {
                    self.functions.insert(name.text.clone(), format!("{} \"$@\"", path.text));
                }
                None
            }
            "ztcp" => {
                if command.has("-l") {
                    self.flag("listen", command.span);
                } else if command.operands().next().is_some() && !command.has("-c -a") {
                    self.flag("network-file", command.span);
                }
                self.variables.insert("REPLY".into(), (vec![UNKNOWN.to_string()], NETWORK));
                None
            }
            "sched" => {
                let code = join(command.args.get(1..).unwrap_or(&[]));
                Some(self.run_word(&code))
            }
            "emulate" => self.code_option(command, "-c"),
            "zargs" => self.zargs(command),
            "make" | "gmake" => {
                self.make(command);
                None
            }
            "ip" if command.args.iter().any(|word| word.text == "exec") => self.after_word(command, "exec", 1),
            "lxc" | "incus" | "distrobox" | "toolbox" if command.args.iter().any(|word| word.text == "--") => {
                self.after_word(command, "--", 0)
            }
            "adb" => self.after_word(command, "shell", 0),
            _ if name.starts_with("zf_") => {
                let program = Word::new(&name[3..], word.span);
                let words: Vec<Word> = std::iter::once(program).chain(command.args.iter().cloned()).collect();
                Some(self.behind(&words, command.stdin.clone(), command.span))
            }
            _ if self.functions.contains_key(name) => Some(self.call_function(command)),
            "watch" => self.joined(command, "-n -d --interval"),
            "ssh" | "slogin" | "mosh" | "autossh" => self.ssh(command),
            "su" => Some(self.su(command)),
            "docker" | "podman" | "nerdctl" | "docker-compose" => self.container(command),
            "kubectl" | "oc" | "k" => self.kubectl_exec(command),
            "git" => self.git(command),
            "fd" | "fdfind" => self.fd_exec(command),
            "flock" | "script" => {
                // `script -qec CODE` too.
                let bundle = |word: &Word| word.text.starts_with('-') && word.text[1..].ends_with('c');
                match command.args.iter().position(bundle).and_then(|at| command.args.get(at + 1)) {
                    Some(code) => Some(self.run_word(code)),
                    None => self.code_option(command, "-c --command").or_else(|| self.prefix(command, "-w -E", 1)),
                }
            }
            "tmux" | "screen" => self.terminal(command),
            "repeat" => self.prefix(command, "", 1),
            "poetry" | "pipenv" | "uv" | "bundle" | "pdm" | "rye" | "hatch" | "conda" => self.runner(command, word),
            _ => self.code_options(command),
        }
    }

    /// Runs words as a command.
    pub(super) fn behind(&mut self, words: &[Word], stdin: Flow, span: Span) -> Flow {
        self.call(words.to_vec(), stdin, span)
    }

    /// The words after a wrapper's own options and operands.
    pub(super) fn prefix(&mut self, command: &Command, valued: &str, operands: usize) -> Option<Flow> {
        if command.name == "env"
            && let Some(code) = own_options(command, valued).value_of("-S --split-string")
        {
            return Some(self.run_word(&code));
        }
        let rest = after_options(&command.args, valued);
        let rest = rest.get(operands..).unwrap_or(&[]);
        if rest.is_empty() {
            return None;
        }
        let before = self.directory.base.clone();
        match command.name.as_str() {
            "systemd-run" if own_options(command, valued).has(TIMERS) => self.flag("schedule", command.span),
            _ => {}
        }
        match command.name.as_str() {
            "env" if own_options(command, valued).has("-C --chdir") => self.directory.base = Base::Unseen,
            name if OTHER_ROOTS.contains(&name) => self.directory.base = Base::Elsewhere,
            _ => {}
        }
        let flow = self.behind(rest, command.stdin.clone(), command.span);
        self.directory.base = before;
        Some(flow)
    }

    fn sudo(&mut self, command: &Command) -> Flow {
        let valued = PREFIXES.iter().find(|(names, ..)| names.starts_with("sudo")).map_or("", |(_, valued, _)| valued);
        if command.args.len() == 1 && command.has("--help --version -V") {
            return Flow::unseen(0);
        }
        self.flag("sudo", command.span);
        let rest = after_options(&command.args, valued);
        let own: Vec<&str> =
            command.args[..command.args.len() - rest.len()].iter().map(|word| word.text.as_str()).collect();
        let login =
            own.iter().any(|arg| matches!(*arg, "-i" | "-s" | "--login" | "--shell" | "-is" | "-si" | "-iu" | "-su"));
        let other = own_options(command, valued)
            .value_of("-u --user")
            .filter(|user| user.text != "root" && !user.text.contains(UNKNOWN));
        if rest.is_empty() {
            if login && other.is_none() {
                self.flag("root-shell", command.span);
            }
            if own.iter().any(|arg| matches!(*arg, "-e" | "--edit")) {
                self.note("edit-in-place", command.span, Risk::Caution, "edits a file as administrator");
            }
            return Flow::default();
        }
        if own.iter().any(|arg| matches!(*arg, "-e" | "--edit" | "-l" | "--list")) {
            return Flow::default();
        }
        let before = (self.root, self.other_user, self.directory.base.clone());
        (self.root, self.other_user) = (other.is_none(), true);
        if login || own_options(command, valued).has("-D -R --chdir --chroot") {
            self.directory.base = Base::Unseen;
        }
        let flow = self.behind(rest, command.stdin.clone(), command.span);
        (self.root, self.other_user, self.directory.base) = before;
        flow
    }

    /// A script of unknown content, given all rights.
    pub(super) fn root_program(&mut self, program: &Word, span: Span) {
        let path = program.text.as_str();
        let local = ["./", "../", "~/", "/tmp/"].iter().any(|place| path.starts_with(place));
        let scripted = local || path.ends_with(".sh") || path.ends_with(".run");
        if self.root && scripted && !path.contains("/bin/") {
            self.flag("unseen-code-root", span);
        }
    }

    fn su(&mut self, command: &Command) -> Flow {
        let user = command.operands_after("-c -s -g --command --shell").find(|word| word.text != "-");
        let root = user.is_none_or(|user| user.text == "root") || self.root && user.is_none();
        self.flag("sudo", command.span);
        let before = (self.root, self.other_user, self.directory.base.clone());
        (self.root, self.other_user) = (root, true);
        if command.has("-l --login") || command.args.iter().any(|word| word.text == "-") {
            self.directory.base = Base::Unseen;
        }
        let flow = match command.value_of("-c --command") {
            Some(code) => self.run_word(&code),
            None if root => {
                self.flag("root-shell", command.span);
                Flow::default()
            }
            None => Flow::default(),
        };
        (self.root, self.other_user, self.directory.base) = before;
        flow
    }

    /// The remaining words joined are shell code.
    fn joined(&mut self, command: &Command, valued: &str) -> Option<Flow> {
        let rest = after_options(&command.args, valued);
        let code = join(rest);
        (!code.text.is_empty()).then(|| self.run_word(&Word { span: command.span, ..code }))
    }

    fn code_option(&mut self, command: &Command, options: &str) -> Option<Flow> {
        command.value_of(options).map(|code| self.run_word(&code))
    }

    /// Options of ordinary programs that run code.
    fn code_options(&mut self, command: &Command) -> Option<Flow> {
        self.command_options(command);
        match command.name.as_str() {
            "tar" | "gtar" | "bsdtar" => {
                for word in &command.args {
                    let text = word.text.strip_prefix("--checkpoint-action=").unwrap_or(&word.text);
                    if let Some(code) = text.strip_prefix("exec=") {
                        self.run_word(&Word { text: code.into(), ..word.clone() });
                    }
                }
            }
            "awk" | "gawk" | "mawk" | "nawk" => self.awk(command),
            "sed" | "gsed" => self.sed(command),
            "vim" | "vi" | "nvim" | "ex" | "ed" | "view" | "gvim" => self.editor(command),
            "crontab" if command.stdin.present => {
                if command.stdin.text.as_ref().is_some_and(|text| text.trim().is_empty()) {
                    self.note("cron-delete", command.span, Risk::Dangerous, "deletes all scheduled jobs");
                }
                let text = command.stdin.text.clone().unwrap_or_default();
                self.jobs(&text, command.span);
            }
            "visudo" if command.stdin.present || EDITORS.iter().any(|name| self.variables.contains_key(*name)) => {
                self.flag("sudoers", command.span);
            }
            "at" | "batch" if command.stdin.present => {
                let flow = command.stdin.clone();
                self.feed(&flow, command.span, true);
            }
            _ => {}
        }
        None
    }
}

/// Cuts a wrapper's own options off the front.
pub(super) fn after_options<'w>(args: &'w [Word], valued: &str) -> &'w [Word] {
    let mut at = 0;
    while let Some(word) = args.get(at) {
        if word.text == "--" {
            return &args[at + 1..];
        }
        if !word.text.starts_with('-') || word.text == "-" {
            break;
        }
        at += if valued.split(' ').any(|option| option == word.text) { 2 } else { 1 };
    }
    args.get(at..).unwrap_or(&[])
}

/// A wrapper with only its own options, without those of the command behind it.
pub(super) fn own_options(command: &Command, valued: &str) -> Command {
    let rest = after_options(&command.args, valued).len();
    let args = command.args[..command.args.len() - rest].to_vec();
    Command { name: command.name.clone(), args, stdin: Flow::default(), span: command.span }
}

pub(super) fn join(words: &[Word]) -> Word {
    let text = words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    let taint = words.iter().fold(0, |taint, word| taint | word.taint);
    Word { taint, ..Word::new(text, words.first().map_or((0, 0), |word| word.span)) }
}

/// python3.12 and its kind.
pub(super) fn is_interpreter(name: &str) -> bool {
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    INTERPRETERS.contains(&name) || INTERPRETERS.contains(&plain)
}
