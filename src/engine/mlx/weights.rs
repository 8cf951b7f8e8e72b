//! A model's weights as MLX arrays, from the GGUF file or from what an earlier start packed.
//!
//! Packing 1 GB takes a second or two, so the result is kept in a cache: made under another name, then renamed, so that
//! a reader sees a whole file or none; read only if its header is exactly the one expected and each array has the
//! checksum that was written. Whatever is wrong with it, the weights are packed again from the model. Where the cache
//! cannot be written, every start packs: slower, never wrong.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use mlx_rs::{Array, Dtype};

use super::{
    OTHER_ENGINE, bytes,
    layout::{Element, Item, Layout, Part, VERSION},
    repack::{Float, Packed, repack},
};
use crate::{
    engine::remove_files,
    error::{Context, Result},
    model::{gguf::GgufFile, store},
};

/// Bytes of a buffer that a thread keeps for its next tensor. The few larger ones, of embedding and head, go at once:
/// they come first, when little else is loaded, and so are never held beside all the rest.
const KEPT_BUFFER: usize = 32 << 20;

/// Every array of the model by its published name.
pub type Arrays = HashMap<String, Array>;

/// Loads the weights of `file`, whose SHA-256 is `model`, all cores at work; `cache` is the directory of packed files.
///
/// # Errors
/// A tensor that the engine does not compute with, a weight that is not a number, or no memory.
pub fn load(file: &GgufFile, model: &str, float: Float, cache: Option<&Path>) -> Result<Arrays> {
    let what = || format!("could not open model: {}", file.path().display());
    let layout = Layout::of(file, model, float).context(what).map_err(|error| error.hint(OTHER_ENGINE))?;
    ensure_memory(layout.length()).context(what).map_err(|error| error.hint("free some memory and try again"))?;
    let packed = cache.map(|directory| PackedFile::new(directory, model, float));
    if let Some(arrays) = packed.as_ref().and_then(|packed| packed.read(&layout, float)) {
        return Ok(arrays);
    }
    let _alone = packed.as_ref().and_then(PackedFile::lock);
    // Another process may have packed while this one waited for the lock.
    if let Some(arrays) = packed.as_ref().and_then(|packed| packed.read(&layout, float)) {
        return Ok(arrays);
    }
    let sink = packed.as_ref().and_then(|packed| Sink::create(packed, &layout));
    let arrays = in_parallel(&layout.items, |item, buffer| pack(file, item, float, buffer, sink.as_ref()))
        .context(what)
        .map_err(|error| error.hint(OTHER_ENGINE))?;
    if let Some(sink) = sink {
        sink.publish(&layout);
    }
    Ok(arrays)
}

/// MLX's CPU allocator does not survive a refusal, so the system is asked before it is.
fn ensure_memory(bytes: u64) -> Result<(), String> {
    let refused = |_| format!("no memory for {} of weights", store::megabytes(bytes));
    Vec::<u8>::new().try_reserve_exact(bytes as usize).map_err(refused)
}

