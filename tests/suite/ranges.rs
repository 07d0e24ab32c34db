//! Tensors longer than a binding: the same results as where one binding covers them, or a refusal in words.

use crate::cases::{Case, table};
use crate::common::{Pass, cpu, gpu};
use crate::parity::near;
use crate::run::{Faults, Program, run};
use std::collections::HashMap;
use wgrad::caps::Caps;
use wgrad::device::DeviceOptions;
use wgrad::nn::{Embedding, LayerNorm, Linear, Module};
use wgrad::optim::{Adam, Optimizer, Sgd};
use wgrad::plan::Plan;
use wgrad::rng::Rng;
use wgrad::{Array, Error, Mode, Params, Session, Tensor, TensorType, Trace};

const SEED: u64 = 1;

/// The shaders that a case launches.
fn shaders(session: &Session, case: &Case) -> Vec<&'static str> {
    let program = Program::new(case).unwrap();
    let trace = Trace::new(&Params::new(0), true);
    let types = program.arguments();
    let arguments: Vec<Tensor> = types.iter().map(|t| trace.input(t.clone())).collect();
    let results = program.trace(&trace, &arguments);
    let caps = Caps {
        binding_bytes: u64::MAX,
        ..session.device().caps().clone()
    };
    let plan = Plan::compile(trace.finish(&results).unwrap().graph, &caps).unwrap();
    let all = plan.steps.iter().flat_map(|s| &s.kernels.dispatches);
    all.map(|d| d.shader).collect()
}

/// Rows of the case table with every shader, results and gradients, in bindings that its longest argument takes two to four
/// of.
///
/// Each shader is in `cases` of them at least, where there are as many: each compiles its kernels anew.
fn table_in_short_bindings(software: Option<bool>, cases: usize) {
    let open = |bytes: usize| {
        let mut pass = gpu();
        pass.options.max_binding = Some(bytes as u64);
        pass.options.software_kernels = software;
        Some((bytes, pass.open(&Params::new(3))?))
    };
    let limits = (0..6).map(|k| open(256 << (2 * k)));
    let Some(mut sessions) = limits.collect::<Option<Vec<(usize, Session)>>>() else {
        return;
    };
    let mut reference = cpu().open(&Params::new(3)).unwrap();
    let faults = Faults::default();
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for case in table() {
        let launched = shaders(&sessions[0].1, &case);
        let few = |s: &&str| seen.get(*s).is_none_or(|n| *n < cases);
        if !launched.iter().any(few) {
            continue;
        }
        let inputs = case.values(SEED);
        let longest = inputs.iter().map(|x| x.numel() * 4).max().unwrap_or(0);
        let want = run(&mut reference, &case, &inputs, SEED).unwrap();
        let fits = sessions.iter_mut().filter(|s| 4 * s.0 >= longest);
        let tries = fits.map(|s| run(&mut s.1, &case, &inputs, SEED));
        // What its results, and what is between, would take too many bindings for goes on with longer ones.
        let mut tries = tries.filter(|r| !matches!(r, Err(Error::Limit(_))));
        let tried = tries.next();
        launched
            .iter()
            .for_each(|s| *seen.entry(s).or_default() += 1);
        match tried {
            Some(Ok(got)) => {
                if let Err(why) = near(&got, &want) {
                    faults.add(format!("{}: {why}", case.name));
                }
            }
            Some(Err(error)) => faults.add(format!("{}: {error}", case.name)),
            None => faults.add(format!("{}: refused by all", case.name)),
        }
    }
    faults.end();
}

#[test]
fn the_case_table_in_short_bindings() {
    table_in_short_bindings(None, 4);
}

#[test]
fn the_case_table_in_short_bindings_with_hardware_kernels() {
    table_in_short_bindings(Some(false), 2);
}

/// A small language model: an embedding whose table is tied to the output, in two layers' width.
struct Tied {
    table: Embedding,
    norm: LayerNorm,
    inner: Linear,
    rows: usize,
}

impl Tied {
    fn new(params: &Params, rows: usize, width: usize) -> Self {
        Self {
            table: Embedding::new(rows, width).build(&params.at("table")),
            norm: LayerNorm::new([width]).build(&params.at("norm")),
            inner: Linear::new(width, width).build(&params.at("inner")),
            rows,
        }
    }

    /// Loss of predicting `labels [n]` from `ids [n]`.
    fn loss(&self, ids: &Tensor, labels: &Tensor) -> Tensor {
        let x = self.table.forward(ids);
        let h = self.norm.forward(&(&x + &self.inner.forward(&x).relu()));
        let table = ids.trace().param(&self.table.weight);
        h.matmul(&table.transpose(0, 1)).cross_entropy(labels)
    }

