//! The program, as one calls it.

use crate::fixture;
use std::process::Command;

/// Exit code, stdout and stderr.
fn wgrad(arguments: &[&str]) -> (i32, String, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_wgrad"))
        .args(arguments)
        .env_remove("WGRAD_DEVICE")
        .env("XDG_RUNTIME_DIR", std::env::temp_dir()) // Mesa complains on stderr without it
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        done.status.code().unwrap(),
        text(&done.stdout),
        text(&done.stderr),
    )
}

fn inspect(name: &str) -> (i32, String, String) {
    wgrad(&["inspect", fixture(name).to_str().unwrap()])
}

#[test]
fn help_names_every_command() {
    let (code, out, _) = wgrad(&["--help"]);
    assert_eq!(code, 0);
    for word in ["devices", "verify", "inspect", "Usage: wgrad"] {
        assert!(out.contains(word), "{out}");
    }
    let (code, out, _) = wgrad(&["verify", "--help"]);
    assert_eq!(code, 0);
    for word in [
        "--device",
        "--adapter",
        "--only",
        "--seed",
        "1e-5 + 1e-4 |x|",
        "WGRAD_DEVICE=lockstep",
    ] {
        assert!(out.contains(word), "{out}");
    }
    let (code, out, _) = wgrad(&["--version"]);
    assert_eq!(
        (code, out.trim()),
        (0, concat!("wgrad ", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn wrong_arguments_are_refused() {
    for (arguments, want) in [
        (&[][..], "Usage: wgrad"),
        (&["inspct"], "unrecognized subcommand 'inspct'"),
        (&["inspect"], "<FILE>"),
        (
            &["verify", "--device", "tpu"],
            "invalid value 'tpu' for '--device <DEVICE>'",
        ),
        (
            &["verify", "--seed", "x"],
            "invalid value 'x' for '--seed <SEED>'",
        ),
        (&["devices", "more"], "unexpected argument 'more'"),
    ] {
        let (code, out, err) = wgrad(arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        assert!(err.contains(want), "{arguments:?}: {err}");
    }
}

#[test]
fn devices_says_what_would_be_taken() {
    let (code, out, err) = wgrad(&["devices"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("CPU ("), "{out}");
    let last = out.lines().last().unwrap();
    assert!(last.starts_with("device: ") && last.ends_with(')'), "{out}");
    let adapters = wgrad::device::adapters();
    for adapter in &adapters {
        assert!(out.contains(adapter), "{out}");
    }
    let limits = out.matches("  storage buffers ").count();
    let unusable = out.matches("  cannot be used: ").count();
    assert_eq!(limits + unusable, adapters.len(), "{out}");
}

#[test]
fn verify_compares_and_tells() {
    let (code, out, err) = wgrad(&["verify", "--device", "cpu", "--only", "softmax"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(
        out.contains("operator ") && out.contains("log_softmax"),
        "{out}"
    );
    let last = out.lines().last().unwrap();
    assert!(last.ends_with(" 0 faults"), "{out}");
    let (code, out, err) = wgrad(&["verify", "--device", "cpu", "--only", "nothing"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        err.starts_with("error: --only nothing: none of the "),
        "{err}"
    );
    let (code, _, err) = wgrad(&["verify", "--adapter", "abacus"]);
    assert_eq!(code, 1);
    assert!(err.starts_with("error: no adapter named 'abacus'"), "{err}");
}

#[test]
fn verify_runs_on_the_adapter() {
    if wgrad::device::adapters().is_empty() {
        let required = std::env::var("WGRAD_REQUIRE_GPU").is_ok_and(|v| v == "1");
        assert!(!required, "WGRAD_REQUIRE_GPU=1, but there is no adapter");
        return;
    }
    let (code, out, err) = wgrad(&["verify", "--only", "softmax"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(!out.starts_with("device: CPU"), "{out}");
}

#[test]
fn inspect_shows_both_kinds() {
    let (code, out, err) = inspect("dtypes.safetensors");
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("made_by: make_fixtures.py\n"), "{out}");
    let rows = ["f64_exact", "bf16", "BF16", "[2,2]", "12 tensors, "];
    for row in rows {
        assert!(out.contains(row), "{row}: {out}");
    }
    let (code, out, _) = inspect("torch/checkpoint.pth");
    assert_eq!(code, 0);
    let want = "\
name                   dtype  shape  size
0.weight               F32    [3,2]  24 B
0.bias                 F32    [3]    12 B
1.weight               F32    [3]    12 B
1.bias                 F32    [3]    12 B
1.running_mean         F32    [3]    12 B
1.running_var          F32    [3]    12 B
1.num_batches_tracked  I64    []      8 B
7 tensors, 22 elements, 92 B
";
    assert_eq!(out, want);
}

#[test]
fn inspect_shows_shards_as_one() {
    let dir = tempfile::TempDir::new().unwrap();
    let write = |file: &str, tensor: &str| {
        let tensors = [(tensor.to_owned(), wgrad::Array::zeros([2, 3]))];
        let path = dir.path().join(file);
        wgrad::weights::write(path, &tensors, &Default::default()).unwrap();
    };
    write("1.safetensors", "a");
    write("2.safetensors", "b");
    let index = r#"{"metadata": {"total_size": 48}, "weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}"#;
    let path = dir.path().join("model.safetensors.index.json");
    std::fs::write(&path, index).unwrap();
    let want = "\
total_size: 48
name  dtype  shape  size
a     F32    [2,3]  24 B
b     F32    [2,3]  24 B
2 tensors, 12 elements, 48 B in 2 files
";
    for path in [dir.path(), &path] {
        let (code, out, err) = wgrad(&["inspect", path.to_str().unwrap()]);
        assert_eq!((code, err.as_str(), out.as_str()), (0, "", want));
    }
    std::fs::remove_file(dir.path().join("2.safetensors")).unwrap();
    let (code, out, err) = wgrad(&["inspect", path.to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        err.contains("1 of 2 shards are not beside it: 2.safetensors"),
        "{err}"
    );
}

#[test]
fn inspect_refuses_broken_files() {
    for (name, want) in [
        ("torch/os_system.pt", "refused to load posix.system"),
        ("torch/legacy.pt", "in the form before 1.6"),
        ("torch/truncated.pt", "a truncated zip file"),
        ("torch/other.zip", "a zip file, but not PyTorch's"),
        ("torch/none.pt", "No such file"),
        ("text/bpe.json", "not a safetensors file"),
        ("torch", "directory"),
    ] {
        let (code, out, err) = inspect(name);
        assert_eq!((code, out.as_str()), (1, ""), "{name}");
        assert!(err.starts_with("error: ") && err.contains(name), "{err}");
        assert!(err.contains(want), "{name}: {err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    }
    assert!(!std::path::Path::new("executed").exists());
}
