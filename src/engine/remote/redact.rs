//! Takes what is plainly a secret out of text before it leaves this machine.
//!
//! A net with holes: it knows private keys, the tokens of well-known services, passwords in URLs, and values whose name
//! says that they are secret. A password in a sentence looks like any word and is not seen. The stand-in is left where
//! the secret was, so that it comes back as a part of the command that a person sees and fills in.

use std::ops::Range;

const STAND_IN: &str = "REDACTED";

/// How tokens of well-known services begin. At least [`LEAST`] further characters, a digit among them, make it one.
#[rustfmt::skip]
const BEGINNINGS: [&str; 66] = [
    "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "glrt-",
    "sk-", "sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_", "sq0csp-", "sq0atp-", "shpat_", "shpss_", "shppa_",
    "xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxe-", "xapp-",
    "AKIA", "ASIA", "ABIA", "LTAI", "AIza", "ya29.", "GOCSPX-", "1//0",
    "hf_", "gsk_", "xai-", "nvapi-", "pplx-", "r8_",
    "npm_", "pypi-AgE", "rubygems_", "dckr_pat_", "dop_v1_", "doo_v1_", "HRKU-", "fm2_", "SG.", "lin_api_", "figd_", "ntn_",
    "tskey-", "hvs.", "hvb.", "dp.pt.", "dp.st.", "glsa_", "glc_", "NRAK-", "PMAK-", "ATATT3", "sntrys_",
    "AGE-SECRET-KEY-", "eyJ",
];
const LEAST: usize = 16;

/// How tokens begin that are 32 hexadecimal digits and nothing else.
const BEFORE_HEX: [&str; 3] = ["SK", "dapi", "key-"];

/// Addresses that are all that is needed to write there.
const HOOKS: [&str; 3] = ["hooks.slack.com/services/", "discord.com/api/webhooks/", "discordapp.com/api/webhooks/"];

/// How names of secrets end: `GITHUB_TOKEN`, `--password`, `X-Api-Key`. So `max_tokens` and `PASSWORD_FILE` are none.
const NAMES: [&str; 17] = [
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
    "accesskey",
    "private_key",
    "account_key",
    "accountkey",
    "credential",
    "authorization",
];

/// Names that are a part of other words, and so are secrets' names only by themselves or behind `_`, before `=`.
const SHORT_NAMES: [&str; 5] = ["pass", "pwd", "pw", "auth", "sig"];

/// Programs whose option has the secret in the same word or the next: `mysql -phunter2`, `sshpass -p hunter2`.
const OPTIONS: [(&str, &str, Where); 8] = [
    ("mysql", "-p", Where::Same),
    ("mysqldump", "-p", Where::Same),
    ("mysqladmin", "-p", Where::Same),
    ("mariadb", "-p", Where::Same),
    ("sshpass", "-p", Where::Both),
    ("login", "-p", Where::Both),
    ("redis-cli", "-a", Where::Next),
    ("ldapsearch", "-w", Where::Both),
];

/// Where the value of an option may stand.
#[derive(Clone, Copy, PartialEq)]
enum Where {
    Same,
    Next,
    Both,
}

/// `text` with a stand-in for each secret that is recognised.
pub(super) fn redacted(text: &str) -> String {
    let text = without_private_keys(text);
    let mut clean = String::with_capacity(text.len());
    let mut before = Vec::new();
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        let mut at = 0;
        for Range { start, end } in secrets(word, &before) {
            if start >= at {
                clean.push_str(&word[at..start]);
                clean.push_str(STAND_IN);
            }
            at = at.max(end);
        }
        clean.push_str(&piece[at..]);
        before.extend((!word.is_empty()).then_some(word));
    }
    clean
}

fn without_private_keys(text: &str) -> String {
    let Some(start) = text.find("-----BEGIN ") else { return text.to_owned() };
    let end = text[start..].find("-----END ").map_or(text.len(), |at| start + at + "-----END ".len());
    let end = text[end..].find("-----").map_or(text.len(), |at| end + at + "-----".len());
    format!("{}{STAND_IN}{}", &text[..start], without_private_keys(&text[end..]))
}