    /// The losses of `steps` steps, and every state after them.
    fn train(
        &self,
        session: &mut Session,
        optimizer: &impl Optimizer,
        steps: usize,
    ) -> (Vec<f32>, Vec<Array>) {
        let n = 24;
        let types = [TensorType::i32([n]), TensorType::i32([n])];
        let mut step = session
            .compile(Mode::Train, &types, |g, a| {
                let loss = self.loss(&a[0], &a[1]);
                g.minimize_clipped(&loss, optimizer, Some(1.0));
                vec![loss]
            })
            .unwrap();
        let id = |k: usize| (k * 7919 % self.rows) as i32;
        let ids = Array::vector((0..n).map(id).collect::<Vec<_>>());
        let labels = Array::vector((n..2 * n).map(id).collect::<Vec<_>>());
        let mut run = || session.run(&mut step, &[&ids, &labels]).unwrap()[0].item();
        let losses = (0..steps).map(|_| run()).collect();
        let states = session.params().all();
        (losses, session.get_all(&states).unwrap())
    }
}

#[test]
fn a_model_trains_in_short_bindings_as_in_whole_ones() {
    let passes = [512, 4096].map(|bytes| {
        let mut pass = gpu();
        pass.options.max_binding = Some(bytes * 4);
        pass
    });
    let mut limited = gpu();
    limited.options.default_limits = true;
    limited.options.max_binding = Some(16 << 10);
    let trained = |pass: &Pass, which: usize| {
        let params = Params::new(7);
        let model = Tied::new(&params, 150, 28);
        let mut session = pass.open(&params)?;
        Some(match which {
            0 => model.train(
                &mut session,
                &Sgd {
                    momentum: 0.9,
                    ..Sgd::new(0.1)
                },
                4,
            ),
            1 => model.train(&mut session, &Adam::adamw(0.01), 4),
            _ => model.train(
                &mut session,
                &Adam {
                    amsgrad: true,
                    ..Adam::new(0.01)
                },
                4,
            ),
        })
    };
    for which in 0..3 {
        let Some(want) = trained(&gpu(), which) else {
            return;
        };
        for pass in passes.iter().chain([&limited]) {
            let got = trained(pass, which).unwrap();
            near(&got.1, &want.1).unwrap_or_else(|why| panic!("optimizer {which}: {why}"));
            let losses = got.0.iter().zip(&want.0);
            losses.for_each(|(a, b)| assert!((a - b).abs() < 1e-4 * b, "{a} {b}"));
        }
    }
}

/// GPT-2's table, 147 MiB, tied to the output: one step of SGD against the definition in f64.
fn gpt2_table(pass: &Pass) {
    const ROWS: usize = 50_257;
    const WIDTH: usize = 768;
    let params = Params::new(11);
    let table = Embedding::new(ROWS, WIDTH).build(&params.at("wte"));
    params
        .init("wte.weight", wgrad::nn::init::Init::normal(0.0, 0.2))
        .unwrap();
    let Some(mut session) = pass.open(&params) else {
        return;
    };
    let w = session.get("wte.weight").unwrap().to_f32();
    let (ids, labels) = (
        [3usize, 50_256, 43_690, 3],
        [50_000usize, 7, 43_691, 50_256],
    );
    let types = [TensorType::i32([4]), TensorType::i32([4])];
    let mut step = session
        .compile(Mode::Train, &types, |g, a| {
            let h = table.forward(&a[0]);
            let logits = h.matmul(&g.param(&table.weight).transpose(0, 1));
            let loss = logits.cross_entropy(&a[1]);
            g.minimize(&loss, &Sgd::new(2.0));
            vec![loss]
        })
        .unwrap();
    let array = |x: [usize; 4]| Array::vector(x.map(|v| v as i32).to_vec());
    let loss = session
        .run(&mut step, &[array(ids), array(labels)])
        .unwrap()[0]
        .item();
    let after = session.get("wte.weight").unwrap().to_f32();

    let row = |r: usize| w[r * WIDTH..][..WIDTH].iter().map(|&v| f64::from(v));
    let dot = |a: usize, b: usize| row(a).zip(row(b)).map(|(x, y)| x * y).sum::<f64>();
    let mut want = 0.0;
    // Gradients of the logits, by token.
    let slopes: Vec<Vec<f64>> = ids
        .iter()
        .zip(labels)
        .map(|(&id, label)| {
            let logits: Vec<f64> = (0..ROWS).map(|r| dot(id, r)).collect();
            let most = logits.iter().copied().fold(f64::MIN, f64::max);
            let sum: f64 = logits.iter().map(|l| (l - most).exp()).sum();
            want += (most + sum.ln() - logits[label]) / 4.0;
            let slope = |(r, l): (usize, &f64)| {
                ((l - most).exp() / sum - f64::from(u8::from(r == label))) / 4.0
            };
            logits.iter().enumerate().map(slope).collect()
        })
        .collect();
    assert!(
        (f64::from(loss) - want).abs() < 1e-4 * want,
        "{loss} {want}"
    );
    for r in [0, 3, 7, 43_689, 43_690, 43_691, 50_000, 50_255, 50_256] {
        let mut new: Vec<f64> = row(r).collect();
        for (t, &id) in ids.iter().enumerate() {
            let of_output = row(id).map(|h| slopes[t][r] * h);
            new.iter_mut()
                .zip(of_output)
                .for_each(|(n, g)| *n -= 2.0 * g);
            if id == r {
                for (other, slope) in slopes[t].iter().enumerate().filter(|s| s.1.abs() > 1e-12) {
                    new.iter_mut()
                        .zip(row(other))
                        .for_each(|(n, v)| *n -= 2.0 * slope * v);
                }
            }
        }
        for (c, (got, want)) in after[r * WIDTH..][..WIDTH].iter().zip(new).enumerate() {
            let off = (f64::from(*got) - want).abs();
            assert!(
                off < 1e-5 + 1e-4 * want.abs(),
                "row {r}, column {c}: {got} {want}"
            );
        }
    }
}

