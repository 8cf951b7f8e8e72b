//! The one sequence of tokens that a local engine holds: what it holds already is not computed again.
//!
//! A request is compared with it, and only what differs is run, so alternatives and requests that begin alike pay for
//! their own part alone. The prefix is computed by itself, not in one batch with what follows: so a request cancelled
//! behind it has not cost it.

use super::{Interrupt, Model, Token};
use crate::error::{Error, Result};

/// A [`Model`] and the tokens whose keys and values it holds.
pub(super) struct Sequence<M> {
    pub model: M,
    tokens: Vec<Token>,
}

impl<M: Model> Sequence<M> {
    pub(super) fn new(model: M) -> Self {
        Self { model, tokens: Vec::new() }
    }

    /// How many tokens it holds.
    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn begins_with(&self, tokens: &[Token]) -> bool {
        self.tokens.starts_with(tokens)
    }

    /// Makes it the beginning of `tokens`, as long a one as is there already, but not less than the first `prefix` of
    /// them. Returns how many were there.
    ///
    /// # Errors
    /// As of [`Sequence::append`].
    pub(super) fn align(&mut self, tokens: &[Token], prefix: usize) -> Result<usize> {
        let prefix = &tokens[..prefix.min(tokens.len())];
        let held = self.tokens.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        self.tokens.truncate(held);
        self.model.rewind(held)?;
        if held < prefix.len() {
            self.append(&prefix[held..])?;
        }
        Ok(held)
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
            Err(_) => self.tokens.clear(),
        }
        outcome
    }
}