/// Where the secrets of `word`, which stands behind the words `before`, lie, by their beginnings; they may overlap.
fn secrets(word: &str, before: &[&str]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = introduced(word, before).into_iter().chain(in_url(word)).collect();
    found.extend(of_option(word, before).into_iter().chain(of_bot(word)).chain(hook(word)));
    found.extend(word.match_indices(['=', ':']).filter_map(|(at, _)| named(word, at)));
    found.extend(
        BEGINNINGS.iter().flat_map(|start| word.match_indices(start)).filter_map(|(at, start)| token(word, at, start)),
    );
    found.extend(
        BEFORE_HEX.iter().flat_map(|start| word.match_indices(start)).filter_map(|(at, start)| hex(word, at, start)),
    );
    found.sort_by_key(|span| span.start);
    found
}

/// A value behind its name in another word: `--password x`, `X-Api-Key: x`, `secret = x`, `Bearer x`, `-u name:x`.
fn introduced(word: &str, before: &[&str]) -> Option<Range<usize>> {
    let name = match before {
        [.., name, "=" | ":"] => format!("{name}="),
        [.., "login", _, "password"] => "password=".to_owned(),
        [.., name] => (*name).to_owned(),
        [] => return None,
    };
    let name = name.trim_start_matches(['"', '\'']);
    if is_scheme(word) || word.starts_with('-') || matches!(word, "=" | ":") {
        return None;
    }
    if matches!(name, "-u" | "--user" | "--proxy-user") {
        return value(word, word.find(':')? + 1);
    }
    let bare = name.trim_end_matches([':', '=']).trim_end_matches(['"', '\'']);
    let announced = (name.starts_with("--") || name.ends_with([':', '='])) && is_secret(bare);
    let random = || word.len() >= 8 && word.contains(|c: char| c.is_ascii_digit() || c.is_ascii_uppercase());
    if announced || (is_scheme(name) && random()) { value(word, 0) } else { None }
}

fn is_scheme(word: &str) -> bool {
    ["bearer", "basic"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

/// The value of an option of [`OPTIONS`], or of `-uname:x`.
fn of_option(word: &str, before: &[&str]) -> Option<Range<usize>> {
    if let Some(pair) =
        word.strip_prefix("-u").or_else(|| word.strip_prefix("--user=")).filter(|_| before.contains(&"curl"))
    {
        return value(word, word.len() - pair.len() + pair.find(':')? + 1);
    }
    OPTIONS.iter().filter(|(program, ..)| before.contains(program)).find_map(|(_, option, place)| {
        let attached = word.strip_prefix(option).filter(|rest| !rest.is_empty() && *place != Where::Next);
        let behind = before.last() == Some(option) && *place != Where::Same;
        attached.map(|_| option.len()).or(behind.then_some(0)).and_then(|from| value(word, from))
    })
}

/// The token of a bot: `123456789:` and 35 characters for Telegram, three parts joined by dots for Discord.
fn of_bot(word: &str) -> Option<Range<usize>> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    let mut end = 0;
    word.split_inclusive(|c| !is_part(c)).find_map(|piece| {
        end += piece.len();
        let text = piece.trim_end_matches(|c| !is_part(c));
        let last = end - (piece.len() - text.len());
        let token = text.strip_prefix("bot").unwrap_or(text);
        is_bot_token(token).then(|| last - token.len()..last)
    })
}

fn is_bot_token(text: &str) -> bool {
    let telegram = text.split_once(':').is_some_and(|(id, rest)| {
        (8..=10).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit()) && rest.len() == 35
    });
    let lengths: Vec<usize> = text.split('.').map(str::len).collect();
    let mixed = text.contains(|c: char| c.is_ascii_digit()) && text.contains(|c: char| c.is_ascii_uppercase());
    telegram || mixed && matches!(lengths[..], [24..=28, 6, 27..=38])
}

/// What makes an address of [`HOOKS`] one.
fn hook(word: &str) -> Option<Range<usize>> {
    let start = HOOKS.iter().find_map(|hook| Some(word.find(hook)? + hook.len()))?;
    let rest = &word[start..];
    let end = rest.find(['"', '\'', '?']).unwrap_or(rest.len());
    (end > 0).then(|| start..start + end)
}

