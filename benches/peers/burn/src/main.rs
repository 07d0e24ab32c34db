//! Times one training step of the models in README.md on burn.
//!
//!     burnpeer <wgpu|flex> <model> [steps]

#![recursion_limit = "256"]

use burn::nn::{conv::*, loss::CrossEntropyLossConfig, pool::*, *};
use burn::optim::{AdamConfig, GradientsParams};
use burn::prelude::*;
use burn::tensor::{Distribution, Int};
use std::time::Instant;

#[derive(Module, Debug)]
struct LeNet {
    c1: Conv2d,
    c2: Conv2d,
    p: MaxPool2d,
    f1: Linear,
    f2: Linear,
    f3: Linear,
}

impl LeNet {
    fn new(d: &Device) -> Self {
        Self {
            c1: Conv2dConfig::new([1, 6], [5, 5]).init(d),
            c2: Conv2dConfig::new([6, 16], [3, 3]).init(d),
            p: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            f1: LinearConfig::new(576, 120).init(d),
            f2: LinearConfig::new(120, 84).init(d),
            f3: LinearConfig::new(84, 10).init(d),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let r = Relu::new();
        let x = self.p.forward(r.forward(self.c1.forward(x)));
        let x = self.p.forward(r.forward(self.c2.forward(x)));
        let x: Tensor<2> = x.flatten(1, 3);
        let x = r.forward(self.f1.forward(x));
        let x = r.forward(self.f2.forward(x));
        self.f3.forward(x)
    }
}

#[derive(Module, Debug)]
struct Cifar {
    c: Vec<Conv2d>,
    p: MaxPool2d,
    f1: Linear,
    f2: Linear,
}

impl Cifar {
    fn new(d: &Device) -> Self {
        let ch = [(3, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128)];
        Self {
            c: ch
                .iter()
                .map(|&(i, o)| {
                    Conv2dConfig::new([i, o], [3, 3])
                        .with_padding(PaddingConfig2d::Same)
                        .init(d)
                })
                .collect(),
            p: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            f1: LinearConfig::new(2048, 128).init(d),
            f2: LinearConfig::new(128, 10).init(d),
        }
    }

    fn forward(&self, mut x: Tensor<4>) -> Tensor<2> {
        let r = Relu::new();
        for (i, c) in self.c.iter().enumerate() {
            x = r.forward(c.forward(x));
            if i % 2 == 1 {
                x = self.p.forward(x)
            }
        }
        let x: Tensor<2> = x.flatten(1, 3);
        self.f2.forward(r.forward(self.f1.forward(x)))
    }
}

#[derive(Module, Debug)]
struct TextCnn {
    e: Embedding,
    c: Conv1d,
    o: Linear,
}

impl TextCnn {
    fn new(d: &Device) -> Self {
        Self {
            e: EmbeddingConfig::new(28996, 64).init(d),
            c: Conv1dConfig::new(64, 10, 3)
                .with_padding(PaddingConfig1d::Same)
                .init(d),
            o: LinearConfig::new(10, 2).init(d),
        }
    }

    fn forward(&self, x: Tensor<2, Int>) -> Tensor<2> {
        let x = self.e.forward(x).swap_dims(1, 2);
        let x = Relu::new().forward(self.c.forward(x));
        let x: Tensor<2> = x.max_dim(2).squeeze_dim(2);
        self.o.forward(x)
    }
}

#[derive(Module, Debug)]
struct TextRnn {
    e: Embedding,
    r: Rnn,
    o: Linear,
}

impl TextRnn {
    fn new(d: &Device) -> Self {
        Self {
            e: EmbeddingConfig::new(28996, 64).init(d),
            r: RnnConfig::new(64, 96, true).init(d),
            o: LinearConfig::new(96, 2).init(d),
        }
    }

    fn forward(&self, x: Tensor<2, Int>) -> Tensor<2> {
        let (_, s) = self.r.forward(self.e.forward(x), None);
        self.o.forward(s.hidden)
    }
}

#[derive(Module, Debug)]
struct TextLstm {
    e: Embedding,
    r: Lstm,
    o: Linear,
}

impl TextLstm {
    fn new(d: &Device) -> Self {
        Self {
            e: EmbeddingConfig::new(28996, 64).init(d),
            r: LstmConfig::new(64, 128, true).init(d),
            o: LinearConfig::new(128, 2).init(d),
        }
    }

