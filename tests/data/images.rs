//! Folders of images, whole and broken.

use crate::{JUNK, Place, message};
use std::fs;
use std::path::Path;
use wgrad::Array;
use wgrad::data::{Dataset, ImageDataset};

/// A PNG with two pixels for each class's colour, written by the library itself.
fn picture(path: &Path, values: &[f32]) {
    let image = Array::new([1, 1, 2, values.len() / 2], values).unwrap();
    wgrad::data::image_grid(path, &image, 1).unwrap();
}

#[test]
fn folders_are_classes() {
    let place = Place::new();
    for (name, first) in [("b/1.png", 1.0), ("a/x.png", 0.0), ("a/y.PNG", 1.0)] {
        let path = place.file(name, "");
        picture(&path, &[first, 0.0, 0.0, 1.0]);
    }
    let data = ImageDataset::folder(place.path(), [6, 6]).unwrap();
    assert_eq!(data.class_names(), ["a", "b"]);
    assert_eq!(data.labels().unwrap(), [0, 0, 1]);
    let sample = data.sample(1, 0).unwrap();
    assert_eq!(**sample[0].shape(), [3, 6, 6]);
    // The image stands in a black frame of two pixels; all three channels are alike.
    let x = sample[0].to_f32();
    let middle = |c: usize| [14, 15, 20, 21].map(|i| x[c * 36 + i]);
    assert_eq!(middle(0), [1.0, 0.0, 0.0, 1.0]);
    assert_eq!(middle(2), middle(0));
    assert_eq!(x.iter().filter(|&&v| v == 0.0).count(), 3 * 34);
    let small = ImageDataset::folder(place.path(), [3, 4]).unwrap();
    let red = image::RgbImage::from_pixel(8, 8, image::Rgb([250, 10, 10]));
    red.save(place.path().join("b/2.jpeg")).unwrap();
    let found = ImageDataset::folder(place.path(), [8, 8]).unwrap();
    let x = found.sample(3, 0).unwrap().remove(0).to_f32();
    let near = |i: usize, byte: f32| (x[i] * 255.0 - byte).abs() < 8.0;
    assert!(near(0, 250.0) && near(64, 10.0) && near(191, 10.0));
    assert_eq!(**small.batch(&[0, 2], 0).unwrap()[0].shape(), [2, 3, 3, 4]);
    assert_eq!(
        message(ImageDataset::folder(place.path(), [0, 4])),
        "images of size [0, 4]"
    );
}

#[test]
fn broken_images_are_errors() {
    let place = Place::new();
    let whole = place.file("whole/a.png", "");
    picture(&whole, &[0.0, 1.0, 0.5, 0.25]);
    let whole = fs::read(whole).unwrap();
    for bytes in [
        &b""[..],
        JUNK,
        &whole[..whole.len() / 2],
        b"\xff\xd8\xff\xe0\x00\x10JFIF",
    ] {
        let place = Place::new();
        let path = place.file("c/a.png", bytes);
        let data = ImageDataset::folder(place.path(), [4, 4]).unwrap();
        let start = format!(
            "{}: expected a PNG, JPEG, BMP, GIF or WebP image",
            path.display()
        );
        let error = message(data.sample(0, 0));
        assert!(error.starts_with(&start), "{error}");
    }
    let place = Place::new();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        place.file("c/a.png", damaged);
        let data = ImageDataset::folder(place.path(), [4, 4]).unwrap();
        let _ = data.sample(0, 0);
    }
    let empty = Place::new();
    fs::create_dir(empty.path().join("c")).unwrap();
    assert_eq!(
        message(ImageDataset::folder(empty.path(), [4, 4])),
        format!(
            "{}: expected files that end in .png, .jpg, .jpeg, .bmp, .gif, .webp, found none",
            empty.path().join("c").display()
        )
    );
}

#[test]
fn formats_hold_the_same_picture() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let place = Place::new();
    for name in ["0.png", "1.bmp", "2.gif", "3.webp"] {
        let bytes = fs::read(root.join("formats").join(name)).unwrap();
        place.file(&format!("class/{name}"), bytes);
    }
    let data = ImageDataset::folder(place.path(), [5, 7]).unwrap();
    assert_eq!(data.len(), 4);
    let sample = |i: usize| data.sample(i, 0).unwrap().remove(0).to_f32();
    let png = sample(0);
    assert_eq!(png[1], 1.0, "red of the second pixel");
    for other in 1..4 {
        assert_eq!(sample(other), png, "file {other}");
    }
}

#[test]
fn damaged_files_of_every_format_are_errors() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats");
    let place = Place::new();
    for name in ["1.bmp", "2.gif", "3.webp"] {
        let whole = fs::read(root.join(name)).unwrap();
        let path = place.file(&format!("c/{name}"), &whole[..10]);
        let data = ImageDataset::folder(place.path(), [5, 7]).unwrap();
        let error = message(data.sample(0, 0));
        let start = format!(
            "{}: expected a PNG, JPEG, BMP, GIF or WebP image",
            path.display()
        );
        assert!(error.starts_with(&start), "{error}");
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            fs::write(&path, damaged).unwrap();
            let _ = data.sample(0, 0);
        }
        fs::remove_file(path).unwrap();
    }
}
