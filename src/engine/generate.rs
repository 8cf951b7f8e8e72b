//! Prefill, decode, stop: the loop every local engine shares.
//!
//! What the cache already holds is not computed again: a prompt is compared with the sequence in the cache and only
//! what differs is run, so alternatives and follow-up requests pay for their own tail alone.

use std::{ops::ControlFlow, time::Instant};

use super::{Engine, GenerateParams, Model, Piece, Prompt, Token, Usage, sampler::Sampler};
use crate::{
    error::{Error, Result},
    model::tokenizer::Tokenizer,
};

/// A local engine: a runtime's [`Model`] with the tokenizer of the same file.
pub struct LocalEngine<M> {
    model: M,
    tokenizer: Tokenizer,
    /// The tokens whose keys and values are in the model's cache.
    cached: Vec<Token>,
}

impl<M: Model> LocalEngine<M> {
    pub fn new(model: M, tokenizer: Tokenizer) -> Self {
        Self { model, tokenizer, cached: Vec::new() }
    }

    /// The runtime below.
    pub fn model(&self) -> &M {
        &self.model
    }

    fn encode(&self, prompt: &Prompt) -> Result<Vec<Token>> {
        let mut tokens = Vec::with_capacity(512);
        for piece in prompt.prefix.iter().chain(&prompt.tail) {
            match piece {
                Piece::Text(text) => self.tokenizer.encode(text, &mut tokens),
                Piece::Special(name) => tokens.push(self.tokenizer.special(name).ok_or_else(|| {
                    Error::new(format!("the model has no special token {name}: it does not speak ChatML"))
                        .hint("use a Qwen2 or Qwen2.5 instruct model: cmdai model list")
                })?),
            }
        }
        Ok(tokens)
    }

    /// Runs the part of `prompt` that the cache does not hold and returns the first decoded token.
    fn prefill(&mut self, prompt: &[Token], sampler: &mut Sampler) -> Result<Token> {
        let shared = self.cached.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        // The last token is run again even if it is cached: its logits are wanted.
        let kept = shared.min(prompt.len() - 1);
        self.cached.truncate(kept);
        self.model.rewind(kept)?;
        let first = sampler.pick(self.model.forward(&prompt[kept..])?);
        self.cached.extend_from_slice(&prompt[kept..]);
        Ok(first)
    }

    /// Appends `token` to the sequence and returns the next one.
    fn step(&mut self, token: Token, sampler: &mut Sampler) -> Result<Token> {
        let next = sampler.pick(self.model.forward(&[token])?);
        self.cached.push(token);
        Ok(next)
    }

    fn run(
        &mut self,
        prompt: &[Token],
        params: &GenerateParams,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Usage> {
        let mut sampler = Sampler::new(params);
        let start = Instant::now();
        let first = self.prefill(prompt, &mut sampler)?;
        let prefill_ms = start.elapsed().as_secs_f64() * 1e3;
        let start = Instant::now();
        let decoded_tokens = self.decode(first, params, &mut sampler, on_text)?;
        let decode_ms = start.elapsed().as_secs_f64() * 1e3;
        let cut = decoded_tokens == params.max_tokens;
        Ok(Usage { prompt_tokens: prompt.len(), decoded_tokens, cut, prefill_ms, decode_ms })
    }

    fn decode(
        &mut self,
        first: Token,
        params: &GenerateParams,
        sampler: &mut Sampler,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<usize> {
        let mut token = first;
        let mut text = Utf8Stream::default();
        for decoded in 1..=params.max_tokens {
            if self.tokenizer.is_end(token) {
                return Ok(decoded);
            }
            self.tokenizer.write_piece(token, &mut text.bytes);
            if on_text(text.take()).is_break() || decoded == params.max_tokens {
                return Ok(decoded);
            }
            token = self.step(token, sampler)?;
        }
        Ok(params.max_tokens)
    }
}

impl<M: Model> Engine for LocalEngine<M> {
    fn generate(
        &mut self,
        prompt: &Prompt,
        params: &GenerateParams,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Usage> {
        let tokens = self.encode(prompt)?;
        let room = self.model.capacity().saturating_sub(params.max_tokens);
        if tokens.is_empty() || tokens.len() > room {
            return Err(Error::usage(format!("the request is too long: {} tokens, room for {room}", tokens.len()))
                .hint("say it in fewer words"));
        }
        let outcome = self.run(&tokens, params, on_text);
        if outcome.is_err() {
            // What the model's cache holds now is not known: the next request starts from nothing.
            self.cached.clear();
        }
        outcome
    }
}

/// Turns the bytes of tokens into text: a character split over two tokens waits for its end.
#[derive(Default)]
struct Utf8Stream {
    bytes: Vec<u8>,
    text: String,
}

impl Utf8Stream {
    /// All complete characters since the last call; bytes that can never become one are U+FFFD.
    fn take(&mut self) -> &str {
        self.text.clear();
        let mut used = 0;
        for chunk in self.bytes.utf8_chunks() {
            self.text.push_str(chunk.valid());
            used += chunk.valid().len();
            let rest = chunk.invalid();
            if used + rest.len() == self.bytes.len() && could_grow(rest) {
                break;
            }
            if !rest.is_empty() {
                self.text.push(char::REPLACEMENT_CHARACTER);
                used += rest.len();
            }
        }
        self.bytes.drain(..used);
        &self.text
    }
}

/// Whether `bytes` is the proper start of a character that more bytes can complete.
fn could_grow(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn character_split_over_tokens_arrives_whole() {
        let mut stream = Utf8Stream::default();
        let mut seen = Vec::new();
        for byte in "aé🎉".bytes() {
            stream.bytes.push(byte);
            seen.push(stream.take().to_owned());
        }
        assert_eq!(seen, ["a", "", "é", "", "", "", "🎉"]);
    }

    #[test]
    fn broken_bytes_become_the_replacement_character_and_lose_nothing_else() {
        let mut stream = Utf8Stream { bytes: b"a\xffb\xe4\xb8".to_vec(), text: String::new() };
        assert_eq!(stream.take(), "a\u{fffd}b");
        stream.bytes.extend(b"\xad!");
        assert_eq!(stream.take(), "中!");
    }
}
