//! Takes what is plainly a secret out of text before it leaves this machine.
//!
//! A net with holes: it knows private keys, the tokens of well-known services, passwords in URLs, and values whose name
//! says that they are secret. A password in a sentence looks like any word and is not seen. The stand-in is left where
//! the secret was, so that it comes back as a part of the command that a person sees and fills in.

use std::ops::Range;

const STAND_IN: &str = "REDACTED";

/// How tokens of well-known services begin. At least [`LEAST`] further characters, a digit among them, make it one.
const BEGINNINGS: [&str; 36] = [
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "sk-",
    "sk_live_",
    "sk_test_",
    "rk_live_",
    "whsec_",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xoxr-",
    "xoxs-",
    "xapp-",
    "AKIA",
    "ASIA",
    "AIza",
    "ya29.",
    "hf_",
    "gsk_",
    "xai-",
    "nvapi-",
    "npm_",
    "pypi-AgE",
    "dop_v1_",
    "dckr_pat_",
    "SG.",
    "shpat_",
    "lin_api_",
    "tskey-",
    "AGE-SECRET-KEY-",
    "eyJ",
];
const LEAST: usize = 16;

/// How names of secrets end: `GITHUB_TOKEN`, `--password`, `X-Api-Key`. So `max_tokens` and `PASSWORD_FILE` are none.
const NAMES: [&str; 15] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "mysql_pwd",
    "secret",
    "secret_key",
    "token",
    "api_key",
    "apikey",
    "access_key",
    "private_key",
    "account_key",
    "credential",
    "authorization",
];

/// `text` with a stand-in for each secret that is recognised.
pub(super) fn redacted(text: &str) -> String {
    let text = without_private_keys(text);
    let mut clean = String::with_capacity(text.len());
    let mut previous = "";
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        let mut at = 0;
        for Range { start, end } in secrets(word, previous) {
            if start >= at {
                clean.push_str(&word[at..start]);
                clean.push_str(STAND_IN);
            }
            at = at.max(end);
        }
        clean.push_str(&piece[at..]);
        previous = if word.is_empty() { previous } else { word };
    }
    clean
}

fn without_private_keys(text: &str) -> String {
    let Some(start) = text.find("-----BEGIN ") else { return text.to_owned() };
    let end = text[start..].find("-----END ").map_or(text.len(), |at| start + at + "-----END ".len());
    let end = text[end..].find("-----").map_or(text.len(), |at| end + at + "-----".len());
    format!("{}{STAND_IN}{}", &text[..start], without_private_keys(&text[end..]))
}

/// Where the secrets of `word` lie, by their beginnings; they may overlap.
fn secrets(word: &str, previous: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = introduced(word, previous).into_iter().chain(in_url(word)).collect();
    found.extend(word.match_indices(['=', ':']).filter_map(|(at, _)| named(word, at)));
    found.extend(
        BEGINNINGS.iter().flat_map(|start| word.match_indices(start)).filter_map(|(at, start)| token(word, at, start)),
    );
    found.sort_by_key(|span| span.start);
    found
}

/// A value behind its name in another word: `--password x`, `X-Api-Key: x`, `Bearer x`, `-u name:x`.
fn introduced(word: &str, previous: &str) -> Option<Range<usize>> {
    let name = previous.trim_start_matches(['"', '\'']);
    if is_scheme(word) || word.starts_with('-') {
        return None;
    }
    if matches!(name, "-u" | "--user") {
        return value(word, word.find(':')? + 1);
    }
    let announced =
        (name.starts_with("--") || name.ends_with([':', '='])) && is_secret(name.trim_end_matches([':', '=']));
    let random = || word.len() >= 8 && word.contains(|c: char| c.is_ascii_digit() || c.is_ascii_uppercase());
    if announced || (is_scheme(name) && random()) { value(word, 0) } else { None }
}

fn is_scheme(word: &str) -> bool {
    ["bearer", "basic"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

/// A value in the word of its name, which ends `at` a sign: `API_KEY=x`, `?token=x&`, `"password":"x"`.
fn named(word: &str, at: usize) -> Option<Range<usize>> {
    if is_secret(word[..at].trim_end_matches(['"', '\''])) { value(word, at + 1) } else { None }
}

/// Whether the name at the end of `text` is one of a secret.
fn is_secret(text: &str) -> bool {
    let name = text.rsplit(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))).next().unwrap_or_default();
    let name = name.to_ascii_lowercase().replace('-', "_");
    NAMES.iter().any(|secret| name.ends_with(secret))
}

