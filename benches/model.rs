//! What a request pays before any engine is asked: opening the checked GGUF file, building the tokenizer, encoding.
//!
//! `cargo bench --bench model -- MODEL.gguf`: the best of 15, in milliseconds. The texts are the worst there are at the
//! longest request: one run without a break.

use std::{path::PathBuf, time::Instant};

use cmdai::{
    model::{gguf::GgufFile, tokenizer::Tokenizer},
    request::MAX_REQUEST_BYTES,
};

fn main() -> cmdai::error::Result<()> {
    let path = std::env::args().skip(1).find(|arg| arg != "--bench").map(PathBuf::from).expect("a GGUF model's path");
    let file = GgufFile::open(&path)?;
    let tokenizer = Tokenizer::from_gguf(&file)?;
    eprintln!("open       {:8.3} ms", best(|| drop(GgufFile::open(&path))));
    eprintln!("tokenizer  {:8.3} ms", best(|| drop(Tokenizer::from_gguf(&file))));
    for unit in ["a", " ", "ab", "世", "\u{301}", "list all files -la | grep 'x' > out.txt; "] {
        let text = unit.repeat(MAX_REQUEST_BYTES / unit.len());
        let encode = || tokenizer.encode(&text, &mut Vec::new());
        eprintln!("encode     {:8.3} ms  {} bytes of {unit:?}", best(encode), text.len());
    }
    Ok(())
}

fn best(work: impl Fn()) -> f64 {
    let once = |_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64() * 1e3
    };
    (0..15).map(once).fold(f64::INFINITY, f64::min)
}
