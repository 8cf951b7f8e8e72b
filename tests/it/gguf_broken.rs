//! Broken model files, one row each: what is wrong, the file, and the words that must name it.

use crate::gguf_builder::{ARRAY, Builder, F32, I32, STRING, Tensor, U32, array, numbers, string, strings};

/// The valid file with one change.
pub(crate) fn with(change: impl FnOnce(&mut Builder)) -> Vec<u8> {
    let mut builder = Builder::valid(4);
    change(&mut builder);
    builder.bytes()
}

/// A change to one tensor of the valid file.
fn tensor(name: &str, change: impl FnOnce(&mut Tensor)) -> Vec<u8> {
    with(|builder| change(builder.tensor(name)))
}

/// The valid file with another value of one key.
pub(crate) fn key(key: &str, kind: u32, value: Vec<u8>) -> Vec<u8> {
    with(|builder| builder.set(key, kind, value))
}

fn number(name: &str, number: u32) -> Vec<u8> {
    with(|builder| builder.set_u32(name, number))
}

fn without(key: &str) -> Vec<u8> {
    with(|builder| builder.remove(key))
}

/// The valid file, cut.
pub(crate) fn cut(length: usize) -> Vec<u8> {
    let mut bytes = with(|_| ());
    bytes.truncate(length);
    bytes
}

/// A name, the file, and a part of what must be said of it.
pub(crate) type Row = (&'static str, Vec<u8>, &'static str);

/// All of them.
pub(crate) fn rows() -> Vec<Row> {
    [broken_layouts(), broken_models(), broken_vocabularies()].into_iter().flatten().collect()
}

