//! MLX in-process: the engine of Apple Silicon, through the crate `mlx-rs`.
//!
//! [`repack`] and [`weights`] bring the GGUF file's weights into MLX's form, [`decoder`] is the transformer, [`kv_cache`]
//! what it remembers. What runs on Metal also runs on MLX's CPU backend, where the tests hold it against references; the
//! only difference is the float: 16 bits on a GPU, 32 on a CPU, which would accumulate in 16.
//!
//! MLX's streams belong to a thread, so a model is used on the thread that opened it: [`MlxModel`] cannot be sent.

mod bytes;
pub mod decoder;
mod kernels;
pub mod kv_cache;
pub mod layout;
pub mod repack;
pub mod weights;

use std::{
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use mlx_rs::{Array, Device, DeviceType, error::Exception, memory, ops::indexing::argmax, transforms::async_eval};

use self::{
    decoder::{Decoder, Hyperparameters},
    kv_cache::KvCache,
    repack::Float,
};
use super::{Interrupt, Model, Token};
use crate::{
    error::{Context, Error, Result},
    model::gguf::GgufFile,
};

/// What the library is called in states that it saved: its version pins MLX's.
const RUNTIME: &str = "mlx-sys 0.7.0";

/// Most tokens of one sequence, as in llama.cpp.
const CAPACITY: usize = 2048;

/// Tokens computed in one graph: bounds what prefill holds at once.
const CHUNK: usize = 512;

/// Freed buffers that MLX keeps for reuse. A step of decoding needs little; what prefill freed is better given back.
const KEPT_BUFFERS: usize = 8 << 20;

/// Room beside the weights for the cache, a chunk of prefill and [`KEPT_BUFFERS`].
const WORKING_MEMORY: usize = 1 << 30;

/// The next step where this engine cannot compute a model.
const OTHER_ENGINE: &str = "use another model, or the other engine: --engine llama";

/// One model with one sequence.
pub struct MlxModel {
    decoder: Decoder,
    cache: KvCache,
    float: Float,
    vocabulary: usize,
    position: usize,
    logits: Option<Array>,
    /// Whether the next step is begun before its token is known.
    run_ahead: bool,
    ahead: Option<Ahead>,
    interrupt: Interrupt,
    not_send: PhantomData<*const ()>,
}

/// The step after the last one, begun on the most likely token.
struct Ahead {
    token: Array,
    logits: Array,
}

impl MlxModel {
    /// Opens the checked `file`, whose SHA-256 is `sha256`; `cache` is where packed weights are kept.
    ///
    /// # Errors
    /// MLX does not start, a tensor or setting that this engine does not compute with, or no memory.
    pub fn open(file: &GgufFile, sha256: &str, cache: Option<&Path>) -> Result<Self> {
        let float = start()?;
        let what = || format!("could not open model: {}", file.path().display());
        guarded(|| {
            let hyper = Hyperparameters::of(file).context(what).map_err(|error| error.hint(OTHER_ENGINE))?;
            let arrays = weights::load(file, sha256, float, cache)?;
            let decoder = Decoder::new(hyper, arrays).context(what)?;
            limit_memory().map_err(failed)?;
            Ok(Self {
                cache: decoder.cache(float),
                decoder,
                float,
                vocabulary: file.vocabulary(),
                position: 0,
                logits: None,
                // On a GPU the host builds a graph while the last one runs. On a CPU both want the same cores, and the
                // step begun after the last token is lost time.
                run_ahead: float == Float::F16,
                ahead: None,
                interrupt: Interrupt::default(),
                not_send: PhantomData,
            })
        })
    }

    /// Turns running ahead on or off; off is the default on a CPU.
    pub fn set_run_ahead(&mut self, on: bool) {
        self.run_ahead = on;
    }

    /// The transformer below.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    fn drop_ahead(&mut self) {
        self.ahead = None;
        self.cache.rewind(self.position);
    }

    /// The logits after `tokens`, which are appended to the sequence, as far as the interrupt lets them.
    fn advance(&mut self, tokens: &[Token]) -> Result<Array> {
        if let Some(ahead) = self.ahead.take() {
            if let [token] = tokens
                && ahead.token.try_item_exact::<u32>().is_ok_and(|guess| guess == *token)
            {
                self.position += 1;
                return Ok(ahead.logits);
            }
            self.cache.rewind(self.position);
        }
        let (leading, rest) = tokens.split_at((tokens.len() - 1) / CHUNK * CHUNK);
        for chunk in leading.chunks(CHUNK) {
            self.go_on()?;
            self.compute(chunk).map_err(failed)?;
            self.position += chunk.len();
        }
        self.go_on()?;
        let logits = self.logits_after(rest).map_err(failed)?;
        self.position += rest.len();
        Ok(logits)
    }

    fn go_on(&self) -> Result<()> {
        if self.interrupt.is_set() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Computes the keys and values of one chunk of prefill.
    fn compute(&mut self, chunk: &[Token]) -> Result<(), Exception> {
        self.decoder.hidden(&ids(chunk), &mut self.cache)?;
        self.cache.eval()?;
        memory::clear_cache()
    }

    fn logits_after(&mut self, tokens: &[Token]) -> Result<Array, Exception> {
        let hidden = self.decoder.hidden(&ids(tokens), &mut self.cache)?;
        self.decoder.logits(&hidden)
    }

    /// Begins the next step on the token that `logits` make most likely.
    fn begin_next(&mut self, logits: &Array) -> Result<(), Exception> {
        async_eval([logits])?;
        let token = argmax(logits, None)?.reshape(&[1])?;
        let hidden = self.decoder.hidden(&token, &mut self.cache)?;
        let next = self.decoder.logits(&hidden)?;
        async_eval([&next])?;
        self.ahead = Some(Ahead { token, logits: next });
        Ok(())
    }
}

impl Model for MlxModel {
    fn forward(&mut self, tokens: &[Token]) -> Result<&[f32]> {
        if tokens.is_empty() || tokens.iter().any(|&token| token as usize >= self.vocabulary) {
            return Err(Error::new("MLX was given no token, or one outside the vocabulary"));
        }
        if tokens.len() > CAPACITY - self.position {
            return Err(Error::new(format!("the context is full: {CAPACITY} tokens")));
        }
        self.logits = None;
        let logits = guarded(|| {
            let logits = self.advance(tokens)?;
            if self.run_ahead && self.position < CAPACITY {
                self.begin_next(&logits).map_err(failed)?;
            }
            logits.eval().map_err(failed)?;
            Ok(logits)
        })?;
        self.logits.insert(logits).try_as_slice().context(|| "MLX gave no logits")
    }

    fn set_interrupt(&mut self, interrupt: Interrupt) {
        self.interrupt = interrupt;
    }

    fn position(&self) -> usize {
        self.position
    }

    fn rewind(&mut self, to: usize) -> Result<()> {
        self.position = self.position.min(to);
        self.drop_ahead();
        Ok(())
    }

    fn capacity(&self) -> usize {
        CAPACITY
    }

    fn runtime(&self) -> String {
        format!("{RUNTIME}, {:?}", self.float)
    }

    fn save(&mut self) -> Result<Vec<u8>> {
        self.drop_ahead();
        guarded(|| self.cache.save().context(|| "could not save the key-value cache"))
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.drop_ahead();
        guarded(|| self.cache.restore(state, CAPACITY).context(|| "could not restore a key-value cache"))?;
        self.position = self.cache.length();
        Ok(())
    }
}

/// Starts MLX and says which float its device wants.
///
/// # Errors
/// MLX has no device that it can use.
pub fn start() -> Result<Float> {
    guarded(kernels::use_installed)?;
    // The first operation makes mlx-rs install its error handler. Without it MLX's first error would print to stdout,
    // where a widget would take it for the command, and exit; this operation makes none.
    guarded(|| memory::active_memory().map_err(failed))?;
    guarded(|| match Device::try_default().and_then(|device| device.get_type()).map_err(failed)? {
        DeviceType::Gpu => Ok(Float::F16),
        DeviceType::Cpu => Ok(Float::F32),
    })
}

/// Keeps the process near the size of the weights, which are all loaded now.
fn limit_memory() -> Result<(), Exception> {
    let weights = memory::active_memory()?;
    memory::set_cache_limit(KEPT_BUFFERS)?;
    memory::set_memory_limit(weights + WORKING_MEMORY)?;
    // Only Metal on macOS 15 or later keeps memory wired; elsewhere the refusal means nothing.
    if let Err(refusal) = memory::set_wired_limit(weights + KEPT_BUFFERS) {
        tracing::debug!("no memory is wired: {}", message(&refusal));
    }
    Ok(())
}

fn ids(tokens: &[Token]) -> Array {
    Array::from_slice(tokens, &[tokens.len() as i32])
}

/// Runs `work`, in which mlx-rs may panic where MLX refuses: that too ends one request, not the process.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
        Err(Error::new(format!("MLX failed: {}", text.unwrap_or("for no stated reason"))))
    })
}

fn failed(exception: Exception) -> Error {
    Error::new(format!("MLX failed: {}", message(&exception)))
}

/// What MLX said, without the place in its source, which names the machine that it was built on.
fn message(exception: &Exception) -> &str {
    let text = exception.what();
    text.rfind(" at /").map_or(text, |at| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtime_of_saved_states_is_the_one_linked() {
        assert!(crate::engine::is_locked(RUNTIME), "Cargo.lock has no {RUNTIME}");
    }
}
