//! Which words of a command name programs, and whether those are here: a suggestion that begins with "command not found"
//! is none.
//!
//! Only what surely is such a word counts: a plain word where a command begins, outside quotes, that is no assignment and
//! no pattern; a capital begins a sentence more often than a program. The text may end anywhere, as an answer does while
//! it is written.

use std::{
    cell::{OnceCell, RefCell},
    collections::HashSet,
    ops::Range,
};

use crate::{context::Context, request::Shell};

/// Words after which a command begins again.
const BEFORE_A_COMMAND: [&str; 18] = [
    "if", "then", "else", "elif", "do", "while", "until", "!", "{", "time", "sudo", "nohup", "xargs", "command",
    "exec", "and", "or", "not",
];

/// Options of `find` whose value is a command.
const EXEC: [&str; 4] = ["-exec", "-execdir", "-ok", "-okdir"];

/// What every shell runs itself, and the words of its grammar.
const OF_ALL: &str = "alias bg break builtin case cd command continue do done echo elif else esac eval exec exit \
                      export false fg fi for function hash help history if in jobs kill local popd printf pushd pwd \
                      read return select set shift source test then time times trap true type ulimit umask unalias \
                      unset until wait while";

const OF_BASH: &str = "bind caller compgen complete compopt coproc declare dirs disown enable fc getopts let logout \
                       mapfile readarray readonly shopt suspend typeset";

const OF_ZSH: &str = "autoload bindkey bye chdir coproc declare dirs disable disown echotc echoti emulate enable fc \
                      float foreach functions getln getopts integer let limit log logout noglob nocorrect print \
                      pushln r readonly rehash repeat sched setopt suspend typeset unfunction unhash unlimit unsetopt \
                      vared where whence which zcompile zformat zmodload zmv zparseopts zstyle";

const OF_FISH: &str = "abbr and argparse begin block commandline contains count disown dirh dirs emit end fish_add_path \
                       funced funcsave functions isatty math nextd not or path prevd prompt_pwd psub random realpath \
                       set_color status string switch vared";

/// Programs that install others, with how each is asked.
const INSTALLERS: [(&str, &str); 8] = [
    ("apt", "sudo apt install"),
    ("dnf", "sudo dnf install"),
    ("pacman", "sudo pacman -S"),
    ("zypper", "sudo zypper install"),
    ("apk", "sudo apk add"),
    ("brew", "brew install"),
    ("pkg", "sudo pkg install"),
    ("nix-env", "nix-env -i"),
];

/// What can be run by a bare name where a request comes from.
pub struct Names {
    shell: Shell,
    /// Directories as in `$PATH`; where it is empty nothing is known, and every name may be one.
    path: String,
    /// Words that count as names: what a person wrote may be an alias or a function.
    words: String,
    /// Names that were found in `path`: an answer that grows asks for each of its own at every token.
    found: RefCell<HashSet<String>>,
    /// The files in `path`, once somebody asks how a name may go on.
    listed: OnceCell<Vec<String>>,
}

impl Names {
    /// The programs of `context`, and what a person called by its name in `words`.
    pub fn new(context: &Context, words: &str) -> Self {
        let (path, words) = (context.path.clone(), words.to_owned());
        Self { shell: context.shell, path, words, found: RefCell::default(), listed: OnceCell::new() }
    }

    /// The first word of `text` that surely names a program which is not here.
    pub fn missing(&self, text: &str) -> Option<Range<usize>> {
        if self.path.is_empty() {
            return None;
        }
        command_words(text, self.shell).into_iter().find(|word| !self.has(&text[word.clone()]))
    }

