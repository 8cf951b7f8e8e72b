//! Prefill, decode, stop: the loop every local engine shares.

use std::{ops::ControlFlow, path::PathBuf, time::Instant};

use super::{
    Engine, Fork, GenerateParams, Interrupt, Model, Piece, Prompt, Token, Usage, prefix_cache::PrefixCache, sampler,
    sequence::Sequence,
};
use crate::{
    error::{Error, Result},
    model::tokenizer::Tokenizer,
};

/// A token this far below the one taken, in natural logarithms, is no other answer: 1 in 50.
const FAR: f32 = 4.0;

/// A local engine: a runtime's [`Model`] with the tokenizer of the same file.
pub struct LocalEngine<M> {
    sequence: Sequence<M>,
    tokenizer: Tokenizer,
}

/// A prompt's tokens, the first `prefix` of them its prefix.
struct Encoded {
    tokens: Vec<Token>,
    prefix: usize,
}

impl<M: Model> LocalEngine<M> {
    /// An engine that keeps what it computed for itself alone.
    pub fn new(model: M, tokenizer: Tokenizer) -> Self {
        Self { sequence: Sequence::new(model, None), tokenizer }
    }

    /// An engine that keeps prefixes in `directory` for later ones; the model's file has the digest `sha256`.
    pub fn with_prefix_cache(model: M, tokenizer: Tokenizer, directory: PathBuf, sha256: &str) -> Self {
        let disk = PrefixCache::new(directory, sha256, &model.runtime());
        Self { sequence: Sequence::new(model, Some(disk)), tokenizer }
    }

    /// The runtime below.
    pub fn model(&self) -> &M {
        &self.sequence.model
    }

    fn encode(&self, prompt: &Prompt) -> Result<Encoded> {
        let mut tokens = Vec::with_capacity(512);
        self.encode_pieces(&prompt.prefix, &mut tokens)?;
        let prefix = tokens.len();
        self.encode_pieces(&prompt.tail, &mut tokens)?;
        Ok(Encoded { tokens, prefix })
    }

    fn encode_pieces(&self, pieces: &[Piece], tokens: &mut Vec<Token>) -> Result<()> {
        for piece in pieces {
            match piece {
                Piece::Text(text) => self.tokenizer.encode(text, tokens),
                Piece::Special(name) => tokens.push(self.tokenizer.special(name).ok_or_else(|| {
                    Error::new(format!("the model has no special token {name}: it does not speak ChatML"))
                        .hint("use a Qwen2 or Qwen2.5 instruct model: cmdai model list")
                })?),
            }
        }
        Ok(())
    }
}

impl<M: Model> Engine for LocalEngine<M> {
    fn generate(
        &mut self,
        prompt: &Prompt,
        params: &GenerateParams,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Usage> {
        let prompt = self.encode(prompt)?;
        let (length, room) = (prompt.tokens.len(), self.model().capacity().saturating_sub(params.max_tokens));
        if length == 0 || length > room {
            return Err(Error::usage(format!("the request is too long: {length} tokens, room for {room}"))
                .hint("say it in fewer words"));
        }
        let Self { sequence, tokenizer } = self;
        let answer = |sequence: &mut _| {
            let chooser = Chooser { tokenizer, params, answer: Vec::new(), likelihood: 0.0, forks: Vec::new() };
            Run { sequence, chooser, text: Utf8Stream::default() }.answer(&prompt, on_text)
        };
        sequence.run(&params.interrupt, answer)
    }

    fn prepare(&mut self, prompt: &Prompt, interrupt: &Interrupt) -> Result<()> {
        let Encoded { tokens, prefix } = self.encode(prompt)?;
        if tokens.len() > self.model().capacity() || self.sequence.begins_with(&tokens) {
            return Ok(());
        }
        self.sequence.run(interrupt, |sequence| sequence.run_prompt(&tokens, prefix).map(|_| ()))
    }

    fn settle(&mut self, stop: &dyn Fn() -> bool) -> Result<()> {
        self.sequence.model.settle(stop)
    }
}

/// One generation.
struct Run<'a, M> {
    sequence: &'a mut Sequence<M>,
    chooser: Chooser<'a>,
    text: Utf8Stream,
}