/// A value in the word of its name, which ends `at` a sign: `API_KEY=x`, `?token=x&`, `"password":"x"`, `pass:x` of
/// openssl, `key=` before what can only be one.
fn named(word: &str, at: usize) -> Option<Range<usize>> {
    let (name, sign) = (word[..at].trim_end_matches(['"', '\'']), word.as_bytes()[at]);
    let is_short = || sign == b'=' && is_short_secret(name);
    let is_key = || last_name(name).ends_with("key") && value(word, at + 1).is_some_and(|span| is_random(&word[span]));
    if is_secret(name) || is_short() || name == "pass" || is_key() { value(word, at + 1) } else { None }
}

/// At least 32 hexadecimal digits or base64: capitals, small letters and digits.
fn is_random(text: &str) -> bool {
    let has = |kind: fn(&char) -> bool| text.chars().any(|c| kind(&c));
    let is_hex = text.bytes().all(|b| b.is_ascii_hexdigit());
    let is_base64 = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=_-".contains(&b))
        && has(char::is_ascii_uppercase)
        && has(char::is_ascii_lowercase);
    text.len() >= 32 && has(char::is_ascii_digit) && (is_hex || is_base64)
}

/// The name at the end of `text`, in small letters, with `_` for `-`.
fn last_name(text: &str) -> String {
    let name = text.rsplit(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))).next().unwrap_or_default();
    name.to_ascii_lowercase().replace('-', "_")
}

/// Whether the name at the end of `text` is one of a secret.
fn is_secret(text: &str) -> bool {
    let name = last_name(text);
    NAMES.iter().any(|secret| name.ends_with(secret))
}

/// Whether the name at the end of `text` is one of [`SHORT_NAMES`]. `PWD` is the working directory.
fn is_short_secret(text: &str) -> bool {
    let name = last_name(text);
    let is_short = |short: &str| name.strip_suffix(short).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'));
    !text.ends_with("PWD") && SHORT_NAMES.into_iter().any(is_short)
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

/// A token of 32 hexadecimal digits that begins `at` with `beginning`.
fn hex(word: &str, at: usize, beginning: &str) -> Option<Range<usize>> {
    let rest = &word[at + beginning.len()..];
    let digits = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let inside = word[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
    let found = !inside && digits == 32 && rest.bytes().take(32).all(|b| b.is_ascii_hexdigit());
    found.then(|| at..at + beginning.len() + digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of `tests/data/secrets.tsv`: a kind, a text, and the text as it is sent; none where it stays.
    fn rows() -> Vec<(&'static str, String, Option<String>)> {
        let table = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/secrets.tsv"));
        let row = |line: &'static str| {
            let cells: Vec<&str> = line.split('\t').collect();
            let [kind, text, sent @ ..] = cells.as_slice() else { panic!("two cells or three: {line}") };
            (*kind, filled(text), sent.first().map(|sent| filled(sent)))
        };
        table.lines().filter(|line| !line.starts_with('#')).map(row).collect()
    }

    /// `<a36>` is 36 letters and digits, `<h32>` as many hexadecimal digits, `\n` a newline: no scanner of repositories
    /// takes the table for a leak.
    fn filled(cell: &str) -> String {
        let cell = cell.replace("\\n", "\n");
        let mut parts = cell.split('<');
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (letters, rest) = part.split_once('>').expect("<…>");
            let (alphabet, length) = letters.split_at(1);
            let alphabet = if alphabet == "h" { "3f9a1c7e0b5d2846" } else { "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z" };
            text.extend(alphabet.chars().cycle().take(length.parse().expect("a length")));
            text.push_str(rest);
        }
        text
    }

    #[test]
    fn every_kind_of_secret_of_the_table_is_taken_out_and_nothing_that_only_looks_like_one() {
        let rows = rows();
        let wrong = |(kind, text, sent): &(&str, String, Option<String>)| {
            let made = redacted(text);
            (made != *sent.as_ref().unwrap_or(text)).then(|| format!("{kind}: {text} -> {made}"))
        };
        let wrong: Vec<String> = rows.iter().filter_map(wrong).collect();
        assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
        let kinds: std::collections::HashSet<_> = rows.iter().filter(|row| row.2.is_some()).map(|row| row.0).collect();
        let plain = rows.iter().filter(|row| row.2.is_none()).count();
        assert!(kinds.len() >= 40 && plain >= kinds.len(), "{} kinds, {plain} plain texts", kinds.len());
    }

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
