//! Code of other languages given on the line: Python, Perl, Ruby, JavaScript, awk and SQL.
//!
//! Nothing is parsed here; calls that delete, run or fetch are found by name, and their literal arguments are judged
//! by the same rules as a shell command's.

use super::rules::Effect;
use super::walk::{Command, Walker};
use super::word::{Flow, HIDDEN, Span, UNKNOWN, Word};
use super::wrap::is_stdin;

/// Calls, and what they do to their first text argument.
const CALLS: &[(&str, Call)] = &[
    ("rmtree(", Call::Path(Effect::DeleteTree)),
    ("rm_rf(", Call::Path(Effect::DeleteTree)),
    ("rm_rf ", Call::Path(Effect::DeleteTree)),
    ("rm_r(", Call::Path(Effect::DeleteTree)),
    ("remove_dir_all(", Call::Path(Effect::DeleteTree)),
    ("remove_tree(", Call::Path(Effect::DeleteTree)),
    ("rmSync(", Call::Path(Effect::DeleteTree)),
    ("rmdirSync(", Call::Path(Effect::DeleteTree)),
    ("rimraf(", Call::Path(Effect::DeleteTree)),
    ("fs.rm(", Call::Path(Effect::DeleteTree)),
    ("unlinkSync(", Call::Path(Effect::Delete)),
    ("os.remove(", Call::Path(Effect::Delete)),
    ("os.unlink(", Call::Path(Effect::Delete)),
    ("unlink(", Call::Path(Effect::Delete)),
    ("unlink ", Call::Path(Effect::Delete)),
    ("File.delete(", Call::Path(Effect::Delete)),
    ("writeFileSync(", Call::Path(Effect::Overwrite)),
    ("truncate(", Call::Path(Effect::Empty)),
    ("system(", Call::Shell),
    ("system ", Call::Shell),
    ("popen(", Call::Shell),
    ("subprocess.run(", Call::Shell),
    ("subprocess.call(", Call::Shell),
    ("check_call(", Call::Shell),
    ("check_output(", Call::Shell),
    ("Popen(", Call::Shell),
    ("execSync(", Call::Shell),
    ("spawnSync(", Call::Shell),
    (".exec(", Call::Shell),
    ("exec(", Call::Shell),
    ("exec ", Call::Shell),
    ("shell_exec(", Call::Shell),
    ("passthru(", Call::Shell),
    ("do shell script ", Call::Shell),
    ("qx(", Call::Shell),
    ("`", Call::Backtick),
];

