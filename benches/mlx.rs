//! The MLX engine by its parts: opening with and without packed weights, memory, prefill, decode, and how much of a step
//! the host spends on building the graph.
//!
//! `cargo bench --bench mlx -- MODEL.gguf [PROMPT_TOKENS] [DECODED_TOKENS] [DIRECTORY]` prints one line of JSON. In
//! DIRECTORY, if given, it leaves the packed weights and the logits of each step, `logits.f32`, which `benches/mlx-lm`
//! puts beside those of Apple's own mlx-lm on the same weights.

#[cfg(not(mlx))]
fn main() {
    eprintln!("MLX is not part of this build: on Linux it takes --features mlx-linux and src/engine/mlx/link/link");
}

#[cfg(mlx)]
fn main() -> cmdai::error::Result<()> {
    with_mlx::main()
}

#[cfg(mlx)]
mod with_mlx {
    use std::{
        fs::{self, File},
        io::{self, BufReader},
        path::{Path, PathBuf},
        time::Instant,
    };

    use cmdai::{
        engine::{
            Model, Token,
            mlx::{self, MlxModel, decoder::Decoder, layout::Layout, repack::Float},
        },
        error::{Error, Result},
        model::gguf::GgufFile,
    };
    use mlx_rs::{Array, memory};
    use serde_json::{Value, json};

    /// Stands for the model's SHA-256, which only names the packed file: one run has one model.
    const MODEL: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    pub(super) fn main() -> Result<()> {
        let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
        let path = PathBuf::from(args.next().expect("the path of a GGUF model"));
        let mut number = |default: usize| args.next().map_or(default, |text| text.parse().expect("a number"));
        let (prompt, decoded) = (number(32), number(16));
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let directory = args.next().map_or_else(|| scratch.path().into(), PathBuf::from);
        // The ids of benches/engine.rs.
        let prompt: Vec<Token> = (0..prompt as Token).map(|i| 1000 + i * 37 % 5000).collect();

        let float = mlx::start()?;
        let (opening, mut model) = open_twice(&path, &directory)?;
        // The first pass pays for what is made once.
        model.forward(&prompt[..2.min(prompt.len())])?;
        model.rewind(0)?;
        let rates = rates(&mut model, &prompt, decoded, &directory)?;
        let memory = json!({ "peak_rss": peak_rss(), "mlx_active": active(), "mlx_peak": memory::peak_memory().ok() });
        let graph = graph(model.decoder(), float, &prompt[..2.min(prompt.len())], decoded);
        let report = json!({
            "model": path.file_name().map(|name| name.to_string_lossy()),
            "opening": opening, "rates": rates, "memory": memory, "graph": graph, "f16": sizes(&GgufFile::open(&path)?),
        });
        eprintln!("{report}");
        Ok(())
    }

    /// Opens the model without packed weights, then with them. The file is in the page cache both times: it is read
    /// first, twice, which is also what packing is measured against.
    fn open_twice(path: &Path, directory: &Path) -> Result<(Value, MlxModel)> {
        let packed = || fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
        let safetensors = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "safetensors");
        packed().filter(safetensors).for_each(|path| fs::remove_file(path).expect("an old packed file goes"));
        read(path);
        let start = Instant::now();
        (0..2).for_each(|_| read(path));
        let read_twice_ms = ms(start);

