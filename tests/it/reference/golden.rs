//! Goldens: arrays by name, from the safetensors files in `tests/data`. The makers beside them list the names.

use serde_json::Value;

const FILES: [&[u8]; 2] =
    [include_bytes!("../../data/blocks.safetensors"), include_bytes!("../../data/decoder.safetensors")];

/// Numbers, such as `smollm2-135m.block0.mlp.in`, row after row.
pub(crate) fn golden(name: &str) -> Vec<f32> {
    words(name, "F32").map(f32::from_le_bytes).collect()
}

/// Raw blocks, such as `Q4_K.blocks`.
pub(crate) fn golden_blocks(name: &str) -> &'static [u8] {
    find(name, "U8")
}

/// Token ids, such as `smollm2-135m.tokens`.
pub(crate) fn golden_tokens(name: &str) -> Vec<u32> {
    words(name, "U32").map(u32::from_le_bytes).collect()
}

fn words(name: &str, kind: &str) -> impl Iterator<Item = [u8; 4]> {
    find(name, kind).as_chunks().0.iter().copied()
}

fn find(name: &str, kind: &str) -> &'static [u8] {
    let found = FILES.iter().find_map(|file| array(file, name, kind));
    found.unwrap_or_else(|| panic!("no golden {name} of type {kind}"))
}

/// A safetensors file is the length of a JSON header, that header, and the arrays.
fn array(file: &'static [u8], name: &str, kind: &str) -> Option<&'static [u8]> {
    let (length, rest) = file.split_first_chunk().expect("a length");
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let header: Value = serde_json::from_slice(header).expect("a header in JSON");
    let entry = header.get(name).filter(|entry| entry["dtype"] == kind)?;
    let [from, to] = [0, 1].map(|end| entry["data_offsets"][end].as_u64().expect("an offset") as usize);
    Some(&data[from..to])
}