fn broken_layouts() -> Vec<Row> {
    let layer = "blk.0.attn_q.weight";
    vec![
        ("empty", cut(0), "header ends early in magic (wanted 4 bytes, found 0)"),
        ("no version", cut(4), "header ends early in version (wanted 4 bytes, found 0)"),
        ("half a count", cut(12), "header ends early in tensor count (wanted 8 bytes, found 4)"),
        ("no keys", cut(24), "header ends early in key (wanted 8 bytes, found 0)"),
        ("magic", with(|b| b.magic = *b"GGML"), "not a GGUF file (starts with \"GGML\", wanted \"GGUF\")"),
        (
            "binary magic",
            with(|b| b.magic = [0x1b, b'[', 0, 0xff]),
            "not a GGUF file (starts with \"\\u{1b}[\\0\u{fffd}\"",
        ),
        ("version 0", with(|b| b.version = 0), "GGUF version 0 is not supported"),
        ("version 1", with(|b| b.version = 1), "GGUF version 1 is not supported"),
        ("version 4", with(|b| b.version = 4), "GGUF version 4 is not supported"),
        ("other byte order", with(|b| b.version = 3_u32.swap_bytes()), "GGUF version 50331648 is not supported"),
        ("too many tensors", with(|b| b.tensor_count = Some(65_537)), "tensor count is 65537 (at most 65536)"),
        ("2^64 tensors", with(|b| b.tensor_count = Some(u64::MAX)), "tensor count is 18446744073709551615"),
        ("too many keys", with(|b| b.entry_count = Some(65_537)), "key count is 65537 (at most 65536)"),
        ("2^63 keys", with(|b| b.entry_count = Some(1 << 63)), "key count is 9223372036854775808"),
        (
            "one key too many",
            with(|b| b.entry_count = Some(b.entries.len() as u64 + 1)),
            "header ends early in tensor name (wanted ",
        ),
        ("one key too few", with(|b| b.entry_count = Some(b.entries.len() as u64 - 1)), "dimensions (1 to 4 allowed)"),
        ("one tensor too many", with(|b| b.tensor_count = Some(15)), "tensor name is 0 bytes long"),
        ("empty key", with(|b| b.entries[0].0.clear()), "key is 0 bytes long (1 to 128 allowed)"),
        ("long key", with(|b| b.entries[0].0 = vec![b'k'; 129]), "key is 129 bytes long"),
        ("binary key", with(|b| b.entries[0].0 = vec![0xff, 0x1b]), "key \"\u{fffd}\\u{1b}\" is not UTF-8"),
        ("key twice", with(|b| b.entries.push(b.entries[1].clone())), "key \"tokenizer.ggml.model\" occurs twice"),
        ("value type 13", key("x", 13, vec![0; 8]), "key \"x\" has unknown value type 13"),
        ("value type 2^32", key("x", u32::MAX, vec![0; 8]), "key \"x\" has unknown value type 4294967295"),
        ("bool 2", key("x", 7, vec![2]), "key \"x\" holds 2, wanted true or false"),
        (
            "string past the end",
            key("x", STRING, (1_u64 << 40).to_le_bytes().into()),
            "header ends early in string value (wanted 1099511627776 bytes",
        ),
        (
            "string of 2^64",
            key("x", STRING, u64::MAX.to_le_bytes().into()),
            "header ends early in string value (wanted 18446744073709551615 bytes",
        ),
        (
            "string over 1 MiB",
            key("x", STRING, string(&"a".repeat((1 << 20) + 1))),
            "string value is 1048577 bytes long (at most 1048576)",
        ),
        (
            "array of arrays",
            key("x", ARRAY, array(ARRAY, 1, &array(U32, 1, &[0; 4]))),
            "key \"x\" holds an array of arrays",
        ),
        ("array of type 99", key("x", ARRAY, array(99, 1, &[0; 4])), "key \"x\" has unknown value type 99"),
        (
            "2^60 strings",
            key("x", ARRAY, array(STRING, 1 << 60, &[])),
            "header ends early in array (wanted 9223372036854775808 bytes",
        ),
        (
            "2^62 numbers",
            key("x", ARRAY, array(U32, 1 << 62, &[])),
            "header ends early in array (wanted 18446744073709551615 bytes",
        ),
        (
            "more numbers than bytes",
            key("x", ARRAY, array(U32, 100_000, &[0; 4])),
            "header ends early in array (wanted 400000 bytes",
        ),
        (
            "array's string past the end",
            key("x", ARRAY, array(STRING, 1, &(1_u64 << 33).to_le_bytes())),
            "header ends early in string array (wanted 8589934592 bytes",
        ),
        (
            "array's string over 1 MiB",
            key("x", ARRAY, strings(&["a".repeat((1 << 20) + 1)])),
            "string array is 1048577 bytes long (at most 1048576)",
        ),
        ("alignment 0", number("general.alignment", 0), "alignment is 0 (a power of two from 8 to 4096 wanted)"),
        ("alignment 4", number("general.alignment", 4), "alignment is 4 ("),
        ("alignment 48", number("general.alignment", 48), "alignment is 48 ("),
        ("alignment 8192", number("general.alignment", 8192), "alignment is 8192 ("),
        ("alignment 2^31", number("general.alignment", 1 << 31), "alignment is 2147483648 ("),
        (
            "alignment as text",
            key("general.alignment", STRING, string("32")),
            "key \"general.alignment\" holds string, wanted u32",
        ),
        (
            "alignment as 64 bits",
            key("general.alignment", 10, vec![32, 0, 0, 0, 0, 0, 0, 0]),
            "key \"general.alignment\" holds u64, wanted u32",
        ),
        ("empty tensor name", tensor(layer, |t| t.name.clear()), "tensor name is 0 bytes long (1 to 63 allowed)"),
        (
            "long tensor name",
            tensor(layer, |t| t.name = vec![b'n'; 64]),
            "tensor name is 64 bytes long (1 to 63 allowed)",
        ),
        ("binary tensor name", tensor(layer, |t| t.name = vec![b'a', 0xc3]), "tensor name \"a\u{fffd}\" is not UTF-8"),
        (
            "tensor twice",
            tensor(layer, |t| t.name = b"blk.0.attn_output.weight".into()),
            "tensor \"blk.0.attn_output.weight\" occurs twice",
        ),
        ("no dimension", tensor(layer, |t| t.dims.clear()), "tensor \"blk.0.attn_q.weight\" has 0 dimensions"),
        ("5 dimensions", tensor(layer, |t| t.dims = vec![1; 5]), "has 5 dimensions (1 to 4 allowed)"),
        ("2^32 dimensions", tensor(layer, |t| t.dimensions = Some(u32::MAX)), "has 4294967295 dimensions"),
        ("zero dimension", tensor(layer, |t| t.dims = vec![8, 0]), "has a zero dimension: [8, 0]"),
        ("dimension 2^63", tensor(layer, |t| t.dims = vec![1 << 63, 1]), "is too large: [9223372036854775808, 1]"),
        ("product 2^64", tensor(layer, |t| t.dims = vec![1 << 32, 1 << 32]), "is too large: [4294967296, 4294967296]"),
        (
            "product wraps to 8",
            tensor(layer, |t| t.dims = vec![8, (1 << 61) + 1]),
            "is too large: [8, 2305843009213693953]",
        ),
        ("bytes of 2^64", tensor(layer, |t| t.dims = vec![1 << 31, 1 << 31]), "is too large"),
        ("tensor type 4", tensor(layer, |t| t.kind = 4), "tensor \"blk.0.attn_q.weight\" has unknown type 4"),
        ("tensor type 31", tensor(layer, |t| t.kind = 31), "has unknown type 31"),
        ("tensor type 43", tensor(layer, |t| t.kind = 43), "has unknown type 43"),
        ("tensor type 2^32", tensor(layer, |t| t.kind = u32::MAX), "has unknown type 4294967295"),
        ("part of a block", tensor(layer, |t| t.kind = 12), "has rows of 8, not whole blocks of 256 (Q4_K)"),
        ("crooked offset", tensor(layer, |t| t.offset = Some(33)), "starts at 33, not a multiple of the alignment 32"),
        ("overlap", tensor(layer, |t| t.offset = Some(0)), "tensor \"blk.0.attn_q.weight\" starts at 0, wanted"),
        ("gap", tensor(layer, |t| t.offset = Some(1 << 16)), "tensor \"blk.0.attn_q.weight\" starts at 65536, wanted"),
        ("offset 2^63", tensor(layer, |t| t.offset = Some(1 << 63)), "starts at 9223372036854775808, wanted"),
        (
            "first offset near 2^64",
            tensor("token_embd.weight", |t| t.offset = Some(u64::MAX - 31)),
            "starts at 18446744073709551584, wanted 0",
        ),
        ("data cut", cut(with(|_| ()).len() - 32), "tensor data ends early (wanted "),
        (
            "longer than the file",
            tensor("output_norm.weight", |t| t.dims = vec![1 << 40]),
            "tensor data ends early (wanted 43980",
        ),
    ]
}

