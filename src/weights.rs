//! Tensors in `.safetensors` files, and in the `.pt` and `.pth` files of PyTorch.

mod pickle;
mod shards;
mod torch;
mod write;
mod zip;

pub use write::write;
pub(crate) use write::{COUNTERS, write_each};

#[cfg(feature = "hub")]
pub(crate) use shards::files as shard_files;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::Shape;

#[cfg(target_endian = "big")]
compile_error!("arrays are written as they lie in memory: little-endian targets only");

/// Bytes of the header's length, which a file begins with.
const PREFIX: u64 = 8;
/// Longest header that is read, as in the reference implementation.
const MAX_HEADER: u64 = 100_000_000;
/// Most dimensions of a tensor, as in PyTorch.
const MAX_RANK: usize = 64;

/// Weights that are open for reading, a `.safetensors` file or what PyTorch's `torch.save` wrote of a state_dict (`.pt`,
/// `.pth`): the header is in memory, tensors are read one by one.
///
/// Which of the two it is, its content says. A model in several files (shards) is opened by its index, a file whose
/// name ends in `.index.json`, or by its folder, as Hugging Face's `from_pretrained` takes it: `model.safetensors`,
/// `model.safetensors.index.json`, `pytorch_model.bin` or `pytorch_model.bin.index.json`, the first that is there. Of a PyTorch file nothing is executed: what its pickle names must be
/// PyTorch's own for tensors, anything else is an error. The state_dict may be the file's whole content or lie in it
/// under `state_dict`, `model_state_dict` or `model`; in other nested dictionaries names are joined with dots.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    /// The file itself, or the shards.
    parts: Vec<Part>,
    metadata: BTreeMap<String, String>,
    names: Vec<String>,
    tensors: HashMap<String, Place>,
}

/// One file of weights.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    file: File,
}

/// Where a tensor lies in a file.
#[derive(Debug, Clone)]
struct Place {
    /// Which part's file.
    part: usize,
    shape: Shape,
    dtype: Dtype,
    /// Byte offset of its first element.
    start: u64,
    /// Strides in elements; row-major where there are none.
    strides: Option<Vec<usize>>,
}

/// Tensors in the order in which they lie in a file.
type Named = Vec<(String, Place)>;

/// Bytes of an element.
fn width_of(dtype: Dtype) -> usize {
    dtype.bitsize().div_ceil(8)
}

