//! Code of other languages given on the line: Python, Perl, Ruby, JavaScript, and their kind.
//!
//! Nothing is parsed here; calls that delete, run or fetch are found by name, and their literal arguments are judged
//! by the same rules as a shell command's.

use super::literal::{arguments, homes_as_tilde, without_strings};
use super::rules::Effect;
use super::shells::is_stdin;
use super::walk::{Command, Walker};
use super::word::{Flow, HIDDEN, Span, UNKNOWN, Word};
use crate::request::Shell;

/// Calls, and what they do to their arguments. A name counts only at its beginning and outside strings.
#[rustfmt::skip]
const CALLS: &[(&str, Call)] = &[
    ("rmtree(|rm_rf(|rm_rf |rm_rf!(|rm_r(|rm_r |remove_dir_all(|remove_tree(|remove_tree |rmSync(|rmdirSync(|rimraf(|fs.rm(|Deno.remove(|Deno.removeSync(|delete-directory |delete-directory-recursively |delete_tree(|deleteDir(|removeItem(|remove_entry_secure(|del_dir_r(", Call::Path(Effect::DeleteTree)),
    ("unlinkSync(|os.remove(|os.unlink(|unlink(|unlink |File.delete(|delete-file |File.rm(|file.remove(", Call::Path(Effect::Delete)),
    ("writeFileSync(|file_put_contents(", Call::Path(Effect::Overwrite)),
    ("truncate(", Call::Path(Effect::Empty)),
    ("system(|system |system$|system2(|popen(|popen2(|popen3(|subprocess.run(|subprocess.call(|call(|check_call(|check_output(|getoutput(|getstatusoutput(|Popen(|execSync(|execFileSync(|execFile(|spawnSync(|spawn(|spawnlp(|spawnvp(|execvp(|execlp(|execl(|execv(|posix_spawn(|create_subprocess_shell(|create_subprocess_exec(|pcntl_exec(|proc_open(|shell_exec(|passthru(|os.execute(|Command(|Deno.run(|Bun.spawn(|Bun.spawnSync(|capture2(|capture2e(|capture3(|System.cmd(|System.shell(|os:cmd(|:os.cmd(|do shell script |shell-command |shell-command-to-string |call-process |call-process-shell-command |start-process |run-program |run-shell-command |ProcessBuilder(|doShellScript(", Call::Shell),
    ("exec(|exec ", Call::Exec),
    ("eval(|load(|loadstring(|instance_eval(|eval \"|eval '", Call::Code),
    ("qx(|qx{|qx/|qx |%x(|%x{|%x[", Call::Raw),
    ("`", Call::Backtick),
    ("Remove-Item |rm -r|ri -r|del -r|rmdir -r", Call::Remove),
    ("file delete ", Call::Remove),
    ("spawn ", Call::Line),
];

/// What starts a process, wherever it stands.
const STARTS: &[&str] = &[
    "/bin/sh",
    "/bin/bash",
    "subprocess",
    "pty",
    "dup2",
    "child_process",
    "exec",
    "system",
    "popen",
    "spawn",
    "fdopen",
    "Process",
];
const SOCKETS: &[&str] = &[
    "socket",
    "Socket",
    "fsockopen",
    "\"net\"",
    "'net'",
    "net.connect",
    "createConnection",
    "TCPClient",
    "gen_tcp",
    "/dev/tcp/",
    "/inet/tcp",
    "Deno.connect",
];
const FETCHES: &[&str] = &[
    "urlopen",
    "requests.get",
    "urllib",
    "http.get",
    "https.get",
    "httpx",
    "fetch(",
    "LWP",
    "HTTP::Tiny",
    "open-uri",
    "Net::HTTP",
    "URI.open",
    "socket",
    "file_get_contents('http",
    "file_get_contents(\"http",
    "DownloadString",
    "Invoke-WebRequest",
    "iwr ",
    "curl_exec",
    "url-retrieve",
    "readLines(\"http",
];
const DECODERS: &[&str] = &[
    "b64decode",
    "decode_base64",
    "base64",
    "Base64",
    "atob(",
    "unhexlify",
    "fromhex",
    "rot13",
    "rot_13",
    "decompress",
    "[::-1]",
    "pack",
    "fromCharCode",
    "fromCodePoint",
    "chr(",
    "chr ",
    "codecs.decode",
    "Buffer.from(",
    "strrev",
    "string.char",
    "string.reverse",
    ".reverse",
    "gzinflate",
    "gzuncompress",
    "uudecode",
    "hex2bin",
    "tr/",
    "marshal.loads",
    "EncodedCommand",
    "binary format",
    "intToUtf8",
    "reverse ",
];

#[derive(Clone, Copy)]
enum Call {
    Path(Effect),
    /// Its arguments are a command.
    Shell,
    /// Code in one language, a command in another.
    Exec,
    /// Its argument is code of the same language.
    Code,
    /// The command stands between brackets, without quotes.
    Raw,
    Backtick,
    /// The rest of the line is a command.
    Line,
    /// The rest of the line is options and paths to delete.
    Remove,
}

