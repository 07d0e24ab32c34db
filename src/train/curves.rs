//! The curves of a training run as a picture.

use super::History;
use super::draw::{Drawn, FAINT, INK, Picture, UNIT, text, width};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

/// Width and height of a panel, in pixels.
const PANEL: (u32, u32) = (480, 320);
/// Panels side by side.
const COLUMNS: usize = 2;
const TRAIN: RGBColor = RGBColor(31, 119, 180);
const VALID: RGBColor = RGBColor(214, 92, 28);
/// Most points of a line: of more, the lowest and the highest of each stretch are drawn.
const POINTS: usize = 600;
/// Points from where a line is thin.
const THIN: usize = 200;
/// How many times the lowest value the highest is, from where the axis is logarithmic.
const LOGARITHMIC: f64 = 1000.0;

type Point = (f64, f64);

/// One panel: values over epochs, in training and on held-out data.
struct Panel {
    title: String,
    train: Vec<Point>,
    valid: Vec<Point>,
    axis: Axis,
}

/// The axis of the values: from where to where, of their logarithms if it is logarithmic.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
}

/// The curves of a history: loss and other metrics over epochs, on training and on held-out data, and the learning rate.
pub(super) struct Curves(Vec<Panel>);

impl Curves {
    /// Those of `history`; `None` without points.
    pub fn new(history: &History) -> Option<Self> {
        let mut names = vec!["loss", "accuracy"];
        names.extend(history.metrics());
        names.push("learning_rate");
        let mut panels: Vec<Panel> = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        for name in names {
            if !seen.contains(&name) {
                seen.push(name);
                panels.extend(Panel::new(history, name));
            }
        }
        (!panels.is_empty()).then_some(Self(panels))
    }
}

