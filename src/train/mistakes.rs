//! Images that a classifier gets wrong, as a picture and on the page.

use super::draw::{Drawn, FAINT, INK, Image, Picture, Pixels, UNIT, shortened, text};
use super::page::{base64, escaped};
use crate::array::Array;
use crate::error::{Error, Result};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

/// Most images.
const MOST: usize = 36;
/// Images side by side.
const COLUMNS: usize = 6;
/// Width and height of a place in the picture, and the side of its image, in units.
const PLACE: (i32, i32) = (150 * UNIT, 158 * UNIT);
const SIDE: i32 = 96 * UNIT;
/// Longest side of an image on the page, in pixels: larger ones are reduced.
const LONGEST: usize = 128;

/// The mistakes that a classifier is surest of, most certain first.
pub(super) struct Mistakes {
    /// Channels, rows, columns.
    sizes: [usize; 3],
    /// The lowest and the highest value of each channel, of all images.
    ranges: Vec<(f32, f32)>,
    found: Vec<Mistake>,
    /// How many there are in all, and of how many images.
    pub wrong: usize,
    pub all: usize,
    /// Names of the classes, if they have some.
    names: Vec<String>,
    /// Whether scores are probabilities already.
    probabilities: bool,
}

struct Mistake {
    /// What the model gives the class that it predicts.
    probability: f32,
    predicted: i32,
    label: i32,
    pixels: Vec<f32>,
}

impl Mistakes {
    /// None so far; `None` where the first array of `batch` is not f32 `[n, 1, h, w]` or `[n, 3, h, w]`.
    pub fn new(batch: &[Array], names: &[String], probabilities: bool) -> Option<Self> {
        let images = batch.first()?;
        let [_, channels @ (1 | 3), h, w] = **images.shape() else {
            return None;
        };
        images.as_slice::<f32>().ok().filter(|_| h > 0 && w > 0)?;
        Some(Self {
            sizes: [channels, h, w],
            ranges: vec![(f32::INFINITY, f32::NEG_INFINITY); channels],
            found: Vec::new(),
            wrong: 0,
            all: 0,
            names: names.to_vec(),
            probabilities,
        })
    }

