//! Engines turn a prompt into text. The decode loop, the sampler and the stop rules are written once, in
//! [`generate`], over the small trait [`Model`] that each local runtime implements. [`remote`] asks a server, and only
//! where it was asked for by name.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    error::{Error, Result},
    model::store::{self, Record},
};

pub mod generate;
#[cfg(feature = "llama")]
pub mod llama;
#[cfg(mlx)]
pub mod mlx;
pub mod prefix_cache;
pub mod remote;
mod sampler;
mod sequence;
pub mod threads;

pub use crate::model::tokenizer::Token;

/// One run of prompt text. The difference matters: `<|im_end|>` inside [`Piece::Text`] is ten plain characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A special token, by its exact name in the vocabulary.
    Special(&'static str),
    /// Plain text, tokenised with special tokens off.
    Text(String),
}

/// A prompt in two parts: what is the same for every request of a kind, and the rest. The cut falls on a special token or
/// behind a line break, so that tokenising the parts apart gives the same tokens as tokenising them together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    pub prefix: Vec<Piece>,
    pub tail: Vec<Piece>,
}

/// Ends what an engine computes, from another thread. Clones are one switch; it does not go back.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    pub fn set(&self) {
        // It orders nothing else: what is computed after it is only thrown away.
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether an answer may begin with a text.
pub type Admits = Rc<dyn Fn(&str) -> bool>;

/// How to generate: the likeliest answer, where nothing else is said.
#[derive(Clone, Default)]
pub struct GenerateParams {
    /// Most tokens to decode.
    pub max_tokens: usize,
    /// An answer by chance, of this seed. Only a server is asked for one; a local engine reports [`Usage::forks`].
    pub draw: Option<u64>,
    /// Once it is set the generation ends with [`Error::Cancelled`].
    pub interrupt: Interrupt,
    /// What the answer may begin with: a token that leads elsewhere gives way to the likeliest that does not. A remote
    /// engine, which reports no [`Usage::likelihood`], knows nothing of it.
    pub admits: Option<Admits>,
}

/// Where an answer could have gone on otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Fork {
    /// The answer up to there and the second likeliest token behind it; a line break where it would have ended.
    pub text: String,
    /// The log-probability of that text.
    pub likelihood: f32,
    /// By how much the token taken was likelier, in natural logarithms.
    pub gap: f32,
}

/// What an engine reports of one generation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// 0 where a server does not tell.
    pub prompt_tokens: usize,
    /// Those of the prompt whose keys and values were there already, in memory or on disk; 0 where a server does not tell.
    pub cached_tokens: usize,
    /// Of a server that does not tell: the pieces of text it sent, which are about that many.
    pub decoded_tokens: usize,
    /// The text ends because of [`GenerateParams::max_tokens`].
    pub cut: bool,
    /// The text ends because of [`GenerateParams::admits`]: nothing that is likely was admitted.
    pub stuck: bool,
    /// How likely the model held its answer: its log-probability (natural logarithm, temperature 1), the sum of its
    /// tokens'. None where a server does not tell.
    pub likelihood: Option<f32>,
    /// Where it was about to write something else, in the order of the text. None where a server does not tell, and none
    /// where not everything was admitted.
    pub forks: Vec<Fork>,
    pub prefill_ms: f64,
    pub decode_ms: f64,
}

/// What the pipeline asks of any engine, local or remote: a prompt in, text out piece by piece.
pub trait Engine {
    /// Generates for `prompt`. `on_text` gets each new piece of text and may stop the generation.
    ///
    /// # Errors
    /// The prompt does not fit the context, the interrupt was set, or the runtime failed.
    fn generate(
        &mut self,
        prompt: &Prompt,
        params: &GenerateParams,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Usage>;

    /// Computes `prompt` and answers nothing, for the time in which a person still types: the same prompt has nothing
    /// left to compute then, and one that begins alike has less. An engine that keeps nothing has nothing to do.
    ///
    /// # Errors
    /// The interrupt was set, or the runtime failed.
    fn prepare(&mut self, _prompt: &Prompt, _interrupt: &Interrupt) -> Result<()> {
        Ok(())
    }

    /// Spends a moment in which nobody waits on what makes later answers quicker, until `stop` says that somebody does.
    ///
    /// # Errors
    /// It was stopped, or failed; the engine is as before.
    fn settle(&mut self, _stop: &dyn Fn() -> bool) -> Result<()> {
        Ok(())
    }
}

/// What a local runtime offers below [`Engine`]: one sequence of tokens with its key-value cache.
pub trait Model {
    /// Appends `tokens` (not empty) to the sequence and returns the logits of the last position, `(vocabulary,)`.
    ///
    /// # Errors
    /// The context is full, or the runtime failed; the sequence is then unspecified until [`Model::rewind`] to 0. After
    /// [`Error::Cancelled`] it is what it was, and perhaps the first of `tokens`, up to [`Model::position`].
    fn forward(&mut self, tokens: &[Token]) -> Result<&[f32]>;