#[derive(Clone, Copy)]
enum Call {
    Path(Effect),
    Shell,
    Backtick,
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
            "python" | "ipython" | "pypy" => &['c'],
            "php" => &['r'],
            "node" | "nodejs" | "bun" => &['e', 'p'],
            "deno" => &[],
            _ => &['e', 'E'],
        };
        for (at, word) in command.args.iter().enumerate() {
            if matches!(word.text.as_str(), "--eval" | "--print" | "eval" | "-command" | "-Command") {
                return command.args.get(at + 1).cloned();
            }
            let module = ["-M", "-m", "-I", "-r"].iter().any(|option| word.text.starts_with(option));
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
        let has = |parts: &[&str]| parts.iter().any(|part| code.contains(part));
        let network = has(&[
            "urlopen",
            "requests.get",
            "urllib",
            "http.get",
            "fetch(",
            "LWP",
            "open-uri",
            "Net::HTTP",
            "socket",
            "file_get_contents('http",
            "file_get_contents(\"http",
        ]);
        let runs = has(&["exec(", "eval(", "eval ", "exec ", "system(", "runpy", "compile("]);
        if network && runs && !has(&["socket"]) {
            self.flag("network-code", span);
        }
        if has(&["socket", "Socket", "fsockopen"])
            && has(&["/bin/sh", "/bin/bash", "subprocess", "pty", "dup2", "child_process", "exec"])
        {
            self.flag("reverse-shell", span);
        }
        if runs
            && has(&[
                "b64decode",
                "decode_base64",
                "base64",
                "atob(",
                "unhexlify",
                "fromhex",
                "rot13",
                "decompress",
                "[::-1]",
                "pack(",
                "fromCharCode",
                "chr(",
            ])
        {
            self.flag("hidden-code", span);
        }
        if has(&["os.fork", "fork while", "fork()"]) && has(&["while", "loop"]) {
            self.flag("fork-bomb", span);
        }
        if has(&["os.setuid(0", "pty.spawn"]) && self.root {
            self.flag("root-shell", span);
        }
        for (call, kind) in CALLS {
            for (at, _) in code.match_indices(call) {
                self.call_found(&code[at + call.len()..], *kind, span);
            }
        }
        for (at, _) in code.match_indices("open(") {
            self.open_found(&code[at + 5..], span);
        }
    }

    fn call_found(&mut self, rest: &str, kind: Call, span: Span) {
        match kind {
            Call::Path(effect) => {
                let path = literal(rest).map_or(UNKNOWN.to_string(), |(text, _)| text);
                let home = rest.starts_with("os.path.expanduser")
                    || rest.starts_with("Path.home")
                    || rest.starts_with("os.homedir")
                    || rest.starts_with("process.env.HOME")
                    || rest.starts_with("ENV['HOME");
                let path = if home && !path.starts_with('~') { "~".to_owned() } else { path };
                self.touch(effect, &Word::new(path, span));
            }
            Call::Shell => match literal_list(rest) {
                Some(text) => drop(self.inner_as(&text, crate::request::Shell::Bash, Flow::default(), span)),
                None => self.unseen_code(span),
            },
            Call::Backtick => {
                if let Some(end) = rest.find('`') {
                    let text = &rest[..end];
                    if !text.trim().is_empty() {
                        self.inner_as(text, crate::request::Shell::Bash, Flow::default(), span);
                    }
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

    /// awk's `system("…")` and `print | "sh"`.
    pub(super) fn awk(&mut self, command: &Command) {
        let Some(code) = command.operands_after("-F -v -f").next().cloned() else { return };
        for (at, _) in code.text.match_indices("system(") {
            match literal(&code.text[at + 7..]) {
                Some((text, rest)) => {
                    let more = !rest.trim_start().starts_with(')');
                    let text = if more { format!("{text}{UNKNOWN}") } else { text };
                    self.inner(&text, Flow::default(), code.span);
                }
                None => self.unseen_code(code.span),
            }
        }
        if code.text.contains("| \"sh\"") || code.text.contains("|\"sh\"") || code.text.contains("| \"bash\"") {
            self.unseen_code(code.span);
        }
        if code.text.contains("/inet/tcp") {
            self.flag("reverse-shell", code.span);
        }
        for (at, _) in code.text.match_indices("> \"") {
            if let Some((path, _)) = literal(&code.text[at + 2..]) {
                self.touch(Effect::Overwrite, &Word::new(path, code.span));
            }
        }
    }

    /// Statements given to a database client.
    pub(super) fn database(&mut self, command: &Command) {
        const CLIENTS: &[&str] = &[
            "psql",
            "mysql",
            "mariadb",
            "sqlite3",
            "clickhouse-client",
            "sqlcmd",
            "cockroach",
            "duckdb",
            "bq",
            "mongosh",
            "mongo",
            "cqlsh",
            "sqlplus",
            "pgcli",
            "mycli",
            "snowsql",
            "usql",
            "athena",
            "trino",
            "presto",
            "hive",
            "beeline",
            "influx",
            "spark-sql",
        ];
        if !CLIENTS.contains(&command.name.as_str()) {
            return;
        }
        let options = "-c --command -e --execute -q --query -Q --eval -cmd --statement";
        let mut texts: Vec<Word> = command.value_of(options).into_iter().collect();
        texts.extend(command.operands().filter(|word| word.text.contains(' ') || word.text.starts_with('.')).cloned());
        if command.stdin.present {
            match &command.stdin.text {
                Some(text) => texts.push(Word::new(text.as_str(), command.span)),
                None => self.flag("sql-file", command.span),
            }
        }
        if command.value_of("-f --file").is_some() && command.name != "mysql" {
            self.flag("sql-file", command.span);
        }
        let local = matches!(command.name.as_str(), "sqlite3" | "duckdb");
        for word in texts {
            if word.unseen() {
                self.flag("sql-file", word.span);
            }
            for statement in word.text.split(';') {
                self.statement_of_sql(statement, &word, local);
            }
        }
    }

    fn statement_of_sql(&mut self, statement: &str, word: &Word, local: bool) {
        let plain = without_comments(statement).to_ascii_uppercase();
        let mut words = plain.split_whitespace();
        let mut first = words.next().unwrap_or("");
        if first == "EXPLAIN" {
            if !plain.contains("ANALYZE") {
                return;
            }
            first = words.find(|w| !matches!(*w, "ANALYZE" | "VERBOSE")).unwrap_or("");
        }
        let changes = if first == "WITH" {
            ["DELETE ", "UPDATE ", "INSERT "].iter().find(|verb| plain.contains(**verb)).map_or("", |v| v.trim())
        } else {
            first
        };
        let unbounded = match plain.split_once(" WHERE ") {
            None => true,
            Some((_, test)) => matches!(
                test.split_whitespace().collect::<String>().as_str(),
                "1=1" | "TRUE" | "1" | "'1'='1'" | "ID>0" | "1=1LIMIT1000"
            ),
        };
        let script = statement.contains("dropDatabase")
            || statement.contains(".drop(")
            || statement.contains("deleteMany({})")
            || statement.contains(".remove({})")
            || statement.contains("dropAllUsers");
        let destroys = match changes {
            "DROP" | "TRUNCATE" => true,
            "DELETE" | "UPDATE" => unbounded,
            "ALTER" => plain.contains(" DROP ") && !plain.contains("CONSTRAINT"),
            "SHUTDOWN" => true,
            _ => script,
        };
        let touches = matches!(
            changes,
            "DELETE"
                | "UPDATE"
                | "INSERT"
                | "CREATE"
                | "ALTER"
                | "GRANT"
                | "REVOKE"
                | "REPLACE"
                | "MERGE"
                | "VACUUM"
                | "REINDEX"
                | "COPY"
                | "LOAD"
                | "CALL"
                | "SET"
                | "KILL"
                | "FLUSH"
                | "UPSERT"
                | "RENAME"
                | "REFRESH"
                | ".RESTORE"
                | ".IMPORT"
                | ".READ"
                | "CLUSTER"
                | "LOCK"
                | "OPTIMIZE"
        ) || ["deleteOne", "updateOne", "insert", "updateMany", "deleteMany", "createIndex", "dropIndex"]
            .iter()
            .any(|call| statement.contains(call));
        if let Some((_, code)) = statement.split_once("\\!").or(statement.split_once(".shell ")) {
            self.run_word(&Word { text: code.into(), ..word.clone() });
        }
        if destroys && !local {
            self.flag("sql-destroy", word.span);
        } else if destroys || touches && changes != "SET" {
            self.flag("sql-change", word.span);
        }
    }
}

/// The first quoted text of an argument list, and what follows it.
fn literal(rest: &str) -> Option<(String, &str)> {
    let start = rest.find(['"', '\''])?;
    if rest[..start].contains([')', ';']) {
        return None;
    }
    let quote = rest.as_bytes()[start] as char;
    let body = &rest[start + 1..];
    let end = body.find(quote)?;
    Some((body[..end].to_owned(), &body[end + 1..]))
}

/// `"rm -rf x"` or `["rm", "-rf", "x"]` as one line of shell.
fn literal_list(rest: &str) -> Option<String> {
    let (first, mut after) = literal(rest)?;
    let mut text = first;
    while let Some(next) = after.trim_start().strip_prefix(',') {
        let trimmed = next.trim_start();
        if !trimmed.starts_with(['"', '\'', '[']) {
            break;
        }
        let Some((word, tail)) = literal(trimmed) else { break };
        text.push(' ');
        text.push_str(&word);
        after = tail;
    }
    Some(text)
}

fn without_comments(statement: &str) -> String {
    let mut text = String::new();
    for line in statement.lines() {
        text.push_str(line.split("--").next().unwrap_or(""));
        text.push(' ');
    }
    while let Some(start) = text.find("/*") {
        let end = text[start..].find("*/").map_or(text.len(), |end| start + end + 2);
        text.replace_range(start..end, " ");
    }
    text.trim().to_owned()
}