#[test]
fn gpt2s_table_on_the_cpu() {
    gpt2_table(&cpu());
}

#[test]
fn gpt2s_table_on_the_gpu() {
    gpt2_table(&gpu());
}

/// Adam over a table longer than a binding: the slots are as long.
#[test]
fn adam_over_gpt2s_table() {
    for pass in [cpu(), gpu()] {
        let params = Params::new(5);
        let table = Embedding::new(50_257, 768).build(&params.at("wte"));
        params
            .init("wte.weight", wgrad::nn::init::Init::constant(0.5))
            .unwrap();
        let Some(mut session) = pass.open(&params) else {
            return;
        };
        let mut step = session
            .compile(Mode::Train, &[TensorType::i32([3])], |g, a| {
                let loss = table.forward(&a[0]).sum(&[], false);
                g.minimize(&loss, &Adam::new(0.125));
                vec![loss]
            })
            .unwrap();
        let ids = Array::vector(vec![0i32, 43_691, 50_256]);
        session.run(&mut step, &[ids]).unwrap();
        let after = session.get("wte.weight").unwrap().to_f32();
        for (r, row) in after.chunks(768).enumerate() {
            let want = if [0, 43_691, 50_256].contains(&r) {
                0.375
            } else {
                0.5
            };
            assert!(
                row.iter().all(|v| (v - want).abs() < 1e-6),
                "row {r}: {}",
                row[0]
            );
        }
    }
}

/// 2,048 x 30,522 logits, as masked language models have: 238 MiB.
#[test]
fn logits_longer_than_a_binding() {
    let trained = |pass: &Pass| {
        let params = Params::new(2);
        let out = Linear::new(8, 30_522).build(&params.at("out"));
        let mut session = pass.open(&params)?;
        let types = [TensorType::f32([2048, 8]), TensorType::i32([2048])];
        let mut step = session
            .compile(Mode::Train, &types, |g, a| {
                let loss = out.forward(&a[0]).cross_entropy(&a[1]);
                g.minimize(&loss, &Sgd::new(1.0));
                vec![loss]
            })
            .unwrap();
        let mut rng = Rng::new(4, "batch");
        let x: Vec<f32> = (0..2048 * 8).map(|_| rng.normal()).collect();
        let labels: Vec<i32> = (0..2048).map(|i| i * 7919 % 30_522).collect();
        let x = Array::new([2048, 8], x).unwrap();
        let loss = session
            .run(&mut step, &[&x, &Array::vector(labels)])
            .unwrap();
        let states = session.params().list();
        Some([loss, session.get_all(&states).unwrap()].concat())
    };
    if let Some(got) = trained(&gpu()) {
        near(&got, &trained(&cpu()).unwrap()).unwrap();
    }
}

