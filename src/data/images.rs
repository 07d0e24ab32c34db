//! Labelled images, kept as bytes or in files, changed at random and normalised when they are asked for.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(feature = "image")]
use super::folder::Files;
use super::transform::{Image, Transform};
use super::{Bytes, Dataset, Resident, Sample, check_indices, cifar, idx, random};
use crate::array::Array;
use crate::error::{Error, Result};

/// Byte offset of the first label of an IDX file.
const LABELS_AT: u64 = 8;

/// Images of bytes with a label each. A sample is `x` f32 `[c, h, w]` and `y` i32 `[]`; each pixel is
/// `(byte / 255 - mean) / std`, as by torchvision's `ToTensor` and `Normalize`. Clones share the bytes.
///
/// [`pad`](Self::pad), [`center_crop`](Self::center_crop), [`random_crop`](Self::random_crop),
/// [`random_horizontal_flip`](Self::random_horizontal_flip) and [`random_vertical_flip`](Self::random_vertical_flip)
/// work on the bytes in the order in which they were called, whenever an image is asked for. What they draw follows
/// from [`seed`](Self::seed), the epoch and the index of the image.
#[derive(Debug, Clone)]
pub struct ImageDataset {
    pixels: Pixels,
    labels: Arc<[i32]>,
    class_names: Arc<[String]>,
    /// Where the labels come from.
    file: Option<PathBuf>,
    channels: usize,
    /// Rows and columns before the transforms.
    source: [usize; 2],
    /// Rows and columns after them.
    size: [usize; 2],
    transforms: Vec<Transform>,
    seed: u64,
    /// The value of each byte, a table for each channel.
    values: Vec<[f32; 256]>,
}

#[derive(Debug, Clone)]
enum Pixels {
    Memory(Arc<Bytes>),
    #[cfg(feature = "image")]
    Files(Arc<Files>),
}

impl ImageDataset {
    /// The images `[n, h, w]` of one channel or `[n, c, h, w]`, with the labels `[n]`.
    ///
    /// # Errors
    /// [`Error::Argument`] for other ranks, for counts that differ, or where there are no images.
    pub fn new(images: Bytes, labels: Bytes) -> Result<Self> {
        Self::from_parts(images, labels, None).map_err(Error::argument)
    }

    /// As [`ImageDataset::new`], from two IDX files, gzipped or not.
    ///
    /// # Errors
    /// Those of [`idx::read`]; [`Error::File`] for counts that differ, or where there are no images.
    pub fn open(images: impl AsRef<Path>, labels: impl AsRef<Path>) -> Result<Self> {
        let (images, labels) = (images.as_ref(), labels.as_ref());
        Self::from_parts(
            idx::read_images(images)?,
            idx::read_labels(labels)?,
            Some([images, labels]),
        )
        .map_err(|message| Error::file(images, None, message))
    }

    /// CIFAR-10 from its binary files, gzipped or not, in the folder `root`: as torchvision's `CIFAR10(root, train)`,
    /// from `data_batch_1.bin` to `data_batch_5.bin`, or `test_batch.bin`.
    ///
    /// # Errors
    /// Those of [`ImageDataset::cifar10_files`].
    pub fn cifar10(root: impl AsRef<Path>, train: bool) -> Result<Self> {
        let names: Vec<String> = if train {
            (1..=5).map(|i| format!("data_batch_{i}.bin")).collect()
        } else {
            vec![String::from("test_batch.bin")]
        };
        let files: Vec<PathBuf> = names.iter().map(|n| find(root.as_ref(), n)).collect();
        Self::cifar10_files(&files)
    }

    /// The images of `files`, which have the binary format of CIFAR-10: a label byte of 0 to 9, then 1,024 red, green
    /// and blue bytes each.
    ///
    /// # Errors
    /// [`Error::Io`] where one cannot be read; [`Error::File`] where it is empty, ends within a record, or has another
    /// label; [`Error::Argument`] for no files.
    pub fn cifar10_files<P: AsRef<Path>>(files: &[P]) -> Result<Self> {
        let (images, labels) = cifar::read(files)?;
        let mut data = Self::new(images, labels)?;
        data.class_names = cifar::CLASSES.map(String::from).into();
        Ok(data)
    }

