//! The GGUF reader against broken files: each is refused with its own message, none with a panic.

use std::{fs, io::Write, os::unix::fs::FileExt, path::Path};

use cmdai::model::{
    gguf::{GgufFile, TensorType},
    tokenizer::Tokenizer,
};

use crate::{
    allocation::peak,
    gguf_broken::{self, cut, key, with},
    gguf_builder::{ARRAY, Builder, I32, STRING, Tensor, U32, array, numbers, string, strings},
    support,
};

const QWEN: &str = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf";

fn open(bytes: Vec<u8>) -> Result<GgufFile, String> {
    GgufFile::from_bytes("x.gguf", bytes).map_err(|error| error.to_string())
}

/// What the reader, or after it the tokenizer, says of the file.
fn complaint(bytes: Vec<u8>) -> Option<String> {
    match open(bytes) {
        Ok(file) => Tokenizer::from_gguf(&file).err().map(|error| error.to_string()),
        Err(message) => Some(message),
    }
}

/// Uses all that a file offers, to see that nothing panics.
fn exercise(bytes: Vec<u8>) {
    let Ok(file) = open(bytes) else { return };
    for tensor in file.tensors() {
        assert_eq!(file.tensor_data(tensor).len(), tensor.range().len());
    }
    if let Ok(tokenizer) = Tokenizer::from_gguf(&file) {
        let mut tokens = Vec::new();
        tokenizer.encode("abc I'll 12 é 世\n", &mut tokens);
        tokens.iter().for_each(|&token| drop(tokenizer.piece(token)));
    }
}

