//! Labelled images, kept as bytes and normalised batch by batch.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Bytes, Dataset, check_indices, idx};
use crate::array::Array;
use crate::error::{Error, Result};

/// Byte offset of the first label of an IDX file.
const LABELS_AT: u64 = 8;

/// Images of bytes with a label each. A batch is `x` f32 `[b, c, h, w]` and `y` i32 `[b]`; each pixel is
/// `(byte / 255 - mean) / std`, as by torchvision's `ToTensor` and `Normalize`. Clones share the bytes.
#[derive(Debug, Clone)]
pub struct ImageDataset {
    images: Arc<Bytes>,
    labels: Arc<Bytes>,
    /// Where the labels come from.
    file: Option<PathBuf>,
    /// Sizes of one image, without the padding.
    channels: usize,
    rows: usize,
    columns: usize,
    padding: usize,
    /// The value of each byte, a table for each channel.
    values: Vec<[f32; 256]>,
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

    /// MNIST from its four original files, gzipped or not, in the folder `root`: as torchvision's
    /// `MNIST(root, train)`, with labels checked to be 0 to 9 and pixels from 0 to 1.
    ///
    /// # Errors
    /// Those of [`ImageDataset::open`] and [`ImageDataset::classes`].
    pub fn mnist(root: impl AsRef<Path>, train: bool) -> Result<Self> {
        let part = if train { "train" } else { "t10k" };
        let find = |name: &str| {
            let plain = root.as_ref().join(format!("{part}-{name}-ubyte"));
            if plain.exists() {
                plain
            } else {
                root.as_ref().join(format!("{part}-{name}-ubyte.gz"))
            }
        };
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
            images: Arc::new(images),
            labels: Arc::new(labels),
            file: files.map(|[_, labels]| labels.to_owned()),
            channels,
            rows,
            columns,
            padding: 0,
            values: table(&[0.0], &[1.0], channels),
        })
    }

    /// Surrounds each image with `padding` rows and columns of the byte 0 on every side, as torchvision's
    /// `Pad` before `ToTensor`: 2 makes 28 x 28 to 32 x 32. Default 0.
    pub fn pad(mut self, padding: usize) -> Self {
        self.padding = padding;
        self
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
        let Some(i) = self
            .labels
            .data()
            .iter()
            .position(|&label| usize::from(label) >= classes)
        else {
            return Ok(self);
        };
        let message = format!(
            "label {i} is {}, but there are {classes} classes",
            self.labels.data()[i]
        );
        Err(match self.file {
            Some(path) => Error::file(path, LABELS_AT + i as u64, message),
            None => Error::argument(message),
        })
    }
}

impl Dataset for ImageDataset {
    fn len(&self) -> usize {
        self.labels.data().len()
    }

    fn batch(&self, indices: &[usize]) -> Result<Vec<Array>> {
        check_indices(indices, self.len())?;
        let pad = self.padding;
        let (height, width) = (self.rows + 2 * pad, self.columns + 2 * pad);
        let plane = self.rows * self.columns;
        let mut x = Vec::with_capacity(indices.len() * self.channels * height * width);
        for &i in indices {
            for (c, values) in self.values.iter().enumerate() {
                let image = &self.images.data()[(i * self.channels + c) * plane..][..plane];
                let background = values[0];
                x.extend(std::iter::repeat_n(background, pad * width));
                for row in image.chunks_exact(self.columns) {
                    x.extend(std::iter::repeat_n(background, pad));
                    x.extend(row.iter().map(|&byte| values[usize::from(byte)]));
                    x.extend(std::iter::repeat_n(background, pad));
                }
                x.extend(std::iter::repeat_n(background, pad * width));
            }
        }
        let y: Vec<i32> = indices
            .iter()
            .map(|&i| i32::from(self.labels.data()[i]))
            .collect();
        let shape = [indices.len(), self.channels, height, width];
        Ok(vec![Array::of(shape, x), Array::vector(y)])
    }
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
mod tests {
    use std::fs;

    use super::*;

    const MNIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/mnist");

    fn labels(data: &[u8]) -> Bytes {
        Bytes::new([data.len()], data).unwrap()
    }

    fn message<T>(result: Result<T>) -> String {
        result.err().unwrap().to_string()
    }

    #[test]
    fn pads_then_scales_then_normalises() {
        let images = Bytes::new([2, 1, 2], [0, 255, 51, 102]).unwrap();
        let data = ImageDataset::new(images, labels(&[1, 0])).unwrap().pad(1);
        let batch = data
            .clone()
            .normalize(&[0.5], &[0.25])
            .unwrap()
            .batch(&[1])
            .unwrap();
        let pixel = |byte: f32| (byte / 255.0 - 0.5) / 0.25;
        let (a, b) = (pixel(51.0), pixel(102.0));
        let o = -2.0;
        assert_eq!(
            batch[0],
            Array::new([1, 1, 3, 4], vec![o, o, o, o, o, a, b, o, o, o, o, o]).unwrap()
        );
        assert_eq!(batch[1], Array::vector(vec![0i32]));
        let batch = data.pad(0).batch(&[0, 1, 0]).unwrap();
        assert_eq!(
            batch[0],
            Array::new([3, 1, 1, 2], vec![0.0f32, 1.0, 0.2, 0.4, 0.0, 1.0]).unwrap()
        );
        assert_eq!(batch[1], Array::vector(vec![1i32, 0, 1]));
    }

