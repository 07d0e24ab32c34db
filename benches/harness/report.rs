//! Tables for people, JSON for programs.

use super::{Options, machine};
use serde_json::{Value, json};
use std::io::Write;

/// A table whose rows are printed as they come.
pub struct Table {
    widths: Vec<usize>,
}

impl Table {
    /// Prints the head: each column's name and width; the first column is flush left.
    pub fn new(columns: &[(&str, usize)]) -> Self {
        let widths = columns
            .iter()
            .map(|c| c.1.max(c.0.chars().count()))
            .collect();
        let table = Self { widths };
        table.row(&columns.iter().map(|c| c.0.to_owned()).collect::<Vec<_>>());
        table
    }

    /// Prints a row.
    pub fn row(&self, cells: &[String]) {
        let mut line = String::new();
        for (i, (cell, width)) in cells.iter().zip(&self.widths).enumerate() {
            if i == 0 {
                line.push_str(&format!("{cell:<width$}"));
            } else {
                line.push_str(&format!("  {cell:>width$}"));
            }
        }
        println!("{}", line.trim_end());
        let _ = std::io::stdout().flush();
    }
}

/// A number with three digits that count.
pub fn short(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "-".to_owned(),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Results on their way to a file.
pub struct Report {
    head: Value,
    rows: Vec<Value>,
}

impl Report {
    /// Prints the machine and the devices.
    pub fn new(bench: &str, devices: &[super::devices::Choice]) -> Self {
        println!("machine: {}", machine());
        let lines: Vec<&str> = devices
            .iter()
            .filter_map(|d| d.adapter.as_deref())
            .collect();
        lines.iter().for_each(|line| println!("adapter: {line}"));
        println!();
        Self {
            head: json!({ "bench": bench, "machine": machine(), "adapters": lines }),
            rows: Vec::new(),
        }
    }

    /// Keep a row.
    pub fn row(&mut self, row: Value) {
        self.rows.push(row);
    }

    /// Write the file, if one was asked for.
    pub fn finish(mut self, options: &Options) -> anyhow::Result<()> {
        if let Some(path) = &options.json {
            self.head["rows"] = Value::Array(self.rows);
            std::fs::write(path, format!("{:#}\n", self.head))?;
            println!("\nwritten: {}", path.display());
        }
        Ok(())
    }
}