#[test]
fn every_broken_file_is_refused_for_what_is_wrong_with_it() {
    let rows = gguf_broken::rows();
    assert!(rows.len() >= 100, "{}", rows.len());
    let wrong: Vec<String> = rows
        .into_iter()
        .map(|(name, bytes, wanted)| (name, complaint(bytes), wanted))
        .filter(|(_, found, wanted)| !found.as_ref().is_some_and(|found| found.contains(wanted)))
        .map(|(name, found, wanted)| format!("{name}: {found:?}, wanted {wanted:?}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_message_names_the_file_and_the_cause() {
    assert_eq!(
        open(cut(2)).err().as_deref(),
        Some("could not open model: x.gguf: header ends early in magic (wanted 4 bytes, found 2)")
    );
}

#[test]
fn a_valid_file_opens_and_says_what_it_holds() {
    let file = open(with(|_| ())).expect("the file is valid");
    assert_eq!((file.architecture(), file.context_length()), ("qwen2", 64));
    assert_eq!(file.u32("qwen2.embedding_length").unwrap(), Some(8));
    assert_eq!(file.f32("qwen2.rope.freq_base").unwrap(), Some(1e6));
    assert_eq!(file.str("tokenizer.ggml.pre").unwrap(), Some("qwen2"));
    assert_eq!(file.str("no.such.key").unwrap(), None);
    assert!(file.f32("tokenizer.ggml.pre").unwrap_err().to_string().ends_with("holds string, wanted f32"));
    let merges = file.string_array("tokenizer.ggml.merges").unwrap().expect("there are merges");
    assert_eq!(merges.collect::<Vec<_>>(), [b"a a", b"a b", b"a c", b"a d"]);
    let kinds = file.u32_array("tokenizer.ggml.token_type").unwrap().expect("there are types");
    assert_eq!((kinds.len(), kinds.last()), (261, Some(3)));
    let tensor = file.tensor("blk.0.ffn_down.weight").expect("the block is there");
    assert_eq!((tensor.dims(), tensor.kind(), file.tensor_data(tensor).len()), (&[16, 8][..], TensorType::F32, 512));
}

#[test]
fn version_2_other_alignments_and_llama_are_read() {
    let mut builder = Builder::valid(4);
    builder.version = 2;
    assert!(open(builder.bytes()).is_ok());
    for alignment in [8_usize, 64, 4096] {
        builder.alignment = alignment;
        builder.set_u32("general.alignment", alignment as u32);
        assert_eq!(open(builder.bytes()).err(), None, "{alignment}");
    }
    builder
        .entries
        .iter_mut()
        .for_each(|entry| entry.0 = String::from_utf8_lossy(&entry.0).replace("qwen2.", "llama.").into());
    builder.set("general.architecture", STRING, string("llama"));
    builder.tensors.retain(|tensor| !tensor.name.ends_with(b".bias"));
    assert_eq!(open(builder.bytes()).err(), None);
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let bytes = with(|_| ());
    // The last tensor takes 32 bytes and ends the file.
    for length in 0..bytes.len() {
        assert!(open(bytes[..length].to_vec()).is_err(), "{length} of {}", bytes.len());
    }
}

#[test]
fn a_file_cut_at_the_edge_of_any_part_is_refused() {
    let written = Builder::valid(676).write();
    let (_, edges) = written.edges.split_last().expect("a file has edges");
    for &edge in edges {
        let message = open(written.bytes[..edge].to_vec()).err().unwrap_or_default();
        assert!(message.contains(" ends early"), "{edge}: {message}");
    }
}

#[test]
fn no_flipped_byte_of_the_first_8_kib_makes_it_panic() {
    let bytes = Builder::valid(400).bytes();
    assert!(bytes.len() > 8192);
    for at in 0..8192 {
        for value in [0, 1, 0x7f, 0x80, 0xff, bytes[at] ^ 1, bytes[at] ^ 0x80, bytes[at].wrapping_add(1)] {
            let mut flipped = bytes.clone();
            flipped[at] = value;
            exercise(flipped);
        }
    }
}

#[test]
fn a_real_header_with_a_flipped_byte_does_not_make_it_panic() {
    let original = fs::File::open(support::model(QWEN)).expect("the model is readable");
    let mut header = vec![0; 6 << 20];
    original.read_exact_at(&mut header, 0).expect("the header is 6 MB");
    let mut copy = tempfile::NamedTempFile::new().expect("a temporary file");
    copy.write_all(&header).expect("the header is written");
    // The weights are left as a hole.
    copy.as_file().set_len(original.metadata().expect("a length").len()).expect("a sparse file");
    assert!(GgufFile::open(copy.path()).is_ok());
    for at in (0..header.len()).step_by(header.len() / 64) {
        copy.as_file().write_all_at(&[header[at] ^ 0xff], at as u64).expect("the byte is flipped");
        let opened = GgufFile::open(copy.path()).map(|file| Tokenizer::from_gguf(&file).map(|_| ()));
        drop(opened);
        copy.as_file().write_all_at(&[header[at]], at as u64).expect("the byte is flipped back");
    }
}

/// The largest headers that the limits allow, each of a kind that costs the most.
fn heaviest() -> Vec<(&'static str, Vec<u8>)> {
    let many = |change: &dyn Fn(&mut Builder)| with(change);
    let keys = many(&|b| b.entries.extend((0..65_000).map(|n| (format!("{n:0128}").into(), U32, vec![0; 4]))));
    let tensors = many(&|b| b.tensors.extend((0..65_000).map(|n| Tensor::new(&format!("{n:063}"), &[8, 1, 1, 1]))));
    let empty_strings = key("x", ARRAY, array(STRING, 8_000_000, &vec![0; 64_000_000]));
    let many_strings = key("x", ARRAY, array(STRING, 9_000_000, &vec![0; 72_000_000]));
    let mut tokens = Builder::valid(0);
    let texts: Vec<String> = (0..(1 << 18) - 1).map(|n| format!("{n:032x}")).collect();
    tokens.set("tokenizer.ggml.tokens", ARRAY, strings(&texts));
    tokens.set("tokenizer.ggml.token_type", ARRAY, numbers(I32, (0..(1 << 18) - 1).map(|_| 1)));
    // Last, so that the data of the others lies where the table says.
    tokens.tensors.rotate_left(1);
    tokens.tensor("token_embd.weight").dims[1] = (1 << 18) - 1;
    let mut tokens = tokens.bytes();
    tokens.resize(tokens.len() + (9 << 20), 0);
    vec![
        ("65,013 long keys", keys),
        ("65,014 tensors", tensors),
        ("8,000,000 empty strings", empty_strings),
        ("more than 64 MiB", many_strings),
        ("262,143 tokens", tokens),
    ]
}

#[test]
fn the_heaviest_files_are_refused_within_64_mib() {
    for (name, bytes) in heaviest() {
        let (result, peak) = peak(|| complaint(bytes));
        // Of which the bytes themselves were held before.
        assert!(peak < 64 << 20, "{name}: {peak} bytes, {result:?}");
    }
}

#[test]
fn a_claim_allocates_nothing_before_it_is_checked() {
    let claims = [
        key("x", ARRAY, array(STRING, 1 << 60, &[])),
        key("x", ARRAY, array(U32, 1 << 32, &[])),
        key("x", STRING, (1_u64 << 40).to_le_bytes().into()),
        with(|builder| builder.tensor_count = Some(65_536)),
        with(|builder| builder.entry_count = Some(65_536)),
    ];
    for bytes in claims {
        let (result, peak) = peak(|| open(bytes).map(|_| ()));
        // A table of keys is sized by what the 24 KiB of the file can hold of them.
        assert!(result.is_err() && peak < 256 << 10, "{peak} bytes, {result:?}");
    }
}

#[test]
fn what_is_not_a_file_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let message = |path: &Path| GgufFile::open(path).err().map(|error| error.to_string()).unwrap_or_default();
    let missing = folder.path().join("missing.gguf");
    assert!(
        message(&missing).ends_with("missing.gguf: No such file or directory (os error 2)"),
        "{}",
        message(&missing)
    );
    assert!(message(folder.path()).ends_with(": not a regular file"));
    assert!(message(Path::new("/dev/zero")).ends_with("/dev/zero: not a regular file"));
}

#[test]
fn real_models_open() {
    for (model, architecture, tensors) in [
        (QWEN, "qwen2", 339),
        ("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "qwen2", 291),
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "llama", 272),
    ] {
        let file = GgufFile::open(support::model(model)).expect("the model opens");
        assert_eq!((file.architecture(), file.tensors().len()), (architecture, tensors));
        let last = file.tensors().last().expect("there are tensors");
        assert_eq!(last.range().end as u64, fs::metadata(file.path()).expect("the file is there").len(), "{model}");
    }
}
