//! The tensors of a PyTorch file (`torch.save` of a state_dict, `.pt` and `.pth`): where they lie in it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use safetensors::tensor::Dtype;

use super::pickle::{self, Heap, Value};
use super::zip::{self, Entry};
use super::{MAX_RANK, Named, Place, width_of};
use crate::error::{Error, Result};
use crate::shape::Shape;

/// What the form of torch before 1.6 begins with.
const LEGACY: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e";
/// Largest pickle that is read.
const MAX_PICKLE: u64 = 64 << 20;
/// Longest name of a tensor or of an entry.
const MAX_NAME: usize = 4096;
/// Deepest nesting of dictionaries and lists.
const MAX_DEPTH: usize = 32;
/// Values that are looked at for tensors and bytes of their names, for each byte of the pickle and besides: a dictionary may
/// be named by many others.
const MOST_NAMED: (usize, usize) = (8, 1 << 16);
/// Bytes of all tensors, for each byte of the file and besides: one element may stand for many (`expand`), and one storage
/// for many tensors.
const MOST_SHOWN: (u64, u64) = (8, 1 << 20);
/// Under which names a checkpoint keeps a model's state, the first that is there.
const STATES: &[&str] = &["state_dict", "model_state_dict", "model"];

/// A storage: an entry of the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Storage {
    dtype: Dtype,
    /// Index of the text that is the entry's name.
    key: usize,
    len: usize,
}

/// A view of a storage; offset and strides in elements.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    storage: Storage,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

impl Storage {
    /// The dtype of a storage's class.
    pub fn dtype(class: &str) -> Option<Dtype> {
        Some(
            match class.strip_prefix("torch.")?.strip_suffix("Storage")? {
                "Float" => Dtype::F32,
                "Double" => Dtype::F64,
                "Half" => Dtype::F16,
                "BFloat16" => Dtype::BF16,
                "Long" => Dtype::I64,
                "Int" => Dtype::I32,
                "Short" => Dtype::I16,
                "Char" => Dtype::I8,
                "Byte" => Dtype::U8,
                "Bool" => Dtype::BOOL,
                "ComplexFloat" => Dtype::C64,
                _ => return None,
            },
        )
    }

    /// From `("storage", class, key, device, number of elements)`.
    pub fn of(heap: &Heap, id: Value) -> Result<Self, String> {
        let wrong = || "a persistent id that is no storage".to_owned();
        let Value::List(id) = id else {
            return Err(wrong());
        };
        let [
            Value::Text(kind),
            Value::Global(class),
            Value::Text(key),
            _,
            Value::Int(len),
        ] = heap.lists[id][..]
        else {
            return Err(wrong());
        };
        if heap.texts[kind] != "storage" || heap.texts[key].len() > MAX_NAME {
            return Err(wrong());
        }
        let dtype = Self::dtype(&heap.texts[class]).ok_or_else(wrong)?;
        let len = usize::try_from(len).map_err(|_| format!("a storage of {len} elements"))?;
        Ok(Self { dtype, key, len })
    }
}

impl Tensor {
    /// From the arguments of `_rebuild_tensor_v2`: storage, offset, size, strides and what is of no use here.
    pub fn of(heap: &Heap, arguments: &[Value]) -> Result<Self, String> {
        let [
            Value::Storage(storage),
            Value::Int(offset),
            Value::List(size),
            Value::List(strides),
            ..,
        ] = *arguments
        else {
            return Err("a tensor whose parts are of other types".to_owned());
        };
        let storage = heap.storages[storage];
        let numbers = |list: usize| -> Option<Vec<usize>> {
            let number = |v: &Value| match v {
                Value::Int(n) => usize::try_from(*n).ok(),
                _ => None,
            };
            let all = heap.lists[list].iter().take(MAX_RANK + 1);
            all.map(number).collect()
        };
        let offset = usize::try_from(offset).ok();
        let (Some(offset), Some(shape), Some(strides)) = (offset, numbers(size), numbers(strides))
        else {
            return Err("a tensor with a negative size, stride or offset".to_owned());
        };
        let tensor = Self {
            storage,
            offset,
            shape,
            strides,
        };
        tensor.check()?;
        Ok(tensor)
    }

    /// Bytes of memory that this takes, its elements left out.
    pub fn held(&self) -> usize {
        size_of::<Self>() + size_of_val(&self.shape[..]) + size_of_val(&self.strides[..])
    }

    /// Bytes of its elements.
    fn bytes(&self) -> u64 {
        (self.shape.iter().product::<usize>() * width_of(self.storage.dtype)) as u64
    }

