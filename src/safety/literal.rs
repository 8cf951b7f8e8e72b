//! Reads the arguments of a call in another language: the literals joined, what cannot be seen as an unknown.

use super::word::{UNKNOWN, unescape};

/// How programs spell the home directory; longer spellings first.
const HOMES: &[&str] = &[
    "os.path.expanduser('~')",
    "os.path.expanduser(\"~\")",
    "#{ENV['HOME']}",
    "#{ENV[\"HOME\"]}",
    "#{Dir.home}",
    "${process.env.HOME}",
    "${os.homedir()}",
    "process.env['HOME']",
    "process.env.HOME",
    "require('os').homedir()",
    "require(\"os\").homedir()",
    "os.homedir()",
    "pathlib.Path.home()",
    "Path.home()",
    "Dir.home",
    "ENV['HOME']",
    "ENV[\"HOME\"]",
    "os.environ['HOME']",
    "os.environ[\"HOME\"]",
    "os.environ.get('HOME')",
    "os.environ.get(\"HOME\")",
    "os.getenv('HOME')",
    "os.getenv(\"HOME\")",
    "Deno.env.get('HOME')",
    "Deno.env.get(\"HOME\")",
    "ENVIRON[\"HOME\"]",
    "getenv('HOME')",
    "getenv(\"HOME\")",
    "$_SERVER['HOME']",
    "$ENV{'HOME'}",
    "$ENV{HOME}",
    "$env(HOME)",
    "$env:USERPROFILE",
    "$env:HOME",
    "homedir()",
];

/// Names that are no part of a command's text.
const NOT_TEXT: &[&str] = &["True", "False", "true", "false", "None", "null", "nil", "t", "new", "f", "b", "r"];

/// Settings of a call whose value is no part of the command.
const SETTINGS: &[&str] = &["cwd", "env", "stdio", "encoding", "input", "timeout", "maxBuffer", "uid", "gid"];

/// `code` with every spelling of the home directory as a bare `~`.
pub(super) fn homes_as_tilde(code: &str) -> String {
    let mut text = code.to_owned();
    if ["HOME", "home", "expanduser", "USERPROFILE"].iter().any(|part| text.contains(part)) {
        HOMES.iter().for_each(|home| text = text.replace(home, "~"));
    }
    text
}

/// `code` with what stands in quotes blanked, byte for byte. `quotes` are those of the language.
pub(super) fn without_strings(code: &str, quotes: &[u8]) -> String {
    let mut out = code.as_bytes().to_vec();
    let mut at = 0;
    while at < out.len() {
        if quotes.contains(&out[at])
            && let Some(end) = string_end(code.as_bytes(), at)
        {
            out[at + 1..end].fill(b' ');
            at = end;
        }
        at += 1;
    }
    String::from_utf8(out).unwrap_or_default()
}

/// The position of the quote that ends the string at `at`; `None` if it is not closed, and so no string.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut here = at + 1;
    while here < bytes.len() && bytes[here] != bytes[at] {
        here += if bytes[here] == b'\\' { 2 } else { 1 };
    }
    (here < bytes.len()).then_some(here)
}

/// The arguments that `rest` begins with as one line of shell, up to the bracket or semicolon that ends them; `None`
/// where there are none. A comma is a blank, or a slash between the parts of a joined path.
pub(super) fn arguments(rest: &str) -> Option<String> {
    let bytes = rest.as_bytes();
    let (mut out, mut at, mut open, mut path) = (String::new(), 0, Vec::new(), None);
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'' | b'`') => {
                let Some(end) = string_end(bytes, at) else { break };
                let body = &rest[at + 1..end];
                let filled = at > 0 && bytes[at - 1] == b'f' || quote == b'`' || body.contains("#{");
                out.push_str(&unescape(&if filled { unfilled(body) } else { body.to_owned() }));
                at = end;
            }
            b'(' | b'[' | b'{' => open.push(at),
            b')' | b']' | b'}' => {
                if open.pop().is_none() {
                    break;
                }
                path = path.filter(|depth| *depth <= open.len());
            }
            b';' | b'\n' if open.is_empty() => break,
            b',' => out.push(if path.is_some() && !out.ends_with('/') { '/' } else { ' ' }),
            b'~' => out.push('~'),
            b'/' if out.ends_with('~') => out.push('/'),
            b if b.is_ascii_alphabetic() || matches!(b, b'_' | b'$' | b'@' | b':') => {
                let len = rest[at..].find(|c: char| !c.is_ascii_alphanumeric() && !"_$@.:-".contains(c));
                let name = &rest[at..len.map_or(rest.len(), |len| at + len)];
                let after = rest[at + name.len()..].trim_start();
                let setting = name.trim_end_matches(':');
                if SETTINGS.contains(&setting) || after.starts_with('=') && !after.starts_with("==") {
                    at += name.len() + setting_length(&rest[at + name.len()..]);
                    continue;
                }
                if name.ends_with("join") {
                    path = Some(open.len() + 1);
                }
                let called = after.starts_with('(') || name.ends_with(':') || name.starts_with(['.', ':']);
                let quoted = after.starts_with(['"', '\'']) && name.len() <= 2;
                if !called && !quoted && !NOT_TEXT.contains(&name) {
                    out.push(UNKNOWN);
                }
                at += name.len() - 1;
            }
            _ => {}
        }
        at += 1;
    }
    let text = out.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The length of a setting's value: up to the comma or bracket that ends it.
fn setting_length(rest: &str) -> usize {
    let mut open = 0;
    for (at, c) in rest.char_indices() {
        match c {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' if open == 0 => return at,
            ')' | ']' | '}' => open -= 1,
            ',' if open == 0 => return at,
            _ => {}
        }
    }
    rest.len()
}

/// A string with `{x}`, `${x}` or `#{x}` as unknown parts.
fn unfilled(body: &str) -> String {
    let (mut out, mut rest) = (String::new(), body);
    while let Some(start) = rest.find('{') {
        let end = rest[start..].find('}').map_or(rest.len(), |end| start + end + 1);
        out.push_str(rest[..start].trim_end_matches(['$', '#']));
        out.push(UNKNOWN);
        rest = &rest[end..];
    }
    out + rest
}
