//! What one types by habit: options by method, optimizers under PyTorch's names, boxed rules, options that move.

use crate::common::cpu;
use wgrad::nn::init::Init;
use wgrad::nn::{
    ConvOptions, ConvTransposeOptions, CrossEntropyOptions, InterpolateOptions, Linear, Module,
    PoolOptions,
};
use wgrad::optim::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, Lion, MinimizeOptions, NAdam, Optimizer, RAdam,
    RMSprop, SGD, Sgd,
};
use wgrad::{Array, Mode, Param, Params, Session, Tensor, TensorType, Trace};

/// A weight after three updates by `rule`.
fn trained(rule: impl Optimizer + 'static) -> Vec<f32> {
    let params = Params::new(0);
    let w: Param = params.parameter_with("w", [3], Init::uniform(1.0, 2.0));
    let mut session = cpu().open(&params).unwrap();
    let mut step = session
        .compile(Mode::Train, &[], move |g, _| {
            let loss = g.param(&w).square().sum(&[], false);
            g.minimize(&loss, &rule);
            vec![]
        })
        .unwrap();
    for _ in 0..3 {
        session.run(&mut step, &[] as &[Array]).unwrap();
    }
    session.get("w").unwrap().to_f32()
}

#[test]
fn every_option_of_an_optimizer_has_its_method() {
    let by_field = Sgd {
        momentum: 0.9,
        dampening: 0.0,
        weight_decay: 0.1,
        nesterov: true,
        ..Sgd::new(0.1)
    };
    let by_method = SGD::new(0.1)
        .momentum(0.9)
        .dampening(0.0)
        .weight_decay(0.1)
        .nesterov(true);
    assert_eq!(by_field, by_method);
    let adam = Adam::new(0.1)
        .betas((0.8, 0.9))
        .eps(1e-6)
        .weight_decay(0.2)
        .decoupled(true)
        .amsgrad(true);
    let by_field = Adam {
        betas: (0.8, 0.9),
        eps: 1e-6,
        weight_decay: 0.2,
        decoupled: true,
        amsgrad: true,
        ..Adam::new(0.1)
    };
    assert_eq!(adam, by_field);
    let adamw = AdamW::new(0.1)
        .betas((0.8, 0.9))
        .eps(1e-6)
        .weight_decay(0.2)
        .amsgrad(true);
    assert_eq!(trained(adamw), trained(adam));
    assert_eq!(trained(AdamW::new(0.1)), trained(Adam::adamw(0.1)));
    assert_ne!(trained(AdamW::new(0.1)), trained(Adam::new(0.1)));
    let rmsprop = RMSprop::new(0.1)
        .alpha(0.9)
        .eps(1e-6)
        .weight_decay(0.1)
        .momentum(0.5)
        .centered(true);
    assert_eq!(
        (rmsprop.alpha, rmsprop.momentum, rmsprop.centered),
        (0.9, 0.5, true)
    );
    let adagrad = Adagrad::new(0.1)
        .lr_decay(0.1)
        .weight_decay(0.1)
        .initial_accumulator_value(0.5)
        .eps(1e-6);
    assert_eq!(
        (adagrad.lr_decay, adagrad.initial_accumulator_value),
        (0.1, 0.5)
    );
    assert_eq!(
        Adadelta::new(1.0).rho(0.8).eps(1e-5).weight_decay(0.1).rho,
        0.8
    );
    assert_eq!(
        Adamax::new(0.1)
            .betas((0.8, 0.9))
            .eps(1e-6)
            .weight_decay(0.1)
            .betas,
        (0.8, 0.9)
    );
    assert_eq!(
        Lion::new(0.1)
            .betas((0.8, 0.9))
            .weight_decay(0.1)
            .weight_decay,
        0.1
    );
    assert!(
        NAdam::new(0.1)
            .betas((0.8, 0.9))
            .eps(1e-6)
            .weight_decay(0.1)
            .momentum_decay(0.1)
            .decoupled(true)
            .decoupled
    );
    assert!(
        RAdam::new(0.1)
            .betas((0.8, 0.9))
            .eps(1e-6)
            .weight_decay(0.1)
            .decoupled(true)
            .decoupled
    );
}

