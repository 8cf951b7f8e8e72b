//! Tensors as the file describes them: name, shape, type and byte range.

use std::{collections::HashMap, ops::Range};

use super::{Checked, shown};

/// How a tensor's numbers are packed. Names and numbers are those of `ggml.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types, reason = "the names of the format")]
pub enum TensorType {
    F32,
    F16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q8_1,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
    Q8_K,
    IQ2_XXS,
    IQ2_XS,
    IQ3_XXS,
    IQ1_S,
    IQ4_NL,
    IQ3_S,
    IQ2_S,
    IQ4_XS,
    I8,
    I16,
    I32,
    I64,
    F64,
    IQ1_M,
    BF16,
    TQ1_0,
    TQ2_0,
    MXFP4,
    NVFP4,
    Q1_0,
    Q2_0,
}

/// Number in the file, type, elements of a block, bytes of a block. Gaps are types that ggml has dropped.
const TYPES: [(u32, TensorType, u64, u64); 35] = [
    (0, TensorType::F32, 1, 4),
    (1, TensorType::F16, 1, 2),
    (2, TensorType::Q4_0, 32, 18),
    (3, TensorType::Q4_1, 32, 20),
    (6, TensorType::Q5_0, 32, 22),
    (7, TensorType::Q5_1, 32, 24),
    (8, TensorType::Q8_0, 32, 34),
    (9, TensorType::Q8_1, 32, 36),
    (10, TensorType::Q2_K, 256, 84),
    (11, TensorType::Q3_K, 256, 110),
    (12, TensorType::Q4_K, 256, 144),
    (13, TensorType::Q5_K, 256, 176),
    (14, TensorType::Q6_K, 256, 210),
    (15, TensorType::Q8_K, 256, 292),
    (16, TensorType::IQ2_XXS, 256, 66),
    (17, TensorType::IQ2_XS, 256, 74),
    (18, TensorType::IQ3_XXS, 256, 98),
    (19, TensorType::IQ1_S, 256, 50),
    (20, TensorType::IQ4_NL, 32, 18),
    (21, TensorType::IQ3_S, 256, 110),
    (22, TensorType::IQ2_S, 256, 82),
    (23, TensorType::IQ4_XS, 256, 136),
    (24, TensorType::I8, 1, 1),
    (25, TensorType::I16, 1, 2),
    (26, TensorType::I32, 1, 4),
    (27, TensorType::I64, 1, 8),
    (28, TensorType::F64, 1, 8),
    (29, TensorType::IQ1_M, 256, 56),
    (30, TensorType::BF16, 1, 2),
    (34, TensorType::TQ1_0, 256, 54),
    (35, TensorType::TQ2_0, 256, 66),
    (39, TensorType::MXFP4, 32, 17),
    (40, TensorType::NVFP4, 64, 36),
    (41, TensorType::Q1_0, 128, 18),
    (42, TensorType::Q2_0, 64, 18),
];

impl TensorType {
    pub(super) fn from_number(number: u32) -> Option<Self> {
        TYPES.iter().find(|row| row.0 == number).map(|row| row.1)
    }

    /// Elements of one block, and the bytes it takes.
    pub fn block(self) -> (u64, u64) {
        // The table is in the order of the enum; `every_type_is_in_its_row` holds it there.
        let row = TYPES[self as usize];
        (row.2, row.3)
    }

    /// Whether engines multiply by matrices of this type. The rest are integers, and formats for intermediate
    /// results, on which llama.cpp aborts.
    pub(super) fn is_weight(self) -> bool {
        !matches!(self, Self::Q8_1 | Self::Q8_K | Self::I8 | Self::I16 | Self::I32 | Self::I64 | Self::F64)
    }
}

/// One tensor of the file.
#[derive(Clone, Debug)]
pub struct TensorInfo {
    name: Box<str>,
    shape: [u64; 4],
    dimensions: usize,
    kind: TensorType,
    range: Range<usize>,
}

impl TensorInfo {
    /// A tensor whose data lies nowhere yet, with its length in bytes; all products checked.
    pub(super) fn new(name: &str, dims: &[u64], kind: TensorType) -> Checked<(Self, u64)> {
        let mut shape = [1; 4];
        shape[..dims.len()].copy_from_slice(dims);
        if dims.contains(&0) {
            return Err(format!("tensor {} has a zero dimension: {dims:?}", shown(name.as_bytes())));
        }
        let (elements, bytes) = kind.block();
        if shape[0] % elements != 0 {
            let name = shown(name.as_bytes());
            return Err(format!("tensor {name} has rows of {}, not whole blocks of {elements} ({kind:?})", shape[0]));
        }
        // Signed, as engines count elements in 64-bit signed integers.
        let count = shape.iter().try_fold(1_i64, |count, &n| count.checked_mul(i64::try_from(n).ok()?));
        let length = count.and_then(|count| (count as u64 / elements).checked_mul(bytes));
        let length = length.ok_or_else(|| format!("tensor {} is too large: {dims:?}", shown(name.as_bytes())))?;
        Ok((Self { name: name.into(), shape, dimensions: dims.len(), kind, range: 0..0 }, length))
    }

    pub(super) fn place(&mut self, range: Range<usize>) {
        self.range = range;
    }

    /// The name, such as `blk.0.attn_q.weight`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The dimensions, the fastest-changing (a row's length) first, as in the file.
    pub fn dims(&self) -> &[u64] {
        &self.shape[..self.dimensions]
    }

    /// How the numbers are packed.
    pub fn kind(&self) -> TensorType {
        self.kind
    }

    /// The bytes of the file that it takes.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }
}

/// All tensors, findable by name.
pub(super) struct Tensors {
    all: Vec<TensorInfo>,
    by_name: HashMap<Box<str>, usize>,
}

impl Tensors {
    pub(super) fn new(all: Vec<TensorInfo>) -> Checked<Self> {
        let mut by_name = HashMap::with_capacity(all.len());
        for (index, tensor) in all.iter().enumerate() {
            if by_name.insert(tensor.name.clone(), index).is_some() {
                return Err(format!("tensor {} occurs twice", shown(tensor.name.as_bytes())));
            }
        }
        Ok(Self { all, by_name })
    }

    pub(super) fn all(&self) -> &[TensorInfo] {
        &self.all
    }

    pub(super) fn get(&self, name: &str) -> Option<&TensorInfo> {
        self.by_name.get(name).map(|&index| &self.all[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_in_its_row() {
        for (row, (number, kind, ..)) in TYPES.into_iter().enumerate() {
            assert_eq!(kind as usize, row, "{kind:?}");
            assert_eq!(TensorType::from_number(number), Some(kind));
        }
    }
}