    /// The PNG, JPEG, BMP, GIF and WebP files below `root/CLASS`, a folder for each class, in the order of their names: as
    /// torchvision's `ImageFolder`. They are read when they are asked for, in three channels (transparency is left out, of
    /// a GIF the first frame is taken), and resized to `size`, rows and columns.
    ///
    /// # Errors
    /// [`Error::Io`] where a folder cannot be read; [`Error::File`] where there are no classes or one has no images. When
    /// a sample is asked for, [`Error::File`] for a file that is no image, or one that would take more than 64 times its bytes
    /// and 64 MiB to be decoded and resized.
    #[cfg(feature = "image")]
    pub fn folder(root: impl AsRef<Path>, size: [usize; 2]) -> Result<Self> {
        if size.contains(&0) {
            return Err(Error::argument(format!("images of size {size:?}")));
        }
        let files = Files::open(root.as_ref(), size)?;
        Ok(Self {
            labels: files.labels.clone().into(),
            class_names: files.classes.clone().into(),
            file: None,
            channels: 3,
            source: size,
            size,
            transforms: vec![],
            seed: 0,
            values: table(&[0.0], &[1.0], 3),
            pixels: Pixels::Files(Arc::new(files)),
        })
    }

    /// MNIST from its four original files, gzipped or not, in the folder `root`: as torchvision's
    /// `MNIST(root, train)`, with labels checked to be 0 to 9 and pixels from 0 to 1.
    ///
    /// # Errors
    /// Those of [`ImageDataset::open`] and [`ImageDataset::classes`].
    pub fn mnist(root: impl AsRef<Path>, train: bool) -> Result<Self> {
        let part = if train { "train" } else { "t10k" };
        let find = |name: &str| find(root.as_ref(), &format!("{part}-{name}-ubyte"));
        Self::open(find("images-idx3"), find("labels-idx1"))?.classes(10)
    }

    fn from_parts(images: Bytes, labels: Bytes, files: Option<[&Path; 2]>) -> Result<Self, String> {
        let (channels, rows, columns) = match **images.shape() {
            [_, rows, columns] => (1, rows, columns),
            [_, channels, rows, columns] => (channels, rows, columns),
            _ => {
                return Err(format!(
                    "images are [n, h, w] or [n, c, h, w], not {}",
                    images.shape()
                ));
            }
        };
        let [count] = **labels.shape() else {
            return Err(format!("labels are [n], not {}", labels.shape()));
        };
        let n = images.shape()[0];
        if n != count {
            let labels = files.map_or(String::from("labels"), |[_, path]| {
                format!("labels in {}", path.display())
            });
            return Err(format!("{n} images, but {count} {labels}"));
        }
        if images.data().is_empty() {
            return Err(format!("an empty data set: images {}", images.shape()));
        }
        Ok(Self {
            labels: labels.data().iter().map(|&l| i32::from(l)).collect(),
            class_names: Arc::new([]),
            file: files.map(|[_, labels]| labels.to_owned()),
            channels,
            source: [rows, columns],
            size: [rows, columns],
            transforms: vec![],
            seed: 0,
            values: table(&[0.0], &[1.0], channels),
            pixels: Pixels::Memory(Arc::new(images)),
        })
    }

    /// Names of the classes in the order of their labels; none where the files have no names.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Seed of what is drawn at random. Default 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Surrounds each image with `padding` rows and columns of the byte 0 on every side, as torchvision's
    /// `Pad` before `ToTensor`: 2 makes 28 x 28 to 32 x 32.
    pub fn pad(self, padding: usize) -> Self {
        self.transform(Transform::Pad(padding))
    }

    /// Cuts `rows` x `columns` from the middle of each image, as torchvision's `CenterCrop`.
    ///
    /// # Errors
    /// [`Error::Argument`] for sizes of 0 and above that of the images.
    pub fn center_crop(self, rows: usize, columns: usize) -> Result<Self> {
        self.check_crop("center_crop", rows, columns)?;
        Ok(self.transform(Transform::CenterCrop(rows, columns)))
    }