    /// The part of `text`, which grows, in which every program is here: all but a name that may go on.
    ///
    /// # Errors
    /// The first word that names a program which is not here.
    pub fn settled<'t>(&self, text: &'t str) -> Result<&'t str, Range<usize>> {
        if self.path.is_empty() {
            return Ok(text);
        }
        let mut words = command_words(text, self.shell);
        let open = words.pop_if(|word| word.end == text.len());
        match words.into_iter().find(|word| !self.has(&text[word.clone()])) {
            Some(missing) => Err(missing),
            None => Ok(open.map_or(text, |word| &text[..word.start])),
        }
    }

    /// What a person is told where only `name` would do.
    pub fn absent(&self, name: &str) -> String {
        match INSTALLERS.iter().find(|(installer, _)| self.has(installer)) {
            Some((_, ask)) => format!("{name} is not installed here; it may come with {ask} {name}"),
            None => format!("{name} is not installed here"),
        }
    }

    /// Whether every program that `text` names is here, or could be once its last word is whole.
    pub fn admit(&self, text: &str) -> bool {
        command_words(text, self.shell).into_iter().all(|word| {
            let name = &text[word.clone()];
            if word.end < text.len() { self.has(name) } else { self.begins_one(name) }
        })
    }

    /// Whether the shell runs something by this name.
    pub fn has(&self, name: &str) -> bool {
        self.own().any(|own| own == name)
            || self.said().any(|said| said == name)
            || self.found.borrow().contains(name)
            || which::which_in(name, Some(&self.path), "/")
                .is_ok_and(|_| self.found.borrow_mut().insert(name.to_owned()))
    }

    fn begins_one(&self, start: &str) -> bool {
        let listed = self.listed.get_or_init(|| {
            let mut names: Vec<String> = std::env::split_paths(&self.path)
                .filter_map(|directory| std::fs::read_dir(directory).ok())
                .flat_map(|entries| entries.flatten())
                .filter_map(|entry| entry.file_name().into_string().ok())
                .collect();
            names.sort_unstable();
            names
        });
        let at = listed.partition_point(|name| name.as_str() < start);
        listed.get(at).is_some_and(|name| name.starts_with(start))
            || self.own().any(|name| name.starts_with(start))
            || self.said().any(|name| name.starts_with(start))
    }

    fn own(&self) -> impl Iterator<Item = &'static str> {
        let more = match self.shell {
            Shell::Bash => OF_BASH,
            Shell::Zsh => OF_ZSH,
            Shell::Fish => OF_FISH,
        };
        OF_ALL.split_whitespace().chain(more.split_whitespace())
    }

    fn said(&self) -> impl Iterator<Item = &str> {
        // The first one is a verb, or else the command that is asked for in vain.
        self.words.split(|c: char| !is_plain(c)).filter(|word| !word.is_empty()).skip(1)
    }
}

/// Characters of which names of programs are made.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+')
}

/// What the text is inside of, from the outside in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// Parentheses that hold commands.
    Commands,
    Backticks,
    /// Parentheses or braces that hold something else, until this character.
    Other(char),
    Quotes,
}

/// The words of `text` that surely name commands, a last one perhaps only begun.
fn command_words(text: &str, shell: Shell) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    // A name that the text itself defines, lists of patterns and here-documents are not told apart here.
    if ["()", "function ", "case ", "switch ", "<<"].iter().any(|sign| text.contains(sign)) {
        return found;
    }
    let mut inside: Vec<Inside> = Vec::new();
    let (mut expected, mut at) = (true, 0);
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let step = c.len_utf8();
        let top = inside.last().copied();
        if top == Some(Inside::Quotes)
            && !(rest.starts_with("$(") || rest.starts_with("${") || matches!(c, '"' | '\\' | '`'))
        {
            at += step;
            continue;
        }
        match c {
            '\\' => {
                at += step + rest[step..].chars().next().map_or(0, char::len_utf8);
                expected = false;
                continue;
            }
            '\'' => {
                at += step + rest[step..].find('\'').map_or(rest.len() - step, |end| end + 1);
                expected = false;
                continue;
            }
            '"' if top == Some(Inside::Quotes) => _ = inside.pop(),
            '"' => {
                inside.push(Inside::Quotes);
                expected = false;
            }
            '`' if top == Some(Inside::Backticks) => {
                inside.pop();
                expected = false;
            }
            '`' => {
                inside.push(Inside::Backticks);
                expected = true;
            }
            '$' if rest.starts_with("$((") => {
                at += 3 + rest[3..].find("))").map_or(rest.len() - 3, |end| end + 2);
                expected = false;
                continue;
            }
            '$' if rest.starts_with("${") => {
                inside.push(Inside::Other('}'));
                at += 2;
                expected = false;
                continue;
            }
            '$' | '<' | '>' if rest[1..].starts_with('(') => {
                inside.push(Inside::Commands);
                at += 2;
                expected = true;
                continue;
            }
            '(' if rest.starts_with("((") || !(expected || shell == Shell::Fish) => {
                inside.push(Inside::Other(')'));
                expected = false;
            }
            '(' => {
                inside.push(Inside::Commands);
                expected = true;
            }
            ')' | '}' if matches!(top, Some(Inside::Other(end)) if end == c) => _ = inside.pop(),
            ')' if top == Some(Inside::Commands) => {
                inside.pop();
                expected = false;
            }
            '|' | ';' | '\n' if !matches!(top, Some(Inside::Other(_))) => expected = true,
            // Not `2>&1`, and not `&>`.
            '&' if !text[..at].ends_with('>') && !rest.starts_with("&>") => expected = true,
            '#' if text[..at].ends_with(|c: char| c.is_whitespace()) || at == 0 => break,
            c if c.is_whitespace() => {}
            _ if matches!(top, Some(Inside::Other(_))) => {}
            c if is_plain(c) || (expected && matches!(c, '!' | '{')) => {
                let length = rest.find(|c: char| !is_plain(c)).unwrap_or(rest.len()).max(step);
                let word = &rest[..length];
                let next = rest[length..].chars().next();
                if expected && next == Some('=') {
                    at = value_end(text, at + length + 1, &mut inside);
                    continue;
                }
                let ends =
                    next.is_none_or(|c| c.is_whitespace() || matches!(c, '|' | ';' | '&' | ')' | '`' | '<' | '>'));
                let is_name =
                    expected && ends && word.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
                if is_name {
                    found.push(at..at + length);
                }
                expected = (expected && BEFORE_A_COMMAND.contains(&word)) || EXEC.contains(&word);
                // Before `xargs -n 1 rm` or `sudo -u ann ls` stands what only the program itself tells apart.
                at += length;
                continue;
            }
            _ => expected = false,
        }
        at += step;
    }
    found
}

