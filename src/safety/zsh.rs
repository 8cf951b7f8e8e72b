//! Rewrites what only zsh has into bash of the same length, so that spans still point at the person's text.
//!
//! Comments become code: interactive zsh has none by default, and `# note; rm -rf x` runs the rm.

use super::word::{closing, skip_quoted};

/// The text with zsh's own glyphs replaced, byte for byte.
pub(super) fn as_bash(text: &str) -> String {
    let mut out = text.as_bytes().to_vec();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let word_start = at == 0 || b" \t\n;|&(".contains(&bytes[at - 1]);
        let next = bytes.get(at + 1).copied().unwrap_or(0);
        match bytes[at] {
            b'\\' => at += 1,
            b'\'' | b'"' => {
                let end = skip_quoted(bytes, at);
                while at < end {
                    at = flags(&mut out, bytes, at).min(end) + 1;
                }
                at = end;
            }
            b'#' if word_start => out[at] = b'_',
            b'>' if next == b'!' => out[at + 1] = b'|',
            b'<' if next == b'>' => out[at..at + 2].copy_from_slice(b"> "),
            b'&' if matches!(next, b'!' | b'|') => out[at + 1] = b' ',
            b'=' if word_start && next == b'(' => out[at] = b'<',
            b'=' if word_start && next.is_ascii_alphabetic() => out[at] = b' ',
            b'$' if next == b'{' => at = flags(&mut out, bytes, at),
            b'$' if next == b'(' => at += 1,
            b'(' if !word_start && next != b')' && !b"<>=$".contains(&bytes[at - 1]) => {
                at = qualifier(&mut out, text, at);
            }
            _ => {}
        }
        at += 1;
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

/// `${(f)x}` at `at` loses its flags; returns where to go on.
fn flags(out: &mut [u8], bytes: &[u8], at: usize) -> usize {
    if !bytes[at..].starts_with(b"${(") {
        return at;
    }
    let end = bytes[at..].iter().position(|b| *b == b')').map_or(at + 2, |end| at + end);
    out[at + 2..=end].fill(b'_');
    end
}

/// `*(.om[1])` after a pattern is a qualifier, `a(b|c)d` a group: the first is dropped, the second matches anything.
/// The qualifier `(e:'code':)` runs code for each file, and becomes a command of its own.
fn qualifier(out: &mut [u8], text: &str, at: usize) -> usize {
    let Some(end) = closing(text, at, b'(', b')') else { return at };
    let inside = &text[at + 1..end];
    if inside.starts_with("e:'") && inside.ends_with("':") {
        out[at..at + 4].copy_from_slice(b" ;  ");
        out[end - 2..=end].copy_from_slice(b" ; ");
        return end;
    }
    if inside.contains("e:") || inside.starts_with('+') || inside.contains([' ', '\n']) && inside.contains(';') {
        return at;
    }
    let last = text[end + 1..].chars().next().is_none_or(|c| c.is_whitespace() || ";|&)".contains(c));
    out[at..=end].fill(if last && !inside.contains('|') { b' ' } else { b'*' });
    end
}