    /// From now on [`Model::forward`] ends early with [`Error::Cancelled`] once `interrupt` is set.
    fn set_interrupt(&mut self, interrupt: Interrupt);

    /// How many tokens the sequence holds.
    fn position(&self) -> usize;

    /// Cuts the sequence back to its first `to` tokens.
    ///
    /// # Errors
    /// The runtime cannot drop that part of its cache.
    fn rewind(&mut self, to: usize) -> Result<()>;

    /// Most tokens the sequence can hold.
    fn capacity(&self) -> usize;

    /// What computes, as far as saved states depend on it: the library with its version, the floats it is set to, and a
    /// LoRA adapter.
    fn runtime(&self) -> String;

    /// The sequence's key-value cache as bytes, for [`Model::restore`] of the same engine on the same model.
    ///
    /// # Errors
    /// The runtime failed.
    fn save(&mut self) -> Result<Vec<u8>>;

    /// Takes a saved sequence in place of the present one. The bytes are as trustworthy as the model's own file: who
    /// kept them somewhere checks them first.
    ///
    /// # Errors
    /// They are of another model, or hold more than [`Model::capacity`]; the sequence is then unspecified until
    /// [`Model::rewind`] to 0.
    fn restore(&mut self, state: &[u8]) -> Result<()>;

    /// As [`Engine::settle`]; the sequence stays.
    ///
    /// # Errors
    /// It was stopped, or failed; the model is as before.
    fn settle(&mut self, _stop: &dyn Fn() -> bool) -> Result<()> {
        Ok(())
    }
}

/// The engine that sends the prompt to a server: never chosen, only asked for.
pub const REMOTE: &str = "remote";

/// The engine that runs everywhere, and the only one for LoRA adapters.
const LLAMA_CPP: &str = "llama.cpp";

/// Every engine there is; which of them are here is another matter.
const NAMES: [&str; 3] = ["mlx", LLAMA_CPP, REMOTE];

/// The engines compiled into this program that compute on this machine, best first. MLX on a CPU is for tests:
/// llama.cpp is many times as fast.
pub const BUILT_IN: &[&str] = &[
    #[cfg(all(mlx, not(feature = "mlx-linux")))]
    "mlx",
    #[cfg(feature = "llama")]
    LLAMA_CPP,
    #[cfg(feature = "mlx-linux")]
    "mlx",
];

/// Folder of the cache in which MLX's weights lie, packed.
const PACKED: &str = "mlx";

/// Folder of the cache in which the key-value caches of prefixes lie.
const PREFIXES: &str = "prefix";

/// What the person has set of the engine.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Threads to compute with, where the engine has a choice.
    pub threads: Option<usize>,
    /// Directory for what is worth keeping from one start to the next, if there can be one.
    pub cache: Option<PathBuf>,
    /// The LoRA adapter to compute with, if there is one.
    pub lora: Option<Record>,
}

/// The engine that runs, and why this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub name: &'static str,
    pub why: String,
}

/// Chooses an engine: the one asked for by name (`llama` is short for `llama.cpp`), else the best for the machine.
///
/// # Errors
/// The one asked for is unknown or not built in, or none is built in and none was asked for.
pub fn choose(requested: Option<&str>) -> Result<Choice> {
    let Some(wanted) = requested else {
        let name = BUILT_IN.first().ok_or_else(|| Error::new("no engine is built in").hint("run ./install.sh"))?;
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        return Ok(Choice { name, why: format!("the best of the engines built in for {os} {arch}") });
    };
    let here: Vec<&'static str> = BUILT_IN.iter().copied().chain([REMOTE]).collect();
    let is_it = |name: &&str| *name == wanted || name.split('.').next() == Some(wanted);
    match here.iter().copied().find(is_it) {
        Some(name) => Ok(Choice { name, why: "asked for".into() }),
        None => {
            let why = if NAMES.iter().any(is_it) { "is not built in" } else { "is unknown" };
            Err(Error::usage(format!("engine {wanted:?} {why}")).hint(format!("choose one of: {}", here.join(", "))))
        }
    }
}

