//! Token texts in one block of memory, and a hash table from text to token.
//!
//! 150,000 tokens are indexed at every start, beside the model load, so nothing is allocated per token and the hash
//! is a few multiplications, where std's map would want 150,000 strings and SipHash.

use crate::model::gguf::{StringArray, U32Array};

use super::{Token, alphabet};

/// As many as a slot can number. Gemma's 262,144 is the largest vocabulary in use, and not of this kind.
const MAX_TOKENS: usize = (1 << TOKEN_BITS) - 1;
const TOKEN_BITS: u32 = 18;
const TOKEN_MASK: u32 = (1 << TOKEN_BITS) - 1;
/// Longest token text; Qwen2's longest is 256 bytes. It bounds what one look-up can cost.
const MAX_TEXT: usize = 1024;
/// The table is at most 5/8 full, where runs stay far below this; a file made to collide is refused.
const MAX_PROBES: usize = 512;

/// What a token is for; the numbers are `llama_token_type` of `llama.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

impl Kind {
    fn from_number(number: u32) -> Option<Self> {
        use Kind::{Byte, Control, Normal, Unknown, Unused, UserDefined};
        let index = number.checked_sub(1)? as usize;
        [Normal, Unknown, Control, UserDefined, Unused, Byte].get(index).copied()
    }

    pub(super) fn is_special(self) -> bool {
        matches!(self, Self::Control | Self::UserDefined)
    }
}

pub(super) struct Vocabulary {
    texts: Vec<u8>,
    /// Where each text starts in `texts`, and at the end where the last one stops.
    starts: Vec<u32>,
    kinds: Vec<Kind>,
    longest: usize,
    /// Open addressing: 14 bits of the text's hash, which spare a look at the text, over the token plus one; 0 is
    /// free. In 64 bits a slot the table would not fit a second-level cache.
    slots: Vec<u32>,
}

impl Vocabulary {
    pub(super) fn new(tokens: StringArray<'_>, kinds: U32Array<'_>) -> Result<Self, String> {
        let count = tokens.len();
        if count == 0 || count > MAX_TOKENS {
            return Err(format!("{count} tokens (1 to {MAX_TOKENS} allowed)"));
        }
        if kinds.len() != count {
            return Err(format!("{count} tokens, but the types of {}", kinds.len()));
        }
        let mut vocabulary = Self {
            texts: Vec::with_capacity(tokens.byte_length() - 8 * count),
            starts: Vec::with_capacity(count + 1),
            kinds: Vec::with_capacity(count),
            longest: 0,
            slots: vec![0; (count * 8 / 5 + 2).next_power_of_two()],
        };
        vocabulary.starts.push(0);
        for (text, kind) in tokens.zip(kinds) {
            vocabulary.push(text, kind)?;
        }
        Ok(vocabulary)
    }

    pub(super) fn len(&self) -> usize {
        self.kinds.len()
    }

    pub(super) fn text(&self, token: Token) -> Option<&[u8]> {
        let token = token as usize;
        let (start, end) = (*self.starts.get(token)?, *self.starts.get(token + 1)?);
        Some(&self.texts[start as usize..end as usize])
    }

    /// What the token is for; a token that is not there is for nothing.
    pub(super) fn kind(&self, token: Token) -> Kind {
        self.kinds.get(token as usize).copied().unwrap_or(Kind::Unused)
    }

    pub(super) fn find(&self, text: &[u8]) -> Option<Token> {
        // Long runs ask for many texts that are longer than any token, and hashing them would cost most of the time.
        if text.len() > self.longest {
            return None;
        }
        self.slot(text).ok()?.ok()
    }

    fn push(&mut self, text: &[u8], kind: u32) -> Result<(), String> {
        let token = self.kinds.len() as Token;
        let kind = Kind::from_number(kind).ok_or_else(|| format!("token {token} has unknown type {kind}"))?;
        if text.len() > MAX_TEXT {
            return Err(format!("token {token} is {} bytes long (at most {MAX_TEXT})", text.len()));
        }
        if kind == Kind::Normal && !alphabet::spells(text) {
            return Err(format!("token {token} is not written in the byte-level alphabet"));
        }
        match self.slot(text)? {
            Ok(earlier) => return Err(format!("tokens {earlier} and {token} have the same text")),
            Err(free) => self.slots[free] = mark(hash(text)) | (token + 1),
        }
        self.texts.extend_from_slice(text);
        self.starts.push(self.texts.len() as u32);
        self.kinds.push(kind);
        self.longest = self.longest.max(text.len());
        Ok(())
    }

    /// The token of that text, or else the free slot where it would be.
    fn slot(&self, text: &[u8]) -> Result<Result<Token, usize>, String> {
        let hash = hash(text);
        let mask = self.slots.len() - 1;
        for probe in 0..MAX_PROBES {
            let index = (hash as usize).wrapping_add(probe) & mask;
            let slot = self.slots[index];
            if slot == 0 {
                return Ok(Err(index));
            }
            let token = (slot & TOKEN_MASK) - 1;
            if slot & !TOKEN_MASK == mark(hash) && self.text(token) == Some(text) {
                return Ok(Ok(token));
            }
        }
        Err("token texts collide in the hash table".into())
    }
}

/// The bits of the hash that stand in a slot; others choose the slot.
fn mark(hash: u64) -> u32 {
    (hash >> 32) as u32 & !TOKEN_MASK
}

/// Multiply and fold, eight bytes at a time. The odd constant is 2^64 divided by the golden ratio.
fn hash(text: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word).wrapping_mul(u128::from(FACTOR));
        product as u64 ^ (product >> 64) as u64
    };
    let (words, rest) = text.as_chunks::<8>();
    let hash = words.iter().fold(text.len() as u64 ^ FACTOR, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    mix(mix(hash, last_word(rest)), FACTOR)
}

/// Up to seven bytes as one number. The reads overlap instead of going byte by byte; the length is hashed already.
fn last_word(bytes: &[u8]) -> u64 {
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last)),
        _ => bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::hash;

    #[test]
    fn texts_that_differ_little_hash_apart() {
        let texts = (0..100_000_u32).map(|n| format!("Ġ{n:x}"));
        let hashes: HashSet<u64> = texts.map(|text| hash(text.as_bytes()) & 0x3_ffff).collect();
        // 100,000 balls into 262,144 bins leave 83,100 bins filled.
        assert!(hashes.len() > 82_000, "{}", hashes.len());
    }
}