impl Walker {
    /// `python -c code`, `perl -e code`, a script file, or code from a pipe.
    pub(super) fn interpreter(&mut self, command: &Command) -> Option<Flow> {
        if let Some(code) = self.inline_code(command) {
            let flow = Flow { taint: code.taint, ..Flow::text(code.text.clone()) };
            self.feed(&flow, code.span, false);
            self.files_touched(command);
            self.table(command);
            return Some(Flow::unseen(command.stdin.taint | HIDDEN));
        }
        if command.value_of("-m").is_some() {
            return self.module(command);
        }
        let file = command.operands_after("-W -X -I").find(|word| word.text != "run").cloned();
        match file {
            Some(file) if !is_stdin(&file.text) => {
                self.files_touched(command);
                let known = self.files.contains_key(&file.text);
                if known || file.taint != 0 || self.root || file.text.contains("://") {
                    let text_only = self.files.get(&file.text).is_some_and(|flow| flow.text.is_some());
                    if text_only {
                        let flow = self.files.get(&file.text).cloned().unwrap_or_default();
                        return Some(self.feed(&flow, file.span, false));
                    }
                    return Some(self.script(&file, command));
                }
            }
            _ if command.stdin.present => {
                let flow = command.stdin.clone();
                return Some(self.feed(&flow, command.span, false));
            }
            _ if self.root => self.flag("root-shell", command.span),
            _ => {}
        }
        None
    }

