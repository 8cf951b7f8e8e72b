//! What the eye cannot be trusted with: characters that hide, reorder or imitate text.
//!
//! [`printable`] is the last gate before the terminal and the edit buffer. It works on characters alone, before any
//! parsing, so that no parser's opinion can let one through. [`deceptive_name`] judges command words only: a person
//! may grep for Cyrillic text, but nobody types `ѕudo`.

/// Refuses text that a terminal would not show as it is. The error names the first offending character.
pub fn printable(command: &str) -> Result<(), String> {
    match first_hidden(command) {
        Some((_, c, name)) => Err(format!("U+{:04X} {name}", c as u32)),
        None => Ok(()),
    }
}

/// The beginning of `text` that [`printable`] accepts.
pub fn printable_part(text: &str) -> &str {
    first_hidden(text).map_or(text, |(at, ..)| &text[..at])
}

/// The first refused character, with its byte offset and its name.
pub(super) fn first_hidden(command: &str) -> Option<(usize, char, &'static str)> {
    command.char_indices().find_map(|(at, c)| hidden_name(c).map(|name| (at, c, name)))
}

/// The name of a character that may not be shown raw, or `None` for ordinary text.
pub fn hidden_name(c: char) -> Option<&'static str> {
    Some(match c {
        '\t' | '\n' | ' '..='~' => return None,
        '\0' => "null",
        '\u{7}' => "bell",
        '\u{8}' => "backspace",
        '\r' => "carriage return",
        '\u{1b}' => "escape",
        '\u{7f}' => "delete",
        '\0'..='\u{1f}' => "control character",
        '\u{80}'..='\u{9f}' => "C1 control character",
        '\u{a0}' => "no-break space",
        '\u{ad}' => "soft hyphen",
        '\u{34f}' => "combining grapheme joiner",
        '\u{61c}' => "Arabic letter mark",
        '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' => "Hangul filler",
        '\u{17b4}' | '\u{17b5}' => "invisible vowel",
        '\u{180b}'..='\u{180f}' => "Mongolian selector",
        '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => "space that is not a space",
        '\u{200b}' => "zero-width space",
        '\u{200c}' => "zero-width non-joiner",
        '\u{200d}' => "zero-width joiner",
        '\u{200e}' => "left-to-right mark",
        '\u{200f}' => "right-to-left mark",
        '\u{2028}' => "line separator",
        '\u{2029}' => "paragraph separator",
        '\u{202a}' => "left-to-right embedding",
        '\u{202b}' => "right-to-left embedding",
        '\u{202c}' => "pop directional formatting",
        '\u{202d}' => "left-to-right override",
        '\u{202e}' => "right-to-left override",
        '\u{2060}' => "word joiner",
        '\u{2061}'..='\u{2065}' => "invisible operator",
        '\u{2066}'..='\u{2069}' => "directional isolate",
        '\u{206a}'..='\u{206f}' => "deprecated format character",
        '\u{2800}' => "blank Braille pattern",
        '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{ffffd}' | '\u{100000}'..='\u{10fffd}' => "private use character",
        '\u{fdd0}'..='\u{fdef}' => "noncharacter",
        '\u{feff}' => "byte order mark",
        '\u{fff9}'..='\u{fffb}' => "interlinear annotation",
        '\u{1d159}' | '\u{1d173}'..='\u{1d17a}' => "invisible musical sign",
        '\u{e0100}'..='\u{e01ef}' => "variation selector",
        '\u{e0000}'..='\u{e0fff}' => "tag character",
        _ if c as u32 & 0xfffe == 0xfffe => "noncharacter",
        _ => return None,
    })
}

/// Why a command word imitates another: its first deceptive character, or `None` for an honest name.
///
/// Honest are ASCII, the accented letters of European Latin beside it, and words of one other script that has a
/// letter with no Latin double.
pub(super) fn deceptive_name(word: &str) -> Option<char> {
    if word.is_ascii() {
        return None;
    }
    let ascii_letters = word.chars().any(|c| c.is_ascii_alphabetic());
    let foreign = || word.chars().filter(|c| !c.is_ascii() && !accented_latin(*c));
    if let Some(c) = foreign().find(|c| styled_latin(*c)) {
        return Some(c);
    }
    let first = foreign().next()?;
    let all_alike = foreign().all(|c| LATIN_DOUBLES.contains(c));
    (ascii_letters || all_alike).then_some(first)
}

