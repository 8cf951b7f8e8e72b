//! Raw speed of the engine behind `cmdai`: opening, prefill and decode, without prompt, parsing or output.
//!
//! `cargo bench --bench engine -- MODEL.gguf [THREADS] [PROMPT_TOKENS] [DECODED_TOKENS]` prints one line of JSON, so
//! that `benches/compare` can put it beside llama.cpp's own benchmark on the same file and threads in one run.

use std::{path::PathBuf, time::Instant};

use cmdai::{
    engine::{Model, Token, llama::LlamaModel, threads::Threads},
    model::{gguf::GgufFile, tokenizer::Tokenizer},
};

fn main() -> cmdai::error::Result<()> {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let path = PathBuf::from(args.next().expect("the path of a GGUF model"));
    let mut number = |default: usize| args.next().map_or(default, |text| text.parse().expect("a number"));
    let (threads, prompt, decoded) = (number(1), number(128), number(32));

    let start = Instant::now();
    let file = GgufFile::open(&path)?;
    let header_ms = ms(start);
    let start = Instant::now();
    let _tokenizer = Tokenizer::from_gguf(&file)?;
    let tokenizer_ms = ms(start);
    let start = Instant::now();
    let mut model = LlamaModel::open(&path, &file, Threads::fixed(threads))?;
    let model_ms = ms(start);

    // The first pass reads the weights from disk; the second is the one that counts.
    let tokens: Vec<Token> = (0..prompt as Token).map(|i| 1000 + i * 37 % 5000).collect();
    model.forward(&tokens)?;
    model.rewind(0)?;
    let start = Instant::now();
    model.forward(&tokens)?;
    let prefill = prompt as f64 / ms(start) * 1e3;
    let start = Instant::now();
    for token in tokens.iter().cycle().take(decoded) {
        model.forward(&[*token])?;
    }
    let decode = decoded as f64 / ms(start) * 1e3;
    eprintln!(
        r#"{{"header_ms":{header_ms:.1},"tokenizer_ms":{tokenizer_ms:.1},"model_ms":{model_ms:.1},"prefill_tps":{prefill:.2},"decode_tps":{decode:.2}}}"#
    );
    Ok(())
}

fn ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}
