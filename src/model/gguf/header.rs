//! The header: counts, key-value pairs, tensor table, and where each tensor's data lies.

use std::ops::Range;

use super::{
    Checked,
    metadata::{Entries, Metadata, Value},
    reader::Reader,
    shown,
    tensor::{TensorInfo, TensorType, Tensors},
};

const MAX_COUNT: u64 = 65_536;
const MAX_KEY: usize = 128;
/// Bytes of the smallest entry: a key of one byte, a type, a value of one byte.
const MIN_ENTRY: usize = 8 + 1 + 4 + 1;
/// `GGML_MAX_NAME` is 64 with the closing zero.
const MAX_TENSOR_NAME: usize = 63;
const DEFAULT_ALIGNMENT: u32 = 32;

pub(super) struct Header {
    pub(super) entries: Entries,
    pub(super) tensors: Tensors,
}

/// A tensor with where the file says its data starts, counted from the start of the data.
struct Described {
    info: TensorInfo,
    offset: u64,
    length: u64,
}

impl Header {
    pub(super) fn parse(data: &[u8]) -> Checked<Self> {
        let mut reader = Reader::new(data);
        check_magic(&mut reader)?;
        let tensor_count = count(&mut reader, "tensor count")?;
        let entry_count = count(&mut reader, "key count")?;
        let entries = read_entries(&mut reader, entry_count)?;
        let alignment = alignment(Metadata { data, entries: &entries })?;
        let described = (0..tensor_count).map(|_| read_tensor(&mut reader)).collect::<Checked<Vec<_>>>()?;
        let start = reader.position().next_multiple_of(alignment);
        let tensors = place(described, start, alignment, data.len())?;
        Ok(Self { entries, tensors: Tensors::new(tensors)? })
    }
}

fn check_magic(reader: &mut Reader<'_>) -> Checked<()> {
    let magic = reader.take(4, "magic")?;
    if magic != b"GGUF" {
        return Err(format!("not a GGUF file (starts with {}, wanted \"GGUF\")", shown(magic)));
    }
    match reader.u32("version")? {
        2 | 3 => Ok(()),
        version => Err(format!("GGUF version {version} is not supported (known: 2, 3)")),
    }
}

fn count(reader: &mut Reader<'_>, what: &str) -> Checked<u64> {
    match reader.u64(what)? {
        count if count <= MAX_COUNT => Ok(count),
        count => Err(format!("{what} is {count} (at most {MAX_COUNT})")),
    }
}

fn read_entries(reader: &mut Reader<'_>, count: u64) -> Checked<Entries> {
    let mut entries = Entries::with_capacity(reader.remaining().div_euclid(MIN_ENTRY).min(count as usize));
    for _ in 0..count {
        let key = reader.name(MAX_KEY, "key")?;
        let value = Value::read(reader, key)?;
        if entries.insert(key.into(), value).is_some() {
            return Err(format!("key {} occurs twice", shown(key.as_bytes())));
        }
    }
    Ok(entries)
}

fn alignment(metadata: Metadata<'_>) -> Checked<usize> {
    let alignment = metadata.u32("general.alignment")?.unwrap_or(DEFAULT_ALIGNMENT);
    if !alignment.is_power_of_two() || !(8..=4096).contains(&alignment) {
        return Err(format!("alignment is {alignment} (a power of two from 8 to 4096 wanted)"));
    }
    Ok(alignment as usize)
}

fn read_tensor(reader: &mut Reader<'_>) -> Checked<Described> {
    let name = reader.name(MAX_TENSOR_NAME, "tensor name")?;
    let dimensions = reader.u32("tensor dimensions")? as usize;
    if !(1..=4).contains(&dimensions) {
        return Err(format!("tensor {} has {dimensions} dimensions (1 to 4 allowed)", shown(name.as_bytes())));
    }
    let mut dims = [0; 4];
    for dim in &mut dims[..dimensions] {
        *dim = reader.u64("tensor dimensions")?;
    }
    let number = reader.u32("tensor type")?;
    let kind = TensorType::from_number(number)
        .ok_or_else(|| format!("tensor {} has unknown type {number}", shown(name.as_bytes())))?;
    let (info, length) = TensorInfo::new(name, &dims[..dimensions], kind)?;
    Ok(Described { info, offset: reader.u64("tensor offset")?, length })
}

/// Tensors must lie one after the other in the order of the table, as llama.cpp wants them: so none overlap, and no
/// byte of the data is out of sight.
fn place(described: Vec<Described>, start: usize, alignment: usize, file: usize) -> Checked<Vec<TensorInfo>> {
    let mut expected = 0_u64;
    let mut tensors = Vec::with_capacity(described.len());
    for Described { mut info, offset, length } in described {
        if offset % alignment as u64 != 0 {
            let name = shown(info.name().as_bytes());
            return Err(format!("tensor {name} starts at {offset}, not a multiple of the alignment {alignment}"));
        }
        if offset != expected {
            let name = shown(info.name().as_bytes());
            return Err(format!(
                "tensor {name} starts at {offset}, wanted {expected} (tensors lie one after the other)"
            ));
        }
        info.place(range(start, offset, length, file)?);
        // In range of the file, so far from overflow.
        expected = (offset + length).next_multiple_of(alignment as u64);
        tensors.push(info);
    }
    Ok(tensors)
}

fn range(start: usize, offset: u64, length: u64, file: usize) -> Checked<Range<usize>> {
    let first = (start as u64).checked_add(offset);
    let end = first.and_then(|first| first.checked_add(length)).unwrap_or(u64::MAX);
    if end > file as u64 {
        return Err(format!("tensor data ends early (wanted {end} bytes, found {file})"));
    }
    Ok((end - length) as usize..end as usize)
}