impl Picture for Curves {
    fn size(&self) -> (u32, u32) {
        let columns = self.0.len().min(COLUMNS);
        let rows = self.0.len().div_ceil(COLUMNS);
        (PANEL.0 * columns as u32, PANEL.1 * rows as u32)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn
    where
        B::ErrorType: 'static,
    {
        let columns = self.0.len().min(COLUMNS);
        let rows = self.0.len().div_ceil(COLUMNS);
        let areas = area.split_evenly((rows, columns));
        self.0.iter().zip(areas).try_for_each(|(p, a)| p.draw(&a))
    }
}

impl Panel {
    /// That of the metric `name`; `None` without points.
    fn new(history: &History, name: &str) -> Option<Self> {
        let (title, scale) = match name {
            "accuracy" => ("accuracy (%)".to_owned(), 100.0),
            _ => (name.replace('_', " "), 1.0),
        };
        let points = |x: &[f64], y: &[f64]| -> Vec<Point> {
            let points = x.iter().zip(y).map(|(x, y)| (*x, scale * y));
            points.filter(|p| p.1.is_finite()).collect()
        };
        let mut train = points(history.steps("epoch"), history.steps(name));
        if train.is_empty() {
            train = points(history.get("epoch"), history.get(name));
        }
        let of_eval = history.evaluations(&format!("eval_{name}"));
        let valid = points(history.evaluations("epoch"), of_eval);
        let values: Vec<f64> = train.iter().chain(&valid).map(|p| p.1).collect();
        let axis = match name {
            "learning_rate" => Axis::linear(&values)?,
            _ => Axis::new(&values)?,
        };
        let most = if scale == 1.0 { f64::INFINITY } else { scale };
        Some(Self {
            title,
            train: axis.places(thinned(train)),
            valid: axis.places(thinned(valid)),
            axis: Axis {
                high: axis.high.min(most),
                ..axis
            },
        })
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn
    where
        B::ErrorType: 'static,
    {
        self.head(area)?;
        let end = self.train.iter().chain(&self.valid).map(|p| p.0);
        let end = end.fold(0.0, f64::max).max(1e-9);
        let mut chart = ChartBuilder::on(area)
            .margin_top(40 * UNIT)
            .margin_right(22 * UNIT)
            .margin_bottom(6 * UNIT)
            .margin_left(6 * UNIT)
            .x_label_area_size(40 * UNIT)
            .y_label_area_size(52 * UNIT)
            .build_cartesian_2d(0.0..end, self.axis.low..self.axis.high)?;
        let line = |colour: RGBColor| colour.stroke_width(UNIT as u32);
        let label = |h, v| text(11.0, FAINT, h, v);
        let decades = (self.axis.high - self.axis.low).clamp(1.0, 6.0) as usize + 1;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(WHITE)
            .bold_line_style(line(RGBColor(228, 228, 228)))
            .axis_style(line(RGBColor(150, 150, 150)))
            .set_all_tick_mark_size(4 * UNIT)
            .x_labels(8)
            .y_labels(if self.axis.logarithmic { decades } else { 7 })
            .x_label_formatter(&|x| tick(*x, 0.0, end))
            .y_label_formatter(&|y| self.axis.tick(*y))
            .x_label_style(label(HPos::Center, VPos::Top))
            .y_label_style(label(HPos::Right, VPos::Center))
            .x_desc("epoch")
            .axis_desc_style(label(HPos::Center, VPos::Top))
            .draw()?;
        for (points, colour) in [(&self.train, TRAIN), (&self.valid, VALID)] {
            let wide = if points.len() < THIN { 2 * UNIT } else { UNIT };
            let stroke = colour.stroke_width(wide as u32);
            if points.len() > 1 {
                chart.draw_series(LineSeries::new(points.to_vec(), stroke))?;
            }
            let dots = points.len() == 1 || colour == VALID && points.len() <= 50;
            let dots = points.iter().filter(|_| dots);
            chart.draw_series(dots.map(|p| Circle::new(*p, 3 * UNIT, colour.filled())))?;
        }
        Ok(())
    }

    /// What it is, and what its colours are.
    fn head<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn
    where
        B::ErrorType: 'static,
    {
        let at = 22 * UNIT;
        let title = text(15.0, INK, HPos::Left, VPos::Center);
        area.draw_text(&self.title, &title, (16 * UNIT, at))?;
        let mut right = area.dim_in_pixel().0 as i32 - 22 * UNIT;
        let keys = [
            ("held out", VALID, &self.valid),
            ("training", TRAIN, &self.train),
        ];
        for (name, colour, _) in keys.iter().filter(|(_, _, points)| !points.is_empty()) {
            let style = text(11.0, FAINT, HPos::Right, VPos::Center);
            area.draw_text(name, &style, (right, at))?;
            let end = right - width(name, 11.0) - 6 * UNIT;
            let line = vec![(end - 18 * UNIT, at), (end, at)];
            area.draw(&PathElement::new(
                line,
                colour.stroke_width(2 * UNIT as u32),
            ))?;
            right = end - 36 * UNIT;
        }
        Ok(())
    }
}

impl Axis {
    /// One for `values`; `None` without any.
    fn new(values: &[f64]) -> Option<Self> {
        let linear = Self::linear(values)?;
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(0.0, f64::max);
        if !(low > 0.0 && high > LOGARITHMIC * low) {
            return Some(linear);
        }
        let (low, high) = (low.log10(), high.log10());
        let room = 0.05 * (high - low);
        Some(Self {
            low: low - room,
            high: high + room,
            logarithmic: true,
        })
    }

    /// One that is not logarithmic.
    fn linear(values: &[f64]) -> Option<Self> {
        let low = values.iter().copied().reduce(f64::min)?;
        let high = values.iter().copied().reduce(f64::max)?;
        let (low, high) = match high - low {
            // One value has a place in the middle.
            range if range <= 1e-9 * high.abs().max(low.abs()) => {
                let room = if high == 0.0 { 1.0 } else { 0.5 * high.abs() };
                (low - room, high + room)
            }
            range => {
                let floor = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
                ((low - 0.06 * range).max(floor), high + 0.06 * range)
            }
        };
        Some(Self {
            low,
            high,
            logarithmic: false,
        })
    }

    /// Where `points` are on it.
    fn places(&self, mut points: Vec<Point>) -> Vec<Point> {
        if self.logarithmic {
            points.iter_mut().for_each(|p| p.1 = p.1.log10());
        }
        points
    }

