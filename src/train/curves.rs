//! The curves of a training run as a picture.

use super::History;
use crate::atomic::write_atomic;
use crate::error::{Error, Result};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::error::Error as StdError;
use std::path::Path;

const PANEL: (u32, u32) = (480, 360);
const TRAIN: RGBColor = RGBColor(31, 119, 180);
const VALID: RGBColor = RGBColor(214, 92, 28);

type Point = (f64, f64);

/// One panel: training and held-out values over epochs.
struct Panel {
    title: &'static str,
    unit: &'static str,
    train: Vec<Point>,
    valid: Vec<Point>,
}

/// Write the curves of `history` to an SVG file, which is replaced as a whole: loss, and accuracy where there is one,
/// over epochs, on training and on held-out data. Without points there is no file.
pub(super) fn save(history: &History, path: &Path) -> Result<()> {
    let panels: Vec<Panel> = [
        Panel::new(history, "loss", "val_loss", "", 1.0),
        Panel::new(history, "accuracy", "val_accuracy", " (%)", 100.0),
    ]
    .into_iter()
    .filter(|p| !p.train.is_empty())
    .collect();
    if panels.is_empty() {
        return Ok(());
    }
    let mut svg = String::new();
    draw(&panels, &mut svg)
        .map_err(|e| Error::argument(format!("the curves cannot be drawn: {e}")))?;
    write_atomic(path, svg.as_bytes())
}

impl Panel {
    fn new(
        history: &History,
        train: &'static str,
        valid: &str,
        unit: &'static str,
        scale: f64,
    ) -> Self {
        let points = |x: &[f64], y: &[f64]| -> Vec<Point> {
            x.iter()
                .zip(y)
                .map(|(x, y)| (*x, scale * y))
                .filter(|p| p.1.is_finite())
                .collect()
        };
        Self {
            title: train,
            unit,
            train: points(history.steps("epoch"), history.steps(train)),
            valid: points(history.get("epoch"), history.get(valid)),
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
            .caption(self.title, ("sans-serif", 18))
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
        chart
            .draw_series(LineSeries::new(self.train.clone(), TRAIN.stroke_width(2)))?
            .label("training")
            .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], TRAIN.stroke_width(2)));
        if !self.valid.is_empty() {
            chart
                .draw_series(LineSeries::new(self.valid.clone(), VALID.stroke_width(2)))?
                .label("held out")
                .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], VALID.stroke_width(2)));
            let dot = |p: &Point| Circle::new(*p, 3, VALID.filled());
            chart.draw_series(self.valid.iter().map(dot))?;
        }
        let falling = self.train.first().map(|p| p.1) > self.train.last().map(|p| p.1);
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
    let size = (PANEL.0 * panels.len() as u32, PANEL.1);
    let root = SVGBackend::with_string(svg, size).into_drawing_area();
    root.fill(&WHITE)?;
    for (panel, area) in panels.iter().zip(root.split_evenly((1, panels.len()))) {
        panel.draw(&area)?;
    }
    root.present()?;
    Ok(())
}
