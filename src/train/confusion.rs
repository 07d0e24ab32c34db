//! A confusion matrix as a picture.

use super::draw::{Drawn, FAINT, INK, Picture, UNIT, png_of, shortened, svg, text, width};
use super::metrics::ConfusionMatrix;
use crate::error::{Error, Result};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

const RIGHT: RGBColor = RGBColor(31, 119, 180);
const WRONG: RGBColor = RGBColor(214, 92, 28);
/// Size of names, and room for the longest.
const NAME: f64 = 12.0;
const LONGEST: i32 = 160 * UNIT;
/// Room for `predicted` and `is`.
const AXES: i32 = 34 * UNIT;
const EDGE: i32 = 12 * UNIT;

/// The picture of a confusion matrix as SVG: rows are what was right, columns what was predicted. Cells are as dark as their
/// share of the row; `names` are those of the classes, numbers where there are none.
///
/// # Errors
/// [`Error::Argument`] for another number of names than of classes.
pub fn confusion_matrix_svg(matrix: &ConfusionMatrix, names: &[impl AsRef<str>]) -> Result<String> {
    svg(&Confusion::new(matrix, names)?)
}

/// The same picture as a PNG file, of twice the width.
///
/// # Errors
/// As [`confusion_matrix_svg`].
pub fn confusion_matrix_png(
    matrix: &ConfusionMatrix,
    names: &[impl AsRef<str>],
) -> Result<Vec<u8>> {
    png_of(&Confusion::new(matrix, names)?)
}

struct Confusion<'m> {
    matrix: &'m ConfusionMatrix,
    names: Vec<String>,
    /// Units of the longest name.
    longest: i32,
}

impl<'m> Confusion<'m> {
    fn new(matrix: &'m ConfusionMatrix, names: &[impl AsRef<str>]) -> Result<Self> {
        let n = matrix.classes();
        if !names.is_empty() && names.len() != n {
            return Err(Error::argument(format!(
                "a confusion matrix of {n} classes with {} names",
                names.len()
            )));
        }
        let name = |i: usize| match names.get(i) {
            Some(name) => shortened(name.as_ref(), NAME, LONGEST),
            None => i.to_string(),
        };
        let names: Vec<String> = (0..n).map(name).collect();
        let longest = names.iter().map(|n| width(n, NAME)).max().unwrap_or(0);
        Ok(Self {
            matrix,
            names,
            longest,
        })
    }

    /// Side of a cell, in units, and size of its number.
    fn cell(&self) -> (i32, f64) {
        match self.names.len() {
            0..=12 => (46 * UNIT, 13.0),
            13..=20 => (34 * UNIT, 11.0),
            _ => (24 * UNIT, 8.5),
        }
    }

    /// Whether the names of columns go upwards.
    fn upright(&self) -> bool {
        self.longest > self.cell().0 - 4 * UNIT
    }

    /// Where the first cell is.
    fn corner(&self) -> (i32, i32) {
        let top = if self.upright() {
            self.longest
        } else {
            14 * UNIT
        };
        (AXES + self.longest + 8 * UNIT, AXES + top + 8 * UNIT)
    }
}