impl Reader {
    /// Opens a file, an index of shards or a folder, and checks the headers: every tensor lies inside its file, and those
    /// of a safetensors file fill it.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read, [`Error::File`] with the byte offset where it is no file of weights, a
    /// truncated one, one whose tensors take far more than the file (`expand`), or one that asks for code to be run; for an index that names files or tensors that are not there,
    /// and for a folder without weights.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let found = match path.is_dir() {
            true => shards::in_folder(path)?,
            false => path.to_owned(),
        };
        match shards::is_index(&found) {
            true => shards::open(&found),
            false => Self::open_one(&found),
        }
    }

    fn open_one(path: &Path) -> Result<Self> {
        let io = |e| Error::io(path, e);
        let mut file = File::open(path).map_err(io)?;
        let mut start = Vec::new();
        (&file).take(16).read_to_end(&mut start).map_err(io)?;
        if let Some(message) = torch::refused(&start) {
            return Err(Error::file(path, 0, message));
        }
        file.rewind().map_err(io)?;
        let (metadata, tensors) = match torch::is_torch(&start) {
            true => (BTreeMap::new(), torch::tensors(path, &file)?),
            false => safetensors(path, &mut file)?,
        };
        Ok(Self {
            path: path.to_owned(),
            parts: vec![Part {
                path: path.to_owned(),
                file,
            }],
            metadata,
            names: tensors.iter().map(|(name, _)| name.clone()).collect(),
            tensors: tensors.into_iter().collect(),
        })
    }

    /// The file, or the index of the shards.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files that hold the tensors: one, or the shards.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.parts.iter().map(|part| part.path.as_path())
    }

    /// The strings that were stored beside the tensors.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Names of the tensors, in the order in which they lie in the file.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The shape of a tensor, if the file holds it.
    pub fn shape(&self, name: &str) -> Option<&Shape> {
        self.tensors.get(name).map(|place| &place.shape)
    }

    /// The dtype of a tensor in the file, as safetensors calls it (`F32`, `BF16`), if the file holds it.
    pub fn dtype(&self, name: &str) -> Option<String> {
        self.tensors.get(name).map(|place| place.dtype.to_string())
    }

    /// Bytes of a tensor's elements in the file's dtype, if the file holds it.
    pub fn bytes(&self, name: &str) -> Option<u64> {
        let place = self.tensors.get(name)?;
        Some((place.shape.numel() * place.dtype.bitsize()).div_ceil(8) as u64)
    }

    /// The dtype that [`Reader::read`] gives a tensor.
    ///
    /// # Errors
    /// As [`Reader::read`], without a look at the values.
    pub fn array_dtype(&self, name: &str) -> Result<DType> {
        let info = self.find(name)?;
        match info.dtype {
            Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F64 => Ok(DType::F32),
            Dtype::I32 | Dtype::I64 => Ok(DType::I32),
            Dtype::U32 | Dtype::U8 => Ok(DType::U32),
            Dtype::BOOL => Ok(DType::Bool),
            other => {
                let message = format!("{name}: tensors of dtype {other} are not supported");
                Err(self.refuse(info, message))
            }
        }
    }

    /// Find out that a tensor can be read, without keeping it.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn verify(&self, name: &str) -> Result<()> {
        let info = self.find(name)?;
        self.array_dtype(name)?;
        if info.dtype == Dtype::I64 || info.strides.is_some() {
            return self.read(name).map(drop);
        }
        let bytes = (info.shape.numel() * width_of(info.dtype)) as u64;
        let path = &self.part(info).path;
        let read = std::io::copy(&mut self.source(info)?.take(bytes), &mut std::io::sink());
        match read.map_err(|e| Error::io(path, e))? {
            n if n == bytes => Ok(()),
            _ => Err(Error::io(path, std::io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// One tensor: F32, F16, BF16 and F64 as f32 (rounded to nearest), I32 and I64 as i32, U32 and U8 as u32, BOOL as
    /// bool.
    ///
    /// # Errors
    /// [`Error::File`] where the file holds no such tensor, where its dtype is another one, or where an I64 value lies
    /// outside of i32; [`Error::Io`] where it cannot be read.
    pub fn read(&self, name: &str) -> Result<Array> {
        let info = self.find(name)?;
        let (shape, dtype) = (info.shape.clone(), self.array_dtype(name)?);
        Ok(match info.dtype {
            Dtype::F16 => Array::of(
                shape,
                self.convert(info, |b| Ok(f16::from_le_bytes(b).to_f32()))?,
            ),
            Dtype::BF16 => Array::of(
                shape,
                self.convert(info, |b| Ok(bf16::from_le_bytes(b).to_f32()))?,
            ),
            Dtype::F64 => Array::of(
                shape,
                self.convert(info, |b| Ok(f64::from_le_bytes(b) as f32))?,
            ),
            Dtype::I64 => Array::of(
                shape,
                self.convert(info, |b| narrow(name, i64::from_le_bytes(b)))?,
            ),
            Dtype::U8 => Array::of(shape, self.convert(info, |[b]| Ok(u32::from(b)))?),
            Dtype::BOOL => Array::from_words(
                shape,
                dtype,
                self.convert(info, |[b]| Ok(u32::from(b != 0)))?,
            ),
            _ => Array::from_words(shape, dtype, self.words(info)?),
        })
    }

    /// The values of an F64 tensor, unrounded, in row-major order.
    ///
    /// # Errors
    /// As [`Reader::read`], and [`Error::File`] where the dtype is not F64.
    pub fn read_f64(&self, name: &str) -> Result<Vec<f64>> {
        let info = self.find(name)?;
        match info.dtype {
            Dtype::F64 => self.convert(info, |b| Ok(f64::from_le_bytes(b))),
            other => Err(self.refuse(info, format!("{name}: expected dtype F64, found {other}"))),
        }
    }

    /// All tensors, in the order in which they lie in the file.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn read_all(&self) -> Result<Vec<(String, Array)>> {
        self.names
            .iter()
            .map(|name| Ok((name.clone(), self.read(name)?)))
            .collect()
    }

    /// The tensors that a model expects, in the order of `expected`. The file must hold these, no others, and in these
    /// shapes; nothing is read before that is known.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] with every name that is missing, unexpected or of another shape; as [`Reader::read`].
    pub fn read_strict(&self, expected: &[(String, Shape)]) -> Result<Vec<Array>> {
        let found = self
            .names
            .iter()
            .map(|name| (name.as_str(), &self.tensors[name].shape));
        check_strict(&self.path, expected, found)?;
        expected.iter().map(|(name, _)| self.read(name)).collect()
    }

    fn find(&self, name: &str) -> Result<&Place> {
        let found = self.tensors.get(name);
        found.ok_or_else(|| Error::file(&self.path, None, format!("holds no tensor {name}")))
    }

    fn refuse(&self, place: &Place, message: String) -> Error {
        Error::file(&self.part(place).path, place.start, message)
    }

    fn part(&self, place: &Place) -> &Part {
        &self.parts[place.part]
    }

    /// The elements of a tensor in row-major order.
    fn source(&self, place: &Place) -> Result<Box<dyn Read + '_>> {
        let part = self.part(place);
        let io = |e| Error::io(&part.path, e);
        let mut file = &part.file;
        file.seek(SeekFrom::Start(place.start)).map_err(io)?;
        let Some(strides) = &place.strides else {
            return Ok(Box::new(BufReader::with_capacity(1 << 16, file)));
        };
        let (width, shape) = (width_of(place.dtype), &place.shape);
        let numel = shape.numel();
        let mut ordered = Vec::with_capacity(numel * width);
        if numel > 0 {
            let last: usize = shape.iter().zip(strides).map(|(n, s)| (n - 1) * s).sum();
            let mut held = vec![0; (last + 1) * width];
            file.read_exact(&mut held).map_err(io)?;
            let mut index = vec![0; shape.len()];
            for _ in 0..numel {
                let at: usize = index.iter().zip(strides).map(|(i, s)| i * s).sum();
                ordered.extend_from_slice(&held[at * width..(at + 1) * width]);
                for (i, n) in index.iter_mut().zip(shape.iter()).rev() {
                    *i += 1;
                    if *i < *n {
                        break;
                    }
                    *i = 0;
                }
            }
        }
        Ok(Box::new(Cursor::new(ordered)))
    }

    fn words(&self, place: &Place) -> Result<Vec<u32>> {
        let mut words = vec![0u32; place.shape.numel()];
        self.source(place)?
            .read_exact(bytemuck::cast_slice_mut(&mut words))
            .map_err(|e| Error::io(&self.part(place).path, e))?;
        Ok(words)
    }

    /// The tensor's elements of `N` bytes, each through `f`.
    fn convert<const N: usize, T>(
        &self,
        place: &Place,
        f: impl Fn([u8; N]) -> Result<T, String>,
    ) -> Result<Vec<T>> {
        let (count, path) = (place.shape.numel(), &self.part(place).path);
        let mut source = self.source(place)?;
        let mut values = Vec::with_capacity(count);
        for i in 0..count {
            let mut bytes = [0; N];
            source
                .read_exact(&mut bytes)
                .map_err(|e| Error::io(path, e))?;
            let at = place
                .strides
                .is_none()
                .then(|| place.start + (i * N) as u64);
            values.push(f(bytes).map_err(|message| Error::file(path, at, message))?);
        }
        Ok(values)
    }
}

