//! The pictures and the page of a run.

use super::{fit_with, pairs, small, task};
use crate::common::{arguments, digits, session};
use std::io::Read;
use std::path::Path;
use tempfile::TempDir;
use wgrad::data::{Dataset, Sample, TensorDataset};
use wgrad::nn::{Flatten, Linear, Module, Sequential};
use wgrad::optim::Sgd;
use wgrad::train::{Outcome, TerminateOnNan, Trainer, TrainingArguments};
use wgrad::{Array, Params, Result};

const PICTURES: [&str; 5] = [
    "curves.svg",
    "curves.png",
    "confusion_matrix.svg",
    "confusion_matrix.png",
    "mistakes.png",
];

/// Which pictures are in `folder`.
fn pictures(folder: &Path) -> Vec<&'static str> {
    let there = |name: &&str| folder.join(name).exists();
    PICTURES.into_iter().filter(there).collect()
}

fn text(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// Width, height, channels and pixels of a PNG file as wgrad writes them.
fn decoded(file: &[u8]) -> (usize, usize, usize, Vec<u8>) {
    assert_eq!(file[..8], *b"\x89PNG\r\n\x1a\n");
    let number = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let (width, height) = (number(16), number(20));
    let channels = match file[24..26] {
        [8, 0] => 1,
        [8, 2] => 3,
        _ => panic!("{:?}", &file[24..26]),
    };
    assert_eq!(&file[37..41], b"IDAT");
    let mut raw = Vec::new();
    let packed = &file[41..41 + number(33)];
    flate2::read::ZlibDecoder::new(packed)
        .read_to_end(&mut raw)
        .unwrap();
    assert_eq!(raw.len(), height * (1 + width * channels));
    let rows = raw.chunks_exact(1 + width * channels);
    let pixels = rows.flat_map(|row| row[1..].to_vec()).collect();
    (width, height, channels, pixels)
}

/// The PNG file `name`, which is as large as the SVG file beside it says, twice, and the colours that it has.
fn like_its_svg(folder: &Path, name: &str) -> Vec<[u8; 3]> {
    let svg = text(folder, &format!("{name}.svg"));
    let of = |what: &str| -> usize {
        let start = svg.split(&format!(" {what}=\"")).nth(1).unwrap();
        start.split('"').next().unwrap().parse().unwrap()
    };
    let (width, height, channels, pixels) =
        decoded(&std::fs::read(folder.join(format!("{name}.png"))).unwrap());
    assert_eq!(
        (width, height, channels),
        (2 * of("width"), 2 * of("height"), 3)
    );
    let mut colours: Vec<[u8; 3]> = pixels
        .chunks_exact(3)
        .map(|p| p.try_into().unwrap())
        .collect();
    colours.sort_unstable();
    colours.dedup();
    colours
}

fn from_base64(text: &str) -> Vec<u8> {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |c: u8| digits.iter().position(|d| *d == c);
    let mut bytes = Vec::new();
    for four in text.as_bytes().chunks(4) {
        let known: Vec<usize> = four.iter().map_while(|c| digit(*c)).collect();
        let bits = (0..4).fold(0, |bits, i| bits << 6 | known.get(i).copied().unwrap_or(0));
        let three = [(bits >> 16) as u8, (bits >> 8) as u8, bits as u8];
        bytes.extend(&three[..known.len() - 1]);
    }
    bytes
}

/// Train a linear classifier of `inputs` numbers.
pub fn classify(
    dir: &Path,
    sizes: [usize; 2],
    train: impl Dataset + 'static,
    valid: impl Dataset + 'static,
    change: impl FnOnce(Trainer) -> Trainer,
) -> Result<f64> {
    let params = Params::new(0);
    let model = Sequential::new(&params)
        .add(Flatten)
        .add(Linear::new(sizes[0], sizes[1]));
    let mut s = session(&params);
    let args = TrainingArguments {
        train_batch_size: 50,
        eval_batch_size: Some(30),
        output_dir: Some(dir.to_owned()),
        overwrite_output_dir: true,
        ..arguments(2)
    };
    let mut trainer = change(Trainer::classifier(&mut s, &model, args));
    let history = trainer.fit(train, valid)?;
    Ok(history.last("val_accuracy").unwrap())
}

/// `n` samples of four numbers, with classes from 0 to `classes` - 1.
pub fn points(n: usize, classes: usize) -> TensorDataset {
    let x: Vec<f32> = (0..4 * n).map(|i| (i * 7 % 12) as f32 * 0.1).collect();
    let y: Vec<i32> = (0..n).map(|i| (i % classes) as i32).collect();
    let x = Array::new([n, 4], x).unwrap();
    TensorDataset::new(vec![x, Array::vector(y)]).unwrap()
}

#[test]
fn a_classifier_of_images_leaves_every_picture() {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("digits & co");
    let (n, classes) = (100, 10);
    let accuracy = classify(
        &folder,
        [1024, classes],
        digits(0, 300),
        digits(400, n),
        |t| t,
    );
    let wrong = (n as f64 * (1.0 - accuracy.unwrap())).round() as usize;
    assert!((5..n).contains(&wrong), "{wrong}");
    assert_eq!(pictures(&folder), PICTURES);
    // The colours of both lines, mixed with nothing.
    let colours = like_its_svg(&folder, "curves");
    assert!(colours.contains(&[31, 119, 180]) && colours.contains(&[214, 92, 28]));
    assert!(like_its_svg(&folder, "confusion_matrix").len() > 20);
    // Every held-out sample has a place in the matrix.
    let svg = text(&folder, "confusion_matrix.svg");
    let texts = svg
        .split("<text")
        .skip(1)
        .map(|t| t.split('\n').nth(1).unwrap());
    let numbers: Vec<usize> = texts.filter_map(|t| t.parse().ok()).collect();
    let counts = &numbers[2 * classes..];
    assert_eq!(counts.len(), classes * classes);
    assert_eq!(counts.iter().sum::<usize>(), n);
    let right: usize = (0..classes).map(|i| counts[i * classes + i]).sum();
    assert_eq!(right, n - wrong);
    let page = text(&folder, "report.html");
    let shown = wrong.min(36);
    let said = match shown < wrong {
        true => format!("{wrong} of {n} images; the 36 most certain, with the probability"),
        false => format!("{wrong} of {n} images, with the probability"),
    };
    assert!(page.contains(&said), "{said}");
    assert!(page.contains("<h1>digits &amp; co</h1>"));
    // Nothing is fetched from elsewhere.
    let sources: Vec<&str> = page.split(" src=\"").skip(1).collect();
    assert_eq!(sources.len(), shown);
    assert!(!page.contains("<link") && !page.contains("url(") && !page.contains("<script"));
    for source in sources {
        let image = source.strip_prefix("data:image/png;base64,").unwrap();
        let image = from_base64(image.split('"').next().unwrap());
        let (width, height, channels, pixels) = decoded(&image);
        assert_eq!((width, height, channels), (32, 32, 1));
        // The padding is black, ink is bright.
        assert!(pixels[0] == 0 && *pixels.iter().max().unwrap() > 200);
    }
    let (width, height, channels, _) =
        decoded(&std::fs::read(folder.join("mistakes.png")).unwrap());
    assert_eq!(channels, 3);
    assert_eq!(width, 2 * 150 * shown.min(6));
    assert_eq!(height, 2 * 158 * shown.div_ceil(6));
    for part in [
        "<h2>Curves</h2>",
        "<h2>Settings</h2>",
        "<h2>Model</h2>",
        "<h2>Machine</h2>",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn other_tasks_have_curves_alone() {
    let dir = TempDir::new().unwrap();
    let args = || TrainingArguments {
        output_dir: Some(dir.path().to_owned()),
        overwrite_output_dir: true,
        ..pairs(2)
    };
    // Pictures of a training before do not stay.
    std::fs::write(dir.path().join("mistakes.png"), "old").unwrap();
    fit_with(args(), |t| t, |_, _| ()).unwrap();
    assert_eq!(pictures(dir.path()), ["curves.svg", "curves.png"]);
    let page = text(dir.path(), "report.html");
    assert!(!page.contains("Mistakes") && !page.contains("onfus") && page.contains("Evaluations"));
    // Without held-out data.
    let small = small();
    let mut s = session(&small.params);
    let args = TrainingArguments {
        eval_strategy: wgrad::train::IntervalStrategy::No,
        ..args()
    };
    let mut trainer = Trainer::new(&mut s, task(&small.fc), args);
    trainer.fit(small.data.clone(), ()).unwrap();
    let page = text(dir.path(), "report.html");
    assert!(page.contains("<h2>Curves</h2>") && !page.contains("Evaluations"));
    assert!(!text(dir.path(), "curves.svg").contains("held out"));
}

#[test]
fn several_predictions_a_sample_are_no_classes_of_it() {
    let dir = TempDir::new().unwrap();
    let params = Params::new(0);
    let fc = Linear::new(1, 3).build(&params.at("fc"));
    let mut s = session(&params);
    // x [n, 4] and y [n, 4], a class for each of four places.
    let task = |_: &wgrad::Trace, batch: &[wgrad::Tensor]| {
        let scores = fc.forward(&batch[0].reshape(&[-1, 4, 1]));
        let loss = scores
            .reshape(&[-1, 3])
            .cross_entropy(&batch[1].reshape(&[-1]));
        Outcome::new(loss)
            .predictions(scores)
            .label_ids(batch[1].clone())
    };
    let args = TrainingArguments {
        train_batch_size: 10,
        output_dir: Some(dir.path().to_owned()),
        ..arguments(1)
    };
    let x: Vec<f32> = (0..80).map(|i| i as f32).collect();
    let y: Vec<i32> = (0..80).map(|i| i % 3).collect();
    let (x, y) = (
        Array::new([20, 4], x).unwrap(),
        Array::new([20, 4], y).unwrap(),
    );
    let data = TensorDataset::new(vec![x, y]).unwrap();
    Trainer::new(&mut s, task, args)
        .fit(data.clone(), data)
        .unwrap();
    assert_eq!(pictures(dir.path()), ["curves.svg", "curves.png"]);
}

/// Points with names of their classes.
struct Named(TensorDataset, Vec<String>);

impl Dataset for Named {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn sample(&self, index: usize, epoch: u64) -> Result<Sample> {
        self.0.sample(index, epoch)
    }

    fn class_names(&self) -> &[String] {
        &self.1
    }
}

#[test]
fn names_of_classes_are_text() {
    let dir = TempDir::new().unwrap();
    let names = ["<b>&\"'", "Übung"].map(String::from).to_vec();
    let data = || Named(points(60, 2), names.clone());
    let valid = data().subset(0..40).unwrap();
    classify(dir.path(), [4, 2], data(), valid, |t| t).unwrap();
    let svg = text(dir.path(), "confusion_matrix.svg");
    assert_eq!(svg.matches("\n&lt;b&gt;&amp;&quot;&apos;\n").count(), 2);
    assert_eq!(svg.matches("\nÜbung\n").count(), 2);
    let page = text(dir.path(), "report.html");
    assert!(page.contains(&svg[..100]) && !page.contains("<b>"));
    assert_eq!(pictures(dir.path()), PICTURES[..4], "points are no images");
    // Those that are given count, where they are as many as the classes.
    let given = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|n| n.to_string()).collect();
        let run = classify(dir.path(), [4, 2], data(), data(), |t| t.class_names(names));
        run.unwrap();
        text(dir.path(), "confusion_matrix.svg")
    };
    assert_eq!(given(&["no", "yes"]).matches("\nyes\n").count(), 2);
    let numbered = given(&["a", "b", "c"]);
    assert!(!numbered.contains("\na\n") && numbered.matches("\n1\n").count() >= 2);
}

#[test]
fn many_classes_have_a_table_of_what_is_confused() {
    let dir = TempDir::new().unwrap();
    classify(dir.path(), [4, 40], points(120, 40), points(80, 40), |t| t).unwrap();
    assert_eq!(pictures(dir.path()), PICTURES[..4]);
    like_its_svg(dir.path(), "confusion_matrix");
    classify(dir.path(), [4, 41], points(120, 41), points(82, 41), |t| t).unwrap();
    assert_eq!(pictures(dir.path()), PICTURES[..2]);
    let page = text(dir.path(), "report.html");
    let table = page.split("Most often confused of the 41 classes").nth(1);
    let table = table.unwrap().split("</table>").next().unwrap();
    assert_eq!(table.matches("<tr>").count(), 11);
}

#[test]
fn a_training_that_diverges_leaves_a_page_that_says_so() {
    let dir = TempDir::new().unwrap();
    let run = |change: fn(Trainer) -> Trainer| {
        let args = TrainingArguments {
            output_dir: Some(dir.path().to_owned()),
            overwrite_output_dir: true,
            logging_steps: 1.0,
            ..pairs(50)
        };
        fit_with(args, |t| change(t.optimizer(Sgd::new(30.0))), |_, _| ())
    };
    let error = run(|t| t).unwrap_err().to_string();
    let page = text(dir.path(), "report.html");
    let start = error.split(';').next().unwrap();
    assert!(
        page.contains(&format!("The training did not finish: {start}")),
        "{page}"
    );
    // The settings are those of the optimizer.
    let rate = "<th>learning_rate</th><td>30</td>";
    assert_eq!(page.matches(rate).count(), 2, "{page}");
    assert!(!page.contains("weight_decay"));
    // A loss that grows by orders of magnitude has a logarithmic axis.
    assert!(text(dir.path(), "curves.svg").contains("1e10"));
    assert_eq!(pictures(dir.path()), ["curves.svg", "curves.png"]);
    run(|t| t.callback(TerminateOnNan)).unwrap();
    let page = text(dir.path(), "report.html");
    assert!(page.contains("a loss that is not finite: the model is not written"));
}
