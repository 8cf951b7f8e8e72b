//! llama.cpp in-process: the CPU engine.
//!
//! The crate `llama-cpp-2` starts the library and its log; the model and its context are made through
//! `llama-cpp-sys-2`, for three things the safe crate does not offer and a request pays for (docs/measurements.md):
//! the vocabulary is not read a second time (our tokenizer has it), the weights are mapped or repacked but never both,
//! and the number of threads follows the machine from token to token.

use std::{
    ffi::{CStr, CString, OsStr, c_char, c_void},
    os::unix::ffi::OsStrExt,
    path::Path,
    ptr::NonNull,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use llama_cpp_2::{LogOptions, llama_backend::LlamaBackend, send_logs_to_tracing};
use llama_cpp_sys_2 as sys;

use super::{Interrupt, Model, Token, threads::Threads};
use crate::{
    error::{Context, Error, Result},
    model::{
        gguf::{Adapter, GgufFile},
        store::{Record, Stamp},
    },
    platform::Platform,
};

/// Most tokens of one sequence: the prompt, about 6 KB of request, the answer. Twice as many cost 25 ms at every start.
const CAPACITY: u32 = 2048;

/// Tokens computed in one call of prefill; larger ones gain nothing here and hold more memory.
const BATCH: u32 = 512;

/// Rows that ggml's kernels for repacked weights compute together on x86-64: 16 tokens take 199 ms, 12 to 15 of them 213
/// to 256 (docs/measurements.md). Elsewhere it computes 4 at a time and nothing is gained.
const ROWS: usize = 16;

/// Fewest tokens beyond a multiple of [`ROWS`] for which computing all the rows is quicker.
const FILLED_FROM: usize = if cfg!(target_arch = "x86_64") { 12 } else { ROWS };

/// How the weights are in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weights {
    /// Mapped from the file as they are: there at once.
    Mapped,
    /// Read, and laid out anew for the processor's vector instructions: slower to open, quicker in every step.
    Repacked,
}

/// Memory of a machine on which a second copy of the weights, for the time of repacking, is no burden: in copies.
const MEMORY_PER_MODEL: u64 = 6;

/// A file that was checked.
#[derive(Clone)]
struct Checked {
    path: CString,
    stamp: Stamp,
}

/// What a model was opened from.
#[derive(Clone)]
struct Source {
    model: Checked,
    architecture: &'static str,
    vocabulary: usize,
    /// The LoRA adapter, with its SHA-256.
    adapter: Option<(Checked, String)>,
}

/// One llama.cpp model with one context and one sequence.
pub struct LlamaModel {
    context: NonNull<sys::llama_context>,
    model: NonNull<sys::llama_model>,
    source: Source,
    weights: Weights,
    position: usize,
    threads: Threads,
    /// llama.cpp reads it: it lives as long as the context does.
    interrupt: Interrupt,
}

/// What the library is called in states that it saved: it changes with the C++ inside.
const RUNTIME: &str = "llama-cpp-sys-2 0.1.161";

/// What `llama_decode` returns where the abort callback has ended it.
const ABORTED: i32 = 2;

// SAFETY: neither handle is bound to a thread, and every call takes `&mut self` or owns the value.
unsafe impl Send for LlamaModel {}

impl LlamaModel {
    /// Loads the checked file at `path`, its weights mapped.
    ///
    /// # Errors
    /// The processor lacks an instruction set this build needs, or llama.cpp refuses the file or has no memory.
    pub fn open(path: &Path, file: &GgufFile, threads: Threads) -> Result<Self> {
        Self::open_with(path, file, threads, None)
    }

    /// As [`LlamaModel::open`], with a LoRA adapter.
    ///
    /// # Errors
    /// As there; the adapter does not hold up, does not fit the model, or has changed since it was recorded.
    pub fn open_with(path: &Path, file: &GgufFile, threads: Threads, adapter: Option<&Record>) -> Result<Self> {
        crate::platform::check_simd()?;
        start()?;
        let stamp = Stamp::of(path).context(|| format!("could not open model: {}", path.display()))?;
        let source = Source {
            model: Checked::new(path, stamp)?,
            architecture: file.architecture(),
            vocabulary: file.vocabulary(),
            adapter: adapter.map(|record| checked_adapter(record, file)).transpose()?,
        };
        Self::load(source, threads, Weights::Mapped, &|| false)
    }

