//! The example `cnn` as a process: bad input and Ctrl-C.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use tempfile::TempDir;

/// The example, built as this test was.
fn example() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let profile = test.parent().unwrap().parent().unwrap();
        let mut build = Command::new(env!("CARGO"));
        // With the features of tests/run, which has built it.
        build.args(["build", "--quiet", "--all-features", "--example", "cnn"]);
        build.arg("--target-dir");
        build.arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success());
        profile.join("examples").join("cnn")
    })
}

fn command(data: Option<&Path>, out: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(example());
    command.args(["--device", "cpu", "--output"]).arg(out);
    command.args(args).env_remove("RUST_BACKTRACE");
    if let Some(data) = data {
        command.arg("--data").arg(data);
    }
    command
}

/// An IDX file of bytes: sizes, then a pattern of values below `below`.
fn idx(path: PathBuf, sizes: &[u32], below: usize) {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    bytes.extend(sizes.iter().flat_map(|s| s.to_be_bytes()));
    let n = sizes.iter().product::<u32>() as usize;
    bytes.extend((0..n).map(|i| (i * 7 % below) as u8));
    std::fs::write(path, bytes).unwrap();
}

/// MNIST's four files, of `n` images and `labels` labels below `classes`.
fn data(dir: &Path, n: u32, labels: u32, classes: usize) -> PathBuf {
    std::fs::create_dir_all(dir).unwrap();
    for part in ["train", "t10k"] {
        idx(
            dir.join(format!("{part}-images-idx3-ubyte")),
            &[n, 28, 28],
            256,
        );
        idx(
            dir.join(format!("{part}-labels-idx1-ubyte")),
            &[labels],
            classes,
        );
    }
    dir.to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn smoke() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("run");
    let Output {
        status,
        stdout,
        stderr,
    } = command(None, &out, &["--smoke"]).output().unwrap();
    let (stdout, stderr) = (text(&stdout), text(&stderr));
    assert!(status.success() && stderr.is_empty(), "{stdout}{stderr}");
    for part in [
        "device: CPU",
        "conv1 (Conv2d)",
        "  eval_loss  eval_accuracy  samples/s  seconds\n",
        "held-out accuracy: ",
    ] {
        assert!(stdout.contains(part), "{part} in\n{stdout}");
    }
    assert!(
        !stdout.contains('\r') && !stdout.contains('\x1b'),
        "{stdout:?}"
    );
    assert!(out.join("model.safetensors").exists() && out.join("curves.svg").exists());
}

#[test]
fn bad_input_is_refused_in_one_sentence_and_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    let out = at("run");
    let small = data(&at("small"), 20, 20, 10);
    let counts = data(&at("counts"), 20, 21, 10);
    let labels = data(&at("labels"), 20, 20, 11);
    let empty = data(&at("empty"), 0, 0, 10);
    let garbage = data(&at("garbage"), 20, 20, 10);
    std::fs::write(garbage.join("train-images-idx3-ubyte"), b"not IDX").unwrap();
    let short = data(&at("short"), 20, 20, 10);
    let file = short.join("t10k-images-idx3-ubyte");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..1000]).unwrap();
    let occupied = at("occupied");
    std::fs::write(&occupied, b"a file").unwrap();
    let b = &["--batch-size", "10"][..];
    let missing = at("missing");
    let cases: [(&Path, &Path, &[&str], &str); 8] = [
        (
            &missing,
            &out,
            b,
            "train-images-idx3-ubyte.gz: No such file",
        ),
        (
            &small,
            &out,
            &["--batch-size", "0"],
            "batch_size 0: takes 1 or more",
        ),
        (&counts, &out, b, "20 images, but 21 labels in "),
        (&labels, &out, b, "label"),
        (&empty, &out, b, "empty"),
        (&garbage, &out, b, "train-images-idx3-ubyte"),
        (&short, &out, b, "t10k-images-idx3-ubyte"),
        (&small, &occupied, b, "occupied: "),
    ];
    for (data, out, args, message) in cases {
        let output = command(Some(data), out, args).output().unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}: {stderr}");
        assert!(
            stderr.contains(message) && stderr.trim().lines().count() == 1,
            "{message} in\n{stderr}"
        );
        assert!(!at("run").exists(), "{message}");
    }
    assert_eq!(std::fs::read(&occupied).unwrap(), b"a file");
}

#[test]
#[cfg(unix)]
fn ctrl_c_finishes_the_step_saves_and_says_where() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;
    let dir = TempDir::new().unwrap();
    let data = data(&dir.path().join("data"), 128, 128, 10);
    let out = dir.path().join("run");
    let mut child = command(Some(&data), &out, &["--epochs", "100000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("   2.00")));
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let last = lines.last();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    let expected = format!("steps: the checkpoint is {}", out.display());
    assert!(
        stderr.contains("interrupted after ") && stderr.contains(&expected),
        "{stderr}"
    );
    assert!(last.is_none_or(|l| l.starts_with("  ")));
    let left = std::fs::read_dir(&out).unwrap().map(|e| e.unwrap().path());
    let mut left: Vec<PathBuf> = left.collect();
    left.sort();
    let checkpoint = left[0].clone();
    let file = wgrad::weights::Reader::open(checkpoint.join("model.safetensors")).unwrap();
    assert_eq!(file.names().len(), 10);
    let names: Vec<_> = left[1..].iter().map(|p| p.file_name().unwrap()).collect();
    let expected = ["curves.png", "curves.svg", "history.json", "report.html"];
    assert_eq!(names, expected);
}
