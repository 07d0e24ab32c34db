//! Files of `tests/fixtures/torch/`, which `tests/interop/make_torch_files.py` wrote.

use crate::array::Array;
use crate::dtype::DType;
use crate::error::Error;
use crate::session::Session;
use crate::state::Params;
use crate::weights::Reader;
use std::path::{Path, PathBuf};

fn file(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/fixtures/torch").join(name)
}

fn open(name: &str) -> Reader {
    Reader::open(file(name)).unwrap()
}

fn floats(reader: &Reader, name: &str) -> (Vec<usize>, Vec<f32>) {
    let array = reader.read(name).unwrap();
    (array.shape().to_vec(), array.to_f32())
}

#[test]
fn every_dtype_and_view() {
    let r = open("dtypes.pt");
    let values = vec![0.0f32, -1.5, 65504.0, 6.103_515_6e-5];
    for name in ["f16", "f32", "f64"] {
        assert!(
            r.read(name).unwrap() == Array::of([2, 2], values.clone()),
            "{name}"
        );
    }
    let rounded = vec![0.0f32, -1.5, 65536.0, 6.103_515_6e-5];
    assert!(r.read("bf16").unwrap() == Array::of([2, 2], rounded));
    assert_eq!(r.read_f64("f64").unwrap()[2], 65504.0);
    let integers = vec![0i32, -1, i32::MAX, i32::MIN];
    for name in ["i32", "i64"] {
        assert!(
            r.read(name).unwrap() == Array::vector(integers.clone()),
            "{name}"
        );
    }
    assert!(r.read("u8").unwrap() == Array::vector(vec![0u32, 255]));
    assert!(r.read("bool").unwrap() == Array::from_words([2], DType::Bool, vec![1, 0]));
    assert!(r.read("scalar").unwrap() == Array::scalar(2.5f32));
    assert!(r.read("empty").unwrap() == Array::zeros([0, 3]));
    let base: Vec<f32> = (0..24).map(|i| i as f32).collect();
    assert_eq!(floats(&r, "base"), (vec![4, 6], base.clone()));
    let turned = (0..24).map(|i| base[i % 4 * 6 + i / 4]).collect();
    assert_eq!(floats(&r, "transposed"), (vec![6, 4], turned));
    assert_eq!(
        floats(&r, "part"),
        (vec![2, 2], vec![8.0, 10.0, 14.0, 16.0])
    );
    let expanded = vec![7.0, 7.0, 7.0, 8.0, 8.0, 8.0];
    assert_eq!(floats(&r, "expanded"), (vec![2, 3], expanded));
    assert_eq!(floats(&r, "parameter"), (vec![1], vec![3.0]));
    assert_eq!(r.dtype("bf16").as_deref(), Some("BF16"));
    assert_eq!(
        (r.bytes("bf16"), r.bytes("part"), r.bytes("none")),
        (Some(8), Some(16), None)
    );
    assert_eq!(r.names()[..3], ["f16", "bf16", "f32"]);
}

#[test]
fn states_in_checkpoints_and_other_dictionaries() {
    let state = [
        "0.weight",
        "0.bias",
        "1.weight",
        "1.bias",
        "1.running_mean",
        "1.running_var",
        "1.num_batches_tracked",
    ];
    for name in ["checkpoint.pth", "protocol4.pt"] {
        let r = open(name);
        assert_eq!(r.names(), state, "{name}");
        assert_eq!(floats(&r, "0.bias"), (vec![3], vec![0.5, 1.5, 2.5]));
    }
    assert_eq!(open("nested.pt").names(), ["encoder.w", "list.0"]);
}

