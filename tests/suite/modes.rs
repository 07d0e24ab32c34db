//! Layers in evaluation mode while others train, and passes that leave running statistics as they are.

use crate::common::{cpu, gpu};
use wgrad::nn::{
    BatchNorm1d, BatchNorm2d, Build, Dropout, Dropout2d, InstanceNorm1d, Linear, Module, Relu,
    Sequential, TransformerEncoderLayer,
};
use wgrad::ops::reduction::Reduction;
use wgrad::optim::Sgd;
use wgrad::{Array, Function, Mode, Params, Session, Tensor, TensorType};

/// A backbone and a head, each with dropout and running statistics.
struct Net {
    backbone: Sequential,
    head: Sequential,
}

impl Net {
    fn new(p: &Params) -> Self {
        let part = |p: &Params, outputs: usize| {
            let norm = BatchNorm1d::new(6).momentum(0.5);
            let first = Sequential::new(p).add(Linear::new(6, 6)).add(norm);
            first
                .add(Relu)
                .add(Dropout::new(0.5))
                .add(Linear::new(6, outputs))
        };
        Self {
            backbone: part(&p.at("backbone"), 6),
            head: part(&p.at("head"), 2),
        }
    }

    fn step(&self, session: &mut Session) -> Function<'_> {
        let types = [TensorType::f32([8, 6])];
        let step = session.compile(Mode::Train, &types, |g, a| {
            let features = self.backbone.forward(&a[0]);
            let loss = self
                .head
                .forward(&features)
                .mse_loss(&g.scalar(1.0), Reduction::Mean);
            g.minimize(&loss, &Sgd::new(0.1));
            vec![features, loss]
        });
        step.unwrap()
    }
}

fn batch() -> Array {
    let x: Vec<f32> = (0..48).map(|i| (i as f32 * 0.7).sin() + 0.2).collect();
    Array::new([8, 6], x).unwrap()
}

fn statistics(session: &mut Session, layer: &str) -> Vec<f32> {
    let names = ["running_mean", "running_var", "num_batches_tracked"];
    let all = names.map(|n| session.get(&format!("{layer}.1.{n}")).unwrap().to_f32());
    all.concat()
}

#[test]
fn a_backbone_in_evaluation_mode() {
    for pass in [cpu(), gpu()] {
        let params = Params::new(3);
        let net = Net::new(&params);
        let Some(mut session) = pass.open(&params) else {
            continue;
        };
        let mut f = net.step(&mut session);
        let first = session.run(&mut f, &[&batch()]).unwrap();
        let second = session.run(&mut f, &[&batch()]).unwrap();
        assert_ne!(first[0], second[0], "dropout drops");

        // 5 layers and the container.
        assert_eq!(params.eval("backbone").unwrap(), 6);
        let types = [TensorType::f32([8, 6])];
        let body = |_: &wgrad::Trace, a: &[Tensor]| vec![net.backbone.forward(&a[0])];
        let mut eval = session.compile(Mode::Eval, &types, body).unwrap();
        let [of_backbone, of_head] = ["backbone", "head"].map(|l| statistics(&mut session, l));
        let weight = session.get("backbone.0.weight").unwrap();
        let want = session.run(&mut eval, &[&batch()]).unwrap();
        let got = session.run(&mut f, &[&batch()]).unwrap();
        assert_eq!(
            got[0], want[0],
            "{}: the features are those of an evaluation",
            pass.name
        );
        assert_eq!(statistics(&mut session, "backbone"), of_backbone);
        assert_ne!(statistics(&mut session, "head"), of_head);
        // It trains all the same.
        assert_ne!(session.get("backbone.0.weight").unwrap(), weight);
        assert_eq!(f.compiled(), 2);

        assert_eq!(params.train("backbone.{1,3}").unwrap(), 2);
        let got = session.run(&mut f, &[&batch()]).unwrap();
        let want = session.run(&mut eval, &[&batch()]).unwrap();
        assert_ne!(got[0], want[0]);
        assert_ne!(statistics(&mut session, "backbone"), of_backbone);
        // Nothing that changes nothing compiles anew.
        assert_eq!(params.train("head").unwrap(), 6);
        session.run(&mut f, &[&batch()]).unwrap();
        assert_eq!(f.compiled(), 3);
        assert_eq!(eval.compiled(), 1);
    }
}

