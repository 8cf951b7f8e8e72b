//! Statements given to a database client: what they drop, empty or change.

use super::walk::{Command, Walker};
use super::word::{UNKNOWN, Word};

impl Walker {
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
        let program = plain.find(" PROGRAM ").filter(|_| changes == "COPY");
        if let Some(code) = program.and_then(|at| statement.get(at + 9..)) {
            let text = code.split('\'').nth(1).map_or(UNKNOWN.to_string(), str::to_owned);
            self.run_word(&Word { text, ..word.clone() });
        }
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
