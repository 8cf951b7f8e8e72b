//! The one sequence of tokens that a local engine holds: what was computed once is not computed again.
//!
//! A request is compared with it, and only what differs is run, so alternatives and requests that begin alike pay for
//! their own part alone. A prefix that it does not hold comes from disk, if it was ever computed. It is computed by
//! itself, not in one batch with what follows: a request cancelled behind it has not cost it, and a prefix from disk
//! gives to the bit what it gives at first.

use std::time::Instant;

use super::{Interrupt, Model, Token, prefix_cache::PrefixCache};
use crate::error::{Error, Result};

/// A [`Model`] and the tokens whose keys and values it holds.
pub(super) struct Sequence<M> {
    pub model: M,
    tokens: Vec<Token>,
    disk: Option<PrefixCache>,
    /// The length of the prompt run last, and the logits after it.
    prompt: Option<(usize, Vec<f32>)>,
    /// A prefix and its state, to be written when nobody waits for the answer any more.
    unwritten: Option<(Vec<Token>, Vec<u8>)>,
}

impl<M: Model> Sequence<M> {
    /// Of `model`, its prefixes kept on `disk`, if anywhere.
    pub(super) fn new(model: M, disk: Option<PrefixCache>) -> Self {
        Self { model, tokens: Vec::new(), disk, prompt: None, unwritten: None }
    }

    pub(super) fn begins_with(&self, tokens: &[Token]) -> bool {
        self.tokens.starts_with(tokens)
    }

    /// Makes it `tokens` (not empty), the first `prefix` of them their prefix. Returns how many did not have to be
    /// computed, and the logits after the last.
    ///
    /// # Errors
    /// As of [`Sequence::append`].
    pub(super) fn run_prompt(&mut self, tokens: &[Token], prefix: usize) -> Result<(usize, &[f32])> {
        let again = self.prompt.take().filter(|(length, _)| *length == tokens.len() && self.begins_with(tokens));
        let (cached, logits) = match again {
            Some((length, logits)) => {
                self.truncate(length)?;
                (length, logits)
            }
            None => {
                // The last token is run even if it is held: its logits are wanted.
                let before = &tokens[..tokens.len() - 1];
                let cached = self.align(before, prefix)?;
                (cached, self.append(&tokens[self.tokens.len()..])?.to_vec())
            }
        };
        Ok((cached, &self.prompt.insert((tokens.len(), logits)).1))
    }

    /// Makes it the beginning of `tokens`, as long a one as is there already, but not less than the first `prefix` of
    /// them. Returns how many were there.
    fn align(&mut self, tokens: &[Token], prefix: usize) -> Result<usize> {
        let prefix = &tokens[..prefix.min(tokens.len())];
        if !self.begins_with(prefix) {
            self.restore(prefix);
        }
        let held = self.tokens.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        self.truncate(held)?;
        if held < prefix.len() {
            self.append(&prefix[held..])?;
            self.save(prefix);
        }
        Ok(held)
    }

    fn truncate(&mut self, length: usize) -> Result<()> {
        self.tokens.truncate(length);
        self.model.rewind(length)
    }

    /// Takes `prefix` from disk, if it is there. What a failing runtime leaves is no beginning of anything.
    fn restore(&mut self, prefix: &[Token]) {
        let start = Instant::now();
        let Some(kept) = self.disk.as_ref().and_then(|disk| disk.read(prefix)) else { return };
        self.tokens.clear();
        match self.model.restore(kept.state()) {
            Ok(()) if self.model.position() == prefix.len() => {
                self.tokens.extend_from_slice(prefix);
                tracing::debug!(tokens = prefix.len(), took = ?start.elapsed(), "took a prefix from disk");
            }
            Ok(()) => tracing::warn!("a prefix from disk has {} tokens", self.model.position()),
            Err(error) => tracing::warn!("computing a prefix again: {error}"),
        }
    }

    /// Copies the state, which is that of `prefix`; the slower part of keeping it can wait.
    fn save(&mut self, prefix: &[Token]) {
        if self.disk.is_none() {
            return;
        }
        match self.model.save() {
            Ok(state) => self.unwritten = Some((prefix.to_vec(), state)),
            Err(error) => tracing::warn!("could not keep a prefix: {error}"),
        }
    }

    fn write(&mut self) {
        if let (Some(disk), Some((prefix, state))) = (&self.disk, self.unwritten.take()) {
            let start = Instant::now();
            disk.write(&prefix, &state);
            tracing::debug!(bytes = state.len(), took = ?start.elapsed(), "wrote a prefix to disk");
        }
    }

    /// Appends `tokens` (not empty) and returns the logits after them.
    ///
    /// # Errors
    /// As of [`Model::forward`]; [`Sequence::run`] then sees to what it holds.
    pub(super) fn append(&mut self, tokens: &[Token]) -> Result<&[f32]> {
        self.tokens.extend_from_slice(tokens);
        self.model.forward(tokens)
    }

    /// Lets `work` run until `interrupt` is set, and keeps of the sequence what is known to be good after it.
    pub(super) fn run<T>(&mut self, interrupt: &Interrupt, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.model.set_interrupt(interrupt.clone());
        let outcome = work(self);
        match outcome {
            Ok(_) => {}
            Err(Error::Cancelled) => self.tokens.truncate(self.model.position()),
            // What the model's cache holds now is not known: the next request starts from nothing.
            Err(_) => {
                self.tokens.clear();
                self.unwritten = None;
            }
        }
        self.write();
        outcome
    }
}
