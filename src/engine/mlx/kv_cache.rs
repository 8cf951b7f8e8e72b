//! The keys and values of the tokens so far, for each layer: grown in steps, cut back by forgetting, saved as bytes.

use mlx_rs::{
    Array,
    error::Exception,
    ops::{
        concatenate,
        indexing::{TryIndexMutOp, TryIndexOp},
        zeros_dtype,
    },
    transforms::eval,
};

use super::{bytes, repack::Float};

/// Positions by which the arrays grow: a copy of the cache each 256 tokens, none in between.
const STEP: i32 = 256;

/// What a saved state begins with.
const MAGIC: &[u8; 8] = b"cmdaiKV1";

/// Shape of one layer's cache, the same for all: `(1, heads, positions, length)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Key-value heads.
    pub heads: i32,
    /// Elements of a head.
    pub length: i32,
    pub float: Float,
}

impl Shape {
    fn zeros(self, positions: i32) -> Result<Array, Exception> {
        zeros_dtype(&[1, self.heads, positions, self.length], self.float.into())
    }

    /// An array of `positions` from its bytes.
    fn array(self, bytes: &[u8], positions: i32) -> Result<Array, String> {
        bytes::to_array(bytes, &[1, self.heads, positions, self.length], self.float.into())
    }

    /// Bytes of one array of so many positions.
    fn bytes(self, positions: usize) -> usize {
        positions * self.heads as usize * self.length as usize * self.float.size()
    }
}

/// Keys and values of one layer; empty until the first token.
#[derive(Default)]
struct Layer {
    keys: Option<Array>,
    values: Option<Array>,
}

/// The cache of one sequence.
pub struct KvCache {
    shape: Shape,
    layers: Vec<Layer>,
    length: i32,
}

impl KvCache {
    pub fn new(layers: usize, shape: Shape) -> Self {
        Self { shape, layers: (0..layers).map(|_| Layer::default()).collect(), length: 0 }
    }

    /// Positions held.
    pub fn length(&self) -> usize {
        self.length as usize
    }

    /// Forgets all but the first `to` positions; what they held is written over later.
    pub fn rewind(&mut self, to: usize) {
        self.length = self.length.min(to as i32);
        if to == 0 {
            // The arrays too: after a failure they may be graphs that cannot be computed.
            self.layers.fill_with(Layer::default);
        }
    }

    /// Appends `keys` and `values`, `(1, heads, new, length)`, to `layer` and returns all of its keys and values. The
    /// length changes only with [`KvCache::advance`], when every layer has its part.
    ///
    /// # Errors
    /// MLX refused.
    pub fn append(&mut self, layer: usize, keys: &Array, values: &Array) -> Result<(Array, Array), Exception> {
        let (start, shape) = (self.length, self.shape);
        let layer = &mut self.layers[layer];
        Ok((put(&mut layer.keys, keys, start, shape)?, put(&mut layer.values, values, start, shape)?))
    }

    /// Counts `new` positions that every layer has appended.
    pub fn advance(&mut self, new: usize) {
        self.length += new as i32;
    }

    /// Computes what is pending in the arrays.
    ///
    /// # Errors
    /// MLX failed to.
    pub fn eval(&self) -> Result<(), Exception> {
        eval(self.layers.iter().flat_map(|layer| layer.keys.iter().chain(&layer.values)))
    }

    /// The state as bytes: a head that says what it is of, then keys and values of each layer.
    ///
    /// # Errors
    /// MLX failed to compute it.
    pub fn save(&self) -> Result<Vec<u8>, String> {
        let mut bytes = self.head(self.length);
        for array in self.layers.iter().flat_map(|layer| layer.keys.iter().chain(&layer.values)) {
            let part = array.try_index((.., .., ..self.length, ..)).map_err(|cause| cause.to_string())?;
            bytes::append_to(&mut bytes, &part)?;
        }
        Ok(bytes)
    }

    /// Takes over a saved state of at most `capacity` positions.
    ///
    /// # Errors
    /// It is not a state of this model; the cache is then as it was.
    pub fn restore(&mut self, bytes: &[u8], capacity: usize) -> Result<(), String> {
        let head = self.head(0).len();
        let length = bytes.get(head - 4..head).and_then(|length| length.try_into().ok()).map_or(-1, i32::from_le_bytes);
        if length < 0 || length as usize > capacity || bytes[..head] != self.head(length) {
            return Err("the saved state is of another model".into());
        }
        let one = self.shape.bytes(length as usize);
        if bytes.len() - head != 2 * self.layers.len() * one {
            return Err(format!(
                "the saved state has {} bytes, wanted {}",
                bytes.len() - head,
                2 * self.layers.len() * one
            ));
        }
        if length > 0 {
            let shape = self.shape;
            let arrays = bytes[head..].chunks_exact(one).map(|bytes| shape.array(bytes, length));
            let mut arrays = arrays.collect::<Result<Vec<_>, _>>()?.into_iter();
            self.layers.iter_mut().for_each(|layer| (layer.keys, layer.values) = (arrays.next(), arrays.next()));
        }
        self.length = length;
        Ok(())
    }

    /// What a saved state of `length` positions begins with; the length comes last.
    fn head(&self, length: i32) -> Vec<u8> {
        let Shape { heads, length: head_length, .. } = self.shape;
        let numbers = [self.layers.len() as i32, heads, head_length, self.shape.float.size() as i32, length];
        MAGIC.iter().copied().chain(numbers.into_iter().flat_map(i32::to_le_bytes)).collect()
    }
}

/// Writes `new` behind the first `start` positions of `slot`, which grows where it must; returns all up to its end.
fn put(slot: &mut Option<Array>, new: &Array, start: i32, shape: Shape) -> Result<Array, Exception> {
    let end = start + new.dim(2);
    let capacity = slot.as_ref().map_or(0, |array| array.dim(2));
    if end > capacity {
        let room = shape.zeros((end - start + STEP - 1) / STEP * STEP)?;
        *slot = Some(match slot.take() {
            Some(old) if start > 0 => concatenate(&[old.try_index((.., .., ..start, ..))?, room], 2)?,
            _ => room,
        });
    }
    let array = slot.as_mut().ok_or_else(|| Exception::custom("the cache has no array"))?;
    array.try_index_mut((.., .., start..end, ..), new)?;
    array.try_index((.., .., ..end, ..))
}