    /// Loads the file of `source`, until `stop` says so.
    fn load(source: Source, threads: Threads, weights: Weights, stop: &dyn Fn() -> bool) -> Result<Self> {
        let overrides = no_vocabulary(source.architecture, source.vocabulary);
        // SAFETY: all pointers outlive the call; the list of overrides ends with an empty key, and the callback gets
        // what it expects.
        let model = unsafe {
            let mut params = sys::llama_model_default_params();
            params.use_extra_bufts = weights == Weights::Repacked;
            if weights == Weights::Repacked {
                // Mapped too, the file would stay in memory beside the copy: 1,787 MiB in place of 1,194.
                params.load_mode = sys::LLAMA_LOAD_MODE_NONE;
            }
            params.kv_overrides = overrides.as_ptr();
            params.progress_callback = Some(go_on);
            params.progress_callback_user_data = (&raw const stop).cast_mut().cast();
            sys::llama_model_load_from_file(source.model.path.as_ptr(), params)
        };
        let Some(model) = NonNull::new(model) else {
            let refused = format!("could not open model: {}: llama.cpp refused it", source.model.path().display());
            return Err(if stop() {
                Error::Cancelled
            } else {
                Error::new(refused).hint("set CMDAI_LOG=debug to see why")
            });
        };
        let context = match &source.adapter {
            Some((adapter, _)) => context_with(model, adapter),
            None => new_context(model),
        };
        let context = context.inspect_err(|_| unsafe {
            // SAFETY: the model has no context, and is not used after this.
            sys::llama_model_free(model.as_ptr());
        })?;
        Ok(Self { context, model, source, weights, position: 0, threads, interrupt: Interrupt::default() })
    }

    /// Whether repacking is worth its second: not where the work is a GPU's, nor where memory is scarce.
    fn gains_by_repacking(&self) -> bool {
        self.weights == Weights::Mapped && Platform::detect().memory / MEMORY_PER_MODEL >= self.source.model.stamp.size
    }

    /// Computes `tokens`, and the logits of the last one.
    fn decode(&mut self, tokens: &[Token]) -> Result<()> {
        let mut ids: Vec<sys::llama_token> = tokens.iter().map(|&token| token as sys::llama_token).collect();
        let last = ids.len() - 1;
        if ids.len() % ROWS >= FILLED_FROM && self.position + ids.len().next_multiple_of(ROWS) <= CAPACITY as usize {
            ids.resize(ids.len().next_multiple_of(ROWS), ids[last]);
        }
        let mut wants_logits = vec![0; ids.len()];
        wants_logits[last] = 1;
        let threads = self.threads.now() as i32;
        // SAFETY: both lists outlive the call, which copies them; the context is ours alone. A batch without positions
        // continues the sequence.
        let status = unsafe {
            sys::llama_set_n_threads(self.context.as_ptr(), threads, threads);
            let mut batch = sys::llama_batch_get_one(ids.as_mut_ptr(), ids.len() as i32);
            batch.logits = wants_logits.as_mut_ptr();
            sys::llama_decode(self.context.as_ptr(), batch)
        };
        if status == ABORTED {
            // It has dropped this batch's part of the cache; those before it stay.
            return Err(Error::Cancelled);
        }
        if status != 0 {
            return Err(Error::new(format!("llama.cpp could not compute {} tokens: status {status}", tokens.len())));
        }
        self.position += tokens.len();
        if ids.len() > tokens.len() { self.rewind(self.position) } else { Ok(()) }
    }
}

impl Model for LlamaModel {
    fn forward(&mut self, tokens: &[Token]) -> Result<&[f32]> {
        if tokens.is_empty() || tokens.iter().any(|&token| token as usize >= self.source.vocabulary) {
            return Err(Error::new("llama.cpp was given no token, or one outside the vocabulary"));
        }
        for chunk in tokens.chunks(BATCH as usize) {
            self.decode(chunk)?;
        }
        // SAFETY: after a successful decode the last token's logits are `vocabulary` floats that stay valid until the
        // next call on the context, which needs `&mut self`.
        unsafe {
            let logits = sys::llama_get_logits_ith(self.context.as_ptr(), -1);
            if logits.is_null() {
                return Err(Error::new("llama.cpp gave no logits"));
            }
            Ok(std::slice::from_raw_parts(logits, self.source.vocabulary))
        }
    }

    fn set_interrupt(&mut self, interrupt: Interrupt) {
        // SAFETY: the context is ours alone. The pointer is to a switch that `self.interrupt` keeps alive until the next
        // one is set, or the context is freed.
        unsafe {
            let switch = Arc::as_ptr(&interrupt.0).cast_mut().cast();
            sys::llama_set_abort_callback(self.context.as_ptr(), Some(is_set), switch);
        }
        self.interrupt = interrupt;
    }

