//! The byte-level alphabet: every byte as one printable character, so that a vocabulary is readable text.
//!
//! GPT-2's `bytes_to_unicode`: printable Latin-1 stands for itself, the other 68 bytes are U+0100 and on.

use super::Token;

use super::vocabulary::{Kind, Vocabulary};

/// Bytes that stand for themselves.
const fn is_printable(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff)
}

/// The character of each byte.
const CHARACTERS: [u16; 256] = {
    let mut characters = [0; 256];
    let (mut byte, mut shifted) = (0, 0x100);
    while byte < 256 {
        if is_printable(byte as u8) {
            characters[byte] = byte as u16;
        } else {
            characters[byte] = shifted;
            shifted += 1;
        }
        byte += 1;
    }
    characters
};

/// The byte of each character up to the last one in use; `None` for the 68 that stand for none.
const BYTES: [Option<u8>; 0x144] = {
    let mut bytes = [None; 0x144];
    let mut byte = 0;
    while byte < 256 {
        bytes[CHARACTERS[byte] as usize] = Some(byte as u8);
        byte += 1;
    }
    bytes
};

fn byte_of(character: char) -> Option<u8> {
    BYTES.get(character as usize).copied().flatten()
}

/// Whether a token's text is made of the alphabet's characters only, read as UTF-8: U+0021 to U+007E, U+00A1 to
/// U+00FF without the soft hyphen, U+0100 to U+0143.
pub(super) fn spells(mut text: &[u8]) -> bool {
    loop {
        text = match text {
            [] => return true,
            [0x21..=0x7e, rest @ ..] => rest,
            [0xc2, 0xa1..=0xac | 0xae..=0xbf, rest @ ..] => rest,
            [0xc3 | 0xc4, 0x80..=0xbf, rest @ ..] | [0xc5, 0x80..=0x83, rest @ ..] => rest,
            _ => return false,
        }
    }
}

/// The token of every single byte, and its character in UTF-8.
pub(super) struct Alphabet {
    letters: Vec<Letter>,
}

#[derive(Clone, Copy)]
struct Letter {
    utf8: [u8; 2],
    length: usize,
    token: Option<Token>,
}

impl Alphabet {
    pub(super) fn new(vocabulary: &Vocabulary) -> Result<Self, String> {
        let letters: Vec<Letter> = CHARACTERS.iter().map(|&character| Letter::new(character, vocabulary)).collect();
        for byte in (b' '..=b'~').chain([b'\t', b'\n']) {
            if letters[usize::from(byte)].token.is_none() {
                return Err(format!("no token for the single character {:?}", char::from(byte)));
            }
        }
        Ok(Self { letters })
    }

    /// Spells `word` in the alphabet, and calls `each` with every byte's token and its length there.
    pub(super) fn spell(&self, word: &[u8], spelled: &mut Vec<u8>, mut each: impl FnMut(Token, usize)) {
        spelled.clear();
        for &byte in word {
            let letter = self.letters[usize::from(byte)];
            if let Some(token) = letter.token {
                spelled.extend_from_slice(&letter.utf8[..letter.length]);
                each(token, letter.length);
            }
        }
    }

    /// What a token stands for: bytes for ordinary ones, their own text for those that users defined.
    pub(super) fn write_piece(&self, kind: Kind, text: &[u8], out: &mut Vec<u8>) {
        match kind {
            Kind::Normal => {
                // `Vocabulary::push` let in only what `spells` accepts.
                let text = str::from_utf8(text).unwrap_or_default();
                out.extend(text.chars().filter_map(byte_of));
            }
            Kind::UserDefined => out.extend_from_slice(text),
            Kind::Unknown | Kind::Control | Kind::Unused | Kind::Byte => {}
        }
    }
}

impl Letter {
    fn new(character: u16, vocabulary: &Vocabulary) -> Self {
        let mut utf8 = [0; 2];
        let character = char::from_u32(character.into()).unwrap_or_default();
        // All of the alphabet lies below U+0800, so two bytes hold it.
        let length = character.encode_utf8(&mut utf8).len();
        let token = vocabulary.find(&utf8[..length]);
        Self { utf8, length, token: token.filter(|&token| vocabulary.kind(token) == Kind::Normal) }
    }
}

#[cfg(test)]
mod tests {
    use super::{byte_of, spells};

    #[test]
    fn the_alphabet_spells_itself_and_nothing_else() {
        let ours: Vec<char> = ('\0'..=char::MAX).filter(|character| byte_of(*character).is_some()).collect();
        assert_eq!(ours.len(), 256);
        for character in '\0'..='\u{ffff}' {
            assert_eq!(spells(format!("a{character}").as_bytes()), ours.contains(&character), "{character:?}");
        }
        assert!(!spells(b"\xc4") && !spells(b"\xc3a") && !spells(b"\xff"));
    }
}
