//! Misuse: each has a wording that says what was expected, what came and where, and is returned, not thrown.

use crate::common::cpu;
use wgrad::device::DeviceKind;
use wgrad::nn::{Linear, Module};
use wgrad::ops::binary_cross_entropy::BinaryCrossEntropyOptions;
use wgrad::ops::reduction::Reduction;
use wgrad::optim::Sgd;
use wgrad::{Array, DType, Error, Mode, Params, Result, Session, Tensor, TensorType, Trace};

/// What compiling `body` says for inputs f32 `[2, 3]`, f32 `[4, 5]`, i32 `[2]`.
fn misuse(body: impl Fn(&Trace, &[Tensor]) -> Tensor + Sync) -> String {
    let types = [
        TensorType::f32([2, 3]),
        TensorType::f32([4, 5]),
        TensorType::i32([2]),
    ];
    let mut session = cpu().open(&Params::new(0)).unwrap();
    let compiled = session.compile(Mode::Train, &types, |g, a| vec![body(g, a)]);
    compiled.map(|_| ()).unwrap_err().to_string()
}

#[track_caller]
fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no '{part}' in: {message}");
    }
}

#[test]
fn wordings() {
    type Body = fn(&Trace, &[Tensor]) -> Tensor;
    let rows: &[(Body, &[&str])] = &[
        (
            |_, a| a[0].matmul(&a[1]),
            &["matmul [2,3] x [4,5]", "inner sizes 3 and 4 differ"],
        ),
        (
            |_, a| a[0].matmul(&a[2].to_f32().sum(&[], false)),
            &["matmul", "[2,3] x []", "at least 1 dimension each"],
        ),
        (
            |_, a| &a[0] + &a[1],
            &["add [2,3] and [4,5]", "do not broadcast"],
        ),
        (
            |_, a| &a[0] + &a[2],
            &["add f32 [2,3] and i32 [2]", "dtypes do not fit"],
        ),
        (
            |_, a| a[2].exp(),
            &["exp takes f32, i32 [2] came", "to_f32()"],
        ),
        (
            |_, a| a[0].reshape(&[4, -1]),
            &["reshape [2,3] to [4, -1]", "6 elements do not fit"],
        ),
        (
            |_, a| a[0].sum(&[2], false),
            &["sum", "[2,3]", "dimension 2 is out of range"],
        ),
        (
            |_, a| a[0].transpose(0, -3),
            &["transpose", "[2,3]", "dimension -3 is out of range"],
        ),
        (
            |_, a| a[0].permute(&[0, 0]),
            &["permute [2,3]", "[0, 0] must name each dimension once"],
        ),
        (
            |_, a| a[0].expand([2, 4]),
            &["expand [2,3] to [2,4]", "only sizes of 1 repeat"],
        ),
        (|_, a| a[0].narrow(1, 2, 2), &["narrow", "[2,3]"]),
        (
            |_, a| {
                a[0].split_with_sizes(&[1, 1], 1)
                    .pop()
                    .unwrap_or(a[0].clone())
            },
            &["split_with_sizes [1, 1] of a dimension of 3: the sizes add up to 2"],
        ),
        (
            |_, a| a[0].split(0, 1).pop().unwrap_or(a[0].clone()),
            &["split takes pieces of at least 1, 0 came"],
        ),
        (
            |_, a| a[0].repeat(&[2]),
            &["repeat [2] of f32 [2,3]: takes a number for each dimension"],
        ),
        (
            |_, a| a[2].tril(0),
            &["tril i32 [2]: takes matrices, at least 2 dimensions"],
        ),
        (
            |_, a| a[2].gt(0.5),
            &["gt i32 [2] and f32 []: the dtypes do not fit: convert the first with to_f32()"],
        ),
        (
            |_, a| Tensor::einsum("ij,jk", &[&a[0], &a[1]]),
            &["einsum \"ij,jk\": 'j' is 3 and 4"],
        ),
        (
            |_, a| Tensor::einsum("ii->i", &[&a[0]]),
            &["einsum \"ii->i\": 'i' is 2 and 3 in 'ii'"],
        ),
        (
            |_, a| Tensor::einsum("ij->ii", &[&a[0]]),
            &["einsum \"ij->ii\": 'i' twice in the result 'ii'"],
        ),
        (
            |_, a| a[0].diagonal(0, 1, -1),
            &["diagonal [2,3]: takes two dimensions, 1 and -1 are one"],
        ),
        (
            |_, a| a[2].mean(&[], false),
            &["mean takes f32, i32 [2] came: convert with to_f32()"],
        ),
        (
            |_, a| a[2].gt(0).abs(),
            &["abs takes numbers, bool [2] came: convert with to_f32() or to(DType::I32)"],
        ),
        (
            |_, a| a[2].gt(0).argmax(0, false),
            &["argmax takes numbers, bool [2] came: convert with to_f32()"],
        ),
        (
            |_, a| a[0].eq(&a[2]),
            &["eq f32 [2,3] and i32 [2]: the dtypes do not fit: convert the second with to_f32()"],
        ),
        (
            |_, a| a[2].eq(&a[0]),
            &[
                "eq i32 [2] and f32 [2,3]",
                "convert the first with to_f32()",
            ],
        ),
        (
            |_, a| a[2].lt(&a[2].to(DType::U32)),
            &[
                "lt i32 [2] and u32 [2]",
                "convert the second with to(DType::I32)",
            ],
        ),
        (
            |_, a| a[2].gt(0).le(&a[2].gt(1)),
            &[
                "le bool [2] and bool [2]",
                "convert both with to_f32() or to(DType::I32)",
            ],
        ),
        (
            |_, a| a[2].pow(&a[2]),
            &["pow i32 [2] and i32 [2]", "convert both with to_f32()"],
        ),
        (
            |_, a| Tensor::einsum("...i", &[&a[0]]),
            &["einsum \"...i\": '.' in '...i': takes letters"],
        ),
        (
            |_, a| Tensor::einsum("i->i", &[&a[0]]),
            &["'i' has 1 letters, f32 [2,3] 2 dimensions"],
        ),
        (
            |_, a| Tensor::einsum("ij->k", &[&a[0]]),
            &["'k' of the result is in no tensor"],
        ),
        (
            |_, a| Tensor::einsum("ij,j->i", &[&a[0]]),
            &["names 2 tensors, 1 came"],
        ),
        (
            |_, a| Tensor::einsum("i->", &[&a[2]]),
            &["einsum", "takes f32, i32 [2] came: convert with to_f32()"],
        ),
        (
            |_, a| a[0].select(1, -4),
            &["select [2,3]: index -4 is out of range for dimension 1 of size 3"],
        ),
        (
            |g, a| g.grad(&a[0].sum(&[], false), &a[1]),
            &["grad the loss does not depend on the tensor"],
        ),
        (
            |_, a| a[0].where_(&a[0], &a[2]),
            &[
                "where f32 [2,3] and i32 [2]",
                "dtypes differ: convert the second with to_f32()",
            ],
        ),
        (
            |_, a| Tensor::cat(&[&a[0], &a[1]], 0),
            &["cat [2,3] and [4,5]", "dimension 0 alone"],
        ),
        (
            |_, a| a[0].gather(1, &a[0]),
            &["gather takes i32 indices, f32 [2,3] came"],
        ),
        (
            |_, a| a[1].cross_entropy(&a[2]),
            &["cross_entropy", "[4,5]", "labels i32 [4]"],
        ),
        (
            |_, a| a[0].binary_cross_entropy(&a[1], Reduction::Mean),
            &[
                "binary_cross_entropy f32 [2,3] with targets f32 [4,5]",
                "two f32 of one shape",
            ],
        ),
        (
            |_, a| {
                let options = BinaryCrossEntropyOptions {
                    pos_weight: Some(a[0].clone()),
                    ..Default::default()
                };
                a[0].binary_cross_entropy(&a[0], options)
            },
            &["binary_cross_entropy has no pos_weight"],
        ),
        (
            |_, a| a[0].huber_loss(&a[2], 1.0, Reduction::Mean),
            &["huber_loss takes f32, i32 [2] came"],
        ),
        (
            |_, a| {
                a[0].narrow(1, 0, 1)
                    .mse_loss(&a[2].to_f32(), Reduction::Mean)
            },
            &[
                "mse_loss takes a target of the shape of the predictions [2,1], or one that is repeated to it; [2] came",
            ],
        ),
        (
            |_, a| a[0].smooth_l1_loss(&a[1], 1.0, Reduction::Mean),
            &["smooth_l1_loss takes a target of the shape of the predictions [2,3]"],
        ),
        (
            |_, a| a[0].huber_loss(&a[0], 0.0, Reduction::Mean),
            &["huber_loss takes a delta above 0, 0 came"],
        ),
        (
            |_, a| a[0].smooth_l1_loss(&a[0], -1.0, Reduction::Mean),
            &["smooth_l1_loss takes a beta of 0 or more, -1 came"],
        ),
        (
            |_, a| a[0].multi_margin_loss(&a[2], 3, 1.0, Reduction::Mean),
            &["multi_margin_loss takes a p of 1 or 2, 3 came"],
        ),
        (
            |_, a| a[1].multi_margin_loss(&a[2], 1, 1.0, Reduction::Mean),
            &[
                "multi_margin_loss f32 [4,5] with targets i32 [2]",
                "labels i32 [n]",
            ],
        ),
        (
            |_, a| a[0].cosine_embedding_loss(&a[0], &a[1], 0.0, Reduction::Mean),
            &[
                "cosine_embedding_loss [2,3] and [2,3] with targets [4,5]",
                "two [n, d] and [n]",
            ],
        ),
        (
            |_, a| a[0].softmax(5),
            &["softmax", "[2,3]", "dimension 5 is out of range"],
        ),
        (
            |_, a| a[0].max_pool2d(2),
            &["max_pool2d input [2,3]", "[n, c, h, w]"],
        ),
        (
            |_, a| a[0].conv2d(&a[1], None, Default::default()),
            &["conv2d", "[2,3]", "[n, c, h, w]"],
        ),
        (
            |g, a| {
                g.gradients(&a[0], &[&a[0]])[0]
                    .clone()
                    .unwrap_or_else(|| g.poison())
            },
            &["gradients takes a scalar f32 loss, f32 [2,3] came"],
        ),
    ];
    for (body, parts) in rows {
        let message = misuse(body);
        says(&message, parts);
        says(&message, &["at tests/suite/errors.rs:"]);
    }
}