    /// Refuses what lies outside of its storage, or has more elements than can be counted.
    fn check(&self) -> Result<(), String> {
        let (shape, strides, len) = (&self.shape, &self.strides, self.storage.len);
        if shape.len() != strides.len() || shape.len() > MAX_RANK {
            return Err(format!(
                "a tensor of {} dimensions with {} strides",
                shape.len(),
                strides.len()
            ));
        }
        let too_large = || format!("a tensor {shape:?} of a storage of {len} elements: too large");
        let width = width_of(self.storage.dtype);
        let mut sizes = shape.iter().filter(|n| **n > 0);
        let bytes = sizes.try_fold(width, |a, n| a.checked_mul(*n));
        if bytes.is_none_or(|b| b > isize::MAX as usize) || self.offset > len {
            return Err(too_large());
        }
        if shape.contains(&0) {
            return Ok(());
        }
        let step = |at: Option<usize>, (n, stride): (&usize, &usize)| {
            at?.checked_add((n - 1).checked_mul(*stride)?)
        };
        let last = shape.iter().zip(strides).fold(Some(self.offset), step);
        if last.is_none_or(|last| last >= len) {
            return Err(format!(
                "a tensor {shape:?} with strides {strides:?} at {} lies outside of its storage of {len} elements",
                self.offset
            ));
        }
        Ok(())
    }

    fn is_contiguous(&self) -> bool {
        let mut next = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&n, &s)| {
            let fits = n == 1 || s == next;
            next *= n;
            fits
        })
    }
}

/// Whether a file that begins with `start` may be PyTorch's; a safetensors header begins with a brace at byte 8.
pub(super) fn is_torch(start: &[u8]) -> bool {
    start.starts_with(zip::LOCAL) && start.get(8) != Some(&b'{')
}

/// What a file that begins with `start` is instead of a file of weights, where that is known.
pub(super) fn refused(start: &[u8]) -> Option<&'static str> {
    if start.starts_with(LEGACY) {
        Some(
            "a PyTorch file in the form before 1.6, which is not read: torch.load it and torch.save it again",
        )
    } else if start.starts_with(b"PK\x05\x06") {
        Some("an empty zip file")
    } else {
        None
    }
}

/// Names and places of the tensors, in the file's order.
///
/// # Errors
/// [`Error::File`] with the byte offset and what is wrong there; [`Error::Io`].
pub(super) fn tensors(path: &Path, file: &File) -> Result<Named> {
    let entries = zip::entries(path, file)?;
    let roots = entries.keys().filter_map(|n| n.strip_suffix("data.pkl"));
    let Some(root) = roots.min_by_key(|r| r.len()) else {
        let message = "a zip file, but not PyTorch's: it has no data.pkl";
        return Err(Error::file(path, None, message));
    };
    if entries.contains_key(&format!("{root}constants.pkl")) {
        let message =
            "a TorchScript archive, not a state_dict: torch.save the module's state_dict()";
        return Err(Error::file(path, None, message));
    }
    if let Some(order) = entries.get(&format!("{root}byteorder")) {
        let order = bytes(path, file, *order)?;
        if order != b"little" {
            let order = String::from_utf8_lossy(&order);
            let message = format!("byte order '{order}', expected 'little'");
            return Err(Error::file(path, None, message));
        }
    }
    let data = entries[&format!("{root}data.pkl")];
    let pickle = bytes(path, file, data)?;
    let fault = |(at, message): pickle::Fault| Error::file(path, data.start + at as u64, message);
    let (heap, value) = pickle::read(&pickle).map_err(fault)?;
    let refuse = |message: String| Error::file(path, data.start, message);
    let mut named = Collector {
        heap: &heap,
        found: Vec::new(),
        room: MOST_NAMED
            .0
            .saturating_mul(pickle.len())
            .saturating_add(MOST_NAMED.1),
    };
    named
        .collect(state(&heap, value), String::new(), 0)
        .map_err(refuse)?;
    let length = file.metadata().map_err(|e| Error::io(path, e))?.len();
    let most = MOST_SHOWN
        .0
        .saturating_mul(length)
        .saturating_add(MOST_SHOWN.1);
    let mut names = BTreeSet::new();
    let mut places = Vec::new();
    let mut shown = 0u64;
    for (name, tensor) in named.found {
        shown = shown.saturating_add(tensor.bytes());
        if shown > most {
            let (shape, len) = (&tensor.shape, tensor.storage.len);
            return Err(refuse(format!(
                "{name}: a tensor {shape:?} of a storage of {len} elements: too large, with it the tensors take {shown} \
                 bytes, {most} at most in a file of {length}: clone() those that expand an element or share a storage \
                 before they are saved"
            )));
        }
        if !names.insert(name.clone()) {
            return Err(refuse(format!("two tensors are called {name}")));
        }
        let place =
            place(&heap, &entries, root, tensor).map_err(|m| refuse(format!("{name}: {m}")))?;
        places.push((name, place));
    }
    Ok(places)
}