/// Opens `model`, a verified file, on the engine of that `name`.
///
/// # Errors
/// An engine without model files or adapters, a file that does not hold up, a processor that lacks what this build
/// needs, no memory.
pub fn open(model: &Record, name: &str, settings: &Settings) -> Result<Box<dyn Engine>> {
    tracing::info!(engine = name, model = %model.path.display(), "opening");
    if settings.lora.is_some() {
        check_takes_adapters(name)?;
    }
    match name {
        #[cfg(mlx)]
        "mlx" => open_mlx(model, settings),
        #[cfg(feature = "llama")]
        LLAMA_CPP => open_llama(model, settings),
        other => Err(Error::new(format!("engine {other} cannot open {}", model.path.display()))),
    }
}

/// Refuses an engine of that `name` that knows nothing of LoRA adapters.
///
/// # Errors
/// It is one.
pub fn check_takes_adapters(name: &str) -> Result<()> {
    match name {
        LLAMA_CPP => Ok(()),
        other => Err(Error::usage(format!("the engine {other} takes no LoRA adapter"))
            .hint("choose the one that does, --engine llama, or leave the adapter out")),
    }
}

/// Tokens that [`bare_rates`] computes one by one.
const ONE_BY_ONE: Token = 24;

/// How fast an engine computes by itself: no prompt, no tokenizer, no text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BareRates {
    /// Tokens a second, computed together.
    pub prefill: f64,
    /// Tokens a second, one after the other.
    pub decode: f64,
    /// Bytes of weights that a decoded token reads: all but the embeddings that it does not look up.
    pub bytes_per_token: f64,
}

/// Opens `model` on the engine of that `name` and lets it compute `together` tokens (not 0) at once, then
/// [`ONE_BY_ONE`] one by one.
///
/// # Errors
/// As of [`open`] and [`Model::forward`].
pub fn bare_rates(model: &Record, name: &str, settings: &Settings, together: usize) -> Result<BareRates> {
    let file = crate::model::gguf::GgufFile::open(&model.path)?;
    let (prefill, decode) = match name {
        #[cfg(mlx)]
        "mlx" => rates(mlx::MlxModel::open(&file, &model.sha256, packed(settings).as_deref())?, together),
        #[cfg(feature = "llama")]
        LLAMA_CPP => rates(llama_model(model, &file, settings)?, together),
        other => Err(Error::new(format!("engine {other} cannot open {}", model.path.display()))),
    }?;
    let weights: usize = file.tensors().iter().map(|tensor| tensor.range().len()).sum();
    // Without a matrix of its own for the output, the embeddings serve as it and are read whole.
    let looked_up = file.tensor("output.weight").and_then(|_| file.tensor("token_embd.weight"));
    let looked_up = looked_up.map_or(0, |tensor| tensor.range().len());
    Ok(BareRates { prefill, decode, bytes_per_token: (weights - looked_up) as f64 })
}

/// Tokens a second of prefill and of decoding, the better of two runs: the first reads the weights from the disk.
#[cfg(any(mlx, feature = "llama"))]
fn rates(mut model: impl Model, together: usize) -> Result<(f64, f64)> {
    model.settle(&|| false)?;
    // Any tokens do: the time does not depend on them.
    let tokens: Vec<Token> = (0..together as Token).collect();
    let mut best = (0.0f64, 0.0f64);
    for _ in 0..2 {
        model.rewind(0)?;
        let start = std::time::Instant::now();
        model.forward(&tokens)?;
        let prefill = together as f64 / start.elapsed().as_secs_f64();
        let start = std::time::Instant::now();
        for token in 0..ONE_BY_ONE {
            model.forward(&[token])?;
        }
        let decode = f64::from(ONE_BY_ONE) / start.elapsed().as_secs_f64();
        best = (best.0.max(prefill), best.1.max(decode));
    }
    Ok(best)
}

/// The folders of `cache` in which engines keep files, made where they can be.
pub fn folders(cache: &Path) -> Vec<PathBuf> {
    let names = [
        PREFIXES,
        #[cfg(mlx)]
        PACKED,
    ];
    names.map(|name| cache.join(name)).into_iter().filter(|path| store::make_private(path).is_ok()).collect()
}