#[test]
fn a_session_loads_both_kinds() {
    let params = Params::new(1);
    let zeros = |_: &mut crate::rng::Rng, n: usize| vec![0.0; n];
    for (path, shape) in [("0.weight", vec![3, 2]), ("0.bias", vec![3])] {
        params.parameter(path, shape, zeros);
    }
    for path in ["1.weight", "1.bias", "1.running_mean", "1.running_var"] {
        params.parameter(path, [3], zeros);
    }
    let mut session = Session::on(Box::new(crate::device::CpuDevice::new()), &params).unwrap();
    session.load(file("checkpoint.pth")).unwrap();
    let weight = session.get("0.weight").unwrap();
    assert_eq!(weight.to_f32(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(session.get("1.running_var").unwrap().to_f32(), [1.0; 3]);
    let dir = tempfile::TempDir::new().unwrap();
    // the content decides, not the name
    let saved = dir.path().join("w.pt");
    session.save(&saved).unwrap();
    session.set("0.bias", &Array::zeros([3])).unwrap();
    session.load(&saved).unwrap();
    assert_eq!(session.get("0.bias").unwrap().to_f32(), [0.5, 1.5, 2.5]);
    let error = session.load(file("nested.pt")).unwrap_err();
    assert!(matches!(error, Error::Checkpoint { .. }), "{error}");
    let report = session.load_partial(file("protocol4.pt")).unwrap();
    assert_eq!(report.loaded.len(), 6);
}

/// What is wrong with each file, and the message that says so.
const BROKEN: &[(&str, &str)] = &[
    (
        "legacy.pt",
        "in the form before 1.6, which is not read: torch.load it and torch.save it again",
    ),
    (
        "namespace.pt",
        "refused to load argparse.Namespace, nothing of a pickle is executed: save the model's state_dict()",
    ),
    (
        "os_system.pt",
        "refused to load posix.system, nothing of a pickle is executed",
    ),
    (
        "builtins_eval.pt",
        "refused to load builtins.eval, nothing of a pickle is executed",
    ),
    ("storage_class.pt", "refused to load torch.QUInt8Storage"),
    ("script.pt", "a TorchScript archive, not a state_dict"),
    (
        "truncated.pt",
        "a truncated zip file: it ends before its directory",
    ),
    (
        "start.pt",
        "a truncated zip file: it ends before its directory",
    ),
    (
        "opcode.pt",
        "pickle opcode 'I' (0x49) is not one that a state_dict needs: refused",
    ),
    ("ends_early.pt", "the pickle ends too early"),
    ("empty_pickle.pt", "the pickle ends too early"),
    ("big_endian.pt", "byte order 'big', expected 'little'"),
    ("huge.pt", "of a storage of 1 elements: too large"),
    (
        "expands.pt",
        "a tensor [8589934592] of a storage of 1 elements: too large",
    ),
    (
        "outside.pt",
        "a tensor [2, 2] with strides [4, 1] at 0 lies outside of its storage of 4 elements",
    ),
    (
        "offset.pt",
        "a tensor [2] with strides [1] at 3 lies outside of its storage of 4 elements",
    ),
    (
        "negative.pt",
        "a tensor with a negative size, stride or offset",
    ),
    ("strides.pt", "a tensor of 2 dimensions with 1 strides"),
    ("no_storage.pt", "w: the file has no a/data/9"),
    (
        "short_storage.pt",
        "w: a/data/0 holds 3 elements, the pickle says 4",
    ),
    ("cycle.pt", "dictionaries nested too deeply"),
    ("doubled.pt", "dictionaries nested too deeply"),
    (
        "memo.pt",
        "a memo of 4294967295 values in so short a pickle",
    ),
    (
        "other.zip",
        "a zip file, but not PyTorch's: it has no data.pkl",
    ),
    (
        "deflated.pt",
        "a/data.pkl: a compressed or encrypted entry, PyTorch's are stored as they are",
    ),
];

#[test]
fn broken_files_say_what_is_wrong() {
    for (name, want) in BROKEN {
        match Reader::open(file(name)).err() {
            Some(Error::File { message, path, .. }) => {
                assert!(message.contains(want), "{name}: {message}");
                assert!(path.ends_with(name));
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    // of a dtype that is not read: the file opens, the tensor does not
    for (name, tensor, dtype) in [("i16.pt", "tensor", "I16"), ("complex.pt", "w", "C64")] {
        let r = open(name);
        let error = r.read(tensor).unwrap_err().to_string();
        let want = format!("{tensor}: tensors of dtype {dtype} are not supported");
        assert!(error.ends_with(&want), "{error}");
    }
}

/// A file cut anywhere, or with any byte changed, is an error or other values, never a panic or a huge allocation.
#[test]
fn damage_anywhere_never_panics() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("x.pt");
    let mut read = 0;
    for (name, step) in [("nested.pt", 1), ("dtypes.pt", 7)] {
        let whole = std::fs::read(file(name)).unwrap();
        for len in (0..whole.len()).step_by(13) {
            std::fs::write(&path, &whole[..len]).unwrap();
            assert!(Reader::open(&path).is_err(), "{name}, {len} bytes");
        }
        for at in (0..whole.len()).step_by(step) {
            let mut bytes = whole.clone();
            bytes[at] ^= [1, 0x80, 0xff][at % 3];
            std::fs::write(&path, &bytes).unwrap();
            read += usize::from(Reader::open(&path).and_then(|r| r.read_all()).is_ok());
        }
    }
    assert!(read > 0, "not every byte matters");
}
