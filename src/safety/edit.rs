//! Small languages of text tools that can run commands and write files: awk, sed, ed and vim.

use super::code::literal;
use super::literal::{arguments, homes_as_tilde};
use super::rules::Effect;
use super::walk::{Command, Walker};
use super::word::{Flow, UNKNOWN, Word};

impl Walker {
    /// awk's `system("…")`, `print | "sh"` and `"cmd" | getline`.
    pub(super) fn awk(&mut self, command: &Command) {
        let Some(code) = command.operands_after("-F -v -f").next().cloned() else { return };
        let text = homes_as_tilde(&code.text);
        for (at, _) in text.match_indices("system(") {
            match arguments(&text[at + 7..]) {
                Some(run) => drop(self.run_word(&Word { text: run, ..code.clone() })),
                None => self.unseen_code(code.span),
            }
        }
        for (at, _) in text.match_indices('|') {
            self.awk_pipe(&text[..at], &text[at + 1..], &code);
        }
        if text.contains("/inet/tcp") {
            self.flag("reverse-shell", code.span);
        }
        for (at, _) in text.match_indices("> \"") {
            if let Some((path, _)) = literal(&text[at + 2..]) {
                self.touch(Effect::Overwrite, &Word::new(path, code.span));
            }
        }
    }

    fn awk_pipe(&mut self, before: &str, after: &str, code: &Word) {
        let after = after.trim_start_matches('&').trim_start();
        if after.starts_with("getline") {
            let from = before.rfind(['{', ';', '(']).map_or(0, |at| at + 1);
            if let Some(run) = arguments(&before[from..]) {
                self.run_word(&Word { text: run, ..code.clone() });
            }
            return;
        }
        let Some((program, _)) = literal(after).filter(|_| after.starts_with('"')) else { return };
        let printed = before.rfind("print").map(|at| before[at + 5..].trim_start_matches('f'));
        let text = printed.and_then(arguments).unwrap_or(UNKNOWN.to_string());
        self.inner(&program, Flow::text(text), code.span);
    }

    /// sed's `s///e`, `e command` and `w file`.
    pub(super) fn sed(&mut self, command: &Command) {
        let scripts: Vec<Word> = match command.has("-e --expression") {
            true => option_values(command, "-e", "--expression="),
            false => command.operands_after("-f -l --file").take(1).cloned().collect(),
        };
        for script in scripts {
            script.text.split('\n').for_each(|line| self.sed_line(line, &script));
        }
    }

    fn sed_line(&mut self, line: &str, script: &Word) {
        let mut rest = line;
        while !rest.is_empty() {
            rest = without_address(rest);
            let Some(verb) = rest.chars().next() else { return };
            let tail = &rest[verb.len_utf8()..];
            match verb {
                's' | 'y' => {
                    let Some((_, replacement, flags)) = substitution(tail) else { return };
                    let end = flags.find([';', '}']).unwrap_or(flags.len());
                    if flags[..end].contains('w') {
                        return self.sed_write(flags.split_once('w').map_or("", |(_, file)| file), script);
                    }
                    if verb == 's' && flags[..end].contains('e') {
                        let text = replacement.replace("\\&", "+").replace('&', &UNKNOWN.to_string());
                        self.run_word(&Word { text, ..script.clone() });
                    }
                    rest = &flags[end..];
                }
                'e' => {
                    let text = if tail.trim().is_empty() { UNKNOWN.to_string() } else { tail.trim().to_owned() };
                    return drop(self.run_word(&Word { text, ..script.clone() }));
                }
                'w' | 'W' => return self.sed_write(tail, script),
                'a' | 'i' | 'c' | 'r' | 'R' | '#' | ':' => return,
                _ => rest = tail,
            }
        }
    }

    fn sed_write(&mut self, file: &str, script: &Word) {
        let file = Word { text: file.trim().into(), ..script.clone() };
        if !file.text.is_empty() {
            self.write(&file, &Flow::unseen(0), false);
        }
    }

    /// Commands given to ed, ex and vim: by options, or by what flows in.
    pub(super) fn editor(&mut self, command: &Command) {
        let mut lines: Vec<Word> = option_values(command, "-c", "--cmd=");
        // `ex -sc CODE`
        let clustered = command.behind_cluster('c').filter(|code| lines.iter().all(|line| line.span != code.span));
        lines.extend(clustered.cloned());
        lines.extend(option_values(command, "--cmd", "--command="));
        lines.extend(command.args.iter().filter(|word| word.text.starts_with('+')).cloned());
        if let Some(text) = command.stdin.text.as_ref().filter(|_| matches!(command.name.as_str(), "ed" | "ex" | "vim"))
        {
            lines.extend(text.lines().map(|line| Word::new(line, command.span)));
        }
        for line in &lines {
            self.editor_line(line);
        }
        let verbs: Vec<&str> = lines.iter().flat_map(|line| line.text.split(['|', '\n'])).map(str::trim).collect();
        let verbs = verbs.iter().map(|verb| verb.trim_start_matches([':', '+', ' ']));
        let saves =
            |verb: &str| matches!(verb, "w" | "wq" | "x" | "wq!" | "x!" | "wa" | "wqa" | "xa" | "w!" | "up" | "update");
        let empties =
            |verb: &str| matches!(verb, "%d" | "%delete" | "1,$d" | ",d" | "0,$d" | "normal ggdG" | "norm ggdG");
        // Lines that cannot be seen may save.
        let unseen =
            matches!(command.name.as_str(), "ed" | "ex") && command.stdin.present && command.stdin.text.is_none();
        if !unseen && !verbs.clone().any(saves) {
            return;
        }
        let effect = if verbs.clone().any(empties) { Effect::Empty } else { Effect::Edit };
        let valued = "-c --cmd -u -U -S -T -sc -esc -Esc";
        let files = command.operands_after(valued).filter(|word| !word.text.starts_with('+')).cloned();
        files.collect::<Vec<_>>().iter().for_each(|file| self.touch(effect, file));
    }

