//! Texts with a class each, from folders and line files.

use std::path::{Path, PathBuf};

use super::file::read_text;
use super::{Sample, SampleDataset, Table};
use crate::array::Array;
use crate::error::{Error, Result};

/// Texts with a label each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// The texts.
    pub texts: Vec<String>,
    /// The class of each.
    pub labels: Vec<i32>,
    /// Names of the classes in the order of their labels.
    pub classes: Vec<String>,
}

impl Texts {
    /// The `.txt` files in `root/CLASS`, one text each, a folder for each class (`neg/`, `pos/`), both in the order of
    /// their names: the layout of the Large Movie Review Dataset, and of Keras's `text_dataset_from_directory`. `encoding`
    /// is a name of the WHATWG standard: `utf-8`, `windows-1252`.
    ///
    /// # Errors
    /// [`Error::Io`] where something cannot be read; [`Error::File`] where there are no classes, one has no texts, or a
    /// text is not in that encoding; [`Error::Argument`] for an encoding that is not known.
    pub fn folders(root: impl AsRef<Path>, encoding: &str) -> Result<Self> {
        let root = root.as_ref();
        let mut all = Self {
            classes: class_folders(root)?,
            ..Self::default()
        };
        for (label, class) in all.classes.iter().enumerate() {
            for path in files_of(&root.join(class), &["txt"])? {
                all.texts.push(read_text(&path, encoding)?);
                all.labels.push(label as i32);
            }
        }
        Ok(all)
    }

    /// One file a class, one text a line, as the sentence polarity data set has them (`rt-polarity.neg`,
    /// `rt-polarity.pos`, in `windows-1252`). Lines end with `\n` or `\r\n` alone. Classes have the names of the files.
    ///
    /// # Errors
    /// [`Error::Io`] where a file cannot be read; [`Error::File`] where it is empty or not in that encoding;
    /// [`Error::Line`] for a line without text; [`Error::Argument`] for no files, and for an encoding that is not known.
    pub fn lines<P: AsRef<Path>>(files: &[P], encoding: &str) -> Result<Self> {
        if files.is_empty() {
            return Err(Error::argument("texts of no files"));
        }
        let mut all = Self::default();
        for (label, path) in files.iter().enumerate() {
            let path = path.as_ref();
            let content = read_text(path, encoding)?;
            if content.is_empty() {
                let message = "expected a text in each line, found an empty file";
                return Err(Error::file(path, 0, message));
            }
            for (i, line) in content.lines().enumerate() {
                if line.trim().is_empty() {
                    let message = "expected a text, found an empty line";
                    return Err(Error::line(path, i as u64 + 1, message));
                }
                all.texts.push(line.trim_end().to_owned());
                all.labels.push(label as i32);
            }
            let name = path.file_name().unwrap_or_default();
            all.classes.push(name.to_string_lossy().into_owned());
        }
        Ok(all)
    }

    /// The texts in the column `text` of a table, with the categories of the column `label`.
    ///
    /// # Errors
    /// Those of [`Table::texts`] and [`Table::labels`].
    pub fn table(table: &Table, text: &str, label: &str) -> Result<Self> {
        let classes = table.categories(label)?;
        let texts = table.texts(text)?;
        Ok(Self {
            labels: table.labels(label, &classes)?,
            texts: texts.into_iter().map(String::from).collect(),
            classes,
        })
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// A data set of samples `ids` i32 `[t]` and label i32 `[]`, with the ids that `encode` gives a text. Their lengths
    /// differ: a collate function pads them.
    ///
    /// # Errors
    /// Those of `encode`.
    pub fn encode(&self, encode: impl Fn(&str) -> Result<Vec<i32>>) -> Result<SampleDataset> {
        let sample = |(text, &label): (&String, &i32)| -> Result<Sample> {
            Ok(vec![Array::vector(encode(text)?), Array::scalar(label)])
        };
        let samples = self.texts.iter().zip(&self.labels).map(sample);
        Ok(SampleDataset::new(samples.collect::<Result<Vec<_>>>()?))
    }
}

/// Names of the folders in `root`, in order.
pub(super) fn class_folders(root: &Path) -> Result<Vec<String>> {
    let found = entries(root)?.into_iter().filter(|path| path.is_dir());
    let names: Vec<String> = found
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    if names.is_empty() {
        let message = "expected a folder for each class, found none";
        return Err(Error::file(root, None, message));
    }
    Ok(names)
}

/// Files in `folder` with one of the endings, in the order of their names.
pub(super) fn files_of(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    let fits = |path: &PathBuf| {
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        path.is_file() && endings.contains(&ending.to_lowercase().as_str())
    };
    let found: Vec<PathBuf> = entries(folder)?.into_iter().filter(fits).collect();
    if found.is_empty() {
        let message = format!(
            "expected files that end in .{}, found none",
            endings.join(", .")
        );
        return Err(Error::file(folder, None, message));
    }
    Ok(found)
}

/// What is in `folder` and not hidden, in order.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let io = |e| Error::io(folder, e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
