//! Between bytes and MLX's arrays: the one place where memory crosses.

use mlx_rs::{Array, Dtype};

use super::repack::Float;

impl From<Float> for Dtype {
    fn from(float: Float) -> Self {
        match float {
            Float::F16 => Self::Float16,
            Float::F32 => Self::Float32,
        }
    }
}

/// An array of `shape` with a copy of `bytes`, which must be exactly as many as it holds.
///
/// # Errors
/// No memory.
pub(super) fn to_array(bytes: &[u8], shape: &[i32], kind: Dtype) -> Result<Array, String> {
    let elements: usize = shape.iter().map(|&n| n as usize).product();
    let size = if kind == Dtype::Float16 { 2 } else { 4 };
    assert_eq!(bytes.len(), elements * size, "{shape:?} of {kind:?}");
    // SAFETY: `bytes` has the length of the shape in that type, and MLX copies it before it returns.
    let array = unsafe { Array::from_raw_data(bytes.as_ptr().cast(), shape, kind) };
    // mlx-rs does not look whether MLX refused.
    if array.as_ptr().ctx.is_null() { Err(format!("no memory for {} bytes", bytes.len())) } else { Ok(array) }
}

/// Appends the bytes of `array`, row after row.
///
/// # Errors
/// MLX failed to compute it.
pub(super) fn append_to(bytes: &mut Vec<u8>, array: &Array) -> Result<(), String> {
    let flat =
        array.reshape(&[-1]).and_then(|flat| flat.view_dtype(Dtype::Uint8)).map_err(|cause| cause.to_string())?;
    bytes.extend_from_slice(flat.try_as_slice().map_err(|cause| cause.to_string())?);
    Ok(())
}
