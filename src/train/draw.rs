//! Pictures, drawn once for SVG and for PNG.

use crate::data::png;
use crate::error::{Error, Result};
use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingErrorKind,
};
use std::convert::Infallible;
use std::error::Error as StdError;

/// Units of drawing in a pixel of an SVG file: places and widths are whole numbers of units.
pub(super) const UNIT: i32 = 4;
/// Units in a pixel of a PNG file, which is thus twice as wide as the SVG file, and smooth.
const REDUCED: usize = 2;
/// What plotters divides sizes of fonts by.
const PLOTTERS_EM: f64 = 1.24;
/// A part of Roboto Regular; see its `README.md`.
const FONT: &[u8] = include_bytes!("../../assets/Roboto.ttf");
pub(super) const INK: RGBColor = RGBColor(34, 34, 34);
pub(super) const FAINT: RGBColor = RGBColor(110, 110, 110);

/// What drawing gives: the error is one of a backend of plotters.
pub(super) type Drawn<T = ()> = Result<T, Box<dyn StdError + Send + Sync>>;

/// Something that can be drawn, on a white ground.
pub(super) trait Picture {
    /// Width and height in pixels of an SVG file.
    fn size(&self) -> (u32, u32);

    /// Draw it in units, `UNIT` of them in such a pixel.
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn
    where
        B::ErrorType: 'static;
}

/// `picture` as SVG.
pub(super) fn svg(picture: &impl Picture) -> Result<String> {
    let (w, h) = picture.size();
    let (wide, high) = (w * UNIT as u32, h * UNIT as u32);
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (wide, high)).into_drawing_area();
    let drawn = area.fill(&WHITE).map_err(Into::into);
    drawn
        .and_then(|()| picture.draw(&area))
        .and_then(|()| Ok(area.present()?))
        .map_err(failed)?;
    drop(area);
    let size = |w, h| format!("width=\"{w}\" height=\"{h}\"");
    Ok(svg.replacen(&size(wide, high), &size(w, h), 1))
}

/// `picture` as a PNG file.
pub(super) fn png_of(picture: &impl Picture) -> Result<Vec<u8>> {
    Pixels::of(picture)?.png()
}

fn failed(error: Box<dyn StdError + Send + Sync>) -> Error {
    Error::argument(format!("a picture cannot be drawn: {error}"))
}

/// Pixels of a PNG file, `[height, width, 3]`.
pub(super) struct Pixels {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Pixels {
    /// Of `picture`.
    pub fn of(picture: &impl Picture) -> Result<Self> {
        let (w, h) = picture.size();
        let mut raster = Raster::new(w as usize * UNIT as usize, h as usize * UNIT as usize)?;
        let area = (&mut raster).into_drawing_area();
        picture.draw(&area).map_err(failed)?;
        drop(area);
        Ok(raster.reduced())
    }

    /// Have the square of `side` units at `(left, top)`, in units, be `image` as large as fits, in its middle.
    pub fn put(&mut self, image: &Image, left: i32, top: i32, side: i32) {
        let pixels = |units: i32| units.max(0) as usize / REDUCED;
        let (left, top, side) = (pixels(left), pixels(top), pixels(side));
        let longer = image.width.max(image.height).max(1);
        let of = |n: usize| (n * side).div_ceil(longer);
        let (width, height) = (of(image.width), of(image.height));
        let (left, top) = (left + (side - width) / 2, top + (side - height) / 2);
        for y in 0..height.min(self.height.saturating_sub(top)) {
            for x in 0..width.min(self.width.saturating_sub(left)) {
                let (from_x, from_y) = (x * image.width / width, y * image.height / height);
                let to = 3 * ((top + y) * self.width + left + x);
                self.rgb[to..to + 3].copy_from_slice(&image.pixel(from_x, from_y));
            }
        }
    }