fn bytes(path: &Path, mut file: &File, entry: Entry) -> Result<Vec<u8>> {
    if entry.len > MAX_PICKLE {
        let message = format!("{} bytes of a pickle, at most {MAX_PICKLE}", entry.len);
        return Err(Error::file(path, entry.start, message));
    }
    let mut bytes = vec![0; entry.len as usize];
    file.seek(SeekFrom::Start(entry.start))
        .and_then(|_| file.read_exact(&mut bytes))
        .map_err(|e| Error::io(path, e))?;
    Ok(bytes)
}

/// The model's state in a checkpoint of more than that.
fn state(heap: &Heap, value: Value) -> Value {
    let Value::Dict(dict) = value else {
        return value;
    };
    let find = |name: &&str| {
        let is = |key: &Value| matches!(key, Value::Text(t) if heap.texts[*t] == **name);
        let entry = heap.dicts[dict].iter().find(|(key, _)| is(key))?;
        matches!(entry.1, Value::Dict(_)).then_some(entry.1)
    };
    STATES.iter().find_map(find).unwrap_or(value)
}

/// Whether a value may be a tensor or hold one.
fn holds(value: &Value) -> bool {
    matches!(value, Value::Tensor(_) | Value::Dict(_) | Value::List(_))
}

struct Collector<'a> {
    heap: &'a Heap,
    found: Vec<(String, &'a Tensor)>,
    /// Values and bytes of names that may still come.
    room: usize,
}

impl Collector<'_> {
    /// The tensors of `value`, named by the keys that lead to them, joined with dots.
    fn collect(&mut self, value: Value, path: String, depth: usize) -> Result<(), String> {
        let heap = self.heap;
        let parts = match value {
            Value::Dict(dict) => heap.dicts[dict].len(),
            Value::List(list) => heap.lists[list].len(),
            _ => 0,
        };
        let left = self.room.checked_sub(1 + parts + path.len());
        self.room = match left {
            Some(left) if depth <= MAX_DEPTH => left,
            _ => return Err("dictionaries nested too deeply, or named too often".to_owned()),
        };
        let join = |key: &str| {
            if path.len() + key.len() >= MAX_NAME {
                return Err(format!(
                    "the name of a tensor of more than {MAX_NAME} bytes"
                ));
            }
            Ok(match path.as_str() {
                "" => key.to_owned(),
                path => format!("{path}.{key}"),
            })
        };
        match value {
            Value::Tensor(t) => {
                let name = if path.is_empty() {
                    "tensor".to_owned()
                } else {
                    path
                };
                self.found.push((name, &heap.tensors[t]));
            }
            Value::Dict(dict) => {
                // a key that is set again replaces the value but keeps its place
                let mut last = BTreeMap::new();
                let mut order = Vec::new();
                for (key, value) in &heap.dicts[dict] {
                    let key = match key {
                        Value::Text(t) => Cow::from(heap.texts[*t].as_str()),
                        Value::Int(n) => Cow::from(n.to_string()),
                        _ => continue,
                    };
                    if last.insert(key.clone(), *value).is_none() {
                        order.push(key);
                    }
                }
                for key in order.iter().filter(|key| holds(&last[*key])) {
                    self.collect(last[key], join(key)?, depth + 1)?;
                }
            }
            Value::List(list) => {
                let all = heap.lists[list].iter().enumerate();
                for (i, value) in all.filter(|(_, value)| holds(value)) {
                    self.collect(*value, join(&i.to_string())?, depth + 1)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Where a tensor lies in the file.
fn place(
    heap: &Heap,
    entries: &BTreeMap<String, Entry>,
    root: &str,
    t: &Tensor,
) -> Result<Place, String> {
    let key = format!("{root}data/{}", heap.texts[t.storage.key]);
    let entry = entries
        .get(&key)
        .ok_or_else(|| format!("the file has no {key}"))?;
    let width = width_of(t.storage.dtype);
    let len = t.storage.len as u64;
    let held = entry.len / width as u64;
    if len > held {
        return Err(format!(
            "{key} holds {held} elements, the pickle says {len}"
        ));
    }
    Ok(Place {
        part: 0,
        shape: Shape::from(t.shape.clone()),
        dtype: t.storage.dtype,
        start: entry.start + (t.offset * width) as u64,
        strides: (!t.is_contiguous()).then(|| t.strides.clone()),
    })
}

#[cfg(test)]
mod tests;
