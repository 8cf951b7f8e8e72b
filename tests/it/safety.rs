//! The rater as a person meets it: a table of commands, and its promise never to fail open.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use cmdai::request::Shell;
use cmdai::safety::{Finding, Risk, assess, parses, printable, rule_names};

use crate::support::{Random, decode};

/// The rows of `tests/data/risk.tsv`: level, shell, command.
fn rows() -> Vec<(Risk, Shell, String)> {
    include_str!("../data/risk.tsv").lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

fn row(line: &str) -> (Risk, Shell, String) {
    let cells: Vec<&str> = line.splitn(3, '\t').collect();
    let [level, shell, command] = cells.as_slice() else { panic!("three cells wanted: {line}") };
    let risk = [Risk::Safe, Risk::Caution, Risk::Dangerous].into_iter().find(|risk| risk.word() == *level);
    let shell = Shell::from_path(shell).expect("a known shell");
    (risk.expect("a known level"), shell, decode(command))
}

/// One word of bash that stands for `text`.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[test]
fn every_row_of_the_table_has_its_level() {
    let wrong: Vec<String> = rows()
        .into_iter()
        .filter_map(|(want, shell, command)| {
            let got = assess(&command, shell).risk;
            (got != want).then(|| format!("{} -> {}: {command}", want.word(), got.word()))
        })
        .collect();
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn substitution_counts_wherever_it_stands() {
    const BOTH: &[&str] = &[
        "x=$({})",
        "x=`{}`",
        "x=\"$({})\"",
        "x=($({}))",
        "x=(a \"b c\" `{}`)",
        "x=(${y:-$({})})",
        "x+=(\"$({})\")",
        "x[$({})]=1",
        "x[0]=$({})",
        "m=([a]=\"$({})\" [b]=c)",
        "x=(a <({}))",
        "echo ${x[$({})]}",
        "echo ${x:-$({})}",
        "echo \"${x/a/$({})}\"",
        "echo $(( $({}) ))",
        "(( x = $({}) ))",
        "[[ -n $({}) ]]",
        "test -n \"`{}`\"",
        "case $({}) in a) ;; esac",
        "for x in $({}); do :; done",
        "while $({}); do :; done",
        "export X=$({})",
        "cat <<E\n$({})\nE",
        "cat <<< \"$({})\"",
        "cat < <({})",
        "ls > \"$({})\"",
        "ls | tee >({})",
        "ls \"a$({})b\"",
    ];
    const BASH: &[&str] = &[
        "declare -A m=([a]=$({}))",
        "let x=$({})",
        "for ((i=$({});;)); do :; done",
        "readarray x < <({})",
        "select x in $({}); do :; done",
        "echo \"${x@Q}$({})\"",
        "printf -v x %s \"$({})\"",
    ];
    const ZSH: &[&str] = &[
        "x=(${(f)\"$({})\"})",
        "print -l ${(s:,:)\"$({})\"}",
        "for x ($({})) echo $x",
        "echo =({})",
        "x=${$({}):-a}",
        "echo ${(e)x}$({})",
        "rm ${(j: :)${(f)\"$({})\"}}",
    ];
    const FISH: &[&str] = &[
        "set x ({})",
        "echo \"$({})\"",
        "if test ({}); end",
        "switch ({}); case a; end",
        "for x in ({}); end",
        "echo $x[({})]",
        "set x[({})] 1",
        "while test ({}); end",
        "begin; echo ({}); end",
    ];
    for (shell, frames) in
        [(Shell::Bash, BOTH), (Shell::Bash, BASH), (Shell::Zsh, BOTH), (Shell::Zsh, ZSH), (Shell::Fish, FISH)]
    {
        for frame in frames {
            let command = frame.replace("{}", "rm -rf ~");
            assert_eq!(assess(&command, shell).risk, Risk::Dangerous, "{}: {command}", shell.name());
            let command = frame.replace("{}", "date");
            assert!(assess(&command, shell).risk < Risk::Dangerous, "{}: {command}", shell.name());
        }
    }
}

#[test]
fn what_peers_misrate_is_rated_right() {
    let table = include_str!("../data/peers.tsv").lines().filter(|line| !line.starts_with('#'));
    for row in table {
        let cells: Vec<&str> = row.splitn(4, '\t').collect();
        let [peer, theirs, right, command] = cells.as_slice() else { panic!("four cells wanted: {row}") };
        assert_ne!(theirs, right, "{peer}");
        assert_eq!(assess(&decode(command), Shell::Bash).risk.word(), *right, "{command}");
    }
}

/// The rows of `tests/data/rules.tsv`: a rule and a command that it must flag.
fn rule_rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = include_str!("../data/rules.tsv").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once('\t').expect("a rule and a command"))
}

