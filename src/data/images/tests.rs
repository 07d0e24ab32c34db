use std::fs;

use super::*;

const MNIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/mnist");

fn labels(data: &[u8]) -> Bytes {
    Bytes::new([data.len()], data).unwrap()
}

fn message<T>(result: Result<T>) -> String {
    result.err().unwrap().to_string()
}

#[test]
fn pads_then_scales_then_normalises() {
    let images = Bytes::new([2, 1, 2], [0, 255, 51, 102]).unwrap();
    let data = ImageDataset::new(images, labels(&[1, 0])).unwrap();
    let batch = data
        .clone()
        .pad(1)
        .normalize(&[0.5], &[0.25])
        .unwrap()
        .batch(&[1], 0)
        .unwrap();
    let pixel = |byte: f32| (byte / 255.0 - 0.5) / 0.25;
    let (a, b) = (pixel(51.0), pixel(102.0));
    let o = -2.0;
    assert_eq!(
        batch[0],
        Array::new([1, 1, 3, 4], vec![o, o, o, o, o, a, b, o, o, o, o, o]).unwrap()
    );
    assert_eq!(batch[1], Array::vector(vec![0i32]));
    let batch = data.batch(&[0, 1, 0], 0).unwrap();
    assert_eq!(
        batch[0],
        Array::new([3, 1, 1, 2], vec![0.0f32, 1.0, 0.2, 0.4, 0.0, 1.0]).unwrap()
    );
    assert_eq!(batch[1], Array::vector(vec![1i32, 0, 1]));
}

#[test]
fn channels_are_normalised_apart() {
    let images = Bytes::new([1, 2, 1, 1], [255, 255]).unwrap();
    let data = ImageDataset::new(images, labels(&[3]))
        .unwrap()
        .normalize(&[0.0, 0.5], &[2.0])
        .unwrap();
    assert_eq!(
        data.batch(&[0], 0).unwrap()[0],
        Array::new([1, 2, 1, 1], vec![0.5f32, 0.25]).unwrap()
    );
    assert_eq!(
        message(data.clone().normalize(&[0.0; 3], &[1.0])),
        "normalize: 3 means and 1 stds for images of 2 channels"
    );
    assert_eq!(
        message(data.clone().normalize(&[0.0], &[1.0, 0.0])),
        "normalize: a std of 0"
    );
    assert_eq!(
        message(data.normalize(&[f32::NAN], &[1.0])),
        "normalize: a mean of NaN"
    );
}

#[test]
fn refuses_what_does_not_fit() {
    let images = |shape: &[usize]| Bytes::new(shape, vec![0; shape.iter().product()]).unwrap();
    assert_eq!(
        message(ImageDataset::new(images(&[2, 1, 1]), labels(&[0; 3]))),
        "2 images, but 3 labels"
    );
    assert_eq!(
        message(ImageDataset::new(images(&[2, 4]), labels(&[0; 2]))),
        "images are [n, h, w] or [n, c, h, w], not [2,4]"
    );
    assert_eq!(
        message(ImageDataset::new(images(&[2, 1, 1]), images(&[2, 1]))),
        "labels are [n], not [2,1]"
    );
    assert_eq!(
        message(ImageDataset::new(images(&[0, 2, 2]), labels(&[]))),
        "an empty data set: images [0,2,2]"
    );
    let data = ImageDataset::new(images(&[2, 1, 1]), labels(&[4, 5])).unwrap();
    assert_eq!(
        message(data.batch(&[0, 2], 0)),
        "no sample 2 in a data set of 2 samples"
    );
    assert_eq!(
        message(data.clone().classes(5)),
        "label 1 is 5, but there are 5 classes"
    );
    assert!(data.classes(6).is_ok());
}

#[test]
fn changes_depend_on_seed_epoch_and_index() {
    let images = Bytes::new([3, 1, 4, 4], (0..48).collect::<Vec<u8>>()).unwrap();
    let data = ImageDataset::new(images, labels(&[0, 1, 2]))
        .unwrap()
        .pad(2)
        .random_crop(4, 4)
        .unwrap()
        .random_horizontal_flip(0.5)
        .unwrap();
    let x = |data: &ImageDataset, epoch, i| data.sample(i, epoch).unwrap().remove(0);
    let first = x(&data, 0, 1);
    assert_eq!(**first.shape(), [1, 4, 4]);
    assert_eq!(first, x(&data, 0, 1));
    // A subset of another order, and a batch, draw the same.
    let part = data.clone().subset([2, 1]).unwrap();
    assert_eq!(part.sample(1, 0).unwrap()[0], first);
    let batch = data.batch(&[2, 1], 0).unwrap().remove(0);
    assert_eq!(batch.to_f32()[16..], first.to_f32());
    let others = (1..5).filter(|&epoch| x(&data, epoch, 1) != first);
    assert!(others.count() > 2);
    let seeded = (1..5).filter(|&seed| x(&data.clone().seed(seed), 0, 1) != first);
    assert!(seeded.count() > 2);
    assert_eq!(
        message(data.clone().center_crop(5, 4)),
        "center_crop: 5 x 4 of images of 4 x 4"
    );
    assert_eq!(
        message(data.clone().random_crop(0, 4)),
        "random_crop: 0 x 4 of images of 4 x 4"
    );
    assert_eq!(
        message(data.clone().random_vertical_flip(1.5)),
        "random_vertical_flip: a probability of 1.5, allowed are 0 to 1"
    );
    assert_eq!(
        message(data.random_horizontal_flip(f32::NAN)),
        "random_horizontal_flip: a probability of NaN, allowed are 0 to 1"
    );
}