fn broken_models() -> Vec<Row> {
    let norm = "blk.0.attn_norm.weight";
    vec![
        ("no architecture", without("general.architecture"), "key \"general.architecture\" is missing"),
        (
            "architecture as number",
            number("general.architecture", 1),
            "key \"general.architecture\" holds u32, wanted string",
        ),
        (
            "architecture not UTF-8",
            key("general.architecture", STRING, vec![1, 0, 0, 0, 0, 0, 0, 0, 0xff]),
            "is not UTF-8",
        ),
        (
            "bert",
            key("general.architecture", STRING, string("bert")),
            "architecture \"bert\" is not supported (known: qwen2, llama)",
        ),
        (
            "keys of another",
            key("general.architecture", STRING, string("llama")),
            "key \"llama.embedding_length\" is missing",
        ),
        ("no block count", without("qwen2.block_count"), "key \"qwen2.block_count\" is missing"),
        ("0 blocks", number("qwen2.block_count", 0), "key \"qwen2.block_count\" is 0 (1 to 1024 allowed)"),
        ("2 blocks promised", number("qwen2.block_count", 2), "tensor \"blk.1.attn_norm.weight\" is missing"),
        ("2^32 blocks", number("qwen2.block_count", u32::MAX), "key \"qwen2.block_count\" is 4294967295"),
        ("0 wide", number("qwen2.embedding_length", 0), "key \"qwen2.embedding_length\" is 0"),
        (
            "too wide",
            number("qwen2.embedding_length", 16),
            "tensor \"token_embd.weight\" has shape [8, 261], wanted [16, 261]",
        ),
        ("0 heads", number("qwen2.attention.head_count", 0), "key \"qwen2.attention.head_count\" is 0"),
        (
            "3 heads",
            number("qwen2.attention.head_count", 3),
            "embedding length 8 does not divide into 3 attention heads",
        ),
        ("heads of 1", number("qwen2.attention.head_count", 8), "attention heads have odd length 1"),
        (
            "0 key-value heads",
            number("qwen2.attention.head_count_kv", 0),
            "key \"qwen2.attention.head_count_kv\" is 0 (1 to 2 allowed)",
        ),
        (
            "2 key-value heads",
            number("qwen2.attention.head_count_kv", 2),
            "tensor \"blk.0.attn_k.weight\" has shape [8, 4], wanted [8, 8]",
        ),
        (
            "heads an array",
            key("qwen2.attention.head_count", ARRAY, numbers(U32, [2].into_iter())),
            "holds array of u32, wanted u32",
        ),
        (
            "key length 8",
            number("qwen2.attention.key_length", 8),
            "key \"qwen2.attention.key_length\" is 8 (4 to 4 allowed)",
        ),
        (
            "rotary length 2",
            number("qwen2.rope.dimension_count", 2),
            "key \"qwen2.rope.dimension_count\" is 2 (4 to 4 allowed)",
        ),
        ("experts", number("qwen2.expert_count", 8), "key \"qwen2.expert_count\" is 8 (0 to 0 allowed)"),
        ("no context", number("qwen2.context_length", 0), "key \"qwen2.context_length\" is 0"),
        (
            "narrow feed-forward",
            number("qwen2.feed_forward_length", 8),
            "tensor \"blk.0.ffn_gate.weight\" has shape [8, 16], wanted [8, 8]",
        ),
        (
            "one-dimensional embedding",
            tensor("token_embd.weight", |t| t.dims = vec![8 * 261]),
            "tensor \"token_embd.weight\" has shape [2088], wanted",
        ),
        (
            "renamed tensor",
            tensor(norm, |t| t.name = b"blk.0.attn_nerm.weight".into()),
            "tensor \"blk.0.attn_norm.weight\" is missing",
        ),
        (
            "extra tensor",
            with(|b| b.tensors.push(Tensor::new("blk.1.attn_norm.weight", &[8]))),
            "tensor \"blk.1.attn_norm.weight\" is no part of a qwen2 model of 1 blocks",
        ),
        (
            "half-width norm",
            tensor(norm, |t| t.dims = vec![4]),
            "tensor \"blk.0.attn_norm.weight\" has shape [4], wanted [8]",
        ),
        ("norm of half floats", tensor(norm, |t| t.kind = 1), "tensor \"blk.0.attn_norm.weight\" has type F16"),
        (
            "heads that do not share",
            with(|b| {
                b.set_u32("qwen2.attention.head_count", 4);
                b.set_u32("qwen2.attention.head_count_kv", 3);
            }),
            "4 attention heads do not share 3 key-value heads evenly",
        ),
        ("norm of integers", tensor(norm, |t| t.kind = 26), "tensor \"blk.0.attn_norm.weight\" has type I32"),
        (
            "weights of integers",
            tensor("blk.0.attn_q.weight", |t| t.kind = 26),
            "tensor \"blk.0.attn_q.weight\" has type I32",
        ),
        (
            "a token more than rows",
            key("tokenizer.ggml.tokens", ARRAY, strings(&vec!["x"; 262])),
            "has shape [8, 261], wanted [8, 262]",
        ),
    ]
}

