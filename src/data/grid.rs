//! Images as one picture.

use std::io::Write;
use std::path::Path;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

use crate::array::Array;
use crate::error::{Error, Result};

/// Rows and columns between images.
const GAP: usize = 2;

/// Writes `images` f32 `[n, c, h, w]`, with one channel (grey) or three (colours), side by side in rows of `columns` as
/// a PNG file, as torchvision's `save_image(make_grid(images, columns, normalize=True))`: the lowest value is black, the
/// highest white.
///
/// # Errors
/// [`Error::Argument`] for other shapes, no images, `columns` of 0; [`Error::Io`] where the file cannot be written.
pub fn image_grid(path: impl AsRef<Path>, images: &Array, columns: usize) -> Result<()> {
    let values = images.as_slice::<f32>()?;
    let [n, c @ (1 | 3), h, w] = **images.shape() else {
        return Err(Error::argument(format!(
            "an image grid of {}, expected [n, 1, h, w] or [n, 3, h, w]",
            images.shape()
        )));
    };
    if values.is_empty() || columns == 0 {
        return Err(Error::argument(format!(
            "an image grid of {} in {columns} columns",
            images.shape()
        )));
    }
    let finite = values.iter().filter(|v| v.is_finite());
    let (low, high) = finite.fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), &v| {
        (a.min(v), b.max(v))
    });
    let scale = if high > low {
        255.0 / (high - low)
    } else {
        0.0
    };
    let columns = columns.min(n);
    let rows = n.div_ceil(columns);
    let (width, height) = (columns * (w + GAP) + GAP, rows * (h + GAP) + GAP);
    let mut pixels = vec![0; height * width * c];
    for (at, &value) in values.iter().enumerate() {
        let (x, y, channel, i) = (at % w, at / w % h, at / (w * h) % c, at / (w * h * c));
        let (left, top) = (i % columns * (w + GAP), i / columns * (h + GAP));
        // A cast takes NaN to 0 and ends at 255.
        let byte = ((value - low) * scale).round() as u8;
        pixels[((top + GAP + y) * width + left + GAP + x) * c + channel] = byte;
    }
    let path = path.as_ref();
    let io = |e| Error::io(path, e);
    let file = png(width, height, c, &pixels).map_err(io)?;
    std::fs::write(path, file).map_err(io)
}

/// `pixels` `[height, width, channels]` of 8 bits as a PNG file.
pub(crate) fn png(
    width: usize,
    height: usize,
    channels: usize,
    pixels: &[u8],
) -> std::io::Result<Vec<u8>> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let size = |n: usize| u32::try_from(n).map_err(std::io::Error::other);
    let mut header = [size(width)?.to_be_bytes(), size(height)?.to_be_bytes()].concat();
    // 8 bits, grey or RGB, deflate, filters by row, not interlaced.
    header.extend([8, if channels == 1 { 0 } else { 2 }, 0, 0, 0]);
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    for row in pixels.chunks_exact(width * channels) {
        packed.write_all(&[0])?;
        packed.write_all(row)?;
    }
    let chunks = [
        (b"IHDR", header),
        (b"IDAT", packed.finish()?),
        (b"IEND", vec![]),
    ];
    for (name, data) in chunks {
        let mut crc = Crc::new();
        crc.update(name);
        crc.update(&data);
        file.extend(size(data.len())?.to_be_bytes());
        file.extend(name);
        file.extend(data);
        file.extend(crc.sum().to_be_bytes());
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(images: &Array, columns: usize) -> String {
        let error = image_grid("never-written.png", images, columns);
        error.err().unwrap().to_string()
    }

    #[test]
    fn images_stand_side_by_side() {
        let path = tempfile::tempdir().unwrap().keep().join("grid.png");
        let values = vec![-1.0f32, 1.0, 0.0, f32::NAN, 1.0, 0.0];
        let images = Array::new([3, 1, 1, 2], values).unwrap();
        image_grid(&path, &images, 2).unwrap();
        let file = std::fs::read(&path).unwrap();
        assert_eq!(file[..8], *b"\x89PNG\r\n\x1a\n");
        assert_eq!(file[16..26], [0, 0, 0, 10, 0, 0, 0, 8, 8, 0]);
        let len = u32::from_be_bytes(file[33..37].try_into().unwrap()) as usize;
        assert_eq!(&file[37..41], b"IDAT");
        let mut raw = Vec::new();
        std::io::Read::read_to_end(
            &mut flate2::read::ZlibDecoder::new(&file[41..41 + len]),
            &mut raw,
        )
        .unwrap();
        let mut want = vec![vec![0; 11]; 8];
        want[2] = vec![0, 0, 0, 0, 255, 0, 0, 128, 0, 0, 0];
        want[5] = vec![0, 0, 0, 255, 128, 0, 0, 0, 0, 0, 0];
        assert_eq!(raw, want.concat());
        // The checksum of the empty last chunk is known.
        assert!(file.ends_with(b"IEND\xae\x42\x60\x82"));
        image_grid(&path, &Array::zeros([1, 3, 2, 2]), 8).unwrap();
        let file = std::fs::read(&path).unwrap();
        assert_eq!(file[16..26], [0, 0, 0, 6, 0, 0, 0, 6, 8, 2]);
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn refuses_what_is_no_picture() {
        assert_eq!(
            message(&Array::zeros([2, 2, 4, 4]), 1),
            "an image grid of [2,2,4,4], expected [n, 1, h, w] or [n, 3, h, w]"
        );
        assert_eq!(
            message(&Array::zeros([2, 1, 4, 4]), 0),
            "an image grid of [2,1,4,4] in 0 columns"
        );
        assert_eq!(
            message(&Array::zeros([0, 1, 4, 4]), 2),
            "an image grid of [0,1,4,4] in 2 columns"
        );
    }
}
