//! All that an update can do at once, against the same in f64 on the host; and in how many launches.

use crate::common::{cpu, gpu};
use wgrad::caps::Caps;
use wgrad::nn::{Linear, Module};
use wgrad::ops::reduction::Reduction;
use wgrad::optim::{Adam, MinimizeOptions, ParamGroup};
use wgrad::plan::Plan;
use wgrad::rng::Rng;
use wgrad::{Array, Mode, Params, TensorType, Trace};

const IN: usize = 5;
const OUT: usize = 3;
const ROWS: usize = 4;
const MICRO_STEPS: usize = 3;
const UPDATES: usize = 6;
const LR: f64 = 0.1;
const BIAS_LR: f64 = 0.02;
const DECAY: f64 = 0.05;
const CLIP: f64 = 0.7;
const EMA: f64 = 0.8;
const BETAS: (f64, f64) = (0.8, 0.9);
const EPS: f64 = 1e-8;

fn optimizer() -> Adam {
    Adam {
        betas: BETAS,
        amsgrad: true,
        weight_decay: DECAY as f32,
        ..Adam::adamw(LR)
    }
}

fn options() -> MinimizeOptions {
    MinimizeOptions {
        groups: vec![ParamGroup::new("*.bias").lr(BIAS_LR).weight_decay(0.0)],
        clip_norm: Some(CLIP as f32),
        micro_steps: MICRO_STEPS,
        ema: Some(EMA),
        ..Default::default()
    }
}

/// Batches whose gradients shrink and grow again, so that some are clipped and the largest second moment is not the last.
fn batch(k: usize) -> [Vec<f32>; 2] {
    let mut rng = Rng::new(k as u64, "batch");
    let scale = [2.0, 0.5, 0.05][k / MICRO_STEPS % 3];
    let x = (0..ROWS * IN).map(|_| rng.normal() * scale).collect();
    let y = (0..ROWS * OUT).map(|_| rng.normal() * scale).collect();
    [x, y]
}

/// Weight `[OUT, IN]` and bias, one after the other, and what the optimizer keeps of each element.
struct Host {
    weights: Vec<f64>,
    exp_avg: Vec<f64>,
    exp_avg_sq: Vec<f64>,
    max_exp_avg_sq: Vec<f64>,
    ema: Vec<f64>,
    clipped: usize,
}

impl Host {
    fn new(weights: Vec<f64>) -> Self {
        let zeros = vec![0.0; weights.len()];
        Self {
            ema: weights.clone(),
            weights,
            exp_avg: zeros.clone(),
            exp_avg_sq: zeros.clone(),
            max_exp_avg_sq: zeros,
            clipped: 0,
        }
    }

    /// The gradient of the mean squared error.
    fn gradient(&self, [x, y]: &[Vec<f32>; 2]) -> Vec<f64> {
        let mut gradient = vec![0.0; self.weights.len()];
        for row in 0..ROWS {
            for o in 0..OUT {
                let x = |i: usize| f64::from(x[row * IN + i]);
                let products = (0..IN).map(|i| x(i) * self.weights[o * IN + i]);
                let answer = products.sum::<f64>() + self.weights[OUT * IN + o];
                let slope = 2.0 * (answer - f64::from(y[row * OUT + o])) / (ROWS * OUT) as f64;
                (0..IN).for_each(|i| gradient[o * IN + i] += slope * x(i));
                gradient[OUT * IN + o] += slope;
            }
        }
        gradient
    }

    /// `torch.optim.AdamW(amsgrad=True)` with two groups, after `clip_grad_norm_`, then `AveragedModel`.
    fn update(&mut self, n: usize, batches: &[[Vec<f32>; 2]]) {
        let each: Vec<Vec<f64>> = batches.iter().map(|b| self.gradient(b)).collect();
        let mean = |k: usize| each.iter().map(|g| g[k]).sum::<f64>() / each.len() as f64;
        let gradient: Vec<f64> = (0..self.weights.len()).map(mean).collect();
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let scale = (CLIP / (norm + 1e-6)).min(1.0);
        self.clipped += usize::from(scale < 1.0);
        let corrections = [BETAS.0, BETAS.1].map(|b| 1.0 - b.powi(n as i32));
        for (k, g) in gradient.into_iter().enumerate() {
            let g = g * scale;
            let bias = k >= OUT * IN;
            let (lr, decay) = if bias { (BIAS_LR, 0.0) } else { (LR, DECAY) };
            let w = &mut self.weights[k];
            *w -= lr * decay * *w;
            let (m, v, most) = (
                &mut self.exp_avg[k],
                &mut self.exp_avg_sq[k],
                &mut self.max_exp_avg_sq[k],
            );
            *m += (g - *m) * (1.0 - BETAS.0);
            *v = *v * BETAS.1 + (1.0 - BETAS.1) * g * g;
            *most = v.max(*most);
            *w -= lr / corrections[0] * *m / ((*most / corrections[1]).sqrt() + EPS);
            let share = if n == 1 { 1.0 } else { 1.0 - EMA };
            self.ema[k] += share * (*w - self.ema[k]);
        }
    }
}