/// Letters of Latin alphabets that readers tell apart from the bare ASCII letter.
fn accented_latin(c: char) -> bool {
    matches!(c, 'À'..='Ö' | 'Ø'..='Þ' | 'ß'..='ö' | 'ø'..='ý' | 'ÿ'..='ž')
        && !matches!(c, 'ı' | 'ĸ' | 'ŀ' | 'Ŀ' | 'ŉ' | 'ſ' | 'ł' | 'Ł')
}

/// ASCII in another dress: full-width, mathematical, Roman numerals, letter-like, phonetic, selectors, combining marks.
fn styled_latin(c: char) -> bool {
    matches!(c,
        '\u{ff01}'..='\u{ff5e}' | '\u{1d400}'..='\u{1d7ff}' | '\u{2100}'..='\u{218b}' | '\u{2460}'..='\u{24ff}'
        | '\u{1f100}'..='\u{1f1ff}' | '\u{0180}'..='\u{036f}' | '\u{1d00}'..='\u{1dff}' | '\u{2c60}'..='\u{2c7f}'
        | '\u{a720}'..='\u{a7ff}' | '\u{ab30}'..='\u{ab6f}' | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}' | '\u{1fbf0}'..='\u{1fbf9}' | 'ı' | 'ĸ' | 'ŀ' | 'ł' | 'ſ')
}

/// Letters of Cyrillic, Greek, Armenian, Hebrew, Arabic and Cherokee that are drawn like Latin ones or digits.
const LATIN_DOUBLES: &str = "аеорсухѕіјһԁԛԝԍӏьвкгпүАВЕКМНОРСТУХЅІЈҺԌӀԚԜЬЗУΑΒΕΖΗΙΚΜΝΟΡΤΥΧαβγεικνορυχωστϲϳ\
    հոսցօգզԼՍՕոսןוסاه١٥۱۵०ᎠᎡᎢᎥᎪᎫᎬᎳᎷᎻᎽᏀᏂᏃᏎᏒᏔᏕᏙᏚᏞᏟᏢᏦᏧᏳᏴ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hidden_character_is_refused_wherever_it_stands() {
        let allowed = |c: char| printable(&c.to_string()).is_ok();
        for c in '\0'..=char::MAX {
            for text in [format!("{c}ls -l"), format!("ls {c} -l"), format!("ls -l{c}")] {
                assert_eq!(printable(&text).is_ok(), allowed(c), "U+{:04X}", c as u32);
            }
        }
    }

    #[test]
    fn the_ranges_of_the_design_are_refused() {
        let ranges: [(u32, u32); 22] = [
            (0, 8),
            (0xb, 0x1f),
            (0x7f, 0x9f),
            (0x202a, 0x202e),
            (0x2066, 0x2069),
            (0x200b, 0x200f),
            (0x61c, 0x61c),
            (0x2060, 0x2064),
            (0xfeff, 0xfeff),
            (0x2028, 0x2029),
            (0xe0000, 0xe007f),
            (0xa0, 0xa0),
            (0x1680, 0x1680),
            (0x2000, 0x200a),
            (0x202f, 0x202f),
            (0x205f, 0x205f),
            (0x3000, 0x3000),
            (0xe000, 0xf8ff),
            (0xf0000, 0xfffff),
            (0x100000, 0x10ffff),
            (0xfdd0, 0xfdef),
            (0xfffe, 0xffff),
        ];
        for c in ranges.iter().flat_map(|&(from, to)| from..=to).filter_map(char::from_u32) {
            assert!(printable(&format!("echo {c}")).is_err(), "U+{:04X}", c as u32);
        }
    }

    #[test]
    fn the_message_names_the_character() {
        assert_eq!(printable("ls \u{202e}x"), Err("U+202E right-to-left override".into()));
    }

    #[test]
    fn ordinary_text_of_any_language_passes() {
        for text in [
            "grep \"naïve café\" notes.txt",
            "ls 日本語/ファイル.txt",
            "echo 'Привет, мир'",
            "git commit -m '🚀 ✅'",
            "cd Größe && ls",
            "mkdir 사진",
            "echo 'שלום' > שלום.txt",
            "a\tb\nc",
        ] {
            assert_eq!(printable(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn look_alike_command_words_are_named_and_honest_ones_are_not() {
        for word in ["ѕudo", "сurl", "ｒｍ", "𝐫𝐦", "rⅿ", "ɡit", "ѕһ", "gıt", "apt‐get", "rm\u{fe0f}", "ο"]
        {
            assert!(deceptive_name(word).is_some(), "{word}");
        }
        for word in ["rm", "café", "größe.sh", "日本語", "каталог", "naïve", "программа"] {
            assert!(deceptive_name(word).is_none(), "{word}");
        }
    }
}