    /// Look at a batch, whose first array is images. For each there are scores, logits or probabilities `[classes]`, and
    /// the class that is predicted and the one that is right.
    pub fn add<'a>(
        &mut self,
        batch: &[Array],
        scores: &mut impl Iterator<Item = &'a [f32]>,
        classes: &mut impl Iterator<Item = (&'a i32, &'a i32)>,
    ) -> Result<()> {
        let [channels, h, w] = self.sizes;
        let same = |images: &&Array| images.shape().get(1..) == Some(&self.sizes);
        let Some(images) = batch.first().filter(same) else {
            return Err(Error::argument("held-out images differ in size"));
        };
        let pixels = images.as_slice::<f32>()?;
        for (at, plane) in pixels.chunks_exact(h * w).enumerate() {
            let range = &mut self.ranges[at % channels];
            for &x in plane.iter().filter(|x| x.is_finite()) {
                *range = (range.0.min(x), range.1.max(x));
            }
        }
        for image in pixels.chunks_exact(channels * h * w) {
            let (Some(row), Some((&predicted, &label))) = (scores.next(), classes.next()) else {
                return Ok(());
            };
            self.all += 1;
            // Labels that stand for no class are nobody's mistakes.
            let class = usize::try_from(label).is_ok_and(|l| l < row.len());
            if predicted != label && class {
                self.wrong += 1;
                let p = probability(row, predicted as usize, self.probabilities);
                self.keep(p, predicted, label, image);
            }
        }
        Ok(())
    }

    /// Keep a mistake, if it is among those that the model is surest of.
    fn keep(&mut self, probability: f32, predicted: i32, label: i32, pixels: &[f32]) {
        let surer = |m: &Mistake| m.probability.total_cmp(&probability).is_ge();
        let place = self.found.partition_point(surer);
        if place < MOST {
            self.found.truncate(MOST - 1);
            let mistake = Mistake {
                probability,
                predicted,
                label,
                pixels: pixels.to_vec(),
            };
            self.found.insert(place, mistake);
        }
    }

    /// How many are shown.
    pub fn shown(&self) -> usize {
        self.found.len()
    }

    fn name(&self, class: i32) -> String {
        let name = usize::try_from(class).ok().and_then(|c| self.names.get(c));
        name.cloned().unwrap_or_else(|| class.to_string())
    }

    /// `predicted 4`, `is 9`.
    fn words(&self, m: &Mistake) -> [String; 2] {
        let predicted = format!("predicted {}", self.name(m.predicted));
        [predicted, format!("is {}", self.name(m.label))]
    }

    /// The pixels of a mistake: black is the lowest value of a channel in all images, white the highest.
    fn image(&self, m: &Mistake) -> Image {
        let [channels, h, w] = self.sizes;
        let mut bytes = vec![0; channels * h * w];
        for (c, plane) in m.pixels.chunks_exact(h * w).enumerate() {
            let (low, high) = self.ranges[c];
            let scale = if high > low {
                255.0 / (high - low)
            } else {
                0.0
            };
            for (i, x) in plane.iter().enumerate() {
                bytes[i * channels + c] = ((x - low) * scale).round() as u8;
            }
        }
        let whole = Image {
            width: w,
            height: h,
            channels,
            bytes,
        };
        whole.at_most(LONGEST)
    }

    /// A PNG file of all of them.
    pub fn png(&self) -> Result<Vec<u8>> {
        let mut pixels = Pixels::of(self)?;
        for (i, m) in self.found.iter().enumerate() {
            let (left, top) = place(i);
            let left = left + (PLACE.0 - SIDE) / 2;
            pixels.put(&self.image(m), left, top + 8 * UNIT, SIDE);
        }
        pixels.png()
    }

    /// All of them for a page.
    pub fn html(&self) -> Result<String> {
        let mut html = String::from("<div class=\"m\">\n");
        for m in &self.found {
            let [predicted, is] = self.words(m).map(|w| escaped(&w));
            html += &format!(
                "<figure><img alt=\"{is}\" src=\"data:image/png;base64,{}\"><figcaption>{predicted},<br>{is}\
                 <br><small>{}</small></figcaption></figure>\n",
                base64(&self.image(m).png()?),
                percent(m.probability),
            );
        }
        Ok(html + "</div>\n")
    }
}

impl Picture for Mistakes {
    fn size(&self) -> (u32, u32) {
        let columns = self.found.len().min(COLUMNS) as i32;
        let rows = self.found.len().div_ceil(COLUMNS) as i32;
        let pixels = |units: i32| (units / UNIT) as u32;
        (pixels(columns * PLACE.0), pixels(rows * PLACE.1))
    }

    /// What is written below the images.
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn
    where
        B::ErrorType: 'static,
    {
        for (i, m) in self.found.iter().enumerate() {
            let (left, top) = place(i);
            let middle = left + PLACE.0 / 2;
            let [predicted, is] = self.words(m);
            let lines = [
                (format!("{predicted},"), 12.0, INK),
                (is, 12.0, INK),
                (percent(m.probability), 10.0, FAINT),
            ];
            for (line, (words, size, colour)) in lines.into_iter().enumerate() {
                let style = text(size, colour, HPos::Center, VPos::Center);
                let words = shortened(&words, size, PLACE.0 - 6 * UNIT);
                let y = top + 20 * UNIT + SIDE + 14 * UNIT * line as i32;
                area.draw_text(&words, &style, (middle, y))?;
            }
        }
        Ok(())
    }
}

/// Left and upper edge of place `i`.
fn place(i: usize) -> (i32, i32) {
    let (column, row) = ((i % COLUMNS) as i32, (i / COLUMNS) as i32);
    (column * PLACE.0, row * PLACE.1)
}

/// Whether all of `scores`, rows of `classes`, are probabilities.
pub(super) fn are_probabilities(scores: &[f32], classes: usize) -> bool {
    let row = |row: &[f32]| {
        let sum: f32 = row.iter().sum();
        row.iter().all(|x| (0.0..=1.0).contains(x)) && (sum - 1.0).abs() < 1e-3
    };
    scores.chunks_exact(classes.max(1)).all(row)
}