    /// A PNG file.
    pub fn png(&self) -> Result<Vec<u8>> {
        png(self.width, self.height, 3, &self.rgb).map_err(|e| failed(e.into()))
    }
}

/// An image of bytes, `[height, width, channels]`, with one channel or three.
pub(super) struct Image {
    pub width: usize,
    pub height: usize,
    pub channels: usize,
    pub bytes: Vec<u8>,
}

impl Image {
    fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let at = self.channels * (y * self.width + x);
        std::array::from_fn(|c| self.bytes[at + c.min(self.channels - 1)])
    }

    /// The same with no side longer than `longest` pixels: means of those that become one.
    pub fn at_most(self, longest: usize) -> Self {
        let longer = self.width.max(self.height);
        if longer <= longest {
            return self;
        }
        let of = |n: usize| (n * longest).div_ceil(longer);
        let (width, height) = (of(self.width), of(self.height));
        let mut bytes = Vec::with_capacity(width * height * self.channels);
        for y in 0..height {
            let rows = y * self.height / height..(y + 1) * self.height / height;
            for x in 0..width {
                let columns = x * self.width / width..(x + 1) * self.width / width;
                for c in 0..self.channels {
                    let places = rows
                        .clone()
                        .flat_map(|y| columns.clone().map(move |x| (x, y)));
                    let at = |(x, y)| self.channels * (y * self.width + x) + c;
                    let sum: usize = places.map(|p| usize::from(self.bytes[at(p)])).sum();
                    bytes.push((sum / (rows.len() * columns.len()).max(1)) as u8);
                }
            }
        }
        Self {
            width,
            height,
            bytes,
            ..self
        }
    }

    /// A PNG file.
    pub fn png(&self) -> Result<Vec<u8>> {
        png(self.width, self.height, self.channels, &self.bytes).map_err(|e| failed(e.into()))
    }
}

/// Text of `size` pixels of the SVG file, placed by `h` and `v`.
pub(super) fn text(size: f64, colour: RGBColor, h: HPos, v: VPos) -> TextStyle<'static> {
    let size = size * f64::from(UNIT) * PLOTTERS_EM;
    TextStyle {
        color: colour.to_backend_color(),
        pos: Pos::new(h, v),
        ..TextStyle::from(("sans-serif", size).into_font())
    }
}

/// Units that `text` of `size` takes.
pub(super) fn width(text: &str, size: f64) -> i32 {
    let Ok(font) = FontRef::try_from_slice(FONT) else {
        return 0;
    };
    advance(&font, scale(&font, size * f64::from(UNIT)), text).ceil() as i32
}

/// `text`, or its start with an ellipsis where it is wider than `most` units.
pub(super) fn shortened(text: &str, size: f64, most: i32) -> String {
    if width(text, size) <= most {
        return text.to_owned();
    }
    let mut start: Vec<char> = text.chars().collect();
    loop {
        start.pop();
        let cut = format!("{}…", start.iter().collect::<String>().trim_end());
        if start.is_empty() || width(&cut, size) <= most {
            return cut;
        }
    }
}

/// The scale at which an em has `em` units.
fn scale(font: &FontRef, em: f64) -> PxScale {
    let units = font.units_per_em().unwrap_or(1000.0);
    PxScale::from(em as f32 * font.height_unscaled() / units)
}

fn advance(font: &FontRef, scale: PxScale, text: &str) -> f32 {
    let font = font.as_scaled(scale);
    text.chars().map(|c| font.h_advance(font.glyph_id(c))).sum()
}

/// Pixels that plotters draws on, one a unit.
struct Raster {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
    font: FontRef<'static>,
}

impl Raster {
    fn new(width: usize, height: usize) -> Result<Self> {
        Ok(Self {
            width,
            height,
            rgb: vec![255; 3 * width * height],
            font: FontRef::try_from_slice(FONT).map_err(|e| failed(e.into()))?,
        })
    }