#[test]
fn the_first_misuse_and_its_line() {
    let message = misuse(|_, a| {
        let bad = &a[0] + &a[1];
        bad.exp().matmul(&bad).sum(&[7], false)
    });
    let line = line!() - 3;
    says(
        &message,
        &[
            "add [2,3] and [4,5]",
            &format!("at tests/suite/errors.rs:{line}"),
        ],
    );
}

#[test]
fn the_layer_and_where_it_was_built() {
    let params = Params::new(0);
    let layer = Linear::new(31, 64).build(&params.at("encoder").at("linear2"));
    let line = line!() - 1;
    let mut session = cpu().open(&params).unwrap();
    let types = [TensorType::f32([8, 32])];
    let compiled = session.compile(Mode::Train, &types, |_, a| vec![layer.forward(&a[0])]);
    let message = compiled.map(|_| ()).unwrap_err().to_string();
    says(
        &message,
        &[
            "encoder.linear2: matmul [8,32] x [31,64]",
            "inner sizes 32 and 31 differ",
        ],
    );
    says(&message, &[&format!("tests/suite/errors.rs:{line}")]);
}

fn regression(session: &mut Session, layer: &Linear) -> Result<()> {
    let types = [TensorType::f32([4, 3])];
    let step = session.compile(Mode::Train, &types, |g, a| {
        let loss = layer.forward(&a[0]).square().mean(&[], false);
        g.minimize(&loss, &Sgd::new(0.1));
        vec![loss]
    });
    step.map(drop)
}