    fn inline_code(&self, command: &Command) -> Option<Word> {
        let options: &[char] = match command.name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.') {
            "python" | "ipython" | "pypy" | "expect" | "guile" | "gjs" => &['c'],
            "php" => &['r', 'B', 'R', 'E'],
            "node" | "nodejs" | "bun" => &['e', 'p'],
            "emacs" | "emacsclient" | "deno" | "tclsh" => &[],
            _ => &['e', 'E'],
        };
        for (at, word) in command.args.iter().enumerate() {
            if matches!(
                word.text.as_str(),
                "--eval" | "--print" | "eval" | "-command" | "-Command" | "-eval" | "--execute"
            ) {
                return command.args.get(at + 1).cloned();
            }
            let module = ["-M", "-m", "-I", "-r"].iter().any(|option| word.text.starts_with(option));
            if let Some(code) = word.text.strip_prefix("--eval=") {
                return Some(Word { text: code.into(), ..word.clone() });
            }
            if word.text.starts_with("-c") && options.contains(&'c') && word.text.len() > 2 {
                return Some(Word { text: word.text[2..].into(), ..word.clone() });
            }
            let given = word.is_option() && word.text.len() <= 6 && word.text.ends_with(options);
            if given && (!module || word.text.len() == 2) {
                return command.args.get(at + 1).cloned();
            }
            if !word.is_option() {
                break;
            }
        }
        None
    }

    /// `python -m pip install`, `python -m http.server`.
    fn module(&mut self, command: &Command) -> Option<Flow> {
        let at = command.args.iter().position(|word| word.text == "-m")?;
        let module = command.args.get(at + 1)?.text.clone();
        match module.as_str() {
            "http.server" | "SimpleHTTPServer" | "pyftpdlib" => self.flag("listen", command.span),
            "pip" | "pipx" | "black" | "isort" | "uv" | "ruff" | "poetry" | "twine" | "virtualenv" | "pytest" => {
                return Some(self.call(command.args[at + 1..].to_vec(), Flow::default(), command.span));
            }
            _ => {}
        }
        Some(Flow::unseen(0))
    }

    /// Code of another language.
    pub(super) fn code(&mut self, code: &str, span: Span) {
        if !self.deeper(span) {
            return;
        }
        let lisp = matches!(self.last_name.as_str(), "emacs" | "emacsclient" | "guile" | "sbcl" | "racket" | "clisp");
        let script = matches!(self.last_name.as_str(), "node" | "nodejs" | "deno" | "bun" | "qjs" | "gjs");
        let quotes: &[u8] = if lisp {
            b"\""
        } else if script {
            b"\"'`"
        } else {
            b"\"'"
        };
        let code = homes_as_tilde(code);
        let bare = without_strings(&code, quotes);
        self.dangers_of_code(&code, &bare, span);
        for (names, kind) in CALLS.iter().filter(|(names, _)| !(script && *names == "`")) {
            for name in names.split('|') {
                for at in starts_of(&bare, name) {
                    let child = name.starts_with("exec") && bare[..at].ends_with('.') && script;
                    if !child || code.contains("child_process") {
                        self.call_found(&code[at + name.trim_end_matches(['"', '\'', '$']).len()..], *kind, span);
                    }
                }
            }
        }
        for (at, _) in bare.match_indices("open(") {
            self.open_found(&code[at + 5..], span);
        }
        self.depth -= 1;
    }

    /// What the code as a whole shows: `bare` is it without its strings.
    fn dangers_of_code(&mut self, code: &str, bare: &str, span: Span) {
        let has = |parts: &[&str]| parts.iter().any(|part| code.contains(part));
        let calls = |parts: &[&str]| parts.iter().any(|part| bare.contains(part));
        let runs =
            calls(&["exec(", "eval(", "eval ", "exec ", "system(", "system ", "runpy", "compile(", "iex", "IEX"])
                || calls(&["Invoke-Expression", "loadstring(", "Function(", "-EncodedCommand", "eval\n"]);
        if runs && has(FETCHES) && !has(&["socket"]) {
            self.flag("network-code", span);
        }
        let both_ways = calls(&["socket", "Socket", "connect", "Connection", "TCPClient", "fsockopen", "gen_tcp"])
            || bare.contains("inet");
        if both_ways && has(SOCKETS) && has(STARTS) {
            self.flag("reverse-shell", span);
        }
        if runs && calls(DECODERS) {
            self.flag("hidden-code", span);
        }
        if calls(&["os.fork", "fork while", "fork()", "fork;"]) && calls(&["while", "loop", "for"]) {
            self.flag("fork-bomb", span);
        }
        if calls(&["os.setuid(0", "pty.spawn"]) && self.root {
            self.flag("root-shell", span);
        }
        if has(&["application \"System Events\" to", "application \"Finder\" to"])
            && has(&["to restart", "to shut down", "to log out", "to sleep"])
        {
            self.flag("power-script", span);
        }
    }

    fn call_found(&mut self, rest: &str, kind: Call, span: Span) {
        match kind {
            Call::Path(effect) => {
                let path = arguments(rest).unwrap_or(UNKNOWN.to_string());
                let path = path.split_once(' ').map_or(path.as_str(), |(first, _)| first);
                self.touch(effect, &Word::new(path, span));
            }
            Call::Shell | Call::Exec => match arguments(rest) {
                Some(text) if !Word::new(text.as_str(), span).unseen() => {
                    self.inner_as(&text, Shell::Bash, Flow::default(), span);
                    if matches!(kind, Call::Exec) {
                        self.code(&text, span);
                    }
                }
                _ => self.unseen_code(span),
            },
            Call::Code => match arguments(rest) {
                Some(text) if !Word::new(text.as_str(), span).unseen() => self.code(&text, span),
                _ => self.unseen_code(span),
            },
            Call::Raw | Call::Line => {
                let end =
                    rest.find(if matches!(kind, Call::Raw) { [')', '}', ']', '/'] } else { [';', '\n', ']', '\r'] });
                let text = rest[..end.unwrap_or(rest.len())].trim().to_owned();
                if !text.is_empty() && !text.starts_with(['(', '"', '\'']) {
                    self.inner_as(&text, Shell::Bash, Flow::default(), span);
                }
            }
            Call::Backtick => {
                let text = rest.find('`').map_or("", |end| rest[..end].trim());
                if !text.is_empty() {
                    self.inner_as(text, Shell::Bash, Flow::default(), span);
                }
            }
            Call::Remove => {
                let line = rest.split([';', '\n', '}', '|', ']']).next().unwrap_or("");
                for path in line.split_whitespace().filter(|word| !word.starts_with('-') && !word.starts_with("ecurse"))
                {
                    self.touch(Effect::DeleteTree, &Word::new(path.trim_matches(['"', '\'', '{']), span));
                }
            }
        }
    }

    /// `open(path, 'w')`.
    fn open_found(&mut self, rest: &str, span: Span) {
        let Some((path, after)) = literal(rest) else { return };
        let mode = after.trim_start_matches([' ', ',']);
        if mode.starts_with("'w") || mode.starts_with("\"w") {
            self.touch(Effect::Overwrite, &Word::new(path, span));
        } else if mode.starts_with("'a") || mode.starts_with("\"a") {
            self.touch(Effect::Append, &Word::new(path, span));
        }
    }
}

/// Where the call `name` stands in `bare`, not as the end of a longer name.
fn starts_of<'a>(bare: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    let sign = !name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let joins = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    // `json.load(` and `f.call(` are methods, not the functions that run text.
    let method = matches!(name, "load(" | "call(");
    let fits = move |at: &usize| sign || !(bare[..*at].ends_with(joins) || method && bare[..*at].ends_with('.'));
    bare.match_indices(name).map(|(at, _)| at).filter(fits)
}

/// The first quoted text of an argument list, and what follows it.
pub(super) fn literal(rest: &str) -> Option<(String, &str)> {
    let start = rest.find(['"', '\''])?;
    if rest[..start].contains([')', ';']) {
        return None;
    }
    let quote = rest.as_bytes()[start] as char;
    let body = &rest[start + 1..];
    let end = body.find(quote)?;
    Some((body[..end].to_owned(), &body[end + 1..]))
}