#[test]
fn everything_at_once_as_on_the_host() {
    for pass in [cpu(), gpu()] {
        let params = Params::new(4);
        let fc = Linear::new(IN, OUT).build(&params.at("fc"));
        let Some(mut session) = pass.open(&params) else {
            continue;
        };
        let (optimizer, options) = (optimizer(), options());
        let types = [TensorType::f32([ROWS, IN]), TensorType::f32([ROWS, OUT])];
        let mut step = session
            .compile(Mode::Train, &types, |g, a| {
                let loss = fc.forward(&a[0]).mse_loss(&a[1], Reduction::Mean);
                g.minimize_with(&loss, &optimizer, &options);
                vec![loss]
            })
            .unwrap();
        let all = |prefix: &str, session: &mut wgrad::Session| -> Vec<f64> {
            let paths = ["weight", "bias"].map(|name| format!("{prefix}fc.{name}"));
            let values = paths.iter().flat_map(|p| session.get(p).unwrap().to_f32());
            values.map(f64::from).collect()
        };
        let mut host = Host::new(all("", &mut session));
        let mut largest_was_earlier = false;
        for n in 0..UPDATES {
            let batches: Vec<_> = (0..MICRO_STEPS)
                .map(|k| batch(n * MICRO_STEPS + k))
                .collect();
            for [x, y] in &batches {
                let x = Array::new([ROWS, IN], x.clone()).unwrap();
                let y = Array::new([ROWS, OUT], y.clone()).unwrap();
                session.run(&mut step, &[&x, &y]).unwrap();
            }
            host.update(n + 1, &batches);
            let pairs = host.max_exp_avg_sq.iter().zip(&host.exp_avg_sq);
            largest_was_earlier |= pairs.into_iter().any(|(most, v)| *v < 0.9 * most);
            for (slot, want) in [
                ("", &host.weights),
                ("exp_avg/", &host.exp_avg),
                ("exp_avg_sq/", &host.exp_avg_sq),
                ("max_exp_avg_sq/", &host.max_exp_avg_sq),
                ("ema/", &host.ema),
            ] {
                let got = all(slot, &mut session);
                for (k, (got, want)) in got.iter().zip(want).enumerate() {
                    let off = (got - want).abs();
                    assert!(
                        off <= 1e-5 + 1e-5 * want.abs(),
                        "{}, update {n}, {slot}{k}: {got}, want {want}",
                        pass.name
                    );
                }
            }
        }
        // What is tested has happened: some updates were clipped, some not, and a second moment fell.
        assert!(
            (1..UPDATES).contains(&host.clipped),
            "{} clipped",
            host.clipped
        );
        assert!(largest_was_earlier);
        assert_eq!(session.updates(), UPDATES as u64);
    }
}

/// Launches of the update, and the most buffers that one binds.
fn launches(storage_buffers: usize) -> (usize, usize) {
    let params = Params::new(0);
    let fc = Linear::new(IN, OUT).build(&params.at("fc"));
    let trace = Trace::new(&params, true);
    let x = trace.input(TensorType::f32([ROWS, IN]));
    let y = trace.input(TensorType::f32([ROWS, OUT]));
    let loss = fc.forward(&x).mse_loss(&y, Reduction::Mean);
    trace.minimize_with(&loss, &optimizer(), &options());
    drop((x, y));
    let traced = trace.finish(&[loss]).unwrap();
    let caps = Caps {
        storage_buffers,
        ..Caps::default()
    };
    let plan = Plan::compile(traced.graph, &caps).unwrap();
    let updates = |s: &&wgrad::plan::Step| {
        s.outputs
            .iter()
            .any(|o| format!("{:?}", o.dest).contains("State"))
    };
    let steps: Vec<_> = plan.steps.iter().filter(updates).collect();
    let dispatches = || steps.iter().flat_map(|s| &s.kernels.dispatches);
    let most = dispatches().map(|d| d.bindings.len()).max();
    (dispatches().count(), most.unwrap())
}

/// With everything at once an update reads and writes more than the eight buffers that WebGPU promises.
#[test]
fn an_update_of_everything_is_few_launches() {
    let (within_eight, most) = launches(8);
    assert!(most <= 8, "{most} buffers");
    assert_eq!(within_eight, 2);
    let (within_sixteen, most) = launches(16);
    assert!(most <= 16, "{most} buffers");
    assert_eq!(within_sixteen, 1);
}
