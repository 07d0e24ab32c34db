//! Columns as numbers for a network: what is measured is measured on the training part alone.

use super::{Place, Table};
use crate::array::Array;
use crate::error::{Error, Result};

/// What stands for a missing cell.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Fill {
    /// Nothing: it is an error. The default.
    #[default]
    Refuse,
    /// A number.
    Value(f64),
    /// The mean of the column in the training part.
    Mean,
    /// The median of the column in the training part.
    Median,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Role {
    Number,
    Standardized,
    OneHot,
    Index,
}

/// Which columns a network sees and how; [`Features::fit`] measures what that needs.
#[derive(Debug, Clone, Default)]
pub struct Features {
    columns: Vec<(String, Role)>,
    fill: Fill,
    ignore_unknown: bool,
}

impl Features {
    /// No columns.
    pub fn new() -> Self {
        Self::default()
    }

    /// Columns of numbers as they are.
    pub fn numbers(self, names: &[&str]) -> Self {
        self.add(names, Role::Number)
    }

    /// Columns of numbers less their mean, over their standard deviation: scikit-learn's `StandardScaler`. A column that
    /// does not vary is only shifted.
    pub fn standardized(self, names: &[&str]) -> Self {
        self.add(names, Role::Standardized)
    }

    /// Columns of categories, each as one number for each category: 1 for the cell's, 0 for the others. Where missing
    /// cells are filled, all are 0 for one.
    pub fn one_hot(self, names: &[&str]) -> Self {
        self.add(names, Role::OneHot)
    }

    /// Columns of categories as their place in alphabetical order, from 0, for embeddings. A missing cell is an error.
    pub fn indexed(self, names: &[&str]) -> Self {
        self.add(names, Role::Index)
    }

    /// What stands for missing numbers.
    pub fn fill(mut self, fill: Fill) -> Self {
        self.fill = fill;
        self
    }

    /// A category of a [`one_hot`](Self::one_hot) column that the training part lacks becomes all 0, as scikit-learn's
    /// `handle_unknown="ignore"`. By default it is an error.
    pub fn ignore_unknown(mut self) -> Self {
        self.ignore_unknown = true;
        self
    }

    fn add(mut self, names: &[&str], role: Role) -> Self {
        let new = names.iter().map(|name| (String::from(*name), role));
        self.columns.extend(new);
        self
    }

    /// Measures means, deviations, medians and categories of `train`.
    ///
    /// # Errors
    /// [`Error::Argument`] for no columns, or no rows; [`Error::File`] for columns that `train` lacks or that hold
    /// something else; [`Error::Line`] for a missing cell where they are not filled, and for a number that is not finite.
    pub fn fit(self, train: &Table) -> Result<Encoder> {
        if self.columns.is_empty() || train.is_empty() {
            return Err(Error::argument(format!(
                "features of {} columns and {} rows",
                self.columns.len(),
                train.len()
            )));
        }
        let fit = |(name, role): (String, Role)| {
            let code = match role {
                Role::Number | Role::Standardized => fit_numbers(train, &name, role, self.fill)?,
                Role::OneHot | Role::Index => {
                    let categories = train.categories(&name)?;
                    if role == Role::Index || self.fill == Fill::Refuse {
                        train.labels(&name, &categories)?;
                    }
                    if role == Role::Index {
                        Code::Index(categories)
                    } else {
                        Code::OneHot {
                            categories,
                            fill: self.fill != Fill::Refuse,
                            ignore: self.ignore_unknown,
                        }
                    }
                }
            };
            Ok((name, code))
        };
        let columns = self.columns.into_iter().map(fit);
        Ok(Encoder {
            columns: columns.collect::<Result<_>>()?,
        })
    }
}