impl<M: Model> Run<'_, M> {
    fn answer(mut self, prompt: &Encoded, on_text: &mut dyn FnMut(&str) -> ControlFlow<()>) -> Result<Usage> {
        let start = Instant::now();
        let (cached_tokens, first) = self.prefill(prompt)?;
        let prefill_ms = start.elapsed().as_secs_f64() * 1e3;
        let start = Instant::now();
        let (decoded_tokens, stuck) = self.decode(first, on_text)?;
        let decode_ms = start.elapsed().as_secs_f64() * 1e3;
        let cut = decoded_tokens == self.chooser.params.max_tokens;
        let Chooser { likelihood, forks, .. } = self.chooser;
        let (prompt_tokens, likelihood) = (prompt.tokens.len(), Some(likelihood));
        Ok(Usage { prompt_tokens, cached_tokens, decoded_tokens, cut, stuck, likelihood, forks, prefill_ms, decode_ms })
    }

    /// Runs the part of `prompt` that is not cached; returns how many tokens were cached, and the first decoded one.
    fn prefill(&mut self, prompt: &Encoded) -> Result<(usize, Option<Token>)> {
        let (cached, logits) = self.sequence.run_prompt(&prompt.tokens, prompt.prefix)?;
        Ok((cached, self.chooser.choose(logits)))
    }

    /// Appends `token` to the sequence and returns the next one.
    fn step(&mut self, token: Token) -> Result<Option<Token>> {
        // A runtime looks seldom; a step is short.
        if self.chooser.params.interrupt.is_set() {
            return Err(Error::Cancelled);
        }
        Ok(self.chooser.choose(self.sequence.append(&[token])?))
    }

    /// How many tokens were decoded, and whether nothing more was admitted.
    fn decode(
        &mut self,
        first: Option<Token>,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<(usize, bool)> {
        let max_tokens = self.chooser.params.max_tokens;
        let mut next = first;
        for decoded in 1..=max_tokens {
            let Some(token) = next else { return Ok((decoded - 1, true)) };
            if self.chooser.tokenizer.is_end(token) {
                return Ok((decoded, false));
            }
            self.text.bytes.extend_from_slice(self.chooser.take(token));
            if on_text(self.text.take()).is_break() || decoded == max_tokens {
                return Ok((decoded, false));
            }
            next = self.step(token)?;
        }
        Ok((max_tokens, false))
    }
}

/// What chooses each next token of one answer.
struct Chooser<'a> {
    tokenizer: &'a Tokenizer,
    params: &'a GenerateParams,
    /// The bytes of the answer so far.
    answer: Vec<u8>,
    /// The log-probability of the tokens chosen so far.
    likelihood: f32,
    forks: Vec<Fork>,
}

impl Chooser<'_> {
    /// The next token; none if nothing likely is admitted there.
    fn choose(&mut self, logits: &[f32]) -> Option<Token> {
        let (token, chance) = match &self.params.admits {
            None => {
                let (best, second) = sampler::best(logits);
                self.forks.extend(second.and_then(|(token, chance)| self.fork(token, chance, best.1 - chance)));
                best
            }
            // A character that is not complete yet decides nothing.
            Some(admits) => sampler::admitted(logits, &mut |token| {
                admits(self.with(token).utf8_chunks().next().map_or("", |chunk| chunk.valid()))
            })?,
        };
        self.likelihood += chance;
        Some(token)
    }

    /// The answer with `token` in place of the one taken, if that is likely enough and whole characters.
    fn fork(&self, token: Token, chance: f32, gap: f32) -> Option<Fork> {
        if gap > FAR {
            return None;
        }
        let mut text = self.with(token);
        if self.tokenizer.is_end(token) {
            text.push(b'\n');
        }
        Some(Fork { text: String::from_utf8(text).ok()?, likelihood: self.likelihood + chance, gap })
    }

    /// The bytes of the answer with `token` behind it.
    fn with(&self, token: Token) -> Vec<u8> {
        let mut longer = self.answer.clone();
        if !self.tokenizer.is_end(token) {
            self.tokenizer.write_piece(token, &mut longer);
        }
        longer
    }

    /// Puts `token` behind the answer; returns its bytes.
    fn take(&mut self, token: Token) -> &[u8] {
        let before = self.answer.len();
        self.tokenizer.write_piece(token, &mut self.answer);
        &self.answer[before..]
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