    fn tick(&self, at: f64) -> String {
        if !self.logarithmic {
            return tick(at, self.low, self.high);
        }
        // Between powers of ten there are no labels.
        let power = at.round();
        match (at - power).abs() < 1e-6 {
            false => String::new(),
            true if (-3.0..5.0).contains(&power) => number(10f64.powf(power), 3),
            true => format!("1e{power}"),
        }
    }
}

/// The lowest and the highest of each stretch, in their order, where there are too many.
fn thinned(points: Vec<Point>) -> Vec<Point> {
    if points.len() <= POINTS {
        return points;
    }
    let stretch = (2 * points.len()).div_ceil(POINTS);
    let ends = |points: &[Point]| -> Vec<Point> {
        let by_value = |a: &usize, b: &usize| points[*a].1.total_cmp(&points[*b].1);
        let low = (0..points.len()).min_by(by_value).unwrap_or(0);
        let high = (0..points.len()).max_by(by_value).unwrap_or(0);
        let mut ends = vec![low.min(high), low.max(high)];
        ends.dedup();
        ends.into_iter().map(|i| points[i]).collect()
    };
    points.chunks(stretch).flat_map(ends).collect()
}

/// The label of `x` on an axis from `low` to `high`: no more digits than tell one from the next.
fn tick(x: f64, low: f64, high: f64) -> String {
    let (size, range) = (low.abs().max(high.abs()), high - low);
    // Where 0 is meant.
    let x = if x.abs() < 1e-9 * range { 0.0 } else { x };
    let digit = (range / 8.0).log10().floor();
    if (1e-2..1e5).contains(&size) {
        return number(x, (-digit).clamp(0.0, 12.0) as usize + 1);
    }
    if x == 0.0 {
        return "0".to_owned();
    }
    let power = x.abs().log10().floor();
    let digits = (power - digit).clamp(0.0, 12.0) as usize + 1;
    let text = format!("{x:.digits$e}");
    match text.split_once('e') {
        Some((mantissa, power)) if mantissa.contains('.') => {
            let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
            format!("{mantissa}e{power}")
        }
        _ => text,
    }
}

/// `x` with at most `decimals` decimals.
fn number(x: f64, decimals: usize) -> String {
    let text = format!("{x:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_the_digits_that_tell_them_apart() {
        let at = |x: f64, low, high| tick(x, low, high);
        assert_eq!(at(0.30000000000000004, 0.0, 1.0), "0.3");
        assert_eq!(at(92.0, 90.0, 100.0), "92");
        assert_eq!(at(0.9996, 0.9990, 1.0), "0.9996");
        assert_eq!(at(2e-17, 0.0, 1.0), "0");
        assert_eq!(at(0.0005, 0.0, 0.002), "5e-4");
        assert_eq!(at(2.5e30, 0.0, 1e31), "2.5e30");
        assert_eq!(at(-2000.0, -4000.0, 0.0), "-2000");
    }

    #[test]
    fn axes_hold_their_values() {
        let axis = |values: &[f64]| Axis::new(values).unwrap();
        assert_eq!(Axis::new(&[]), None);
        let constant = axis(&[1e-3; 3]);
        assert_eq!((constant.low, constant.high), (5e-4, 1.5e-3));
        assert_eq!((axis(&[0.0]).low, axis(&[0.0]).high), (-1.0, 1.0));
        let loss = axis(&[2.0, 0.5, 0.01]);
        assert!(!loss.logarithmic && loss.low == 0.0 && loss.high > 2.0);
        let wide = axis(&[1.0, 1e6]);
        assert!(wide.logarithmic && wide.low < 0.0 && wide.high > 6.0);
        assert_eq!(wide.tick(6.0), "1e6");
        assert_eq!(wide.tick(2.0), "100");
        assert_eq!(wide.tick(2.5), "");
        assert!(!axis(&[-1.0, 1e6]).logarithmic);
        assert_eq!(wide.places(vec![(0.0, 100.0)]), [(0.0, 2.0)]);
    }

    #[test]
    fn long_lines_keep_their_extremes() {
        let mut points: Vec<Point> = (0..10_001).map(|i| (f64::from(i), 1.0)).collect();
        points[777].1 = 9.0;
        points[778].1 = -9.0;
        let few = thinned(points);
        assert!(few.len() <= POINTS);
        assert!(few.contains(&(777.0, 9.0)) && few.contains(&(778.0, -9.0)));
        assert!(few.is_sorted_by(|a, b| a.0 < b.0));
    }
}