    fn position(&self) -> usize {
        self.position
    }

    fn rewind(&mut self, to: usize) -> Result<()> {
        // SAFETY: the context is ours alone; -1 means up to the end.
        let done = unsafe {
            sys::llama_memory_seq_rm(sys::llama_get_memory(self.context.as_ptr()), 0, to as sys::llama_pos, -1)
        };
        if !done {
            return Err(Error::new(format!("llama.cpp could not drop the cache after token {to}")));
        }
        self.position = self.position.min(to);
        Ok(())
    }

    fn capacity(&self) -> usize {
        CAPACITY as usize
    }

    fn runtime(&self) -> String {
        match &self.source.adapter {
            Some((_, sha256)) => format!("{RUNTIME}, adapter {sha256}"),
            None => RUNTIME.into(),
        }
    }

    fn save(&mut self) -> Result<Vec<u8>> {
        // SAFETY: the context is ours alone, and the buffer has the size that llama.cpp asked for.
        let (state, written) = unsafe {
            let mut state = vec![0; sys::llama_state_seq_get_size(self.context.as_ptr(), 0)];
            let written = sys::llama_state_seq_get_data(self.context.as_ptr(), state.as_mut_ptr(), state.len(), 0);
            (state, written)
        };
        if written != state.len() {
            return Err(Error::new(format!("llama.cpp saved {written} bytes of state, wanted {}", state.len())));
        }
        Ok(state)
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.rewind(0)?;
        // SAFETY: the context is ours alone, and llama.cpp reads no further than the length given.
        let (read, last) = unsafe {
            let read = sys::llama_state_seq_set_data(self.context.as_ptr(), state.as_ptr(), state.len(), 0);
            (read, sys::llama_memory_seq_pos_max(sys::llama_get_memory(self.context.as_ptr()), 0))
        };
        if read != state.len() || state.is_empty() {
            return Err(Error::new(format!("llama.cpp took {read} of {} bytes of saved state", state.len())));
        }
        self.position = (last + 1) as usize;
        Ok(())
    }

    fn settle(&mut self, stop: &dyn Fn() -> bool) -> Result<()> {
        if !self.gains_by_repacking() {
            return Ok(());
        }
        self.source.model.check("open model again")?;
        let mut settled = Self::load(self.source.clone(), self.threads, Weights::Repacked, stop)?;
        self.source.model.check("open model again")?;
        if self.position > 0 {
            settled.restore(&self.save()?)?;
        }
        settled.set_interrupt(self.interrupt.clone());
        *self = settled;
        Ok(())
    }
}

/// llama.cpp asks this while it loads; false ends that.
unsafe extern "C" fn go_on(_progress: f32, stop: *mut c_void) -> bool {
    // SAFETY: it is the pointer that `load` gave, to a reference that outlives the loading.
    let stop = unsafe { *stop.cast::<&dyn Fn() -> bool>() };
    !stop()
}

/// ggml calls this before it ends the process, in place of writing to a terminal that is a shell's.
unsafe extern "C" fn log_abort(message: *const c_char) {
    // SAFETY: ggml's message is a C string of its own.
    let message = unsafe { CStr::from_ptr(message) };
    tracing::error!("{}", message.to_string_lossy());
}

/// llama.cpp asks this after each operation of its graph.
unsafe extern "C" fn is_set(switch: *mut c_void) -> bool {
    // SAFETY: it is the pointer that `set_interrupt` gave, to a switch that lives as long as llama.cpp has it.
    unsafe { &*switch.cast::<AtomicBool>() }.load(Ordering::Relaxed)
}

impl Drop for LlamaModel {
    fn drop(&mut self) {
        // SAFETY: both came from llama.cpp and are dropped once, the context before the model it reads.
        unsafe {
            sys::llama_free(self.context.as_ptr());
            sys::llama_model_free(self.model.as_ptr());
        }
    }
}

/// The library, started once in the process, its log going to `tracing`.
///
/// # Errors
/// It would not start.
pub fn start() -> Result<&'static LlamaBackend> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    let backend = BACKEND.get_or_init(|| {
        send_logs_to_tracing(LogOptions::default());
        // SAFETY: the function lives as long as the program, and gets what it expects.
        unsafe { sys::ggml_set_abort_callback(Some(log_abort)) };
        LlamaBackend::init().map_err(|error| error.to_string())
    });
    backend.as_ref().context(|| "could not start llama.cpp")
}