/// Metadata and tensors of a safetensors file.
fn safetensors(path: &Path, file: &mut File) -> Result<(BTreeMap<String, String>, Named)> {
    let io = |e| Error::io(path, e);
    let length = file.metadata().map_err(io)?.len();
    if length < PREFIX {
        let message = format!("not a safetensors file: {length} bytes, the shortest has {PREFIX}");
        return Err(Error::file(path, length, message));
    }
    let mut prefix = [0; PREFIX as usize];
    file.read_exact(&mut prefix).map_err(io)?;
    let header = u64::from_le_bytes(prefix);
    if header > MAX_HEADER.min(length - PREFIX) {
        let message = format!(
            "not a safetensors file, or a truncated one: a header of {header} bytes in a file of {length}"
        );
        return Err(Error::file(path, 0, message));
    }
    let mut json = vec![0; header as usize];
    file.read_exact(&mut json).map_err(io)?;
    let info: Metadata = serde_json::from_slice(&json).map_err(|e| {
        let at = (e.line() == 1).then_some(PREFIX + e.column() as u64);
        Error::file(path, at, format!("not a safetensors header: {e}"))
    })?;
    let (data, end) = (PREFIX + header, PREFIX + header + info.data_len() as u64);
    if end != length {
        let message = format!(
            "truncated or overlong: the header describes {end} bytes, the file has {length}"
        );
        return Err(Error::file(path, end.min(length), message));
    }
    let mut tensors: Vec<_> = info.tensors().into_iter().collect();
    for (name, t) in &tensors {
        // sizes beside a 0 are bounded by nothing else
        let mut sizes = t.shape.iter().filter(|n| **n > 0);
        let counted = sizes.try_fold(1usize, |all, n| all.checked_mul(*n));
        if t.shape.len() > MAX_RANK || counted.is_none_or(|n| n > isize::MAX as usize) {
            let message = format!("{name}: a shape that is too large");
            return Err(Error::file(path, PREFIX, message));
        }
    }
    tensors.sort_by_key(|(name, t)| (t.data_offsets, name.clone()));
    let place = |t: &TensorInfo| Place {
        part: 0,
        shape: Shape::from(t.shape.clone()),
        dtype: t.dtype,
        start: data + t.data_offsets.0 as u64,
        strides: None,
    };
    let tensors = tensors.iter().map(|(name, t)| (name.clone(), place(t)));
    let metadata = info.metadata().clone().unwrap_or_default();
    Ok((metadata.into_iter().collect(), tensors.collect()))
}