/// The arrays of every item: each thread takes the next one, the largest first, so that all end at about the same time.
/// `work` gets a buffer of its thread's own.
fn in_parallel<B: Default>(
    items: &[Item],
    work: impl Fn(&Item, &mut B) -> Result<Vec<Array>, String> + Sync,
) -> Result<Arrays, String> {
    let mut order: Vec<&Item> = items.iter().collect();
    order.sort_by_key(|item| std::cmp::Reverse(item.tensor.range().len()));
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Ok(Arrays::new())));
    let worker = || {
        let mut buffer = B::default();
        while let Some(item) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            let arrays = work(item, &mut buffer);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            match (arrays, done.as_mut()) {
                (Ok(arrays), Ok(all)) => all.extend(item.parts.iter().map(|part| part.name.clone()).zip(arrays)),
                (Err(error), Ok(_)) => *done = Err(error),
                (_, Err(_)) => return,
            }
        }
    };
    std::thread::scope(|scope| {
        let others = std::thread::available_parallelism().map_or(0, |n| n.get() - 1);
        // A thread that cannot be had leaves its part to the others.
        (0..others).for_each(|_| drop(std::thread::Builder::new().spawn_scoped(scope, worker)));
        worker();
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn pack(
    file: &GgufFile,
    item: &Item,
    float: Float,
    packed: &mut Packed,
    sink: Option<&Sink<'_>>,
) -> Result<Vec<Array>, String> {
    let tensor = &item.tensor;
    repack(tensor.kind(), file.tensor_data(tensor), float, packed)
        .map_err(|cause| format!("tensor {} {cause}", tensor.name()))?;
    let bytes = [&packed.weight, &packed.scales, &packed.biases];
    let parts = || item.parts.iter().zip(bytes);
    if let Some(sink) = sink {
        parts().for_each(|(part, bytes)| sink.write(part, bytes));
    }
    let arrays = parts().map(|(part, bytes)| array(part, bytes, float)).collect();
    file.release(tensor);
    if packed.weight.len() > KEPT_BUFFER {
        *packed = Packed::default();
    }
    arrays
}

fn array(part: &Part, bytes: &[u8], float: Float) -> Result<Array, String> {
    let kind = if part.element == Element::U32 { Dtype::Uint32 } else { float.into() };
    bytes::to_array(bytes, &part.shape, kind).map_err(|cause| format!("{}: {cause}", part.name))
}

/// The packed file of one model.
struct PackedFile {
    directory: PathBuf,
    /// What the names of this model's packed files of any version begin with.
    stem: String,
    path: PathBuf,
}

impl PackedFile {
    fn new(directory: &Path, model: &str, float: Float) -> Self {
        let stem = format!("{model}-{}-", format!("{float:?}").to_lowercase());
        let path = directory.join(format!("{stem}v{VERSION}.safetensors"));
        Self { directory: directory.into(), stem, path }
    }

    /// The arrays, if the file is there and whole.
    fn read(&self, layout: &Layout, float: Float) -> Option<Arrays> {
        let file = File::open(&self.path).ok()?;
        let arrays = check(&file, layout).and_then(|checksums| {
            in_parallel(&layout.items, |item, buffer: &mut Vec<u8>| {
                let read = |part| array(part, read_part(&file, part, &checksums, buffer)?, float);
                item.parts.iter().map(read).collect()
            })
        });
        arrays.inspect_err(|cause| tracing::warn!("packing again: {}: {cause}", self.path.display())).ok()
    }

    /// Waits until no other process packs. Without the lock two would do the same work, and one would win.
    fn lock(&self) -> Option<File> {
        let locked = store::make_private(&self.directory)
            .and_then(|()| store::lock(&self.directory.join("lock"), || tracing::info!("another cmdai packs")));
        locked.inspect_err(|cause| tracing::warn!("{cause}")).ok()
    }
}

/// The file's checksums, if its length and its header are those expected.
fn check(file: &File, layout: &Layout) -> Result<Checksums, String> {
    let wrong = |cause: io::Error| cause.to_string();
    let length = file.metadata().map_err(wrong)?.len();
    if length != layout.length() {
        return Err(format!("wanted {} bytes, found {length}", layout.length()));
    }
    let mut header = vec![0; layout.header.len()];
    file.read_exact_at(&mut header, 0).map_err(wrong)?;
    if header != layout.header {
        return Err("it was made from another file, or by another version".into());
    }
    let mut checksums = vec![0; layout.checksums.length];
    file.read_exact_at(&mut checksums, layout.checksums.offset).map_err(wrong)?;
    Ok(Checksums::of(layout, &checksums))
}

/// The CRC-32 of each array by its place in the file.
struct Checksums(HashMap<u64, [u8; 4]>);

impl Checksums {
    fn of(layout: &Layout, bytes: &[u8]) -> Self {
        let offsets = layout.parts().map(|part| part.offset);
        Self(offsets.zip(bytes.as_chunks().0.iter().copied()).collect())
    }
}

/// The bytes of `part`, read into `buffer`.
fn read_part<'a>(file: &File, part: &Part, checksums: &Checksums, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], String> {
    if buffer.len() > KEPT_BUFFER {
        *buffer = Vec::new();
    }
    buffer.resize(part.length.max(buffer.len()), 0);
    let bytes = &mut buffer[..part.length];
    file.read_exact_at(bytes, part.offset).map_err(|cause| cause.to_string())?;
    if checksums.0.get(&part.offset) != Some(&crc32fast::hash(bytes).to_le_bytes()) {
        return Err(format!("{} has changed since it was written", part.name));
    }
    Ok(bytes)
}

/// A packed file being written. The first failure ends the writing, not the loading.
struct Sink<'a> {
    packed: &'a PackedFile,
    scratch: PathBuf,
    file: File,
    checksums: Mutex<HashMap<u64, [u8; 4]>>,
    failure: OnceLock<io::Error>,
}

impl<'a> Sink<'a> {
    fn create(packed: &'a PackedFile, layout: &Layout) -> Option<Self> {
        // Under the lock only one process writes, so what a killed one left behind is written over.
        let scratch = packed.path.with_extension("new");
        let open = || {
            store::ensure_free(&packed.directory, layout.length(), "keep packed weights in")?;
            let mut options = fs::OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600).open(&scratch).context(String::new)
        };
        let file = open().inspect_err(|cause| tracing::warn!("{}: {cause}", packed.path.display())).ok()?;
        Some(Self { packed, scratch, file, checksums: Mutex::default(), failure: OnceLock::new() })
    }

    fn write(&self, part: &Part, bytes: &[u8]) {
        if self.failure.get().is_some() {
            return;
        }
        let checksum = crc32fast::hash(bytes).to_le_bytes();
        self.checksums.lock().unwrap_or_else(PoisonError::into_inner).insert(part.offset, checksum);
        if let Err(cause) = self.file.write_all_at(bytes, part.offset) {
            let _ = self.failure.set(cause);
        }
    }

    /// Writes what closes the file and gives it its name.
    fn publish(&self, layout: &Layout) {
        let written = self.close(layout).and_then(|()| fs::rename(&self.scratch, &self.packed.path));
        match written {
            // What earlier versions packed of this model goes.
            Ok(()) => remove_files(&self.packed.directory, &self.packed.stem, Some(&self.packed.path)),
            Err(cause) => {
                tracing::warn!("could not keep packed weights in {}: {cause}", self.packed.path.display());
            }
        }
    }

    fn close(&self, layout: &Layout) -> io::Result<()> {
        if let Some(failure) = self.failure.get() {
            return Err(io::Error::new(failure.kind(), failure.to_string()));
        }
        let checksums = self.checksums.lock().unwrap_or_else(PoisonError::into_inner);
        let closing: Vec<u8> =
            layout.parts().flat_map(|part| checksums.get(&part.offset).copied().unwrap_or_default()).collect();
        self.file.write_all_at(&closing, layout.checksums.offset)?;
        self.file.write_all_at(&layout.header, 0)
    }
}

impl Drop for Sink<'_> {
    /// A file that did not get its name goes.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.scratch);
    }
}