#[test]
fn parameters() {
    let params = Params::new(0);
    let used = Linear::new(3, 2).build(&params.at("used"));
    let spare = Linear::new(3, 2).bias(false).build(&params.at("spare"));
    let mut session = cpu().open(&params).unwrap();
    let message = regression(&mut session, &used).unwrap_err().to_string();
    says(
        &message,
        &["the loss does not reach spare.weight", "freeze"],
    );
    params.at("spare").set_trainable(false);
    regression(&mut session, &used).unwrap();
    drop(spare);

    let params = Params::new(0);
    let _ = [0, 1].map(|_| Linear::new(3, 2).build(&params.at("fc")));
    let twice = Session::with_options(&params, &cpu().options);
    let message = twice.map(|_| ()).unwrap_err().to_string();
    says(
        &message,
        &[
            "fc.weight",
            "there is one of that name already",
            "tests/suite/errors.rs:",
        ],
    );
}

#[test]
fn a_retrace_creates_no_parameters() {
    let params = Params::new(0);
    let mut session = cpu().open(&params).unwrap();
    let inside = params.clone();
    let mut f = session
        .compile(Mode::Train, &[TensorType::f32([4, 3])], move |_, a| {
            let name = format!("fc{}", a[0].size(0));
            vec![Linear::new(3, 2).build(&inside.at(name)).forward(&a[0])]
        })
        .unwrap();
    let message = session
        .run(&mut f, &[&Array::zeros([5, 3])])
        .unwrap_err()
        .to_string();
    says(
        &message,
        &[
            "fc5.weight",
            "traced again must not create parameters",
            "errors.rs:",
        ],
    );
}