    /// The means of squares of pixels.
    fn reduced(self) -> Pixels {
        let (width, height) = (self.width / REDUCED, self.height / REDUCED);
        let mut rgb = Vec::with_capacity(3 * width * height);
        for rows in self.rgb.chunks_exact(3 * self.width * REDUCED).take(height) {
            let mut sums = vec![0usize; 3 * width];
            for row in rows.chunks_exact(3 * self.width) {
                for (x, pixel) in row.chunks_exact(3).take(width * REDUCED).enumerate() {
                    let to = 3 * (x / REDUCED);
                    sums[to..to + 3]
                        .iter_mut()
                        .zip(pixel)
                        .for_each(|(sum, byte)| *sum += usize::from(*byte));
                }
            }
            rgb.extend(sums.iter().map(|sum| (sum / (REDUCED * REDUCED)) as u8));
        }
        Pixels { width, height, rgb }
    }
}

impl DrawingBackend for &mut Raster {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (self.width as u32, self.height as u32)
    }

    fn ensure_prepared(&mut self) -> Result<(), DrawingErrorKind<Infallible>> {
        Ok(())
    }

    fn present(&mut self) -> Result<(), DrawingErrorKind<Infallible>> {
        Ok(())
    }

    fn draw_pixel(
        &mut self,
        (x, y): BackendCoord,
        colour: BackendColor,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else {
            return Ok(());
        };
        if x >= self.width || y >= self.height {
            return Ok(());
        }
        let at = 3 * (y * self.width + x);
        let (r, g, b) = colour.rgb;
        if colour.alpha >= 1.0 {
            self.rgb[at..at + 3].copy_from_slice(&[r, g, b]);
            return Ok(());
        }
        for (old, new) in self.rgb[at..at + 3].iter_mut().zip([r, g, b]) {
            let mixed = f64::from(*old) * (1.0 - colour.alpha) + f64::from(new) * colour.alpha;
            *old = mixed.round() as u8;
        }
        Ok(())
    }

    /// Each stretch by itself, with round joints: at sharp angles those of plotters are spikes.
    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        let half = f64::from(style.stroke_width()) / 2.0;
        let mut last: Option<BackendCoord> = None;
        for to in path {
            if let Some(from) = last.replace(to) {
                let (x, y) = (f64::from(to.0 - from.0), f64::from(to.1 - from.1));
                let length = x.hypot(y).max(1e-9);
                // From the middle of the stroke to its edge.
                let edge = |sign: f64, p: BackendCoord| {
                    let (x, y) = (sign * half * y / length, -sign * half * x / length);
                    (p.0 + x.round() as i32, p.1 + y.round() as i32)
                };
                let corners = [(1.0, from), (1.0, to), (-1.0, to), (-1.0, from)];
                self.fill_polygon(corners.map(|(sign, p)| edge(sign, p)), &style.color())?;
                if half > f64::from(UNIT) / 2.0 {
                    self.draw_circle(from, half as u32, style, true)?;
                }
            }
        }
        Ok(())
    }

    /// As the SVG backend of plotters has it placed.
    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        at: BackendCoord,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        let em = style.size() / PLOTTERS_EM;
        let scale = scale(&self.font, em);
        let x_height = 0.53 * em as f32;
        let mut x = match style.anchor().h_pos {
            HPos::Left => 0.0,
            HPos::Center => -0.5 * advance(&self.font, scale, text),
            HPos::Right => -advance(&self.font, scale, text),
        };
        let baseline = match style.anchor().v_pos {
            VPos::Top => 0.76 * em as f32,
            VPos::Center => 0.5 * x_height,
            VPos::Bottom => -0.5 * x_height,
        };
        let (transform, colour) = (style.transform(), style.color());
        for c in text.chars() {
            let id = self.font.glyph_id(c);
            let glyph = id.with_scale_and_position(scale, point(x, baseline));
            x += self.font.as_scaled(scale).h_advance(id);
            let Some(outline) = self.font.outline_glyph(glyph) else {
                continue;
            };
            let corner = outline.px_bounds().min;
            let mut drawn = Ok(());
            outline.draw(|x, y, coverage| {
                let (x, y) = (corner.x as i32 + x as i32, corner.y as i32 + y as i32);
                let (x, y) = transform.transform(x, y);
                let colour = colour.mix(f64::from(coverage.min(1.0)));
                if drawn.is_ok() {
                    drawn = self.draw_pixel((at.0 + x, at.1 + y), colour);
                }
            });
            drawn?;
        }
        Ok(())
    }
}
