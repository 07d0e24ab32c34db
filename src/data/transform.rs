//! What is done to an image before its bytes become numbers.

use crate::rng::Rng;

/// One change of an image of bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Transform {
    Pad(usize),
    CenterCrop(usize, usize),
    RandomCrop(usize, usize),
    HorizontalFlip(f32),
    VerticalFlip(f32),
}

/// An image of bytes `[channels, rows, columns]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Image {
    pub(super) channels: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) data: Vec<u8>,
}

impl Transform {
    /// Whether it draws.
    pub(super) fn is_random(&self) -> bool {
        !matches!(self, Self::Pad(_) | Self::CenterCrop(..))
    }

    /// The rows and columns that an image of this size has afterwards.
    pub(super) fn size(&self, [rows, columns]: [usize; 2]) -> [usize; 2] {
        match *self {
            Self::Pad(n) => [rows + 2 * n, columns + 2 * n],
            Self::CenterCrop(h, w) | Self::RandomCrop(h, w) => [h, w],
            Self::HorizontalFlip(_) | Self::VerticalFlip(_) => [rows, columns],
        }
    }

    /// The image changed, with its draws from `rng`.
    pub(super) fn apply(&self, mut image: Image, rng: &mut Rng) -> Image {
        match *self {
            Self::Pad(n) => pad(&image, n),
            Self::CenterCrop(h, w) => {
                let at = [(image.rows - h) / 2, (image.columns - w) / 2];
                crop(&image, at, [h, w])
            }
            Self::RandomCrop(h, w) => {
                let mut draw = |room: usize| rng.below(room as u32 + 1) as usize;
                let at = [draw(image.rows - h), draw(image.columns - w)];
                crop(&image, at, [h, w])
            }
            Self::HorizontalFlip(p) => {
                if rng.uniform() < p {
                    image
                        .data
                        .chunks_exact_mut(image.columns)
                        .for_each(<[u8]>::reverse);
                }
                image
            }
            Self::VerticalFlip(p) => {
                if rng.uniform() < p {
                    let plane = image.rows * image.columns;
                    let planes = image.data.chunks_exact(plane);
                    image.data = planes
                        .flat_map(|p| p.chunks_exact(image.columns).rev().flatten())
                        .copied()
                        .collect();
                }
                image
            }
        }
    }
}

fn pad(image: &Image, n: usize) -> Image {
    let (rows, columns) = (image.rows + 2 * n, image.columns + 2 * n);
    let mut data = vec![0; image.channels * rows * columns];
    for (at, row) in image.data.chunks_exact(image.columns).enumerate() {
        let (c, r) = (at / image.rows, at % image.rows);
        data[(c * rows + r + n) * columns + n..][..image.columns].copy_from_slice(row);
    }
    Image {
        rows,
        columns,
        data,
        ..*image
    }
}

fn crop(image: &Image, [top, left]: [usize; 2], [rows, columns]: [usize; 2]) -> Image {
    let mut data = Vec::with_capacity(image.channels * rows * columns);
    for plane in image.data.chunks_exact(image.rows * image.columns) {
        for r in top..top + rows {
            data.extend_from_slice(&plane[r * image.columns + left..][..columns]);
        }
    }
    Image {
        rows,
        columns,
        data,
        ..*image
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(rows: usize, columns: usize) -> Image {
        let n = 2 * rows * columns;
        Image {
            channels: 2,
            rows,
            columns,
            data: (1..=n as u8).collect(),
        }
    }

    fn apply(transform: &Transform, image: Image) -> Vec<u8> {
        let size = transform.size([image.rows, image.columns]);
        let result = transform.apply(image, &mut Rng::new(0, "test"));
        assert_eq!([result.rows, result.columns], size);
        assert_eq!(
            result.data.len(),
            result.channels * result.rows * result.columns
        );
        result.data
    }

    #[test]
    fn moves_each_channel_alike() {
        assert_eq!(
            apply(&Transform::HorizontalFlip(1.0), image(2, 2)),
            [2, 1, 4, 3, 6, 5, 8, 7]
        );
        assert_eq!(
            apply(&Transform::VerticalFlip(1.0), image(2, 2)),
            [3, 4, 1, 2, 7, 8, 5, 6]
        );
        assert_eq!(
            apply(&Transform::HorizontalFlip(0.0), image(1, 2)),
            [1, 2, 3, 4]
        );
        assert_eq!(
            apply(&Transform::Pad(1), image(1, 1)),
            [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]
        );
        assert_eq!(
            apply(&Transform::CenterCrop(1, 2), image(3, 4)),
            [6, 7, 18, 19]
        );
        assert_eq!(
            apply(&Transform::RandomCrop(1, 2), image(1, 2)),
            [1, 2, 3, 4]
        );
    }

    #[test]
    fn draws_every_place_and_side() {
        let mut rng = Rng::new(1, "test");
        let mut seen = [0; 6];
        for _ in 0..600 {
            let result = Transform::RandomCrop(2, 2).apply(image(3, 4), &mut rng);
            let first = usize::from(result.data[0]) - 1;
            seen[first / 4 * 3 + first % 4] += 1;
        }
        // A standard deviation is 9.
        assert!(seen.iter().all(|n| (60..140).contains(n)), "{seen:?}");
        let flips = (0..400).filter(|_| {
            let result = Transform::HorizontalFlip(0.25).apply(image(1, 2), &mut rng);
            result.data[0] == 2
        });
        // A standard deviation is 9.
        assert!((60..140).contains(&flips.count()));
    }
}
