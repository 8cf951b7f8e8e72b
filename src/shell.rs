//! The scripts that `cmdai init` prints, and what shell quoting demands of text that goes into a shell.
//!
//! A script is embedded as it stands in `shell/`; two things happen to it here. The binary's absolute path is quoted
//! for that shell, so that the widget needs no PATH, and so are the server's socket and greeting. And the text stands
//! quoted behind a guard: a shell that is not interactive, or too old, need not parse what it will not use, and the
//! person's aliases are off before the first function is read.

mod history;

use std::path::Path;

use crate::error::{Error, Result};
use crate::request::Shell;

pub use history::protect_history;

/// The first frame of every connection to the server: who speaks, and how.
pub const HELLO: &str = concat!(r#"{"cmdai":""#, env!("CARGO_PKG_VERSION"), r#"","protocol":5}"#);

const ZSH: &str = include_str!("../shell/cmdai.zsh");
const BASH: &str = include_str!("../shell/cmdai.bash");
const FISH: &str = include_str!("../shell/cmdai.fish");

/// The integration script for `shell`, with `binary` in it as the program to ask. While a task is typed it tells the
/// server at `socket` about it; without one, nobody.
pub fn init_script(shell: Shell, binary: &Path, socket: Option<&Path>) -> Result<String> {
    let Some(path) = binary.to_str() else {
        return Err(Error::new(format!("path of the program is not UTF-8: {}", binary.display()))
            .hint("move cmdai to a folder with a plain name"));
    };
    let fill = |script| {
        let marks = [
            ("'@CMDAI_BIN@'", path),
            ("'@CMDAI_SOCKET@'", socket.and_then(Path::to_str).unwrap_or_default()),
            ("'@CMDAI_HELLO@'", &format!("{}\n{HELLO}", HELLO.len())),
        ];
        marks.iter().fold(code(script), |script, (mark, text)| script.replace(mark, &quote(text, shell)))
    };
    Ok(match shell {
        Shell::Zsh => guard_zsh(&fill(ZSH)),
        Shell::Bash => guard_bash(&fill(BASH)),
        Shell::Fish => guard_fish(&fill(FISH)),
    })
}

/// `script` without its comment lines, a third of it, which every new shell would read twice. The scripts hold no text
/// of several lines in which a line could begin with `#`.
fn code(script: &str) -> String {
    let lines = script.lines().filter(|line| !line.is_empty() && !line.trim_start().starts_with('#'));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// zsh takes more time for a byte the longer the text is that it parses at once: in pieces the script takes 1.0 ms, as a
/// whole 1.9 to 2.5.
fn guard_zsh(script: &str) -> String {
    let old = "${ZSH_VERSION%%.*} * 100 + ${${ZSH_VERSION#*.}%%[^0-9]*} < 508";
    let mut text = format!(
        "# cmdai: shell integration. The script is quoted so that it is parsed under zsh's own options, not yours.\n\
         if [[ ! -o interactive || ! -o zle ]]; then :; elif (( {old} )); then\n\
         'builtin' 'print' -u2 -r -- \
         \"cmdai: zsh $ZSH_VERSION has no Ctrl-G (5.8 or newer is needed); type: cmdai list large files\"\nelse\n"
    );
    for piece in pieces(script) {
        let piece = quote(piece, Shell::Zsh);
        text += &format!("'builtin' 'emulate' 'zsh' '-o' 'no_aliases' '-o' 'no_err_exit' '-c' {piece}\n");
    }
    text + "fi\n"
}

/// `script` in pieces of some 2,000 bytes, each of which begins with a function but for the first.
fn pieces(script: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut from = 0;
    for (at, _) in script.match_indices("\nfunction ") {
        if at - from > 2000 {
            pieces.push(&script[from..at]);
            from = at;
        }
    }
    pieces.push(&script[from..]);
    pieces
}

/// A here-document or process substitution is a syntax error in posix mode before 5.1, hence its own floor. The script
/// is itself a here-document: bash takes 0.9 ms to expand it as one quoted word.
fn guard_bash(script: &str) -> String {
    let mut end = "__cmdai_end".to_owned();
    while script.contains(&end) {
        end.push('_'); // a path may hold any line
    }
    format!(
        "# cmdai: shell integration. In a here-document, an old bash need not parse the script.\n\
         if [[ $- == *i* ]]; then if [[ ! -o emacs && ! -o vi ]]; then :; elif\n\
         [[ $((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1])) -lt 404 || \
         ( -o posix && $((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1])) -lt 501 ) ]]; then\n\
         \\builtin printf 'cmdai: bash %s has no Ctrl-G (4.4 or newer is needed); type: cmdai list large files\\n' \
         \"$BASH_VERSION\" >&2\nelse\n\\builtin source /dev/fd/9 9<<'{end}'\n{script}{end}\nfi; fi\n"
    )
}

/// The words are such as fish 2 knows: it would report an error of syntax in the script, not its age.
fn guard_fish(script: &str) -> String {
    let script = quote(script, Shell::Fish);
    format!(
        "# cmdai: shell integration. The script is quoted so that an old fish need not parse it.\n\
         if status --is-interactive\nswitch \"$version\"\n\
         case '1.*' '2.*' '3.0*' '3.1*' '3.2*' '3.3*' '3.4*' '3.5*'\n\
         echo \"cmdai: fish $version has no Ctrl-G (3.6 or newer is needed); type: cmdai list large files\" >&2\n\
         case '*'\neval {script}\nend\nend\n"
    )
}

/// `text` as one word of `shell`.
fn quote(text: &str, shell: Shell) -> String {
    match shell {
        Shell::Zsh | Shell::Bash => shell_words::quote(text).into_owned(),
        Shell::Fish => format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'")),
    }
}