/// What a layer of each kind gives in training is what it gives in evaluation.
#[test]
fn every_kind_of_layer() {
    fn same<B: Build>(kind: &str, build: B, shape: &[usize])
    where
        B::Layer: Module,
    {
        let params = Params::new(1);
        let layer = build.build(&params.at("layer"));
        let other = Linear::new(1, 1).build(&params.at("other"));
        let mut session = cpu().open(&params).unwrap();
        let n: usize = shape.iter().product();
        let x: Vec<f32> = (0..n).map(|i| (i as f32 * 0.9).cos()).collect();
        let x = Array::new(shape.to_vec(), x).unwrap();
        let types = [TensorType::of(&x)];
        let body = |g: &wgrad::Trace, a: &[Tensor]| {
            let y = layer.forward(&a[0]);
            let loss = other
                .forward(&g.scalar(1.0).reshape(&[1, 1]))
                .sum(&[], false);
            g.minimize_with(
                &loss,
                &Sgd::new(0.1),
                &wgrad::optim::MinimizeOptions::part("other", 0),
            );
            vec![y]
        };
        let mut train = session.compile(Mode::Train, &types, body).unwrap();
        let mut eval = session.compile(Mode::Eval, &types, body).unwrap();
        let want = session.run(&mut eval, &[&x]).unwrap();
        assert_ne!(session.run(&mut train, &[&x]).unwrap(), want, "{kind}");
        let want = session.run(&mut eval, &[&x]).unwrap();
        params.eval("layer").unwrap();
        assert_eq!(session.run(&mut train, &[&x]).unwrap(), want, "{kind}");
        assert_eq!(session.run(&mut eval, &[&x]).unwrap(), want, "{kind}");
        params.train("*").unwrap();
        assert_ne!(session.run(&mut train, &[&x]).unwrap(), want, "{kind}");
    }
    same("dropout", Dropout::new(0.5), &[4, 8]);
    same("channels", Dropout2d::new(0.5), &[4, 8, 2, 2]);
    same("batch norm", BatchNorm2d::new(3), &[2, 3, 4, 4]);
    same(
        "average of all batches",
        BatchNorm1d::new(3).momentum(None),
        &[4, 3],
    );
    same(
        "instance norm",
        InstanceNorm1d::new(3).track_running_stats(true),
        &[2, 3, 5],
    );
    same(
        "encoder",
        TransformerEncoderLayer::new(8, 2).dropout(0.5),
        &[2, 4, 8],
    );
}

#[test]
fn patterns_of_layers() {
    let params = Params::new(0);
    let net = Net::new(&params);
    let message = params.eval("bakcbone").unwrap_err().to_string();
    assert_eq!(
        message,
        "the pattern 'bakcbone' stands for no layer: there are backbone, backbone.0, backbone.1, backbone.2, ..."
    );
    assert!(params.eval("re:(").is_err());
    assert!(params.train("backbone.0.weight").is_err());
    assert_eq!(params.eval("*.3").unwrap(), 2);
    assert_eq!(params.train("re:^head").unwrap(), 6);
    drop(net);
    // A layer that is a struct of one's own, and what it is inside of.
    let params = Params::new(0);
    let fc = Linear::new(2, 2).build(&params.at("body.block.fc"));
    assert_eq!(params.eval("body").unwrap(), 3);
    assert_eq!(params.eval("body.block").unwrap(), 2);
    assert_eq!(fc.weight.path.as_ref(), "body.block.fc.weight");
}

/// Two passes over one batch, of which the second leaves the statistics alone.
#[test]
fn statistics_that_a_pass_leaves_alone() {
    for pass in [cpu(), gpu()] {
        let run = |passes: usize, keep: bool| {
            let params = Params::new(3);
            let norm = BatchNorm1d::new(6).build(&params.at("norm"));
            let each = InstanceNorm1d::new(6).track_running_stats(true);
            let each = each.build(&params.at("each"));
            let mut session = pass.open(&params)?;
            let types = [TensorType::f32([8, 6])];
            let mut f = session
                .compile(Mode::Train, &types, |g, a| {
                    let both = |x: &Tensor| {
                        let y = norm.forward(x).unsqueeze(-1).expand([8, 6, 1]);
                        let y = Tensor::cat(&[&y, &y.mul_scalar(2.0)], 2);
                        each.forward(&y)
                    };
                    let first = both(&a[0]);
                    let pass = |_| match keep {
                        true => g.keep_statistics(|| both(&a[0])),
                        false => both(&a[0]),
                    };
                    let others: Vec<Tensor> = (1..passes).map(pass).collect();
                    let last = others.last().unwrap_or(&first).clone();
                    assert!(!g.keeps_statistics());
                    vec![first, last]
                })
                .unwrap();
            let got = session.run(&mut f, &[&batch()]).unwrap();
            assert_eq!(got[0], got[1], "both take the batch's statistics");
            let states = session.params().all();
            Some(session.get_all(&states).unwrap())
        };
        let Some(once) = run(1, false) else { continue };
        assert_eq!(run(2, true).unwrap(), once, "{}", pass.name);
        assert_ne!(run(2, false).unwrap(), once, "{}", pass.name);
    }
}