#[test]
fn every_rule_flags_two_commands_of_the_tables() {
    let mut hits: HashMap<String, usize> = HashMap::new();
    let commands = rows().into_iter().map(|(_, shell, command)| (shell, command));
    for (shell, command) in commands.chain(rule_rows().map(|(_, command)| (Shell::Bash, command.to_owned()))) {
        let rules: HashSet<String> = assess(&command, shell).findings.into_iter().map(|finding| finding.rule).collect();
        rules.into_iter().for_each(|rule| *hits.entry(rule).or_default() += 1);
    }
    // `too-long` has no short example; its own test follows.
    let few = |rule: &&str| *rule != "too-long" && hits.get(*rule).is_none_or(|count| *count < 2);
    let few: Vec<&str> = rule_names().into_iter().filter(few).collect();
    assert!(few.is_empty(), "fewer than two commands: {few:?}");
}

#[test]
fn a_rule_flags_its_command_and_neither_its_mention_nor_its_comment() {
    let rules = |command: &str| -> Vec<String> {
        assess(command, Shell::Bash).findings.into_iter().map(|finding| finding.rule).collect()
    };
    for (rule, command) in rule_rows() {
        assert!(rules(command).iter().any(|found| found == rule), "{rule}: {command}: {:?}", rules(command));
        if printable(command).is_err() {
            continue;
        }
        for mention in [format!("printf '%s' {}", quoted(command)), format!("ls # {command}")] {
            assert!(!rules(&mention).iter().any(|found| found == rule), "{rule}: {mention}");
        }
    }
}

#[test]
fn every_finding_points_at_text_and_says_why() {
    let broken = ["ls (", "if ls", &"é".repeat(5000)].map(|command| (Risk::Caution, Shell::Fish, command.to_owned()));
    for (_, shell, command) in rows().into_iter().chain(broken) {
        for finding in assess(&command, shell).findings {
            let (from, to) = finding.span;
            assert!(command.get(from..to).is_some(), "{command}: {finding:?}");
            assert!(!finding.reason.is_empty() && !finding.reason.contains('\n'), "{command}: {finding:?}");
            assert!(finding.risk > Risk::Safe, "{command}: {finding:?}");
        }
    }
}

#[test]
fn the_level_is_that_of_the_worst_finding() {
    for (_, shell, command) in rows() {
        let rated = assess(&command, shell);
        let worst = rated.findings.iter().map(|finding| finding.risk).max().unwrap_or(Risk::Safe);
        assert_eq!(rated.risk, worst, "{command}");
    }
}

#[test]
fn danger_stays_danger_in_disguise() {
    type Disguise = fn(&str) -> String;
    let disguises: [Disguise; 9] = [
        |c| format!("ls; {c}"),
        |c| format!("if true; then {c}\nfi"),
        |c| format!("( {c}\n)"),
        |c| format!("bash -c {}", quoted(c)),
        |c| format!("eval {}", quoted(c)),
        |c| format!("echo {} | sh", quoted(c)),
        |c| format!("sh <<'END'\n{c}\nEND"),
        |c| format!("echo \"$(\n{c}\n)\""),
        |c| format!("f() {{ {c}\n}}; f"),
    ];
    let mut low = Vec::new();
    let danger = rows().into_iter().filter(|(risk, shell, _)| *risk == Risk::Dangerous && *shell == Shell::Bash);
    for (_, shell, command) in danger.filter(|(_, _, command)| printable(command).is_ok()) {
        for (number, disguise) in disguises.iter().enumerate() {
            let text = disguise(&command);
            if assess(&text, shell).risk != Risk::Dangerous {
                low.push(format!("{number}: {text}"));
            }
        }
    }
    assert!(low.is_empty(), "{} rows:\n{}", low.len(), low.join("\n"));
}

#[test]
fn danger_that_is_only_quoted_is_safe() {
    let mut flagged = Vec::new();
    for (_, shell, command) in rows().into_iter().filter(|(risk, ..)| *risk == Risk::Dangerous) {
        if command.contains('\'') || shell != Shell::Bash || printable(&command).is_err() {
            continue;
        }
        for text in
            [format!("echo '{command}'"), format!("git commit -m '{command}'"), format!("grep -F '{command}' a.md")]
        {
            let rated = assess(&text, shell);
            if rated.risk != Risk::Safe {
                flagged.push(format!("{text}: {:?}", rated.findings));
            }
        }
    }
    assert!(flagged.is_empty(), "{} rows:\n{}", flagged.len(), flagged.join("\n"));
}

#[test]
fn random_bytes_never_panic_and_hidden_ones_are_dangerous() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..20_000 {
        let length = random.below(60);
        let bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        let text = String::from_utf8_lossy(&bytes);
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let risk = assess(&text, shell).risk;
            assert!(printable(&text).is_ok() || risk == Risk::Dangerous, "{text:?}");
        }
    }
}

#[test]
fn a_pattern_that_begins_with_a_wide_letter_is_rated() {
    // The slice of its first byte was a panic, which `assess` turns into this finding.
    let findings = assess("rm -r /é?x/y", Shell::Bash).findings;
    assert!(findings.iter().all(|finding| finding.rule != "rater-failed"), "{findings:?}");
}

