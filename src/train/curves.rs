//! The curves of a training run as a picture.

use super::History;
use crate::atomic::write_atomic;
use crate::error::{Error, Result};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::error::Error as StdError;
use std::path::Path;

const PANEL: (u32, u32) = (480, 360);
/// Panels side by side.
const COLUMNS: usize = 3;
const TRAIN: RGBColor = RGBColor(31, 119, 180);
const VALID: RGBColor = RGBColor(214, 92, 28);

type Point = (f64, f64);

/// One panel: values over epochs, in training and on held-out data.
struct Panel {
    title: String,
    unit: &'static str,
    train: Vec<Point>,
    valid: Vec<Point>,
}

/// Write the curves of `history` to an SVG file, which is replaced as a whole. Without points there is no file.
pub(super) fn save(history: &History, path: &Path) -> Result<()> {
    match svg(history)? {
        Some(svg) => write_atomic(path, svg.as_bytes()),
        None => Ok(()),
    }
}

/// The curves of `history` as SVG: loss and other metrics over epochs, on training and on held-out data, and the learning
/// rate. `None` without points.
pub(super) fn svg(history: &History) -> Result<Option<String>> {
    let mut names = vec!["loss", "accuracy"];
    names.extend(history.metrics());
    names.push("learning_rate");
    let mut panels: Vec<Panel> = Vec::new();
    for name in names {
        if panels.iter().all(|p| p.title != name) {
            panels.push(Panel::new(history, name));
        }
    }
    panels.retain(|p| !p.train.is_empty() || !p.valid.is_empty());
    if panels.is_empty() {
        return Ok(None);
    }
    let mut svg = String::new();
    draw(&panels, &mut svg)
        .map_err(|e| Error::argument(format!("the curves cannot be drawn: {e}")))?;
    Ok(Some(svg))
}

impl Panel {
    fn new(history: &History, name: &str) -> Self {
        let (unit, scale) = match name {
            "accuracy" => (" (%)", 100.0),
            _ => ("", 1.0),
        };
        let points = |x: &[f64], y: &[f64]| -> Vec<Point> {
            x.iter()
                .zip(y)
                .map(|(x, y)| (*x, scale * y))
                .filter(|p| p.1.is_finite())
                .collect()
        };
        let mut train = points(history.steps("epoch"), history.steps(name));
        if train.is_empty() {
            train = points(history.get("epoch"), history.get(name));
        }
        let of_eval = history.evaluations(&format!("eval_{name}"));
        Self {
            title: name.to_owned(),
            unit,
            train,
            valid: points(history.evaluations("epoch"), of_eval),
        }
    }

    /// The range of the values, with some room around.
    fn range(&self) -> (f64, f64) {
        let values = || self.train.iter().chain(&self.valid).map(|p| p.1);
        let (low, high) = (
            values().fold(f64::INFINITY, f64::min),
            values().fold(f64::NEG_INFINITY, f64::max),
        );
        let room = (0.05 * (high - low)).max(1e-9 * high.abs()).max(1e-12);
        let floor = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
        ((low - room).max(floor), high + room)
    }

    fn draw(
        &self,
        area: &DrawingArea<SVGBackend, Shift>,
    ) -> Result<(), Box<dyn StdError + Send + Sync>> {
        let end = self.train.iter().chain(&self.valid).map(|p| p.0);
        let (low, high) = self.range();
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..end.fold(0.0, f64::max), low..high)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .bold_line_style(BLACK.mix(0.12))
            .x_labels(8)
            .y_labels(8)
            .x_desc("epoch")
            .y_desc(format!("{}{}", self.title, self.unit))
            .label_style(("sans-serif", 13))
            .axis_desc_style(("sans-serif", 14))
            .draw()?;
        let line = |points: &[Point], colour: RGBColor| {
            LineSeries::new(points.to_vec(), colour.stroke_width(2))
        };
        let key = |colour: RGBColor| {
            move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2))
        };
        let dot = |p: &Point, colour: RGBColor| Circle::new(*p, 3, colour.filled());
        if !self.train.is_empty() {
            chart
                .draw_series(line(&self.train, TRAIN))?
                .label("training")
                .legend(key(TRAIN));
        }
        if let [only] = &self.train[..] {
            chart.draw_series([dot(only, TRAIN)])?;
        }
        if self.valid.is_empty() {
            return Ok(());
        }
        chart
            .draw_series(line(&self.valid, VALID))?
            .label("held out")
            .legend(key(VALID));
        chart.draw_series(self.valid.iter().map(|p| dot(p, VALID)))?;
        let falling = [&self.train, &self.valid]
            .iter()
            .any(|points| points.first().map(|p| p.1) > points.last().map(|p| p.1));
        chart
            .configure_series_labels()
            .position(if falling {
                SeriesLabelPosition::UpperRight
            } else {
                SeriesLabelPosition::LowerRight
            })
            .margin(14)
            .background_style(WHITE)
            .border_style(BLACK.mix(0.3))
            .label_font(("sans-serif", 13))
            .draw()?;
        Ok(())
    }
}

fn draw(panels: &[Panel], svg: &mut String) -> Result<(), Box<dyn StdError + Send + Sync>> {
    let columns = panels.len().min(COLUMNS);
    let rows = panels.len().div_ceil(COLUMNS);
    let size = (PANEL.0 * columns as u32, PANEL.1 * rows as u32);
    let root = SVGBackend::with_string(svg, size).into_drawing_area();
    root.fill(&WHITE)?;
    for (panel, area) in panels.iter().zip(root.split_evenly((rows, columns))) {
        panel.draw(&area)?;
    }
    root.present()?;
    Ok(())
}