        let open = |cache| {
            reset_peaks();
            let start = Instant::now();
            let model = MlxModel::open(&GgufFile::open(path)?, MODEL, cache)?;
            Ok::<_, Error>((ms(start), peak_rss(), model))
        };
        let (unkept_ms, _, model) = open(None)?;
        drop(model);
        let (cold_ms, cold_peak_rss, model) = open(Some(directory))?;
        drop(model);
        let packed_bytes = packed().find(safetensors).and_then(|path| path.metadata().ok()).map(|file| file.len());
        let (warm_ms, warm_peak_rss, model) = open(Some(directory))?;
        let opening = json!({
            "read_twice_ms": read_twice_ms, "unkept_ms": unkept_ms, "cold_ms": cold_ms, "cold_peak_rss": cold_peak_rss,
            "warm_ms": warm_ms, "warm_peak_rss": warm_peak_rss, "packed_bytes": packed_bytes,
        });
        Ok((opening, model))
    }

    /// Prefill, then greedy decode.
    fn rates(model: &mut MlxModel, prompt: &[Token], decoded: usize, directory: &Path) -> Result<Value> {
        reset_peaks();
        let clock = Clock::start();
        let mut steps = vec![model.forward(prompt)?.to_vec()];
        let prefill = clock.rates(prompt.len());
        let (mut tokens, clock) = (Vec::new(), Clock::start());
        for step in 0..decoded {
            tokens.push(argmax(&steps[step]));
            steps.push(model.forward(&tokens[step..])?.to_vec());
        }
        let decode = clock.rates(decoded);
        let logits: Vec<u8> = steps.iter().flatten().flat_map(|logit| logit.to_le_bytes()).collect();
        fs::write(directory.join("logits.f32"), logits).expect("a directory to write to");
        Ok(json!({ "prefill": prefill, "decode": decode, "prompt": prompt, "decoded": tokens }))
    }

    /// How long the host builds the graph of a decode step, and how long the whole step takes: medians.
    fn graph(decoder: &Decoder, float: Float, prompt: &[Token], steps: usize) -> Value {
        let ids = |tokens: &[Token]| Array::from_slice(tokens, &[tokens.len() as i32]);
        let mut cache = decoder.cache(float);
        let mut build = |tokens: &[Token]| {
            let hidden = decoder.hidden(&ids(tokens), &mut cache).expect("a graph of the blocks");
            decoder.logits(&hidden).expect("a graph of the head")
        };
        build(prompt).eval().expect("a prompt that is computed");
        let (mut building, mut whole) = (Vec::new(), Vec::new());
        for token in prompt.iter().cycle().take(steps) {
            let start = Instant::now();
            let logits = build(&[*token]);
            building.push(ms(start));
            logits.eval().expect("a step that is computed");
            whole.push(ms(start));
        }
        json!({ "build_ms": median(building), "step_ms": median(whole) })
    }

    /// What the engine holds and reads in 16 bits, as on a GPU.
    fn sizes(file: &GgufFile) -> Value {
        let layout = Layout::of(file, MODEL, Float::F16).expect("a model that the engine computes with");
        let parts = || layout.parts();
        let tied = !parts().any(|part| part.name.starts_with("lm_head."));
        // Of an embedding that is not the head as well, one row is read.
        let read = |name: &str| tied || !name.starts_with("model.embed_tokens.");
        let bytes = |wanted: &dyn Fn(&str) -> bool| -> usize {
            parts().filter(|part| wanted(&part.name)).map(|part| part.length).sum()
        };
        json!({ "file": layout.length(), "weights": bytes(&|_| true), "read_per_token": bytes(&read) })
    }

    /// Reads the file to its end and forgets it: `cat FILE >/dev/null`.
    fn read(path: &Path) {
        let file = File::open(path).expect("a file that was open before");
        io::copy(&mut BufReader::with_capacity(128 << 10, file), &mut io::sink()).expect("a file that reads");
    }

    /// Counts the time that passes, and the processor's: the second is the steadier where others share the machine.
    struct Clock {
        start: Instant,
        cpu_ms: Option<f64>,
    }

    impl Clock {
        fn start() -> Self {
            Self { start: Instant::now(), cpu_ms: cpu_ms() }
        }

        fn rates(&self, tokens: usize) -> Value {
            let rate = |ms: f64| tokens as f64 / ms * 1e3;
            let cpu = self.cpu_ms.zip(cpu_ms()).map(|(before, after)| rate(after - before));
            json!({ "per_second": rate(ms(self.start)), "per_cpu_second": cpu })
        }
    }

    /// Processor time of this process so far, in Linux's ticks of 10 ms: user and system are fields 14 and 15.
    fn cpu_ms() -> Option<f64> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(2);
        Some(fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() * 10.0)
    }

    fn argmax(logits: &[f32]) -> Token {
        (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).expect("logits") as Token
    }

    fn reset_peaks() {
        memory::reset_peak_memory().expect("MLX counts");
        // Linux's way; elsewhere there is no such file and peak_rss has no figure either.
        let _ = fs::write("/proc/self/clear_refs", "5");
    }

    fn peak_rss() -> Option<u64> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
    }

    fn active() -> Option<usize> {
        memory::active_memory().ok()
    }

    fn median(mut times: Vec<f64>) -> Option<f64> {
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied()
    }

    fn ms(start: Instant) -> f64 {
        start.elapsed().as_secs_f64() * 1e3
    }
}
