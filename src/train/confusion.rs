//! A confusion matrix as a picture.

use super::metrics::ConfusionMatrix;
use crate::error::{Error, Result};
use std::fmt::Write;

/// Side of a cell, and room for names.
const CELL: usize = 44;
const LEFT: usize = 110;
const TOP: usize = 60;

/// The picture of a confusion matrix as SVG: rows are what was right, columns what was predicted. Cells are as dark as their
/// share of the row; `names` are those of the classes, numbers where there are none.
///
/// # Errors
/// [`Error::Argument`] for another number of names than of classes.
pub fn confusion_matrix_svg(matrix: &ConfusionMatrix, names: &[impl AsRef<str>]) -> Result<String> {
    let n = matrix.classes();
    if !names.is_empty() && names.len() != n {
        return Err(Error::argument(format!(
            "a confusion matrix of {n} classes with {} names",
            names.len()
        )));
    }
    let name = |i: usize| {
        names
            .get(i)
            .map_or_else(|| i.to_string(), |n| escaped(n.as_ref()))
    };
    let (width, height) = (LEFT + CELL * n + 20, TOP + CELL * n + 20);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\" text-anchor=\"middle\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"{}\" y=\"20\">predicted</text>\n\
         <text x=\"20\" y=\"{}\" transform=\"rotate(-90 20 {1})\">is</text>\n",
        LEFT + CELL * n / 2,
        TOP + CELL * n / 2,
    );
    for i in 0..n {
        let all = (0..n).map(|j| matrix.count(i, j)).sum::<u64>().max(1) as f64;
        let y = TOP + CELL * i;
        let middle = y + CELL / 2 + 5;
        put(
            &mut svg,
            format_args!(
                "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{}</text>\n\
                 <text x=\"{}\" y=\"{}\">{1}</text>\n",
                LEFT - 10,
                name(i),
                LEFT + CELL * i + CELL / 2,
                TOP - 10,
            ),
        );
        for j in 0..n {
            let count = matrix.count(i, j);
            let share = count as f64 / all;
            let (x, ink) = (LEFT + CELL * j, if share > 0.5 { "white" } else { "black" });
            let paper = if i == j { "#1f77b4" } else { "#d65c1c" };
            put(
                &mut svg,
                format_args!(
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{CELL}\" fill=\"{paper}\" fill-opacity=\"{share:.3}\" \
                     stroke=\"#ccc\"/><text x=\"{}\" y=\"{middle}\" fill=\"{ink}\">{count}</text>\n",
                    x + CELL / 2,
                ),
            );
        }
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn put(to: &mut String, text: std::fmt::Arguments) {
    // Writing to a string cannot fail.
    let _ = to.write_fmt(text);
}

/// Text for HTML and SVG.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_has_a_cell_for_each_pair() {
        let matrix = ConfusionMatrix::new(&[0, 0, 0, 0, 1], &[0; 5], Some(2)).unwrap();
        let svg = confusion_matrix_svg(&matrix, &["cat", "<dog>"]).unwrap();
        assert_eq!(svg.matches("<rect").count(), 5);
        assert_eq!(svg.matches(">cat</text>").count(), 2);
        assert!(svg.contains("fill-opacity=\"0.800\"") && svg.contains("&lt;dog&gt;"));
        assert_eq!(
            confusion_matrix_svg(&matrix, &["a"])
                .unwrap_err()
                .to_string(),
            "a confusion matrix of 2 classes with 1 names"
        );
    }
}
