//! Engines turn a prompt into text. The decode loop, the sampler and the stop rules are written once, in
//! [`generate`], over the small trait [`Model`] that each local runtime implements.

use std::ops::ControlFlow;

use crate::error::Result;

/// A token id of the model's vocabulary.
pub type Token = u32;

/// One run of prompt text. The difference matters: `<|im_end|>` inside [`Piece::Text`] is nine plain characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A special token, by its exact name in the vocabulary.
    Special(&'static str),
    /// Plain text, tokenised with special tokens off.
    Text(String),
}

/// A prompt in two parts: what is the same for every request of a kind, and the rest. The cut falls on a special
/// token, so tokenising the parts apart gives the same tokens as tokenising them together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    pub prefix: Vec<Piece>,
    pub tail: Vec<Piece>,
}

/// How to generate.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateParams {
    /// Most tokens to decode.
    pub max_tokens: usize,
    /// 0 is greedy; above, the logits are divided by it before sampling.
    pub temperature: f32,
    /// Seed of the sampler; the same seed gives the same text.
    pub seed: u64,
}

/// What an engine reports of one generation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    pub prompt_tokens: usize,
    pub decoded_tokens: usize,
    pub prefill_ms: f64,
    pub decode_ms: f64,
}

/// What the pipeline asks of any engine, local or remote: a prompt in, text out piece by piece.
pub trait Engine {
    /// Generates for `prompt`. `on_text` gets each new piece of text and may stop the generation.
    ///
    /// # Errors
    /// The prompt does not fit the context, or the runtime failed.
    fn generate(
        &mut self,
        prompt: &Prompt,
        params: &GenerateParams,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Usage>;
}

/// What a local runtime offers below [`Engine`]: one sequence of tokens with its key-value cache.
pub trait Model {
    /// Appends `tokens` (not empty) to the sequence and returns the logits of the last position, `(vocabulary,)`.
    ///
    /// # Errors
    /// The context is full, or the runtime failed; the sequence is then unspecified until [`Model::rewind`] to 0.
    fn forward(&mut self, tokens: &[Token]) -> Result<&[f32]>;

    /// How many tokens the sequence holds.
    fn position(&self) -> usize;

    /// Cuts the sequence back to its first `to` tokens.
    ///
    /// # Errors
    /// The runtime cannot drop that part of its cache.
    fn rewind(&mut self, to: usize) -> Result<()>;

    /// Most tokens the sequence can hold.
    fn capacity(&self) -> usize;
}
