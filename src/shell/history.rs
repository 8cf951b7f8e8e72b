//! Keeps history expansion away from a suggestion: in bash and zsh `echo "done!$x"` would otherwise run with text from
//! an old command in it, which nobody has read.
//!
//! The text is scanned once with a stack of quoting scopes. A `!` that the shell would act on is quoted so that the
//! meaning stays; where no quoting does that (here-documents, `"${x:-!y}"`) the suggestion is refused. The rules are
//! those that bash 5.2 and zsh 5.9 were seen to follow; `tests/it/history.rs` asks the shells again.

use crate::error::{Error, Result};
use crate::request::Shell;

/// `command` so that the shell runs what the line shows, whatever its history holds.
pub fn protect_history(command: &str, shell: Shell) -> Result<String> {
    if shell == Shell::Fish || !command.contains(['!', '^']) {
        return Ok(command.to_owned());
    }
    if command.starts_with('^') {
        return Err(refused());
    }
    let here_document = command.replace("<<<", "").contains("<<");
    let mut scan = Scan { shell, text: command.chars().collect(), at: 0, scopes: Vec::new(), out: String::new() };
    while scan.at < scan.text.len() {
        scan.step()?;
    }
    if here_document && scan.out != command {
        return Err(refused());
    }
    Ok(scan.out)
}

fn refused() -> Error {
    Error::NoCommand(
        "history expansion would change the command; set +H (bash) or nobanghist (zsh) turns it off".into(),
    )
}

/// What encloses the place of the scan. Outside of all of them the text is plain code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// `$( )`, `( )`, `<( )`
    Parentheses,
    /// `$(( ))`, `(( ))`
    Arithmetic,
    Backticks,
    /// `${ }` in code
    Braces,
    /// `${ }` in double quotes
    QuotedBraces,
    Double,
    Single,
    /// `$' '`
    Ansi,
}

struct Scan {
    shell: Shell,
    text: Vec<char>,
    at: usize,
    scopes: Vec<Scope>,
    out: String,
}

impl Scan {
    fn step(&mut self) -> Result<()> {
        let scope = self.scopes.last().copied();
        match (scope, self.text[self.at]) {
            (Some(Scope::Single), c) => self.keep(1, (c == '\'').then_some(Change::Close)),
            (Some(Scope::Ansi), '\\') => self.keep(2, None),
            (Some(Scope::Ansi), c) => self.keep(1, (c == '\'').then_some(Change::Close)),
            (_, '!') if self.acts() => return self.quote(scope),
            // A backslash before `!` stays with it: it is looked at from there.
            (_, '\\') if self.peek(1) != Some('!') => self.keep(2, None),
            (Some(Scope::Double), '"') | (Some(Scope::Backticks), '`') => self.keep(1, Some(Change::Close)),
            (Some(Scope::Braces | Scope::QuotedBraces), '}') => self.keep(1, Some(Change::Close)),
            (Some(Scope::Parentheses), ')') => self.keep(1, Some(Change::Close)),
            (Some(Scope::Arithmetic), ')') if self.peek(1) == Some(')') => self.keep(2, Some(Change::Close)),
            (_, '`') => self.keep(1, Some(Change::Open(Scope::Backticks))),
            (_, '$') => self.dollar(scope),
            (Some(Scope::Double | Scope::QuotedBraces), '\'') => self.keep(1, None),
            (Some(Scope::Double), _) => self.keep(1, None),
            (_, '"') => self.keep(1, Some(Change::Open(Scope::Double))),
            (_, '\'') => self.keep(1, Some(Change::Open(Scope::Single))),
            (_, '(') if self.peek(1) == Some('(') => self.keep(2, Some(Change::Open(Scope::Arithmetic))),
            (_, '(') => self.keep(1, Some(Change::Open(Scope::Parentheses))),
            _ => self.keep(1, None),
        }
        Ok(())
    }