#[test]
fn random_mutations_never_panic() {
    const SIGNS: &[&str] = &[
        "(", ")", "{", "}", "$(", "`", "'", "\"", "\\", "|", "&", ";", "<<", ">", "é", "日", "$", "*", "~", "\n", "#",
        "=(",
    ];
    let (rows, mut random) = (rows(), Random(0x2545_f491_4f6c_dd1d));
    for _ in 0..20_000 {
        let (_, shell, command) = &rows[random.below(rows.len())];
        let mut letters: Vec<char> = command.chars().collect();
        for _ in 0..1 + random.below(4) {
            let at = random.below(letters.len() + 1);
            match random.below(3) {
                0 if at < letters.len() => drop(letters.remove(at)),
                1 => letters.truncate(at.max(1)),
                _ => letters.splice(at..at, SIGNS[random.below(SIGNS.len())].chars()).for_each(drop),
            }
        }
        let text: String = letters.into_iter().collect();
        let rated = assess(&text, *shell);
        assert!(!rated.findings.iter().any(|finding| finding.rule == "rater-failed"), "{text:?}");
    }
}

#[test]
fn the_worst_inputs_of_8_kib_are_rated_in_time_and_never_safe_when_cut() {
    let fill = |unit: &str| unit.repeat(8 * 1024 / unit.len());
    let units = [
        "(",
        "$(",
        "`",
        "{",
        "\"$(",
        "a|",
        "a&&",
        "a;",
        "if a;then ",
        "[[ ",
        "((",
        "<(",
        "${a:-",
        "{a,b}",
        "$((",
        "a=$a$a;",
        "case a in a) ",
        "f(){ ",
        "<<E\n",
        "'",
        "\"",
        "\\",
        "*",
        "/../",
        "! ",
        "eval ",
        "bash -c ",
        "xargs ",
        "sudo ",
        "x=(",
        "$'",
        "a\n",
        ")",
        "a(b)",
        "*(.)",
        "[[a]]`",
        "$[",
        "for a (b) ",
        "case b;",
        "x=`<<-E ",
    ];
    for unit in units {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = fill(unit);
            let start = Instant::now();
            assess(&text, shell);
            let spent = start.elapsed();
            assert!(spent < Duration::from_millis(1500), "{unit:?} in {}: {spent:?}", shell.name());
        }
    }
}

#[test]
fn what_follows_deep_nesting_is_still_seen() {
    for unit in ["(", "$(", "{ ", "if true; then "] {
        let text = format!("{}; rm -rf ~", unit.repeat(500));
        assert_eq!(assess(&text, Shell::Bash).risk, Risk::Dangerous, "{unit:?}");
    }
    let chain = format!("{}rm -rf ~", "true && ".repeat(900));
    assert_eq!(assess(&chain, Shell::Bash).risk, Risk::Dangerous);
}

#[test]
fn too_long_or_broken_text_is_never_safe() {
    assert!(assess(&"a ".repeat(5000), Shell::Bash).risk >= Risk::Caution);
    for broken in ["ls 'x", "ls $(", "if true; then ls", "ls (", "echo \"a", "for x in", "case x in"] {
        assert!(assess(broken, Shell::Bash).risk >= Risk::Caution, "{broken}");
    }
}

#[test]
fn unparsed_danger_is_still_dangerous() {
    for broken in ["ls ) ; rm -rf ~", "if; rm -rf ~", "rm -rf ~ 'x", "((; rm -rf /", "echo ( ; rm -rf /etc"] {
        assert_eq!(assess(broken, Shell::Bash).risk, Risk::Dangerous, "{broken}");
    }
}

#[test]
fn a_comment_is_code_in_zsh_alone() {
    let line = "ls # tidy up; rm -rf ~";
    assert_eq!(assess(line, Shell::Zsh).risk, Risk::Dangerous);
    assert_eq!(assess(line, Shell::Bash).risk, Risk::Safe);
    assert_eq!(assess(line, Shell::Fish).risk, Risk::Safe);
}

#[test]
fn line_parses_where_no_finding_calls_it_unparsed() {
    let mut open = 0;
    // The script of `eval` is all of its line.
    for (_, shell, command) in rows().into_iter().filter(|(_, _, command)| !command.contains("eval")) {
        let ends = command.char_indices().map(|(at, _)| at).chain([command.len()]);
        for beginning in ends.skip(1).map(|end| &command[..end]) {
            // One of a script inside the line has the span of that script's word.
            let whole = |found: &Finding| found.rule == "unparsed" && found.span == (0, beginning.len());
            let unparsed = assess(beginning, shell).findings.iter().any(whole);
            open += usize::from(unparsed);
            assert_eq!(parses(beginning, shell), !unparsed, "{}: {beginning}", shell.name());
        }
    }
    assert!(open > 1000, "{open}");
}
