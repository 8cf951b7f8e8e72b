//! Text to tokens and back, for the byte-level BPE of Qwen2 and SmolLM2 as their GGUF files carry it.
//!
//! Gives llama.cpp's tokens, not Hugging Face's: no NFC normalisation, and never a special token out of text, so that
//! `<|im_end|>` in a request is ten plain characters. Special tokens are reached by name only, through
//! [`Tokenizer::special`]. A vocabulary in which text could become a special token is refused.

mod alphabet;
mod letters;
mod merge;
mod split;
mod vocabulary;

use crate::error::{Context, Result};

use self::{alphabet::Alphabet, merge::Merges, split::Splitter, vocabulary::Vocabulary};

use super::gguf::GgufFile;

/// A token id of a model's vocabulary.
pub type Token = u32;

/// Tokens after which nothing more of an answer comes. The list is llama.cpp's `special_eog_ids`, for the models
/// that this tokenizer can read: the turn's end, the text's end, and the separators of code files.
const ENDS: [&[u8]; 10] = [
    b"<|im_end|>",
    b"<|endoftext|>",
    b"<|eot_id|>",
    b"<|end_of_text|>",
    b"<|eom_id|>",
    b"</s>",
    b"<|fim_pad|>",
    b"<|repo_name|>",
    b"<reponame>",
    b"<|file_sep|>",
];

/// A vocabulary with its merges. It owns all it needs; the file may be closed.
pub struct Tokenizer {
    splitter: Splitter,
    alphabet: Alphabet,
    vocabulary: Vocabulary,
    merges: Merges,
    ends: Vec<Token>,
}

impl Tokenizer {
    /// Builds the tokenizer that the file describes.
    ///
    /// # Errors
    /// It is of a kind that is not known here, or its vocabulary and merges contradict each other.
    pub fn from_gguf(file: &GgufFile) -> Result<Self> {
        Self::read(file).context(|| format!("could not read tokenizer: {}", file.path().display()))
    }

    fn read(file: &GgufFile) -> Result<Self, String> {
        let model = required(file.str("tokenizer.ggml.model"), "tokenizer.ggml.model")?;
        if model != "gpt2" {
            return Err(format!("tokenizer {model:?} is not supported (known: gpt2)"));
        }
        let splitter = Splitter::named(required(file.str("tokenizer.ggml.pre"), "tokenizer.ggml.pre")?)?;
        let tokens = required(file.string_array("tokenizer.ggml.tokens"), "tokenizer.ggml.tokens")?;
        let kinds = required(file.u32_array("tokenizer.ggml.token_type"), "tokenizer.ggml.token_type")?;
        let vocabulary = Vocabulary::new(tokens, kinds)?;
        let merges = required(file.string_array("tokenizer.ggml.merges"), "tokenizer.ggml.merges")?;
        let merges = Merges::new(merges, &vocabulary)?;
        let alphabet = Alphabet::new(&vocabulary)?;
        let ends = ends(file, &vocabulary)?;
        Ok(Self { splitter, alphabet, vocabulary, merges, ends })
    }

    /// Appends the tokens of `text`, all of it taken as plain text.
    ///
    /// A byte for which the vocabulary has no token is left out, as llama.cpp does: SmolLM2 lacks 21, Qwen2 none.
    pub fn encode(&self, text: &str, out: &mut Vec<Token>) {
        let mut merger = self.merges.merger(&self.vocabulary);
        self.splitter.split(text, |word| merger.encode(word.as_bytes(), &self.alphabet, out));
    }

    /// The special token of exactly that name.
    pub fn special(&self, name: &str) -> Option<Token> {
        self.vocabulary.find(name.as_bytes()).filter(|&token| self.vocabulary.kind(token).is_special())
    }

    /// The bytes that a token stands for, which need not be whole characters; nothing for control tokens.
    /// `None` where there is no such token.
    pub fn piece(&self, token: Token) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write_piece(token, &mut bytes).then_some(bytes)
    }

    /// As [`Tokenizer::piece`], appended to `out`; false where there is no such token.
    pub fn write_piece(&self, token: Token, out: &mut Vec<u8>) -> bool {
        let Some(text) = self.vocabulary.text(token) else { return false };
        self.alphabet.write_piece(self.vocabulary.kind(token), text, out);
        true
    }

    /// Whether the model says with this token that it has finished.
    pub fn is_end(&self, token: Token) -> bool {
        self.ends.contains(&token)
    }

    /// How many tokens there are; the logits of a model are that many.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary.len()
    }
}

fn required<T>(value: Result<Option<T>>, key: &str) -> Result<T, String> {
    value.map_err(|error| error.to_string())?.ok_or_else(|| format!("key \"{key}\" is missing"))
}

fn ends(file: &GgufFile, vocabulary: &Vocabulary) -> Result<Vec<Token>, String> {
    let by_name = |name: &&[u8]| vocabulary.find(name).filter(|&token| vocabulary.kind(token).is_special());
    let mut ends: Vec<Token> = ENDS.iter().filter_map(by_name).collect();
    for key in ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"] {
        let Some(token) = file.u32(key).map_err(|error| error.to_string())? else { continue };
        if token as usize >= vocabulary.len() {
            return Err(format!("key \"{key}\" is {token}, but there are {} tokens", vocabulary.len()));
        }
        ends.push(token);
    }
    if ends.is_empty() {
        return Err("no token ends a text".into());
    }
    Ok(ends)
}
