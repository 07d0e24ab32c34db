//! Folders of image files, decoded when they are asked for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use image::imageops::{FilterType, resize};
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use super::file::most;
use super::text::{class_folders, files_of};
use crate::error::{Error, Result};

/// How the files of images end.
const ENDINGS: [&str; 6] = ["png", "jpg", "jpeg", "bmp", "gif", "webp"];

/// What a file was expected to be.
const IMAGE: &str = "a PNG, JPEG, BMP, GIF or WebP image";

/// Bytes of pixels that a byte of a PNG, JPEG or BMP file stands for at most: deflate packs 1032 into one, a JPEG of one colour a
/// thousand. WebP and GIF have no such bound.
const MAX_RATIO: u64 = 2048;

/// Images of one folder for each class.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) paths: Vec<PathBuf>,
    /// The class of each.
    pub(super) labels: Vec<i32>,
    pub(super) classes: Vec<String>,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Files {
    /// The files of images below `root/CLASS`.
    pub(super) fn open(root: &Path, [rows, columns]: [usize; 2]) -> Result<Self> {
        let classes = class_folders(root)?;
        let (mut paths, mut labels) = (Vec::new(), Vec::new());
        for (label, class) in classes.iter().enumerate() {
            let found = files_of(&root.join(class), &ENDINGS)?;
            labels.resize(labels.len() + found.len(), label as i32);
            paths.extend(found);
        }
        Ok(Self {
            paths,
            labels,
            classes,
            rows,
            columns,
        })
    }

    /// Image `index` as bytes `[3, rows, columns]`, resized to that size.
    pub(super) fn pixels(&self, index: usize) -> Result<Vec<u8>> {
        let path = &self.paths[index];
        let image = catch_unwind(AssertUnwindSafe(|| self.decode(path))).unwrap_or_else(|_| {
            let message = format!("expected {IMAGE}, found one that cannot be decoded");
            Err(Error::file(path, None, message))
        })?;
        let channel = |c| image.pixels().map(move |p| p.0[c]);
        Ok((0..3).flat_map(channel).collect())
    }

    /// The image in the file at `path`, resized; what its header asks for is known to be in proportion before it is taken.
    fn decode(&self, path: &Path) -> Result<RgbImage> {
        let fault = |message: String| Error::file(path, None, message);
        let unread = |e: ImageError| fault(format!("expected {IMAGE}: {e}"));
        let len = std::fs::metadata(path)
            .map_err(|e| Error::io(path, e))?
            .len();
        let mut reader = ImageReader::open(path)
            .and_then(ImageReader::with_guessed_format)
            .map_err(|e| Error::io(path, e))?;
        let unbounded = matches!(reader.format(), Some(ImageFormat::WebP | ImageFormat::Gif));
        let mut limits = Limits::default();
        limits.max_alloc = Some(most(len));
        reader.limits(limits.clone());
        let mut decoder = reader.into_decoder().map_err(unread)?;
        let ((width, height), bytes) = (decoder.dimensions(), decoder.total_bytes());
        if !unbounded && bytes > len.saturating_mul(MAX_RATIO) {
            return Err(fault(format!(
                "expected {IMAGE}: one of {width} x {height} does not fit in {len} bytes, the file is damaged or cut short"
            )));
        }
        // as it is decoded, in three colours, and resized in one direction
        let (colours, rows) = (u64::from(width) * u64::from(height) * 3, self.rows as u64);
        let between = u64::from(width).saturating_mul(rows).saturating_mul(16);
        let needed = bytes.saturating_add(colours).saturating_add(between);
        if needed > most(len) {
            return Err(fault(format!(
                "an image of {width} x {height} in a file of {len} bytes takes {needed} to be read and resized, {} at most: make it smaller before",
                most(len)
            )));
        }
        decoder.set_limits(limits).map_err(unread)?;
        let image = DynamicImage::from_decoder(decoder).map_err(unread)?;
        let image = image.into_rgb8();
        let (width, height) = (self.columns as u32, self.rows as u32);
        Ok(match image.dimensions() == (width, height) {
            true => image,
            false => resize(&image, width, height, FilterType::Triangle),
        })
    }
}