/// Where the value of an assignment ends that begins at `at`; a substitution in it is gone into.
fn value_end(text: &str, mut at: usize, inside: &mut Vec<Inside>) -> usize {
    if text[at..].starts_with('(') {
        inside.push(Inside::Other(')'));
        return at + 1;
    }
    while let Some(c) = text[at..].chars().next() {
        match c {
            '\'' | '"' => at += 1 + text[at + 1..].find(c).map_or(text.len() - at - 1, |end| end + 1),
            '$' if text[at..].starts_with("$(") && !text[at..].starts_with("$((") => {
                inside.push(Inside::Commands);
                return at + 2;
            }
            c if c.is_whitespace() || matches!(c, ';' | '|' | '&' | ')') => return at,
            c => at += c.len_utf8(),
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        command_words(text, Shell::Bash).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn words_that_surely_name_commands_are_found() {
        for (text, names) in [
            ("ls -l", "ls"),
            ("find . -name '*.c | rm' | xargs wc -l", "find xargs wc"),
            ("cat a | sort | uniq -c > out; echo \"$(date +%F) | no\" && rm x", "cat sort uniq echo date rm"),
            ("A=1 B='x y' make; n=$(wc -l < a) && echo $n", "make wc echo"),
            ("find . -exec grep -l x {} + -ok rm {} \\;", "find grep rm"),
            ("for f in *.txt; do mv \"$f\" \"${f%.txt}.md\"; done", "for do mv done"),
            ("if [ -f a ]; then cat a; fi", "if then cat fi"),
            ("sudo apt install x", "sudo apt"),
            ("sudo -u ann ls", "sudo"),
            ("diff <(sort a) <(sort b)", "diff sort sort"),
            ("echo $((1 + 2)) 2>&1 | cat", "echo cat"),
            ("./run.sh; ~/bin/x; \"$X\" a; $EDITOR b; py\\thon", ""),
            ("awk '{print $1}' a # then rm", "awk"),
            ("f() { ls; }; f", ""),
            ("case $1 in a) ls;; esac", ""),
            ("while read -r l; do echo \"$l\"; done < a", "while read do echo done"),
            ("a=(x y); echo ${a[@]}", "echo"),
            ("! grep -q x a", "grep"),
            ("ls *(.)", "ls"),
            ("(cd src && ls)", "cd ls"),
            ("ht", "ht"),
            ("echo x | ", "echo"),
            ("echo \"`date` x\"", "echo date"),
        ] {
            assert_eq!(words(text).join(" "), names, "{text}");
        }
    }

    #[test]
    fn any_text_is_taken_and_cut_between_characters() {
        const PIECES: [&str; 16] =
            ["$(", "((", "))", "é", "'", "\"", "`", "${", "}", "=", "a", " ", "|", "#", "\\", "<("];
        let mut texts = vec![String::new()];
        for _ in 0..4 {
            texts = texts.iter().flat_map(|text| PIECES.map(|piece| format!("{text}{piece}"))).collect();
            for text in &texts {
                for shell in [Shell::Bash, Shell::Fish] {
                    assert!(command_words(text, shell).into_iter().all(|word| text.get(word).is_some()), "{text}");
                }
            }
        }
    }

    #[test]
    fn only_what_is_here_is_admitted() {
        let directory = std::env::temp_dir().join(format!("cmdai-names-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        for name in ["ls", "wall"] {
            let file = directory.join(name);
            std::fs::write(&file, "").unwrap();
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        let here = |path: &str| Context { path: path.to_owned(), ..Context::of(Shell::Bash) };
        let names = Names::new(&here(directory.to_str().unwrap()), "run deploy-all now");
        assert_eq!(names.settled("echo x | mail -s a all"), Err(9..13));
        assert_eq!(names.settled("echo x | mail"), Ok("echo x | "), "it may go on");
        assert_eq!(names.missing("echo x | mail"), Some(9..13));
        assert_eq!(names.missing("ls | wall; deploy-all"), None);
        assert!(names.admit("echo x | wa") && names.admit("echo x |") && names.admit("deploy"));
        assert!(!names.admit("echo x | mai") && !names.admit("walls x"));
        assert_eq!((names.settled("echo x | wal"), names.settled("echo x ")), (Ok("echo x | "), Ok("echo x ")));
        assert_eq!(names.absent("mail"), "mail is not installed here");
        assert_eq!(Names::new(&here(""), "x").missing("mail"), None);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