#[test]
fn a_boxed_optimizer_enters_compile() {
    let named = |name: &str| -> Box<dyn Optimizer> {
        match name {
            "sgd" => Box::new(Sgd::new(0.1).momentum(0.9)),
            _ => Box::new(AdamW::new(0.1)),
        }
    };
    assert_eq!(trained(named("sgd")), trained(Sgd::new(0.1).momentum(0.9)));
    assert_eq!(trained(named("adamw")), trained(AdamW::new(0.1)));
}

/// A step that owns all that it takes, for a session that outlives this function's variables.
fn owned(
    session: &mut Session,
    model: Linear,
    rule: Box<dyn Optimizer>,
    loss: CrossEntropyOptions,
    options: MinimizeOptions,
) -> wgrad::Result<wgrad::Function<'static>> {
    let types = [TensorType::f32([4, 3]), TensorType::i32([4])];
    session.compile(Mode::Train, &types, move |g: &Trace, batch: &[Tensor]| {
        let loss = model
            .forward(&batch[0])
            .cross_entropy_with(&batch[1], &loss);
        g.minimize_with(&loss, rule.as_ref(), &options);
        vec![loss]
    })
}

#[test]
fn options_move_into_compile() {
    let params = Params::new(1);
    let model = Linear::new(3, 2).build(&params.at("fc"));
    let mut session = cpu().open(&params).unwrap();
    let loss = CrossEntropyOptions {
        label_smoothing: 0.1,
        ..Default::default()
    };
    let options = MinimizeOptions {
        clip_norm: Some(1.0),
        ..Default::default()
    };
    let mut step = owned(&mut session, model, Box::new(Sgd::new(0.5)), loss, options).unwrap();
    let x = Array::new(
        [4, 3],
        vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0],
    )
    .unwrap();
    let y = Array::vector(vec![0, 1, 1, 0]);
    let losses: Vec<f32> = (0..9)
        .map(|_| session.run(&mut step, &[&x, &y]).unwrap()[0].item())
        .collect();
    assert!(losses[8] < losses[0], "{losses:?}");
}

#[test]
fn one_number_serves_all_dimensions() {
    let x = Array::new([1, 1, 4, 4], (0..16).map(|i| i as f32).collect::<Vec<_>>()).unwrap();
    let w = Array::new([1, 1, 2, 2], vec![1.0f32; 4]).unwrap();
    let y = wgrad::eval(move |g| {
        let (x, w) = (g.constant(x.clone()), g.constant(w.clone()));
        let conv = ConvOptions::new()
            .stride(2)
            .padding(1)
            .dilation(1)
            .groups(1);
        let up = ConvTransposeOptions::new()
            .stride(2)
            .padding([0, 0])
            .output_padding(1)
            .dilation(1)
            .groups(1);
        vec![
            x.max_pool2d_with(PoolOptions::new(1)),
            x.avg_pool2d_with(
                PoolOptions::new([2, 2])
                    .stride(1)
                    .padding(vec![1, 1])
                    .count_include_pad(false),
            ),
            x.max_pool2d_with(PoolOptions::new(3).stride(2).dilation(1).ceil_mode(true)),
            x.conv2d(&w, None, conv.clone()),
            x.conv_transpose2d(&w, None, up.clone()),
            x.interpolate(&InterpolateOptions::size(2)),
        ]
    });
    let shapes: Vec<Vec<usize>> = y.unwrap().iter().map(|a| a.shape().to_vec()).collect();
    let want = [
        [1, 1, 4, 4],
        [1, 1, 5, 5],
        [1, 1, 2, 2],
        [1, 1, 3, 3],
        [1, 1, 9, 9],
        [1, 1, 2, 2],
    ];
    assert_eq!(shapes, want);
}

#[test]
fn parameters_of_wrong_values_are_refused() {
    let said = |make: &dyn Fn(&Params)| {
        let params = Params::new(0);
        make(&params.at("net"));
        cpu_error(&params)
    };
    let text = said(&|p| drop(p.parameter("w", [3], |_, _| vec![1.0])));
    assert!(
        text.starts_with("net.w: [3]: 1 values were drawn, at tests/suite/builders.rs:"),
        "{text}"
    );
    let text = said(&|p| drop(p.parameter_with("b", [3], Init::orthogonal())));
    assert!(
        text.starts_with("net.b: [3]: orthogonal takes 2 dimensions or more, at "),
        "{text}"
    );
}

fn cpu_error(params: &Params) -> String {
    Session::with_options(params, &cpu().options)
        .err()
        .unwrap()
        .to_string()
}