    /// Cuts `rows` x `columns` from a random place of each image, as torchvision's `RandomCrop`; its `padding` is
    /// [`ImageDataset::pad`] before.
    ///
    /// # Errors
    /// As [`ImageDataset::center_crop`].
    pub fn random_crop(self, rows: usize, columns: usize) -> Result<Self> {
        self.check_crop("random_crop", rows, columns)?;
        Ok(self.transform(Transform::RandomCrop(rows, columns)))
    }

    /// Swaps left and right with probability `p`, as torchvision's `RandomHorizontalFlip`, where it is 0.5 by default.
    ///
    /// # Errors
    /// [`Error::Argument`] for a `p` that is not within 0 to 1.
    pub fn random_horizontal_flip(self, p: f32) -> Result<Self> {
        check_probability("random_horizontal_flip", p)?;
        Ok(self.transform(Transform::HorizontalFlip(p)))
    }

    /// Swaps top and bottom with probability `p`, as torchvision's `RandomVerticalFlip`.
    ///
    /// # Errors
    /// As [`ImageDataset::random_horizontal_flip`].
    pub fn random_vertical_flip(self, p: f32) -> Result<Self> {
        check_probability("random_vertical_flip", p)?;
        Ok(self.transform(Transform::VerticalFlip(p)))
    }

    fn transform(mut self, transform: Transform) -> Self {
        self.size = transform.size(self.size);
        self.transforms.push(transform);
        self
    }

    fn check_crop(&self, name: &str, rows: usize, columns: usize) -> Result<()> {
        let [h, w] = self.size;
        if rows == 0 || columns == 0 || rows > h || columns > w {
            return Err(Error::argument(format!(
                "{name}: {rows} x {columns} of images of {h} x {w}"
            )));
        }
        Ok(())
    }

    /// Subtracts `mean` and divides by `std`, in units where the byte 255 is 1: one value each for all
    /// channels, or one a channel. Default 0 and 1. For MNIST 0.1307 and 0.3081 are usual.
    ///
    /// # Errors
    /// [`Error::Argument`] for another number of values, for ones that are not finite, or for `std` of 0.
    pub fn normalize(mut self, mean: &[f32], std: &[f32]) -> Result<Self> {
        let fits = |n: usize| n == 1 || n == self.channels;
        if !fits(mean.len()) || !fits(std.len()) {
            let (c, m, s) = (self.channels, mean.len(), std.len());
            return Err(Error::argument(format!(
                "normalize: {m} means and {s} stds for images of {c} channels"
            )));
        }
        if let Some(x) = mean.iter().find(|x| !x.is_finite()) {
            return Err(Error::argument(format!("normalize: a mean of {x}")));
        }
        if let Some(x) = std.iter().find(|x| !x.is_finite() || **x == 0.0) {
            return Err(Error::argument(format!("normalize: a std of {x}")));
        }
        self.values = table(mean, std, self.channels);
        Ok(self)
    }

    /// Checks that every label is below `classes`.
    ///
    /// # Errors
    /// [`Error::File`] at the first label that is not, or [`Error::Argument`] where no file was read.
    pub fn classes(self, classes: usize) -> Result<Self> {
        let fits = |&label: &i32| usize::try_from(label).is_ok_and(|l| l < classes);
        let Some(i) = self.labels.iter().position(|label| !fits(label)) else {
            return Ok(self);
        };
        let message = format!(
            "label {i} is {}, but there are {classes} classes",
            self.labels[i]
        );
        Err(match self.file {
            Some(path) => Error::file(path, LABELS_AT + i as u64, message),
            None => Error::argument(message),
        })
    }
}

impl ImageDataset {
    /// The values of image `index` as `epoch` sees it, added to `x`.
    fn push(&self, index: usize, epoch: u64, x: &mut Vec<f32>) -> Result<()> {
        let data = self.bytes(index, epoch)?;
        let planes = data.chunks_exact(self.size[0] * self.size[1]);
        for (plane, values) in planes.zip(&self.values) {
            x.extend(plane.iter().map(|&byte| values[usize::from(byte)]));
        }
        Ok(())
    }

