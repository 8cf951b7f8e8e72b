//! A LoRA adapter: for some matrices W of a model two narrow ones, so that W x becomes W x + (alpha / rank) B (A x).
//!
//! llama.cpp asserts types, leaves out what it does not know, and looks at no shape of a matrix that the model computes
//! otherwise. So a file passes only if each of its tensors is one of a pair, and each pair fits a matrix of the model.

use std::path::{Path, PathBuf};

use super::{
    Checked, GgufFile, failed_to_open,
    header::Header,
    map,
    metadata::Metadata,
    shown,
    tensor::{TensorInfo, Tensors},
};
use crate::error::{Context, Error, Result};

/// What the names of the two tensors of a pair end with, behind the name of the model's.
const ENDS: [&str; 2] = [".lora_a", ".lora_b"];

/// An adapter's file whose header has been checked.
pub struct Adapter {
    path: PathBuf,
    architecture: Box<str>,
    pairs: Vec<Pair>,
}

/// A matrix of the model with the shapes of its A and B.
struct Pair {
    name: Box<str>,
    shapes: [[u64; 2]; 2],
}

impl Adapter {
    /// Maps the file and checks all of it but the numbers in the matrices, and what [`Adapter::check_fits`] does.
    ///
    /// # Errors
    /// The file cannot be read, or a check failed: `could not open adapter: PATH: CAUSE`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        map(path).and_then(|data| Self::check(path.into(), &data)).context(|| failed_to_open("adapter", path))
    }

    fn check(path: PathBuf, data: &[u8]) -> Checked<Self> {
        let header = Header::parse(data)?;
        let metadata = Metadata { data, entries: &header.entries };
        Ok(Self { path, architecture: check_metadata(metadata)?.into(), pairs: pairs(&header.tensors)? })
    }

    /// Refuses a model whose architecture is another, or that has no matrix of the right shape for each pair.
    ///
    /// # Errors
    /// It does not fit: `could not use adapter: PATH: CAUSE`.
    pub fn check_fits(&self, model: &GgufFile) -> Result<()> {
        let what = || format!("could not use adapter: {}", self.path.display());
        let fits = if *self.architecture == *model.architecture() {
            self.pairs.iter().try_for_each(|pair| pair.check_fits(model))
        } else {
            let adapter = shown(self.architecture.as_bytes());
            Err(format!("it is for architecture {adapter}, the model is {:?}", model.architecture()))
        };
        fits.context(what).map_err(|error: Error| {
            error.hint(format!("choose the model that it was made for, not {}", model.path().display()))
        })
    }
}

/// The architecture that it is for.
fn check_metadata(metadata: Metadata<'_>) -> Checked<&str> {
    for (key, wanted) in [("general.type", "adapter"), ("adapter.type", "lora")] {
        match metadata.str(key)? {
            Some(found) if found == wanted => {}
            Some(found) => return Err(format!("key \"{key}\" is {}, wanted {wanted:?}", shown(found.as_bytes()))),
            None => return Err(format!("it is no LoRA adapter: key \"{key}\" is missing")),
        }
    }
    if let Some(alpha) = metadata.f32("adapter.lora.alpha")?.filter(|alpha| !alpha.is_finite()) {
        return Err(format!("key \"adapter.lora.alpha\" is {alpha}"));
    }
    if metadata.entries.contains_key("adapter.alora.invocation_tokens") {
        return Err("it is an activated LoRA, in force behind certain words only, which is not supported".into());
    }
    metadata.str("general.architecture")?.ok_or_else(|| "key \"general.architecture\" is missing".into())
}

fn pairs(tensors: &Tensors) -> Checked<Vec<Pair>> {
    let mut pairs = Vec::with_capacity(tensors.all().len() / 2);
    for tensor in tensors.all() {
        let shape = matrix(tensor)?;
        let half = (0..2).find_map(|half| Some((half, tensor.name().strip_suffix(ENDS[half])?)));
        let (half, name) =
            half.ok_or_else(|| format!("tensor {} is no half of a pair", shown(tensor.name().as_bytes())))?;
        let other = format!("{name}{}", ENDS[1 - half]);
        let other = tensors.get(&other).ok_or_else(|| format!("tensor {} is missing", shown(other.as_bytes())))?;
        if half == 0 {
            pairs.push(Pair { name: name.into(), shapes: [shape, matrix(other)?] });
        }
    }
    if pairs.is_empty() { Err("it has no tensors".into()) } else { Ok(pairs) }
}

/// The shape of a tensor that llama.cpp can multiply by.
fn matrix(tensor: &TensorInfo) -> Checked<[u64; 2]> {
    let (name, kind) = (shown(tensor.name().as_bytes()), tensor.kind());
    if !kind.is_weight() {
        return Err(format!("tensor {name} has type {kind:?}, which no engine computes with there"));
    }
    let dims = tensor.dims();
    dims.try_into().map_err(|_| format!("tensor {name} has shape {dims:?}, wanted two dimensions"))
}

impl Pair {
    fn check_fits(&self, model: &GgufFile) -> Checked<()> {
        let name = shown(self.name.as_bytes());
        // Of the embeddings A and B are the other way about, and where they serve as the output too, llama.cpp aborts.
        if &*self.name == "token_embd.weight" {
            return Err(format!("it changes {name}, the embeddings, which is not supported"));
        }
        let tensor = model.tensor(&self.name).ok_or_else(|| format!("the model has no tensor {name}"))?;
        let &[columns, rows] = tensor.dims() else {
            return Err(format!("tensor {name} of the model is no matrix"));
        };
        let [[_, rank], _] = self.shapes;
        // A rank of more than the columns says nothing more, and takes memory in each step.
        let rank = rank.min(columns);
        let wanted = [[columns, rank], [rank, rows]];
        match (0..2).find(|&half| self.shapes[half] != wanted[half]) {
            None => Ok(()),
            Some(half) => {
                let name = shown(format!("{}{}", self.name, ENDS[half]).as_bytes());
                Err(format!("tensor {name} has shape {:?}, wanted {:?}", self.shapes[half], wanted[half]))
            }
        }
    }
}
