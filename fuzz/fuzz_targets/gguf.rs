//! A file's bytes: refused with an error, or whole. What [`GgufFile`] lets through, llama.cpp and MLX take at its word.
//!
//! `fuzz/run` gives libFuzzer a limit of 64 MB for one allocation.

#![no_main]

use cmdai::model::{gguf::GgufFile, tokenizer::Tokenizer};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(file) = GgufFile::from_bytes("x.gguf", data.to_vec()) else { return };
    let mut end = 0;
    for tensor in file.tensors() {
        let range = tensor.range();
        assert!(range.start >= end && range.end <= data.len(), "{} lies at {range:?}", tensor.name());
        end = range.end;
        let (elements, bytes) = tensor.kind().block();
        let count: u64 = tensor.dims().iter().product();
        assert_eq!(count / elements * bytes, range.len() as u64, "{}", tensor.name());
        assert_eq!(file.tensor_data(tensor), &data[range]);
    }
    for key in ["tokenizer.ggml.tokens", "tokenizer.ggml.merges"] {
        if let Ok(Some(strings)) = file.string_array(key) {
            assert_eq!(strings.len(), strings.count());
        }
    }
    if let Ok(tokenizer) = Tokenizer::from_gguf(&file) {
        // The engines look rows of this tensor up by token.
        assert_eq!(tokenizer.vocabulary_size(), file.vocabulary());
        let mut tokens = Vec::new();
        tokenizer.encode("ls -l 'été' 12\n", &mut tokens);
        assert!(tokens.iter().all(|&token| tokenizer.piece(token).is_some()));
    }
});