fn narrow(name: &str, value: i64) -> Result<i32, String> {
    i32::try_from(value).map_err(|_| format!("{name}: {value} does not fit in 32 bits"))
}

/// Compares names and shapes, whatever their order.
///
/// # Errors
/// [`Error::Checkpoint`] about `path` with every name of `expected` that is missing or of another shape, and every
/// other name of `found`.
pub(crate) fn check_strict<'a>(
    path: &Path,
    expected: &[(String, Shape)],
    found: impl IntoIterator<Item = (&'a str, &'a Shape)>,
) -> Result<()> {
    let mut left: BTreeMap<_, _> = found.into_iter().collect();
    let (mut missing, mut mismatched) = (Vec::new(), Vec::new());
    for (name, model) in expected {
        match left.remove(name.as_str()) {
            None => missing.push(name.clone()),
            Some(file) if file != model => {
                mismatched.push(format!("{name}: the model has {model}, the file {file}"));
            }
            Some(_) => {}
        }
    }
    let unexpected: Vec<_> = left.into_keys().map(str::to_owned).collect();
    if missing.is_empty() && unexpected.is_empty() && mismatched.is_empty() {
        return Ok(());
    }
    Err(Error::Checkpoint {
        path: path.to_owned(),
        missing,
        unexpected,
        mismatched,
    })
}

#[cfg(test)]
mod tests;
