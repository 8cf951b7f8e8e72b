//! What a command prints, as far as it can be known: text, a list of files, or something that must not be run.

use super::edit::written_commands;
use super::walk::{Command, Walker, some};
use super::word::{Flow, HIDDEN, NETWORK, PRIVATE, SECRET, UNKNOWN, Word, unescape};
use crate::request::Shell;

impl Walker {
    /// What the command prints, as far as it can be known.
    pub(super) fn output(&mut self, command: &Command) -> Flow {
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
            "awk" | "gawk" | "mawk" | "nawk" | "sed" | "gsed" if let Some(code) = written_commands(command) => {
                Flow { present: true, text: Some(code), names: command.stdin.names.clone(), taint }
            }
            "grep" | "rg" | "ag" | "head" | "tail" | "sort" | "uniq" | "fzf" | "awk" | "sed"
                if command.stdin.names.is_some() =>
            {
                Flow { present: true, text: None, names: command.stdin.names.clone(), taint }
            }
            // A query that writes statements, for another client to carry out.
            "mysql" | "mariadb" | "psql" | "sqlite3" if let Some(query) = written_statements(command) => {
                Flow { taint, ..Flow::text(query) }
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

/// The query of a database client that selects statements which delete.
fn written_statements(command: &Command) -> Option<String> {
    let writes = |text: &str| {
        let text = text.to_ascii_uppercase();
        text.contains("SELECT") && ["'DROP ", "'TRUNCATE ", "'DELETE "].iter().any(|verb| text.contains(verb))
    };
    command.args.iter().map(|word| word.text.as_str()).find(|text| writes(text)).map(|text| text.replace('\'', ";"))
}
