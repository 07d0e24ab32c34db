//! Tables of numbers and texts, from CSV, JSON lines and Parquet.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::shorten;
use super::{SplitOptions, split_indices};
use crate::error::{Error, Result};

mod csv;
mod features;
mod json;
#[cfg(feature = "parquet")]
mod parquet;

pub use csv::CsvOptions;
pub use features::{Encoder, Features, Fill};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Numbers.
    Number,
    /// Texts: names of categories as well.
    Text,
}

/// The cells of a column; `None` is missing.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Numbers; truth values are 0 and 1.
    Number(Vec<Option<f64>>),
    /// Texts.
    Text(Vec<Option<String>>),
}

impl Values {
    /// An empty column.
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Number => Self::Number(vec![]),
            Kind::Text => Self::Text(vec![]),
        }
    }

    /// Number of cells.
    fn len(&self) -> usize {
        match self {
            Self::Number(cells) => cells.len(),
            Self::Text(cells) => cells.len(),
        }
    }

    #[cfg(feature = "parquet")]
    fn push_missing(&mut self) {
        match self {
            Self::Number(cells) => cells.push(None),
            Self::Text(cells) => cells.push(None),
        }
    }
}

/// Where a cell is among categories.
enum Place {
    At(usize),
    Missing,
    Unknown(String),
}

/// A named column of a [`Table`].
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its cells.
    pub values: Values,
}

/// Columns of the same length, read from a file whose path and lines errors name.
///
/// ```no_run
/// # fn main() -> wgrad::Result<()> {
/// use wgrad::data::{CsvOptions, Features, Fill, SplitOptions, Table, TensorDataset};
/// let table = Table::csv("california-housing.csv", &CsvOptions::default())?;
/// let (train, test) = table.train_test_split(&SplitOptions::default(), None)?;
/// let inputs = Features::new()
///     .standardized(&["median_income", "total_bedrooms"])
///     .one_hot(&["ocean_proximity"])
///     .fill(Fill::Median)
///     .fit(&train)?;
/// let target = Features::new().standardized(&["median_house_value"]).fit(&train)?;
/// let train = TensorDataset::new(vec![inputs.encode(&train)?, target.encode(&train)?])?;
/// let test = TensorDataset::new(vec![inputs.encode(&test)?, target.encode(&test)?])?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    path: Arc<PathBuf>,
    columns: Vec<Column>,
    /// Where each row is in the file, from 1.
    places: Vec<u64>,
    /// Whether places are lines: the file is text.
    lines: bool,
    /// What may be why a column is missing.
    hint: String,
}

impl Table {
    /// The table in the CSV file at `path`, gzipped or not.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read; [`Error::File`] where it is empty or not in that encoding;
    /// [`Error::Line`] for a row of another length, a quoted cell that does not end, a name that comes twice or is
    /// unknown, and a cell of another type; [`Error::Argument`] for options that cannot be.
    pub fn csv(path: impl AsRef<Path>, options: &CsvOptions) -> Result<Self> {
        csv::read(path.as_ref(), options)
    }

    /// The table in the JSON lines file at `path`, gzipped or not: an object a line, whose keys are columns. A key that
    /// a line lacks, and `null`, are missing cells; columns are in alphabetical order.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read; [`Error::File`] where it is empty or not UTF-8; [`Error::Line`] for a line
    /// that is no object, a value that is no number, text or truth value, and a value of another type than those before;
    /// [`Error::File`] for a large table that is nearly empty, each row with keys of its own.
    pub fn json_lines(path: impl AsRef<Path>) -> Result<Self> {
        json::read(path.as_ref())
    }

    /// The table in the Parquet file at `path`; it may be packed with Snappy or gzip.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read; [`Error::File`] where it is no Parquet file, is damaged, or has a column that
    /// holds neither numbers, texts nor truth values, or where its table would take more than 64 times its bytes and 64 MiB.
    #[cfg(feature = "parquet")]
    pub fn parquet(path: impl AsRef<Path>) -> Result<Self> {
        parquet::read(path.as_ref())
    }