fn broken_vocabularies() -> Vec<Row> {
    let tokens = |change: fn(&mut Vec<String>)| {
        let mut texts: Vec<String> = (0..261).map(|n| format!("t{n}")).collect();
        change(&mut texts);
        key("tokenizer.ggml.tokens", ARRAY, strings(&texts))
    };
    let merges = |pairs: &[&str]| key("tokenizer.ggml.merges", ARRAY, strings(pairs));
    vec![
        ("no tokenizer", without("tokenizer.ggml.model"), "key \"tokenizer.ggml.model\" is missing"),
        (
            "sentencepiece",
            key("tokenizer.ggml.model", STRING, string("llama")),
            "tokenizer \"llama\" is not supported (known: gpt2)",
        ),
        (
            "pre-tokenizer",
            key("tokenizer.ggml.pre", STRING, string("\u{1b}x")),
            "pre-tokenizer \"\\u{1b}x\" is not supported (known: qwen2, smollm)",
        ),
        ("no tokens", without("tokenizer.ggml.tokens"), "key \"tokenizer.ggml.tokens\" is missing"),
        (
            "tokens as numbers",
            key("tokenizer.ggml.tokens", ARRAY, numbers(U32, 0..261)),
            "holds array of u32, wanted array of string",
        ),
        ("no token types", without("tokenizer.ggml.token_type"), "key \"tokenizer.ggml.token_type\" is missing"),
        (
            "a type too few",
            key("tokenizer.ggml.token_type", ARRAY, numbers(I32, [1; 260].into_iter())),
            "261 tokens, but the types of 260",
        ),
        (
            "token type 0",
            key("tokenizer.ggml.token_type", ARRAY, numbers(I32, [0; 261].into_iter())),
            "token 0 has unknown type 0",
        ),
        (
            "token type 7",
            key("tokenizer.ggml.token_type", ARRAY, numbers(I32, [7; 261].into_iter())),
            "token 0 has unknown type 7",
        ),
        (
            "float types",
            key("tokenizer.ggml.token_type", ARRAY, numbers(F32, [1; 261].into_iter())),
            "holds array of f32, wanted array of u32 or i32",
        ),
        ("token twice", tokens(|texts| texts[9] = "t3".into()), "tokens 3 and 9 have the same text"),
        (
            "token outside the alphabet",
            tokens(|texts| texts[7] = "a b".into()),
            "token 7 is not written in the byte-level alphabet",
        ),
        ("long token", tokens(|texts| texts[7] = "x".repeat(1025)), "token 7 is 1025 bytes long (at most 1024)"),
        ("no single letters", tokens(|_| ()), "merge 0 makes no token"),
        ("no merges", without("tokenizer.ggml.merges"), "key \"tokenizer.ggml.merges\" is missing"),
        ("merge without a space", merges(&["ab"]), "merge 0 is not a pair"),
        ("merge of nothing", merges(&[""]), "merge 0 is not a pair"),
        ("merge with an empty left", merges(&[" ab"]), "merge 0 is not a pair"),
        ("merge with an empty right", merges(&["a b", "ab "]), "merge 1 makes no token"),
        ("merge to no token", merges(&["a b", "x y"]), "merge 1 makes no token"),
        ("merge to a special token", merges(&["<|im _end|>"]), "merge 0 makes token 260, which is not plain text"),
        (
            "end past the vocabulary",
            number("tokenizer.ggml.eos_token_id", 261),
            "key \"tokenizer.ggml.eos_token_id\" is 261, but there are 261 tokens",
        ),
    ]
}
