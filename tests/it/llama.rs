//! Our use of llama.cpp held against llama.cpp used plainly, through the safe crate.

use cmdai::{
    engine::{
        BUILT_IN, Model, Settings, Token,
        llama::{LlamaModel, start},
        open,
        threads::Threads,
    },
    model::{
        gguf::GgufFile,
        store::{Place, Record, Stamp},
        tokenizer::Tokenizer,
    },
};
use llama_cpp_2::{
    context::params::LlamaContextParams,
    llama_batch::LlamaBatch,
    model::{LlamaModel as Plain, params::LlamaModelParams},
    token::LlamaToken,
};

use crate::{
    gguf_builder::{Builder, F32, STRING, string},
    reference::{Reference, gap, golden_tokens, kl},
    support::model,
};

/// llama.cpp's logits of the last of `tokens`, the file opened without any of our short cuts.
fn plain_logits(file: &str, tokens: &[Token]) -> Vec<f32> {
    let backend = start().unwrap();
    let plain = Plain::load_from_file(backend, model(file), &LlamaModelParams::default()).unwrap();
    let mut context = plain.new_context(backend, LlamaContextParams::default()).unwrap();
    let mut batch = LlamaBatch::new(tokens.len(), 1);
    for (position, &token) in tokens.iter().enumerate() {
        let last = position + 1 == tokens.len();
        batch.add(LlamaToken(token as i32), position as i32, &[0], last).unwrap();
    }
    context.decode(&mut batch).unwrap();
    context.get_logits_ith(tokens.len() as i32 - 1).to_vec()
}

/// Ours for the same tokens.
fn our_logits(file: &str, tokens: &[Token]) -> Vec<f32> {
    let path = model(file);
    let gguf = GgufFile::open(&path).unwrap();
    let mut ours = LlamaModel::open(&path, &gguf, Threads::fixed(1)).unwrap();
    ours.forward(tokens).unwrap().to_vec()
}

fn best(logits: &[f32]) -> usize {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap()
}

#[test]
fn leaving_the_vocabulary_and_the_repacking_out_does_not_change_the_answer() {
    for file in ["SmolLM2-135M-Instruct.Q4_1.gguf", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"] {
        let gguf = GgufFile::open(model(file)).unwrap();
        let mut tokens = Vec::new();
        Tokenizer::from_gguf(&gguf)
            .unwrap()
            .encode("To list the files of a folder in a shell, type the command", &mut tokens);
        let (ours, plain) = (our_logits(file, &tokens), plain_logits(file, &tokens));
        assert_eq!(ours.len(), plain.len());
        assert_eq!(best(&ours), best(&plain), "{file}");
        // Rounding of the activations differs between kernels; engines.md measured up to 3.9e-3 against float32.
        let divergence = kl(&plain, &ours);
        assert!(divergence < 1e-2, "{file}: {divergence}");
    }
}

/// On x86-64 13 tokens are computed as 16: what they say, and what is behind them, must be as of 13.
#[test]
fn rows_that_fill_a_batch_leave_nothing_behind() {
    let path = model("SmolLM2-135M-Instruct.Q4_1.gguf");
    let gguf = GgufFile::open(&path).unwrap();
    let mut tokens = Vec::new();
    let text = "To list the files of a folder in a shell, type the command ls -l and press Enter";
    Tokenizer::from_gguf(&gguf).unwrap().encode(text, &mut tokens);
    let mut ours = LlamaModel::open(&path, &gguf, Threads::fixed(1)).unwrap();
    let mut after = |pieces: &[usize]| {
        ours.rewind(0).unwrap();
        let mut from = 0;
        let logits = pieces.iter().map(|length| {
            from += length;
            ours.forward(&tokens[from - length..from]).unwrap().to_vec()
        });
        let logits: Vec<_> = logits.collect();
        assert_eq!(ours.position(), from);
        logits
    };
    let (alone, filled) = (after(&[6, 7, 1, 2]), after(&[13, 1, 2]));
    for (alone, filled) in alone[1..].iter().zip(&filled) {
        let divergence = kl(alone, filled);
        assert!(divergence < 1e-3, "{divergence}");
    }
}

#[test]
fn llama_cpp_stays_near_the_32_bit_reference() {
    let models = [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2-135m"),
        ("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "qwen2.5-coder-0.5b"),
        ("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", "qwen2.5-coder-1.5b"),
    ];
    for (file, name) in models {
        let tokens = golden_tokens(&format!("{name}.tokens"));
        let (exact, ours) = (Reference::open(model(file)).logits(&tokens), our_logits(file, &tokens));
        // 8-bit activations cost llama.cpp 5e-4 to 4e-3 (engines.md); a wrong sub-block or angle costs over 1e-1.
        let divergence = kl(&exact, &ours);
        assert!(divergence < 2e-2, "{file}: {divergence}");
        assert!(best(&exact) == best(&ours) || gap(&exact) < 0.5, "{file}");
    }
}

#[test]
fn tokenizer_agrees_with_llama_cpp_on_every_golden_text() {
    let backend = start().unwrap();
    let file = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf";
    let plain =
        Plain::load_from_file(backend, model(file), &LlamaModelParams::default().with_vocab_only(true)).unwrap();
    let ours = Tokenizer::from_gguf(&GgufFile::open(model(file)).unwrap()).unwrap();
    let mut texts = 0;
    for line in std::fs::read_to_string("tests/data/tokenizer-qwen2.jsonl").unwrap().lines() {
        let golden: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = golden[0].as_str().expect("a text");
        // llama.cpp takes these for tokens even with special tokens off: the file calls them user-defined.
        if ["tool_call>", "<|fim_", "<|repo_name|>", "<|file_sep|>", "[PAD"].iter().any(|name| text.contains(name)) {
            continue;
        }
        let mut tokens = Vec::new();
        ours.encode(text, &mut tokens);
        let theirs: Vec<Token> =
            plain.vocab().tokenize(text.as_bytes(), false, false).into_iter().map(|token| token.0 as Token).collect();
        assert_eq!(tokens, theirs, "{text:?}");
        texts += 1;
    }
    assert!(texts >= 3_000, "{texts} texts");
}

#[test]
fn file_that_only_our_reader_refuses_does_not_reach_llama_cpp() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gguf");
    let mut builder = Builder::valid(4);
    builder.set("qwen2.attention.layer_norm_rms_epsilon", F32, 1e-6_f32.to_le_bytes().into());
    let checked = GgufFile::from_bytes("x.gguf", builder.bytes()).unwrap();
    builder.set("x", STRING, string(&"a".repeat((1 << 20) + 1)));
    std::fs::write(&path, builder.bytes()).unwrap();
    // With another file's check, llama.cpp takes it.
    assert!(LlamaModel::open(&path, &checked, Threads::fixed(1)).is_ok());
    let stamp = Stamp::of(&path).unwrap();
    let record = Record { name: "x".into(), path, place: Place::Yours, sha256: String::new(), stamp };
    for engine in BUILT_IN {
        let settings = Settings { threads: Some(1), ..Settings::default() };
        let error = open(&record, engine, &settings).err().expect("it is refused").to_string();
        assert!(error.ends_with("string value is 1048577 bytes long (at most 1048576)"), "{engine}: {error}");
    }
}