fn fit_numbers(train: &Table, name: &str, role: Role, fill: Fill) -> Result<Code> {
    let cells = train.cells(name)?;
    if let Some(row) = (0..cells.len()).find(|&r| cells[r].is_some_and(|x| !x.is_finite())) {
        let found = cells[row].unwrap_or(f64::NAN);
        let message = format!("column '{name}': expected a finite number, found {found}");
        return Err(train.at(row, message));
    }
    let known: Vec<f64> = cells.iter().flatten().copied().collect();
    let fill = match fill {
        Fill::Refuse => None,
        Fill::Value(x) => Some(x),
        Fill::Mean | Fill::Median if known.is_empty() => {
            let message =
                format!("column '{name}' is empty, there is no mean or median to fill it");
            return Err(Error::file(&*train.path, None, message));
        }
        Fill::Mean => Some(mean(&known)),
        Fill::Median => Some(median(&known)),
    };
    let filled = cells.iter().enumerate().map(|(row, cell)| {
        cell.or(fill)
            .ok_or_else(|| train.missing(row, name, "a number"))
    });
    let filled = filled.collect::<Result<Vec<f64>>>()?;
    let (mut shift, mut scale) = (0.0, 1.0);
    if role == Role::Standardized {
        shift = mean(&filled);
        let squares: Vec<f64> = filled.iter().map(|x| (x - shift).powi(2)).collect();
        let deviation = mean(&squares).sqrt();
        if deviation > 0.0 {
            scale = deviation;
        }
    }
    Ok(Code::Number { shift, scale, fill })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0
}

/// Turns tables into arrays, as [`Features::fit`] measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoder {
    columns: Vec<(String, Code)>,
}

#[derive(Debug, Clone, PartialEq)]
enum Code {
    Number {
        shift: f64,
        scale: f64,
        fill: Option<f64>,
    },
    OneHot {
        categories: Vec<String>,
        /// Whether a missing cell is all zeros.
        fill: bool,
        /// Whether another category is all zeros.
        ignore: bool,
    },
    Index(Vec<String>),
}

impl Encoder {
    /// A name for each number of a row: that of its column, with the category after `=` for one of several.
    pub fn names(&self) -> Vec<String> {
        let names = self.columns.iter().flat_map(|(name, code)| match code {
            Code::OneHot { categories, .. } => {
                categories.iter().map(|c| format!("{name}={c}")).collect()
            }
            _ => vec![name.clone()],
        });
        names.collect()
    }

    /// The mean and the standard deviation of a standardised column, to turn a prediction back: `y * std + mean`. 0 and
    /// 1 for numbers as they are, none for others.
    pub fn scale(&self, name: &str) -> Option<(f64, f64)> {
        match self.columns.iter().find(|(n, _)| n == name)?.1 {
            Code::Number { shift, scale, .. } => Some((shift, scale)),
            _ => None,
        }
    }

    /// The rows of `table`, f32 `[n, d]`, with `d` the number of [`Encoder::names`].
    ///
    /// # Errors
    /// As [`Features::fit`]; [`Error::Line`] for a category that the training part lacks.
    pub fn encode(&self, table: &Table) -> Result<Array> {
        let (n, width) = (table.len(), self.names().len());
        let mut rows = vec![0.0f32; n * width];
        let mut at = 0;
        for (name, code) in &self.columns {
            match code {
                Code::Number { shift, scale, fill } => {
                    for (row, cell) in table.cells(name)?.iter().enumerate() {
                        let missing = || table.missing(row, name, "a number");
                        let x = cell.or(*fill).ok_or_else(missing)?;
                        if !x.is_finite() {
                            let message =
                                format!("column '{name}': expected a finite number, found {x}");
                            return Err(table.at(row, message));
                        }
                        rows[row * width + at] = ((x - shift) / scale) as f32;
                    }
                    at += 1;
                }
                Code::OneHot {
                    categories,
                    fill,
                    ignore,
                } => {
                    for (row, place) in table.places_of(name, categories)?.into_iter().enumerate() {
                        match place {
                            Place::At(place) => rows[row * width + at + place] = 1.0,
                            Place::Missing if *fill => {}
                            Place::Unknown(_) if *ignore => {}
                            place => return Err(table.misplaced(row, name, &place, categories)),
                        }
                    }
                    at += categories.len();
                }
                Code::Index(categories) => {
                    for (row, label) in table.labels(name, categories)?.into_iter().enumerate() {
                        rows[row * width + at] = label as f32;
                    }
                    at += 1;
                }
            }
        }
        Array::new([n, width], rows)
    }
}