/// Deletes what engines keep in `cache` of the model whose SHA-256 is `model`. Only a cache: what cannot be deleted stays.
pub fn forget(cache: &Path, model: &str) {
    for folder in [PACKED, PREFIXES] {
        remove_files(&cache.join(folder), &format!("{model}-"), None);
    }
}

/// Deletes the files of `directory` whose names begin with `stem`, but not `kept`.
fn remove_files(directory: &Path, stem: &str, kept: Option<&Path>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(stem) && Some(entry.path().as_path()) != kept {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(mlx)]
fn open_mlx(model: &Record, settings: &Settings) -> Result<Box<dyn Engine>> {
    open_local(model, settings, |file| mlx::MlxModel::open(file, &model.sha256, packed(settings).as_deref()))
}

#[cfg(mlx)]
fn packed(settings: &Settings) -> Option<PathBuf> {
    settings.cache.as_ref().map(|cache| cache.join(PACKED))
}

#[cfg(feature = "llama")]
fn open_llama(model: &Record, settings: &Settings) -> Result<Box<dyn Engine>> {
    open_local(model, settings, |file| llama_model(model, file, settings))
}

#[cfg(feature = "llama")]
fn llama_model(model: &Record, file: &crate::model::gguf::GgufFile, settings: &Settings) -> Result<llama::LlamaModel> {
    llama::LlamaModel::open_with(&model.path, file, threads(settings), settings.lora.as_ref())
}

#[cfg(feature = "llama")]
fn threads(settings: &Settings) -> threads::Threads {
    let following = || {
        let platform = crate::platform::Platform::detect();
        threads::Threads::following(platform.cores, platform.processors)
    };
    settings.threads.map_or_else(following, threads::Threads::fixed)
}

/// A runtime and our tokenizer read different parts of the file: side by side, the shorter one costs nothing.
#[cfg(any(mlx, feature = "llama"))]
fn open_local<M: Model + 'static>(
    record: &Record,
    settings: &Settings,
    open: impl FnOnce(&crate::model::gguf::GgufFile) -> Result<M>,
) -> Result<Box<dyn Engine>> {
    use std::thread;

    use self::generate::LocalEngine;
    use crate::model::{gguf::GgufFile, tokenizer::Tokenizer};

    let file = GgufFile::open(&record.path)?;
    let read = || Tokenizer::from_gguf(&file);
    let (model, tokenizer) = thread::scope(|scope| {
        // Where there is no memory for another thread, this one does both.
        let beside = thread::Builder::new().spawn_scoped(scope, read);
        let model = open(&file);
        let failed = |_| Err(Error::new("the tokenizer failed"));
        (model, beside.map_or_else(|_| read(), |tokenizer| tokenizer.join().unwrap_or_else(failed)))
    });
    let (model, tokenizer) = (model?, tokenizer?);
    Ok(Box::new(match &settings.cache {
        Some(cache) => LocalEngine::with_prefix_cache(model, tokenizer, cache.join(PREFIXES), &record.sha256),
        None => LocalEngine::new(model, tokenizer),
    }))
}

/// Whether Cargo.lock has this `NAME VERSION`.
#[cfg(all(test, any(mlx, feature = "llama")))]
fn is_locked(package: &str) -> bool {
    let (name, version) = package.split_once(' ').expect("a name and a version");
    include_str!("../../Cargo.lock").contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_that_is_unknown_or_not_built_in_is_refused_by_name() {
        let absent = NAMES.into_iter().filter(|name| !BUILT_IN.contains(name) && *name != REMOTE);
        for (name, why) in absent.map(|name| (name, "is not built in")).chain([("cuda", "is unknown")]) {
            let error = choose(Some(name)).expect_err(name);
            assert_eq!((error.exit_code(), error.to_string()), (2, format!("engine {name:?} {why}")));
            assert!(error.next_step().unwrap().ends_with("remote"), "{error:?}");
        }
    }

    #[test]
    fn remote_engine_is_there_in_every_build_and_never_chosen_by_itself() {
        assert_eq!(choose(Some("remote")).unwrap().name, REMOTE);
        assert!(!BUILT_IN.contains(&REMOTE));
        assert!(choose(None).is_ok_and(|choice| choice.name != REMOTE) || BUILT_IN.is_empty());
    }

    #[test]
    fn short_and_long_name_mean_the_same_engine() {
        for name in BUILT_IN {
            let short = name.split('.').next();
            assert_eq!(choose(short).unwrap().name, *name);
        }
    }
}