impl Checked {
    fn new(path: &Path, stamp: Stamp) -> Result<Self> {
        let text = CString::new(path.as_os_str().as_bytes());
        let path =
            text.map_err(|_| Error::new(format!("could not open file: {}: path holds a NUL", path.display())))?;
        Ok(Self { path, stamp })
    }

    fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.path.as_bytes()))
    }

    /// Refuses it if it has changed, which keeps us from `what`.
    fn check(&self, what: &str) -> Result<()> {
        let what = || format!("could not {what}: {}", self.path().display());
        if Stamp::of(self.path()).context(what)? == self.stamp {
            Ok(())
        } else {
            Err(Error::new(format!("{}: it has changed since it was checked", what())).hint("try again"))
        }
    }
}

/// The adapter of `record`, which fits the model of `file`, and its SHA-256.
fn checked_adapter(record: &Record, file: &GgufFile) -> Result<(Checked, String)> {
    Adapter::open(&record.path)?.check_fits(file)?;
    Ok((Checked::new(&record.path, record.stamp)?, record.sha256.clone()))
}

/// A context that computes with `adapter`. It is loaded first: the context's graph has room for what is there.
fn context_with(model: NonNull<sys::llama_model>, adapter: &Checked) -> Result<NonNull<sys::llama_context>> {
    // Before, for what llama.cpp reads to be what was checked; after, for it to be what has the digest.
    let unchanged = || adapter.check("use adapter");
    unchanged()?;
    // SAFETY: the model is live, and the path a C string.
    let lora = unsafe { sys::llama_adapter_lora_init(model.as_ptr(), adapter.path.as_ptr()) };
    if lora.is_null() {
        let refused = format!("could not use adapter: {}: llama.cpp refused it", adapter.path().display());
        return Err(Error::new(refused).hint("set CMDAI_LOG=debug to see why"));
    }
    unchanged()?;
    let context = new_context(model)?;
    // SAFETY: both lists have one element and outlive the call, which copies them. The adapter is the model's, which
    // frees it, and outlives the context.
    unsafe { sys::llama_set_adapters_lora(context.as_ptr(), [lora].as_mut_ptr(), 1, [1.0].as_mut_ptr()) };
    Ok(context)
}

fn new_context(model: NonNull<sys::llama_model>) -> Result<NonNull<sys::llama_context>> {
    // SAFETY: the model is live and outlives the context: `LlamaModel` frees the context first.
    let context = unsafe {
        let mut params = sys::llama_context_default_params();
        params.n_ctx = CAPACITY;
        params.n_batch = BATCH;
        params.n_ubatch = BATCH;
        sys::llama_init_from_model(model.as_ptr(), params)
    };
    NonNull::new(context).ok_or_else(|| {
        Error::new("llama.cpp could not make a context: out of memory?").hint("free some memory and try again")
    })
}

/// Overrides that keep llama.cpp from reading the file's vocabulary: 190 of the 280 ms that opening the 1.5B model
/// took. It then knows the tokens by number only, which is all that inference needs.
fn no_vocabulary(architecture: &str, vocabulary: usize) -> [sys::llama_model_kv_override; 3] {
    // SAFETY: the type is plain data for which all zeros is the list's end mark.
    let mut list: [sys::llama_model_kv_override; 3] = unsafe { std::mem::zeroed() };
    list[0].tag = sys::LLAMA_KV_OVERRIDE_TYPE_STR;
    write_c(&mut list[0].key, "tokenizer.ggml.model");
    // SAFETY: the tag says that the string of the union is the one in use.
    write_c(unsafe { &mut list[0].__bindgen_anon_1.val_str }, "none");
    list[1].tag = sys::LLAMA_KV_OVERRIDE_TYPE_INT;
    write_c(&mut list[1].key, &format!("{architecture}.vocab_size"));
    list[1].__bindgen_anon_1.val_i64 = vocabulary as i64;
    list
}

/// Copies `text` into a zeroed C buffer, always leaving the final NUL.
fn write_c(buffer: &mut [c_char; 128], text: &str) {
    for (to, from) in buffer.iter_mut().take(127).zip(text.bytes()) {
        *to = from as c_char;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtime_of_saved_states_is_the_one_linked() {
        assert!(crate::engine::is_locked(RUNTIME), "Cargo.lock has no {RUNTIME}");
    }
}