    /// Columns as they were read; all of the same length, which is that of `places`.
    fn new(path: &Path, columns: Vec<Column>, places: Vec<u64>) -> Self {
        debug_assert!(columns.iter().all(|c| c.values.len() == places.len()));
        Self {
            path: Arc::new(path.to_owned()),
            columns,
            places,
            lines: true,
            hint: String::new(),
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The column `name`.
    ///
    /// # Errors
    /// [`Error::File`] where there is none.
    pub fn column(&self, name: &str) -> Result<&Values> {
        let column = self.columns.iter().find(|c| c.name == name);
        column.map(|c| &c.values).ok_or_else(|| {
            let names: Vec<&str> = self.columns.iter().map(|c| c.name.as_str()).collect();
            Error::file(
                &*self.path,
                None,
                format!(
                    "no column '{name}', there are {}{}",
                    shorten(&names.join(", ")),
                    self.hint
                ),
            )
        })
    }

    /// The numbers of the column `name`.
    ///
    /// # Errors
    /// [`Error::File`] where there is no such column, or it holds texts; [`Error::Line`] for a missing cell ([`Error::File`]
    /// with the row where the file is Parquet).
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        let cells = self.cells(name)?.iter().enumerate();
        cells
            .map(|(row, cell)| cell.ok_or_else(|| self.missing(row, name, "a number")))
            .collect()
    }

    /// The texts of the column `name`.
    ///
    /// # Errors
    /// [`Error::File`] where there is no such column, or it holds numbers; [`Error::Line`] for a missing cell.
    pub fn texts(&self, name: &str) -> Result<Vec<&str>> {
        let Values::Text(cells) = self.column(name)? else {
            let message = format!("column '{}' holds numbers, expected texts", shorten(name));
            return Err(Error::file(&*self.path, None, message));
        };
        let text = |(row, cell): (usize, &'_ Option<String>)| match cell {
            Some(_) => Ok(()),
            None => Err(self.missing(row, name, "a text")),
        };
        cells.iter().enumerate().try_for_each(text)?;
        Ok(cells.iter().flatten().map(String::as_str).collect())
    }

    /// The different values of the column `name` in order, as texts; missing cells are none.
    ///
    /// # Errors
    /// [`Error::File`] where there is no such column.
    pub fn categories(&self, name: &str) -> Result<Vec<String>> {
        match self.column(name)? {
            Values::Number(cells) => {
                let mut found: Vec<f64> = cells.iter().flatten().copied().collect();
                found.sort_by(f64::total_cmp);
                found.dedup();
                Ok(found.iter().map(f64::to_string).collect())
            }
            Values::Text(cells) => {
                let found: HashSet<&String> = cells.iter().flatten().collect();
                let mut found: Vec<String> = found.into_iter().cloned().collect();
                found.sort();
                Ok(found)
            }
        }
    }

    /// For each row the place in `categories` of the column `name`: labels of classes.
    ///
    /// # Errors
    /// [`Error::File`] where there is no such column; [`Error::Line`] for a missing cell and for one that is not in
    /// `categories`.
    pub fn labels(&self, name: &str, categories: &[String]) -> Result<Vec<i32>> {
        let places = self.places_of(name, categories)?.into_iter().enumerate();
        places
            .map(|(row, place)| match place {
                Place::At(place) => Ok(place as i32),
                place => Err(self.misplaced(row, name, &place, categories)),
            })
            .collect()
    }

    /// Where each row's cell is in `categories`.
    fn places_of(&self, name: &str, categories: &[String]) -> Result<Vec<Place>> {
        let known: HashMap<&str, usize> =
            (categories.iter().map(String::as_str)).zip(0..).collect();
        let place = |cell: Option<String>| match cell {
            None => Place::Missing,
            Some(cell) => known
                .get(cell.as_str())
                .map_or(Place::Unknown(cell), |&place| Place::At(place)),
        };
        Ok(match self.column(name)? {
            Values::Number(cells) => {
                let texts = cells.iter().map(|cell| cell.map(|x| x.to_string()));
                texts.map(place).collect()
            }
            Values::Text(cells) => cells.iter().cloned().map(place).collect(),
        })
    }

    /// What is wrong with a cell that is in none of `categories`.
    fn misplaced(&self, row: usize, name: &str, place: &Place, categories: &[String]) -> Error {
        let Place::Unknown(cell) = place else {
            return self.missing(row, name, "a category");
        };
        let message = format!(
            "column '{}': expected one of the {} categories {}, found '{}'",
            shorten(name),
            categories.len(),
            shorten(&categories.join(", ")),
            shorten(cell)
        );
        self.at(row, message)
    }

    /// The rows `indices` alone, in that order.
    ///
    /// # Errors
    /// [`Error::Argument`] where an index is not below [`Table::len`].
    pub fn select(&self, indices: &[usize]) -> Result<Self> {
        super::check_indices(indices, self.len())?;
        let column = |column: &Column| Column {
            name: column.name.clone(),
            values: match &column.values {
                Values::Number(cells) => {
                    Values::Number(indices.iter().map(|&i| cells[i]).collect())
                }
                Values::Text(cells) => {
                    Values::Text(indices.iter().map(|&i| cells[i].clone()).collect())
                }
            },
        };
        Ok(Self {
            path: Arc::clone(&self.path),
            columns: self.columns.iter().map(column).collect(),
            places: indices.iter().map(|&i| self.places[i]).collect(),
            lines: self.lines,
            hint: self.hint.clone(),
        })
    }

    /// A training and a test part of the rows. With `options.stratify`, each has as much as the whole of each category of
    /// the column `stratify`.
    ///
    /// # Errors
    /// Those of [`train_test_split`](super::train_test_split) and [`Table::labels`].
    pub fn train_test_split(
        &self,
        options: &SplitOptions,
        stratify: Option<&str>,
    ) -> Result<(Self, Self)> {
        let labels = match stratify {
            Some(name) => Some(self.labels(name, &self.categories(name)?)?),
            None => None,
        };
        let options = SplitOptions {
            stratify: options.stratify || stratify.is_some(),
            ..options.clone()
        };
        let (train, test) = split_indices(self.len(), labels.as_deref(), &options)?;
        Ok((self.select(&train)?, self.select(&test)?))
    }

    /// The cells of a column of numbers.
    fn cells(&self, name: &str) -> Result<&[Option<f64>]> {
        let Values::Number(cells) = self.column(name)? else {
            let message = format!("column '{}' holds texts, expected numbers", shorten(name));
            return Err(Error::file(&*self.path, None, message));
        };
        Ok(cells)
    }

    fn missing(&self, row: usize, name: &str, expected: &str) -> Error {
        let name = shorten(name);
        let message = format!("column '{name}': expected {expected}, the cell is empty");
        self.at(row, message)
    }

    /// An error in row `row`.
    fn at(&self, row: usize, message: impl Into<String>) -> Error {
        let place = self.places[row];
        if self.lines {
            return Error::line(&*self.path, place, message);
        }
        let message = format!("row {place}: {}", message.into());
        Error::file(&*self.path, None, message)
    }
}