    fn dollar(&mut self, scope: Option<Scope>) {
        let quoted = matches!(scope, Some(Scope::Double | Scope::QuotedBraces));
        match (self.peek(1), self.peek(2)) {
            (Some('('), Some('(')) => self.keep(3, Some(Change::Open(Scope::Arithmetic))),
            (Some('('), _) => self.keep(2, Some(Change::Open(Scope::Parentheses))),
            (Some('{'), _) if quoted => self.keep(2, Some(Change::Open(Scope::QuotedBraces))),
            (Some('{'), _) => self.keep(2, Some(Change::Open(Scope::Braces))),
            (Some('\''), _) if !quoted => self.keep(2, Some(Change::Open(Scope::Ansi))),
            _ => self.keep(1, None),
        }
    }

    /// Copies `count` characters and enters or leaves a scope.
    fn keep(&mut self, count: usize, change: Option<Change>) {
        let end = (self.at + count).min(self.text.len());
        self.out.extend(&self.text[self.at..end]);
        self.at = end;
        match change {
            Some(Change::Open(scope)) => self.scopes.push(scope),
            Some(Change::Close) => drop(self.scopes.pop()),
            None => {}
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.text.get(self.at + ahead).copied()
    }

    fn before(&self, back: usize) -> Option<char> {
        self.at.checked_sub(back).map(|at| self.text[at])
    }

    fn backslashes(&self) -> usize {
        self.text[..self.at].iter().rev().take_while(|&&c| c == '\\').count()
    }

    /// Would the shell take the `!` here for history?
    fn acts(&self) -> bool {
        let Some(next) = self.peek(1) else { return false };
        if matches!(next, ' ' | '\t' | '\n' | '\r' | '=') {
            return false;
        }
        match self.shell {
            Shell::Bash => self.acts_in_bash(next),
            Shell::Zsh if next == '(' => false,
            // A backslash before it is eaten: harmless outside double quotes, and inside after another one.
            Shell::Zsh => match self.backslashes() {
                0 => true,
                count if self.in_double() => count % 2 == 1,
                count => count % 2 == 0,
            },
            Shell::Fish => false,
        }
    }

    fn acts_in_bash(&self, next: char) -> bool {
        let closed_later = |bracket| self.text[self.at..].contains(&bracket);
        match (self.before(2), self.before(1)) {
            (_, Some('\\' | '$')) => false,
            (_, Some('[')) if closed_later(']') => false,
            (Some('$'), Some('{')) if closed_later('}') => false,
            _ if next == '"' && self.in_double() => false,
            _ => next != '(' || self.starts_command(),
        }
    }

    fn in_double(&self) -> bool {
        self.scopes.last() == Some(&Scope::Double)
    }

    /// `!(` is a negated subshell at the start of a command, and a pattern elsewhere.
    fn starts_command(&self) -> bool {
        let before = self.text[..self.at].iter().rev().find(|c| !matches!(c, ' ' | '\t'));
        matches!(before, None | Some(';' | '|' | '&' | '(' | '{' | '\n'))
    }

    /// Writes the `!` so that it stays one.
    fn quote(&mut self, scope: Option<Scope>) -> Result<()> {
        let zsh_parameter = self.shell == Shell::Zsh && self.before(1) == Some('$') && self.before(2) != Some('\\');
        match scope {
            Some(Scope::QuotedBraces) => return Err(refused()),
            Some(Scope::Braces) if self.before(1) == Some('{') => return Err(refused()),
            Some(Scope::Arithmetic) => self.out.push_str("! "),
            Some(Scope::Double) if zsh_parameter => {
                self.out.pop();
                self.out.push_str("\"$!''\"");
            }
            Some(Scope::Double) => {
                let escape = if self.backslashes() % 2 == 1 { "\\" } else { "" };
                self.out.push_str(&format!("{escape}\"'!'\""));
            }
            _ if zsh_parameter => self.out.push_str("!''"),
            _ if self.before(1) == Some('[') => self.out.push('^'),
            _ if self.peek(1) == Some('(') => self.out.push_str("! "),
            _ if self.before(1) == Some('\\') => self.out.push_str("'!'"),
            _ => self.out.push_str("\\!"),
        }
        self.at += 1;
        Ok(())
    }
}

enum Change {
    Open(Scope),
    Close,
}