#[test]
fn reads_records_of_cifar() {
    let root = tempfile::tempdir().unwrap();
    let record = |label: u8| {
        let planes = [label, 10 + label, 20 + label].map(|byte| [byte; 1024]);
        [&[label][..], &planes.concat()].concat()
    };
    for i in 1..=5 {
        let path = root.path().join(format!("data_batch_{i}.bin"));
        fs::write(path, [record(i), record(0)].concat()).unwrap();
    }
    let data = ImageDataset::cifar10(root.path(), true).unwrap();
    assert_eq!(data.labels().unwrap(), [1, 0, 2, 0, 3, 0, 4, 0, 5, 0]);
    assert_eq!(data.class_names()[9], "truck");
    let x = data.sample(4, 0).unwrap().remove(0);
    assert_eq!(**x.shape(), [3, 32, 32]);
    let x = x.to_f32();
    assert_eq!(
        [x[0], x[1023], x[1024], x[3071]],
        [3.0, 3.0, 13.0, 23.0].map(|byte| byte / 255.0)
    );
    let missing = message(ImageDataset::cifar10(root.path(), false));
    let path = root.path().join("test_batch.bin.gz");
    assert!(
        missing.starts_with(&path.display().to_string()),
        "{missing}"
    );
}

#[test]
fn errors_name_the_files() {
    let root = tempfile::tempdir().unwrap();
    let (x, y) = (
        root.path().join("t10k-images-idx3-ubyte"),
        root.path().join("t10k-labels-idx1-ubyte"),
    );
    fs::write(&x, [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 5, 6]).unwrap();
    let (xs, ys) = (x.display(), y.display());

    let missing = message(ImageDataset::mnist(root.path(), false));
    assert!(missing.starts_with(&format!("{ys}.gz: ")), "{missing}");

    fs::write(&y, [0, 0, 8, 1, 0, 0, 0, 1, 9]).unwrap();
    let counts = message(ImageDataset::mnist(root.path(), false));
    assert_eq!(counts, format!("{xs}: 2 images, but 1 labels in {ys}"));

    fs::write(&y, [0, 0, 8, 1, 0, 0, 0, 2, 9, 10]).unwrap();
    let range = message(ImageDataset::mnist(root.path(), false));
    assert_eq!(
        range,
        format!("{ys} at byte 9: label 1 is 10, but there are 10 classes")
    );

    let swapped = message(ImageDataset::open(&y, &x));
    assert!(
        swapped.starts_with(&format!("{ys} at byte 0: the magic number is 2049")),
        "{swapped}"
    );
}

#[test]
fn reads_the_mnist_test_set() {
    let data = ImageDataset::mnist(MNIST, false).unwrap();
    assert_eq!(data.len(), 10_000);
    let all: Vec<usize> = (0..data.len()).collect();
    let y = data.clone().batch(&all, 0).unwrap().remove(1);
    let mut counts = [0; 10];
    y.as_slice::<i32>()
        .unwrap()
        .iter()
        .for_each(|&label| counts[label as usize] += 1);
    assert_eq!(
        counts,
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    );
    assert_eq!(y.as_slice::<i32>().unwrap()[..5], [7, 2, 1, 0, 4]);

    let x = data.clone().batch(&all[..100], 0).unwrap().remove(0);
    assert_eq!(**x.shape(), [100, 1, 28, 28]);
    let padded = data.pad(2).normalize(&[0.1307], &[0.3081]).unwrap();
    let batch = padded.batch(&all[..100], 0).unwrap().remove(0);
    assert_eq!(**batch.shape(), [100, 1, 32, 32]);
    let (x, batch) = (x.to_f32(), batch.to_f32());
    for (i, image) in x.chunks_exact(28 * 28).enumerate() {
        for (r, row) in image.chunks_exact(28).enumerate() {
            for (c, value) in row.iter().enumerate() {
                assert_eq!(
                    batch[(i * 32 + r + 2) * 32 + c + 2],
                    (value - 0.1307) / 0.3081
                );
            }
        }
    }
}