    fn editor_line(&mut self, line: &Word) {
        let text = line.text.trim_start_matches([':', '+', ' ']);
        if matches!(text.split(' ').next(), Some("sh" | "she" | "shel" | "shell" | "ter" | "term" | "terminal")) {
            self.run_word(&Word { text: "sh".into(), ..line.clone() });
        }
        if let Some((before, code)) = text.split_once('!') {
            let shell = before.is_empty()
                || matches!(before.trim(), "r" | "w" | "e" | "sil" | "silent" | "exe" | "silent exe" | "%" | ".")
                || before.bytes().all(|b| b.is_ascii_digit() || b",.$% ".contains(&b))
                || before.ends_with("r ")
                || before.ends_with("w ")
                || before.ends_with('\'')
                || before.ends_with('"')
                || before.ends_with("silent ");
            if shell && !code.is_empty() {
                self.run_word(&Word { text: code.trim_end_matches(['"', '\'']).into(), ..line.clone() });
            }
        }
        for call in ["system(", "systemlist(", "os.execute(", "os.system(", "jobstart(", "termopen("] {
            if let Some((_, rest)) = text.split_once(call)
                && let Some(code) = arguments(rest)
            {
                self.run_word(&Word { text: code, ..line.clone() });
            }
        }
        if let Some(path) = text.strip_prefix("w ").or(text.strip_prefix("w! ")).filter(|path| !path.starts_with('!')) {
            self.write(&Word { text: path.trim().into(), ..line.clone() }, &Flow::unseen(0), false);
        }
    }
}

/// What an `awk` or `sed` writes that puts commands before or around what it reads, `s/^/rm -rf /`: as far as it can be
/// seen, behind what cannot.
pub(super) fn written_commands(command: &Command) -> Option<String> {
    let mut operands = command.operands_after("-F -v -f -l");
    let script = match command.value_of("-e --expression") {
        Some(script) => script.text,
        None => operands.next()?.text.clone(),
    };
    let line = if command.name.contains("awk") {
        arguments(script.split_once("print")?.1.trim_start_matches('f'))?
    } else {
        let tail = script.strip_prefix('s')?;
        let (pattern, replacement, _) = substitution(tail)?;
        let rest = if pattern == "^" { UNKNOWN.to_string() } else { String::new() };
        let from_start = matches!(pattern, "^" | ".*" | "^.*" | "^.*$" | ".*$" | "\\(.*\\)" | "^\\(.*\\)$" | "(.*)");
        from_start
            .then(|| replacement.replace('&', &UNKNOWN.to_string()).replace("\\1", &UNKNOWN.to_string()) + &rest)?
    };
    // A command and a word at least.
    let first = line.trim_start();
    (first.starts_with(|c: char| c.is_ascii_lowercase()) && first.contains(' ')).then(|| format!("{UNKNOWN}\n{first}"))
}

/// The values of an option that may come several times.
pub(super) fn option_values(command: &Command, short: &str, long: &str) -> Vec<Word> {
    let args = &command.args;
    let value = |(at, word): (usize, &Word)| match word.text.strip_prefix(long).filter(|_| long.len() > 2) {
        Some(value) => Some(Word { text: value.into(), ..word.clone() }),
        None if at > 0 && args[at - 1].text == short => Some(word.clone()),
        None if at > 0 && args[at - 1].text == long.trim_end_matches('=') && long.len() > 2 => Some(word.clone()),
        None => None,
    };
    args.iter().enumerate().filter_map(value).collect()
}

/// Cuts `1,$`, `/x/` and `!` off the front of a sed command.
fn without_address(line: &str) -> &str {
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || " ,$!;{}~+\t".contains(c));
        let Some(after) = rest.strip_prefix('/') else { return rest };
        let Some(end) = unescaped(after, '/') else { return "" };
        rest = after[end + 1..].trim_start_matches('I');
    }
}

/// The parts of `/old/new/flags`.
fn substitution(tail: &str) -> Option<(&str, &str, &str)> {
    let mark = tail.chars().next()?;
    let after = &tail[mark.len_utf8()..];
    let pattern = unescaped(after, mark)?;
    let second = &after[pattern + mark.len_utf8()..];
    let end = unescaped(second, mark)?;
    Some((&after[..pattern], &second[..end], &second[end + mark.len_utf8()..]))
}

/// The position of `mark` that no backslash stands before.
fn unescaped(text: &str, mark: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let here = c == mark && !escaped;
        escaped = c == '\\' && !escaped;
        here.then_some(at)
    })
}
