//! GGUF files of models and adapters, memory-mapped and checked in full before an engine's C++ sees a byte of them.
//!
//! Owns every check that a hostile file must fail: counts, lengths, shapes, offsets, and that the layers which the
//! metadata promises are there. Big string arrays (150,000 tokens, as many merges) stay byte ranges of the map, so
//! that opening a 1 GB model takes a few milliseconds. Format: `docs/gguf.md` of <https://github.com/ggml-org/ggml>.

mod adapter;
mod architecture;
mod header;
mod metadata;
mod reader;
mod tensor;

use std::{
    fs::{self, File},
    ops::Deref,
    path::{Path, PathBuf},
};

use memmap2::{Mmap, UncheckedAdvice};

use crate::error::{Context, Result};

use self::{architecture::Architecture, header::Header, metadata::Metadata};

pub use self::{
    adapter::Adapter,
    metadata::{StringArray, U32Array},
    tensor::{TensorInfo, TensorType},
};

/// What a check found wrong, without the path, which [`GgufFile::open`] puts in front.
type Checked<T> = Result<T, String>;

/// A GGUF file whose header, tensor table and layers have been checked.
pub struct GgufFile {
    path: PathBuf,
    data: Bytes,
    header: Header,
    architecture: Architecture,
}

enum Bytes {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

impl GgufFile {
    /// Maps the file and checks all of it but the weights' values.
    ///
    /// # Errors
    /// The file cannot be read, or a check failed: `could not open model: PATH: CAUSE`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        map(path).and_then(|data| Self::check(path.into(), data)).context(|| failed_to_open("model", path))
    }

    /// The same checks over bytes in memory; `name` stands for the path in messages.
    ///
    /// # Errors
    /// A check failed.
    pub fn from_bytes(name: impl Into<PathBuf>, bytes: Vec<u8>) -> Result<Self> {
        let path = name.into();
        Self::check(path.clone(), Bytes::Owned(bytes)).context(|| failed_to_open("model", &path))
    }

    fn check(path: PathBuf, data: Bytes) -> Checked<Self> {
        let header = Header::parse(&data)?;
        let metadata = Metadata { data: &data, entries: &header.entries };
        let architecture = Architecture::check(metadata, &header.tensors)?;
        Ok(Self { path, data, header, architecture })
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `general.architecture`: `qwen2` or `llama`.
    pub fn architecture(&self) -> &'static str {
        self.architecture.name
    }

    /// The number of positions the model was trained for.
    pub fn context_length(&self) -> u32 {
        self.architecture.context_length
    }

    /// The number of tokens: rows of `token_embd.weight`, which every checked file has.
    pub fn vocabulary(&self) -> usize {
        self.tensor("token_embd.weight").map_or(0, |tensor| tensor.dims()[1] as usize)
    }

    /// An unsigned 32-bit value; `None` where the key is absent.
    ///
    /// # Errors
    /// The key holds another type.
    pub fn u32(&self, key: &str) -> Result<Option<u32>> {
        self.named(self.metadata().u32(key))
    }

    /// A 32-bit float; `None` where the key is absent.
    ///
    /// # Errors
    /// The key holds another type.
    pub fn f32(&self, key: &str) -> Result<Option<f32>> {
        self.named(self.metadata().f32(key))
    }

    /// A truth value; `None` where the key is absent.
    ///
    /// # Errors
    /// The key holds another type.
    pub fn bool(&self, key: &str) -> Result<Option<bool>> {
        self.named(self.metadata().bool(key))
    }

    /// A text; `None` where the key is absent.
    ///
    /// # Errors
    /// The key holds another type, or bytes that are not UTF-8.
    pub fn str(&self, key: &str) -> Result<Option<&str>> {
        self.named(self.metadata().str(key))
    }

    /// An array of strings, walked in the map as it is read; `None` where the key is absent.
    ///
    /// # Errors
    /// The key holds another type.
    pub fn string_array(&self, key: &str) -> Result<Option<StringArray<'_>>> {
        self.named(self.metadata().string_array(key))
    }

    /// An array of 32-bit integers; `None` where the key is absent.
    ///
    /// # Errors
    /// The key holds another type.
    pub fn u32_array(&self, key: &str) -> Result<Option<U32Array<'_>>> {
        self.named(self.metadata().u32_array(key))
    }

    /// Every tensor, in the file's order.
    pub fn tensors(&self) -> &[TensorInfo] {
        self.header.tensors.all()
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.header.tensors.get(name)
    }

    /// The bytes of a tensor of this file, in the layout of its type.
    pub fn tensor_data(&self, info: &TensorInfo) -> &[u8] {
        &self.data[info.range()]
    }

    /// Gives the memory under a tensor's bytes back to the system, for who has copied them; reading them again is slower,
    /// not wrong.
    pub fn release(&self, info: &TensorInfo) {
        let Bytes::Mapped(map) = &self.data else { return };
        let range = info.range();
        // SAFETY: the map is of a file and read-only, so a page dropped from it comes back from the file with the same
        // bytes.
        let outcome = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len()) };
        if let Err(cause) = outcome {
            tracing::debug!("memory is kept: {cause}");
        }
    }

    fn metadata(&self) -> Metadata<'_> {
        Metadata { data: &self.data, entries: &self.header.entries }
    }

    fn named<T>(&self, value: Checked<T>) -> Result<T> {
        value.context(|| format!("could not read model: {}", self.path.display()))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        }
    }
}

fn failed_to_open(what: &str, path: &Path) -> String {
    format!("could not open {what}: {}", path.display())
}

/// Only regular files: opening a pipe would wait for its writer, and a device has no length.
fn map(path: &Path) -> Checked<Bytes> {
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("not a regular file".into());
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    // SAFETY: the map is read-only and private to this value. What it rests on is that nobody shortens or rewrites
    // the file while it is mapped: files of our store are written once under another name, checked and renamed into
    // place, never edited. A file that is truncated by someone else ends the process with SIGBUS, which the program
    // turns into an error's line.
    let map = unsafe { Mmap::map(&file) }.map_err(|error| error.to_string())?;
    Ok(Bytes::Mapped(map))
}

/// Text from the file, made fit for a message: escaped and cut.
fn shown(text: &[u8]) -> String {
    let head = String::from_utf8_lossy(&text[..text.len().min(64)]);
    format!("\"{}\"", head.escape_debug())
}