    fn forward(&self, x: Tensor<2, Int>) -> Tensor<2> {
        let (_, s) = self.r.forward(self.e.forward(x), None);
        self.o.forward(s.hidden)
    }
}

#[derive(Module, Debug)]
struct Mlp {
    a: Linear,
    b: Linear,
    c: Linear,
}

impl Mlp {
    fn new(d: &Device) -> Self {
        Self {
            a: LinearConfig::new(784, 512).init(d),
            b: LinearConfig::new(512, 512).init(d),
            c: LinearConfig::new(512, 10).init(d),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let r = Relu::new();
        self.c
            .forward(r.forward(self.b.forward(r.forward(self.a.forward(x)))))
    }
}

fn run<M: Module + 'static>(
    name: &str,
    mut m: M,
    d: &Device,
    steps: usize,
    b: usize,
    classes: usize,
    f: impl Fn(&M) -> Tensor<2>,
) {
    let mut opt = AdamConfig::new().init();
    let y = Tensor::<1, Int>::from_data(
        TensorData::from(
            (0..b)
                .map(|i| (i % classes) as i32)
                .collect::<Vec<_>>()
                .as_slice(),
        ),
        d,
    );
    let ce = CrossEntropyLossConfig::new().init(d);
    let mut ts = vec![];
    let mut last = 0.0;
    let t_first = Instant::now();
    let mut first = 0.0;
    for s in 0..steps + 3 {
        let t = Instant::now();
        let loss = ce.forward(f(&m), y.clone());
        let g = loss.backward();
        let g = GradientsParams::from_grads(g, &m);
        m = opt.step(1e-3, m, g);
        last = loss.into_data().to_vec::<f32>().unwrap()[0];
        d.sync().ok();
        if s == 0 {
            first = t_first.elapsed().as_secs_f64() * 1e3
        }
        if s >= 3 {
            ts.push(t.elapsed().as_secs_f64() * 1e3)
        }
    }
    ts.sort_by(|a, b| a.total_cmp(b));
    println!(
        "burn {name} b{b}: median {:.3} ms min {:.3} first-step {first:.0} ms loss {last:.4}",
        ts[ts.len() / 2],
        ts[0]
    );
}

fn main() {
    let a: Vec<String> = std::env::args().collect();
    let d = match a[1].as_str() {
        "flex" => Device::flex(),
        _ => Device::wgpu(Default::default()),
    }
    .autodiff();
    let steps: usize = a.get(3).map(|s| s.parse().unwrap()).unwrap_or(10);
    let ids = |b: usize| {
        Tensor::<2, Int>::from_data(
            TensorData::new(
                (0..b * 128)
                    .map(|i| ((i * 7919) % 28996) as i32)
                    .collect::<Vec<_>>(),
                [b, 128],
            ),
            &d,
        )
    };
    match a[2].as_str() {
        "mlp" => {
            let x = Tensor::<2>::random([128, 784], Distribution::Default, &d);
            run("mlp", Mlp::new(&d), &d, steps, 128, 10, |m| {
                m.forward(x.clone())
            })
        }
        "lenet" => {
            let x = Tensor::<4>::random([64, 1, 32, 32], Distribution::Default, &d);
            run("lenet", LeNet::new(&d), &d, steps, 64, 10, |m| {
                m.forward(x.clone())
            })
        }
        "cifar" => {
            let x = Tensor::<4>::random([64, 3, 32, 32], Distribution::Default, &d);
            run("cifar", Cifar::new(&d), &d, steps, 64, 10, |m| {
                m.forward(x.clone())
            })
        }
        "textcnn8" => {
            let x = ids(8);
            run("textcnn", TextCnn::new(&d), &d, steps, 8, 2, |m| {
                m.forward(x.clone())
            })
        }
        "textcnn64" => {
            let x = ids(64);
            run("textcnn", TextCnn::new(&d), &d, steps, 64, 2, |m| {
                m.forward(x.clone())
            })
        }
        "textrnn8" => {
            let x = ids(8);
            run("textrnn", TextRnn::new(&d), &d, steps, 8, 2, |m| {
                m.forward(x.clone())
            })
        }
        "textrnn64" => {
            let x = ids(64);
            run("textrnn", TextRnn::new(&d), &d, steps, 64, 2, |m| {
                m.forward(x.clone())
            })
        }
        "lstm64" => {
            let x = ids(64);
            run("lstm", TextLstm::new(&d), &d, steps, 64, 2, |m| {
                m.forward(x.clone())
            })
        }
        o => panic!("{o}"),
    }
}