    /// Channels, rows and columns of a sample.
    pub(super) fn shape(&self) -> [usize; 3] {
        [self.channels, self.size[0], self.size[1]]
    }

    /// The value of each byte in each channel.
    pub(super) fn values(&self) -> &[[f32; 256]] {
        &self.values
    }

    /// What tells the bytes of samples from those of another data set, while both are there.
    pub(super) fn key(&self) -> String {
        let at = match &self.pixels {
            Pixels::Memory(bytes) => Arc::as_ptr(bytes).addr(),
            #[cfg(feature = "image")]
            Pixels::Files(files) => Arc::as_ptr(files).addr(),
        };
        format!("{at:x} {:?}", self.transforms)
    }

    /// The bytes of image `index` as `epoch` sees it.
    pub(super) fn bytes(&self, index: usize, epoch: u64) -> Result<Cow<'_, [u8]>> {
        let len = self.channels * self.source[0] * self.source[1];
        let mut data = match &self.pixels {
            Pixels::Memory(bytes) => Cow::Borrowed(&bytes.data()[index * len..][..len]),
            #[cfg(feature = "image")]
            Pixels::Files(files) => Cow::Owned(files.pixels(index)?),
        };
        if !self.transforms.is_empty() {
            let mut image = Image {
                channels: self.channels,
                rows: self.source[0],
                columns: self.source[1],
                data: data.into_owned(),
            };
            let mut rng = random::of_sample(self.seed, epoch, index);
            for transform in &self.transforms {
                image = transform.apply(image, &mut rng);
            }
            data = Cow::Owned(image.data);
        }
        Ok(data)
    }
}

impl Dataset for ImageDataset {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn sample(&self, index: usize, epoch: u64) -> Result<Sample> {
        check_indices(&[index], self.len())?;
        let mut x = Vec::new();
        self.push(index, epoch, &mut x)?;
        let shape = [self.channels, self.size[0], self.size[1]];
        Ok(vec![Array::of(shape, x), Array::scalar(self.labels[index])])
    }

    fn batch(&self, indices: &[usize], epoch: u64) -> Result<Vec<Array>> {
        check_indices(indices, self.len())?;
        let [h, w] = self.size;
        let mut x = Vec::with_capacity(indices.len() * self.channels * h * w);
        for &i in indices {
            self.push(i, epoch, &mut x)?;
        }
        let y: Vec<i32> = indices.iter().map(|&i| self.labels[i]).collect();
        let shape = [indices.len(), self.channels, h, w];
        Ok(vec![Array::of(shape, x), Array::vector(y)])
    }

    fn labels(&self) -> Result<Vec<i32>> {
        Ok(self.labels.to_vec())
    }

    fn class_names(&self) -> &[String] {
        &self.class_names
    }

    fn resident(&self) -> Option<Resident> {
        let random = self.transforms.iter().any(Transform::is_random);
        match &self.pixels {
            Pixels::Memory(_) if !random => Some(Resident::of_images(self, &self.labels)),
            _ => None,
        }
    }
}

/// The file `name` in `root`, or `name.gz` where there is none.
fn find(root: &Path, name: &str) -> PathBuf {
    let plain = root.join(name);
    if plain.exists() {
        plain
    } else {
        root.join(format!("{name}.gz"))
    }
}

fn check_probability(name: &str, p: f32) -> Result<()> {
    if (0.0..=1.0).contains(&p) {
        return Ok(());
    }
    Err(Error::argument(format!(
        "{name}: a probability of {p}, allowed are 0 to 1"
    )))
}

/// What each byte becomes in each channel.
fn table(mean: &[f32], std: &[f32], channels: usize) -> Vec<[f32; 256]> {
    let at = |values: &[f32], c: usize| {
        if values.len() == 1 {
            values[0]
        } else {
            values[c]
        }
    };
    let value = |c: usize, byte: usize| (byte as f32 / 255.0 - at(mean, c)) / at(std, c);
    (0..channels)
        .map(|c| std::array::from_fn(|byte| value(c, byte)))
        .collect()
}

#[cfg(test)]
mod tests;