/// The probability of class `of`: of logits its softmax. NaN is the least.
fn probability(row: &[f32], of: usize, probabilities: bool) -> f32 {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let p = match probabilities {
        true => row[of],
        false => (row[of] - most).exp() / row.iter().map(|x| (x - most).exp()).sum::<f32>(),
    };
    if p.is_nan() { -1.0 } else { p }
}

fn percent(p: f32) -> String {
    match p {
        p if p < 0.0 => "no number".to_owned(),
        p if p > 0.999 => "above 99.9 %".to_owned(),
        p => format!("{:.1} %", 100.0 * p),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surest_mistakes_come_first() {
        let n = 40;
        let images = [Array::zeros([n, 1, 2, 2])];
        let mut mistakes = Mistakes::new(&images, &[], false).unwrap();
        // Sample i is predicted to be 1, the surer the later; every fourth is right.
        let scores: Vec<f32> = (0..n).flat_map(|i| [0.0, 0.1 * (i + 1) as f32]).collect();
        let labels: Vec<i32> = (0..n).map(|i| i32::from(i % 4 == 0)).collect();
        for _ in 0..2 {
            let mut rows = scores.chunks_exact(2);
            let mut classes = [1; 40].iter().zip(&labels);
            mistakes.add(&images, &mut rows, &mut classes).unwrap();
        }
        assert_eq!(
            (mistakes.wrong, mistakes.all, mistakes.shown()),
            (60, 80, 36)
        );
        let sure: Vec<f32> = mistakes.found.iter().map(|m| m.probability).collect();
        assert!(sure.is_sorted_by(|a, b| a >= b));
        assert_eq!(sure[0], 1.0 / (1.0 + (-4.0f32).exp()));
        assert_eq!(mistakes.words(&mistakes.found[0]), ["predicted 1", "is 0"]);
    }

    #[test]
    fn images_are_rescaled_by_channel() {
        let values: Vec<f32> = vec![
            -1.0,
            3.0,
            0.0,
            0.5,
            7.0,
            7.0,
            1.0,
            f32::NAN,
            1.0,
            0.0,
            7.0,
            7.0,
        ];
        let images = [Array::new([2, 3, 1, 2], values).unwrap()];
        let mut mistakes = Mistakes::new(&images, &["a".into(), "b".into()], false).unwrap();
        let mut rows = [1.0f32, 0.0, 1.0, 0.0].chunks_exact(2);
        let mut classes = [0; 2].iter().zip(&[1; 2]);
        mistakes.add(&images, &mut rows, &mut classes).unwrap();
        let image = mistakes.image(&mistakes.found[0]);
        assert_eq!((image.width, image.height, image.channels), (2, 1, 3));
        assert_eq!(image.bytes, [0, 0, 0, 255, 128, 0]);
        assert_eq!(mistakes.words(&mistakes.found[1]), ["predicted a", "is b"]);
        assert!(Mistakes::new(&[Array::zeros([2, 2, 4, 4])], &[], true).is_none());
        assert!(Mistakes::new(&[Array::zeros([2, 16])], &[], true).is_none());
    }

    #[test]
    fn logits_and_probabilities_are_told_apart() {
        assert!(are_probabilities(&[0.25, 0.75, 0.0, 1.0], 2));
        assert!(!are_probabilities(&[0.25, 0.75, 0.0, 1.1], 2));
        assert!(!are_probabilities(&[1.5, -0.5], 2));
        assert_eq!(probability(&[0.25, 0.75], 1, true), 0.75);
        assert_eq!(probability(&[0.0, 0.0], 1, false), 0.5);
        assert_eq!(probability(&[1000.0, 0.0], 0, false), 1.0);
        assert_eq!(probability(&[f32::NAN, 0.0], 0, false), -1.0);
        assert_eq!(percent(0.5), "50.0 %");
        assert_eq!(percent(1.0), "above 99.9 %");
    }
}