#[test]
fn arguments_of_a_run() {
    let mut session = cpu().open(&Params::new(0)).unwrap();
    let types = [TensorType::f32([4, 5]), TensorType::i32([4])];
    let mut f = session
        .compile(Mode::Train, &types, |_, a| vec![a[0].cross_entropy(&a[1])])
        .unwrap();
    let (x, y) = (Array::zeros([4, 5]), Array::vector(vec![0i32; 4]));
    let mut run = |arguments: &[&Array]| session.run(&mut f, arguments).unwrap_err().to_string();
    says(&run(&[&x]), &["takes 2 arguments, 1 came"]);
    says(
        &run(&[&x, &x]),
        &["input 1: expected i32 [4], got f32 [4,5]"],
    );
    says(
        &run(&[&Array::zeros([4]), &y]),
        &["input 0: expected f32 [4,5], got f32 [4]"],
    );
    let label = Array::vector(vec![0, 1, 5, 2i32]);
    says(
        &run(&[&x, &label]),
        &["input 1", "class labels from 0 to 4", "got 5 at element 2"],
    );
    let negative = Array::vector(vec![0, -1, 3, 2i32]);
    says(&run(&[&x, &negative]), &["got -1 at element 1"]);
    // Sizes that do not fit each other are found when the function is traced for them.
    says(
        &run(&[&Array::zeros([3, 5]), &y]),
        &["cross_entropy", "[3,5]", "labels i32 [3]"],
    );
    let ignored = Array::vector(vec![0, -100, 3, 2i32]);
    session.run(&mut f, &[&x, &ignored]).unwrap();
}

#[test]
fn states() {
    let params = Params::new(0);
    Linear::new(3, 2).build(&params.at("fc"));
    let mut session = cpu().open(&params).unwrap();
    let message = session.get("fc.wieght").unwrap_err().to_string();
    says(&message, &["there is no parameter fc.wieght"]);
    let message = session
        .set("fc.weight", &Array::zeros([3, 2]))
        .unwrap_err()
        .to_string();
    says(&message, &["fc.weight is f32 [2,3], f32 [3,2] came"]);
    let ints = Array::full([2, 3], 1i32);
    assert_eq!(ints.dtype(), DType::I32);
    let message = session.set("fc.weight", &ints).unwrap_err().to_string();
    says(&message, &["fc.weight is f32 [2,3], i32 [2,3] came"]);
}

#[test]
fn devices_that_do_not_exist() {
    let error = "cuda".parse::<DeviceKind>().unwrap_err();
    assert!(matches!(error, Error::Adapter(_)));
    says(
        &error.to_string(),
        &["there is no device 'cuda'", "cpu, gpu, lockstep"],
    );
}

/// What the environment asks for is read when a device is opened: in a process of its own, so that tests stay apart.
#[test]
fn devices_that_the_environment_asks_for() {
    let child = |key: &str, value: &str| {
        let me = std::env::current_exe().unwrap();
        let output = std::process::Command::new(me)
            .args([
                "errors::opens_a_device",
                "--exact",
                "--nocapture",
                "--ignored",
            ])
            .env_remove("WGRAD_DEVICE")
            .env_remove("WGPU_ADAPTER_NAME")
            .env("WGRAD_DEVICE", "gpu")
            .env(key, value)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    says(
        &child("WGRAD_DEVICE", "cuda"),
        &["there is no device 'cuda'"],
    );
    let named = child("WGPU_ADAPTER_NAME", "no such adapter");
    says(
        &named,
        &["no adapter named 'no such adapter' (WGPU_ADAPTER_NAME): there is"],
    );
}

#[test]
#[ignore = "run by devices_that_the_environment_asks_for, in a process of its own"]
fn opens_a_device() {
    match Session::new(&Params::new(0)) {
        Ok(session) => println!("{}", session.banner()),
        Err(error) => println!("{error}"),
    }
}
