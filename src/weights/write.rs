//! Writing `.safetensors` files.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorInfo};

use super::PREFIX;
use crate::array::Array;
use crate::atomic::replace;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::TensorType;

pub(super) const METADATA: &str = "__metadata__";

/// Writes tensors and metadata to a `.safetensors` file, atomically: until it is complete and on the disk, `path` is
/// what it was. The tensors lie in the order in which they come, except that counters of batch norm
/// (`num_batches_tracked`), which are I64 as PyTorch's, come first and those of dtype bool, one byte an element, last. Equal
/// content gives equal bytes. A link at `path` is replaced, not followed.
///
/// # Errors
/// [`Error::Argument`] where a name comes twice or is `__metadata__`; [`Error::Io`] where the file cannot be written:
/// what lay at `path` is then whole.
pub fn write(
    path: impl AsRef<Path>,
    tensors: &[(String, Array)],
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let types: Vec<(String, TensorType)> = tensors
        .iter()
        .map(|(name, array)| (name.clone(), TensorType::of(array)))
        .collect();
    write_each(path.as_ref(), &types, metadata, &mut |at| {
        Ok(tensors[at].1.clone())
    })
}

/// As [`write`], with the tensors one by one: `value` gives the one at an index of `types`.
///
/// # Errors
/// As [`write`]; those of `value`.
pub(crate) fn write_each(
    path: &Path,
    types: &[(String, TensorType)],
    metadata: &BTreeMap<String, String>,
    value: &mut dyn FnMut(usize) -> Result<Array>,
) -> Result<()> {
    let mut order: Vec<usize> = (0..types.len()).collect();
    order.sort_by_key(|&at| {
        let (name, ty) = &types[at];
        (!is_wide(name, ty), ty.dtype == DType::Bool)
    });
    let header = header(order.iter().map(|&at| &types[at]), metadata)?;
    // What failed besides the file.
    let mut failed = None;
    let written = replace(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        for at in order {
            let (name, ty) = &types[at];
            let array = value(at).map_err(|e| {
                failed = Some(e);
                std::io::Error::other("no value to write")
            })?;
            match ty.dtype {
                _ if is_wide(name, ty) => {
                    let wide = |&w: &u32| i64::from(w as i32).to_le_bytes();
                    let words = array.words();
                    words.iter().try_for_each(|w| file.write_all(&wide(w)))?;
                }
                DType::Bool => array
                    .words()
                    .iter()
                    .try_for_each(|&w| file.write_all(&[u8::from(w != 0)]))?,
                _ => file.write_all(bytemuck::cast_slice(array.words()))?,
            }
        }
        Ok(())
    });
    failed.map_or(written, Err)
}

/// The counters that PyTorch's normalisation layers keep.
pub(crate) const COUNTERS: &str = "num_batches_tracked";

/// Whether a tensor is written as I64.
fn is_wide(name: &str, ty: &TensorType) -> bool {
    ty.dtype == DType::I32 && name.rsplit('.').next() == Some(COUNTERS)
}

/// The JSON header, padded with spaces so that the data begin at a multiple of 8.
fn header<'a>(
    tensors: impl Iterator<Item = &'a (String, TensorType)>,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>> {
    let json = |e: serde_json::Error| Error::argument(format!("a safetensors header: {e}"));
    let mut entries = BTreeMap::new();
    if !metadata.is_empty() {
        entries.insert(METADATA, serde_json::to_value(metadata).map_err(json)?);
    }
    let mut start = 0;
    for (name, ty) in tensors {
        let (dtype, size) = match ty.dtype {
            DType::I32 if is_wide(name, ty) => (Dtype::I64, 8),
            DType::F32 => (Dtype::F32, 4),
            DType::I32 => (Dtype::I32, 4),
            DType::U32 => (Dtype::U32, 4),
            DType::Bool => (Dtype::BOOL, 1),
        };
        let end = start + ty.numel() * size;
        let info = TensorInfo {
            dtype,
            shape: ty.shape.to_vec(),
            data_offsets: (start, end),
        };
        let double = entries
            .insert(name, serde_json::to_value(info).map_err(json)?)
            .is_some();
        if double || name == METADATA {
            return Err(Error::argument(format!(
                "a tensor cannot be stored as {name}: the name is taken"
            )));
        }
        start = end;
    }
    let mut header = serde_json::to_vec(&entries).map_err(json)?;
    header.resize(header.len().next_multiple_of(PREFIX as usize), b' ');
    Ok(header)
}
