//! Folders of image files, decoded when they are asked for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use image::ImageReader;
use image::imageops::{FilterType, resize};

use super::text::{class_folders, files_of};
use crate::error::{Error, Result};

/// How the files of images end.
const ENDINGS: [&str; 6] = ["png", "jpg", "jpeg", "bmp", "gif", "webp"];

/// What a file was expected to be.
const IMAGE: &str = "a PNG, JPEG, BMP, GIF or WebP image";

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
        let decode = || {
            let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
            let image = reader.map_err(|e| Error::io(path, e))?.decode();
            image.map_err(|e| Error::file(path, None, format!("expected {IMAGE}: {e}")))
        };
        let image = catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| {
            let message = format!("expected {IMAGE}, found one that cannot be decoded");
            Err(Error::file(path, None, message))
        })?;
        let mut image = image.into_rgb8();
        let (width, height) = (self.columns as u32, self.rows as u32);
        if image.dimensions() != (width, height) {
            image = resize(&image, width, height, FilterType::Triangle);
        }
        let channel = |c| image.pixels().map(move |p| p.0[c]);
        Ok((0..3).flat_map(channel).collect())
    }
}
