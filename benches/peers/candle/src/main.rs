//! Times one training step of the models in README.md on candle (CPU).
//!
//!     candlepeer <model> [steps]

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::{
    AdamW, Conv1dConfig, Conv2dConfig, Module, Optimizer, ParamsAdamW, RNN, VarBuilder, VarMap,
    conv1d, conv2d, embedding, linear, loss, lstm,
};
use std::time::Instant;

fn main() -> Result<()> {
    let a: Vec<String> = std::env::args().collect();
    let steps: usize = a.get(2).map(|s| s.parse().unwrap()).unwrap_or(10);
    let d = Device::Cpu;
    let vm = VarMap::new();
    let vb = VarBuilder::from_varmap(&vm, DType::F32, &d);
    let ids = |b: usize| {
        Tensor::from_vec(
            (0..b * 128)
                .map(|i| ((i * 7919) % 28996) as u32)
                .collect::<Vec<_>>(),
            (b, 128),
            &d,
        )
        .unwrap()
    };
    let f: Box<dyn Fn() -> Result<Tensor>>;
    let (b, classes);
    match a[1].as_str() {
        "mlp" => {
            let (l1, l2, l3) = (
                linear(784, 512, vb.pp("a"))?,
                linear(512, 512, vb.pp("b"))?,
                linear(512, 10, vb.pp("c"))?,
            );
            let x = Tensor::randn(0f32, 1., (128, 784), &d)?;
            b = 128;
            classes = 10;
            f = Box::new(move || l3.forward(&l2.forward(&l1.forward(&x)?.relu()?)?.relu()?));
        }
        "lenet" => {
            let (c1, c2) = (
                conv2d(1, 6, 5, Default::default(), vb.pp("c1"))?,
                conv2d(6, 16, 3, Default::default(), vb.pp("c2"))?,
            );
            let (f1, f2, f3) = (
                linear(576, 120, vb.pp("f1"))?,
                linear(120, 84, vb.pp("f2"))?,
                linear(84, 10, vb.pp("f3"))?,
            );
            let x = Tensor::randn(0f32, 1., (64, 1, 32, 32), &d)?;
            b = 64;
            classes = 10;
            f = Box::new(move || {
                let x = c1.forward(&x)?.relu()?.max_pool2d(2)?;
                let x = c2.forward(&x)?.relu()?.max_pool2d(2)?.flatten_from(1)?;
                f3.forward(&f2.forward(&f1.forward(&x)?.relu()?)?.relu()?)
            });
        }
        "cifar" => {
            let ch = [(3, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128)];
            let cfg = Conv2dConfig {
                padding: 1,
                ..Default::default()
            };
            let cs = ch
                .iter()
                .enumerate()
                .map(|(i, &(ci, co))| conv2d(ci, co, 3, cfg, vb.pp(format!("c{i}"))))
                .collect::<Result<Vec<_>>>()?;
            let (f1, f2) = (
                linear(2048, 128, vb.pp("f1"))?,
                linear(128, 10, vb.pp("f2"))?,
            );
            let x0 = Tensor::randn(0f32, 1., (64, 3, 32, 32), &d)?;
            b = 64;
            classes = 10;
            f = Box::new(move || {
                let mut x = x0.clone();
                for (i, c) in cs.iter().enumerate() {
                    x = c.forward(&x)?.relu()?;
                    if i % 2 == 1 {
                        x = x.max_pool2d(2)?
                    }
                }
                f2.forward(&f1.forward(&x.flatten_from(1)?)?.relu()?)
            });
        }
        m @ ("textcnn8" | "textcnn64") => {
            b = if m.ends_with("64") { 64 } else { 8 };
            classes = 2;
            let x = ids(b);
            let e = embedding(28996, 64, vb.pp("e"))?;
            let c = conv1d(
                64,
                10,
                3,
                Conv1dConfig {
                    padding: 1,
                    ..Default::default()
                },
                vb.pp("c"),
            )?;
            let o = linear(10, 2, vb.pp("o"))?;
            f = Box::new(move || {
                let x = e.forward(&x)?.transpose(1, 2)?.contiguous()?;
                o.forward(&c.forward(&x)?.relu()?.max(D::Minus1)?)
            });
        }
        "lstm64" => {
            b = 64;
            classes = 2;
            let x = ids(b);
            let e = embedding(28996, 64, vb.pp("e"))?;
            let r = lstm(64, 128, Default::default(), vb.pp("r"))?;
            let o = linear(128, 2, vb.pp("o"))?;
            f = Box::new(move || {
                let s = r.seq(&e.forward(&x)?)?;
                o.forward(s.last().unwrap().h())
            });
        }
        o => panic!("{o}"),
    }
    let y = Tensor::from_vec(
        (0..b).map(|i| (i % classes) as u32).collect::<Vec<_>>(),
        b,
        &d,
    )?;
    let mut opt = AdamW::new(
        vm.all_vars(),
        ParamsAdamW {
            lr: 1e-3,
            weight_decay: 0.,
            ..Default::default()
        },
    )?;
    let mut ts = vec![];
    let mut last = 0f32;
    for s in 0..steps + 3 {
        let t = Instant::now();
        let l = loss::cross_entropy(&f()?, &y)?;
        opt.backward_step(&l)?;
        last = l.to_scalar()?;
        if s >= 3 {
            ts.push(t.elapsed().as_secs_f64() * 1e3)
        }
    }
    ts.sort_by(|a, b| a.total_cmp(b));
    println!(
        "candle-cpu {} b{b}: median {:.3} ms min {:.3} loss {last:.4}",
        a[1],
        ts[ts.len() / 2],
        ts[0]
    );
    Ok(())
}