/// The value that begins at `from`, without its quotes. A variable in its place gives nothing away.
fn value(word: &str, from: usize) -> Option<Range<usize>> {
    let rest = &word[from..];
    let bare = rest.trim_start_matches(['"', '\'']);
    let start = from + rest.len() - bare.len();
    let length = bare.find(['"', '\'', '&', ';', ',']).unwrap_or(bare.len());
    if length == 0 || bare.starts_with(['$', '/']) { None } else { Some(start..start + length) }
}

/// The password of `scheme://user:password@host`.
fn in_url(word: &str) -> Option<Range<usize>> {
    let start = word.find("://")? + 3;
    let end = word[start..].find(['/', '?', '#']).map_or(word.len(), |at| start + at);
    let at = start + word[start..end].rfind('@')?;
    let colon = start + word[start..at].find(':')?;
    (colon + 1 < at && !word[colon + 1..].starts_with('$')).then_some(colon + 1..at)
}

/// A token of a service, that begins `at` with `beginning`.
fn token(word: &str, at: usize, beginning: &str) -> Option<Range<usize>> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let rest = &word[at + beginning.len()..];
    let body = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
    let inside = word[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
    let found = !inside && body.len() >= LEAST && body.contains(|c: char| c.is_ascii_digit());
    found.then(|| at..at + beginning.len() + body.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_every_known_shape_are_taken_out_and_nothing_beside_them() {
        for (text, wanted) in [
            ("use ghp_0123456789abcdefghij to clone", "use REDACTED to clone"),
            ("'sk-proj-Ab3dEf6hIj9kLm2n'", "'REDACTED'"),
            ("aws key AKIAIOSFODNN7EXAMPLE9", "aws key REDACTED"),
            ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.s3cr3t", "jwt REDACTED"),
            ("Bearer abcDEF123456, quickly", "Bearer REDACTED, quickly"),
            ("curl -H 'Authorization: Bearer abc123def456' x", "curl -H 'Authorization: Bearer REDACTED' x"),
            ("curl -H \"X-Api-Key: hunter2\" x", "curl -H \"X-Api-Key: REDACTED\" x"),
            ("Authorization: hunter2", "Authorization: REDACTED"),
            ("curl -u me:hunter2 https://x", "curl -u me:REDACTED https://x"),
            ("clone https://me:hunter2@host/x.git", "clone https://me:REDACTED@host/x.git"),
            ("postgres://app:p@ss@db:5432/x", "postgres://app:REDACTED@db:5432/x"),
            ("PGPASSWORD=hunter2 psql", "PGPASSWORD=REDACTED psql"),
            ("export AWS_SECRET_ACCESS_KEY='a/b+c'", "export AWS_SECRET_ACCESS_KEY='REDACTED'"),
            ("GET https://x/?api_key=hunter2&y=1", "GET https://x/?api_key=REDACTED&y=1"),
            ("{\"password\":\"hunter2\",\"y\":1}", "{\"password\":\"REDACTED\",\"y\":1}"),
            ("--password hunter2 --port 1", "--password REDACTED --port 1"),
            ("--client-secret=hunter2", "--client-secret=REDACTED"),
            ("log in, password: hunter2", "log in, password: REDACTED"),
            ("token=ghp_0123456789abcdefghij", "token=REDACTED"),
            ("a -----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- b", "a REDACTED b"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl", "REDACTED"),
            ("TOKEN=é hunter", "TOKEN=REDACTED hunter"),
        ] {
            assert_eq!(redacted(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn ordinary_requests_stay_as_they_are() {
        for text in [
            "find files larger than 10 MB\n(bash, Linux)",
            "count the tokens: all of them",
            "replace password with passphrase in config.ini",
            "set max_tokens=100 in run.py",
            "PASSWORD_FILE=/run/secrets/db psql",
            "echo TOKEN=$GITHUB_TOKEN and --token \"$TOKEN\"",
            "curl -H 'Authorization: Bearer $TOKEN' https://example.com",
            "curl https://$USER:$PASSWORD@example.com",
            "install sk-learn-contrib-project",
            "show commit 3f2a9c1d8e7b6a5f4c3d2e1f0a9b8c7d6e5f4a3b",
            "ssh user@host:22 and scp a:b c",
            "git clone git@github.com:me/x.git",
            "basic example of awk, bearer of news",
            "rename ghp_notes.txt, ask-1234567890123456789",
            "--password",
            "token:",
            "é=ü:ß ://@ =:= \"' ''",
            "",
        ] {
            assert_eq!(redacted(text), text);
        }
    }
}
