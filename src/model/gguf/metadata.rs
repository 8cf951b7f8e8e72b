//! Metadata values: scalars are kept, strings and arrays stay byte ranges of the file until someone asks.

use std::{collections::HashMap, ops::Range};

use super::{Checked, reader::Reader, shown};

pub(super) type Entries = HashMap<Box<str>, Value>;

#[derive(Clone, Debug)]
pub(super) enum Value {
    Scalar { kind: ValueType, bits: u64 },
    Text(Range<usize>),
    Array { kind: ValueType, count: usize, bytes: Range<usize> },
}

/// The value types of GGUF, by their numbers in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    String,
    Array,
    U64,
    I64,
    F64,
}

impl ValueType {
    fn read(reader: &mut Reader<'_>, key: &str) -> Checked<Self> {
        use ValueType::{Array, Bool, F32, F64, I8, I16, I32, I64, String, U8, U16, U32, U64};
        const BY_NUMBER: [ValueType; 13] = [U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64];
        let number = reader.u32("value type")?;
        let kind = BY_NUMBER.get(number as usize).copied();
        kind.ok_or_else(|| format!("key {} has unknown value type {number}", shown(key.as_bytes())))
    }

    /// Bytes of one scalar; strings and arrays have none of their own.
    fn size(self) -> Option<usize> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::String | Self::Array => None,
        }
    }
}

impl Value {
    pub(super) fn read(reader: &mut Reader<'_>, key: &str) -> Checked<Self> {
        match ValueType::read(reader, key)? {
            ValueType::String => {
                let length = reader.string("string value")?.len();
                Ok(Self::Text(reader.position() - length..reader.position()))
            }
            ValueType::Array => Self::read_array(reader, key),
            kind => Self::read_scalar(reader, key, kind),
        }
    }

    fn read_scalar(reader: &mut Reader<'_>, key: &str, kind: ValueType) -> Checked<Self> {
        let bytes = reader.take(kind.size().unwrap_or_default(), "value")?;
        let bits = bytes.iter().rev().fold(0, |bits, &byte| bits << 8 | u64::from(byte));
        if kind == ValueType::Bool && bits > 1 {
            return Err(format!("key {} holds {bits}, wanted true or false", shown(key.as_bytes())));
        }
        Ok(Self::Scalar { kind, bits })
    }

    /// Arrays of arrays are in the format and in no model file; llama.cpp refuses them too.
    fn read_array(reader: &mut Reader<'_>, key: &str) -> Checked<Self> {
        let kind = ValueType::read(reader, key)?;
        if kind == ValueType::Array {
            return Err(format!("key {} holds an array of arrays", shown(key.as_bytes())));
        }
        let count = reader.u64("array length")?;
        // A string takes at least the 8 bytes of its length.
        let least = count.saturating_mul(kind.size().unwrap_or(8) as u64);
        if least > reader.remaining() as u64 {
            return Err(reader.too_short(least, "array"));
        }
        let (start, count) = (reader.position(), count as usize);
        match kind.size() {
            Some(size) => reader.take(count * size, "array").map(drop)?,
            None => reader.skip_strings(count)?,
        }
        Ok(Self::Array { kind, count, bytes: start..reader.position() })
    }

    fn kind(&self) -> String {
        match self {
            Self::Scalar { kind, .. } => format!("{kind:?}").to_lowercase(),
            Self::Text(_) => "string".into(),
            Self::Array { kind, .. } => format!("array of {kind:?}").to_lowercase(),
        }
    }
}

/// The metadata over the file that it points into.
#[derive(Clone, Copy)]
pub(super) struct Metadata<'a> {
    pub(super) data: &'a [u8],
    pub(super) entries: &'a Entries,
}

impl<'a> Metadata<'a> {
    pub(super) fn u32(self, key: &str) -> Checked<Option<u32>> {
        self.scalar(key, ValueType::U32, "u32").map(|bits| bits.map(|bits| bits as u32))
    }

    pub(super) fn f32(self, key: &str) -> Checked<Option<f32>> {
        self.scalar(key, ValueType::F32, "f32").map(|bits| bits.map(|bits| f32::from_bits(bits as u32)))
    }

    pub(super) fn bool(self, key: &str) -> Checked<Option<bool>> {
        self.scalar(key, ValueType::Bool, "bool").map(|bits| bits.map(|bits| bits == 1))
    }

    pub(super) fn str(self, key: &str) -> Checked<Option<&'a str>> {
        let bytes = match self.entries.get(key) {
            None => return Ok(None),
            Some(Value::Text(range)) => &self.data[range.clone()],
            Some(other) => return Err(wrong_type(key, other, "string")),
        };
        str::from_utf8(bytes).map(Some).map_err(|_| format!("key {} is not UTF-8", shown(key.as_bytes())))
    }

    pub(super) fn string_array(self, key: &str) -> Checked<Option<StringArray<'a>>> {
        match self.entries.get(key) {
            None => Ok(None),
            Some(Value::Array { kind: ValueType::String, count, bytes }) => {
                Ok(Some(StringArray { rest: &self.data[bytes.clone()], count: *count }))
            }
            Some(other) => Err(wrong_type(key, other, "array of string")),
        }
    }

    pub(super) fn u32_array(self, key: &str) -> Checked<Option<U32Array<'a>>> {
        match self.entries.get(key) {
            None => Ok(None),
            Some(Value::Array { kind: ValueType::U32 | ValueType::I32, bytes, .. }) => {
                Ok(Some(U32Array { rest: &self.data[bytes.clone()] }))
            }
            Some(other) => Err(wrong_type(key, other, "array of u32 or i32")),
        }
    }

    fn scalar(self, key: &str, wanted: ValueType, name: &str) -> Checked<Option<u64>> {
        match self.entries.get(key) {
            None => Ok(None),
            Some(Value::Scalar { kind, bits }) if *kind == wanted => Ok(Some(*bits)),
            Some(other) => Err(wrong_type(key, other, name)),
        }
    }
}

fn wrong_type(key: &str, found: &Value, wanted: &str) -> String {
    format!("key {} holds {}, wanted {wanted}", shown(key.as_bytes()), found.kind())
}

/// The strings of an array, read off the map one after the other.
#[derive(Clone, Debug)]
pub struct StringArray<'a> {
    rest: &'a [u8],
    count: usize,
}

impl StringArray<'_> {
    /// Bytes of all strings together that are still to come, with the 8 bytes of length in front of each.
    pub fn byte_length(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for StringArray<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        // Every length was checked when the file was opened, so no `?` here ends the walk early.
        let (length, rest) = self.rest.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(u64::from_le_bytes(*length) as usize)?;
        self.rest = rest;
        self.count -= 1;
        Some(text)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, Some(self.count))
    }
}

impl ExactSizeIterator for StringArray<'_> {}

/// The numbers of an array of `u32`, or the bits of one of `i32`.
#[derive(Clone, Debug)]
pub struct U32Array<'a> {
    rest: &'a [u8],
}

impl Iterator for U32Array<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (number, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_le_bytes(*number))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.rest.len() / 4, Some(self.rest.len() / 4))
    }
}

impl ExactSizeIterator for U32Array<'_> {}
