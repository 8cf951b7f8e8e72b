//! Rewrites what only zsh has into bash of the same length, so that spans still point at the person's text.
//!
//! Comments become code: interactive zsh has none by default, and `# note; rm -rf x` runs the rm.

use super::word::{closing, skip_quoted};

/// Brackets without an end before the rest are left as they are: such a text is never parsed whole.
const MAX_UNCLOSED: usize = 100;

/// The text with zsh's own glyphs replaced, byte for byte.
pub(super) fn as_bash(text: &str) -> String {
    let mut out = text.as_bytes().to_vec();
    let bytes = text.as_bytes();
    let (mut at, mut unclosed) = (0, 0);
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
            // To look for the end of each takes time that grows with the square of their number.
            b'(' if !word_start && next != b')' && !b"<>=$".contains(&bytes[at - 1]) && unclosed < MAX_UNCLOSED => {
                match closing(text, at, b'(', b')') {
                    Some(end) => at = qualifier(&mut out, text, at, end),
                    None => unclosed += 1,
                }
            }
            _ => {}
        }
        at += 1;
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

/// `${(f)x}` at `at` loses its flags; those that split, carry out or decode leave a letter, `${_Z_x}`. `${(f)"$(ls)"}`
/// becomes `${__-"$(ls)"}`. Returns where to go on.
fn flags(out: &mut [u8], bytes: &[u8], at: usize) -> usize {
    if !bytes[at..].starts_with(b"${(") {
        return at;
    }
    let end = bytes[at..].iter().position(|b| *b == b')').map_or(at + 2, |end| at + end);
    let end = end.min(bytes.len() - 1);
    out[at + 2..=end].fill(b'_');
    let has = |flag: u8| bytes[at + 3..end.max(at + 3)].contains(&flag);
    let mark = if has(b'e') {
        b'E'
    } else if has(b'g') {
        b'G'
    } else if has(b'z') {
        b'Z'
    } else {
        b'_'
    };
    if mark == b'_' && matches!(bytes.get(end + 1), Some(b'"' | b'$')) {
        // Of a text, not of a variable: bash has that for a variable that is not set.
        out[end] = b'-';
    } else if end > at + 3 {
        out[at + 3] = mark;
    }
    end
}

/// Where the code stands in a qualifier like `Ne:'code':`, `e['code']` or `+code`.
fn qualifier_code(inside: &str) -> Option<(usize, usize)> {
    let is_name = |at: usize| inside[at + 1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let flags = |at: usize| inside[..at].chars().all(|c| c.is_ascii_alphabetic() || c == '.');
    if let Some(at) = inside.rfind('+').filter(|at| flags(*at) && is_name(*at)) {
        return Some((at + 1, inside.len()));
    }
    let at = inside
        .find('e')
        .filter(|at| inside[..*at].chars().all(|c| c.is_ascii_alphabetic() || "./@^-,[]0123456789".contains(c)))?;
    let mark = *inside.as_bytes().get(at + 1)?;
    let quote = inside.as_bytes().get(at + 2).copied();
    if mark.is_ascii_alphanumeric() || mark >= 128 {
        return None;
    }
    let quoted = matches!(quote, Some(b'\'' | b'"'));
    let from = at + 2 + usize::from(quoted);
    let shut = match mark {
        b'[' => b']',
        b'{' => b'}',
        b'(' => b')',
        b'<' => b'>',
        other => other,
    };
    let last = inside.as_bytes().iter().rposition(|b| *b == shut).filter(|last| *last > from)?;
    let to = last - usize::from(quoted);
    (to >= from && inside.is_char_boundary(from) && inside.is_char_boundary(to)).then_some((from, to))
}

/// `*(.om[1])` after a pattern is a qualifier, `a(b|c)d` a group: the first is dropped, the second matches anything.
/// The qualifier `(e:'code':)` runs code for each file, and becomes a command of its own.
fn qualifier(out: &mut [u8], text: &str, at: usize, end: usize) -> usize {
    let inside = &text[at + 1..end];
    if let Some((from, to)) = qualifier_code(inside) {
        out[at..at + 1 + from].fill(b' ');
        out[at] = b';';
        out[at + 1 + to..=end].fill(b' ');
        out[end] = b';';
        return end;
    }
    if inside.contains("e:") || inside.starts_with('+') || inside.contains([' ', '\n']) && inside.contains(';') {
        return at;
    }
    let last = text[end + 1..].chars().next().is_none_or(|c| c.is_whitespace() || ";|&)".contains(c));
    out[at..=end].fill(if last && !inside.contains('|') { b' ' } else { b'*' });
    end
}