/// Maps, reductions, copies, concatenation, padding, gathers of tensors longer than a binding.
#[test]
fn operators_on_tensors_longer_than_a_binding() {
    let n = 5_900; // 132 MiB
    let computed = |pass: &Pass| {
        let mut session = pass.open(&Params::new(0))?;
        let of = |g: &Trace| {
            let line = g.arange(n).to_f32();
            (line.unsqueeze(1) * &line * 1e-3).sin()
        };
        let mut found = Vec::new();
        found.extend(
            session
                .eval(|g| {
                    let x = of(g);
                    let moved = (&x.transpose(0, 1) - &x).square();
                    // Whole numbers, so that the largest is the same one on any device.
                    let line = g.arange(n).to_f32();
                    let step = line.unsqueeze(1) + &line * 2.0;
                    let turns = &step - &((&step * (1.0 / 5897.0)).floor() * 5897.0);
                    vec![
                        x.sum(&[0], false),
                        moved.mean(&[1], false),
                        x.amax(&[1], false),
                        turns.argmax(1, false),
                    ]
                })
                .unwrap(),
        );
        found.extend(
            session
                .eval(|g| {
                    let x = of(g);
                    let both = Tensor::cat(&[&x, &(&x * 2.0)], 1);
                    let ids = g.constant(Array::vector(vec![5899i32, 0, 5898, 3000]));
                    vec![
                        both.sum(&[1], false),
                        x.softmax(1).index_select(0, &ids),
                        x.cumsum(1).index_select(1, &ids),
                    ]
                })
                .unwrap(),
        );
        Some(found)
    };
    if let Some(got) = computed(&gpu()) {
        near(&got, &computed(&cpu()).unwrap()).unwrap();
    }
}

fn compiled(
    types: &[TensorType],
    caps: &Caps,
    f: impl Fn(&[Tensor]) -> Tensor,
) -> Result<Plan, Error> {
    let trace = Trace::new(&Params::new(0), true);
    let arguments: Vec<Tensor> = types.iter().map(|t| trace.input(t.clone())).collect();
    let result = f(&arguments);
    drop(arguments);
    Plan::compile(trace.finish(&[result])?.graph, caps)
}

/// Within default limits an elementwise step is launched by ranges, and no launch binds more than is allowed.
#[test]
fn launches_bind_what_is_allowed() {
    let caps = Caps::default();
    let types = [TensorType::f32([6000, 8000]), TensorType::f32([8000])];
    let plan = compiled(&types, &caps, |x| (&x[0] * &x[1]).exp()).unwrap();
    let [step] = &plan.steps[..] else {
        panic!("{plan}")
    };
    assert_eq!(step.kernels.dispatches.len(), 2, "{plan}");
    let mut written = 0;
    for b in step.kernels.dispatches.iter().flat_map(|d| &d.bindings) {
        let region = step.regions.bound(b);
        assert!(4 * region.len as u64 <= caps.binding_bytes && region.offset % 64 == 0);
        written += if b.write { region.len } else { 0 };
    }
    assert_eq!(written, 48_000_000);
}

#[test]
fn what_cannot_be_held_says_whose_limit_it_is() {
    let caps = Caps::default();
    let holds = |error: Result<Plan, Error>, parts: &[&str]| {
        let error = error.map(drop).unwrap_err();
        assert!(matches!(error, Error::Limit(_)), "{error}");
        let text = error.to_string();
        parts
            .iter()
            .for_each(|p| assert!(text.contains(p), "no '{p}' in: {text}"));
        assert!(!text.contains("out of memory"), "{text}");
    };
    let large = [TensorType::f32([10_000, 8000])];
    holds(
        compiled(&large, &caps, |x| x[0].softmax(1)),
        &[
            "softmax",
            "f32 [10000,8000]",
            "305.2 MiB",
            "largest buffer",
            "WebGPU's default limits",
            "256.0 MiB",
            "WGRAD_DEVICE=cpu",
        ],
    );
    let few = Caps {
        bindings: 2,
        ..Caps::default()
    };
    holds(
        compiled(&[TensorType::f32([6000, 8000])], &few, |x| x[0].softmax(1)),
        &[
            "softmax",
            "[6000,8000]",
            "183.1 MiB",
            "storage buffers",
            "128.0 MiB",
            "2 are allowed",
        ],
    );
    let params = Params::new(0);
    params.drawn(
        "wte.weight",
        [50_257, 16],
        wgrad::nn::init::normal(0.0, 1.0),
    );
    let options = DeviceOptions {
        max_buffer: Some(2 << 20),
        ..gpu().options
    };
    if gpu().open(&Params::new(0)).is_none() {
        return;
    }
    let error = Session::with_options(&params, &options)
        .map(drop)
        .unwrap_err();
    assert!(matches!(error, Error::Limit(_)), "{error}");
    for part in [
        "wte.weight [50257,16]",
        "3.1 MiB",
        "largest buffer of ",
        "2.0 MiB",
    ] {
        assert!(error.to_string().contains(part), "no '{part}' in: {error}");
    }
}