impl Picture for Confusion<'_> {
    fn size(&self) -> (u32, u32) {
        let ((left, top), (cell, _)) = (self.corner(), self.cell());
        let all = cell * self.names.len() as i32 + EDGE;
        let least = left + EDGE + width("predicted", NAME);
        let pixels = |units: i32| (units.max(0) as u32).div_ceil(UNIT as u32);
        (pixels((left + all).max(least)), pixels(top + all))
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn
    where
        B::ErrorType: 'static,
    {
        let n = self.names.len();
        let ((left, top), (cell, size)) = (self.corner(), self.cell());
        let middle = |i: usize| cell * i as i32 + cell / 2;
        let word = text(NAME, FAINT, HPos::Center, VPos::Center);
        let half = cell * n as i32 / 2;
        area.draw_text("predicted", &word, (left + half, AXES / 2))?;
        let turned = word.transform(FontTransform::Rotate270);
        area.draw_text("is", &turned, (AXES / 2, top + half))?;
        for (i, name) in self.names.iter().enumerate() {
            let style = text(NAME, INK, HPos::Right, VPos::Center);
            area.draw_text(name, &style, (left - 8 * UNIT, top + middle(i)))?;
            let at = (left + middle(i), top - 8 * UNIT);
            if self.upright() {
                let style = text(NAME, INK, HPos::Left, VPos::Center);
                area.draw_text(name, &style.transform(FontTransform::Rotate270), at)?;
            } else {
                let style = text(NAME, INK, HPos::Center, VPos::Bottom);
                area.draw_text(name, &style, at)?;
            }
        }
        for i in 0..n {
            let all = (0..n).map(|j| self.matrix.count(i, j)).sum::<u64>().max(1) as f64;
            for j in 0..n {
                let count = self.matrix.count(i, j);
                let share = count as f64 / all;
                let from = (left + cell * j as i32, top + cell * i as i32);
                let to = (from.0 + cell, from.1 + cell);
                let paper = mixed(if i == j { RIGHT } else { WRONG }, share);
                area.draw(&Rectangle::new([from, to], paper.filled()))?;
                let edge = RGBColor(215, 215, 215).stroke_width(UNIT as u32 / 2);
                area.draw(&Rectangle::new([from, to], edge))?;
                // Zeros stand back.
                let ink = match count {
                    0 => RGBColor(190, 190, 190),
                    _ if share > 0.5 => WHITE,
                    _ => INK,
                };
                let number = count.to_string();
                let room = f64::from(cell - 3 * UNIT) / f64::from(width(&number, size).max(1));
                let style = text(size * room.min(1.0), ink, HPos::Center, VPos::Center);
                let at = (left + middle(j), top + middle(i));
                area.draw_text(&number, &style, at)?;
            }
        }
        Ok(())
    }
}

/// `share` of `colour` on white.
fn mixed(colour: RGBColor, share: f64) -> RGBColor {
    let mix = |c: u8| (255.0 - share * (255.0 - f64::from(c))).round() as u8;
    RGBColor(mix(colour.0), mix(colour.1), mix(colour.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_has_a_cell_for_each_pair() {
        let matrix = ConfusionMatrix::new(&[0, 0, 0, 0, 1], &[0; 5], Some(2)).unwrap();
        let svg = confusion_matrix_svg(&matrix, &["cat", "<dog>&\"'"]).unwrap();
        let text = |t: &str| svg.matches(&format!(">\n{t}\n</text>")).count();
        assert_eq!((text("cat"), text("4"), text("1"), text("0")), (2, 1, 1, 2));
        assert_eq!(text("&lt;dog&gt;&amp;&quot;&apos;"), 2);
        // Four fifths of the blue.
        assert!(svg.contains("fill=\"#4C92C3\""), "{svg}");
        assert_eq!(
            confusion_matrix_svg(&matrix, &["a"])
                .unwrap_err()
                .to_string(),
            "a confusion matrix of 2 classes with 1 names"
        );
    }

    #[test]
    fn long_names_are_cut_and_many_classes_have_small_cells() {
        let matrix = ConfusionMatrix::new(&[0], &[0], Some(40)).unwrap();
        let mut names = vec![String::from("x"); 40];
        names[7] = "a very long name of a class ".repeat(4);
        let confusion = Confusion::new(&matrix, &names).unwrap();
        assert!(confusion.names[7].ends_with('…') && confusion.upright());
        let (wide, high) = confusion.size();
        assert!(wide < 1200 && high < 1200, "{wide} {high}");
        let few = Confusion::new(&matrix, &[""; 0]).unwrap();
        assert!(!few.upright() && few.names[39] == "39");
    }
}