    #[test]
    fn channels_are_normalised_apart() {
        let images = Bytes::new([1, 2, 1, 1], [255, 255]).unwrap();
        let data = ImageDataset::new(images, labels(&[3]))
            .unwrap()
            .normalize(&[0.0, 0.5], &[2.0])
            .unwrap();
        assert_eq!(
            data.batch(&[0]).unwrap()[0],
            Array::new([1, 2, 1, 1], vec![0.5f32, 0.25]).unwrap()
        );
        assert_eq!(
            message(data.clone().normalize(&[0.0; 3], &[1.0])),
            "normalize: 3 means and 1 stds for images of 2 channels"
        );
        assert_eq!(
            message(data.clone().normalize(&[0.0], &[1.0, 0.0])),
            "normalize: a std of 0"
        );
        assert_eq!(
            message(data.normalize(&[f32::NAN], &[1.0])),
            "normalize: a mean of NaN"
        );
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let images = |shape: &[usize]| Bytes::new(shape, vec![0; shape.iter().product()]).unwrap();
        assert_eq!(
            message(ImageDataset::new(images(&[2, 1, 1]), labels(&[0; 3]))),
            "2 images, but 3 labels"
        );
        assert_eq!(
            message(ImageDataset::new(images(&[2, 4]), labels(&[0; 2]))),
            "images are [n, h, w] or [n, c, h, w], not [2,4]"
        );
        assert_eq!(
            message(ImageDataset::new(images(&[2, 1, 1]), images(&[2, 1]))),
            "labels are [n], not [2,1]"
        );
        assert_eq!(
            message(ImageDataset::new(images(&[0, 2, 2]), labels(&[]))),
            "an empty data set: images [0,2,2]"
        );
        let data = ImageDataset::new(images(&[2, 1, 1]), labels(&[4, 5])).unwrap();
        assert_eq!(
            message(data.batch(&[0, 2])),
            "no sample 2 in a data set of 2 samples"
        );
        assert_eq!(
            message(data.clone().classes(5)),
            "label 1 is 5, but there are 5 classes"
        );
        assert!(data.classes(6).is_ok());
    }

    #[test]
    fn errors_name_the_files() {
        let root = tempfile::tempdir().unwrap();
        let (x, y) = (
            root.path().join("t10k-images-idx3-ubyte"),
            root.path().join("t10k-labels-idx1-ubyte"),
        );
        fs::write(&x, [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 5, 6]).unwrap();
        let (xs, ys) = (x.display(), y.display());

        let missing = message(ImageDataset::mnist(root.path(), false));
        assert!(missing.starts_with(&format!("{ys}.gz: ")), "{missing}");

        fs::write(&y, [0, 0, 8, 1, 0, 0, 0, 1, 9]).unwrap();
        let counts = message(ImageDataset::mnist(root.path(), false));
        assert_eq!(counts, format!("{xs}: 2 images, but 1 labels in {ys}"));

        fs::write(&y, [0, 0, 8, 1, 0, 0, 0, 2, 9, 10]).unwrap();
        let range = message(ImageDataset::mnist(root.path(), false));
        assert_eq!(
            range,
            format!("{ys} at byte 9: label 1 is 10, but there are 10 classes")
        );

        let swapped = message(ImageDataset::open(&y, &x));
        assert!(
            swapped.starts_with(&format!("{ys} at byte 0: the magic number is 2049")),
            "{swapped}"
        );
    }

    #[test]
    fn reads_the_mnist_test_set() {
        let data = ImageDataset::mnist(MNIST, false).unwrap();
        assert_eq!(data.len(), 10_000);
        let all: Vec<usize> = (0..data.len()).collect();
        let y = data.clone().batch(&all).unwrap().remove(1);
        let mut counts = [0; 10];
        y.as_slice::<i32>()
            .unwrap()
            .iter()
            .for_each(|&label| counts[label as usize] += 1);
        assert_eq!(
            counts,
            [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
        );
        assert_eq!(y.as_slice::<i32>().unwrap()[..5], [7, 2, 1, 0, 4]);

        let x = data.clone().batch(&all[..100]).unwrap().remove(0);
        assert_eq!(**x.shape(), [100, 1, 28, 28]);
        let padded = data.pad(2).normalize(&[0.1307], &[0.3081]).unwrap();
        let batch = padded.batch(&all[..100]).unwrap().remove(0);
        assert_eq!(**batch.shape(), [100, 1, 32, 32]);
        let (x, batch) = (x.to_f32(), batch.to_f32());
        for (i, image) in x.chunks_exact(28 * 28).enumerate() {
            for (r, row) in image.chunks_exact(28).enumerate() {
                for (c, value) in row.iter().enumerate() {
                    assert_eq!(
                        batch[(i * 32 + r + 2) * 32 + c + 2],
                        (value - 0.1307) / 0.3081
                    );
                }
            }
        }
    }
}
